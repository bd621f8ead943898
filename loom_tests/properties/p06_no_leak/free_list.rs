//! P6, the free list alone: loads and unloads between magazines and depot, and an exhausted table.
//!
//! The smallest program that could violate it: one thread's magazine overflows while a thread with
//! another magazine takes. A violation looks like `Full` while a slot is free, or a lost slot.

use super::super::harness::{call, check, claim, race};
use crate::slots::free_list::{FreeList, NoSlot};
use std::sync::Arc;

/// Returns a list whose slots 0 to `held` are in use.
fn used<const M: usize, const R: usize, const S: usize>(
    capacity: usize,
    held: u32,
) -> Arc<FreeList<M, R, S>> {
    let free = FreeList::new(capacity);
    assert!((0..held).all(|slot| free.take() == Ok(slot)));
    Arc::new(free)
}

/// A magazine with room for three overflows, and its two oldest slots reach the other thread as one
/// load. The other thread gets new slots while the depot is empty.
#[test]
fn an_overflowing_magazine_unloads_to_the_other_thread() {
    let claim = claim!(
        an_overflowing_magazine_unloads_to_the_other_thread,
        [P6],
        [8]
    );
    let outcomes = [[Ok(4), Ok(5)], [Ok(4), Ok(0)], [Ok(0), Ok(1)]];
    check(&claim, &outcomes, &[], || {
        let free = used::<2, 3, 6>(6, 4);
        let ((), taken) = race(
            {
                let free = free.clone();
                move || (0..4).for_each(|slot| call!(free.give_back(Some(slot))))
            },
            {
                let free = free.clone();
                move || [(); 2].map(|()| call!(free.take()))
            },
        );
        let (magazines, depot, grown) = free.contents();
        let idle = magazines.concat().len() + depot.len();
        assert_eq!(idle + 2, grown as usize, "a slot is lost");
        taken
    });
}

/// The table has no new slot, and the only free one is in one of the two magazines. One of two
/// threads gets it, whichever magazine each of them uses.
#[test]
fn the_last_slot_is_taken_from_any_magazine() {
    let claim = claim!(the_last_slot_is_taken_from_any_magazine, [P6], [8]);
    let full = Err(NoSlot::Full);
    check(&claim, &[(Ok(1), full), (full, Ok(1))], &[], || {
        let free = used::<2, 1, 2>(2, 2);
        free.give_back(Some(1));
        let take = |free: Arc<FreeList<2, 1, 2>>| move || call!(free.take());
        let taken = race(take(free.clone()), take(free.clone()));
        assert_eq!(free.taken(), 2);
        taken
    });
}

/// One thread gives back both slots of the table and takes one, while the other takes one. The
/// first thread always finds a slot, because only one is held. The second is refused only at first.
#[test]
fn a_slot_on_its_way_to_the_depot_is_found() {
    let claim = claim!(a_slot_on_its_way_to_the_depot_is_found, [P6], [8]);
    let outcomes = [(Err(NoSlot::Full), true), (Ok(0), true)];
    check(&claim, &outcomes, &[], || {
        let free = used::<2, 1, 2>(2, 2);
        let (again, taken) = race(
            {
                let free = free.clone();
                move || {
                    call!(free.give_back(Some(0)));
                    call!(free.give_back(Some(1)));
                    call!(free.take())
                }
            },
            {
                let free = free.clone();
                move || call!(free.take())
            },
        );
        assert_ne!(again, taken, "a slot is held twice");
        (taken, again.is_ok())
    });
}

/// A slot is retired while the other thread asks for one. A new slot replaces it, once.
#[test]
fn a_retired_slot_makes_room_for_a_new_one() {
    let claim = claim!(a_retired_slot_makes_room_for_a_new_one, [P4, P6], [19]);
    let full = Err(NoSlot::Full);
    check(&claim, &[(Ok(1), full), (full, Ok(1))], &[], || {
        let free = used::<2, 1, 2>(1, 1);
        let ((), taken) = race(
            {
                let free = free.clone();
                move || call!(free.give_back(None))
            },
            {
                let free = free.clone();
                move || call!(free.take())
            },
        );
        (taken, free.take())
    });
}

/// A take during the close is refused, or its slot is counted until it is given back.
#[test]
fn a_take_during_the_close_is_counted_or_refused() {
    let claim = claim!(a_take_during_the_close_is_counted_or_refused, [P6], [8]);
    check(&claim, &[Ok(0), Err(NoSlot::Closed)], &[], || {
        let free = used::<2, 1, 2>(2, 0);
        let (taken, ()) = race(
            {
                let free = free.clone();
                move || call!(free.take())
            },
            {
                let free = free.clone();
                move || call!(free.close())
            },
        );
        assert_eq!(free.taken(), usize::from(taken.is_ok()));
        if let Ok(slot) = taken {
            free.give_back(Some(slot));
        }
        assert_eq!((free.taken(), free.take()), (0, Err(NoSlot::Closed)));
        taken
    });
}
