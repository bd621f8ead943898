//! What the checker gets wrong, and what we do about it. Each of these fails when the checker is
//! mended, so that the work-around can go.

use loom::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What a thread sees that loads once while `writer` runs in another.
fn seen_beside(writer: fn(&AtomicU64)) -> BTreeSet<u64> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let collect = seen.clone();
    loom::model(move || {
        let word = Arc::new(AtomicU64::new(0));
        let observer = {
            let word = word.clone();
            loom::thread::spawn(move || word.load(Ordering::Acquire))
        };
        let other = loom::thread::spawn(move || writer(&word));
        other.join().unwrap();
        collect.lock().unwrap().insert(observer.join().unwrap());
    });
    let seen = seen.lock().unwrap();
    seen.clone()
}

fn exchange(word: &AtomicU64) {
    let _ = word.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
}

/// An exchange alone is seen in both orders.
#[test]
fn an_exchange_is_seen_before_and_after() {
    assert_eq!(seen_beside(exchange), BTreeSet::from([0, 1]));
}

/// A writer that loads first hides the observer's load: loom never lets it come before the observer.
/// This is why the words have an ordered form in `sync/loom_atomic.rs`.
#[test]
fn a_load_before_the_exchange_still_hides_an_order() {
    let seen = seen_beside(|word| {
        word.load(Ordering::Acquire);
        exchange(word);
    });
    assert_eq!(
        seen,
        BTreeSet::from([0]),
        "loom now finds both orders: drop the ordered form of `AtomicWord`"
    );
}
