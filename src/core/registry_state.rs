//! [`RegistryState`]: the state that all handles of one registry share.

use crate::core::due_queue::DueQueue;
use crate::core::removal::Removing;
use crate::core::room::OldestEnded;
use crate::core::works::Works;
use crate::slots::fenced_id::FencedId;
use crate::slots::free_list::NoSlot;
use crate::slots::slot::Slot;
use crate::slots::table::Table;
use crate::sync::cache_padded::CachePadded;
use crate::sync::deferred::{Deferred, defer};
use crate::sync::panics::{Panics, contain};
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::types::clock::{NEVER, Timeline, millis};
use crate::types::cursor::{Cursor, Page};
use crate::types::error::RegisterError;
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::id::IdKey;
use crate::types::options::Options;
use crate::types::snapshot::{Record, Snapshot};
use crate::types::state_word::StateWord;
use crate::types::when_full::WhenFull;
use std::convert::Infallible;
use std::time::Duration;

pub(crate) struct RegistryState<T> {
    pub(crate) table: Table<T>,
    pub(crate) due: CachePadded<DueQueue>,
    /// The ended jobs whose removal a reaper has handed over to its other thread.
    pub(crate) handed_over: CachePadded<DueQueue>,
    pub(crate) removing: Removing,
    pub(crate) works: Arc<Works>,
    pub(crate) oldest_ended: OldestEnded,
    pub(crate) timeline: Timeline,
    pub(crate) id_key: IdKey,
    pub(crate) settings: Settings<T>,
    /// Number of removals in which user code panicked.
    pub(crate) removal_panics: AtomicU64,
    /// The least of the stall limits that jobs of their own have been registered with, or `NEVER`.
    pub(crate) least_own_stall_limit: AtomicU64,
    #[cfg(feature = "tokio")]
    pub(crate) tasks: crate::core::tasks::Tasks,
}

/// The settings that the builder fixes.
pub(crate) struct Settings<T> {
    /// Milliseconds; `NEVER` if ended jobs stay.
    pub(crate) retention: u64,
    /// Milliseconds; `NEVER` if no job counts as stalled.
    pub(crate) stall_after: u64,
    /// Milliseconds; `NEVER` if a stopping job is not cancelled.
    pub(crate) stop_grace: u64,
    pub(crate) on_remove: Option<Hook<T>>,
    /// Whether `register` sweeps up to two entries, and one more job at capacity.
    pub(crate) sweep_on_register: bool,
    pub(crate) when_full: WhenFull,
}

/// The callback of the builder's `on_remove`.
pub(crate) type Hook<T> = Box<dyn Fn(&Record<T>) + Send + Sync>;

/// An empty slot that belongs to a registration. The slot becomes free again if this is dropped.
pub(crate) struct Reservation<'a, T> {
    table: &'a Table<T>,
    slot: Slot<'a, T>,
}

impl<T> Drop for Reservation<'_, T> {
    fn drop(&mut self) {
        self.table.give_back(self.slot.index);
    }
}

impl<T> RegistryState<T> {
    pub(crate) fn new(
        capacity: usize,
        first_generation: u32,
        timeline: Timeline,
        settings: Settings<T>,
    ) -> Self {
        Self {
            table: Table::new(capacity, first_generation),
            due: CachePadded(DueQueue::new()),
            handed_over: CachePadded(DueQueue::new()),
            removing: Removing::default(),
            works: Arc::default(),
            oldest_ended: OldestEnded::new(),
            timeline,
            id_key: IdKey::new(),
            settings,
            removal_panics: AtomicU64::new(0),
            least_own_stall_limit: AtomicU64::new(NEVER),
            #[cfg(feature = "tokio")]
            tasks: crate::core::tasks::Tasks::default(),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        millis(self.timeline.elapsed())
    }

    /// Registers a pending job. With `sweep_on_register`, it first sweeps up to two entries.
    pub(crate) fn register(
        &self,
        payload: T,
        options: Options,
    ) -> Result<FencedId, RegisterError<T>> {
        let mut now = self.sweep_to_register();
        loop {
            match self.reserve() {
                Ok(reservation) => return self.publish(reservation, payload, options, now),
                Err(NoSlot::Full) if self.make_room(millis(now)) => now = self.timeline.elapsed(),
                Err(NoSlot::Full) => return Err(RegisterError::Full(payload)),
                Err(NoSlot::Closed) => return Err(RegisterError::Closed(payload)),
            }
        }
    }

    /// Sweeps as `sweep_on_register` asks for. Returns the time of the registration, which is after
    /// the sweep: hooks and destructors may have taken long.
    pub(crate) fn sweep_to_register(&self) -> Duration {
        let now = self.timeline.elapsed();
        if self.settings.sweep_on_register && self.sweep_incrementally(millis(now)) {
            self.timeline.elapsed()
        } else {
            now
        }
    }

    /// Removes a job from a full registry, as the settings permit: a due one, or the one with the
    /// earliest end. Returns whether there was one. The caller holds no lock.
    #[cold]
    pub(crate) fn make_room(&self, now: u64) -> bool {
        let Settings {
            sweep_on_register,
            when_full,
            ..
        } = self.settings;
        sweep_on_register && self.sweep_one_job(now)
            || when_full == WhenFull::RemoveOldestEnded && self.remove_oldest_ended(now)
    }

    /// Takes an empty slot for a job. It runs no user code and waits for no job's lock.
    pub(crate) fn reserve(&self) -> Result<Reservation<'_, T>, NoSlot> {
        let slot = self.table.take().map_err(|reason| {
            // The count is closed after the flag, which other calls may have seen.
            let is_closed = self.table.free().is_closed();
            if is_closed { NoSlot::Closed } else { reason }
        })?;
        Ok(Reservation {
            table: &self.table,
            slot,
        })
    }

    /// Puts the payload into a reserved slot and publishes its job, which is pending. It runs no
    /// user code and waits for no job's lock.
    ///
    /// The registration is refused if the registry has been closed. The lock of the info is kept
    /// from that check until the job is published. A thread that takes this lock after a close
    /// therefore sees the job, or the job is never published.
    #[inline]
    pub(crate) fn publish(
        &self,
        reservation: Reservation<'_, T>,
        payload: T,
        options: Options,
        now: Duration,
    ) -> Result<FencedId, RegisterError<T>> {
        let slot = reservation.slot;
        let generation = slot.state().generation();
        // This lock needs no permit: the slot is empty, and a thread that holds its lock releases
        // it immediately. Registering therefore works under a guard.
        let mut body = slot.body.payload.lock();
        let mut info = slot.body.info.lock();
        if self.table.free().is_closed() {
            drop((info, body));
            return Err(RegisterError::Closed(payload));
        }
        std::mem::forget(reservation);
        let empty = body.replace(payload);
        debug_assert!(empty.is_none());
        drop(body);
        slot.body.begun.register(millis(now));
        if options != Options::new() {
            info.set_options(now, options);
        }
        let sooner = options
            .stall_millis()
            .is_some_and(|limit| self.lower_stall_limit(limit));
        // The heartbeat word is opened before the nonce is stored. A thread that loads this nonce
        // therefore sees the new heartbeat word, and no word of the previous job.
        slot.open(generation, millis(now));
        // ORDERING: Release pairs with the Acquire in `has_nonce_of`.
        let nonce = self.id_key.id(slot.index, generation).nonce;
        slot.nonce.store(nonce, Ordering::Release);
        let published = slot.step::<Infallible>(|word| Ok(word.register()));
        debug_assert!(
            published.is_ok_and(|(before, after)| before != after),
            "the slot was not empty"
        );
        let id = FencedId {
            slot: slot.index,
            generation,
            nonce,
            attempt: Some(1),
        };
        // An entry before the publication would be lost to a sweep that finds the slot vacant.
        let duty = (options != Options::new())
            .then(|| self.job(id).schedule(&mut info, millis(now)))
            .flatten();
        drop(info);
        // A panic of a waker must not take the job from its owner.
        contain(|| drop((duty, sooner.then(|| self.due.wake_reapers()))));
        Ok(id)
    }

    /// Returns all jobs, each as it is when the iterator reaches it.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = Snapshot> {
        self.snapshots_where(|_, word, _| word.status().is_some())
    }

    /// Returns the jobs whose words are `wanted`.
    pub(crate) fn snapshots_where(
        &self,
        wanted: impl Fn(Slot<'_, T>, StateWord, HeartbeatWord) -> bool,
    ) -> impl Iterator<Item = Snapshot> {
        self.table.iter().filter_map(move |slot| {
            let (word, heartbeat, revision) = slot.load_all();
            let id = || self.id_in(slot, word.generation());
            wanted(slot, word, heartbeat).then(|| Snapshot::new(id(), word, heartbeat, revision))?
        })
    }

    /// Returns up to `most` jobs in the order of their slots, from `from` on, and the cursor of the
    /// next page. A job keeps its slot, so that a walk comes to it once.
    pub(crate) fn page(&self, from: Cursor, most: usize) -> Page {
        let (mut jobs, mut next) = (Vec::new(), from);
        while jobs.len() < most {
            let Some(slot) = self.table.get(next.slot) else {
                return Page { jobs, next: None };
            };
            // Indices of slots are far below the largest number.
            next.slot += 1;
            let (word, heartbeat, revision) = slot.load_all();
            let id = || self.id_in(slot, word.generation());
            let snapshot = word
                .status()
                .and_then(|_| Snapshot::new(id(), word, heartbeat, revision));
            jobs.extend(snapshot);
        }
        Page {
            jobs,
            next: Some(next),
        }
    }

    /// Returns both words of every slot, also of vacant ones. If a waker panics, `next` panics, and
    /// the iterator continues with the next slot.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (Slot<'_, T>, StateWord, HeartbeatWord)> {
        self.table.iter().map(|slot| {
            let (word, heartbeat) = slot.load_pair();
            (slot, word, heartbeat)
        })
    }
}

impl<T> Drop for RegistryState<T> {
    fn drop(&mut self) {
        // The payloads are dropped one by one: two that panic in one drop of the table would abort
        // the process.
        let mut panics = Panics::default();
        if std::mem::needs_drop::<T>() {
            for slot in self.table.iter() {
                let payload = slot.body.payload.lock().take();
                panics.catch(|| drop(payload));
            }
        }
        let wakers = self.table.watchers_mut().take_all();
        panics.catch(|| defer(wakers.into_iter().map(Deferred::Wake)));
        // The reapers find the registry gone, and end.
        panics.catch(|| drop(self.due.wake_reapers()));
        panics.catch(|| drop(self.handed_over.wake_reapers()));
        panics.resume();
    }
}
