//! Announcements by the operations of `shuttle_ops.rs`: the shared object that a thread is about to
//! touch, and the accesses since the last switch.
//!
//! The scheduler of the models needs them to know which steps commute.

use super::record::this_thread;
use std::cell::RefCell;

/// An atomic or a lock, named by its creating thread and a count. It has the same name in every
/// execution in which that thread did the same before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object(usize, usize);

impl Object {
    /// Real time, which is accessed by the beginning and the end of each call.
    const TIME: Self = Self(0, 0);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A read; it commutes with other reads.
    Read,
    /// The end of a call; it commutes with other ends.
    End,
    Write,
    /// The acquisition of a lock: a write that cannot happen while the lock is held.
    Lock,
    /// The release of a lock: a write by its holder.
    Unlock,
}

/// One access to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) object: Object,
    pub(crate) kind: Kind,
}

impl Access {
    /// Whether the order of the two accesses matters.
    pub(crate) fn conflicts(self, other: Self) -> bool {
        let commutes = self.kind == other.kind && matches!(self.kind, Kind::Read | Kind::End);
        self.object == other.object && !commutes
    }
}

/// The beginning or the end of a thread's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Begins(usize),
    Ends(usize),
}

#[derive(Default)]
struct Thread {
    made: usize,
    /// The access that it makes as soon as it runs again.
    next: Option<Access>,
    /// Whether it has begun a call and accessed nothing since.
    begins: bool,
}

#[derive(Default)]
struct Execution {
    threads: Vec<Thread>,
    held: Vec<Object>,
    /// Accesses since the last switch.
    step: Vec<Access>,
    moments: Vec<Moment>,
    /// The task that moves virtual time.
    clock: Option<usize>,
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

/// Begins a new execution.
pub(crate) fn reset() {
    with(|execution| *execution = Execution::default());
}

/// Returns the name of a new object.
pub(crate) fn object() -> Object {
    let me = this_thread();
    with(|execution| {
        let thread = execution.thread(me);
        thread.made += 1;
        Object(me, thread.made)
    })
}

/// Announces the access that this thread makes as soon as it runs again.
pub(crate) fn will(object: Object, kind: Kind) {
    let me = this_thread();
    with(|execution| execution.thread(me).next = Some(Access { object, kind }));
}

/// Records the access that this thread has made, which may be weaker than the announced one.
pub(crate) fn did(object: Object, kind: Kind) {
    let me = this_thread();
    with(|execution| {
        execution.thread(me).next = None;
        execution.begin(me);
        execution.step.push(Access { object, kind });
    });
}

/// Records that a lock has been taken or released.
pub(crate) fn holds(object: Object, held: bool) {
    with(|execution| {
        if held {
            execution.held.push(object);
        } else {
            execution.held.retain(|other| *other != object);
        }
    });
}

/// Begins a call of this thread. In real time, it begins with its first access.
pub(crate) fn call_begins() {
    let me = this_thread();
    with(|execution| execution.thread(me).begins = true);
}

/// Ends a call of this thread. In real time, it ends with its last access.
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

/// Makes this task the clock. Returns whether it was not.
pub(crate) fn become_clock() -> bool {
    let me = this_thread();
    with(|execution| execution.clock.replace(me).is_none())
}

pub(crate) fn has_clock() -> bool {
    with(|execution| execution.clock.is_some())
}

/// Whether this thread is the clock, which only runs if no other thread can.
pub(crate) fn is_clock(thread: usize) -> bool {
    with(|execution| execution.clock == Some(thread))
}

/// Returns the access that a thread makes as soon as it runs again.
pub(crate) fn next(thread: usize) -> Option<Access> {
    with(|execution| execution.thread(thread).next)
}

pub(crate) fn is_held(object: Object) -> bool {
    with(|execution| execution.held.contains(&object))
}

/// Returns the accesses since the last call of this function.
pub(crate) fn take_step() -> Vec<Access> {
    with(|execution| std::mem::take(&mut execution.step))
}
