//! Step 6 of the guide's fix: the cleanup deletes a job's files while it holds the one lock.
//!
//! ```python
//! async with self.job_lock:
//!     for file_path in job.created_files:
//!         os.remove(file_path)
//!     del self.jobs[job_id]
//! ```
//!
//! It is mistake 2 again. The disk takes as long as it likes, and until it is done no job can be updated, none
//! looked at, and no heartbeat recorded. Where what the disk waits for is another job, which cannot go on because of the
//! lock, it is never done.
//!
//! The smallest program: a disk that serves one at a time. One thread cleans up; one writes a page of another job
//! and reports its progress while it is at it.
//!
//! What the crate does instead: there is no lock around all jobs, and the files go with the payload, which is
//! dropped after the job's own lock has been released: `p07_no_deadlock`, and
//! `payload_drop_may_call_anything` in `tests/faults`.

use super::specimen::{Specimen, dies};
use crate::loom_tests::harness::{check, claim, race};
use crate::sync::{Arc, Mutex};

struct Service {
    /// The one lock, and the progress of the other job.
    job_lock: Mutex<u64>,
    /// The files that are there.
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
    dies(&Specimen {
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
