//! Feature `tokio`: tasks that own jobs, shared heartbeats, the reaper, and shutdown.
//!
//! Tests that depend on time run with the clock paused, so that an hour takes no time and has one
//! outcome.
#![cfg(not(any(loom, shuttle)))]
#![cfg(feature = "tokio")]

mod blocking;
mod failure;
mod guard;
mod heartbeat;
mod reaper;
mod retry;
mod shutdown;
mod spawn;
mod stream;
mod two_runtimes;
#[path = "../common/watchdog.rs"]
mod watchdog;

use job_registry::{JobId, JobRegistry, Snapshot};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Counts the drops of a payload, or of a future that holds a token.
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

/// Returns the job's last state.
async fn end_of<T: Send + 'static>(jobs: &JobRegistry<T>, id: JobId) -> Snapshot {
    let mut watch = jobs.watch(id).unwrap();
    let mut last = None;
    let all = async {
        while let Some(seen) = watch.changed().await {
            last = Some(seen);
        }
    };
    // In real or paused time, no test takes this long unless it hangs.
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("the job does not end");
    last.expect("a watch begins with the job as it is")
}

fn error_of<T: Send + 'static>(jobs: &JobRegistry<T>, id: JobId) -> Option<String> {
    jobs.read(id, |record| record.reason.as_deref().map(str::to_owned))
        .unwrap()
}

/// Lets every other task of a current-thread runtime run until it waits.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
