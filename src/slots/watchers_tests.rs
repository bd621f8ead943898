//! Tests of the entries of one slot: which registrations a wake and a removal reach.

use super::*;
use crate::JobRegistry;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

const SLOT: u32 = 0;
const GENERATION: u32 = 1;

/// A waker that counts its wakes.
#[derive(Debug, Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A registration and the wakes of its waker.
#[derive(Clone, Debug)]
struct Watcher(Registration, Arc<Wakes>);

impl Watcher {
    fn enter(watchers: &Watchers, generation: u32) -> Self {
        let watcher = Self(watchers.enter(SLOT, generation), Arc::default());
        assert!(watcher.wait(watchers).is_none());
        watcher
    }

    fn wait(&self, watchers: &Watchers) -> Option<Snapshot> {
        watchers.wait(self.0, &self.1.clone().into())
    }
}

/// Wakes the slot's watchers. Returns how often each of `all` was woken, and lets all wait again.
fn wake(watchers: &Watchers, all: &[Watcher]) -> Vec<usize> {
    let before: Vec<_> = all.iter().map(|watcher| watcher.1.count()).collect();
    drop(WakeDuty::new(watchers, SLOT, true));
    let wakes = all.iter().zip(before);
    let wakes = wakes.map(|(watcher, before)| {
        assert!(watcher.wait(watchers).is_none());
        watcher.1.count() - before
    });
    wakes.collect()
}

/// Returns all orders of the numbers below `len`.
fn orders(len: usize) -> Vec<Vec<usize>> {
    let Some(last) = len.checked_sub(1) else {
        return vec![vec![]];
    };
    let insert = |order: Vec<usize>| {
        (0..len).map(move |at| {
            let mut order = order.clone();
            order.insert(at, last);
            order
        })
    };
    orders(last).into_iter().flat_map(insert).collect()
}

/// Returns the last snapshot of a job in the first slot.
fn last_snapshot() -> Snapshot {
    let job = JobRegistry::new().register(()).unwrap();
    job.cancel().unwrap();
    job.snapshot().unwrap()
}

#[test]
fn watchers_leave_in_any_order() {
    for order in orders(5) {
        let watchers = Watchers::new();
        let all: Vec<_> = (0..5)
            .map(|_| Watcher::enter(&watchers, GENERATION))
            .collect();
        let mut expected = [1; 5];
        for (left, &leaving) in order.iter().enumerate() {
            watchers.leave(all[leaving].0);
            expected[leaving] = 0;
            assert_eq!(wake(&watchers, &all), expected, "{order:?}");
            assert_eq!(watchers.census().0.len(), 4 - left);
        }
        assert_eq!(watchers.census(), (vec![], 0));
    }
}

/// Every index is reused, by registrations that enter after the others have left in any order.
#[test]
fn indices_are_reused() {
    for order in orders(4) {
        let watchers = Watchers::new();
        let mut all: Vec<_> = (0..4)
            .map(|_| Watcher::enter(&watchers, GENERATION))
            .collect();
        let stays = Watcher::enter(&watchers, GENERATION);
        for &leaving in &order {
            watchers.leave(all[leaving].0);
        }
        let places = watchers.shard(SLOT).slots.lock()[&SLOT].places.len();
        for &entering in &order {
            all[entering] = Watcher::enter(&watchers, GENERATION);
        }
        assert_eq!(
            watchers.shard(SLOT).slots.lock()[&SLOT].places.len(),
            places
        );
        all.push(stays);
        assert_eq!(wake(&watchers, &all), [1; 5], "{order:?}");
    }
}

#[test]
fn stale_registration_reaches_no_other_entry() {
    let watchers = Watchers::new();
    let [stale, stays] = [(); 2].map(|()| Watcher::enter(&watchers, GENERATION));
    let index = stale.0.index;
    watchers.leave(stale.0);
    let mut all = vec![stale, stays];
    assert_eq!(wake(&watchers, &all), [0, 1], "the index is free");
    all.push(Watcher::enter(&watchers, GENERATION));
    assert_eq!(all[2].0.index, index);
    assert_eq!(wake(&watchers, &all), [0, 1, 1], "the index is reused");
    watchers.leave(all[0].0);
    assert_eq!(wake(&watchers, &all), [0, 1, 1]);
    assert_eq!(watchers.census(), (vec![(SLOT, GENERATION); 2], 0));
}

#[test]
fn removal_reaches_the_watchers_of_its_generation() {
    let last = last_snapshot();
    let generation = last.id().generation;
    let watchers = Watchers::new();
    let all = [generation, generation + 1, generation, generation + 1]
        .map(|generation| Watcher::enter(&watchers, generation));
    let moved = Watcher::enter(&watchers, generation);
    // The last entry moves to the first position.
    watchers.leave(all[0].0);
    let wakers = watchers.take_removed(SLOT, generation, &last).unwrap();
    wakers.into_iter().for_each(Waker::wake);
    let [left, next, reached, next_too] = all;
    for watcher in [reached, moved] {
        assert_eq!(watcher.1.count(), 1);
        assert_eq!(watcher.wait(&watchers), Some(last));
        assert_eq!(watcher.wait(&watchers), None, "a watcher reads it once");
    }
    assert_eq!(wake(&watchers, &[left, next, next_too]), [0, 1, 1]);
}

#[test]
fn last_watcher_releases_the_memory() {
    let watchers = Watchers::new();
    let all: Vec<_> = (0..1000)
        .map(|_| watchers.enter(SLOT, GENERATION))
        .collect();
    for &registration in &all[1..] {
        watchers.leave(registration);
    }
    assert_eq!(watchers.census(), (vec![(SLOT, GENERATION)], 0));
    watchers.leave(all[0]);
    assert!(watchers.shard(SLOT).slots.lock().is_empty());
}
