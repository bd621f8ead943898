//! The due queue: which slots to look at when.
//!
//! Entries are hints and four bytes each. What counts is in the job's body: an entry whose time is not
//! the body's `filed` is left over from an earlier deadline, and is dropped when its time comes. A slot is filed once, at or
//! before its job's deadline. A job that turns out not to be due yet is filed again, and one that is removed before
//! its time leaves the entry to the next, which needs none of its own unless it is due earlier.

use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::types::clock::NEVER;
use std::collections::BTreeMap;

/// When to look at what is due at `due`: the farther away, the coarser, so that jobs share few times and an entry costs
/// little more than its four bytes. Never later than `due`, and always later than `now` if `due` is: a job comes back a
/// few times on its way.
pub(crate) fn hint(now: u64, due: u64) -> u64 {
    let left = due.saturating_sub(now) / PARTS;
    let step = left.checked_ilog2().map_or(1, |log| 1 << log);
    due & !(step - 1)
}

/// Of the time that is left, a hint is at most one part too early.
const PARTS: u64 = 64;

/// At most so many entries are taken out under one hold of the queue's lock.
pub(crate) const BATCH: usize = 64;

#[derive(Debug)]
pub(crate) struct DueQueue {
    queue: Mutex<Queue>,
    /// The first time in there, or `NEVER`: a look before its time takes no lock.
    earliest: AtomicU64,
}

#[derive(Debug)]
struct Queue {
    by_time: BTreeMap<u64, Vec<u32>>,
    /// What `earliest` says.
    noted: u64,
}

/// A slot, and the time it was filed under.
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
                noted: NEVER,
            }),
            earliest: AtomicU64::new(NEVER),
        }
    }

    pub(crate) fn file(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut queue = self.queue.lock();
        for Entry { time, slot } in entries {
            debug_assert!(time != NEVER);
            queue.by_time.entry(time).or_default().push(slot);
        }
        self.note_earliest(&mut queue);
    }

    /// Takes out up to `most` entries whose time has come by `now`, earliest first.
    pub(crate) fn take_due(&self, now: u64, most: usize) -> Vec<Entry> {
        let mut due = Vec::new();
        if !self.is_due(now) {
            return due;
        }
        let mut queue = self.queue.lock();
        while let Some(mut first) = queue.by_time.first_entry() {
            let time = *first.key();
            if time > now || due.len() == most {
                break;
            }
            let slots = first.get_mut();
            let rest = slots.len().saturating_sub(most - due.len());
            due.extend(slots.drain(rest..).map(|slot| Entry { time, slot }));
            if slots.is_empty() {
                first.remove();
            }
        }
        self.note_earliest(&mut queue);
        due
    }

    // ORDERING: SeqCst, in one order with the words. With Acquire and Release, a sweep could miss a removal that another
    // has just filed again, although everybody else has seen the other sweep end before the job did.

    fn note_earliest(&self, queue: &mut Queue) {
        let first = queue.by_time.first_key_value();
        let earliest = first.map_or(NEVER, |(time, _)| *time);
        if earliest != queue.noted {
            queue.noted = earliest;
            self.earliest.store(earliest, Ordering::SeqCst);
        }
    }

    /// All entries, and how many times are listed without one.
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

    /// Whether any entry's time has come.
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
        /// P6: every entry comes out once, none early, earlier times first.
        #[test]
        fn entries_come_out_once_and_not_early(
            times in prop::collection::vec(0u64..40, 0..200),
            most in 1usize..80,
            step in 1usize..20,
        ) {
            let queue = DueQueue::new();
            queue.file(times.iter().zip(0..).map(|(&time, slot)| Entry { time, slot }));
            let mut seen = Vec::new();
            let mut from = 0;
            for now in (0..=60).step_by(step) {
                prop_assert_eq!(queue.is_due(now), times.iter().any(|time| (from..=now).contains(time)));
                loop {
                    let batch = queue.take_due(now, most);
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
        /// P6: a hint is never late, never now, and comes closer with every look until it is exact.
        #[test]
        fn hints_lead_to_the_deadline(now in 0..NEVER, left in 0..NEVER) {
            let due = now.saturating_add(left).min(NEVER - 1);
            let (mut now, mut looks) = (now, 0);
            while now < due {
                let next = hint(now, due);
                prop_assert!(now < next && next <= due, "{next} from {now} to {due}");
                prop_assert!(due - next <= (due - now) / PARTS);
                (now, looks) = (next, looks + 1);
            }
            prop_assert!(looks <= 12, "{looks} looks");
        }
    }

    /// P6: jobs that are removed before their time leave one entry for each slot, and the last of them is removed at its own.
    #[test]
    fn slot_is_filed_once_for_all_its_jobs() {
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
        let filed = || {
            let queue = jobs.state.due.queue.lock();
            queue.by_time.values().map(Vec::len).sum::<usize>()
        };
        ended();
        assert_eq!(filed(), 1);
        clock.advance(Duration::from_millis(59_999));
        assert_eq!(jobs.sweep().removed, 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(jobs.sweep().removed, 1);
        assert_eq!(filed(), 0);
    }

    /// P6: however often a removal is put off, the queue has one entry for the job.
    #[test]
    fn removal_that_is_put_off_is_filed_once() {
        let jobs = crate::JobRegistry::new();
        let id = jobs.register(()).unwrap().detach();
        jobs.cancel(id).unwrap();
        for hours in 1..100 {
            let later = Duration::from_secs(3600 * hours);
            jobs.remove_after(id, later).unwrap();
        }
        assert_eq!(jobs.state.due.take_due(NEVER - 1, usize::MAX).len(), 1);
    }
}
