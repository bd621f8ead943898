//! [`RegistryState`]: the state that all handles of one registry share.

use crate::core::due_queue::DueQueue;
use crate::core::lookup::JobRef;
use crate::slots::fenced_id::FencedId;
use crate::slots::free_list::NoSlot;
use crate::slots::slot::Slot;
use crate::slots::table::Table;
use crate::sync::cache_padded::CachePadded;
use crate::sync::deferred::{Deferred, defer};
use crate::sync::panics::Panics;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use crate::types::clock::{Clock, Timeline, millis};
use crate::types::error::RegisterError;
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::id::IdKey;
use crate::types::options::Options;
use crate::types::snapshot::{Record, Snapshot};
use crate::types::state_word::StateWord;
use std::convert::Infallible;

pub(crate) struct RegistryState<T> {
    pub(crate) table: Table<T>,
    pub(crate) due: CachePadded<DueQueue>,
    pub(crate) timeline: Timeline,
    pub(crate) id_key: IdKey,
    pub(crate) settings: Settings<T>,
    /// Number of removals in which user code panicked.
    pub(crate) removal_panics: AtomicU64,
    /// Number of running reapers. Without one, `register` sweeps up to two entries.
    pub(crate) reapers: AtomicUsize,
    /// 1 once a job with a stall limit of its own has been registered.
    pub(crate) own_stall_limits: AtomicU64,
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
}

/// The callback of the builder's `on_remove`.
pub(crate) type Hook<T> = Box<dyn Fn(&Record<T>) + Send + Sync>;

impl<T> RegistryState<T> {
    pub(crate) fn new(
        capacity: usize,
        first_generation: u32,
        clock: Box<dyn Clock>,
        settings: Settings<T>,
    ) -> Self {
        Self {
            table: Table::new(capacity, first_generation),
            due: CachePadded(DueQueue::new()),
            timeline: Timeline::new(clock),
            id_key: IdKey::new(),
            settings,
            removal_panics: AtomicU64::new(0),
            reapers: AtomicUsize::new(0),
            own_stall_limits: AtomicU64::new(0),
            #[cfg(feature = "tokio")]
            tasks: crate::core::tasks::Tasks::default(),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        millis(self.timeline.elapsed())
    }

    /// Registers a pending job: puts the payload into a free slot and publishes the job. Without a
    /// reaper, it first sweeps up to two entries, and it removes a due job if the registry is full.
    pub(crate) fn register(
        &self,
        payload: T,
        options: Options,
    ) -> Result<FencedId, RegisterError<T>> {
        let mut elapsed = self.timeline.elapsed();
        // ORDERING: Relaxed. Whether a reaper has just come or gone makes no difference.
        let has_reaper = self.reapers.load(Ordering::Relaxed) > 0;
        if !has_reaper && self.sweep_incrementally(millis(elapsed)) {
            // Hooks and destructors may have taken long.
            elapsed = self.timeline.elapsed();
        }
        let slot = loop {
            match self.table.take() {
                Ok(slot) => break slot,
                Err(NoSlot::Full) if !has_reaper && self.make_room(millis(elapsed)) => {
                    elapsed = self.timeline.elapsed();
                }
                Err(NoSlot::Full) => return Err(RegisterError::Full(payload)),
                Err(NoSlot::Closed) => return Err(RegisterError::Closed(payload)),
            }
        };
        let generation = slot.state().generation();
        // This lock needs no permit: the slot is empty, and a thread that holds its lock releases
        // it immediately. Registering therefore works under a guard.
        let empty = slot.body.payload.lock().replace(payload);
        debug_assert!(empty.is_none());
        slot.body.info.lock().register(elapsed, options);
        if options.own_stall_after().is_some() {
            // ORDERING: Relaxed. The publication of the job below releases it.
            self.own_stall_limits.store(1, Ordering::Relaxed);
        }
        // The heartbeat word is opened before the nonce is stored. A thread that loads this nonce
        // therefore sees the new heartbeat word, and no word of the previous job.
        slot.open(generation, millis(elapsed));
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
        if options != Options::new() {
            self.schedule_deadline(self.job(id), millis(elapsed));
        }
        Ok(id)
    }

    /// Queues a job that has just been published for its deadline, if it has one. An entry before
    /// the publication would be lost to a sweep that finds the slot vacant.
    fn schedule_deadline(&self, job: JobRef<'_, T>, now: u64) {
        let mut info = job.slot.body.info.lock();
        if job.slot.state().generation() == job.id.generation {
            job.schedule(&mut info, now);
        }
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
        panics.resume();
    }
}
