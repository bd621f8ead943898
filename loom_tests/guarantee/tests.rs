use super::*;
use crate::Progress;
use proptest::prelude::*;

const ME: Thread = 0;
const OTHER: Thread = 1;

fn endings() -> impl Strategy<Value = Ending> {
    prop_oneof![
        Just(Ending::Completed),
        Just(Ending::Failed),
        Just(Ending::Cancelled)
    ]
}

fn memory(word: StateWord, heartbeat: HeartbeatWord) -> Memory {
    Memory {
        nonce: word.generation(),
        lock: Some(ME),
        ..Memory::new(word, heartbeat)
    }
}

fn permitted(before: Memory, change: impl FnOnce(&mut Memory)) -> Option<Rule> {
    let mut after = before;
    change(&mut after);
    rule(&before, &after, ME)
}

proptest! {
    /// P1: each step of the two words is a rule of the guarantee, from registration to the next
    /// generation.
    #[test]
    fn every_step_of_the_words_is_permitted(
        generation in 1..RETIRED - 1,
        millis in 0u64..1_000,
        later in 1u64..1_000,
        ppm in 1u32..=1_000_000,
        ending in endings(),
        is_started in any::<bool>(),
    ) {
        let is_started = is_started || ending == Ending::Completed;
        let vacant = StateWord::vacant(generation);
        let sealed = HeartbeatWord::open(generation - 1, millis).sealed(Ending::Failed);
        let mut now = memory(vacant, sealed);
        now.nonce = generation - 1;
        let mut step = |change: &dyn Fn(&mut Memory)| {
            let before = now;
            change(&mut now);
            rule(&before, &now, ME)
        };
        prop_assert_eq!(step(&|memory| memory.claim = Some(ME)), Some(Rule::Take));
        let open = HeartbeatWord::open(generation, millis);
        prop_assert_eq!(step(&|memory| memory.heartbeat = Heartbeat::of(open)), Some(Rule::Open));
        prop_assert_eq!(step(&|memory| memory.nonce = generation), Some(Rule::Name));
        let pending = vacant.register().unwrap();
        prop_assert_eq!(
            step(&|memory| (memory.state, memory.claim) = (State::of(pending), None)),
            Some(Rule::Publish)
        );
        prop_assert_eq!(step(&|memory| memory.state = State::of(pending.watched())), Some(Rule::Watch));
        let mut heartbeat = open.at(millis + later).unwrap();
        prop_assert_eq!(
            step(&|memory| memory.heartbeat = Heartbeat::of(heartbeat)),
            Some(Rule::Heartbeat)
        );
        let mut word = pending;
        if is_started {
            heartbeat = heartbeat.started(millis);
            prop_assert_eq!(
                step(&|memory| memory.heartbeat = Heartbeat::of(heartbeat)),
                Some(Rule::Start)
            );
            word = pending.start().unwrap();
            prop_assert_eq!(step(&|memory| memory.state = State::of(word)), Some(Rule::SettleStart));
            word = word.advance(Progress::from_ppm(ppm).unwrap()).unwrap();
            prop_assert_eq!(step(&|memory| memory.state = State::of(word)), Some(Rule::Advance));
        }
        heartbeat = heartbeat.sealed(ending);
        prop_assert_eq!(
            step(&|memory| memory.heartbeat = Heartbeat::of(heartbeat)),
            Some(Rule::End)
        );
        word = word.end(ending).unwrap();
        prop_assert_eq!(step(&|memory| memory.state = State::of(word)), Some(Rule::SettleEnding));
        if let Some(next) = word.retry() {
            let open = heartbeat.reopened(millis);
            let mut retried = now;
            retried.heartbeat = Heartbeat::of(open);
            prop_assert_eq!(rule(&now, &retried, ME), Some(Rule::Retry));
            let mut settled = retried;
            settled.state = State::of(next);
            prop_assert_eq!(rule(&retried, &settled, OTHER), Some(Rule::SettleRetry));
        }
        let removed = State::of(word.remove().unwrap());
        let mut gone = now;
        (gone.state, gone.claim) = (removed, Some(ME));
        prop_assert_eq!(rule(&now, &gone, ME), Some(Rule::Remove));
        prop_assert_eq!(rule(&now, &gone, OTHER), None);
    }

    /// P1: no rule decreases the number of the state word or of the heartbeat word.
    #[test]
    fn no_rule_decreases_a_word(
        from in words(),
        to in words(),
        heartbeats in (heartbeats(), heartbeats()),
        by in 0..2usize,
    ) {
        let before = memory(from, heartbeats.0);
        let mut after = before;
        after.state = State::of(to);
        after.claim = (to.generation() > from.generation()).then_some(by);
        if rule(&before, &after, by).is_some_and(|rule| rule != Rule::Watch) {
            prop_assert!(from.grows_to(to), "{from:?} to {to:?}");
        }
        let mut after = before;
        after.heartbeat = Heartbeat::of(heartbeats.1);
        if rule(&before, &after, by).is_some() {
            let (from, to) = heartbeats;
            prop_assert!(from.bits() < to.bits(), "{from:?} to {to:?}");
        }
    }
}

/// Generates words with few values in each field, so that two of them are often one step apart.
fn words() -> impl Strategy<Value = StateWord> {
    let fields = (1u32..3, 0u16..3, 0u8..6, 0u32..3, any::<bool>());
    fields.prop_map(|(generation, attempt, status, progress, watched)| {
        let mut word = StateWord::vacant(generation);
        if status > 0 {
            word = word.register().unwrap();
            for _ in 1..attempt {
                word = word.end(Ending::Failed).and_then(StateWord::retry).unwrap();
            }
        }
        if status > 1 {
            word = word.start().unwrap();
            let progress = Progress::from_ppm(progress).unwrap();
            word = word.advance(progress).unwrap_or(word);
        }
        let endings = [Ending::Completed, Ending::Failed, Ending::Cancelled];
        if let Some(place) = status.checked_sub(3) {
            word = word.end(endings[usize::from(place)]).unwrap();
        }
        if watched { word.watched() } else { word }
    })
}

fn heartbeats() -> impl Strategy<Value = HeartbeatWord> {
    let ending = proptest::option::of(endings());
    (1u32..3, 0u64..4, any::<bool>(), ending).prop_map(|(generation, millis, started, ending)| {
        let mut heartbeat = HeartbeatWord::open(generation, millis);
        if started {
            heartbeat = heartbeat.started(millis);
        }
        ending.map_or(heartbeat, |ending| heartbeat.sealed(ending))
    })
}

/// P2: only the holder of the lock decides, only on a settled job, and settles it before the
/// release.
#[test]
fn only_the_holder_decides() {
    let pending = StateWord::vacant(1).register().unwrap();
    let job = memory(pending, HeartbeatWord::open(1, 5));
    let started = Heartbeat::of(HeartbeatWord::open(1, 5).started(5));
    let sealed = Heartbeat::of(HeartbeatWord::open(1, 5).sealed(Ending::Failed));
    assert_eq!(
        permitted(job, |memory| memory.heartbeat = started),
        Some(Rule::Start)
    );
    for lock in [None, Some(OTHER)] {
        let job = Memory { lock, ..job };
        assert_eq!(permitted(job, |memory| memory.heartbeat = started), None);
        assert_eq!(permitted(job, |memory| memory.heartbeat = sealed), None);
    }
    let decided = Memory {
        heartbeat: started,
        ..job
    };
    assert_eq!(permitted(decided, |memory| memory.lock = None), None);
    assert_eq!(permitted(decided, |memory| memory.heartbeat = sealed), None);
    assert_eq!(
        permitted(decided, |memory| memory.heartbeat.millis = 9),
        None
    );
}

/// P4: only the claimant publishes a slot, after its heartbeat and its nonce, in this order.
#[test]
fn only_the_claimant_publishes() {
    let vacant = Memory {
        claim: Some(ME),
        lock: None,
        nonce: 1,
        ..memory(
            StateWord::vacant(2),
            HeartbeatWord::open(1, 5).started(5).sealed(Ending::Failed),
        )
    };
    let pending = State::of(StateWord::vacant(2).register().unwrap());
    let publish = |memory: &mut Memory| (memory.state, memory.claim) = (pending, None);
    let opened = Memory {
        heartbeat: Heartbeat::of(HeartbeatWord::open(2, 3)),
        ..vacant
    };
    let named = Memory { nonce: 2, ..opened };
    assert_eq!(permitted(vacant, publish), None);
    assert_eq!(permitted(opened, publish), None);
    assert_eq!(permitted(vacant, |memory| memory.nonce = 2), None);
    assert_eq!(
        permitted(opened, |memory| memory.nonce = 2),
        Some(Rule::Name)
    );
    assert_eq!(permitted(named, publish), Some(Rule::Publish));
    let claim = Some(OTHER);
    assert_eq!(permitted(Memory { claim, ..named }, publish), None);
    // An opened slot cannot be given back.
    assert_eq!(permitted(opened, |memory| memory.claim = None), None);
    assert_eq!(
        permitted(vacant, |memory| memory.claim = None),
        Some(Rule::GiveBack)
    );
}
