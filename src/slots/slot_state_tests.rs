//! Tests of a slot's two words, between a decision on one and its settlement on the other.

use super::*;
use crate::Status;
use crate::slots::body::Body;
use crate::slots::slot::Slot;
use crate::slots::watchers::Watchers;
use crate::sync::Arc;
use crate::types::error::Fenced;
use crate::types::state_word::Ending;
use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

const GENERATION: u32 = 7;

fn fenced_id() -> FencedId {
    FencedId {
        slot: 0,
        generation: GENERATION,
        nonce: 0,
        attempt: None,
    }
}

/// A waker that counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Registers a watcher that waits for the slot, and sets the watched bit.
fn wait(slot: Slot<'static, ()>) -> Arc<Wakes> {
    let wakes = Arc::<Wakes>::default();
    let registration = slot.watchers.enter(slot.index, GENERATION);
    assert!(
        slot.watchers
            .wait(registration, &wakes.clone().into())
            .is_none()
    );
    assert!(slot.watch(slot.state()));
    wakes
}

/// Returns a slot with a pending job that is watched.
fn watched_pending() -> Slot<'static, ()> {
    // The leaks are few: each test of this process makes a handful of slots.
    let state = Box::leak(Box::new(SlotState::new(GENERATION)));
    let body = Box::leak(Box::new(Body::empty()));
    let slot = Slot::new(0, state, body, Box::leak(Box::new(Watchers::new())));
    slot.open(GENERATION, 1);
    slot.step::<Infallible>(|word| Ok(word.register())).unwrap();
    assert!(slot.watch(slot.state()));
    slot
}

/// Returns a slot for each decision, as the holder of the lock leaves it before the settlement,
/// with the status that it leads to.
fn decided() -> Vec<(Slot<'static, ()>, Status, Arc<Wakes>)> {
    let (started, ended) = (watched_pending(), watched_pending());
    let completed = watched_pending();
    drop(completed.settle(completed.decide_start(2)));
    let retried = watched_pending();
    drop(retried.settle(retried.decide_end(Ending::Failed)));
    let wakes = [started, ended, completed, retried].map(wait);
    started.decide_start(2);
    ended.decide_end(Ending::Cancelled);
    completed.decide_end(Ending::Completed);
    retried.decide_retry(2);
    let slots = [
        (started, Status::Running),
        (ended, Status::Cancelled),
        (completed, Status::Completed),
        (retried, Status::Pending),
    ];
    let decided = slots.into_iter().zip(wakes);
    decided
        .map(|((slot, status), wakes)| (slot, status, wakes))
        .collect()
}

/// P9 and P12: a reader between a decision and its settlement settles it, and wakes. The next one
/// does not.
#[test]
fn reader_settles_a_decision_and_wakes() {
    for (slot, status, wakes) in decided() {
        let (word, heartbeat) = slot.load_pair();
        assert!(is_settled(word, heartbeat), "{word:?} and {heartbeat:?}");
        assert_eq!(word.status(), Some(status));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(slot.load_pair(), (word, heartbeat));
        let last = slot.settle(heartbeat);
        assert!(
            !last.is_owed(),
            "the holder of the lock has nothing left to settle"
        );
    }
}

/// P8 and P9: a heartbeat settles a decision as well, and is recorded only if the job is live after
/// it.
#[test]
fn heartbeat_settles_a_decision_and_wakes() {
    for (slot, status, wakes) in decided() {
        let word = slot.record_heartbeat(fenced_id(), || 9).unwrap();
        assert_eq!(word.status(), Some(status));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(slot.heartbeat().millis() == 9, !status.is_ended());
    }
}

/// P9: a refused heartbeat, for a removed job or an earlier attempt, settles a decision as well.
#[test]
fn refused_heartbeat_settles_a_decision_and_wakes() {
    let removed = FencedId {
        generation: GENERATION - 1,
        ..fenced_id()
    };
    let superseded = FencedId {
        attempt: Some(7),
        ..fenced_id()
    };
    for (stale, fenced) in [(removed, Fenced::Gone), (superseded, Fenced::Superseded)] {
        for (slot, status, wakes) in decided() {
            assert_eq!(slot.record_heartbeat(stale, || 9), Err(fenced));
            assert_eq!(slot.state().status(), Some(status));
            assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        }
    }
}

/// P2 and P10: a settled decision is not carried out a second time, on a later attempt.
#[test]
fn old_decision_does_not_change_a_later_attempt() {
    let slot = watched_pending();
    let sealed = slot.decide_end(Ending::Failed);
    assert!(slot.settle(sealed).is_owed());
    let open = slot.decide_retry(2);
    drop(slot.settle(open));
    let (word, heartbeat) = slot.load_pair();
    assert!(!slot.settle(sealed).is_owed());
    assert_eq!(slot.load_pair(), (word, heartbeat));
    assert_eq!((word.status(), word.attempt()), (Some(Status::Pending), 2));
}

/// P8: a verdict on a heartbeat that has been followed by another is refused.
#[test]
fn verdict_is_on_the_very_heartbeat_that_was_judged() {
    let slot = watched_pending();
    drop(slot.settle(slot.decide_start(2)));
    let judged = slot.heartbeat();
    slot.record_heartbeat(fenced_id(), || 3).unwrap();
    let later = slot.heartbeat();
    assert_eq!(slot.decide_end_from(judged, Ending::Failed), Err(later));
    assert_eq!(slot.load_pair().0.status(), Some(Status::Running));
}

/// P12: the bit table agrees with the table in the module's docs.
#[test]
fn words_are_settled_as_the_table_says() {
    let pending = StateWord::vacant(GENERATION).register().unwrap();
    let running = pending.start().unwrap();
    let open = HeartbeatWord::open(GENERATION, 1);
    let started = open.started(1);
    for heartbeat in [
        open,
        started,
        open.sealed(Ending::Failed),
        HeartbeatWord::vacant(),
    ] {
        assert!(is_settled(StateWord::vacant(GENERATION), heartbeat));
    }
    for ending in [Ending::Completed, Ending::Failed, Ending::Cancelled] {
        let ended = running.end(ending).unwrap();
        for sealed in [open.sealed(ending), started.sealed(ending)] {
            assert!(is_settled(ended, sealed) && is_settled(ended.watched(), sealed));
            assert!(!is_settled(pending, sealed) && !is_settled(running, sealed));
        }
        assert!(!is_settled(ended, open) && !is_settled(ended, started));
    }
    assert!(is_settled(pending, open) && !is_settled(pending, started));
    assert!(is_settled(running, started) && !is_settled(running, open));
}
