//! Mistake 4 of the guide: the lock is taken too late.
//!
//! ```python
//! job = self.jobs[job_id]  # Read outside lock
//! async with self.job_lock:
//!     job.progress = 50    # Write inside lock
//! ```
//!
//! The value read may be stale by the time it is written back. Every single access is locked, and
//! an update is lost nevertheless.
//!
//! The smallest program: two threads add a page each.
//!
//! In this crate, the payload can be reached through the lock only, and a reference
//! cannot leave it (`tests/ui/fail/reference_out_of_update.rs`). `update` reads and
//! writes in one section. See `p03_no_lost_update`.

use super::case::{Case, is_detected};
use crate::loom_tests::harness::{check, claim, race};
use crate::sync::{Arc, Mutex};

struct Service {
    /// The one lock, around the job's number of pages.
    pages: Mutex<u64>,
}

impl Service {
    fn add_page(&self) {
        let pages = *self.pages.lock();
        *self.pages.lock() = pages + 1;
    }
}

/// P3, scenarios 1 and 5.
#[test]
fn a_read_outside_the_lock_loses_an_update() {
    is_detected(&Case {
        name: "a_read_outside_the_lock_loses_an_update",
        bug: "mistake 4: a read outside the lock",
        violation: "a page was lost",
        run: || {
            let claim = claim!(a_read_outside_the_lock_loses_an_update, [P3], [1, 5]);
            check(&claim, &[2], &[], || {
                let service = Arc::new(Service {
                    pages: Mutex::new(0),
                });
                let add = |service: Arc<Service>| move || service.add_page();
                race(add(service.clone()), add(service.clone()));
                let pages = *service.pages.lock();
                assert_eq!(pages, 2, "a page was lost");
                pages
            });
        },
    });
}
