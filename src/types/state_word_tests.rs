//! Property tests of the state word, on which P1 and P4 rest.

use super::*;
use proptest::prelude::*;

fn statuses() -> impl Strategy<Value = Option<Status>> {
    prop_oneof![
        Just(None),
        Just(Some(Status::Pending)),
        Just(Some(Status::Running)),
        Just(Some(Status::Completed)),
        Just(Some(Status::Failed)),
        Just(Some(Status::Cancelled)),
    ]
}

prop_compose! {
    /// Generates any word that the layout permits, reachable or not, with the edges of every field
    /// likely.
    fn words()(
        generation in prop_oneof![Just(0), Just(RETIRED - 1), 0..RETIRED],
        attempt in prop_oneof![Just(0), Just(1), Just(LAST_ATTEMPT), any::<u16>()],
        status in statuses(),
        ppm in prop_oneof![Just(0), Just(1_000_000), 0..=1_000_000u32],
        watched in any::<bool>(),
    ) -> StateWord {
        let word = match status {
            Some(_) => StateWord::encode(generation, attempt, status, ppm),
            None => StateWord::vacant(generation),
        };
        if watched { word.watched() } else { word }
    }
}

fn steps(word: StateWord, progress: Progress) -> Vec<(&'static str, Option<StateWord>)> {
    let is_running = word.is_running(word.generation(), None);
    vec![
        ("register", word.register()),
        ("start", word.start()),
        (
            "advance",
            is_running.then(|| word.advance(progress)).flatten(),
        ),
        ("complete", word.end(Ending::Completed)),
        ("fail", word.end(Ending::Failed)),
        ("cancel", word.end(Ending::Cancelled)),
        ("retry", word.retry()),
        ("remove", word.remove()),
    ]
}

/// Returns whether the rules of the guarantee permit the step, written down a second time.
fn is_legal(step: &str, from: Option<Status>) -> bool {
    use Status::{Cancelled, Completed, Failed, Pending, Running};
    match step {
        "register" => from.is_none(),
        "start" => from == Some(Pending),
        "advance" => from == Some(Running),
        "complete" | "fail" | "cancel" => matches!(from, Some(Pending | Running)),
        "retry" => matches!(from, Some(Failed | Cancelled)),
        _ => matches!(from, Some(Completed | Failed | Cancelled)),
    }
}

proptest! {
    /// P1: every step that is taken makes the word larger, and clears the watched bit.
    #[test]
    fn every_step_grows_the_word(word in words(), ppm in 0..=1_000_000u32) {
        for (step, next) in steps(word, Progress::stored(ppm)) {
            if let Some(next) = next {
                prop_assert!(word.grows_to(next), "{step}: {word:?} does not grow to {next:?}");
                prop_assert!(!next.is_watched(), "{step} leaves {next:?} watched");
                prop_assert!(is_legal(step, word.status()), "{step} from {word:?} is not legal");
            }
        }
    }

    /// Every legal step is taken, except at the ends of the ranges.
    #[test]
    fn every_legal_step_is_taken(word in words(), ppm in 0..=1_000_000u32) {
        let progress = Progress::stored(ppm);
        for (step, next) in steps(word, progress) {
            let at_its_end = match step {
                "advance" => progress <= word.progress(),
                "retry" => word.attempt() == LAST_ATTEMPT,
                _ => false,
            };
            prop_assert_eq!(next.is_some(), is_legal(step, word.status()) && !at_its_end, "{} from {:?}", step, word);
        }
    }

    /// Encoding and decoding are inverse, and no field spills into another.
    #[test]
    fn fields_do_not_overlap(
        generation in 0..=RETIRED,
        attempt in any::<u16>(),
        status in statuses(),
        ppm in 0..=1_000_000u32,
    ) {
        let word = StateWord::encode(generation, attempt, status, ppm);
        for word in [word, word.watched()] {
            prop_assert_eq!(word.generation(), generation);
            prop_assert_eq!(word.attempt(), attempt);
            prop_assert_eq!(word.status(), status);
            prop_assert_eq!(word.progress().ppm(), ppm);
            prop_assert_eq!(StateWord::from_bits(word.bits()), word);
        }
        prop_assert!(word.watched().is_watched() && !word.is_watched());
        prop_assert_eq!(word.watched().step_number(), word.step_number());
    }

    /// The version orders words of one generation as the word does, and fits into a JSON number.
    #[test]
    fn versions_order_as_words_do(a in words(), b in words()) {
        prop_assert!(a.step_number() < 1 << 39);
        if a.generation() == b.generation() {
            prop_assert_eq!(a.step_number() < b.step_number(), a.grows_to(b));
        }
    }

    /// The single comparison of `is_running` agrees with the three fields.
    #[test]
    fn a_running_word_is_of_its_generation_and_attempt(word in words(), other in words()) {
        let running = word.status() == Some(Status::Running);
        prop_assert_eq!(word.is_running(word.generation(), None), running);
        prop_assert_eq!(word.is_running(word.generation(), Some(word.attempt())), running);
        let same = word.generation() == other.generation();
        prop_assert_eq!(word.is_running(other.generation(), None), running && same);
        let same = same && word.attempt() == other.attempt();
        prop_assert_eq!(word.is_running(other.generation(), Some(other.attempt())), running && same);
    }
}

/// P4: removing the last job of a slot retires it.
#[test]
fn the_last_generation_retires_the_slot() {
    let last = StateWord::vacant(RETIRED - 1).register().unwrap();
    let retired = last.end(Ending::Cancelled).unwrap().remove().unwrap();
    assert_eq!(retired.generation(), RETIRED);
    assert_eq!(retired.register(), None);
}

/// Failures of models and property tests print these texts.
#[test]
fn words_print_their_fields() {
    let running = StateWord::vacant(7)
        .register()
        .and_then(StateWord::start)
        .unwrap();
    let half = running.advance(Progress::stored(500_000)).unwrap();
    assert_eq!(format!("{half:?}"), "g7 a1 running 50 %");
    assert_eq!(
        format!("{:?}", half.watched()),
        "g7 a1 running 50 % watched"
    );
    assert_eq!(format!("{:?}", StateWord::vacant(8)), "g8 vacant");
}
