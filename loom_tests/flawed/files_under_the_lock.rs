//! Step 6 of the guide's fix: the cleanup deletes a job's files while it holds the one lock.
//!
//! ```python
//! async with self.job_lock:
//!     for file_path in job.created_files:
//!         os.remove(file_path)
//!     del self.jobs[job_id]
//! ```
//!
//! This repeats mistake 2. The time of a disk access is unbounded. Until it ends, no job can be
//! updated or read, and no heartbeat can be recorded. If the disk in turn waits for another job,
//! which waits for the lock, the deletion never ends.
//!
//! The smallest program: a disk that serves one request at a time. One thread cleans up. The other
//! writes a page of another job, and reports its progress meanwhile.
//!
//! In this crate, no lock covers all jobs. The files belong to the payload, which is
//! dropped after the job's own lock has been released. See `p07_no_deadlock`, and
//! `payload_drop_may_call_anything` in `tests/api`.

use super::case::{Case, is_detected};
use crate::loom_tests::harness::{check, claim, race};
use crate::sync::{Arc, Mutex};

struct Service {
    /// The one lock, and the progress of the other job.
    job_lock: Mutex<u64>,
    /// Files on the disk.
    disk: Mutex<Vec<&'static str>>,
}

impl Service {
    fn clean_up(&self) {
        let _held = self.job_lock.lock();
        self.disk.lock().retain(|file| *file != "old.mp4");
    }

    fn write_a_page(&self) {
        let mut disk = self.disk.lock();
        disk.push("page.png");
        *self.job_lock.lock() += 1;
    }
}

/// P7, scenarios 3 and 43.
#[test]
fn files_deleted_under_the_lock_stop_every_job() {
    is_detected(&Case {
        name: "files_deleted_under_the_lock_stop_every_job",
        bug: "the fix, step 6: files are deleted under the one lock",
        violation: "deadlock",
        run: || {
            let claim = claim!(files_deleted_under_the_lock_stop_every_job, [P7], [3, 43]);
            check(&claim, &[1], &[], || {
                let service = Arc::new(Service {
                    job_lock: Mutex::new(0),
                    disk: Mutex::new(vec!["old.mp4"]),
                });
                let (one, two) = (service.clone(), service.clone());
                race(move || one.clean_up(), move || two.write_a_page());
                *service.job_lock.lock()
            });
        },
    });
}
