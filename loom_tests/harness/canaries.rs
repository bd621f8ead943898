//! Defects of loom, each with our work-around. A canary fails once loom is fixed, so that the
//! work-around can be removed.
//!
//! | loom's issue         | what is missing                                              | work-around, and its canary |
//! |----------------------|--------------------------------------------------------------|-----------------------------|
//! | tokio-rs/loom#392    | interleavings in which another thread precedes the main one  | operations in spawned threads only: `issue_392_…` |
//! | tokio-rs/loom#166    | interleavings that a load of the writer hides from an observer | no plain loads, the words' ordered form: `issue_166_…` |
//! | none that we know of | attempts at a lock while another thread holds it             | turns at a job's lock, too: `an_attempt_…` |

use loom::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Returns all outcomes of `model` in the executions that loom explores.
fn outcomes<O: Ord + Send + 'static>(model: fn() -> O) -> BTreeSet<O> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let collect = seen.clone();
    loom::model(move || {
        let outcome = model();
        collect.lock().unwrap().insert(outcome);
    });
    std::mem::take(&mut seen.lock().unwrap())
}

fn exchange(word: &AtomicU64) {
    let _ = word.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
}

fn load_and_exchange(word: &AtomicU64) {
    word.load(Ordering::Acquire);
    exchange(word);
}

/// Returns the value that a thread loads while `writer` runs in another.
fn seen_by_a_thread(writer: fn(&AtomicU64)) -> u64 {
    let word = Arc::new(AtomicU64::new(0));
    let seen = word.clone();
    let observer = loom::thread::spawn(move || seen.load(Ordering::Acquire));
    let other = loom::thread::spawn(move || writer(&word));
    other.join().unwrap();
    observer.join().unwrap()
}

/// Returns the value that the main thread loads while `writer` runs in another.
fn seen_by_main(writer: fn(&AtomicU64)) -> u64 {
    let word = Arc::new(AtomicU64::new(0));
    let written = word.clone();
    let other = loom::thread::spawn(move || writer(&written));
    let seen = word.load(Ordering::Acquire);
    other.join().unwrap();
    seen
}

/// A compare-exchange alone is observed before and after, by a spawned thread and by the main
/// thread. This is the baseline of the tests below.
#[test]
fn an_exchange_is_seen_before_and_after() {
    let both = BTreeSet::from([0, 1]);
    assert_eq!(outcomes(|| seen_by_a_thread(exchange)), both);
    assert_eq!(outcomes(|| seen_by_main(exchange)), both);
}

/// A spawned thread that begins with a load never runs before the operations of the main thread.
#[test]
fn issue_392_a_load_still_keeps_a_thread_behind_main() {
    assert_eq!(
        outcomes(|| seen_by_main(load_and_exchange)),
        BTreeSet::from([0]),
        "loom now finds both orders: the main thread of a model may take part"
    );
}

/// A writer that loads before its compare-exchange hides the observer's load. Loom never runs the
/// writer before the observer. The words therefore have an ordered form in
/// `src/sync/loom_atomic.rs`.
#[test]
fn issue_166_a_load_before_the_exchange_still_hides_an_order() {
    assert_eq!(
        outcomes(|| seen_by_a_thread(load_and_exchange)),
        BTreeSet::from([0]),
        "loom now finds both orders: remove the ordered form of `AtomicWord`"
    );
}

/// An observer reads two words, and the writer reloads the first one between two stores. The load
/// changes nothing, so both variants should have the same outcomes.
#[test]
fn issue_166_a_redundant_load_still_hides_outcomes() {
    fn two_words(reload: bool) -> (u64, u64) {
        let words = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let written = words.clone();
        let writer = loom::thread::spawn(move || {
            let [first, second] = &*written;
            first.store(1, Ordering::SeqCst);
            second.store(1, Ordering::SeqCst);
            second.store(2, Ordering::SeqCst);
            if reload {
                first.load(Ordering::SeqCst);
            }
            first.store(2, Ordering::SeqCst);
        });
        let observer = loom::thread::spawn(move || {
            let [first, second] = &*words;
            let seen = second.load(Ordering::SeqCst);
            (seen, first.load(Ordering::SeqCst))
        });
        writer.join().unwrap();
        observer.join().unwrap()
    }

    let (with, without) = (outcomes(|| two_words(true)), outcomes(|| two_words(false)));
    assert!(with.is_subset(&without));
    assert_ne!(
        with, without,
        "loom now has the same outcomes with and without the load: plain loads are safe in models"
    );
}

/// Loom does not count the release of a lock as an access. It has no reason to try a lock between
/// another thread's acquisition and release. It finds the busy lock only if another access makes it
/// switch in between.
#[test]
fn an_attempt_at_a_held_lock_is_still_hidden() {
    fn attempt(between: bool) -> bool {
        let shared = Arc::new((loom::sync::Mutex::new(()), AtomicU64::new(0)));
        let held = shared.clone();
        let holder = loom::thread::spawn(move || {
            let guard = held.0.lock().unwrap();
            if between {
                held.1.fetch_add(1, Ordering::AcqRel);
            }
            drop(guard);
        });
        let other = loom::thread::spawn(move || {
            if between {
                shared.1.fetch_add(1, Ordering::AcqRel);
            }
            shared.0.try_lock().is_ok()
        });
        holder.join().unwrap();
        other.join().unwrap()
    }

    assert_eq!(
        outcomes(|| attempt(true)),
        BTreeSet::from([false, true]),
        "an access of both threads makes loom switch"
    );
    assert_eq!(
        outcomes(|| attempt(false)),
        BTreeSet::from([true]),
        "loom now finds both: remove the turns in `src/slots/locked_slot.rs`"
    );
}
