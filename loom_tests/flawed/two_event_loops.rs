//! Step 4 of the guide's fix: the processing runs in a thread with an event loop of its own, and takes the same
//! `asyncio.Lock` as the main loop.
//!
//! Such a lock is for the tasks of one loop, which change places only at an `await`. Its `acquire` looks at a flag
//! and then sets it, in two steps that no other task can come between. Another thread can:
//!
//! ```python
//! async def acquire(self):
//!     if not self._locked:
//!         self._locked = True
//!         return True
//! ```
//!
//! So the fix, which is there because of the threads, excludes nothing between them. (Where the other loop does
//! find it taken, newer versions of Python raise an error, and the update is lost in that way.)
//!
//! The smallest program: two threads take the lock and add a page each.
//!
//! What the crate does instead: a job's lock is a lock between threads: `p03_no_lost_update`.

use super::specimen::{Specimen, dies};
use crate::loom_tests::harness::{check, claim, race};
use crate::sync::{Arc, AtomicU64, Ordering};

/// `asyncio.Lock`.
struct AsyncioLock {
    locked: AtomicU64,
}

impl AsyncioLock {
    /// `false` where a task would wait.
    fn acquire(&self) -> bool {
        if self.locked.load(Ordering::Relaxed) == 1 {
            return false;
        }
        self.locked.store(1, Ordering::Relaxed);
        true
    }

    fn release(&self) {
        self.locked.store(0, Ordering::Relaxed);
    }
}

struct Service {
    job_lock: AsyncioLock,
    pages: AtomicU64,
}

impl Service {
    /// Whether the lock was free, and the page added.
    fn add_page(&self) -> bool {
        if !self.job_lock.acquire() {
            return false;
        }
        let pages = self.pages.load(Ordering::Relaxed);
        self.pages.store(pages + 1, Ordering::Relaxed);
        self.job_lock.release();
        true
    }
}

/// P3, scenario 41.
#[test]
fn one_asyncio_lock_in_two_threads_excludes_nothing() {
    dies(&Specimen {
        name: "one_asyncio_lock_in_two_threads_excludes_nothing",
        bug: "the fix, step 4: one `asyncio.Lock` in two threads",
        violation: "a page was lost",
        run: || {
            let claim = claim!(one_asyncio_lock_in_two_threads_excludes_nothing, [P3], [41]);
            check(
                &claim,
                &[(true, true), (true, false), (false, true)],
                &[],
                || {
                    let service = Arc::new(Service {
                        job_lock: AsyncioLock {
                            locked: AtomicU64::new(0),
                        },
                        pages: AtomicU64::new(0),
                    });
                    let add = |service: Arc<Service>| move || service.add_page();
                    let added = race(add(service.clone()), add(service.clone()));
                    assert_eq!(
                        service.pages.load(Ordering::Relaxed),
                        u64::from(added.0) + u64::from(added.1),
                        "a page was lost"
                    );
                    added
                },
            );
        },
    });
}
