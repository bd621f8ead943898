//! A command with a time-out, in a process group of its own so that nothing it started stays behind.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

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
        let began = Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                break Ended::from(status);
            }
            if began.elapsed() > within {
                kill_group(child.id());
                let _ = child.wait();
                break Ended::TimedOut;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let output = std::fs::read(output).expect("the output can be read");
        Self {
            ended,
            output: String::from_utf8_lossy(&output).into_owned(),
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        if status.success() {
            Self::Passed
        } else {
            Self::Failed
        }
    }
}

/// The group has the number of its first process.
fn kill_group(id: u32) {
    let _ = Command::new("kill")
        .args(["-KILL", "--", &format!("-{id}")])
        .status();
}
