//! The demo of several replicas, as a process.

use crate::common::PATIENCE;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_presentation-service");

/// A process that is killed with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start() -> (Killed, impl Iterator<Item = String>) {
    let mut command = Command::new(PROGRAM);
    command.args(["demo", "--replicas", "3"]);
    let mut demo = Killed(command.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    (demo, lines.map(Result::unwrap))
}

/// Returns the number after `process` in a line of the output.
fn process_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(" process ")?;
    Some(rest.split(',').next()?.to_owned())
}

/// Waits until none of the processes is there. Some end a little after the demo.
fn are_gone(processes: &[String]) {
    let deadline = Instant::now() + PATIENCE;
    for id in processes {
        let is_there = || {
            let mut probe = Command::new("kill");
            probe.args(["-0", id]).stderr(Stdio::null());
            probe.status().unwrap().success()
        };
        while is_there() {
            assert!(Instant::now() < deadline, "process {id} is left");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// P1, P2, P6, P8, P10: three replicas, of which one is killed and one is paused, on a store that is
/// killed, lose nothing.
#[test]
fn the_demo_of_three_replicas_passes_and_leaves_no_process() {
    let (mut demo, lines) = start();
    let lines: Vec<String> = lines.collect();
    let text = lines.join("\n");
    assert!(demo.0.wait().unwrap().success(), "{text}");
    let passed = lines.iter().filter(|line| line.starts_with("  ok  "));
    assert_eq!(passed.count(), 12, "{text}");
    let processes: Vec<String> = lines.iter().filter_map(|line| process_in(line)).collect();
    assert_eq!(
        processes.len(),
        5,
        "a store, another one, three replicas: {text}"
    );
    are_gone(&processes);
}

/// A demo that is interrupted ends its processes, also the replica that it has paused.
#[test]
fn an_interrupted_demo_leaves_no_process() {
    let (mut demo, lines) = start();
    let id = demo.0.id().to_string();
    let mut processes = Vec::new();
    for line in lines {
        processes.extend(process_in(&line));
        if line.starts_with("replica 2 is paused") {
            let signal = Command::new("kill").args(["-TERM", &id]).status();
            assert!(signal.unwrap().success());
        }
    }
    assert_eq!(demo.0.wait().unwrap().code(), Some(1));
    assert_eq!(processes.len(), 4, "a store and three replicas");
    are_gone(&processes);
}
