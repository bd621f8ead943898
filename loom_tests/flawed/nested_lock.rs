//! Mistake 3 of the guide: a method that holds the lock calls another one that takes it.
//!
//! ```python
//! async def method_a():
//!     async with self.job_lock:
//!         await method_b()  # method_b also tries to acquire lock!
//! ```
//!
//! The thread waits for itself. With two locks, taken in different orders, two threads wait for
//! each other, and that happens once in a thousand runs.
//!
//! The smallest programs: a re-entrant call; two threads that copy between two jobs, one each way.
//!
//! In this crate, a thread holds at most one job's lock. A call that would take a
//! second one is refused with `WouldDeadlock` before it waits. See
//! `crosswise_locks_are_refused_not_hung` in `p07_no_deadlock`.

use super::case::{Case, is_detected};
use crate::loom_tests::harness::{check, claim, race, spawn};
use crate::sync::{Arc, Mutex};

struct Service {
    /// A lock for each job, around its number of pages.
    jobs: [Mutex<u64>; 2],
}

impl Service {
    fn with_two_jobs() -> Arc<Self> {
        Arc::new(Self {
            jobs: [Mutex::new(1), Mutex::new(1)],
        })
    }

    fn pages(&self, job: usize) -> u64 {
        *self.jobs[job].lock()
    }

    /// Appends the pages of one job to another: `method_a`, which calls `method_b`.
    fn append(&self, to: usize, from: usize) {
        let mut to = self.jobs[to].lock();
        *to += self.pages(from);
    }
}

/// P7, scenario 4.
#[test]
fn a_nested_lock_waits_for_itself() {
    is_detected(&Case {
        name: "a_nested_lock_waits_for_itself",
        bug: "mistake 3: a nested lock",
        violation: "deadlock",
        run: || {
            let claim = claim!(a_nested_lock_waits_for_itself, [P7], [4]);
            check(&claim, &[()], &[], || {
                let service = Service::with_two_jobs();
                spawn(move || service.append(0, 0)).join().unwrap();
            });
        },
    });
}

/// P7, scenarios 4 and 34: with a lock for each job, the mistake takes two threads.
#[test]
fn crosswise_locks_wait_for_each_other() {
    is_detected(&Case {
        name: "crosswise_locks_wait_for_each_other",
        bug: "mistake 3, with a lock for each job",
        violation: "deadlock",
        run: || {
            let claim = claim!(crosswise_locks_wait_for_each_other, [P7], [4, 34]);
            check(&claim, &[()], &[], || {
                let service = Service::with_two_jobs();
                let other = service.clone();
                race(move || service.append(0, 1), move || other.append(1, 0));
            });
        },
    });
}
