//! `cargo verify`: everything that is checked, and a table at the end. `cargo verify write` also writes
//! README's property table from what the checks recorded; without it a table that differs is a failure.
//! `cargo verify mutants` changes the library in small ways that the tests have to notice; see `mutants.rs`.

mod dependents;
mod ledger;
mod mutants;
mod properties;
mod scenarios;
mod zoo;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

struct Step {
    name: &'static str,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

const WARNINGS: &[(&str, &str)] = &[("RUSTDOCFLAGS", "-D warnings")];
const LOOM: &[(&str, &str)] = &[
    ("RUSTFLAGS", "--cfg loom"),
    ("CARGO_TARGET_DIR", "target/loom"),
    ("JOB_REGISTRY_LEDGER", "target/loom/ledger.jsonl"),
];
const SHUTTLE: &[(&str, &str)] = &[
    ("RUSTFLAGS", "--cfg shuttle"),
    ("CARGO_TARGET_DIR", "target/shuttle"),
    ("JOB_REGISTRY_LEDGER", "target/shuttle/ledger.jsonl"),
];

const STEPS: &[Step] = &[
    step("format", &["fmt", "--all", "--check"], &[]),
    step(
        "clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    ),
    step(
        "clippy, no features",
        &[
            "clippy",
            "--no-default-features",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    ),
    step("tests", &["test", "--workspace"], &[]),
    step(
        "tests, no features",
        &["test", "--no-default-features"],
        &[],
    ),
    step("docs", &["doc", "--workspace", "--no-deps"], WARNINGS),
    step(
        "clippy, loom",
        &["clippy", "--tests", "--", "-D", "warnings"],
        LOOM,
    ),
    step("models, loom", &["test"], LOOM),
    step(
        "clippy, shuttle",
        &["clippy", "--tests", "--", "-D", "warnings"],
        SHUTTLE,
    ),
    step("models, shuttle", &["test"], SHUTTLE),
    step(
        "demo",
        &[
            "run",
            "--release",
            "-p",
            "presentation-service",
            "--",
            "demo",
        ],
        &[],
    ),
];

const fn step(
    name: &'static str,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
) -> Step {
    Step { name, args, env }
}

fn main() -> ExitCode {
    let root = root();
    let write = match std::env::args().nth(1).as_deref() {
        None | Some("quick") => false,
        Some("write") => true,
        Some("mutants") => return ExitCode::from(u8::from(!mutants::run(root))),
        Some("zoo") => return zoo(),
        Some("scenarios") => {
            let write = std::env::args().nth(2).as_deref() == Some("write");
            return ExitCode::from(u8::from(!scenarios::check(root, write)));
        }
        Some("dependents") => return ExitCode::from(u8::from(!dependents::run(root))),
        Some(other) => {
            eprintln!(
                "unknown argument `{other}`; usage: cargo verify [quick|write|zoo [NAME]|dependents|scenarios [write]|mutants]"
            );
            return ExitCode::from(2);
        }
    };
    for ledger in ledgers(root) {
        // Lines are appended, and those of the last run are not of this one.
        let _ = std::fs::remove_file(ledger);
    }
    let mut results: Vec<_> = STEPS.iter().map(|step| run(step, root)).collect();
    results.push(timed("dependents", || dependents::run(root)));
    results.push(timed("scenarios", || scenarios::check(root, write)));
    results.push(timed("README's property table", || readme(root, write)));

    println!("\n{:<26} {:<8} {:>8}", "check", "result", "seconds");
    for (name, passed, took) in &results {
        let result = if *passed { "ok" } else { "FAILED" };
        println!("{name:<26} {result:<8} {:>8.1}", took.as_secs_f64());
    }
    let failed = results.iter().filter(|(_, passed, _)| !passed).count();
    println!("\n{} passed, {failed} failed", results.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask has a parent")
}

/// The seeded bugs, or those with a certain text in their names.
fn zoo() -> ExitCode {
    let only = std::env::args().nth(2);
    match zoo::run(root(), only.as_deref()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

type Outcome = (&'static str, bool, Duration);

fn run(step: &Step, root: &Path) -> Outcome {
    let env: Vec<_> = step
        .env
        .iter()
        .map(|(key, value)| format!("{key}=\"{value}\" "))
        .collect();
    println!("\n$ {}cargo {}", env.concat(), step.args.join(" "));
    timed(step.name, || {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root).args(step.args);
        for (key, value) in step.env {
            // A ledger is named for the test, which runs elsewhere.
            let absolute = value.starts_with("target/").then(|| root.join(value));
            cargo.env(key, absolute.unwrap_or_else(|| PathBuf::from(value)));
        }
        cargo.status().is_ok_and(|status| status.success())
    })
}

fn timed(name: &'static str, check: impl FnOnce() -> bool) -> Outcome {
    let began = Instant::now();
    let passed = check();
    (name, passed, began.elapsed())
}

fn ledgers(root: &Path) -> [PathBuf; 2] {
    ["target/loom/ledger.jsonl", "target/shuttle/ledger.jsonl"].map(|path| root.join(path))
}

/// Compares README's table with what was recorded, or writes it.
fn readme(root: &Path, write: bool) -> bool {
    let table = properties::table(root, &ledger::read(&ledgers(root)));
    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md can be read");
    let Some(expected) = properties::replace(&readme, &table) else {
        eprintln!("README.md has no place for the property table");
        return false;
    };
    if readme == expected {
        return true;
    }
    if write {
        std::fs::write(path, expected).expect("README.md can be written");
        return true;
    }
    eprintln!(
        "README's property table is not what was recorded; `cargo verify write` writes:\n{table}"
    );
    false
}
