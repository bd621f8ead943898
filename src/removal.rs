//! Removal: `remove_after`, `remove` and `sweep`.
//!
//! A removal is complete in this order: the job's place moves on to its next generation, under the
//! job's lock; the lock is released; watchers are told; the hook runs; the payload is dropped; the slot
//! becomes free. A job that comes to live in the slot therefore never meets anything of the last one.

use crate::body::{Body, NEVER, Removal};
use crate::clock::millis_up;
use crate::due::{BATCH, DueQueue, Entry};
use crate::error::{RemoveError, WouldDeadlock};
use crate::inner::{Found, Inner};
use crate::locked::Locked;
use crate::observe::{Event, ON, tell};
use crate::sync::Ordering;
use crate::target::Target;
use crate::thread::{Effect, Panics, Sweeping, contain, defer, panic_message};
use crate::{JobId, Record, Snapshot, Status};
use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;
use std::time::Duration;

/// What the builder's `on_remove` was given.
pub(crate) type Hook<T> = Box<dyn Fn(&Record<T>) + Send + Sync>;

/// What a [`sweep`](crate::JobRegistry::sweep) did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Jobs removed.
    pub removed: usize,
    /// Ended jobs that seem due but are locked by somebody (a reader); the next sweep comes back to them.
    pub busy: usize,
    /// Removed jobs whose hook, payload's drop, waker or subscriber panicked during the removal, with the
    /// text of the first panic.
    pub panics: Vec<(JobId, String)>,
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            removed,
            busy,
            panics,
        } = self;
        write!(
            f,
            "{removed} removed, {busy} busy, {} panicked",
            panics.len()
        )
    }
}

/// A job that is out of its slot. The slot becomes free when this is dropped, after the payload, whatever panics.
struct Removed<'a, T> {
    inner: &'a Inner<T>,
    target: Target,
    last: Snapshot,
    body: Body<T>,
    /// Panics of the user code that ran for the removal.
    panics: Panics,
}

impl<T> Removed<'_, T> {
    fn run_hook(&mut self) {
        let Some(hook) = &self.inner.settings.on_remove else {
            return;
        };
        let Some(record) = self.body.take_record(self.last) else {
            return;
        };
        self.panics.catch(|| hook(&record));
        self.body.payload = Some(record.payload);
    }

    fn drop_payload(&mut self) {
        let payload = self.body.payload.take();
        if std::mem::needs_drop::<T>() {
            self.panics.catch(|| drop(payload));
        }
    }
}

impl<T> Drop for Removed<'_, T> {
    fn drop(&mut self) {
        // Nothing is left of it, unless something has panicked before this one could.
        self.drop_payload();
        self.inner.table.give_back(self.target.slot);
    }
}

/// Entries that a sweep has in hand. Those it has not dealt with go back into the queue, however it ends.
struct InHand<'a> {
    queue: &'a DueQueue,
    due: Vec<Entry>,
    busy: Vec<Entry>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.due.append(&mut self.busy);
        if !self.due.is_empty() {
            self.queue.file(self.due.drain(..));
        }
    }
}

/// How much a sweep does at most. Jobs that are locked do not count.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Entries of the due queue, whether or not their jobs are due.
    entries: usize,
    removals: usize,
}

impl Limits {
    const NONE: Self = Self {
        entries: usize::MAX,
        removals: usize::MAX,
    };
    const A_LITTLE: Self = Self {
        entries: 2,
        ..Self::NONE
    };
    const ONE_JOB: Self = Self {
        removals: 1,
        ..Self::NONE
    };

    fn left(self, entries: usize, removals: usize) -> usize {
        let entries = self.entries.saturating_sub(entries);
        entries.min(self.removals.saturating_sub(removals))
    }
}

impl<T> Inner<T> {
    pub(crate) fn remove_after(
        &self,
        (slot, target): Found<'_, T>,
        delay: Duration,
    ) -> Result<(), RemoveError> {
        let mut locked = slot.lock()?;
        let word = locked.word();
        target.admit(word)?;
        let delay = millis_up(delay);
        let now = millis_up(self.timeline.elapsed());
        let ended = locked.body.ended;
        locked.body.removal = match word.status() {
            Some(status) if status.is_ended() => {
                // The end is later than a clock that has jumped back, and kept rounded down.
                let from = if now < ended {
                    ended.saturating_add(1)
                } else {
                    now
                };
                Removal::at(from.saturating_add(delay))
            }
            _ => Removal::after(delay),
        };
        self.file(&mut locked, now);
        Ok(())
    }

    pub(crate) fn remove(&self, (slot, target): Found<'_, T>) -> Result<T, RemoveError> {
        let locked = slot.lock()?;
        let word = locked.word();
        target.admit(word)?;
        if !word.status().is_some_and(Status::is_ended) {
            return Err(RemoveError::Live);
        }
        // Before anything is changed: a clock that panics has the call refused.
        let now = if ON { self.now() } else { 0 };
        let mut removed = self.vacate(locked, target, now).ok_or(RemoveError::Gone)?;
        removed.run_hook();
        if let Some(panic) = removed.panics.take() {
            // Its payload goes before the panic goes on, which a second one would meet.
            drop(removed);
            self.count_panic(target.id(), &*panic);
            resume_unwind(panic);
        }
        removed.body.payload.take().ok_or(RemoveError::Gone)
    }

    /// Moves an ended job out of its slot, lets go of the lock, and tells the watchers.
    #[inline(always)] // which spares two copies of the job
    fn vacate<'a>(
        &'a self,
        mut locked: Locked<'a, T>,
        target: Target,
        now: u64,
    ) -> Option<Removed<'a, T>> {
        let last = locked.slot.snapshot(target).ok()?;
        // Nothing but the watched bit changes on an ended job whose lock is held.
        locked
            .slot
            .step(|word| word.remove().map(Some).ok_or(RemoveError::Live))
            .ok()?;
        let body = std::mem::replace(&mut *locked.body, Body::empty());
        // The queue comes by the slot at that time all the same, which is early enough for most jobs that come next.
        locked.body.filed = body.filed;
        drop(locked);
        let ended = body.ended;
        let mut removed = Removed {
            inner: self,
            target,
            last,
            body,
            panics: Panics::default(),
        };
        let watchers = self.table.watchers();
        if let Some(wakers) = watchers.take_removed(target.slot, target.generation, last) {
            removed
                .panics
                .catch(|| defer(wakers.into_iter().map(Effect::Wake)));
        }
        if ON {
            let kept = Duration::from_millis(now.saturating_sub(ended));
            let (id, status) = (target.id(), last.status());
            removed
                .panics
                .catch(|| tell(|| Event::Removed { id, status, kept }));
        }
        Some(removed)
    }

    pub(crate) fn sweep(&self) -> Swept {
        self.sweep_within(Limits::NONE, self.now())
    }

    /// Sweeps a little, for a registry without a reaper. Returns whether a job was removed.
    pub(crate) fn sweep_a_little(&self, now: u64) -> bool {
        self.sweep_within(Limits::A_LITTLE, now).removed > 0
    }

    /// Removes the first due job whose lock is free. Returns whether there was one.
    #[cold]
    pub(crate) fn make_room(&self, now: u64) -> bool {
        self.sweep_within(Limits::ONE_JOB, now).removed > 0
    }

    /// Removes every ended job whose lock is free, due or not.
    #[cfg(feature = "tokio")]
    pub(crate) fn remove_all(&self) {
        let mut swept = Swept::default();
        // A waker that panics has been called; nobody is left to report the panic to.
        let _ = crate::thread::despite_panics(self.snapshots(), |seen| {
            if !seen.status().is_ended() {
                return;
            }
            let Ok((slot, target)) = self.find(seen.id()) else {
                return;
            };
            if let Ok(Some(locked)) = slot.try_lock() {
                // Looks again: the job may have been retried or removed since it was seen.
                self.remove_locked(locked, target, 0, &mut swept);
            }
        });
    }

    /// Nothing happens on a thread that holds a job's lock, under which hooks and drops must not run, and none within a sweep, from
    /// hooks and drops: that one goes on.
    #[inline]
    fn sweep_within(&self, limits: Limits, now: u64) -> Swept {
        if self.due.is_due(now) {
            self.sweep_due(limits, now)
        } else {
            Swept::default()
        }
    }

    fn sweep_due(&self, limits: Limits, now: u64) -> Swept {
        let mut swept = Swept::default();
        let Some(_sweeping) = Sweeping::enter(std::ptr::from_ref(self).addr()) else {
            return swept;
        };
        let began = ON.then(|| self.timeline.elapsed());
        let mut hand = InHand {
            queue: &self.due,
            due: Vec::new(),
            busy: Vec::new(),
        };
        let mut entries = 0;
        loop {
            let most = limits.left(entries, swept.removed).min(BATCH);
            if most == 0 || crate::thread::holds_lock() {
                break;
            }
            hand.due = self.due.take_due(now, most);
            if hand.due.is_empty() {
                break;
            }
            let busy_before = hand.busy.len();
            entries += hand.due.len();
            // They lie anywhere in memory. Asked for all together, they come at the same time, and not one after the other.
            hand.due
                .iter()
                .for_each(|entry| self.table.fetch(entry.slot));
            // The earliest first.
            hand.due.reverse();
            while let Some(entry) = hand.due.pop() {
                match self.slot(entry.slot).try_lock() {
                    Ok(Some(locked)) => self.sweep_one(locked, entry, now, &mut swept),
                    Ok(None) | Err(WouldDeadlock) => hand.busy.push(entry),
                }
            }
            // A locked job costs nothing: otherwise a few of them hide all that is due behind them.
            entries -= hand.busy.len() - busy_before;
        }
        // A live job that is locked is not due: its entry is left over from before a retry.
        let seems_due = |entry: &&Entry| {
            let status = self.slot(entry.slot).state().status();
            status.is_some_and(Status::is_ended)
        };
        swept.busy = hand.busy.iter().filter(seems_due).count();
        if let Some(began) = began.filter(|_| swept != Swept::default()) {
            tell(|| Event::Swept {
                removed: swept.removed,
                busy: swept.busy,
                panics: swept.panics.len(),
                took: self.timeline.elapsed().saturating_sub(began),
            });
        }
        swept
    }

    fn sweep_one(&self, mut locked: Locked<'_, T>, entry: Entry, now: u64, swept: &mut Swept) {
        if locked.body.filed != entry.time {
            return;
        }
        locked.body.filed = NEVER;
        let word = locked.word();
        let is_due = locked.body.removal.due().is_some_and(|due| due <= now);
        if !is_due || !word.status().is_some_and(Status::is_ended) {
            return self.file(&mut locked, now);
        }
        let target = Target {
            slot: entry.slot,
            generation: word.generation(),
            // ORDERING: Relaxed. The state word came after it, and the lock keeps the job there.
            nonce: locked.slot.nonce.load(Ordering::Relaxed),
            attempt: None,
        };
        self.remove_locked(locked, target, now, swept);
    }

    /// Removes a job that is found ended, with all that belongs to it, whatever panics on the way. `otherwise` is the time where
    /// the clock panics.
    fn remove_locked(
        &self,
        locked: Locked<'_, T>,
        target: Target,
        otherwise: u64,
        swept: &mut Swept,
    ) {
        let now = ON.then(|| contain(|| self.now())).flatten();
        let Some(mut removed) = self.vacate(locked, target, now.unwrap_or(otherwise)) else {
            return;
        };
        swept.removed += 1;
        removed.run_hook();
        removed.drop_payload();
        if let Some(panic) = removed.panics.take() {
            self.count_panic(target.id(), &*panic);
            let text = panic_message(&*panic).to_owned();
            swept.panics.push((target.id(), text));
            removed.panics.keep(panic);
        }
    }

    /// Counts a removal in which something panicked.
    #[cold]
    fn count_panic(&self, id: JobId, panic: &(dyn Any + Send)) {
        // ORDERING: Relaxed. A count.
        self.removal_panics.fetch_add(1, Ordering::Relaxed);
        let error = || panic_message(panic).into();
        contain(|| tell(|| Event::RemovalPanicked { id, error: error() }));
    }
}
