//! Real threads, no runtime, no model: what the models show for a few steps is tried here for many.
//! Every test holds in every schedule; none depends on a race being met.
#![cfg(not(any(loom, shuttle)))]

mod guide;
mod locks;
mod monitor;
mod orders;
mod races;
mod removal;
mod room;
mod steps;
#[path = "../faults/watchdog.rs"]
#[allow(dead_code)] // its wakers are for others
mod watchdog;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Returns the number of rounds of a test. Miri is hundreds of times slower and runs many seeds instead.
const fn rounds(usual: usize) -> usize {
    if cfg!(miri) {
        usual.div_ceil(300)
    } else {
        usual
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// What is left of a job when it is gone: one drop.
struct Files {
    deleted: Arc<AtomicUsize>,
    pages: Vec<u64>,
}

impl Drop for Files {
    fn drop(&mut self) {
        self.deleted.fetch_add(1, Ordering::SeqCst);
    }
}
