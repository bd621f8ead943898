//! Tests of a slot's two words: what was decided on one and is not yet settled on the other.

use super::*;
use crate::Status;
use crate::body::Body;
use crate::sync::Mutex;
use crate::watchers::Watchers;
use crate::word::Ending;
use std::convert::Infallible;

const GENERATION: u32 = 7;

fn target() -> Target {
    Target {
        slot: 0,
        generation: GENERATION,
        nonce: 0,
        attempt: None,
    }
}

/// A pending job, that somebody watches.
fn watched_pending() -> Slot<'static, ()> {
    // The tests of a process are few.
    let words = Box::leak(Box::new(Words::new(GENERATION)));
    let body = Box::leak(Box::new(Mutex::new(Body::empty())));
    let slot = Slot::new(0, words, body, Box::leak(Box::new(Watchers::new())));
    slot.open(GENERATION, 1);
    slot.step::<Infallible>(|word| Ok(word.register())).unwrap();
    assert!(slot.watch(slot.state()));
    slot
}

/// Each of the decisions, as the holder of the lock leaves it before it settles: the slot, and the status that
/// it comes to.
fn decided() -> Vec<(Slot<'static, ()>, Status)> {
    let started = watched_pending();
    started.begin(2);
    let ended = watched_pending();
    ended.seal(Ending::Cancelled);
    let completed = watched_pending();
    drop(completed.settle(completed.begin(2)));
    assert!(completed.watch(completed.state()));
    completed.seal(Ending::Completed);
    let retried = watched_pending();
    drop(retried.settle(retried.seal(Ending::Failed)));
    assert!(retried.watch(retried.state()));
    retried.reopen(2);
    vec![
        (started, Status::Running),
        (ended, Status::Cancelled),
        (completed, Status::Completed),
        (retried, Status::Pending),
    ]
}

/// P9 and P12: whoever looks between a decision and its settlement settles it, and wakes. The next one does not.
#[test]
fn observer_settles_what_was_decided_and_wakes() {
    for (slot, status) in decided() {
        let (word, beat, duty) = slot.observe();
        assert!(is_settled(word, beat), "{word:?} and {beat:?}");
        assert_eq!((word.status(), duty.is_owed()), (Some(status), true));
        let (again, still, second) = slot.observe();
        assert_eq!((again, still, second.is_owed()), (word, beat, false));
        let last = slot.settle(beat);
        assert!(!last.is_owed(), "the holder of the lock comes second");
    }
}

/// P8 and P9: so does a heartbeat, which is recorded only if the job lives then.
#[test]
fn heartbeat_settles_what_was_decided_and_wakes() {
    for (slot, status) in decided() {
        let (word, duty) = slot.record_beat(target(), || 9).unwrap();
        assert_eq!((word.status(), duty.is_owed()), (Some(status), true));
        assert_eq!(slot.beat().millis() == 9, !status.is_ended());
    }
}

/// P2 and P10: a decision that has been settled is not carried out a second time, on the attempt that came after it.
#[test]
fn old_decision_does_not_touch_what_came_later() {
    let slot = watched_pending();
    let sealed = slot.seal(Ending::Failed);
    assert!(slot.settle(sealed).is_owed());
    let open = slot.reopen(2);
    drop(slot.settle(open));
    let (word, beat, _) = slot.observe();
    assert!(!slot.settle(sealed).is_owed());
    let (again, still, duty) = slot.observe();
    assert_eq!((again, still, duty.is_owed()), (word, beat, false));
    assert_eq!((word.status(), word.attempt()), (Some(Status::Pending), 2));
}

/// P8: a verdict on a beat that has been followed by another is refused.
#[test]
fn verdict_is_on_the_very_beat_that_was_judged() {
    let slot = watched_pending();
    drop(slot.settle(slot.begin(2)));
    let judged = slot.beat();
    drop(slot.record_beat(target(), || 3).unwrap());
    let heard = slot.beat();
    assert_eq!(slot.seal_exactly(judged, Ending::Failed), Err(heard));
    assert_eq!(slot.observe().0.status(), Some(Status::Running));
}

/// P12: the table of pairs says what the one in the module's docs does.
#[test]
fn words_agree_as_the_table_says() {
    let pending = Word::vacant(GENERATION).register().unwrap();
    let running = pending.start().unwrap();
    let open = Beat::open(GENERATION, 1);
    let started = open.started(1);
    for beat in [open, started, open.sealed(Ending::Failed), Beat::vacant()] {
        assert!(is_settled(Word::vacant(GENERATION), beat));
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
