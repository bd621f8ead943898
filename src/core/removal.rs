//! Removal: `remove_after`, `remove` and `sweep`, which also carries out deadlines and the ends of
//! stops.
//!
//! A removal has six steps, in this order:
//!
//! 1. The slot moves on to its next generation, under the job's lock.
//! 2. The lock is released.
//! 3. The watchers are woken.
//! 4. The hook runs.
//! 5. The payload is dropped or returned.
//! 6. The slot becomes free.
//!
//! The next job of a slot therefore never meets anything of the previous one.

// The checkers' `thread_local!` has no const form.
#![allow(clippy::missing_const_for_thread_local)]

use crate::core::due_queue::{BATCH, DueQueue, Entry};
use crate::core::lookup::LockedJob;
use crate::core::registry_state::{Hook, RegistryState};
use crate::slots::body::{Begun, Info, Removal};
use crate::slots::fenced_id::FencedId;
use crate::sync::deferred::{Deferred, defer, holds_lock};
use crate::sync::panics::{Panics, contain, despite_panics, panic_message};
use crate::sync::rt::thread::Instant;
use crate::sync::{Arc, Mutex, Ordering, RAISES, thread_local};
use crate::telemetry::{Event, ON, emit};
use crate::types::clock::{NEVER, millis, millis_up};
use crate::types::error::{RemoveError, WouldDeadlock};
use crate::types::id::JobId;
use crate::types::snapshot::Snapshot;
use crate::types::state_word::Ending;
use crate::types::status::Status;
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::resume_unwind;
use std::time::Duration;

/// Report of a [`sweep`](crate::JobRegistry::sweep).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Number of jobs removed.
    pub removed: usize,
    /// Number of live jobs failed because their deadline has passed.
    pub expired: usize,
    /// Number of stopping jobs cancelled because the grace of their stop is over.
    pub cancelled: usize,
    /// Number of jobs that are due but whose lock another thread holds. The next sweep tries them
    /// again.
    pub busy: usize,
    /// Jobs that were removed or ended and for which the hook, the payload's destructor, a waker or
    /// a subscriber panicked, with the text of the first panic.
    pub panics: Vec<(JobId, String)>,
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            removed,
            expired,
            cancelled,
            busy,
            panics,
        } = self;
        write!(
            f,
            "{removed} removed, {expired} expired, {cancelled} cancelled, {busy} busy, {} panicked",
            panics.len()
        )
    }
}

impl Swept {
    /// Counts and reports the first panic of the user code that ran for a job.
    fn report<T>(&mut self, registry: &RegistryState<T>, id: JobId, panics: &mut Panics) {
        if let Some(panic) = panics.take() {
            registry.count_panic(id, &*panic);
            self.panics.push((id, panic_message(&*panic).into_owned()));
            if RAISES {
                resume_unwind(panic);
            }
            panics.keep(panic);
        }
    }
}

/// A job that has been moved out of its slot. The slot becomes free when this is dropped, after the
/// payload, even after a panic.
struct Removed<'a, T> {
    registry: &'a RegistryState<T>,
    id: FencedId,
    last: Snapshot,
    payload: Option<T>,
    begun: Begun,
    info: Info,
    /// Panics of the user code that ran for the removal.
    panics: Panics,
}

impl<T> Removed<'_, T> {
    #[inline(always)]
    fn run_hook(&mut self) {
        if let Some(hook) = &self.registry.settings.on_remove {
            self.run(hook);
        }
    }

    fn run(&mut self, hook: &Hook<T>) {
        if let Some(payload) = self.payload.take() {
            let record = self.info.record(self.begun, self.last, payload);
            self.panics.catch(|| hook(&record));
            self.payload = Some(record.payload);
        }
    }

    fn drop_payload(&mut self) {
        let payload = self.payload.take();
        if std::mem::needs_drop::<T>() {
            self.panics.catch(|| drop(payload));
        }
    }
}

impl<T> Drop for Removed<'_, T> {
    fn drop(&mut self) {
        // A payload is left only if a panic came before its regular drop.
        self.drop_payload();
        self.registry.table.give_back(self.id.slot);
    }
}

/// Entries that a sweep has taken. The destructor returns the unfinished ones to the queue, even
/// after a panic.
struct TakenEntries<'a> {
    queue: &'a DueQueue,
    due: Vec<Entry>,
    busy: Vec<Entry>,
}

impl Drop for TakenEntries<'_> {
    fn drop(&mut self) {
        self.due.append(&mut self.busy);
        if !self.due.is_empty() {
            drop(self.queue.insert(self.due.drain(..)));
        }
    }
}

/// The next step of a sweep for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Done,
    /// It has ended the job, whose removal is due as well, under the same entry.
    Again,
    /// The removal is due, and another thread is to carry it out.
    HandOver,
}

/// The treatment of jobs whose removal is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    CarryOut,
    /// They go to the queue of the jobs that another thread removes, so that a hook that hangs
    /// delays nothing else.
    HandOver,
}

/// State of the removals that have been handed over.
#[derive(Debug, Default)]
pub(crate) struct Removing(Mutex<Removals>);

#[derive(Debug, Default)]
struct Removals {
    /// Those that are carried out now, each with the instant at which it began. There is one,
    /// unless a sweep helps the reaper.
    under_way: Vec<(JobId, Instant)>,
    /// Number of threads that take them from the queue.
    takers: usize,
}

/// Marks a removal as under way until it is dropped.
struct UnderWay<'a> {
    removing: &'a Removing,
    id: JobId,
}

/// Counts a thread as taking removals until it is dropped.
struct Taking<'a>(&'a Removing);

impl Removing {
    fn enter(&self, id: JobId) -> UnderWay<'_> {
        self.0.lock().under_way.push((id, Instant::now()));
        UnderWay { removing: self, id }
    }

    fn take(&self) -> Taking<'_> {
        self.0.lock().takers += 1;
        Taking(self)
    }

    /// Returns the removal that has been under way for the longest time, and that time.
    pub(crate) fn under_way(&self) -> Option<(JobId, Duration)> {
        let first = self.0.lock().under_way.first().copied();
        first.map(|(id, began)| (id, began.elapsed()))
    }

    /// Returns whether a thread takes removals from the queue.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.lock().takers > 0
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut removals = self.removing.0.lock();
        removals.under_way.retain(|(id, _)| *id != self.id);
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.0.0.lock().takers -= 1;
    }
}

/// Limits of a sweep. Jobs that are locked do not count.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Number of entries taken from the due queue, whether or not their jobs are due.
    entries: usize,
    removals: usize,
}

impl Limits {
    const NONE: Self = Self {
        entries: usize::MAX,
        removals: usize::MAX,
    };
    const INCREMENT: Self = Self {
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

impl<'a, T> LockedJob<'a, T> {
    /// Schedules the removal of the job for `delay` after its end, or after this call if it has
    /// ended.
    pub(crate) fn remove_after(&mut self, delay: Duration) -> Result<(), RemoveError> {
        let word = self.word();
        self.id.admit(word)?;
        let delay = millis_up(delay);
        let now = millis_up(self.registry.timeline.elapsed());
        let mut info = self.info();
        let ended = info.ended;
        info.removal = match word.status() {
            Some(status) if status.is_ended() => {
                // If the clock has jumped back, the delay counts from the end, which was rounded
                // down.
                let from = if now < ended {
                    ended.saturating_add(1)
                } else {
                    now
                };
                Removal::at(from.saturating_add(delay))
            }
            _ => Removal::after(delay),
        };
        let duty = self.job_ref().schedule(&mut info, now);
        drop((self.slot.revise(), info, duty));
        Ok(())
    }

    /// Removes an ended job and returns its payload.
    pub(crate) fn remove(self) -> Result<T, RemoveError> {
        let word = self.word();
        self.id.admit(word)?;
        if !word.status().is_some_and(Status::is_ended) {
            return Err(RemoveError::Live);
        }
        // The clock is read before anything is changed: if it panics, the call is refused.
        let now = if ON { self.registry.now() } else { 0 };
        let (registry, id) = (self.registry, self.id.id());
        let outcome = self.vacate(now, |removed| {
            removed.run_hook();
            match removed.panics.take() {
                Some(panic) => Err(panic),
                None => Ok(removed.payload.take()),
            }
        });
        match outcome {
            Some(Ok(Some(payload))) => Ok(payload),
            // The payload has been dropped, so that a panic of its destructor was caught.
            Some(Err(panic)) => {
                registry.count_panic(id, &*panic);
                resume_unwind(panic)
            }
            Some(Ok(None)) | None => Err(RemoveError::Gone),
        }
    }

    /// Moves an ended job out of its slot, releases the lock and notifies the watchers. Then runs
    /// `finish`, and frees the slot. Returns `None` if the slot does not hold the job, or the job
    /// is live.
    // The removed job is passed by reference, because a return would copy it twice.
    #[inline(always)]
    fn vacate<R>(mut self, now: u64, finish: impl FnOnce(&mut Removed<'a, T>) -> R) -> Option<R> {
        let (registry, id) = (self.registry, self.id);
        let mut info = self.info();
        let stepped = self.slot.step(|word| {
            id.admit_reader(word)?;
            word.remove().map(Some).ok_or(RemoveError::Live)
        });
        let (word, _) = stepped.ok()?;
        // The other words of an ended job do not change until its slot is free.
        let (heartbeat, revision) = (self.slot.heartbeat(), self.slot.revision());
        let last = Snapshot::new(id.id(), word, heartbeat, revision)?;
        let (begun, last_info) = (self.slot.body.begun.take(), info.take());
        drop(info);
        let payload = self.payload.take();
        drop(self);
        let ended = last_info.ended;
        let mut removed = Removed {
            registry,
            id,
            last,
            payload,
            begun,
            info: last_info,
            panics: Panics::default(),
        };
        let watchers = registry.table.watchers();
        if let Some(wakers) = watchers.take_removed(id.slot, id.generation, &removed.last) {
            removed
                .panics
                .catch(|| defer(wakers.into_iter().map(Deferred::Wake)));
        }
        if ON {
            let kept = Duration::from_millis(now.saturating_sub(ended));
            let (id, status) = (id.id(), removed.last.status());
            removed
                .panics
                .catch(|| emit(|| Event::Removed { id, status, kept }));
        }
        Some(finish(&mut removed))
    }

    /// Removes the job if it has ended, even if user code panics. `fallback` is the time if the
    /// clock panics.
    pub(super) fn remove_into(self, fallback: u64, swept: &mut Swept) {
        let registry = self.registry;
        let now = ON.then(|| contain(|| registry.now())).flatten();
        self.vacate(now.unwrap_or(fallback), |removed| {
            swept.removed += 1;
            removed.run_hook();
            removed.drop_payload();
            swept.report(registry, removed.id.id(), &mut removed.panics);
        });
    }

    /// Removes the job if it has ended and is due. Its entry has been handed over, and is no longer
    /// in the due queue: a job that is not due is queued again.
    fn remove_if_due(mut self, now: u64, swept: &mut Swept) {
        let word = self.word();
        let mut info = self.info();
        if info.due(word.status()) > now || !word.status().is_some_and(Status::is_ended) {
            drop(self.job_ref().schedule(&mut info, now));
            return;
        }
        drop(info);
        self.id.generation = word.generation();
        // ORDERING: Relaxed. As in `sweep`.
        self.id.nonce = self.slot.nonce.load(Ordering::Relaxed);
        let _removing = self.registry.removing.enter(self.id.id());
        self.remove_into(now, swept);
    }

    /// Carries out what is due for the job, and queues it again for what is not. An ended job is
    /// removed. A live one fails at its deadline, and is cancelled when the grace of its stop is
    /// over.
    fn sweep(mut self, entry: Entry, now: u64, mode: Mode, swept: &mut Swept) -> Next {
        let mut info = self.info();
        if info.queued_at != entry.time {
            return Next::Done;
        }
        info.queued_at = NEVER;
        let word = self.word();
        if info.due(word.status()) > now {
            drop(self.job_ref().schedule(&mut info, now));
            return Next::Done;
        }
        let is_ended = word.status().is_some_and(Status::is_ended);
        if is_ended && mode == Mode::HandOver {
            return Next::HandOver;
        }
        let (stop_by, deadline) = (info.stop_by(), info.options().deadline_or_zero());
        if !is_ended {
            // The ending queues no removal, which may be due now.
            info.queued_at = entry.time;
        }
        drop(info);
        self.id.generation = word.generation();
        // ORDERING: Relaxed. The state word was stored after the nonce, and the lock keeps the job
        // in the slot.
        self.id.nonce = self.slot.nonce.load(Ordering::Relaxed);
        if is_ended {
            self.remove_into(now, swept);
            return Next::Done;
        }
        // The entry is used up: a clock that panics must not lose the ending.
        let registry = self.registry;
        let elapsed = contain(|| registry.timeline.elapsed());
        let elapsed = elapsed.unwrap_or(Duration::from_millis(now));
        let ended = if word.status() == Some(Status::Stopping) && stop_by <= now {
            swept.cancelled += 1;
            self.end_at(|| elapsed, Ending::Cancelled, None)
        } else {
            swept.expired += 1;
            let reason = format!("deadline exceeded after {deadline:?}");
            self.end_at(|| elapsed, Ending::Failed, Some(reason))
        };
        debug_assert!(ended.is_ok(), "a locked live job can be ended");
        let mut info = self.info();
        let is_due = info.due(self.word().status()) <= now;
        if !is_due {
            info.queued_at = NEVER;
            drop(self.job_ref().schedule(&mut info, now));
        }
        drop(info);
        // Wakers and subscribers run when the lock is released.
        let id = self.id.id();
        let mut panics = Panics::default();
        panics.catch(|| drop(self));
        swept.report(registry, id, &mut panics);
        if is_due { Next::Again } else { Next::Done }
    }
}

impl<T> RegistryState<T> {
    pub(crate) fn sweep(&self) -> Swept {
        self.sweep_at(self.now())
    }

    pub(crate) fn sweep_at(&self, now: u64) -> Swept {
        self.sweep_within(Limits::NONE, now)
    }

    /// Sweeps at most two entries. Returns whether it did anything.
    pub(crate) fn sweep_incrementally(&self, now: u64) -> bool {
        self.sweep_within(Limits::INCREMENT, now) != Swept::default()
    }

    /// Removes the first due job whose lock is free. Returns whether there was one.
    #[cold]
    pub(crate) fn sweep_one_job(&self, now: u64) -> bool {
        self.sweep_within(Limits::ONE_JOB, now).removed > 0
    }

    /// Carries out deadlines and ends of stops, and hands over what is to be removed.
    pub(crate) fn sweep_limits(&self, now: u64) -> Swept {
        let mut swept = Swept::default();
        let queue = &self.due;
        self.sweep_queue(queue, Limits::NONE, now, Mode::HandOver, &mut swept);
        self.emit_swept(&swept, None);
        swept
    }

    /// Carries out the removals that have been handed over.
    pub(crate) fn remove_handed_over(&self, now: u64) -> Swept {
        let began = ON.then(|| self.timeline.elapsed());
        let mut swept = Swept::default();
        let queue = &self.handed_over;
        let _taking = self.removing.take();
        self.sweep_queue(queue, Limits::NONE, now, Mode::CarryOut, &mut swept);
        self.emit_swept(&swept, began);
        swept
    }

    /// Removes every ended job whose lock is free, due or not.
    pub(crate) fn remove_ended(&self) -> Swept {
        let mut swept = Swept::default();
        if holds_lock() {
            return swept;
        }
        let Some(_sweeping) = Sweeping::enter(std::ptr::from_ref(self).addr()) else {
            return swept;
        };
        let began = ON.then(|| contain(|| self.timeline.elapsed())).flatten();
        let now = began.map_or(0, millis);
        // A panic of a waker is dropped: the waker has been called.
        let _ = despite_panics(self.snapshots(), |seen| {
            if !seen.status().is_ended() {
                return;
            }
            let Ok(job) = self.resolve(seen.id()) else {
                return;
            };
            match job.try_lock() {
                // The status is checked again: the job may have been retried or removed since it
                // was seen.
                Ok(Some(locked)) => locked.remove_into(now, &mut swept),
                Ok(None) | Err(WouldDeadlock) => swept.busy += 1,
            }
        });
        contain(|| self.emit_swept(&swept, began));
        swept
    }

    /// Does nothing on a thread that holds a job's lock, under which hooks and destructors must not
    /// run. Does nothing in a hook or destructor that a sweep runs: that sweep continues.
    #[inline]
    fn sweep_within(&self, limits: Limits, now: u64) -> Swept {
        if self.due.is_due(now) || self.handed_over.is_due(now) {
            self.sweep_due(limits, now)
        } else {
            Swept::default()
        }
    }

    fn sweep_due(&self, limits: Limits, now: u64) -> Swept {
        let began = ON.then(|| self.timeline.elapsed());
        let mut swept = Swept::default();
        for queue in [&*self.handed_over, &*self.due] {
            self.sweep_queue(queue, limits, now, Mode::CarryOut, &mut swept);
        }
        self.emit_swept(&swept, began);
        swept
    }

    /// Carries out what was due at `now` when the call began. What becomes due meanwhile, such as a
    /// job that a hook registers and ends, is left to the next sweep.
    fn sweep_queue(
        &self,
        queue: &DueQueue,
        limits: Limits,
        now: u64,
        mode: Mode,
        swept: &mut Swept,
    ) {
        let Some(_sweeping) = Sweeping::enter(std::ptr::from_ref(self).addr()) else {
            return;
        };
        let is_handed_over = std::ptr::eq(queue, &raw const *self.handed_over);
        let mut due_now = queue.due_now(now);
        let mut taken = TakenEntries {
            queue,
            due: Vec::new(),
            busy: Vec::new(),
        };
        let mut handed_over = TakenEntries {
            queue: &self.handed_over,
            due: Vec::new(),
            busy: Vec::new(),
        };
        let mut entries = 0;
        loop {
            let most = limits.left(entries, swept.removed).min(BATCH);
            if most == 0 || holds_lock() {
                break;
            }
            taken.due = queue.take(&mut due_now, most);
            if taken.due.is_empty() {
                break;
            }
            let busy_before = taken.busy.len();
            entries += taken.due.len();
            // The slots are scattered in memory. Their cache misses overlap if all are prefetched
            // first.
            taken
                .due
                .iter()
                .for_each(|entry| self.table.prefetch(entry.slot));
            // `pop` takes the earliest entry first.
            taken.due.reverse();
            while let Some(entry) = taken.due.pop() {
                match self.job(FencedId::of_slot(entry.slot)).try_lock() {
                    Ok(Some(locked)) if is_handed_over => locked.remove_if_due(now, swept),
                    Ok(Some(locked)) => {
                        let mut next = locked.sweep(entry, now, mode, swept);
                        if next == Next::Again {
                            match self.job(FencedId::of_slot(entry.slot)).try_lock() {
                                Ok(Some(locked)) => {
                                    next = locked.sweep(entry, now, mode, swept);
                                }
                                Ok(None) | Err(WouldDeadlock) => taken.busy.push(entry),
                            }
                        }
                        if next == Next::HandOver {
                            handed_over.due.push(entry);
                        }
                    }
                    Ok(None) | Err(WouldDeadlock) => taken.busy.push(entry),
                }
            }
            // Locked jobs do not count. Otherwise a few of them would hide all due jobs behind
            // them.
            entries -= taken.busy.len() - busy_before;
        }
        // An entry may be left over from before a retry.
        let is_due = |entry: &&Entry| {
            let slot = self.slot(entry.slot);
            let info = slot.body.info.lock();
            let is_queued = is_handed_over || info.queued_at == entry.time;
            is_queued && info.due(slot.state().status()) <= now
        };
        let due = taken.busy.iter().filter(is_due);
        let mut jobs: Vec<u32> = due.map(|entry| entry.slot).collect();
        // The entry from before a retry may have the same time.
        jobs.sort_unstable();
        jobs.dedup();
        swept.busy += jobs.len();
    }

    fn emit_swept(&self, swept: &Swept, began: Option<Duration>) {
        if ON && *swept != Swept::default() {
            let now = || self.timeline.elapsed();
            emit(|| Event::Swept {
                removed: swept.removed,
                expired: swept.expired,
                cancelled: swept.cancelled,
                busy: swept.busy,
                panics: swept.panics.len(),
                took: began.map_or(Duration::ZERO, |began| now().saturating_sub(began)),
            });
        }
    }

    /// Counts a removal in which user code panicked.
    #[cold]
    fn count_panic(&self, id: JobId, panic: &(dyn Any + Send)) {
        // ORDERING: Relaxed. A count.
        self.removal_panics.fetch_add(1, Ordering::Relaxed);
        let error = || Arc::from(panic_message(panic));
        contain(|| emit(|| Event::RemovalPanicked { id, error: error() }));
    }
}

thread_local! {
    /// The addresses of the registries that this thread sweeps: usually none.
    static SWEEPING: RefCell<Vec<usize>> = RefCell::new(Vec::new());
}

/// The permission of this thread to sweep a registry, or to make room in it. Without it, a hook or
/// destructor that sweeps or registers would recurse until the stack overflows.
pub(super) struct Sweeping(());

impl Sweeping {
    /// Returns `None` within a sweep of the same registry, and while the thread's locals are
    /// destroyed.
    pub(super) fn enter(registry: usize) -> Option<Self> {
        let entered = SWEEPING.try_with(|sweeping| {
            let mut sweeping = sweeping.borrow_mut();
            let is_first = !sweeping.contains(&registry);
            if is_first {
                sweeping.push(registry);
            }
            is_first
        });
        entered.unwrap_or(false).then(|| Self(()))
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        // Sweeps end in the reverse of the order in which they began.
        let _ = SWEEPING.try_with(|sweeping| sweeping.borrow_mut().pop());
    }
}

/// Returns whether this thread sweeps no registry.
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) fn is_idle() -> bool {
    SWEEPING.with_borrow(Vec::is_empty)
}
