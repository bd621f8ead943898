//! What `cargo verify` runs: commands that anybody can repeat.

use crate::{Outcome, timed};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Step {
    name: &'static str,
    /// Separated by spaces.
    args: &'static str,
    env: &'static [(&'static str, &'static str)],
    /// More of them, after `--`: a process for each, as many at a time as there are processors. One for all if empty.
    parts: &'static [&'static str],
}

/// The longest first: the first is loom's longest, the second, in the quick size, shuttle's. Loom maps and unmaps a stack for each thread of each execution, and two
/// threads of one process that do so wait for each other: two processes take half the time.
const PARTS: &[&str] = &[
    "every_program_is_linearizable_from_a_running_job --test-threads=1",
    "--skip every_program_is_linearizable_from --test-threads=1",
    "every_program_is_linearizable_from_a_second_attempt --test-threads=1",
    "every_program_is_linearizable_from_a_pending_job --test-threads=1",
    "every_program_is_linearizable_from_a_due_removal --test-threads=1",
];

impl Step {
    const fn in_parts(self) -> Self {
        Self {
            parts: PARTS,
            ..self
        }
    }
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
        "clippy --workspace --all-targets --features job-registry-benches/instructions -- -D warnings",
        &[],
    ),
    step(
        "clippy, no features",
        "clippy -p job-registry --no-default-features --all-targets -- -D warnings",
        &[],
    ),
    step("clippy, loom", "clippy --tests -- -D warnings", LOOM),
    step("clippy, shuttle", "clippy --tests -- -D warnings", SHUTTLE),
    // Without optimisation the library's own are built in a third of the time, and run in less than twice.
    step(
        "tests",
        "test --workspace --exclude presentation-service --config profile.dev.package.job-registry.opt-level=0",
        &[],
    ),
    step("tests, service", "test -p presentation-service", &[]),
    // Of the one package: another's dependency on it would bring its default features back. What a million jobs leave does
    // not depend on features.
    step(
        "tests, no features",
        "test -p job-registry --no-default-features --config profile.dev.package.job-registry.opt-level=0 \
         -- --skip a_million_jobs",
        &[],
    ),
    // Of those that have to do with what is told.
    step(
        "tests, all features",
        "test -p job-registry --features metrics,serde,tracing --config profile.dev.package.job-registry.opt-level=0 \
         --lib --test faults --test forms --test observed --test task_layer",
        &[],
    ),
    step("docs", "doc --workspace --no-deps", WARNINGS),
    step("demo", "run -p presentation-service -- demo", &[]),
];

const QUICK: &[Step] = &[
    step("models, loom", "test", LOOM).in_parts(),
    step("models, shuttle", "test", SHUTTLE).in_parts(),
];
const FULL: &[Step] = &[
    step("models, loom", "test --profile models --lib", LOOM).in_parts(),
    step("models, shuttle", "test --profile models --lib", SHUTTLE).in_parts(),
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
    Step {
        name,
        args,
        env,
        parts: &[],
    }
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
    if step.parts.is_empty() {
        let mut cargo = command(root, step, size, "");
        return cargo.status().is_ok_and(|status| status.success());
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(false));
    let work = || {
        while let Some(part) = step.parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut cargo = command(root, step, size, part);
            let done = cargo.stderr(Stdio::inherit()).output();
            let mut failed = failed.lock().expect("nothing panics under it");
            *failed |= !done.as_ref().is_ok_and(|done| done.status.success());
            // At once, and not mixed with another's.
            println!("\n{part}:");
            print!(
                "{}",
                done.map_or_else(
                    |error| error.to_string(),
                    |done| String::from_utf8_lossy(&done.stdout).into_owned()
                )
            );
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..processors).for_each(|_| drop(scope.spawn(work)));
    });
    !failed.into_inner().expect("nothing panics under it")
}

/// Printed as somebody would type it.
fn command(root: &Path, step: &Step, size: &str, part: &str) -> Command {
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
    let mut args: Vec<_> = step.args.split(' ').collect();
    if !part.is_empty() {
        args.push("--");
        args.extend(part.split(' '));
    }
    println!("\n$ {}cargo {}", shown.collect::<String>(), args.join(" "));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(args);
    for (key, value) in env {
        // What is written is named for the test, which runs elsewhere.
        let absolute = value.starts_with("target/").then(|| root.join(value));
        cargo.env(key, absolute.unwrap_or_else(|| PathBuf::from(value)));
    }
    cargo
}
