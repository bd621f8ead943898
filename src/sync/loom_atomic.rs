//! Loom's atomics, completed for models with observers.
//!
//! loom 0.7.3 uses only the *last* access of an atomic to decide which other interleavings to
//! explore. Most writers load and then make a compare-exchange. Their own load hides an earlier
//! load of another thread. The interleaving in which the writer comes first is then never explored,
//! and the model passes with outcomes missing. (`loom_tests/harness/canaries.rs` demonstrates it,
//! and fails once loom has fixed it.)
//!
//! The two words of a slot therefore have two forms, and the harness explores each model with both:
//!
//! * *ordered*: every interleaving, no stale values. The value is stored outside of loom. Loom
//!   explores one *turn* for each thread instead. A load takes its own thread's turn, and a
//!   compare-exchange or swap takes the turns of all threads, atomically. Loads of different
//!   threads are therefore independent, and each depends on every write. Turns are taken by
//!   read-modify-writes alone, so that the last access suffices. Turns also synchronize like the
//!   words, for all other memory. `loom_tests/harness/turns_tests.rs` compares this form with an
//!   enumeration of all interleavings.
//! * *weak*: loom's own atomic, with every stale value that the memory orderings allow, in the
//!   interleavings that loom finds.

use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use loom::thread::ThreadId;
use std::cell::{Cell, RefCell};

// loom runs all threads of a model on one system thread.
thread_local! {
    static WEAK: Cell<bool> = const { Cell::new(false) };
    static THREADS: Cell<usize> = const { Cell::new(MAX_THREADS) };
}

/// Maximum number of threads that loom allows, without the main thread.
const MAX_THREADS: usize = 4;

/// Sets the form of the words that this system thread builds.
#[cfg(test)]
pub(crate) fn set_weak(weak: bool) {
    WEAK.set(weak);
}

/// Sets the number of threads of the model, without the main thread. Fewer turns are faster.
#[cfg(test)]
pub(crate) fn set_threads(threads: usize) {
    THREADS.set(threads.min(MAX_THREADS));
}

/// The atomic of the two words, whose interleavings matter.
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
        turns: [AtomicUsize; MAX_THREADS],
    },
}

impl Form {
    fn new(value: u64) -> Self {
        if WEAK.get() {
            Self::Weak(AtomicU64::new(value))
        } else {
            Self::Ordered {
                value: std::sync::atomic::AtomicU64::new(value),
                turns: std::array::from_fn(|_| AtomicUsize::new(0)),
            }
        }
    }

    fn load(&self, order: Ordering) -> u64 {
        match self {
            Self::Weak(value) => value.load(order),
            Self::Ordered { value, turns } => {
                take_own_turn(turns);
                value.load(Ordering::SeqCst)
            }
        }
    }

    fn swap(&self, to: u64, order: Ordering) -> u64 {
        match self {
            Self::Weak(value) => value.swap(to, order),
            Self::Ordered { value, turns } => {
                take_all_turns(turns);
                value.swap(to, Ordering::SeqCst)
            }
        }
    }
}

impl AtomicWord {
    pub(crate) fn new(value: u64) -> Self {
        Self {
            form: Form::new(value),
            #[cfg(test)]
            name: super::facade::record::word(value),
        }
    }

    #[cfg(test)]
    pub(crate) fn slot(&self) -> super::facade::record::Slot {
        self.name.slot()
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        let loaded = self.form.load(order);
        #[cfg(test)]
        super::facade::record::saw(self.name, loaded);
        loaded
    }

    /// Counts as a load whose value does not matter.
    #[cfg(test)]
    pub(crate) fn take_turn(&self) {
        if let Form::Ordered { turns, .. } = &self.form {
            take_own_turn(turns);
        }
    }

    /// Counts as a write.
    #[cfg(test)]
    pub(crate) fn take_turns(&self) {
        if let Form::Ordered { turns, .. } = &self.form {
            take_all_turns(turns);
        }
    }

    pub(crate) fn swap(&self, to: u64, order: Ordering) -> u64 {
        let from = self.form.swap(to, order);
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
                take_all_turns(turns);
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

/// The revision of a slot, in the same two forms. The record of an execution checks its changes.
#[derive(Debug)]
pub(crate) struct AtomicRevision {
    form: Form,
    #[cfg(test)]
    slot: super::facade::record::Slot,
}

impl AtomicRevision {
    pub(crate) fn new(value: u64) -> Self {
        Self {
            form: Form::new(value),
            #[cfg(test)]
            slot: super::facade::record::last_slot(),
        }
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.form.load(order)
    }

    pub(crate) fn swap(&self, to: u64, order: Ordering) -> u64 {
        let from = self.form.swap(to, order);
        #[cfg(test)]
        super::facade::record::revised(self.slot, to);
        from
    }
}

/// The nonce of a slot. The record of an execution checks its stores.
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

fn take_own_turn(turns: &[AtomicUsize]) {
    // The main thread takes no turn: it runs alone, before it spawns and after it has joined.
    if let Some(turn) = this_thread().checked_sub(1) {
        turns[turn].fetch_add(1, Ordering::Acquire);
    }
}

/// Takes the turns of all threads as one step. Loom switches threads before the first turn, and not
/// before the others. An access that conflicts with one of those therefore comes before the first.
///
/// Without this, loom explores the order of each turn separately: the 6 orders of three writes
/// become 216. A dependent's models do so, because they may have stopped the exploration
/// themselves, and loom forbids to stop it twice.
fn take_all_turns(turns: &[AtomicUsize]) {
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

/// Returns the number of this thread, which is 0 for the model's main thread.
pub(crate) fn this_thread() -> usize {
    let id = loom::thread::current().id();
    KNOWN.with_borrow_mut(|known| {
        let cached = known.iter().find(|(other, _)| *other == id);
        if let Some((_, number)) = cached {
            return *number;
        }
        // Each execution has new ids.
        if known.len() == MAX_KNOWN {
            known.clear();
        }
        let number = number_of(id);
        known.push((id, number));
        number
    })
}

const MAX_KNOWN: usize = 8;

thread_local! {
    static KNOWN: RefCell<Vec<(ThreadId, usize)>> = const { RefCell::new(Vec::new()) };
}

/// Returns the number of a thread, which loom shows only in the text of the id.
fn number_of(id: ThreadId) -> usize {
    let text = format!("{id:?}");
    let digits = text
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .trim_end_matches(')');
    digits
        .parse()
        .expect("loom's thread ids print as ThreadId(number)")
}
