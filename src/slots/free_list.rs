//! The free list: the slots that hold no job.
//!
//! An atomic count is the gate. A caller that raises it may have a slot, and that compare-exchange
//! alone decides whether the registry is full. The caller may get any slot.
//!
//! Each thread therefore takes from a magazine. It goes to the shared depot only if its magazine is
//! empty or overflows (Bonwick and Adams, "Magazines and Vmem", USENIX 2001). Threads with a
//! magazine each do not contend for a lock, and do not move the memory of their slots between
//! caches.
//!
//! Magazines and depot are first in, first out, which wears out the generations of all slots
//! evenly.
//!
//! # Invariants
//!
//! 1. A slot that was ever taken is in exactly one place: with a caller, in one magazine, or in the
//!    depot. A retired slot is in none. A move between a magazine and the depot takes both locks.
//! 2. The count is at least the number of slots with callers. It is raised before a slot is taken,
//!    and lowered after the slot has been returned.
//! 3. A new slot is made only while the depot and the caller's own magazine are empty. At most
//!    `(MAGAZINES - 1) * ROOM` idle slots exist at that instant.
//! 4. Locks are taken in one order: magazines by their index, then the depot.
//!
//! By 1 and 2, `NoSlot::Full` means that other callers hold `capacity` slots, or every slot of the
//! table that has not been retired. This holds for any number of threads.

use crate::slots::layout::MAX_SLOTS;
use crate::sync::boxed::boxed;
use crate::sync::cache_padded::CachePadded;
use crate::sync::{AtomicUsize, MODELLED, Mutex, Ordering};
use std::collections::VecDeque;

/// The free list of a registry. In models it has one magazine with room for one slot, so that two
/// threads contend for every slot and reuse it immediately.
pub(crate) type FreeSlots =
    FreeList<{ if MODELLED { 1 } else { 16 } }, { if MODELLED { 1 } else { 64 } }, MAX_SLOTS>;

/// Flag in the count, above every possible number.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// A free list with `MAGAZINES` magazines of at most `ROOM` slots, for a table of `SLOTS` slots.
#[derive(Debug)]
pub(crate) struct FreeList<const MAGAZINES: usize, const ROOM: usize, const SLOTS: usize> {
    /// Number of slots taken, and whether the list is closed.
    taken: CachePadded<AtomicUsize>,
    magazines: Box<[CachePadded<Mutex<VecDeque<u32>>>; MAGAZINES]>,
    depot: CachePadded<Mutex<Depot>>,
    /// 1 once the list is closed. Unlike the count, it is written once, and its cache line stays.
    closed: AtomicUsize,
    capacity: usize,
}

#[derive(Debug)]
struct Depot {
    indices: VecDeque<u32>,
    /// Number of slots that have ever been taken.
    grown: u32,
}

/// Reason why no slot is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSlot {
    Full,
    Closed,
}

impl<const MAGAZINES: usize, const ROOM: usize, const SLOTS: usize>
    FreeList<MAGAZINES, ROOM, SLOTS>
{
    /// Number of slots that move between a magazine and the depot at once.
    const LOAD: usize = ROOM.div_ceil(2);

    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            taken: CachePadded(AtomicUsize::new(0)),
            magazines: boxed(CachePadded::default),
            depot: CachePadded(Mutex::new(Depot {
                indices: VecDeque::new(),
                grown: 0,
            })),
            closed: AtomicUsize::new(0),
            capacity: capacity.min(SLOTS),
        }
    }

    /// Returns the index of an empty slot, which belongs to the caller alone.
    pub(crate) fn take(&self) -> Result<u32, NoSlot> {
        self.reserve()?;
        let mut magazine = self.magazine().lock();
        if let Some(index) = magazine.pop_front() {
            return Ok(index);
        }
        let loaded = self.load(&mut magazine);
        drop(magazine);
        loaded.or_else(|| self.gather()).ok_or_else(|| {
            self.release();
            NoSlot::Full
        })
    }

    /// Takes a slot back. `None` retires it: it is never taken again.
    pub(crate) fn give_back(&self, index: Option<u32>) {
        if let Some(index) = index {
            let mut magazine = self.magazine().lock();
            magazine.push_back(index);
            if magazine.len() > ROOM {
                self.unload(&mut magazine);
            }
        }
        // The count is lowered last, because a caller that passes the gate relies on the slot being
        // there.
        self.release();
    }

    /// Moves the oldest slots of a magazine to the depot.
    #[cold]
    fn unload(&self, magazine: &mut VecDeque<u32>) {
        let mut depot = self.depot.lock();
        depot.indices.extend(magazine.drain(..Self::LOAD));
    }

    /// Returns a slot from the depot and moves the rest of a load into the magazine. If the depot
    /// is empty, returns a single new slot: the fewer slots are in use, the more of them are
    /// cached. Returns `None` if the table has no new one.
    #[cold]
    fn load(&self, magazine: &mut VecDeque<u32>) -> Option<u32> {
        let mut depot = self.depot.lock();
        let Some(first) = depot.indices.pop_front() else {
            let new = depot.grown;
            depot.grown += u32::from((new as usize) < SLOTS);
            return Some(new).filter(|_| new < depot.grown);
        };
        let rest = depot.indices.len().min(Self::LOAD - 1);
        magazine.extend(depot.indices.drain(..rest));
        Some(first)
    }

    /// Returns a slot from any magazine or the depot, once the table has no new one. All locks are
    /// held at once, so that `None` means that no slot is free at that instant.
    #[cold]
    fn gather(&self) -> Option<u32> {
        let mut magazines: Vec<_> = self.magazines.iter().map(|it| it.lock()).collect();
        let mut depot = self.depot.lock();
        let from_depot = depot.indices.pop_front();
        from_depot.or_else(|| magazines.iter_mut().find_map(|it| it.pop_front()))
    }

    #[inline]
    fn magazine(&self) -> &Mutex<VecDeque<u32>> {
        // Models of a registry have one magazine, and need no thread number.
        let number = if MAGAZINES == 1 {
            0
        } else {
            crate::sync::thread_number::thread_number()
        };
        &self.magazines[number % MAGAZINES]
    }

    // ORDERING: every access to the count is SeqCst, in one order with the words. On x86-64, weaker
    // orderings compile to the same instructions.

    fn reserve(&self) -> Result<(), NoSlot> {
        let mut taken = self.taken.load(Ordering::SeqCst);
        loop {
            if taken >= CLOSED {
                return Err(NoSlot::Closed);
            }
            if taken >= self.capacity {
                return Err(NoSlot::Full);
            }
            let one_more =
                self.taken
                    .compare_exchange(taken, taken + 1, Ordering::SeqCst, Ordering::SeqCst);
            match one_more {
                Ok(_) => return Ok(()),
                Err(now) => taken = now,
            }
        }
    }

    fn release(&self) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
    }

    /// Refuses all calls of `take` that begin after this one. A slot that has been taken before is
    /// published only if its taker finds the list open under the lock of the slot's info.
    pub(crate) fn close(&self) {
        self.closed.fetch_or(1, Ordering::SeqCst);
        self.taken.fetch_or(CLOSED, Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst) != 0
    }

    /// Orders this thread's writes before a later `close`. Whoever closes the list then finds them.
    #[cold]
    pub(crate) fn precede_close(&self) {
        // A read-modify-write is in one order with that of `close`, and releases to it.
        self.closed.fetch_or(0, Ordering::SeqCst);
    }

    /// Returns the number of slots taken and not returned, including those of calls in progress.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst) & !CLOSED
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the contents of each magazine and of the depot, and the number of slots ever taken.
    #[cfg(test)]
    pub(crate) fn contents(&self) -> (Vec<Vec<u32>>, Vec<u32>, u32) {
        let listed = |indices: &VecDeque<u32>| indices.iter().copied().collect();
        let magazines = self.magazines.iter().map(|it| listed(&it.lock())).collect();
        let depot = self.depot.lock();
        (magazines, listed(&depot.indices), depot.grown)
    }

    /// Returns all free slots, and the number of slots ever taken.
    #[cfg(test)]
    pub(crate) fn census(&self) -> (Vec<u32>, u32) {
        let (magazines, depot, grown) = self.contents();
        ([magazines.concat(), depot].concat(), grown)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "free_list_tests.rs"]
mod tests;
