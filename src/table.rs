//! The table of slots: chunks that never move, found by index without a lock, and the list of those
//! that are free.
//!
//! The table grows by a sixteenth of its size, so that little of it lies empty, and a reference to a slot stays good for as
//! long as the table. Slots are used again first in, first out, which spends their generations slowly.

use crate::body::Body;
use crate::slot::{Slot, Words};
use crate::sync::{AtomicUsize, Mutex, Ordering, Published};
use crate::word::RETIRED;
use std::collections::VecDeque;

/// Small in models, so that growth is part of them.
const MODELLED: bool = cfg!(all(test, any(loom, shuttle)));
/// Slots of the first group of chunks; each group has twice as many as the one before.
const FIRST: u32 = if MODELLED { 2 } else { 1024 };
const GROUPS: usize = if MODELLED { 3 } else { 22 };
/// Chunks of a group, as a power of two.
const SPLIT: u32 = if MODELLED { 0 } else { 4 };
const CHUNKS: usize = GROUPS << SPLIT;
/// The most slots there can be.
const MOST: usize = (FIRST as usize) * ((1 << GROUPS) - 1);

#[derive(Debug)]
pub(crate) struct Table<T> {
    chunks: [Published<Chunk<T>>; CHUNKS],
    free: Mutex<Free>,
    /// Jobs that can be looked up. Written under the lock of `free`.
    live: AtomicUsize,
    capacity: usize,
    /// What a new slot starts with; larger than 0 only in tests of what happens at the end.
    first_generation: u32,
}

#[derive(Debug)]
struct Chunk<T> {
    words: Box<[Words]>,
    bodies: Box<[Mutex<Body<T>>]>,
}

impl<T> Chunk<T> {
    fn new(slots: usize, generation: u32) -> Self {
        Self {
            words: (0..slots).map(|_| Words::new(generation)).collect(),
            bodies: (0..slots).map(|_| Mutex::new(Body::empty())).collect(),
        }
    }

    fn get(&self, place: usize) -> Option<Slot<'_, T>> {
        Some(Slot::new(self.words.get(place)?, self.bodies.get(place)?))
    }
}

#[derive(Debug)]
struct Free {
    indices: VecDeque<u32>,
    /// Slots ever handed out: the high-water mark.
    grown: u32,
    /// Slots handed out now.
    taken: usize,
    closed: bool,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSlot {
    Full,
    Closed,
}

impl<T> Table<T> {
    pub(crate) fn new(capacity: usize, first_generation: u32) -> Self {
        Self {
            chunks: std::array::from_fn(|_| Published::empty()),
            free: Mutex::new(Free {
                indices: VecDeque::new(),
                grown: 0,
                taken: 0,
                closed: false,
            }),
            live: AtomicUsize::new(0),
            capacity: capacity.min(MOST),
            first_generation,
        }
    }

    pub(crate) fn get(&self, index: u32) -> Option<Slot<'_, T>> {
        let (chunk, offset, size) = locate(index)?;
        self.chunks.get(chunk)?.get()?.get(spread(offset, size))
    }

    /// Hands out an empty slot, for the caller alone.
    pub(crate) fn take(&self) -> Result<(u32, Slot<'_, T>), NoSlot> {
        let mut free = self.free.lock();
        if free.closed {
            return Err(NoSlot::Closed);
        }
        if free.taken >= self.capacity {
            return Err(NoSlot::Full);
        }
        let index = match free.indices.pop_front() {
            Some(index) => index,
            None => self.grow(&mut free).ok_or(NoSlot::Full)?,
        };
        free.taken += 1;
        drop(free);
        Ok((
            index,
            self.get(index)
                .expect("a slot that was handed out is there"),
        ))
    }

    /// `None` where retired slots have used the table up.
    fn grow(&self, free: &mut Free) -> Option<u32> {
        let index = free.grown;
        let (chunk, offset, size) = locate(index)?;
        if offset == 0 {
            let chunk = self.chunks.get(chunk)?;
            chunk.publish(Chunk::new(1 << size, self.first_generation));
        }
        free.grown += 1;
        Some(index)
    }

    /// Takes a slot back. It has to be empty, and everybody who cared about its last job told.
    pub(crate) fn give_back(&self, index: u32) {
        let used_up = self
            .get(index)
            .is_none_or(|slot| slot.state().generation() == RETIRED);
        let mut free = self.free.lock();
        free.taken -= 1;
        if !used_up {
            free.indices.push_back(index);
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn close(&self) {
        self.free.lock().closed = true;
    }

    /// Slots handed out and not given back: those of jobs, and of jobs on their way in and out.
    #[cfg(feature = "tokio")]
    pub(crate) fn taken(&self) -> usize {
        self.free.lock().taken
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.free.lock().closed
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    // ORDERING: Relaxed. The counter publishes nothing.

    pub(crate) fn count_in(&self) {
        self.live.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_out(&self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// All slots that have ever been used, and the rest of the last chunk. In the order in which they lie in memory.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Slot<'_, T>)> {
        let chunks = self.chunks.iter().map_while(Published::get);
        chunks
            .scan(0, |next, chunk| {
                let first = *next;
                *next += u32::try_from(chunk.words.len()).expect("indices are 32 bits");
                Some((first, chunk))
            })
            .flat_map(|(first, chunk)| {
                let size = chunk.words.len().ilog2();
                let slots = chunk.words.iter().zip(&chunk.bodies).zip(0..);
                slots.map(move |((words, body), place)| {
                    (first + gather(place, size), Slot::new(words, body))
                })
            })
    }
}

/// The chunk of an index, its offset there, and the chunk's size as a power of two. `None` past the last chunk.
fn locate(index: u32) -> Option<(usize, u32, u32)> {
    let place = index.checked_add(FIRST)?;
    let group = place.ilog2() - FIRST.ilog2();
    let within = place - (FIRST << group);
    let size = FIRST.ilog2() + group - SPLIT;
    let chunk = (group << SPLIT) + (within >> size);
    Some((chunk as usize, within & ((1 << size) - 1), size))
}

/// Neighbours by index are jobs that work at the same time. They are this far apart, a sixteenth of the chunk, so
/// that their words are on lines of their own.
const SPREAD: u32 = if MODELLED { 0 } else { 4 };

/// Where in its chunk an offset lies.
fn spread(offset: u32, size: u32) -> usize {
    let low = offset & ((1 << SPREAD) - 1);
    (low << (size - SPREAD) | offset >> SPREAD) as usize
}

/// The offset that lies there.
fn gather(place: u32, size: u32) -> u32 {
    let low = place >> (size - SPREAD);
    (place & ((1 << (size - SPREAD)) - 1)) << SPREAD | low
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn chunks_tile_the_indices() {
        let mut expected = (0, 0);
        for index in 0..100_000 {
            let (chunk, offset, size) = locate(index).unwrap();
            assert_eq!((chunk, offset), expected, "index {index}");
            assert_eq!(
                gather(u32::try_from(spread(offset, size)).unwrap(), size),
                offset
            );
            expected.1 += 1;
            if expected.1 == 1 << size {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(locate(u32::MAX), None);
    }

    /// P12: a walk comes by every slot once, under its own index.
    #[test]
    fn a_walk_finds_each_slot_at_its_index() {
        let table = Table::<u32>::new(usize::MAX, 0);
        for _ in 0..5_000 {
            let (index, slot) = table.take().unwrap();
            slot.body.lock().payload = Some(index);
        }
        let mut found: Vec<_> = table
            .iter()
            .filter_map(|(index, slot)| Some((index, slot.body.lock().payload?)))
            .collect();
        found.sort_unstable();
        let expected: Vec<_> = (0..5_000).map(|index| (index, index)).collect();
        assert_eq!(found, expected);
    }

    /// Jobs that were registered one after the other do not share a cache line of 64 bytes.
    #[test]
    fn neighbours_are_on_lines_of_their_own() {
        let lines = |index| {
            let (chunk, offset, size) = locate(index).unwrap();
            let first = spread(offset, size) * size_of::<Words>();
            [first, first + size_of::<Words>() - 1].map(|byte| (chunk, byte / 64))
        };
        for index in 0..10_000 {
            for other in index + 1..index + 8 {
                let shared = lines(index).iter().any(|line| lines(other).contains(line));
                assert!(!shared, "{index} and {other}");
            }
        }
    }

    /// A forged index finds nothing, wherever it points.
    #[test]
    fn no_index_is_out_of_bounds() {
        let table = Table::<()>::new(usize::MAX, 0);
        let (first, _) = table.take().unwrap();
        assert_eq!(first, 0);
        let chunk = FIRST >> SPLIT;
        for index in [chunk, chunk - 1, 1 << 20, u32::MAX - FIRST, u32::MAX] {
            assert_eq!(table.get(index).is_some(), index < chunk, "index {index}");
        }
    }

    /// What `Builder::capacity` says of the most jobs there can be.
    #[test]
    fn most_slots_are_as_many_as_the_docs_say() {
        let table = Table::<()>::new(usize::MAX, 0);
        assert_eq!(table.capacity(), 4_294_966_272);
    }

    /// P4: a slot whose generations are used up is never handed out again, and costs no capacity.
    #[test]
    fn a_used_up_slot_is_retired() {
        let table = Table::<()>::new(1, RETIRED);
        let (index, _) = table.take().unwrap();
        table.give_back(index);
        assert_eq!(table.take().unwrap().0, index + 1);
        assert!(matches!(table.take(), Err(NoSlot::Full)));
    }
}
