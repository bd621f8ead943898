//! Mistake 1 of the guide: a forgotten `await`.
//!
//! ```python
//! self._update_job_status(job_id, progress=50)        # wrong
//! await self._update_job_status(job_id, progress=50)
//! ```
//!
//! After the fix, the update is a coroutine. Called without `await`, it takes no lock and does
//! nothing else either. Python reports it in a warning, later and elsewhere. Some 25 calls need the
//! `await`. An `async fn` in Rust has the same risk.
//!
//! The smallest program: one thread updates with `await`, one without.
//!
//! In this crate, nothing is awaited. Every call is synchronous, and an unused result
//! is a warning at compile time (`tests/ui/fail/result_ignored.rs`).

use super::case::{Case, is_detected};
use crate::loom_tests::harness::{block_on, check, claim, race};
use crate::sync::{Arc, Mutex};

struct Service {
    /// The one lock, and the number of pages that the job has finished.
    pages: Mutex<u64>,
}

impl Service {
    #[allow(clippy::unused_async)] // as in the guide
    async fn add_page(&self) {
        *self.pages.lock() += 1;
    }
}

/// Scenario 2.
#[test]
fn a_forgotten_await_takes_no_lock() {
    is_detected(&Case {
        name: "a_forgotten_await_takes_no_lock",
        bug: "mistake 1: a forgotten `await`",
        violation: "an update never happened",
        run: || {
            let claim = claim!(a_forgotten_await_takes_no_lock, [P3], [2]);
            check(&claim, &[2], &[], || {
                let service = Arc::new(Service {
                    pages: Mutex::new(0),
                });
                let (one, two) = (service.clone(), service.clone());
                race(
                    move || block_on(one.add_page()),
                    move || drop(two.add_page()),
                );
                let pages = *service.pages.lock();
                assert_eq!(pages, 2, "an update never happened");
                pages
            });
        },
    });
}
