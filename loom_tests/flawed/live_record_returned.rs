//! Step 5 of the guide's fix: the look-up is locked, and the record that it returns is not.
//!
//! ```python
//! async def get_job_status(self, job_id):
//!     async with self.job_lock:
//!         return self.jobs.get(job_id)
//! ```
//!
//! The caller gets the live record, and reads its fields one by one while threads write them. The
//! fix thereby contains mistake 4. A client sees a job that is processing at 100 %, or completed
//! without a file.
//!
//! The smallest program: one thread completes the job, one asks for it and reads two fields.
//!
//! In this crate, `snapshot` is a copy of one instant, and `get` a clone made under
//! the lock. Only the closure's result leaves a `read`. See `p12_one_instant`.

use super::case::{Case, is_detected};
use crate::loom_tests::harness::{check, claim, race};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

const PROCESSING: u64 = 1;
const COMPLETED: u64 = 2;

struct Record {
    status: AtomicU64,
    progress: AtomicU64,
}

struct Service {
    /// The one lock around everything. A record is a reference in Python.
    job: Mutex<Arc<Record>>,
}

impl Service {
    fn get_job_status(&self) -> Arc<Record> {
        self.job.lock().clone()
    }

    fn complete(&self) {
        let job = self.job.lock();
        job.status.store(COMPLETED, Ordering::Relaxed);
        job.progress.store(100, Ordering::Relaxed);
    }
}

/// P12, scenarios 5 and 42.
#[test]
fn a_record_that_left_the_lock_is_of_no_instant() {
    is_detected(&Case {
        name: "a_record_that_left_the_lock_is_of_no_instant",
        bug: "the fix, step 5: the live record leaves the lock",
        violation: "of two instants",
        run: || {
            let claim = claim!(a_record_that_left_the_lock_is_of_no_instant, [P12], [5, 42]);
            check(&claim, &[(PROCESSING, 90), (COMPLETED, 100)], &[], || {
                let service = Arc::new(Service {
                    job: Mutex::new(Arc::new(Record {
                        status: AtomicU64::new(PROCESSING),
                        progress: AtomicU64::new(90),
                    })),
                });
                let other = service.clone();
                let (seen, ()) = race(
                    move || {
                        let job = service.get_job_status();
                        let status = job.status.load(Ordering::Relaxed);
                        let progress = job.progress.load(Ordering::Relaxed);
                        (status, progress)
                    },
                    move || other.complete(),
                );
                assert_eq!(
                    seen.0 == COMPLETED,
                    seen.1 == 100,
                    "the status and the progress are of two instants"
                );
                seen
            });
        },
    });
}
