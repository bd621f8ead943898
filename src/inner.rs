//! What all handles of one registry share, and the part of every call that is the same by id and by
//! handle.

use crate::apart::Apart;
use crate::beat::Beat;
use crate::clock::{Timeline, millis};
use crate::due::DueQueue;
use crate::error::{LookupError, RegisterError};
use crate::free::NoSlot;
use crate::id::{JobId, Mint};
use crate::removal::Hook;
use crate::slot::Slot;
use crate::snapshot::Snapshot;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Mark, Ordering};
use crate::table::Table;
use crate::target::Target;
use crate::thread::{Effect, Panics, defer};
use crate::word::Word;
use std::convert::Infallible;

pub(crate) struct Inner<T> {
    pub(crate) table: Table<T>,
    pub(crate) due: Apart<DueQueue>,
    pub(crate) timeline: Timeline,
    pub(crate) mint: Mint,
    pub(crate) settings: Settings<T>,
    /// Removals in which the hook or the payload's drop panicked.
    pub(crate) removal_panics: AtomicU64,
    /// Reapers at work. Without one, `register` sweeps a little.
    pub(crate) reapers: AtomicUsize,
    #[cfg(feature = "tokio")]
    pub(crate) tasks: crate::task::Tasks,
}

/// What the builder sets once.
pub(crate) struct Settings<T> {
    /// Milliseconds; `NEVER` where ended jobs stay.
    pub(crate) retention: u64,
    /// Milliseconds; `NEVER` where no job counts as stalled.
    pub(crate) stall_after: u64,
    pub(crate) on_remove: Option<Hook<T>>,
}

impl<T> Inner<T> {
    pub(crate) fn now(&self) -> u64 {
        millis(self.timeline.elapsed())
    }

    /// The slot of a target, which comes from an id or a handle of this registry.
    #[inline(always)]
    pub(crate) fn slot(&self, index: u32) -> Slot<'_, T> {
        self.table.get(index).expect("slots never go away")
    }

    /// Where the target of a handle is.
    #[inline(always)]
    pub(crate) fn at(&self, target: Target) -> Found<'_, T> {
        (self.slot(target.slot), target)
    }

    /// Whom an id means. Whether the job is still there is for the caller to ask of the state word.
    #[inline(always)]
    pub(crate) fn find(&self, id: JobId) -> Result<Found<'_, T>, LookupError> {
        let mark = Mark::here();
        let slot = self.table.get(id.slot).ok_or(LookupError::NotFound)?;
        let seen = slot.state();
        let is_here = seen.generation() == id.generation && !seen.is_vacant();
        // The half is read between two looks that see the job: it is the job's, and not that of the one before or after it.
        // A generation that has not moved on is enough for the second: a job's place is vacant before it, not after.
        let target = Target::of(id);
        let is_present =
            is_here && slot.is_of(target) && slot.state().generation() == id.generation;
        mark.again("found", u64::from(is_present));
        if !is_present {
            return Err(self.missing(id.nonce, id.generation, id.slot));
        }
        Ok((slot, target))
    }

    /// Of what its slot does not hold (any more), the key tells whether it ever did.
    #[cold]
    fn missing(&self, nonce: u64, generation: u32, slot: u32) -> LookupError {
        // Its parts and not the id, which the hot path would have to put into memory to hand it on.
        let id = JobId {
            nonce,
            generation,
            slot,
        };
        if self.slot(id.slot).state().generation() > id.generation && self.mint.has_issued(id) {
            LookupError::Gone
        } else {
            LookupError::NotFound
        }
    }

    /// The id of the job that a slot was seen to hold.
    fn id_seen(&self, slot: Slot<'_, T>, generation: u32) -> JobId {
        // ORDERING: Acquire, for the half of a later id: who sees it sees that the job has gone.
        let nonce = slot.nonce.load(Ordering::Acquire);
        if slot.state().generation() == generation {
            JobId {
                nonce,
                generation,
                slot: slot.index,
            }
        } else {
            self.mint.id(slot.index, generation)
        }
    }

    /// Puts a payload into a free slot and publishes the job, pending.
    ///
    /// Without a reaper, a due job makes room for it where there is none.
    pub(crate) fn register(
        &self,
        payload: T,
        mut now: u64,
        has_reaper: bool,
    ) -> Result<Target, RegisterError<T>> {
        let slot = loop {
            match self.table.take() {
                Ok(slot) => break slot,
                Err(NoSlot::Full) if !has_reaper && self.make_room(now) => now = self.now(),
                Err(NoSlot::Full) => return Err(RegisterError::Full(payload)),
                Err(NoSlot::Closed) => return Err(RegisterError::Closed(payload)),
            }
        };
        let generation = slot.state().generation();
        // This lock is not the right to a job's: the slot is empty and nobody can hold it for longer
        // than it takes to see that. That is why registering works under a guard.
        let mut body = slot.body.lock();
        debug_assert!(body.payload.is_none());
        body.payload = Some(payload);
        body.registered = now;
        drop(body);
        // Before the half of the id: who sees that sees the beat word changed, and none of the job before.
        slot.open(generation, now);
        // ORDERING: Release; see `find`.
        let nonce = self.mint.id(slot.index, generation).nonce;
        slot.nonce.store(nonce, Ordering::Release);
        let published = slot.step::<Infallible>(|word| Ok(word.register()));
        debug_assert!(
            published.is_ok_and(|(before, after)| before != after),
            "the slot was not empty"
        );
        Ok(Target {
            slot: slot.index,
            generation,
            nonce,
            attempt: Some(1),
        })
    }

    /// All jobs, each as it is when the walk reaches it.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = Snapshot> {
        self.snapshots_of(|word, _| word.status().is_some())
    }

    /// The jobs that are wanted.
    pub(crate) fn snapshots_of(
        &self,
        wanted: impl Fn(Word, Beat) -> bool,
    ) -> impl Iterator<Item = Snapshot> {
        self.observed().filter_map(move |(slot, word, beat)| {
            let id = || self.id_seen(slot, word.generation());
            wanted(word, beat).then(|| Snapshot::new(id(), word, beat))?
        })
    }

    /// Every slot, also those that are empty. A waker that panics makes the iterator panic, which goes on
    /// with the next slot.
    pub(crate) fn observed(&self) -> impl Iterator<Item = (Slot<'_, T>, Word, Beat)> {
        self.table.iter().map(|slot| {
            let (word, beat) = slot.observe();
            (slot, word, beat)
        })
    }
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        // One by one: two payloads that panic in one drop of the table would end the process.
        let mut panics = Panics::default();
        if std::mem::needs_drop::<T>() {
            for slot in self.table.iter() {
                let payload = slot.body.lock().payload.take();
                panics.catch(|| drop(payload));
            }
        }
        let wakers = self.table.watchers_mut().take_all();
        panics.catch(|| defer(wakers.into_iter().map(Effect::Wake)));
        panics.resume();
    }
}

/// A target, and the slot that it is in: looked up once for each call.
pub(crate) type Found<'a, T> = (Slot<'a, T>, Target);

/// Shared by every handle of the registry.
pub(crate) type Shared<T> = Arc<Inner<T>>;
