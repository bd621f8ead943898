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

/// The most slots that can be handed out: with fewer than that, there is always one that is in nobody else's magazine.
pub(crate) const CAPACITY: usize = MOST - MAGAZINES * ROOM;

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
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::thread::number;
    use std::collections::HashSet;
    use std::thread;

    /// Runs on a thread that has another magazine than this one.
    fn elsewhere<R: Send>(mut work: impl FnOnce() -> R + Send) -> R {
        let own = number() % MAGAZINES;
        loop {
            let there = || match number() % MAGAZINES {
                magazine if magazine == own => Err(work),
                _ => Ok(work()),
            };
            match thread::scope(|scope| scope.spawn(there).join().unwrap()) {
                Ok(result) => return result,
                Err(again) => work = again,
            }
        }
    }

    fn give_back(free: &FreeSlots, indices: &[u32]) {
        for &index in indices {
            free.give_back(Some(index));
        }
    }

    /// P12: threads that take and give back at once never have one slot twice, nor more slots than there may be.
    #[test]
    fn no_slot_is_taken_twice() {
        const CAPACITY: usize = 500;
        let free = FreeSlots::new(CAPACITY);
        let work = |seed: usize| {
            let free = &free;
            move || {
                let mut mine = Vec::new();
                for round in 0..20_000 {
                    if mine.len() < 200 && (round * seed) % 7 < 4 {
                        mine.extend(free.take());
                    } else if let Some(index) = mine.pop() {
                        free.give_back(Some(index));
                    }
                    assert!(free.taken() <= CAPACITY);
                }
                mine
            }
        };
        let mut taken: Vec<u32> = thread::scope(|scope| {
            let threads: Vec<_> = (1..=4).map(|seed| scope.spawn(work(seed))).collect();
            threads
                .into_iter()
                .flat_map(|it| it.join().unwrap())
                .collect()
        });
        assert_eq!(free.taken(), taken.len());
        // And the rest is there, for whoever asks.
        taken.extend(std::iter::from_fn(|| free.take().ok()));
        assert_eq!(taken.len(), CAPACITY);
        let apart: HashSet<_> = taken.iter().collect();
        assert_eq!(apart.len(), CAPACITY);
        assert_eq!(free.take(), Err(NoSlot::Full));
    }

    /// P6: what one thread takes and another gives back is used again. Of the slots there have been, no more than the magazines
    /// hold lie idle while new ones are made.
    #[test]
    fn slots_come_round_between_threads() {
        let free = FreeSlots::new(usize::MAX);
        let mut highest = 0;
        for _ in 0..100 {
            let taken: Vec<_> = (0..1000).map(|_| free.take().unwrap()).collect();
            highest = taken.iter().copied().fold(highest, u32::max);
            elsewhere(|| give_back(&free, &taken));
        }
        assert_eq!(free.taken(), 0);
        let most = 1000 + MAGAZINES * (ROOM + LOAD);
        assert!((highest as usize) < most, "{highest}");
    }

    /// P4: who has few jobs at a time uses few slots, and each of them in turn.
    #[test]
    fn slots_are_used_in_turn() {
        let free = FreeSlots::new(usize::MAX);
        let take = || free.take().unwrap();
        let first: Vec<_> = (0..10).map(|_| take()).collect();
        assert_eq!(first, (0..10).collect::<Vec<_>>());
        give_back(&free, &first);
        for expected in (0..10).cycle().take(100) {
            let index = take();
            assert_eq!(index, expected);
            free.give_back(Some(index));
        }
        // The same by way of the depot.
        let many: Vec<_> = (0..1000).map(|_| take()).collect();
        give_back(&free, &many);
        let again: HashSet<_> = (0..1000).map(|_| take()).collect();
        assert_eq!(again, many.into_iter().collect());
    }

    /// Threads do not stand in each other's way: the one takes again what it gave back, and not what the other did.
    #[test]
    fn each_thread_has_a_magazine() {
        let free = FreeSlots::new(usize::MAX);
        let (here, there) = (free.take().unwrap(), free.take().unwrap());
        free.give_back(Some(here));
        elsewhere(|| {
            free.give_back(Some(there));
            assert_eq!(free.take(), Ok(there));
        });
        assert_eq!(free.take(), Ok(here));
    }

    /// P6: a used-up slot makes room for another and is not handed out again.
    #[test]
    fn used_up_slot_is_forgotten() {
        let free = FreeSlots::new(1);
        let index = free.take().unwrap();
        assert_eq!(free.take(), Err(NoSlot::Full));
        free.give_back(None);
        assert_eq!(free.taken(), 0);
        assert_eq!(free.take(), Ok(index + 1));
    }

    /// P6: after the close there is none, whatever there was, and those that are out are still counted.
    #[cfg(feature = "tokio")]
    #[test]
    fn closed_is_neither_full_nor_more() {
        let free = FreeSlots::new(1);
        let index = free.take().unwrap();
        free.close();
        free.close();
        assert!(free.is_closed());
        assert_eq!((free.take(), free.taken()), (Err(NoSlot::Closed), 1));
        free.give_back(Some(index));
        assert_eq!((free.take(), free.taken()), (Err(NoSlot::Closed), 0));
    }

    /// P6: where retired slots have used the table up, the registry is full, and nothing is counted that is not there.
    #[test]
    fn table_that_is_used_up_is_full() {
        let free = FreeSlots::new(usize::MAX);
        free.depot.lock().grown = u32::try_from(MOST).unwrap() - 1;
        assert!(free.take().is_ok());
        assert_eq!(free.take(), Err(NoSlot::Full));
        assert_eq!(free.taken(), 1);
    }
}
