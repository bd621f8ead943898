//! A thread that is known to wait.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::{ScopedJoinHandle, yield_now};

/// Gives up on a thread that neither ends nor sleeps.
const LOOKS: u32 = 100_000;
/// Where the system does not say what a thread does, it gets so many turns.
const TURNS: u32 = 200;

/// Where the system says what a thread does.
#[derive(Debug, Default)]
pub(crate) struct Task(OnceLock<Option<PathBuf>>);

impl Task {
    /// To be called on the thread that is going to wait.
    pub(crate) fn begin(&self) {
        let task = std::fs::read_link("/proc/thread-self").ok();
        let _ = self
            .0
            .set(task.map(|task| Path::new("/proc").join(task).join("stat")));
    }

    /// Returns once the thread sleeps, or has ended. The outcome of a test never depends on it: a thread that has not
    /// come to its lock yet takes it later.
    pub(crate) fn until_asleep<R>(&self, thread: &ScopedJoinHandle<'_, R>) {
        let mut turns = 0;
        for _ in 0..LOOKS {
            let sleeps = match self.0.get() {
                Some(Some(stat)) => sleeps(stat),
                Some(None) => {
                    turns += 1;
                    turns > TURNS
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

/// The state comes after the name of the program, which is in parentheses and may hold others.
fn sleeps(stat: &Path) -> bool {
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    state == Some('S')
}
