//! The table of slots: chunks that never move, found by index without a lock, and the list of those
//! that are free.
//!
//! Chunk `k` holds `FIRST << k` slots, so that a few chunks reach any size, and a reference to a slot stays
//! good for as long as the table. Slots are used again first in, first out, which spends their
//! generations slowly.

use crate::slot::Slot;
use crate::sync::{AtomicUsize, Mutex, Ordering, Published};
use crate::word::RETIRED;
use std::collections::VecDeque;

/// The slots of the first chunk. Small in models, so that growth is part of them.
const FIRST: u32 = if cfg!(all(test, any(loom, shuttle))) {
    2
} else {
    64
};
const CHUNKS: usize = if cfg!(all(test, any(loom, shuttle))) {
    3
} else {
    26
};
/// The most slots there can be.
const MOST: usize = (FIRST as usize) * ((1 << CHUNKS) - 1);

#[derive(Debug)]
pub(crate) struct Table<T> {
    chunks: [Published<Box<[Slot<T>]>>; CHUNKS],
    free: Mutex<Free>,
    /// Jobs that can be looked up. Written under the lock of `free`.
    live: AtomicUsize,
    capacity: usize,
    /// What a new slot starts with; larger than 0 only in tests of what happens at the end.
    first_generation: u32,
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

    pub(crate) fn get(&self, index: u32) -> Option<&Slot<T>> {
        let (chunk, offset) = locate(index)?;
        self.chunks.get(chunk)?.get()?.get(offset)
    }

    /// Hands out an empty slot, for the caller alone.
    pub(crate) fn take(&self) -> Result<(u32, &Slot<T>), NoSlot> {
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
        let (chunk, offset) = locate(index)?;
        if offset == 0 {
            let slots = (0..FIRST << chunk).map(|_| Slot::new(self.first_generation));
            self.chunks.get(chunk)?.publish(slots.collect());
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

    /// All slots that have ever been used, and the rest of the last chunk.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Slot<T>)> {
        self.chunks
            .iter()
            .map_while(Published::get)
            .flat_map(|chunk| chunk.iter())
            .zip(0..)
            .map(|(slot, index)| (index, slot))
    }
}

/// The chunk of an index, and its place there. `None` past the last chunk.
fn locate(index: u32) -> Option<(usize, usize)> {
    let place = index.checked_add(FIRST)?;
    let chunk = place.ilog2() - FIRST.ilog2();
    Some((chunk as usize, (place - (FIRST << chunk)) as usize))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn chunks_tile_the_indices() {
        let mut expected = (0, 0);
        for index in 0..100_000 {
            assert_eq!(locate(index), Some(expected), "index {index}");
            expected.1 += 1;
            if expected.1 == (FIRST as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(locate(u32::MAX), None);
    }

    /// A forged index finds nothing, wherever it points.
    #[test]
    fn no_index_is_out_of_bounds() {
        let table = Table::<()>::new(usize::MAX, 0);
        let (first, _) = table.take().unwrap();
        assert_eq!(first, 0);
        for index in [FIRST, FIRST - 1, 1 << 20, u32::MAX - FIRST, u32::MAX] {
            assert_eq!(table.get(index).is_some(), index < FIRST, "index {index}");
        }
    }

    /// What `Builder::capacity` says of the most jobs there can be.
    #[test]
    fn most_slots_are_as_many_as_the_docs_say() {
        let table = Table::<()>::new(usize::MAX, 0);
        assert_eq!(table.capacity(), 4_294_967_232);
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
