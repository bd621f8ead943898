//! What the models' harness is told about an execution: how the words changed, and which calls were made.
//!
//! Compiled for this crate's own models only. It serves two ends: an execution that failed is shown as a
//! timeline, and no thread may ever see one of the two words fall.
//!
//! A checker runs all threads of a model on one of the system's, so that plain thread-locals do.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

/// One of the words: the thread that made it, and a count, in which a slot's two follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) usize, pub(crate) usize);

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A word went from one value to another.
    Word(Name, u64, u64),
    Call(Rc<dyn Debug>),
    Return(Rc<dyn Debug>),
}

#[derive(Default)]
pub(crate) struct Execution {
    /// Words made, by thread.
    made: Vec<usize>,
    /// What each thread saw last of each word.
    seen: Vec<(usize, Name, u64)>,
    pub(crate) events: Vec<(usize, Event)>,
}

thread_local! {
    static EXECUTION: RefCell<Execution> = RefCell::new(Execution::default());
}

pub(crate) fn with<R>(f: impl FnOnce(&mut Execution) -> R) -> R {
    EXECUTION.with(|execution| f(&mut execution.borrow_mut()))
}

/// A new execution begins.
pub(crate) fn reset() {
    with(|execution| *execution = Execution::default());
}

/// The name of a new word.
pub(crate) fn word() -> Name {
    let me = this_thread();
    with(|execution| {
        if execution.made.len() <= me {
            execution.made.resize(me + 1, 0);
        }
        execution.made[me] += 1;
        Name(me, execution.made[me])
    })
}

/// What happened so far, by thread.
pub(crate) fn events() -> Vec<(usize, Event)> {
    with(|execution| execution.events.clone())
}

/// A thread has read a word.
///
/// # Panics
///
/// If it has seen a greater value of it before.
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
    // The lowest bit is the watched bit of the state word, which may fall.
    assert!(
        last >> 1 <= value >> 1,
        "a word fell from {last:#x} to {value:#x}"
    );
}

/// A thread has exchanged a word.
pub(crate) fn changed(name: Name, from: u64, to: u64) {
    let me = this_thread();
    with(|execution| execution.events.push((me, Event::Word(name, from, to))));
    saw(name, from);
    saw(name, to);
}

/// 0 for the model's main thread.
#[cfg(all(shuttle, not(loom)))]
pub(crate) fn this_thread() -> usize {
    shuttle::current::try_get_current_task().map_or(0, usize::from)
}

/// 0 for the model's main thread.
#[cfg(loom)]
pub(crate) use super::loom_atomic::this_thread;
