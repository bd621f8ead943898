//! Tests of the free list with several threads.

use super::*;
use crate::slots::layout::MAX_SLOTS;
use crate::sync::thread_number::thread_number;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::thread;

const MAGAZINES: usize = 16;
const ROOM: usize = 64;
/// The free list of the ordinary build.
type OrdinaryFreeList = FreeList<MAGAZINES, ROOM, MAX_SLOTS>;
const _: fn(usize) -> OrdinaryFreeList = FreeSlots::new;

/// Runs `work` on a thread with another magazine than this thread's.
fn with_another_magazine<R: Send>(mut work: impl FnOnce() -> R + Send) -> R {
    let own = thread_number() % MAGAZINES;
    loop {
        let there = || match thread_number() % MAGAZINES {
            magazine if magazine == own => Err(work),
            _ => Ok(work()),
        };
        match thread::scope(|scope| scope.spawn(there).join().unwrap()) {
            Ok(result) => return result,
            Err(again) => work = again,
        }
    }
}

fn give_back(free: &FreeSlots, indices: &[u32]) {
    for &index in indices {
        free.give_back(Some(index));
    }
}

/// P12: threads that take and return slots concurrently never share a slot, and never hold more
/// slots than the capacity.
#[test]
fn no_slot_is_taken_twice() {
    const CAPACITY: usize = if cfg!(miri) { 100 } else { 500 };
    let free = FreeSlots::new(CAPACITY);
    let work = |seed: usize| {
        let free = &free;
        move || {
            let mut mine = Vec::new();
            for round in 0..if cfg!(miri) { 100 } else { 20_000 } {
                if mine.len() < 200 && (round * seed) % 7 < 4 {
                    mine.extend(free.take());
                } else if let Some(index) = mine.pop() {
                    free.give_back(Some(index));
                }
                assert!(free.taken() <= CAPACITY);
            }
            mine
        }
    };
    let mut taken: Vec<u32> = thread::scope(|scope| {
        let threads: Vec<_> = (1..=4).map(|seed| scope.spawn(work(seed))).collect();
        threads
            .into_iter()
            .flat_map(|it| it.join().unwrap())
            .collect()
    });
    assert_eq!(free.taken(), taken.len());
    // All other slots are still available.
    taken.extend(std::iter::from_fn(|| free.take().ok()));
    assert_eq!(taken.len(), CAPACITY);
    let distinct: HashSet<_> = taken.iter().collect();
    assert_eq!(distinct.len(), CAPACITY);
    assert_eq!(free.take(), Err(NoSlot::Full));
}

/// P6 and P12: more threads than magazines share a table that is used up. Together they hold at
/// most as many slots as it has, so that no thread is ever refused.
#[test]
fn more_threads_than_magazines_lose_no_slot() {
    const THREADS: usize = if cfg!(miri) { 18 } else { 40 };
    const EACH: usize = 3;
    const SLOTS: usize = THREADS * EACH;
    let free = FreeList::<MAGAZINES, 3, SLOTS>::new(SLOTS);
    let held: Vec<_> = (0..SLOTS).map(|_| AtomicBool::new(false)).collect();
    let take = |mine: &mut Vec<u32>| {
        let index = free.take().expect("others hold fewer than all");
        let was_held = held[index as usize].swap(true, Ordering::Relaxed);
        assert!(!was_held, "slot {index} is held twice");
        mine.push(index);
    };
    let give = |mine: &mut Vec<u32>, place: usize| {
        let index = mine.remove(place % mine.len());
        held[index as usize].store(false, Ordering::Relaxed);
        free.give_back(Some(index));
    };
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (take, give) = (&take, &give);
            scope.spawn(move || {
                let mut mine = Vec::new();
                for round in 0..if cfg!(miri) { 8 } else { 2_000 } {
                    match (round * (seed + 1)) % 5 {
                        0..3 if mine.len() < EACH => take(&mut mine),
                        _ if !mine.is_empty() => give(&mut mine, round),
                        _ => {}
                    }
                }
                while !mine.is_empty() {
                    give(&mut mine, 0);
                }
            });
        }
    });
    assert_eq!(free.taken(), 0);
    let all: HashSet<_> = (0..SLOTS).map(|_| free.take().unwrap()).collect();
    assert_eq!(all.len(), SLOTS);
    assert_eq!(free.take(), Err(NoSlot::Full));
}

/// P6: at the end of the table, a free slot is found in any magazine and in the depot.
#[test]
fn all_magazines_are_searched_at_the_end_of_the_table() {
    const SLOTS: usize = 10;
    let free = FreeList::<MAGAZINES, 4, SLOTS>::new(usize::MAX);
    assert_eq!(free.capacity(), SLOTS);
    let all: Vec<_> = (0..SLOTS).map(|_| free.take().unwrap()).collect();
    with_another_magazine(|| all.iter().for_each(|&index| free.give_back(Some(index))));
    let again: HashSet<_> = (0..SLOTS).map(|_| free.take().unwrap()).collect();
    assert_eq!(again, all.into_iter().collect());
    assert_eq!(free.take(), Err(NoSlot::Full));
}

/// P6: slots that one thread takes and another returns are used again. While new slots are made, at
/// most the contents of the other magazines are idle.
#[test]
fn slots_circulate_between_threads() {
    let free = FreeSlots::new(usize::MAX);
    let mut highest = 0;
    for _ in 0..if cfg!(miri) { 2 } else { 100 } {
        let taken: Vec<_> = (0..1000).map(|_| free.take().unwrap()).collect();
        highest = taken.iter().copied().fold(highest, u32::max);
        with_another_magazine(|| give_back(&free, &taken));
    }
    assert_eq!(free.taken(), 0);
    let most = 1000 + (MAGAZINES - 1) * ROOM;
    assert!((highest as usize) < most, "{highest}");
}

/// P4: a thread with few jobs at a time uses few slots, and each of them in turn.
#[test]
fn slots_are_used_in_turn() {
    let free = FreeSlots::new(usize::MAX);
    let take = || free.take().unwrap();
    let first: Vec<_> = (0..10).map(|_| take()).collect();
    assert_eq!(first, (0..10).collect::<Vec<_>>());
    give_back(&free, &first);
    for expected in (0..10).cycle().take(100) {
        let index = take();
        assert_eq!(index, expected);
        free.give_back(Some(index));
    }
    // Slots that pass through the depot are used again, too.
    let many: Vec<_> = (0..1000).map(|_| take()).collect();
    give_back(&free, &many);
    let again: HashSet<_> = (0..1000).map(|_| take()).collect();
    assert_eq!(again, many.into_iter().collect());
}

/// Each thread reuses the slots that it returned, and not those of another thread.
#[test]
fn each_thread_has_a_magazine() {
    let free = FreeSlots::new(usize::MAX);
    let (here, there) = (free.take().unwrap(), free.take().unwrap());
    free.give_back(Some(here));
    with_another_magazine(|| {
        free.give_back(Some(there));
        assert_eq!(free.take(), Ok(there));
    });
    assert_eq!(free.take(), Ok(here));
}

/// P6: a retired slot makes room for another and is not taken again.
#[test]
fn retired_slot_is_replaced() {
    let free = FreeSlots::new(1);
    let index = free.take().unwrap();
    assert_eq!(free.take(), Err(NoSlot::Full));
    free.give_back(None);
    assert_eq!(free.taken(), 0);
    assert_eq!(free.take(), Ok(index + 1));
}

/// P6: a closed list refuses every caller, and still counts the slots that are taken.
#[test]
fn closed_list_refuses_and_still_counts() {
    let free = FreeSlots::new(1);
    let index = free.take().unwrap();
    free.close();
    free.close();
    assert!(free.is_closed());
    assert_eq!((free.take(), free.taken()), (Err(NoSlot::Closed), 1));
    free.give_back(Some(index));
    assert_eq!((free.take(), free.taken()), (Err(NoSlot::Closed), 0));
}

/// P6: once retired slots have used the table up, the registry is full, and the count includes only
/// slots that exist.
#[test]
fn table_that_is_used_up_is_full() {
    let free = FreeSlots::new(usize::MAX);
    free.depot.lock().grown = u32::try_from(MAX_SLOTS).unwrap() - 1;
    assert!(free.take().is_ok());
    assert_eq!(free.take(), Err(NoSlot::Full));
    assert_eq!(free.taken(), 1);
}
