//! Whom the heartbeat task beats for, and when: 16 bytes for each.

use crate::slots::fenced_id::FencedId;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Id;
use tokio::sync::Notify;
use tokio::time::Instant;

/// So many beats at a time, before other tasks get their turn.
const BATCH: usize = 1024;
/// The first beat comes earlier than asked for by less than one part, so that jobs share few times.
const PARTS: u32 = 64;

/// The heartbeats of one registry.
#[derive(Debug, Default)]
pub(crate) struct HeartbeatQueue {
    queue: Mutex<Queue>,
    pub(crate) earlier: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Times are milliseconds since then.
    epoch: Option<Instant>,
    /// By the time of the next beat, and the interval.
    turns: BTreeMap<(u64, u32), Vec<Timer>>,
    /// How many are in `turns`.
    waiting: usize,
    /// Their guards were dropped while the job lived. They leave when they are met.
    dropped: HashSet<Timer>,
    last_number: u32,
    /// The runtimes with a task at work. One, unless a registry is used from several; each can go away
    /// without the others' jobs falling silent.
    runtimes: HashSet<Id>,
}

/// One heartbeat of one attempt. A second of the same attempt has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Timer {
    slot: u32,
    generation: u32,
    number: u32,
    attempt: u16,
}

impl Timer {
    pub(crate) fn id(self) -> FencedId {
        FencedId {
            slot: self.slot,
            generation: self.generation,
            // For ids, which only those who are told of a beat ask for.
            nonce: 0,
            attempt: Some(self.attempt),
        }
    }
}

/// Heartbeats whose time has come. Those that go on are put back for their next time, whatever panics.
#[derive(Debug)]
pub(crate) struct InHand<'a> {
    heartbeats: &'a HeartbeatQueue,
    time: u64,
    interval: u32,
    jobs: Vec<Timer>,
    over: Vec<Timer>,
}

impl InHand<'_> {
    pub(crate) fn jobs(&self) -> impl Iterator<Item = Timer> {
        self.jobs.iter().copied()
    }

    pub(crate) fn retain(&mut self, mut goes_on: impl FnMut(Timer) -> bool) {
        let Self { jobs, over, .. } = self;
        jobs.retain(|timer| {
            let goes_on = goes_on(*timer);
            if !goes_on {
                over.push(*timer);
            }
            goes_on
        });
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.heartbeats.lock().put_back(self);
    }
}

impl HeartbeatQueue {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From 1 ms to 49 days, which is as long as a number of 32 bits goes.
    pub(crate) fn add(&self, id: FencedId, interval: Duration) -> Timer {
        let interval = u32::try_from(interval.as_millis())
            .unwrap_or(u32::MAX)
            .max(1);
        let mut queue = self.lock();
        queue.last_number = queue.last_number.wrapping_add(1);
        let timer = Timer {
            slot: id.slot,
            generation: id.generation,
            number: queue.last_number,
            attempt: id.attempt.expect("one attempt beats"),
        };
        let time = on_the_grid(queue.now() + u64::from(interval), interval);
        let first = queue.turns.first_key_value();
        let is_first = first.is_none_or(|((first, _), _)| time < *first);
        queue.turns.entry((time, interval)).or_default().push(timer);
        queue.waiting += 1;
        drop(queue);
        if is_first {
            self.earlier.notify_waiters();
        }
        timer
    }

    /// Ends a heartbeat, unless its job has, which the task notices by itself.
    pub(crate) fn stop(&self, timer: Timer, is_live: impl FnOnce() -> bool) {
        let mut queue = self.lock();
        // Under the lock, so that the task finds what is put here when it puts back what it has in hand.
        if !is_live() {
            return;
        }
        queue.dropped.insert(timer);
        queue.forget_many();
    }

    /// Whether the runtime has no task yet. It has one from now on.
    pub(crate) fn enter(&self, runtime: Id) -> bool {
        self.lock().runtimes.insert(runtime)
    }

    pub(crate) fn leave(&self, runtime: Id) {
        self.lock().runtimes.remove(&runtime);
    }

    /// Takes some whose time has come in hand, those that come first.
    pub(crate) fn take_due(&self) -> Option<InHand<'_>> {
        let mut queue = self.lock();
        let now = queue.now();
        let Queue { turns, dropped, .. } = &mut *queue;
        let first = turns.first_entry().filter(|first| first.key().0 <= now)?;
        let ((time, interval), mut jobs) = first.remove_entry();
        if jobs.len() > BATCH {
            let last = jobs.split_off(jobs.len() - BATCH);
            turns.insert((time, interval), std::mem::replace(&mut jobs, last));
        }
        let taken = jobs.len();
        if !dropped.is_empty() {
            jobs.retain(|timer| !dropped.remove(timer));
        }
        queue.waiting -= taken;
        Some(InHand {
            heartbeats: self,
            time,
            interval,
            jobs,
            over: Vec::new(),
        })
    }

    /// The heartbeats that are listed, and those of them that were dropped. Panics if the parts do not fit together.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn census(&self) -> (usize, usize) {
        let queue = self.lock();
        let listed: HashSet<_> = queue.turns.values().flatten().copied().collect();
        assert!(
            queue.turns.values().all(|jobs| !jobs.is_empty()),
            "a time without heartbeats"
        );
        assert_eq!(
            queue.turns.values().map(Vec::len).sum::<usize>(),
            queue.waiting
        );
        assert_eq!(listed.len(), queue.waiting, "a heartbeat is listed twice");
        assert!(
            queue.dropped.is_subset(&listed),
            "a dropped heartbeat is not listed"
        );
        (queue.waiting, queue.dropped.len())
    }

    /// Whether any runtime has a task.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn has_task(&self) -> bool {
        !self.lock().runtimes.is_empty()
    }

    /// When to come next; `None` ends the runtime's task, which the next heartbeat starts anew.
    pub(crate) fn next(&self, runtime: Id) -> Option<Instant> {
        let mut queue = self.lock();
        let next = queue.turns.first_key_value().map(|((time, _), _)| *time);
        let Some(next) = next else {
            queue.runtimes.remove(&runtime);
            return None;
        };
        Some(queue.epoch() + Duration::from_millis(next))
    }
}

impl Queue {
    fn epoch(&mut self) -> Instant {
        *self.epoch.get_or_insert_with(Instant::now)
    }

    fn now(&mut self) -> u64 {
        let since = Instant::now().saturating_duration_since(self.epoch());
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn put_back(&mut self, hand: &mut InHand<'_>) {
        for timer in &hand.over {
            self.dropped.remove(timer);
        }
        if !hand.jobs.is_empty() {
            self.list_again(hand);
        }
        // Those that are left may be dropped ones of long intervals, for the most part.
        if !hand.over.is_empty() {
            self.forget_many();
        }
    }

    fn list_again(&mut self, hand: &mut InHand<'_>) {
        // Where the task could not keep up, beats are left out, not made up for.
        let (now, length) = (self.now(), u64::from(hand.interval));
        let from = if hand.time + length > now {
            hand.time
        } else {
            now
        };
        let next = on_the_grid(from + length, hand.interval);
        self.waiting += hand.jobs.len();
        let turn = self.turns.entry((next, hand.interval)).or_default();
        if turn.is_empty() {
            *turn = std::mem::take(&mut hand.jobs);
        } else {
            turn.append(&mut hand.jobs);
        }
    }

    /// Forgets the dropped ones where they are half of all or more. The walk takes a step or two for each that is forgotten.
    fn forget_many(&mut self) {
        if self.dropped.len() * 2 >= self.waiting {
            self.forget_dropped();
        }
    }

    /// What stays in `dropped` is in the task's hands.
    fn forget_dropped(&mut self) {
        let Self { turns, dropped, .. } = self;
        turns.retain(|_, jobs| {
            jobs.retain(|timer| !dropped.remove(timer));
            !jobs.is_empty()
        });
        self.waiting = turns.values().map(Vec::len).sum();
        dropped.shrink_to_fit();
    }
}

/// The latest time by then that others of the interval come at as well.
fn on_the_grid(time: u64, interval: u32) -> u64 {
    let step = (interval / PARTS).checked_ilog2().map_or(1, |log| 1 << log);
    time & !(step - 1)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// P8, scenario 20: a heartbeat that is dropped while the task has it in hand is not beaten for again, and one beside it
    /// that goes on is.
    #[tokio::test(start_paused = true)]
    async fn one_that_is_dropped_in_hand_does_not_come_back() {
        let heartbeats = HeartbeatQueue::default();
        let every = Duration::from_millis(10);
        let id = |slot| FencedId {
            slot,
            generation: 0,
            nonce: 0,
            attempt: Some(1),
        };
        let dropped = heartbeats.add(id(1), every);
        let kept = heartbeats.add(id(2), every);
        tokio::time::advance(every).await;
        let mut hand = heartbeats.take_due().unwrap();
        heartbeats.stop(dropped, || true);
        hand.retain(|_| true);
        drop(hand);
        tokio::time::advance(every).await;
        let mut seen = Vec::new();
        heartbeats.take_due().unwrap().retain(|timer| {
            seen.push(timer);
            true
        });
        assert_eq!(seen, [kept]);
        assert!(heartbeats.lock().dropped.is_empty());
    }

    /// P6: a heartbeat that is dropped while the task has it in hand is forgotten, also where the task does not put it back.
    #[tokio::test(start_paused = true)]
    async fn one_that_is_dropped_in_hand_and_over_is_forgotten() {
        let heartbeats = HeartbeatQueue::default();
        let every = Duration::from_millis(10);
        let id = |slot| FencedId {
            slot,
            generation: 0,
            nonce: 0,
            attempt: Some(1),
        };
        let over = heartbeats.add(id(1), every);
        // Others, so that the one is not forgotten at once.
        for slot in 2..10 {
            heartbeats.add(id(slot), 100 * every);
        }
        tokio::time::advance(every).await;
        let mut hand = heartbeats.take_due().unwrap();
        heartbeats.stop(over, || true);
        hand.retain(|_| false);
        drop(hand);
        assert_eq!(heartbeats.census(), (8, 0));
    }

    /// Those that were dropped take no more memory than those that are left.
    #[tokio::test(start_paused = true)]
    async fn half_of_them_dropped_are_forgotten() {
        let heartbeats = HeartbeatQueue::default();
        let all: Vec<_> = (0..10)
            .map(|slot| {
                let id = FencedId {
                    slot,
                    generation: 0,
                    nonce: 0,
                    attempt: Some(1),
                };
                heartbeats.add(id, Duration::from_millis(10))
            })
            .collect();
        for (dropped, timer) in all[..5].iter().enumerate() {
            assert_eq!(heartbeats.lock().dropped.len(), dropped);
            heartbeats.stop(*timer, || true);
        }
        let queue = heartbeats.lock();
        assert!(queue.dropped.is_empty());
        assert_eq!(queue.waiting, 5);
    }
}
