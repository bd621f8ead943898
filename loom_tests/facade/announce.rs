//! What the operations of `shuttle_ops.rs` announce: which shared object a thread is about to touch, and what it
//! has touched since the last switch.
//!
//! For the scheduler of the models, which has to know which steps commute.

use super::record::this_thread;
use std::cell::RefCell;

/// An atomic or a lock: by the thread that made it and a count, so that it has the same name in every
/// execution in which that thread did the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object(usize, usize);

impl Object {
    /// Real time, which the beginnings and the ends of calls touch.
    const TIME: Self = Self(0, 0);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Commutes with others of its kind.
    Read,
    /// A call ends. Commutes with others of its kind.
    End,
    Write,
    /// As a write, and cannot happen while the lock is held.
    Lock,
    /// As a write, and the holder's.
    Unlock,
}

/// One access to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) object: Object,
    pub(crate) kind: Kind,
}

impl Access {
    /// Whether the order of the two matters.
    pub(crate) fn conflicts(self, other: Self) -> bool {
        let commutes = self.kind == other.kind && matches!(self.kind, Kind::Read | Kind::End);
        self.object == other.object && !commutes
    }
}

/// A call of a thread begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Begins(usize),
    Ends(usize),
}

#[derive(Default)]
struct Thread {
    made: usize,
    /// What it does as soon as it runs again.
    next: Option<Access>,
    /// It has begun a call and touched nothing since.
    begins: bool,
}

#[derive(Default)]
struct Execution {
    threads: Vec<Thread>,
    held: Vec<Object>,
    /// What was touched since the last switch.
    step: Vec<Access>,
    moments: Vec<Moment>,
}

impl Execution {
    fn thread(&mut self, thread: usize) -> &mut Thread {
        if self.threads.len() <= thread {
            self.threads.resize_with(thread + 1, Thread::default);
        }
        &mut self.threads[thread]
    }

    fn begin(&mut self, thread: usize) {
        if std::mem::take(&mut self.thread(thread).begins) {
            self.moments.push(Moment::Begins(thread));
            self.step.push(Access {
                object: Object::TIME,
                kind: Kind::Read,
            });
        }
    }
}

thread_local! {
    static EXECUTION: RefCell<Execution> = RefCell::new(Execution::default());
}

fn with<R>(f: impl FnOnce(&mut Execution) -> R) -> R {
    EXECUTION.with(|execution| f(&mut execution.borrow_mut()))
}

/// A new execution begins.
pub(crate) fn reset() {
    with(|execution| *execution = Execution::default());
}

/// The name of a new object.
pub(crate) fn object() -> Object {
    let me = this_thread();
    with(|execution| {
        let thread = execution.thread(me);
        thread.made += 1;
        Object(me, thread.made)
    })
}

/// What this thread does as soon as it runs again.
pub(crate) fn will(object: Object, kind: Kind) {
    let me = this_thread();
    with(|execution| execution.thread(me).next = Some(Access { object, kind }));
}

/// It has done it: perhaps less than it said.
pub(crate) fn did(object: Object, kind: Kind) {
    let me = this_thread();
    with(|execution| {
        execution.thread(me).next = None;
        execution.begin(me);
        execution.step.push(Access { object, kind });
    });
}

/// A lock has been taken, or let go.
pub(crate) fn holds(object: Object, held: bool) {
    with(|execution| {
        if held {
            execution.held.push(object);
        } else {
            execution.held.retain(|other| *other != object);
        }
    });
}

/// This thread begins a call. It counts from the first thing that the call touches.
pub(crate) fn call_begins() {
    let me = this_thread();
    with(|execution| execution.thread(me).begins = true);
}

/// The call has returned. It counts from the last thing that it touched.
pub(crate) fn call_ends() {
    let me = this_thread();
    with(|execution| {
        execution.begin(me);
        execution.moments.push(Moment::Ends(me));
        execution.step.push(Access {
            object: Object::TIME,
            kind: Kind::End,
        });
    });
}

pub(crate) fn moments() -> Vec<Moment> {
    with(|execution| execution.moments.clone())
}

/// What a thread does as soon as it runs again.
pub(crate) fn next(thread: usize) -> Option<Access> {
    with(|execution| execution.thread(thread).next)
}

pub(crate) fn is_held(object: Object) -> bool {
    with(|execution| execution.held.contains(&object))
}

/// What was touched since this was asked last.
pub(crate) fn take_step() -> Vec<Access> {
    with(|execution| std::mem::take(&mut execution.step))
}
