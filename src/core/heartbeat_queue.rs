//! [`Heartbeats`]: the timers of `heartbeat_every`, in a queue for each runtime, ordered by the time
//! of their next heartbeat. A timer takes 16 bytes.
//!
//! A timer belongs to the runtime on which it was asked for. It ends with that runtime, and no other
//! runtime delays it.

use crate::slots::fenced_id::FencedId;
use crate::sync::rt::{Id, Instant, Notify};
use crate::sync::{Arc, Mutex};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Maximum number of heartbeats that the task records before it yields to other tasks.
const BATCH: usize = 1024;
/// Inverse of the largest fraction of its interval by which a heartbeat is early, so that jobs
/// share timer ticks.
const PARTS: u32 = 64;

/// The heartbeat timers of one registry. The lock is a leaf.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats(Mutex<Runtimes>);

#[derive(Debug, Default)]
struct Runtimes {
    /// The queue of each runtime that has timers. A task on the runtime serves it.
    queues: HashMap<Id, Queue>,
    last_number: u32,
}

#[derive(Debug)]
struct Queue {
    /// The origin of all times, which are in milliseconds.
    epoch: Instant,
    /// The timers, by the time of the next heartbeat and the interval.
    schedule: BTreeMap<(u64, u32), Vec<Timer>>,
    /// Number of timers in `schedule`.
    scheduled: usize,
    /// Timers whose guards were dropped while the job was live. Each is removed when it is next
    /// taken.
    dropped: HashSet<Timer>,
    /// Notified when a new timer is the earliest.
    earlier: Arc<Notify>,
}

/// The timer of one heartbeat guard, for one attempt. A second guard of the same attempt has
/// another number.
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
            // The queue does not store the nonce, which only events need.
            nonce: 0,
            attempt: Some(self.attempt),
        }
    }
}

/// Timers of a runtime that are due. The destructor schedules the active ones again, even after a
/// panic.
#[derive(Debug)]
pub(crate) struct DueTimers<'a> {
    heartbeats: &'a Heartbeats,
    runtime: Id,
    time: u64,
    interval: u32,
    active: Vec<Timer>,
    ended: Vec<Timer>,
}

impl DueTimers<'_> {
    pub(crate) fn timers(&self) -> impl Iterator<Item = Timer> {
        self.active.iter().copied()
    }

    /// Ends the timers for which `is_active` returns `false`.
    pub(crate) fn retain(&mut self, mut is_active: impl FnMut(Timer) -> bool) {
        let Self { active, ended, .. } = self;
        active.retain(|timer| {
            let is_active = is_active(*timer);
            if !is_active {
                ended.push(*timer);
            }
            is_active
        });
    }
}

impl Drop for DueTimers<'_> {
    fn drop(&mut self) {
        let mut runtimes = self.heartbeats.0.lock();
        if let Some(queue) = runtimes.queues.get_mut(&self.runtime) {
            queue.reschedule(self);
        }
    }
}

impl Heartbeats {
    /// Schedules a timer on a runtime. Its interval is clamped to 1 ms at least and to 49 days at
    /// most, the range of 32 bits. If the runtime has no task yet, also returns what wakes the task
    /// that the caller has to start.
    pub(crate) fn add(
        &self,
        runtime: Id,
        id: FencedId,
        interval: Duration,
    ) -> (Timer, Option<Arc<Notify>>) {
        let interval = u32::try_from(interval.as_millis())
            .unwrap_or(u32::MAX)
            .max(1);
        let mut runtimes = self.0.lock();
        runtimes.last_number = runtimes.last_number.wrapping_add(1);
        let timer = Timer {
            slot: id.slot,
            generation: id.generation,
            number: runtimes.last_number,
            attempt: id.attempt.expect("a timer is fenced to an attempt"),
        };
        let is_new = !runtimes.queues.contains_key(&runtime);
        let queue = runtimes.queues.entry(runtime).or_insert_with(Queue::new);
        let is_first = queue.add(timer, interval);
        let earlier = queue.earlier.clone();
        drop(runtimes);
        if is_new {
            return (timer, Some(earlier));
        }
        if is_first {
            earlier.notify_waiters();
        }
        (timer, None)
    }

    /// Stops a timer. If its job has ended, the task removes the timer by itself.
    pub(crate) fn stop(&self, runtime: Id, timer: Timer, is_live: impl FnOnce() -> bool) {
        let mut runtimes = self.0.lock();
        // The check is under the lock, so that the task finds the dropped timer when it
        // reschedules.
        if !is_live() {
            return;
        }
        if let Some(queue) = runtimes.queues.get_mut(&runtime) {
            queue.dropped.insert(timer);
            queue.purge_if_half_dropped();
        }
    }

    /// Ends all timers of a runtime, whose task is gone.
    pub(crate) fn leave(&self, runtime: Id) {
        let queue = self.0.lock().queues.remove(&runtime);
        // Dropped without the lock.
        drop(queue);
    }

    /// Takes the earliest timers of a runtime that are due, all of one time and interval.
    pub(crate) fn take_due(&self, runtime: Id) -> Option<DueTimers<'_>> {
        let mut runtimes = self.0.lock();
        let queue = runtimes.queues.get_mut(&runtime)?;
        let now = queue.now();
        let Queue {
            schedule, dropped, ..
        } = queue;
        let first = schedule
            .first_entry()
            .filter(|first| first.key().0 <= now)?;
        let ((time, interval), mut active) = first.remove_entry();
        if active.len() > BATCH {
            let last = active.split_off(active.len() - BATCH);
            schedule.insert((time, interval), std::mem::replace(&mut active, last));
        }
        let taken = active.len();
        if !dropped.is_empty() {
            active.retain(|timer| !dropped.remove(timer));
        }
        queue.scheduled -= taken;
        Some(DueTimers {
            heartbeats: self,
            runtime,
            time,
            interval,
            active,
            ended: Vec::new(),
        })
    }

    /// Returns the number of scheduled timers of all runtimes, and the number of dropped ones among
    /// them.
    ///
    /// # Panics
    ///
    /// If the parts of a queue contradict each other.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn census(&self) -> (usize, usize) {
        let runtimes = self.0.lock();
        let (mut scheduled, mut dropped) = (0, 0);
        for queue in runtimes.queues.values() {
            let listed: HashSet<_> = queue.schedule.values().flatten().copied().collect();
            assert!(
                queue.schedule.values().all(|timers| !timers.is_empty()),
                "a time without timers is listed"
            );
            assert_eq!(
                queue.schedule.values().map(Vec::len).sum::<usize>(),
                queue.scheduled
            );
            assert_eq!(listed.len(), queue.scheduled, "a timer is listed twice");
            assert!(
                queue.dropped.is_subset(&listed),
                "a dropped timer is not listed"
            );
            scheduled += queue.scheduled;
            dropped += queue.dropped.len();
        }
        (scheduled, dropped)
    }

    /// Returns whether any runtime has a task.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn has_task(&self) -> bool {
        !self.0.lock().queues.is_empty()
    }

    /// Returns the time of a runtime's next heartbeat. `None` ends the runtime's task, which the
    /// next timer starts again.
    pub(crate) fn next(&self, runtime: Id) -> Option<Instant> {
        let mut runtimes = self.0.lock();
        let queue = runtimes.queues.get(&runtime)?;
        let next = queue.schedule.first_key_value().map(|((time, _), _)| *time);
        let Some(next) = next else {
            runtimes.queues.remove(&runtime);
            return None;
        };
        Some(queue.epoch + Duration::from_millis(next))
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            schedule: BTreeMap::new(),
            scheduled: 0,
            dropped: HashSet::new(),
            earlier: Arc::new(Notify::new()),
        }
    }

    fn now(&self) -> u64 {
        let since = Instant::now().saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Schedules a new timer. Returns whether it is the earliest.
    fn add(&mut self, timer: Timer, interval: u32) -> bool {
        let time = align(self.now() + u64::from(interval), interval);
        let first = self.schedule.first_key_value();
        let is_first = first.is_none_or(|((first, _), _)| time < *first);
        let timers = self.schedule.entry((time, interval)).or_default();
        timers.push(timer);
        self.scheduled += 1;
        is_first
    }

    fn reschedule(&mut self, due: &mut DueTimers<'_>) {
        for timer in &due.ended {
            self.dropped.remove(timer);
        }
        if !due.active.is_empty() {
            self.schedule_next(due);
        }
        // The remaining timers may be mostly dropped ones with long intervals.
        if !due.ended.is_empty() {
            self.purge_if_half_dropped();
        }
    }

    fn schedule_next(&mut self, due: &mut DueTimers<'_>) {
        // If the task could not keep up, heartbeats are skipped and not made up for.
        let (now, length) = (self.now(), u64::from(due.interval));
        let from = if due.time + length > now {
            due.time
        } else {
            now
        };
        let next = align(from + length, due.interval);
        self.scheduled += due.active.len();
        let timers = self.schedule.entry((next, due.interval)).or_default();
        if timers.is_empty() {
            *timers = std::mem::take(&mut due.active);
        } else {
            timers.append(&mut due.active);
        }
    }

    /// Purges the dropped timers if they are at least half of all. The scan takes a step or two for
    /// each timer that it purges.
    fn purge_if_half_dropped(&mut self) {
        if self.dropped.len() * 2 >= self.scheduled {
            self.purge_dropped();
        }
    }

    /// Removes the dropped timers from the schedule. Those that stay in `dropped` have been taken
    /// by the task.
    fn purge_dropped(&mut self) {
        let Self {
            schedule, dropped, ..
        } = self;
        schedule.retain(|_, timers| {
            timers.retain(|timer| !dropped.remove(timer));
            !timers.is_empty()
        });
        self.scheduled = schedule.values().map(Vec::len).sum();
        dropped.shrink_to_fit();
    }
}

/// Returns the latest tick of the interval's grid that is not after `time`.
fn align(time: u64, interval: u32) -> u64 {
    let step = (interval / PARTS).checked_ilog2().map_or(1, |log| 1 << log);
    time & !(step - 1)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// P8, scenario 20: a timer that is dropped while the task has taken it records no further
    /// heartbeat. Another one that was taken with it continues.
    #[tokio::test(start_paused = true)]
    async fn timer_dropped_while_taken_is_not_rescheduled() {
        let heartbeats = Heartbeats::default();
        let every = Duration::from_millis(10);
        let here = tokio::runtime::Handle::current().id();
        let id = |slot| FencedId {
            slot,
            generation: 0,
            nonce: 0,
            attempt: Some(1),
        };
        let (dropped, _) = heartbeats.add(here, id(1), every);
        let (kept, _) = heartbeats.add(here, id(2), every);
        tokio::time::advance(every).await;
        let mut due = heartbeats.take_due(here).unwrap();
        heartbeats.stop(here, dropped, || true);
        due.retain(|_| true);
        drop(due);
        tokio::time::advance(every).await;
        let mut seen = Vec::new();
        heartbeats.take_due(here).unwrap().retain(|timer| {
            seen.push(timer);
            true
        });
        assert_eq!(seen, [kept]);
        assert_eq!(heartbeats.census(), (1, 0));
    }

    /// P6: a timer that is dropped while the task has taken it is forgotten, even if the task ends
    /// it.
    #[tokio::test(start_paused = true)]
    async fn timer_dropped_while_taken_and_ended_is_forgotten() {
        let heartbeats = Heartbeats::default();
        let every = Duration::from_millis(10);
        let here = tokio::runtime::Handle::current().id();
        let id = |slot| FencedId {
            slot,
            generation: 0,
            nonce: 0,
            attempt: Some(1),
        };
        let (ended, _) = heartbeats.add(here, id(1), every);
        // Other timers keep the dropped one from being purged immediately.
        for slot in 2..10 {
            let _ = heartbeats.add(here, id(slot), 100 * every);
        }
        tokio::time::advance(every).await;
        let mut due = heartbeats.take_due(here).unwrap();
        heartbeats.stop(here, ended, || true);
        due.retain(|_| false);
        drop(due);
        assert_eq!(heartbeats.census(), (8, 0));
    }

    /// Dropped timers take no more memory than the remaining ones.
    #[tokio::test(start_paused = true)]
    async fn dropped_timers_are_purged_when_they_are_half() {
        let heartbeats = Heartbeats::default();
        let here = tokio::runtime::Handle::current().id();
        let all: Vec<_> = (0..10)
            .map(|slot| {
                let id = FencedId {
                    slot,
                    generation: 0,
                    nonce: 0,
                    attempt: Some(1),
                };
                heartbeats.add(here, id, Duration::from_millis(10)).0
            })
            .collect();
        for (dropped, timer) in all[..5].iter().enumerate() {
            assert_eq!(heartbeats.census(), (10, dropped));
            heartbeats.stop(here, *timer, || true);
        }
        assert_eq!(heartbeats.census(), (5, 0));
    }
}
