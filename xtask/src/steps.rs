//! What `cargo verify` runs: commands that anybody can repeat.

use crate::{Outcome, timed};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

struct Step {
    name: &'static str,
    /// Separated by spaces.
    args: &'static str,
    env: &'static [(&'static str, &'static str)],
    /// More of them, after `--`: a process for each, as many at a time as there are processors. One for all if empty.
    parts: &'static [&'static str],
}

/// The longest first: the first is loom's longest, the second, in the quick size, shuttle's. Loom maps and unmaps a stack
/// for each thread of each execution, and two threads of one process that do so wait for each other: two processes take
/// half the time.
const PARTS: &[&str] = &[
    "every_program_is_linearizable_from_a_running_job --test-threads=1",
    "--skip every_program_is_linearizable_from --skip no_program_loses_a_wake --test-threads=1",
    "no_program_loses_a_wake --test-threads=1",
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

const ENVIRONMENT: &[(&str, &str)] = &[
    ("RUSTFLAGS", "--cfg environment"),
    ("CARGO_TARGET_DIR", "target/environment"),
    (
        "JOB_REGISTRY_ENVIRONMENT",
        "target/environment/ledger.jsonl",
    ),
];
/// Each call alone, among any number of threads. Optimised, it takes a third of the time.
const CALLS: Step = step(
    "calls, environment",
    "test --lib --config profile.dev.package.job-registry.opt-level=3 environment_tests",
    ENVIRONMENT,
);

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
    step(
        "clippy, environment",
        "clippy --tests -- -D warnings",
        ENVIRONMENT,
    ),
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
         --lib --test against_spec --test faults --test forms --test observed --test panics --test task_layer",
        &[],
    ),
    step("docs", "doc --workspace --no-deps", WARNINGS),
    step("demo", "run -p presentation-service -- demo", &[]),
];

const QUICK: &[Step] = &[
    CALLS,
    step("models, loom", "test", LOOM).in_parts(),
    step("models, shuttle", "test", SHUTTLE).in_parts(),
];
const FULL: &[Step] = &[
    CALLS,
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

/// Steps in parts that follow one another share the processors: one's longest part is under way beside the other's.
fn run_all<'a>(root: &Path, steps: impl Iterator<Item = &'a Step>, size: &str) -> Vec<Outcome> {
    let steps: Vec<_> = steps.collect();
    let groups = steps.chunk_by(|step, next| !step.parts.is_empty() && !next.parts.is_empty());
    let run = |steps: &[&Step]| match steps {
        [step] if step.parts.is_empty() => vec![timed(step.name, || {
            let mut cargo = command(root, step, size, "");
            cargo.status().is_ok_and(|status| status.success())
        })],
        steps => in_parts(root, steps, size),
    };
    groups.flat_map(run).collect()
}

/// A process for each part, as many at a time as there are processors. The seconds of a step are those until its last part
/// has ended.
fn in_parts(root: &Path, steps: &[&Step], size: &str) -> Vec<Outcome> {
    let start = Instant::now();
    let most = steps.iter().map(|step| step.parts.len()).max();
    let turns =
        (0..most.unwrap_or(0)).flat_map(|part| (0..steps.len()).map(move |step| (step, part)));
    let turns = Mutex::new(turns.filter(|&(step, part)| part < steps[step].parts.len()));
    let outcomes = steps
        .iter()
        .map(|step| Outcome(step.name, true, Duration::ZERO));
    let outcomes = Mutex::new(outcomes.collect::<Vec<_>>());
    let next = || turns.lock().expect("nothing panics under it").next();
    let work = || {
        while let Some((step, part)) = next() {
            let part = steps[step].parts[part];
            let mut cargo = command(root, steps[step], size, part);
            let done = cargo.stderr(Stdio::inherit()).output();
            let mut outcomes = outcomes.lock().expect("nothing panics under it");
            let Outcome(name, passed, took) = &mut outcomes[step];
            *passed &= done.as_ref().is_ok_and(|done| done.status.success());
            *took = start.elapsed();
            // At once, and not mixed with another's.
            println!("\n{name}, {part}:");
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
    outcomes.into_inner().expect("nothing panics under it")
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
