//! The due queue: the slots that a sweep has to visit, ordered by time.
//!
//! An entry takes four bytes and is a hint: the deadline itself is in the job's body. An entry is
//! stale if its time differs from the body's `queued_at`, and is dropped when it is due.
//!
//! A slot is queued once, at or before its job's deadline. If an entry is due before its job, the
//! sweep queues the job again. A job that is removed early leaves its entry to the slot's next job.
//! That job needs an entry of its own only if it is due earlier.

use crate::sync::deferred::{Deferred, defer};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::types::clock::NEVER;
use std::collections::{BTreeMap, VecDeque};
use std::mem::take;
use std::task::Waker;

/// Returns the time at which a job that is due at `due` is queued. The farther the deadline, the
/// coarser the time, so that many jobs share one time and an entry costs little more than its four
/// bytes. The time is never later than `due`. If `due` is later than `now`, then so is the time: a
/// job is queued a few times until its deadline.
pub(crate) fn coarse_deadline(now: u64, due: u64) -> u64 {
    let left = due.saturating_sub(now) / PARTS;
    let step = left.checked_ilog2().map_or(1, |log| 1 << log);
    due & !(step - 1)
}

/// Inverse of the largest fraction of the remaining time by which a coarse deadline is early.
const PARTS: u64 = 64;

/// Maximum number of entries that are taken under one hold of the queue's lock.
pub(crate) const BATCH: usize = 64;

#[derive(Debug)]
pub(crate) struct DueQueue {
    queue: Mutex<Queue>,
    /// The earliest time in the queue, or `NEVER`. A check before that time takes no lock.
    earliest: AtomicU64,
}

#[derive(Debug)]
struct Queue {
    /// The slots of each time, in the order of their insertion.
    by_time: BTreeMap<u64, VecDeque<u32>>,
    /// The value of `earliest`.
    stored_earliest: u64,
    /// Reapers that sleep until the earliest time.
    sleepers: Vec<Waker>,
}

/// The duty to wake the reapers that sleep for too long. Its destructor wakes them, or defers that
/// until this thread releases its job's lock. Wakers are user code: every other lock has to be
/// released before.
#[must_use = "dropping it wakes the reapers: release the lock of the job's info first"]
#[derive(Debug)]
pub(crate) struct WakeReapers(Vec<Waker>);

impl Drop for WakeReapers {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            defer(take(&mut self.0).into_iter().map(Deferred::Wake));
        }
    }
}

/// The entries of a queue that are due at a time, without those that come later. What comes later is
/// not due before that time, so that a number for this one time suffices.
#[derive(Debug)]
pub(crate) struct DueNow {
    now: u64,
    /// Number of entries of the time `now` that are left to be taken.
    at_now: usize,
}

/// A slot, and the time under which it is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) time: u64,
    pub(crate) slot: u32,
}

impl DueQueue {
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::new(Queue {
                by_time: BTreeMap::new(),
                stored_earliest: NEVER,
                sleepers: Vec::new(),
            }),
            earliest: AtomicU64::new(NEVER),
        }
    }

    /// Adds entries. Returns the duty to wake the reapers if one of them is the earliest.
    pub(crate) fn insert(&self, entries: impl IntoIterator<Item = Entry>) -> WakeReapers {
        let mut queue = self.queue.lock();
        for Entry { time, slot } in entries {
            debug_assert!(time != NEVER);
            queue.by_time.entry(time).or_default().push_back(slot);
        }
        let before = queue.stored_earliest;
        self.update_earliest(&mut queue);
        let is_earlier = queue.stored_earliest < before;
        WakeReapers(if is_earlier {
            take(&mut queue.sleepers)
        } else {
            Vec::new()
        })
    }

    /// Returns the entries that are due at `now`.
    pub(crate) fn due_now(&self, now: u64) -> DueNow {
        let at_now = if self.is_due(now) {
            let queue = self.queue.lock();
            queue.by_time.get(&now).map_or(0, VecDeque::len)
        } else {
            0
        };
        DueNow { now, at_now }
    }

    /// Removes and returns up to `most` of the entries, earliest first. Of the entries of one time,
    /// those that were inserted first come first.
    pub(crate) fn take(&self, due: &mut DueNow, most: usize) -> Vec<Entry> {
        let mut taken = Vec::new();
        if !self.is_due(due.now) {
            return taken;
        }
        let mut queue = self.queue.lock();
        while let Some(mut first) = queue.by_time.first_entry() {
            let time = *first.key();
            let slots = first.get_mut();
            let mut count = slots.len().min(most - taken.len());
            if time == due.now {
                count = count.min(due.at_now);
                due.at_now -= count;
            }
            if time > due.now || count == 0 {
                break;
            }
            taken.extend(slots.drain(..count).map(|slot| Entry { time, slot }));
            if slots.is_empty() {
                first.remove();
            }
        }
        self.update_earliest(&mut queue);
        taken
    }

    /// Returns the earliest time, or `NEVER`. The waker is woken when an earlier one is inserted.
    pub(crate) fn sleep_until(&self, waker: &Waker) -> u64 {
        // Cloning a waker is user code.
        let waker = waker.clone();
        let mut queue = self.queue.lock();
        if !queue.sleepers.iter().any(|known| known.will_wake(&waker)) {
            queue.sleepers.push(waker);
        }
        queue.stored_earliest
    }

    /// Forgets a waker of `sleep_until`, whose reaper is awake. Otherwise the entries that it returns
    /// to the queue, because their jobs are locked, would wake it again at once.
    pub(crate) fn awake(&self, waker: &Waker) {
        let mut queue = self.queue.lock();
        let own = queue
            .sleepers
            .iter()
            .position(|known| known.will_wake(waker));
        let own = own.map(|at| queue.sleepers.swap_remove(at));
        // Dropping a waker is user code.
        drop(queue);
        drop(own);
    }

    /// Returns the duty to wake all reapers.
    pub(crate) fn wake_reapers(&self) -> WakeReapers {
        WakeReapers(take(&mut self.queue.lock().sleepers))
    }

    // ORDERING: SeqCst, in one order with the words. With Acquire and Release, a sweep could miss a
    // removal that another sweep has just queued again. All other threads would have seen that
    // sweep end before the job did.

    fn update_earliest(&self, queue: &mut Queue) {
        let first = queue.by_time.first_key_value();
        let earliest = first.map_or(NEVER, |(time, _)| *time);
        if earliest != queue.stored_earliest {
            queue.stored_earliest = earliest;
            self.earliest.store(earliest, Ordering::SeqCst);
        }
    }

    /// Returns all entries, and the number of times with an empty list.
    #[cfg(test)]
    pub(crate) fn census(&self) -> (Vec<Entry>, usize) {
        let queue = self.queue.lock();
        let entries = queue
            .by_time
            .iter()
            .flat_map(|(&time, slots)| slots.iter().map(move |&slot| Entry { time, slot }));
        let empty = queue.by_time.values().filter(|slots| slots.is_empty());
        (entries.collect(), empty.count())
    }

    /// Returns whether any entry is due.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.earliest.load(Ordering::SeqCst) <= now
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// P6: every entry is returned once, none is early, and earlier times come first.
        #[test]
        fn entries_are_returned_once_and_not_early(
            times in prop::collection::vec(0u64..40, 0..200),
            most in 1usize..80,
            step in 1usize..20,
        ) {
            let queue = DueQueue::new();
            drop(queue.insert(times.iter().zip(0..).map(|(&time, slot)| Entry { time, slot })));
            let mut seen = Vec::new();
            let mut from = 0;
            for now in (0..=60).step_by(step) {
                prop_assert_eq!(queue.is_due(now), times.iter().any(|time| (from..=now).contains(time)));
                let mut due = queue.due_now(now);
                loop {
                    let batch = queue.take(&mut due, most);
                    prop_assert!(batch.len() <= most);
                    if batch.is_empty() {
                        break;
                    }
                    for entry in batch {
                        prop_assert!((from..=now).contains(&entry.time), "{entry:?} at {now}");
                        from = entry.time;
                        seen.push(entry.slot);
                    }
                }
                from = now + 1;
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..u32::try_from(times.len()).unwrap()).collect::<Vec<_>>());
        }
    }

    proptest! {
        /// P6: a coarse deadline is never late and never now, and comes closer each time until it
        /// is exact.
        #[test]
        fn coarse_deadlines_lead_to_the_deadline(now in 0..NEVER, left in 0..NEVER) {
            let due = now.saturating_add(left).min(NEVER - 1);
            let (mut now, mut visits) = (now, 0);
            while now < due {
                let next = coarse_deadline(now, due);
                prop_assert!(now < next && next <= due, "{next} from {now} to {due}");
                prop_assert!(due - next <= (due - now) / PARTS);
                (now, visits) = (next, visits + 1);
            }
            prop_assert!(visits <= 12, "{visits} visits");
        }
    }

    /// P6: entries that are inserted after a look at the queue are not taken in place of those that
    /// it saw, and the sum is kept.
    #[test]
    fn later_entries_of_the_same_time_are_taken_later() {
        let queue = DueQueue::new();
        let entries = |slots: std::ops::Range<u32>| slots.map(|slot| Entry { time: 5, slot });
        drop(queue.insert(entries(0..3)));
        let mut due = queue.due_now(5);
        let mut seen = queue.take(&mut due, 1);
        drop(queue.insert(entries(3..9)));
        while let Some(entry) = queue.take(&mut due, 1).pop() {
            seen.push(entry);
        }
        assert_eq!(seen, entries(0..3).collect::<Vec<_>>());
        assert_eq!(queue.census().0.len(), 6);
    }

    /// P6: jobs that are removed early leave one entry for each slot, and the last job is removed
    /// at its own deadline.
    #[test]
    fn slot_is_queued_once_for_all_its_jobs() {
        let clock = crate::ManualClock::new();
        let builder = crate::JobRegistry::builder().clock(clock.clone());
        let jobs = builder.retention(Duration::from_secs(60)).build();
        let ended = || {
            let id = jobs.register(()).unwrap().detach();
            jobs.cancel(id).unwrap();
            id
        };
        for _ in 0..100 {
            clock.advance(Duration::from_millis(10));
            jobs.remove(ended()).unwrap();
        }
        let queued = || {
            let queue = jobs.state.due.queue.lock();
            queue.by_time.values().map(VecDeque::len).sum::<usize>()
        };
        ended();
        assert_eq!(queued(), 1);
        clock.advance(Duration::from_millis(59_999));
        assert_eq!(jobs.sweep().removed, 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(jobs.sweep().removed, 1);
        assert_eq!(queued(), 0);
    }

    /// P6: a removal that is postponed many times has one entry in the queue.
    #[test]
    fn removal_that_is_postponed_is_queued_once() {
        let jobs = crate::JobRegistry::new();
        let id = jobs.register(()).unwrap().detach();
        jobs.cancel(id).unwrap();
        for hours in 1..100 {
            let later = Duration::from_secs(3600 * hours);
            jobs.remove_after(id, later).unwrap();
        }
        assert_eq!(jobs.state.due.census().0.len(), 1);
    }

    /// P6: a handed-over removal that a sweep with an earlier reading finds too early is queued again.
    #[test]
    fn removal_that_a_sweep_finds_too_early_is_not_lost() {
        let clock = crate::ManualClock::new();
        let builder = crate::JobRegistry::builder().clock(clock.clone());
        let jobs = builder.retention(Duration::from_millis(1001)).build();
        let id = jobs.register(()).unwrap().detach();
        jobs.cancel(id).unwrap();
        clock.advance(Duration::from_millis(1001));
        // The entry is coarse, and therefore a millisecond early.
        assert_eq!(jobs.state.due.census().0[0].time, 1000);
        let _ = jobs.state.sweep_limits(1001);
        assert_eq!(jobs.state.sweep_at(1000).removed, 0);
        assert_eq!(jobs.sweep().removed, 1);
    }

    /// P5: a removal that is put off after it has been handed over is not carried out.
    #[test]
    fn removal_that_is_put_off_after_it_was_handed_over_waits() {
        let clock = crate::ManualClock::new();
        let builder = crate::JobRegistry::builder().clock(clock.clone());
        let jobs = builder.retention(Duration::ZERO).build();
        let id = jobs.register(()).unwrap().detach();
        jobs.cancel(id).unwrap();
        let _ = jobs.state.sweep_limits(0);
        jobs.remove_after(id, Duration::from_secs(60)).unwrap();
        assert_eq!(jobs.state.remove_handed_over(0).removed, 0);
        clock.advance(Duration::from_secs(60));
        assert_eq!(jobs.sweep().removed, 1);
    }
}
