//! Loom's atomics, made complete for observers.
//!
//! loom 0.7.3 remembers only the *last* access of an atomic to decide which other order of accesses to
//! explore. A writer that loads and then exchanges, as nearly every writer does, therefore hides an
//! earlier load of another thread behind its own: the order in which the writer comes first is never
//! explored, and the model passes with outcomes missing. (`loom_tests/harness/canaries.rs` shows it, and
//! notices when it is mended.)
//!
//! So the two words of a slot come in two forms, and the harness explores each model with both:
//!
//! * *ordered*: every order of accesses, no stale values. The value is kept apart from loom, and what loom
//!   explores is one *turn* for each thread: a load takes the turn of its own thread, an exchange the turns of all,
//!   at once. Loads are thus independent of each other and dependent on every exchange, and since turns are
//!   taken by read-modify-writes alone, the last access is enough to know. Turns pass on what was done before,
//!   as the words do, to what is not in this form. `loom_tests/harness/turns_tests.rs` compares it with every order.
//! * *weak*: loom's own atomic, with every stale value that the memory orders allow, in the orders that
//!   loom finds.

use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use loom::thread::ThreadId;
use std::cell::{Cell, RefCell};

// loom runs all threads of a model on one of the system's.
thread_local! {
    static WEAK: Cell<bool> = const { Cell::new(false) };
    static THREADS: Cell<usize> = const { Cell::new(MOST_THREADS) };
}

/// As many as loom allows beside the main thread.
const MOST_THREADS: usize = 4;

/// Which form the words take that are built on this thread of the system.
#[cfg(test)]
pub(crate) fn set_weak(weak: bool) {
    WEAK.set(weak);
}

/// How many threads the model has, the main thread left out. Fewer turns are quicker.
#[cfg(test)]
pub(crate) fn set_threads(threads: usize) {
    THREADS.set(threads.min(MOST_THREADS));
}

/// The atomic of the two words, on whose order everything depends.
#[derive(Debug)]
pub(crate) struct AtomicWord {
    form: Form,
    #[cfg(test)]
    name: super::facade::record::Name,
}

#[derive(Debug)]
enum Form {
    Weak(AtomicU64),
    Ordered {
        value: std::sync::atomic::AtomicU64,
        turns: [AtomicUsize; MOST_THREADS],
    },
}

impl AtomicWord {
    pub(crate) fn new(value: u64) -> Self {
        let form = if WEAK.get() {
            Form::Weak(AtomicU64::new(value))
        } else {
            Form::Ordered {
                value: std::sync::atomic::AtomicU64::new(value),
                turns: std::array::from_fn(|_| AtomicUsize::new(0)),
            }
        };
        Self {
            form,
            #[cfg(test)]
            name: super::facade::record::word(value),
        }
    }

    #[cfg(test)]
    pub(crate) fn slot(&self) -> super::facade::record::Slot {
        self.name.slot()
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        let found = match &self.form {
            Form::Weak(value) => value.load(order),
            Form::Ordered { value, turns } => {
                take_own(turns);
                value.load(Ordering::SeqCst)
            }
        };
        #[cfg(test)]
        super::facade::record::saw(self.name, found);
        found
    }

    /// Counts as a load, of what does not matter.
    #[cfg(test)]
    pub(crate) fn take_turn(&self) {
        if let Form::Ordered { turns, .. } = &self.form {
            take_own(turns);
        }
    }

    /// Counts as an exchange.
    #[cfg(test)]
    pub(crate) fn take_turns(&self) {
        if let Form::Ordered { turns, .. } = &self.form {
            take_all(turns);
        }
    }

    pub(crate) fn swap(&self, to: u64, order: Ordering) -> u64 {
        let from = match &self.form {
            Form::Weak(value) => value.swap(to, order),
            Form::Ordered { value, turns } => {
                take_all(turns);
                value.swap(to, Ordering::SeqCst)
            }
        };
        #[cfg(test)]
        super::facade::record::changed(self.name, from, to);
        from
    }

    pub(crate) fn compare_exchange(
        &self,
        from: u64,
        to: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        let result = match &self.form {
            Form::Weak(value) => value.compare_exchange(from, to, success, failure),
            Form::Ordered { value, turns } => {
                take_all(turns);
                value.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            }
        };
        #[cfg(test)]
        match result {
            Ok(from) => super::facade::record::changed(self.name, from, to),
            Err(found) => super::facade::record::saw(self.name, found),
        }
        result
    }
}

/// The nonce of a slot, whose stores the record of an execution checks.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct AtomicNonce(AtomicU64, super::facade::record::Slot);

#[cfg(test)]
impl AtomicNonce {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value), super::facade::record::last_slot())
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
        super::facade::record::named(self.1);
    }
}

fn take_own(turns: &[AtomicUsize]) {
    // The main thread is alone, before it spawns and after it has joined.
    if let Some(own) = this_thread().checked_sub(1) {
        turns[own].fetch_add(1, Ordering::Acquire);
    }
}

/// As one step: loom switches threads before the first turn and not before the others, and who conflicts with one of those comes
/// before the first one. Turn by turn, loom takes up the order of each turn apart: those of three exchanges, which are 6,
/// as 216. So it does in a dependent's models, which may have told it to stop themselves, and loom forbids that twice.
fn take_all(turns: &[AtomicUsize]) {
    if this_thread() == 0 {
        return;
    }
    let (first, rest) = turns[..THREADS.get()].split_first().expect("a thread");
    first.fetch_add(1, Ordering::AcqRel);
    #[cfg(test)]
    loom::stop_exploring();
    for turn in rest {
        turn.fetch_add(1, Ordering::AcqRel);
    }
    #[cfg(test)]
    loom::explore();
}

/// 0 for the model's main thread.
pub(crate) fn this_thread() -> usize {
    let id = loom::thread::current().id();
    KNOWN.with_borrow_mut(|known| {
        let found = known.iter().find(|(other, _)| *other == id);
        if let Some((_, number)) = found {
            return *number;
        }
        // An execution's ids are not those of another one.
        if known.len() == KNOWN_AT_MOST {
            known.clear();
        }
        let number = number_of(id);
        known.push((id, number));
        number
    })
}

const KNOWN_AT_MOST: usize = 8;

thread_local! {
    static KNOWN: RefCell<Vec<(ThreadId, usize)>> = const { RefCell::new(Vec::new()) };
}

/// loom shows it in the id's text only.
fn number_of(id: ThreadId) -> usize {
    let text = format!("{id:?}");
    let digits = text
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .trim_end_matches(')');
    digits
        .parse()
        .expect("loom's thread ids print as ThreadId(number)")
}
