//! What `cargo verify` runs: commands that anybody can repeat.

use crate::{Outcome, timed};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Step {
    name: &'static str,
    /// Separated by spaces.
    args: &'static str,
    env: &'static [(&'static str, &'static str)],
}

const WARNINGS: &[(&str, &str)] = &[("RUSTDOCFLAGS", "-D warnings")];
const LOOM: &[(&str, &str)] = &[
    ("RUSTFLAGS", "--cfg loom"),
    ("CARGO_TARGET_DIR", "target/loom"),
    ("JOB_REGISTRY_LEDGER", "target/loom/ledger.jsonl"),
    ("JOB_REGISTRY_OUTCOMES", "target/loom/outcomes.txt"),
];
const SHUTTLE: &[(&str, &str)] = &[
    ("RUSTFLAGS", "--cfg shuttle"),
    ("CARGO_TARGET_DIR", "target/shuttle"),
    ("JOB_REGISTRY_LEDGER", "target/shuttle/ledger.jsonl"),
    ("JOB_REGISTRY_OUTCOMES", "target/shuttle/outcomes.txt"),
];

const ORDINARY: &[Step] = &[
    step("format", "fmt --all --check", &[]),
    step(
        "clippy",
        "clippy --workspace --all-targets -- -D warnings",
        &[],
    ),
    step(
        "clippy, no features",
        "clippy -p job-registry --no-default-features --all-targets -- -D warnings",
        &[],
    ),
    step("clippy, loom", "clippy --tests -- -D warnings", LOOM),
    step("clippy, shuttle", "clippy --tests -- -D warnings", SHUTTLE),
    step("tests", "test --workspace", &[]),
    // Of the one package: another's dependency on it would bring its default features back.
    step(
        "tests, no features",
        "test -p job-registry --no-default-features",
        &[],
    ),
    step("docs", "doc --workspace --no-deps", WARNINGS),
    step("demo", "run --release -p presentation-service -- demo", &[]),
];

const QUICK: &[Step] = &[
    step("models, loom", "test", LOOM),
    step("models, shuttle", "test", SHUTTLE),
];
const FULL: &[Step] = &[
    step("models, loom", "test --profile models --lib", LOOM),
    step("models, shuttle", "test --profile models --lib", SHUTTLE),
    step(
        "random programs",
        "test --release --test linearizable",
        &[("JOB_REGISTRY_ROUNDS", "200000")],
    ),
];

const fn step(
    name: &'static str,
    args: &'static str,
    env: &'static [(&'static str, &'static str)],
) -> Step {
    Step { name, args, env }
}

pub fn run(root: &Path, full: bool) -> Vec<Outcome> {
    let (models, size) = if full {
        (FULL, "full")
    } else {
        (QUICK, "quick")
    };
    run_all(root, ORDINARY.iter().chain(models), size)
}

/// Only those of the checkers.
pub fn models(root: &Path) -> Vec<Outcome> {
    run_all(root, FULL.iter(), "full")
}

fn run_all<'a>(root: &Path, steps: impl Iterator<Item = &'a Step>, size: &str) -> Vec<Outcome> {
    let run = |step: &Step| timed(step.name, || execute(root, step, size));
    steps.map(run).collect()
}

fn execute(root: &Path, step: &Step, size: &str) -> bool {
    // Only the models ask for it.
    let size = [("JOB_REGISTRY_PROGRAMS", size)];
    let is_checked = step
        .env
        .iter()
        .any(|(key, _)| *key == "JOB_REGISTRY_LEDGER");
    let env = step.env.iter().chain(size.iter().filter(|_| is_checked));
    let shown = env
        .clone()
        .map(|(key, value)| format!("{key}=\"{value}\" "));
    println!("\n$ {}cargo {}", shown.collect::<String>(), step.args);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(step.args.split(' '));
    for (key, value) in env {
        // What is written is named for the test, which runs elsewhere.
        let absolute = value.starts_with("target/").then(|| root.join(value));
        cargo.env(key, absolute.unwrap_or_else(|| PathBuf::from(value)));
    }
    cargo.status().is_ok_and(|status| status.success())
}
