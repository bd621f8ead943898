//! Runs steps.

use crate::Outcome;
use crate::config::Step;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Runs steps, those without a line by `check`. Neighbours in parts share the processors.
pub fn run(steps: &[Step], check: impl Fn(&str) -> bool) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for group in steps.chunk_by(|step, next| !step.parts.is_empty() && !next.parts.is_empty()) {
        if !group[0].parts.is_empty() {
            outcomes.extend(run_in_parts(group));
            continue;
        }
        let Step {
            name, line, tests, ..
        } = &group[0];
        let began = Instant::now();
        let passed = match line {
            None => check(name),
            Some(line) if tests.is_empty() => shell(line).status().is_ok_and(|it| it.success()),
            Some(line) => run_tests(line, tests),
        };
        outcomes.push(Outcome(name, passed, began.elapsed()));
    }
    outcomes
}

/// Returns whether these tests have run and passed, in a build without warnings.
fn run_tests(line: &str, tests: &[String]) -> bool {
    let output = shell(&format!("{line} 2>&1")).output();
    let output = output.expect("a shell can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    let has_passed = |test: &String| text.contains(&format!("test {test} ... ok"));
    let missing: Vec<_> = tests.iter().filter(|test| !has_passed(test)).collect();
    let has_warnings = text.contains("\nwarning: `");
    if !missing.is_empty() || has_warnings {
        eprintln!("warnings: {has_warnings}; tests that have not passed: {missing:?}");
    }
    output.status.success() && missing.is_empty() && !has_warnings
}

/// Runs as many processes at a time as there are processors. A step ends with its last part.
fn run_in_parts(steps: &[Step]) -> Vec<Outcome> {
    let start = Instant::now();
    let most = steps.iter().map(|step| step.parts.len()).max().unwrap_or(0);
    let turns = (0..most).flat_map(|part| (0..steps.len()).map(move |step| (step, part)));
    let turns = Mutex::new(turns.filter(|&(step, part)| part < steps[step].parts.len()));
    let outcomes = steps
        .iter()
        .map(|step| Outcome(step.name, true, Duration::ZERO));
    let outcomes = Mutex::new(outcomes.collect::<Vec<_>>());
    let next = || turns.lock().expect("nothing panics under it").next();
    let work = || {
        while let Some((step, part)) = next() {
            let line = steps[step].line.as_deref().unwrap_or_default();
            let line = line.replace("{part}", &steps[step].parts[part]);
            let output = shell(&line).stderr(Stdio::inherit()).output();
            let output = output.expect("a shell can be started");
            let mut outcomes = outcomes.lock().expect("nothing panics under it");
            let Outcome(_, passed, took) = &mut outcomes[step];
            *passed &= output.status.success();
            *took = start.elapsed();
            // All of it at once, so that it is not mixed with another's.
            println!("\n$ {line}\n{}", String::from_utf8_lossy(&output.stdout));
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..processors).for_each(|_| drop(scope.spawn(work))));
    outcomes.into_inner().expect("nothing panics under it")
}

/// Prints and prepares a line. The tools that a step has installed come first.
fn shell(line: &str) -> Command {
    println!("\n$ {line}");
    let path = std::env::var("PATH").unwrap_or_default();
    let here = std::env::current_dir().expect("the root is there");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line])
        .env(
            "PATH",
            format!("{}/target/tools/bin:{path}", here.display()),
        )
        // It is set for this program, and a line may call the cargo of another toolchain.
        .env_remove("CARGO");
    shell
}
