//! The table of slots: chunks that never move, found by index without a lock.
//!
//! All chunks are of one size, so that growing takes as long for the millionth job as for the first, and a reference to a slot
//! stays good for as long as the table.

use crate::slots::body::Body;
use crate::slots::free_list::{FreeSlots, NoSlot};
use crate::slots::layout::{CHUNK_BITS, CHUNKS, GROUPS, SLOTS, group, locate, near, unpermute};
use crate::slots::slot::Slot;
use crate::slots::slot_state::SlotState;
use crate::slots::watchers::Watchers;
use crate::sync::{MODELLED, Mutex, Published};
use crate::types::state_word::RETIRED;
use std::hint::black_box;

#[derive(Debug)]
pub(crate) struct Table<T> {
    /// The first chunks: as many as the capacity needs, up to the size of a group.
    near: Box<[Published<Chunk<T>>]>,
    /// Those after them. They are there for more than two million jobs, or where slots have been retired.
    far: [Published<Group<T>>; GROUPS],
    free: FreeSlots,
    watchers: Watchers,
    /// What a new slot starts with; larger than 0 only in tests of what happens at the end.
    first_generation: u32,
}

type Group<T> = Box<[Published<Chunk<T>>; CHUNKS]>;

/// SlotState and bodies apart: who looks at all jobs, or changes one in its states alone, reads no body.
#[derive(Debug)]
struct Chunk<T> {
    states: Box<[SlotState; SLOTS]>,
    bodies: Box<[Mutex<Body<T>>; SLOTS]>,
}

impl<T> Chunk<T> {
    fn new(generation: u32) -> Self {
        Self {
            states: boxed(|| SlotState::new(generation)),
            bodies: boxed(|| Mutex::new(Body::empty())),
        }
    }

    #[inline(always)]
    fn get<'a>(&'a self, index: u32, place: usize, watchers: &'a Watchers) -> Slot<'a, T> {
        Slot::new(index, &self.states[place], &self.bodies[place], watchers)
    }
}

/// Without a stay on the stack, which may be small.
fn boxed<U, const N: usize>(new: impl FnMut() -> U) -> Box<[U; N]> {
    let all: Box<[U]> = std::iter::repeat_with(new).take(N).collect();
    let Ok(all) = all.try_into() else {
        unreachable!("as many were taken")
    };
    all
}

impl<T> Table<T> {
    pub(crate) fn new(capacity: usize, first_generation: u32) -> Self {
        let free = FreeSlots::new(capacity);
        let near = std::iter::repeat_with(Published::empty).take(near(free.capacity()));
        Self {
            near: near.collect(),
            far: std::array::from_fn(|_| Published::empty()),
            free,
            watchers: Watchers::new(),
            first_generation,
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, index: u32) -> Option<Slot<'_, T>> {
        let (chunk, place) = self.chunk(index)?;
        Some(chunk.get(index, place, &self.watchers))
    }

    /// Where an index is.
    #[inline(always)]
    fn chunk(&self, index: u32) -> Option<(&Chunk<T>, usize)> {
        let (chunk, place) = locate(index);
        let chunk = match self.near.get(chunk) {
            Some(chunk) => chunk,
            None => self.far(chunk)?,
        };
        Some((chunk.get()?, place))
    }

    /// Where a chunk is, or is to be, that is not near. `None` where its group is not there.
    #[cold]
    fn far(&self, chunk: usize) -> Option<&Published<Chunk<T>>> {
        let (group, chunk) = group(chunk);
        Some(&self.far.get(group)?.get()?[chunk])
    }

    /// Has the processor fetch a slot that is far away. A checker's access would be a step more.
    pub(crate) fn fetch(&self, index: u32) {
        if MODELLED {
            return;
        }
        if let Some((chunk, place)) = self.chunk(index) {
            black_box(chunk.states[place].state());
            chunk.bodies[place].fetch();
            // On whose first line this one, as a rule, ends.
            chunk.bodies[(place + 1) % SLOTS].fetch();
        }
    }

    /// The same, of its states alone.
    #[cfg(feature = "tokio")]
    pub(crate) fn fetch_state(&self, index: u32) {
        if MODELLED {
            return;
        }
        if let Some((chunk, place)) = self.chunk(index) {
            black_box(chunk.states[place].state());
        }
    }

    /// Hands out an empty slot, for the caller alone.
    pub(crate) fn take(&self) -> Result<Slot<'_, T>, NoSlot> {
        let index = self.free.take()?;
        let slot = self.get(index).unwrap_or_else(|| self.grow(index));
        #[cfg(all(test, any(loom, shuttle)))]
        crate::sync::facade::record::taken(slot.recorded());
        #[cfg(all(test, environment, not(any(loom, shuttle))))]
        slot.ask_for(crate::sync::facade::environment::Access::Take);
        Ok(slot)
    }

    /// Makes the chunk of an index, unless somebody else does meanwhile. Nobody waits for the memory but who needs it.
    #[cold]
    fn grow(&self, index: u32) -> Slot<'_, T> {
        let (chunk, _) = locate(index);
        let chunk = match self.near.get(chunk) {
            Some(chunk) => chunk,
            None => self.far_or_made(chunk),
        };
        chunk.publish(Chunk::new(self.first_generation));
        self.get(index).expect("it was made")
    }

    fn far_or_made(&self, chunk: usize) -> &Published<Chunk<T>> {
        let chunks = &self.far[group(chunk).0];
        if chunks.get().is_none() {
            chunks.publish(boxed(Published::empty));
        }
        self.far(chunk).expect("it was made")
    }

    /// Takes a slot back. It has to be empty, and everybody who cared about its last job told.
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

    /// All slots that have ever been used, and the rest of the last chunk. In the order in which they lie in memory.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot<'_, T>> {
        let chunks =
            (0..).map_while(|number: u32| Some((number, self.chunk(number << CHUNK_BITS)?.0)));
        chunks.flat_map(move |(number, chunk)| {
            let slots = chunk.states.iter().zip(chunk.bodies.iter()).zip(0..);
            slots.map(move |((states, body), place)| {
                Slot::new(
                    number << CHUNK_BITS | unpermute(place),
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

    /// P12: a walk comes by every slot once, under its own index.
    #[test]
    fn a_walk_finds_each_slot_at_its_index() {
        let table = Table::<u32>::new(usize::MAX, 0);
        for _ in 0..5_000 {
            let slot = table.take().unwrap();
            slot.body.lock().payload = Some(slot.index);
        }
        let mut found: Vec<_> = table
            .iter()
            .filter_map(|slot| Some((slot.index, slot.body.lock().payload?)))
            .collect();
        found.sort_unstable();
        let expected: Vec<_> = (0..5_000).map(|index| (index, index)).collect();
        assert_eq!(found, expected);
    }

    /// A forged index finds nothing, wherever it points.
    #[test]
    fn no_index_is_out_of_bounds() {
        let table = Table::<()>::new(usize::MAX, 0);
        assert_eq!(table.take().unwrap().index, 0);
        let chunk = 1 << CHUNK_BITS;
        for index in [chunk, chunk - 1, 1 << 20, u32::MAX - chunk, u32::MAX] {
            assert_eq!(table.get(index).is_some(), index < chunk, "index {index}");
        }
    }

    /// What `Builder::capacity` says of the most jobs there can be.
    #[test]
    fn most_slots_are_as_many_as_the_docs_say() {
        let table = Table::<()>::new(usize::MAX, 0);
        assert_eq!(table.free().capacity(), 536_870_912);
    }

    /// P4: a slot whose generations are used up is never handed out again, and costs no capacity.
    #[test]
    fn a_used_up_slot_is_retired() {
        let table = Table::<()>::new(1, RETIRED);
        let index = table.take().unwrap().index;
        table.give_back(index);
        assert_eq!(table.take().unwrap().index, index + 1);
        assert!(matches!(table.take(), Err(NoSlot::Full)));
    }

    /// P4: what takes the place of retired slots lies past the chunks that the capacity needs, and is found as they are.
    #[test]
    fn retired_slots_are_replaced_past_the_capacity() {
        let table = Table::<()>::new(1, RETIRED);
        let all = 0..3 << CHUNK_BITS;
        for expected in all.clone() {
            let index = table.take().unwrap().index;
            assert_eq!(index, expected);
            table.give_back(index);
        }
        let mut walked: Vec<_> = table.iter().map(|slot| slot.index).collect();
        walked.sort_unstable();
        assert!(walked.into_iter().eq(all));
    }
}
