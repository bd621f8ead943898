//! Real threads, without a runtime or a model, repeat many times the races that the models explore
//! in a few steps. Every test holds in every schedule, and none depends on a race occurring.
#![cfg(not(any(loom, shuttle)))]

mod capacity;
mod clients;
mod keys;
mod lifecycle;
mod linearizable;
mod locks;
mod orderings;
mod removal;
mod stall;
mod updates;
#[path = "../common/watchdog.rs"]
mod watchdog;

// The files that `linearizable` shares with `loom_tests` name these by `crate`.
use job_registry::{Job, JobId, JobRegistry, Progress, Record, RegisterError, Snapshot, Watch};
use linearizable::sync;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Returns the number of rounds. Miri is hundreds of times slower, and runs many seeds instead.
const fn rounds(usual: usize) -> usize {
    if cfg!(miri) {
        usual.div_ceil(300)
    } else {
        usual
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Stands for a job's files, and counts its drop.
struct Files {
    deleted: Arc<AtomicUsize>,
    pages: Vec<u64>,
}

impl Drop for Files {
    fn drop(&mut self) {
        self.deleted.fetch_add(1, Ordering::SeqCst);
    }
}
