//! Which slots are free.
//!
//! A count is the gate: who raises it may have a slot, and that one exchange decides who finds the registry full. Which slot it is
//! matters to nobody. Therefore threads take from magazines of their own, as long as there are no more threads than those, and
//! go to the depot, which is everybody's, only to load or unload one (Bonwick and Adams, "Magazines and Vmem", USENIX 2001):
//! two threads that register and remove neither wait for each other nor hand their slots' memory to and fro.
//!
//! Magazines and depot are first in, first out, which spends the generations of slots slowly.

use crate::apart::Apart;
use crate::place::MOST;
use crate::sync::{AtomicUsize, MODELLED, Mutex, Ordering};
use std::collections::VecDeque;

/// One in models: what one thread gives back is there for another, and threads meet at it.
const MAGAZINES: usize = if MODELLED { 1 } else { 16 };
/// The most slots in a magazine. Half as many are loaded and unloaded at once.
const ROOM: usize = if MODELLED { 1 } else { 64 };
const LOAD: usize = ROOM.div_ceil(2);

/// The most slots that can be handed out: with fewer than that, there is always one that is in nobody else's magazine, be that
/// full and just loaded by another thread that has the same.
pub(crate) const CAPACITY: usize = MOST - MAGAZINES * (ROOM + LOAD);

/// In the count, above every number.
const CLOSED: usize = 1 << (usize::BITS - 1);

#[derive(Debug)]
pub(crate) struct FreeSlots {
    /// Slots handed out now, and whether there will be no more.
    taken: Apart<AtomicUsize>,
    magazines: [Apart<Mutex<VecDeque<u32>>>; MAGAZINES],
    depot: Apart<Mutex<Depot>>,
    capacity: usize,
}

#[derive(Debug)]
struct Depot {
    indices: VecDeque<u32>,
    /// Slots that have ever left it: the high-water mark.
    grown: u32,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSlot {
    Full,
    Closed,
}

impl FreeSlots {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            taken: Apart(AtomicUsize::new(0)),
            magazines: std::array::from_fn(|_| Apart::default()),
            depot: Apart(Mutex::new(Depot {
                indices: VecDeque::new(),
                grown: 0,
            })),
            capacity: capacity.min(CAPACITY),
        }
    }

    pub(crate) fn take(&self) -> Result<u32, NoSlot> {
        self.reserve()?;
        let mut magazine = self.magazine().lock();
        if let Some(index) = magazine.pop_front() {
            return Ok(index);
        }
        drop(magazine);
        self.load().ok_or_else(|| {
            self.release();
            NoSlot::Full
        })
    }

    /// Takes a slot back. `None` where it is used up and is never to be handed out again.
    pub(crate) fn give_back(&self, index: Option<u32>) {
        if let Some(index) = index {
            self.unload(index);
        }
        // Last: whoever may have a slot finds one.
        self.release();
    }

    fn unload(&self, index: u32) {
        let mut magazine = self.magazine().lock();
        magazine.push_back(index);
        if magazine.len() <= ROOM {
            return;
        }
        let load: Vec<_> = magazine.drain(..LOAD).collect();
        drop(magazine);
        self.depot.lock().indices.extend(load);
    }

    /// A slot from the depot, and what makes a load with it for the magazine; where the depot is empty, a new slot, alone: as few as
    /// will do are as warm as they can be. `None` where the table has no more.
    #[cold]
    fn load(&self) -> Option<u32> {
        let mut depot = self.depot.lock();
        if depot.indices.is_empty() {
            let new = Some(depot.grown).filter(|&new| (new as usize) < MOST)?;
            depot.grown += 1;
            return Some(new);
        }
        let most = LOAD.min(depot.indices.len());
        let mut load: VecDeque<_> = depot.indices.drain(..most).collect();
        drop(depot);
        let first = load.pop_front()?;
        if !load.is_empty() {
            self.magazine().lock().append(&mut load);
        }
        Some(first)
    }

    #[cfg_attr(any(loom, shuttle), allow(clippy::modulo_one))] // in models
    #[inline]
    fn magazine(&self) -> &Mutex<VecDeque<u32>> {
        let thread = if MODELLED { 0 } else { crate::thread::number() };
        &self.magazines[thread % MAGAZINES]
    }

    // ORDERING, of every access to the count: SeqCst, in one order with the words. The instructions are those of weaker ones.

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

    #[cfg(feature = "tokio")]
    pub(crate) fn close(&self) {
        self.taken.fetch_or(CLOSED, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.taken.load(Ordering::SeqCst) >= CLOSED
    }

    /// Slots handed out and not given back: those of jobs, and of jobs on their way in and out.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst) & !CLOSED
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The free slots in all magazines and the depot, and how many slots there are.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn census(&self) -> (Vec<u32>, u32) {
        let depot = self.depot.lock();
        let mut free: Vec<_> = depot.indices.iter().copied().collect();
        for magazine in &self.magazines {
            free.extend(magazine.lock().iter());
        }
        (free, depot.grown)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "free_tests.rs"]
mod tests;
