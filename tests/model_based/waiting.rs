//! Detects that a thread waits.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::{ScopedJoinHandle, yield_now};

/// Number of polls after which a thread that neither ends nor sleeps is given up.
const POLLS: u32 = 100_000;
/// Number of polls, if the system does not tell the state of a thread.
const POLLS_WITHOUT_STATE: u32 = 200;

/// The file in which the system tells the state of a thread.
#[derive(Debug, Default)]
pub(crate) struct Task(OnceLock<Option<PathBuf>>);

impl Task {
    /// Must be called on the thread that is going to wait.
    pub(crate) fn begin(&self) {
        let task = std::fs::read_link("/proc/thread-self").ok();
        let _ = self
            .0
            .set(task.map(|task| Path::new("/proc").join(task).join("stat")));
    }

    /// Returns once the thread sleeps or has ended. No outcome depends on it: a thread that has not
    /// reached its lock yet takes it later.
    pub(crate) fn until_asleep<R>(&self, thread: &ScopedJoinHandle<'_, R>) {
        let mut polls = 0;
        for _ in 0..POLLS {
            let sleeps = match self.0.get() {
                Some(Some(stat)) => sleeps(stat),
                Some(None) => {
                    polls += 1;
                    polls > POLLS_WITHOUT_STATE
                }
                None => false,
            };
            if sleeps || thread.is_finished() {
                return;
            }
            yield_now();
        }
    }
}

/// The state follows the name of the program, which is in parentheses and may contain others.
fn sleeps(stat: &Path) -> bool {
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    state == Some('S')
}
