//! Step 4 of the guide's fix: the processing runs in a thread with its own event loop. It takes the
//! same `asyncio.Lock` as the main loop.
//!
//! Such a lock serves the tasks of one loop, which switch only at an `await`. Its `acquire` tests a
//! flag and then sets it. No other task of that loop can run between the two steps, but another
//! thread can:
//!
//! ```python
//! async def acquire(self):
//!     if not self._locked:
//!         self._locked = True
//!         return True
//! ```
//!
//! The fix exists because of the threads, and excludes nothing between them. If the other loop does
//! find the lock taken, newer versions of Python raise an error, and that loses the update instead.
//!
//! The smallest program: two threads take the lock and add a page each.
//!
//! In this crate, a job's lock excludes threads. See `p03_no_lost_update`.

use super::case::{Case, is_detected};
use crate::loom_tests::harness::{check, claim, race};
use crate::sync::{Arc, AtomicU64, Ordering};

/// `asyncio.Lock`.
struct AsyncioLock {
    locked: AtomicU64,
}

impl AsyncioLock {
    /// Returns `false` if a task would wait.
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
    /// Adds a page and returns `true` if the lock was free.
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
    is_detected(&Case {
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
