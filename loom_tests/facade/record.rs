//! The record of an execution for the harness: the changes of the words, and the calls made.
//!
//! It is compiled for this crate's own models only and serves three purposes. The timeline of a
//! failed execution is printed. No thread may see one of the two words decrease. A rule of the
//! guarantee must permit every write.
//!
//! A checker runs all threads of a model on one OS thread, so plain thread-locals suffice.

use crate::guarantee::{Heartbeat, Memory, State, revision_of, rule};
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::state_word::StateWord;
use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

/// A word, named by its creating thread and a count. The two words of a slot have consecutive
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) usize, pub(crate) usize);

/// A slot, named by its creating thread and a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize, usize);

impl Name {
    /// The first word of a slot has an odd count.
    fn is_state(self) -> bool {
        self.1 % 2 == 1
    }

    pub(crate) fn slot(self) -> Slot {
        Slot(self.0, self.1.div_ceil(2))
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Change of a word from one value to another.
    Word(Name, u64, u64),
    Call(Rc<dyn Debug>),
    Return(Rc<dyn Debug>),
}

#[derive(Default)]
pub(crate) struct Execution {
    /// Number of words created, by thread.
    made: Vec<usize>,
    /// Whether a model prepares a slot in a step that no thread makes.
    sets_up: bool,
    /// Present state of each slot.
    slots: Vec<(Slot, Memory)>,
    /// Last value of each word that each thread has seen.
    seen: Vec<(usize, Name, u64)>,
    pub(crate) events: Vec<(usize, Event)>,
}

thread_local! {
    static EXECUTION: RefCell<Execution> = RefCell::new(Execution::default());
}

pub(crate) fn with<R>(f: impl FnOnce(&mut Execution) -> R) -> R {
    EXECUTION.with(|execution| f(&mut execution.borrow_mut()))
}

/// Begins a new execution.
pub(crate) fn reset() {
    with(|execution| *execution = Execution::default());
}

/// Names a new word with this value. A slot creates its state word before its heartbeat word.
pub(crate) fn word(value: u64) -> Name {
    let me = this_thread();
    with(|execution| {
        if execution.made.len() <= me {
            execution.made.resize(me + 1, 0);
        }
        execution.made[me] += 1;
        let name = Name(me, execution.made[me]);
        if name.is_state() {
            let memory = Memory::new(StateWord::from_bits(value), HeartbeatWord::vacant());
            execution.slots.push((name.slot(), memory));
        }
        name
    })
}

/// Returns the slot whose words this thread created last.
pub(crate) fn last_slot() -> Slot {
    let me = this_thread();
    with(|execution| Name(me, execution.made[me]).slot())
}

/// Makes a step of this thread on the recorded state of a slot.
///
/// # Panics
///
/// If no rule of the guarantee permits it.
fn step(slot: Slot, change: impl FnOnce(&mut Memory, usize)) {
    let me = this_thread();
    let (before, after, sets_up) = with(|execution| {
        let mut slots = execution.slots.iter_mut();
        let (_, memory) = slots
            .find(|known| known.0 == slot)
            .expect("a slot is known before it is used");
        let before = *memory;
        change(memory, me);
        (before, *memory, execution.sets_up)
    });
    assert!(
        sets_up || rule(&before, &after, me).is_some(),
        "no rule of the guarantee permits thread {me} to go from {before:?} to {after:?}"
    );
}

/// Exempts the words of this execution from the guarantee, because they belong to no slot.
#[cfg(loom)]
pub(crate) fn without_slots() {
    with(|execution| execution.sets_up = true);
}

/// Prepares a slot in a step that the guarantee does not permit.
pub(crate) fn set_up(prepare: impl FnOnce()) {
    with(|execution| execution.sets_up = true);
    prepare();
    with(|execution| {
        execution.sets_up = false;
        // No thread made that step, so none owns the slot.
        execution
            .slots
            .iter_mut()
            .for_each(|(_, memory)| memory.claim = None);
    });
}

/// Records that this thread has taken a vacant slot from the free list.
pub(crate) fn taken(slot: Slot) {
    step(slot, |memory, me| memory.claim = Some(me));
}

/// Records that this thread is about to give a vacant slot back to the free list.
pub(crate) fn given_back(slot: Slot) {
    step(slot, |memory, _| memory.claim = None);
}

/// Records that this thread has stored the nonce of the slot's next job.
pub(crate) fn named(slot: Slot) {
    step(slot, |memory, _| memory.nonce = memory.state.generation);
}

/// Records that this thread has changed the revision of a slot.
pub(crate) fn revised(slot: Slot, to: u64) {
    step(slot, |memory, _| memory.revision = revision_of(to));
}

/// Recorded possession of a job's lock by this thread.
pub(crate) struct Holding(Slot);

impl Holding {
    pub(crate) fn new(slot: Slot) -> Self {
        step(slot, |memory, me| memory.lock = Some(me));
        Self(slot)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // A second panic would abort the process and hide the first.
        if std::thread::panicking() {
            with(|execution| {
                let slots = execution.slots.iter_mut();
                let known = slots.filter(|(slot, _)| *slot == self.0);
                known.for_each(|(_, memory)| memory.lock = None);
            });
        } else {
            step(self.0, |memory, _| memory.lock = None);
        }
    }
}

/// Returns all events so far, each with its thread.
pub(crate) fn events() -> Vec<(usize, Event)> {
    with(|execution| execution.events.clone())
}

/// Records the value of a word that this thread has read.
///
/// # Panics
///
/// If the thread has seen a greater value before.
pub(crate) fn saw(name: Name, value: u64) {
    let me = this_thread();
    let last = with(|execution| {
        let known = execution
            .seen
            .iter_mut()
            .find(|seen| (seen.0, seen.1) == (me, name));
        if let Some((_, _, last)) = known {
            return std::mem::replace(last, value.max(*last));
        }
        execution.seen.push((me, name, value));
        0
    });
    // The lowest bit is the watched bit of the state word, which may be cleared.
    assert!(
        last >> 1 <= value >> 1,
        "a word decreased from {last:#x} to {value:#x}"
    );
}

/// Records that this thread has changed a word.
pub(crate) fn changed(name: Name, from: u64, to: u64) {
    let me = this_thread();
    with(|execution| execution.events.push((me, Event::Word(name, from, to))));
    step(name.slot(), |memory, me| {
        if !name.is_state() {
            memory.heartbeat = Heartbeat::of(HeartbeatWord::from_bits(to));
            return;
        }
        let (vacant, before) = (memory.state.status.is_none(), memory.state.generation);
        memory.state = State::of(StateWord::from_bits(to));
        // A removal claims the slot, and a publication ends the claim.
        if memory.state.generation != before {
            memory.claim = Some(me);
        } else if vacant {
            memory.claim = None;
        }
    });
    saw(name, from);
    saw(name, to);
}

/// Returns the number of the current thread; 0 is the model's main thread.
#[cfg(all(shuttle, not(loom)))]
pub(crate) fn this_thread() -> usize {
    shuttle::current::try_get_current_task().map_or(0, usize::from)
}

/// Returns the number of the current thread; 0 is the model's main thread.
#[cfg(loom)]
pub(crate) use crate::sync::loom_atomic::this_thread;
