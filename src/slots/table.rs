//! The table of slots: chunks that never move, found by index without a lock.
//!
//! All chunks have one size, so that growth takes constant time, and a reference to a slot stays
//! valid as long as the table.

use crate::slots::body::Body;
use crate::slots::free_list::{FreeSlots, NoSlot};
use crate::slots::layout::{
    CHUNK_BITS, CHUNKS, GROUPS, SLOTS, direct_chunks, group, locate, unpermute,
};
use crate::slots::slot::Slot;
use crate::slots::slot_state::SlotState;
use crate::slots::watchers::Watchers;
use crate::sync::boxed::boxed;
use crate::sync::{MODELLED, Published};
use crate::types::state_word::RETIRED;
use std::hint::black_box;

#[derive(Debug)]
pub(crate) struct Table<T> {
    /// The first chunks: as many as the capacity needs, up to the size of a group.
    direct: Box<[Published<Chunk<T>>]>,
    /// All later chunks. They exist for capacities of more than 2,097,152 jobs, and after slots
    /// have been retired.
    groups: Box<[Published<Group<T>>; GROUPS]>,
    free: FreeSlots,
    watchers: Watchers,
    /// Generation of new slots. It is larger than 1 only in tests of what happens when generations
    /// run out.
    first_generation: u32,
}

type Group<T> = Box<[Published<Chunk<T>>; CHUNKS]>;

/// A chunk of slots. The words are stored separately from the bodies: scans and lock-free steps
/// read no body.
#[derive(Debug)]
struct Chunk<T> {
    states: Box<[SlotState; SLOTS]>,
    bodies: Box<[Body<T>; SLOTS]>,
}

impl<T> Chunk<T> {
    fn new(generation: u32) -> Self {
        Self {
            states: boxed(|| SlotState::new(generation)),
            bodies: boxed(Body::empty),
        }
    }

    #[inline(always)]
    fn get<'a>(&'a self, index: u32, position: usize, watchers: &'a Watchers) -> Slot<'a, T> {
        Slot::new(
            index,
            &self.states[position],
            &self.bodies[position],
            watchers,
        )
    }
}

impl<T> Table<T> {
    pub(crate) fn new(capacity: usize, first_generation: u32) -> Self {
        let free = FreeSlots::new(capacity);
        let direct = std::iter::repeat_with(Published::empty).take(direct_chunks(free.capacity()));
        Self {
            direct: direct.collect(),
            groups: boxed(Published::empty),
            free,
            watchers: Watchers::new(),
            first_generation,
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, index: u32) -> Option<Slot<'_, T>> {
        let (chunk, position) = self.chunk(index)?;
        Some(chunk.get(index, position, &self.watchers))
    }

    /// Returns the chunk of an index, if it exists, and the position in it.
    #[inline(always)]
    fn chunk(&self, index: u32) -> Option<(&Chunk<T>, usize)> {
        let (chunk, position) = locate(index);
        let chunk = match self.direct.get(chunk) {
            Some(chunk) => chunk,
            None => self.indirect(chunk)?,
        };
        Some((chunk.get()?, position))
    }

    /// Returns the cell of a chunk that is not listed directly, or `None` if its group does not
    /// exist.
    #[cold]
    fn indirect(&self, chunk: usize) -> Option<&Published<Chunk<T>>> {
        let (group, chunk) = group(chunk);
        Some(&self.groups.get(group)?.get()?[chunk])
    }

    /// Prefetches a slot that may not be cached. A model skips this, because it counts as an
    /// access.
    pub(crate) fn prefetch(&self, index: u32) {
        if MODELLED {
            return;
        }
        if let Some((chunk, position)) = self.chunk(index) {
            black_box(chunk.states[position].state());
            chunk.bodies[position].payload.prefetch();
            chunk.bodies[position].info.prefetch();
            // A body usually ends on the first cache line of the next one.
            chunk.bodies[(position + 1) % SLOTS].payload.prefetch();
        }
    }

    /// Prefetches the words of a slot, without its body.
    #[cfg(feature = "tokio")]
    pub(crate) fn prefetch_state(&self, index: u32) {
        if MODELLED {
            return;
        }
        if let Some((chunk, position)) = self.chunk(index) {
            black_box(chunk.states[position].state());
        }
    }

    /// Returns an empty slot, which belongs to the caller alone.
    pub(crate) fn take(&self) -> Result<Slot<'_, T>, NoSlot> {
        let index = self.free.take()?;
        let slot = self.get(index).unwrap_or_else(|| self.grow(index));
        #[cfg(all(test, any(loom, shuttle)))]
        crate::sync::facade::record::taken(slot.recorded());
        #[cfg(all(test, environment, not(any(loom, shuttle))))]
        slot.ask_for(crate::sync::facade::environment::Access::Take);
        Ok(slot)
    }

    /// Builds the chunk of an index, unless another thread does so first. Only a caller that needs
    /// the chunk waits for its memory.
    #[cold]
    fn grow(&self, index: u32) -> Slot<'_, T> {
        let (chunk, _) = locate(index);
        let chunk = match self.direct.get(chunk) {
            Some(chunk) => chunk,
            None => self.indirect_or_grow(chunk),
        };
        chunk.publish(Chunk::new(self.first_generation));
        // A walk that follows a close visits the new slot, or the slot's registration is refused.
        self.free.precede_close();
        self.get(index).expect("the chunk was published")
    }

    /// Returns the cell of an indirect chunk, and builds its group if there is none.
    fn indirect_or_grow(&self, chunk: usize) -> &Published<Chunk<T>> {
        let chunks = &self.groups[group(chunk).0];
        if chunks.get().is_none() {
            chunks.publish(boxed(Published::empty));
        }
        self.indirect(chunk).expect("the group was published")
    }

    /// Takes back an empty slot. The watchers of its last job have been woken, and the hook and the
    /// payload's destructor have run.
    pub(crate) fn give_back(&self, index: u32) {
        let is_used_up = self
            .get(index)
            .is_none_or(|slot| slot.state().generation() == RETIRED);
        #[cfg(all(test, any(loom, shuttle)))]
        if let Some(slot) = self.get(index) {
            crate::sync::facade::record::given_back(slot.recorded());
        }
        #[cfg(all(test, environment, not(any(loom, shuttle))))]
        if let Some(slot) = self.get(index) {
            slot.ask_for(crate::sync::facade::environment::Access::GiveBack);
        }
        self.free.give_back((!is_used_up).then_some(index));
    }

    pub(crate) fn free(&self) -> &FreeSlots {
        &self.free
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    pub(crate) fn watchers_mut(&mut self) -> &mut Watchers {
        &mut self.watchers
    }

    /// Returns all slots that have ever been used, and the rest of the last chunk, in the order of
    /// their addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot<'_, T>> {
        let chunks =
            (0..).map_while(|number: u32| Some((number, self.chunk(number << CHUNK_BITS)?.0)));
        chunks.flat_map(move |(number, chunk)| {
            let slots = chunk.states.iter().zip(chunk.bodies.iter()).zip(0..);
            slots.map(move |((states, body), position)| {
                Slot::new(
                    number << CHUNK_BITS | unpermute(position),
                    states,
                    body,
                    &self.watchers,
                )
            })
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// P12: a scan visits every slot once, under its own index.
    #[test]
    fn a_scan_visits_each_slot_once_by_its_index() {
        let table = Table::<u32>::new(usize::MAX, 0);
        for _ in 0..5_000 {
            let slot = table.take().unwrap();
            *slot.body.payload.lock() = Some(slot.index);
        }
        let mut seen: Vec<_> = table
            .iter()
            .filter_map(|slot| Some((slot.index, (*slot.body.payload.lock())?)))
            .collect();
        seen.sort_unstable();
        let expected: Vec<_> = (0..5_000).map(|index| (index, index)).collect();
        assert_eq!(seen, expected);
    }

    /// A forged index out of range resolves to no slot.
    #[test]
    fn no_index_is_out_of_bounds() {
        let table = Table::<()>::new(usize::MAX, 0);
        assert_eq!(table.take().unwrap().index, 0);
        let chunk = 1 << CHUNK_BITS;
        for index in [chunk, chunk - 1, 1 << 20, u32::MAX - chunk, u32::MAX] {
            assert_eq!(table.get(index).is_some(), index < chunk, "index {index}");
        }
    }

    /// The maximum number of slots is the number that `Builder::capacity` documents.
    #[test]
    fn maximum_capacity_is_as_documented() {
        let table = Table::<()>::new(usize::MAX, 0);
        assert_eq!(table.free().capacity(), 536_870_912);
    }

    /// P4: a slot whose generations are used up is never taken again, and costs no capacity.
    #[test]
    fn a_used_up_slot_is_retired() {
        let table = Table::<()>::new(1, RETIRED);
        let index = table.take().unwrap().index;
        table.give_back(index);
        assert_eq!(table.take().unwrap().index, index + 1);
        assert!(matches!(table.take(), Err(NoSlot::Full)));
    }

    /// P4: slots that replace retired ones lie beyond the chunks that the capacity needs, and are
    /// found by index like all others.
    #[test]
    fn retired_slots_are_replaced_past_the_capacity() {
        let table = Table::<()>::new(1, RETIRED);
        let all = 0..3 << CHUNK_BITS;
        for expected in all.clone() {
            let index = table.take().unwrap().index;
            assert_eq!(index, expected);
            table.give_back(index);
        }
        let mut scanned: Vec<_> = table.iter().map(|slot| slot.index).collect();
        scanned.sort_unstable();
        assert!(scanned.into_iter().eq(all));
    }
}
