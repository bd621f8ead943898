//! Feature `tokio`: tasks that own jobs, shared heartbeats, the reaper, shutdown.
//!
//! Where time matters it is paused, so that a test of an hour takes no time and has one outcome.
#![cfg(not(any(loom, shuttle)))]
#![cfg(feature = "tokio")]

mod blocking;
mod durations;
mod heartbeat;
mod heartbeat_batches;
mod heartbeat_runtimes;
mod last_timer;
mod moving_time;
mod reaper;
mod retried;
mod shutdown;
mod shutdown_races;
mod spawn;
mod stream;
mod two_loops;
#[path = "../faults/watchdog.rs"]
#[allow(dead_code)] // its wakers are for others
mod watchdog;

use job_registry::{JobId, JobRegistry, Snapshot};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Says when it is dropped: of a payload, or of a future that holds it.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

struct Dropped(Arc<AtomicUsize>);

impl Drops {
    fn token(&self) -> Dropped {
        Dropped(self.0.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The job as it ends.
async fn end_of<T: Send + 'static>(jobs: &JobRegistry<T>, id: JobId) -> Snapshot {
    let mut watch = jobs.watch(id).unwrap();
    let mut last = None;
    let all = async {
        while let Some(seen) = watch.changed().await {
            last = Some(seen);
        }
    };
    // Real or paused: nothing here takes so long unless it hangs.
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("the job does not end");
    last.expect("a watch begins with the job as it is")
}

fn error_of<T: Send + 'static>(jobs: &JobRegistry<T>, id: JobId) -> Option<String> {
    jobs.read(id, |record| record.error.as_deref().map(str::to_owned))
        .unwrap()
}

/// Lets every other task of a current-thread runtime go as far as it can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
