//! Mistake 2 of the guide: sleeping inside the lock.
//!
//! ```python
//! async with self.job_lock:
//!     job.progress = 50
//!     await asyncio.sleep(5)  # Blocks all other job updates for 5 seconds!
//! ```
//!
//! In Python, every other job is blocked meanwhile. In Rust, a lock blocks its thread, and the
//! service deadlocks. The event loop suspends the sleeper and polls the next task. That task waits
//! for the lock on the only thread that could wake the sleeper.
//!
//! The smallest program: an event loop with two tasks, of which the first sleeps under the lock.
//!
//! In this crate, a guard stays on its thread, so a task that holds one across an
//! `await` cannot be spawned (`tests/ui/fail/guard_across_await.rs`). A second lock on
//! one thread is refused instead of waited for. See `p07_no_deadlock`.

use super::case::{Case, is_detected};
use crate::loom_tests::harness::{check, claim, spawn};
use crate::sync::Mutex;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

struct Service {
    /// The one lock, around the progress of both jobs.
    progress: Mutex<[u64; 2]>,
}

impl Service {
    #[allow(clippy::await_holding_lock)] // the bug
    async fn update_and_sleep(&self) {
        let mut progress = self.progress.lock();
        progress[0] = 50;
        sleep().await;
    }

    #[allow(clippy::unused_async)] // as in the guide
    async fn update(&self) {
        self.progress.lock()[1] = 50;
    }
}

/// Sleeps until the event loop polls again.
async fn sleep() {
    let mut has_slept = false;
    std::future::poll_fn(|_| {
        if has_slept {
            return Poll::Ready(());
        }
        has_slept = true;
        Poll::Pending
    })
    .await;
}

/// Runs an event loop that polls both futures in turn until both are ready.
fn run_both(one: impl Future<Output = ()>, two: impl Future<Output = ()>) {
    let (mut one, mut two) = (pin!(one), pin!(two));
    let mut cx = Context::from_waker(Waker::noop());
    let (mut one_is_done, mut two_is_done) = (false, false);
    while !(one_is_done && two_is_done) {
        one_is_done = one_is_done || one.as_mut().poll(&mut cx).is_ready();
        two_is_done = two_is_done || two.as_mut().poll(&mut cx).is_ready();
    }
}

/// P7, scenarios 3 and 35.
#[test]
fn a_sleep_inside_the_lock_stops_every_job() {
    is_detected(&Case {
        name: "a_sleep_inside_the_lock_stops_every_job",
        bug: "mistake 2: sleeping inside the lock",
        violation: "deadlock",
        run: || {
            let claim = claim!(a_sleep_inside_the_lock_stops_every_job, [P7], [3, 35]);
            check(&claim, &[()], &[], || {
                let event_loop = spawn(|| {
                    let service = Service {
                        progress: Mutex::new([0; 2]),
                    };
                    run_both(service.update_and_sleep(), service.update());
                });
                event_loop.join().unwrap();
            });
        },
    });
}
