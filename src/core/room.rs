//! Room at capacity: `WhenFull::RemoveOldestEnded`.
//!
//! One scan over the table collects the ended jobs with the earliest ends, a sixteenth of the
//! capacity at most, into a queue. Later registrations take from the queue, and validate each
//! candidate under its job's lock. Only an empty queue causes the next scan.

use crate::core::registry_state::RegistryState;
use crate::core::removal::{Sweeping, Swept};
use crate::slots::fenced_id::FencedId;
use crate::sync::deferred::holds_lock;
use crate::sync::{Mutex, Ordering};
use crate::types::status::Status;
use std::collections::BinaryHeap;

/// An ended job that a scan has seen, ordered by its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    ended: u64,
    slot: u32,
    generation: u32,
    attempt: u16,
}

/// The candidates of the last scan that no registration has taken. The earliest end is last. The
/// lock is a leaf.
#[derive(Debug)]
pub(crate) struct OldestEnded(Mutex<Vec<Candidate>>);

impl OldestEnded {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T> RegistryState<T> {
    /// Removes the ended job with the earliest end whose lock is free, due or not. Returns whether
    /// there was one.
    ///
    /// Does nothing on a thread that holds a job's lock, under which hooks and destructors must not
    /// run. Does nothing in a hook or destructor that a sweep runs.
    #[cold]
    pub(crate) fn remove_oldest_ended(&self, now: u64) -> bool {
        if holds_lock() {
            return false;
        }
        let Some(_sweeping) = Sweeping::enter(std::ptr::from_ref(self).addr()) else {
            return false;
        };
        loop {
            // The lock is released before the candidate's is taken.
            let next = self.oldest_ended.0.lock().pop();
            match next {
                Some(candidate) if self.remove_candidate(candidate, now) => return true,
                // It has been removed or retried, or is locked. The next scan sees it again.
                Some(_) => {}
                None => {
                    let found = self.oldest_candidates();
                    if found.is_empty() {
                        return false;
                    }
                    // The candidates of a concurrent scan are replaced. The next scan sees them
                    // again.
                    *self.oldest_ended.0.lock() = found;
                }
            }
        }
    }

    /// Scans the table for the ended jobs with the earliest ends whose locks are free.
    fn oldest_candidates(&self) -> Vec<Candidate> {
        let most = (self.table.free().capacity() / 16).max(1);
        let mut oldest = BinaryHeap::new();
        for slot in self.table.iter() {
            // An ending that is not settled yet has the job's lock, and is therefore not free.
            if !slot.state().status().is_some_and(Status::is_ended) {
                continue;
            }
            let Ok(Some(locked)) = self.job(FencedId::of_slot(slot.index)).try_lock() else {
                continue;
            };
            let word = locked.word();
            if !word.status().is_some_and(Status::is_ended) {
                continue;
            }
            oldest.push(Candidate {
                ended: locked.info().ended,
                slot: slot.index,
                generation: word.generation(),
                attempt: word.attempt(),
            });
            drop(locked);
            if oldest.len() > most {
                oldest.pop();
            }
        }
        let mut oldest = oldest.into_sorted_vec();
        oldest.reverse();
        oldest
    }

    /// Removes a candidate if its job is still ended on the attempt that the scan saw, and its lock
    /// is free.
    fn remove_candidate(&self, candidate: Candidate, now: u64) -> bool {
        let job = self.job(FencedId::of_slot(candidate.slot));
        let Ok(Some(mut locked)) = job.try_lock() else {
            return false;
        };
        let word = locked.word();
        let is_same =
            (word.generation(), word.attempt()) == (candidate.generation, candidate.attempt);
        if !is_same || !word.status().is_some_and(Status::is_ended) {
            return false;
        }
        locked.id.generation = candidate.generation;
        // ORDERING: Relaxed. The state word was stored after the nonce, and the lock keeps the job
        // in the slot.
        locked.id.nonce = locked.slot.nonce.load(Ordering::Relaxed);
        let mut swept = Swept::default();
        locked.remove_into(now, &mut swept);
        swept.removed > 0
    }
}
