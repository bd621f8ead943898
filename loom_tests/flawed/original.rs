//! The guide's service before the fix: a dictionary of records, no lock, and several tasks and
//! threads that read and write the records.
//!
//! ```python
//! def _update_job_status(self, job_id, **kwargs):
//!     if job_id in self.jobs:
//!         job = self.jobs[job_id]
//!         for key, value in kwargs.items():
//!             setattr(job, key, value)
//! ```
//!
//! The violations, each with the smallest program that shows it:
//!
//! * Two threads add a file each, and one file is lost: it is never deleted.
//! * A late update decreases the progress.
//! * A late update turns a completed job into a processing one, forever.
//! * A heartbeat checks that the job exists, the cleanup deletes it, and the heartbeat fails with a
//!   `KeyError`.
//!
//! In this crate, the files are part of a payload behind the job's own lock. Progress
//! and status are one word that only grows, so a late update is refused. A call with the id of a
//! removed job returns an error. The same programs on the crate are in `p01_forward_only`,
//! `p02_one_ending`, `p03_no_lost_update` and `p04_no_use_after_cleanup`.

use super::case::{Case, is_detected};
use crate::loom_tests::harness::{check, claim, race};
use crate::sync::{Arc, AtomicU64, Ordering};

const PROCESSING: u64 = 1;
const COMPLETED: u64 = 2;

/// `PresentationJob`, which any task may write.
struct Record {
    status: AtomicU64,
    progress: AtomicU64,
    /// Number of `created_files`.
    files: AtomicU64,
}

/// The service, with the one job that matters.
struct Service {
    /// `job_id in self.jobs`.
    is_there: AtomicU64,
    record: Record,
}

impl Service {
    fn with_a_job() -> Arc<Self> {
        Arc::new(Self {
            is_there: AtomicU64::new(1),
            record: Record {
                status: AtomicU64::new(PROCESSING),
                progress: AtomicU64::new(0),
                files: AtomicU64::new(0),
            },
        })
    }

    /// `self.jobs[job_id]`.
    fn job(&self) -> &Record {
        assert!(
            self.is_there.load(Ordering::Relaxed) == 1,
            "KeyError: the job has been removed"
        );
        &self.record
    }

    fn update_job_status(&self, status: u64, progress: u64) {
        let job = self.job();
        job.status.store(status, Ordering::Relaxed);
        job.progress.store(progress, Ordering::Relaxed);
    }

    /// `job.created_files = job.created_files + [path]`.
    fn add_file(&self) {
        let job = self.job();
        let files = job.files.load(Ordering::Relaxed);
        job.files.store(files + 1, Ordering::Relaxed);
    }

    /// One round of `while job_id in self.jobs`.
    fn heartbeat(&self) {
        if self.is_there.load(Ordering::Relaxed) == 1 {
            self.job();
        }
    }

    /// `del self.jobs[job_id]`.
    fn clean_up(&self) {
        self.is_there.store(0, Ordering::Relaxed);
    }
}

fn get(field: &AtomicU64) -> u64 {
    field.load(Ordering::Relaxed)
}

/// P3, scenario 1.
#[test]
fn without_a_lock_an_update_is_lost() {
    is_detected(&Case {
        name: "without_a_lock_an_update_is_lost",
        bug: "before the fix: two writers of one record",
        violation: "a file was lost",
        run: || {
            let claim = claim!(without_a_lock_an_update_is_lost, [P3], [1]);
            check(&claim, &[2], &[], || {
                let service = Service::with_a_job();
                let add = |service: Arc<Service>| move || service.add_file();
                race(add(service.clone()), add(service.clone()));
                let files = get(&service.job().files);
                assert_eq!(files, 2, "a file was lost");
                files
            });
        },
    });
}

/// P1, scenario 6.
#[test]
fn without_a_lock_progress_goes_backward() {
    is_detected(&Case {
        name: "without_a_lock_progress_goes_backward",
        bug: "before the fix: progress that comes late",
        violation: "the progress decreased",
        run: || {
            let claim = claim!(without_a_lock_progress_goes_backward, [P1], [6]);
            check(&claim, &[40], &[], || {
                let service = Service::with_a_job();
                let update = |service: Arc<Service>, progress| {
                    move || service.update_job_status(PROCESSING, progress)
                };
                race(update(service.clone(), 30), update(service.clone(), 40));
                let progress = get(&service.job().progress);
                assert_eq!(progress, 40, "the progress decreased");
                progress
            });
        },
    });
}

/// P2, scenarios 9 and 12.
#[test]
fn without_a_lock_a_finished_job_is_revived() {
    is_detected(&Case {
        name: "without_a_lock_a_finished_job_is_revived",
        bug: "before the fix: an update after the end",
        violation: "a completed job is processing again",
        run: || {
            let claim = claim!(without_a_lock_a_finished_job_is_revived, [P2], [9, 12]);
            check(&claim, &[COMPLETED], &[], || {
                let service = Service::with_a_job();
                let update = |service: Arc<Service>, status, progress| {
                    move || service.update_job_status(status, progress)
                };
                race(
                    update(service.clone(), PROCESSING, 90),
                    update(service.clone(), COMPLETED, 100),
                );
                let status = get(&service.job().status);
                assert_eq!(status, COMPLETED, "a completed job is processing again");
                status
            });
        },
    });
}

/// P4, scenario 7.
#[test]
fn without_a_lock_a_heartbeat_fails_after_the_cleanup() {
    is_detected(&Case {
        name: "without_a_lock_a_heartbeat_fails_after_the_cleanup",
        bug: "before the fix: a heartbeat during the cleanup",
        violation: "KeyError",
        run: || {
            let claim = claim!(
                without_a_lock_a_heartbeat_fails_after_the_cleanup,
                [P4],
                [7]
            );
            check(&claim, &[()], &[], || {
                let service = Service::with_a_job();
                let other = service.clone();
                race(move || service.heartbeat(), move || other.clean_up());
            });
        },
    });
}
