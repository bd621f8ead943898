//! A command with a time-out, in a process group of its own so that nothing it started stays behind.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use wait_timeout::ChildExt;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Passed,
    Failed,
    TimedOut,
}

/// A command that has ended, and what it wrote to both of its outputs.
pub struct Child {
    pub ended: Ended,
    pub output: String,
}

impl Child {
    /// The output goes through a file: a pipe would have to be read while the command runs.
    pub fn run(mut command: Command, within: Duration, output: &Path) -> Self {
        let file = File::create(output).expect("the output's file can be made");
        let other = file.try_clone().expect("a file can be shared");
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(other)
            .spawn()
            .expect("cargo can be started");
        let ended = match child.wait_timeout(within) {
            Ok(Some(status)) if status.success() => Ended::Passed,
            Ok(Some(_)) => Ended::Failed,
            Ok(None) => {
                kill_group(child.id());
                let _ = child.wait();
                Ended::TimedOut
            }
            Err(error) => panic!("a child cannot be waited for: {error}"),
        };
        let output = std::fs::read(output).expect("the output can be read");
        Self {
            ended,
            output: String::from_utf8_lossy(&output).into_owned(),
        }
    }
}

/// The group has the number of its first process.
fn kill_group(id: u32) {
    let _ = Command::new("kill")
        .args(["-KILL", "--", &format!("-{id}")])
        .status();
}
