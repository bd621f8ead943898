//! The sets of programs that are explored, by size.

use super::super::harness::Effort;
use super::super::harness::ledger::CHECKER;
use super::alphabet::{Alphabet, Start};

/// Extent of the exploration. `JOB_REGISTRY_PROGRAMS` is `small` (the default), `quick`, `full`, or
/// the name of one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Size {
    Small,
    Quick,
    Full,
    /// Larger than `full`, and explored by the name of the set only.
    Named,
}

impl Size {
    /// Returns the size, or `None` if the variable names a set.
    pub(super) fn asked_for() -> Option<Self> {
        match &*asked() {
            "small" => Some(Self::Small),
            "quick" => Some(Self::Quick),
            "full" => Some(Self::Full),
            _ => None,
        }
    }
}

fn asked() -> String {
    std::env::var("JOB_REGISTRY_PROGRAMS").unwrap_or_else(|_| "small".to_owned())
}

/// Returns the chosen sets.
pub(super) fn sets() -> Vec<&'static Set> {
    let Some(size) = Size::asked_for() else {
        let name = asked();
        let set = SETS.iter().find(|set| set.name == name);
        let set = set.unwrap_or_else(|| {
            panic!("JOB_REGISTRY_PROGRAMS is small, quick, full or a set's name, not {name}")
        });
        return vec![set];
    };
    let is_wanted = |set: &&Set| set.size <= size && set.only.is_none_or(|only| only == CHECKER);
    SETS.iter().filter(is_wanted).collect()
}

/// All programs of a shape over an alphabet.
pub(super) struct Set {
    pub(super) name: &'static str,
    /// Smallest size that includes the set.
    size: Size,
    pub(super) starts: &'static [Start],
    pub(super) alphabet: Alphabet,
    /// Number of calls by thread.
    pub(super) lengths: &'static [usize],
    /// Whether programs with a call that no order accepts are left out.
    pub(super) accepted_only: bool,
    /// Step between explored programs: 1, or a prime, so that each letter occurs at each place.
    pub(super) one_in: usize,
    /// The only checker that explores the set, if not both.
    only: Option<&'static str>,
    /// Effort under loom for each program.
    pub(super) effort: Effort,
}

impl Set {
    /// Effort for a single program that `JOB_REGISTRY_PROGRAM` names.
    pub(super) const ONE: Effort = within(BOUND_2, UNBOUNDED, 0);
}

/// States without waiting watchers.
const ALL: &[Start] = &[Start::Pending, Start::Running, Start::Due, Start::Retried];
const EVERY: &[Start] = &Start::ALL;
/// States from which a stop is requested, and one in which it is overdue.
const STOPS: &[Start] = &[Start::Running, Start::Stopping, Start::RunningWatched];
const WATCHED: &[Start] = &[
    Start::PendingWatched,
    Start::RunningWatched,
    Start::DueWatched,
    Start::RetriedWatched,
    Start::Reused,
];
/// States without the second attempt, which behaves as the first and takes as long as the others
/// together.
const FIRST_ATTEMPT: &[Start] = &[Start::Pending, Start::Running, Start::Due];

const TWO_WATCHERS: &[Start] = &[Start::RunningWatched, Start::RetriedWatched];

type Bounds = &'static [Option<usize>];
const UNBOUNDED: Bounds = &[None];
const UNBOUNDED_OR_1: Bounds = &[None, Some(1)];
const UNBOUNDED_OR_2: Bounds = &[None, Some(2)];
const BOUND_1: Bounds = &[Some(1)];
const BOUND_2: Bounds = &[Some(2)];
const BOUND_2_OR_1: Bounds = &[Some(2), Some(1)];
const BOUND_3: Bounds = &[Some(3)];
const UNBOUNDED_AND_3: Bounds = &[None, Some(3)];

const fn within(ordered: Bounds, weak: Bounds, most: usize) -> Effort {
    Effort {
        ordered,
        weak,
        most,
    }
}

const SETS: [Set; 32] = [
    Set {
        name: "1 + 1 calls, whole alphabet",
        size: Size::Small,
        starts: ALL,
        alphabet: Alphabet::Whole,
        lengths: &[1, 1],
        accepted_only: false,
        one_in: 1,
        only: None,
        effort: within(UNBOUNDED_OR_2, UNBOUNDED_OR_2, 2_000),
    },
    Set {
        name: "1 + 1 calls, every call",
        size: Size::Small,
        starts: EVERY,
        alphabet: Alphabet::Every,
        lengths: &[1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("shuttle"),
        effort: within(BOUND_2, BOUND_2, 0),
    },
    Set {
        name: "1 + 1 calls, watchers",
        size: Size::Small,
        starts: WATCHED,
        alphabet: Alphabet::Watchers,
        lengths: &[1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("loom"),
        effort: within(UNBOUNDED_OR_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 1 calls, stops",
        size: Size::Small,
        starts: STOPS,
        alphabet: Alphabet::Stops,
        lengths: &[1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("loom"),
        effort: within(UNBOUNDED_OR_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 2 calls, stops, each fifth program",
        size: Size::Quick,
        starts: STOPS,
        alphabet: Alphabet::Stops,
        lengths: &[1, 2],
        accepted_only: true,
        one_in: 5,
        only: Some("shuttle"),
        effort: within(BOUND_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 2 calls, stops",
        size: Size::Full,
        starts: STOPS,
        alphabet: Alphabet::Stops,
        lengths: &[1, 2],
        accepted_only: true,
        one_in: 1,
        only: Some("shuttle"),
        effort: within(BOUND_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 1 calls, every call, by loom",
        size: Size::Full,
        starts: EVERY,
        alphabet: Alphabet::Every,
        lengths: &[1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("loom"),
        effort: within(UNBOUNDED_OR_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "2 + 2 calls, verdicts",
        size: Size::Quick,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Verdicts,
        lengths: &[2, 2],
        accepted_only: false,
        one_in: 1,
        only: Some("shuttle"),
        effort: within(BOUND_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 1 + 1 calls, time, each fifth program",
        size: Size::Quick,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Time,
        lengths: &[1, 1, 1],
        accepted_only: false,
        one_in: 5,
        only: Some("shuttle"),
        effort: within(BOUND_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 1 + 1 calls, time",
        size: Size::Full,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Time,
        lengths: &[1, 1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("shuttle"),
        effort: within(BOUND_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 2 calls, watchers, each fifth program",
        size: Size::Quick,
        starts: WATCHED,
        alphabet: Alphabet::Watchers,
        lengths: &[1, 2],
        accepted_only: false,
        one_in: 5,
        only: Some("shuttle"),
        effort: within(BOUND_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 2 calls, watchers",
        size: Size::Full,
        starts: WATCHED,
        alphabet: Alphabet::Watchers,
        lengths: &[1, 2],
        accepted_only: false,
        one_in: 1,
        only: Some("shuttle"),
        effort: within(BOUND_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 1 + 2 calls, polls",
        size: Size::Quick,
        starts: TWO_WATCHERS,
        alphabet: Alphabet::Polls,
        lengths: &[1, 1, 2],
        accepted_only: false,
        one_in: 1,
        only: Some("shuttle"),
        effort: within(BOUND_2, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "1 + 1 + 1 calls, life",
        size: Size::Quick,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Life,
        lengths: &[1, 1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("shuttle"),
        effort: within(BOUND_3, BOUND_3, 0),
    },
    Set {
        name: "1 + 1 + 1 calls, life, by loom",
        size: Size::Full,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Life,
        lengths: &[1, 1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("loom"),
        effort: within(BOUND_3, BOUND_3, 0),
    },
    Set {
        name: "2 + 2 calls, life",
        size: Size::Quick,
        starts: ALL,
        alphabet: Alphabet::Life,
        lengths: &[2, 2],
        accepted_only: true,
        one_in: 1,
        only: Some("shuttle"),
        effort: within(BOUND_3, UNBOUNDED_AND_3, 50_000),
    },
    Set {
        name: "2 + 2 calls, life, each fifth program",
        size: Size::Quick,
        starts: ALL,
        alphabet: Alphabet::Life,
        lengths: &[2, 2],
        accepted_only: true,
        one_in: 5,
        only: Some("loom"),
        effort: within(BOUND_3, UNBOUNDED_AND_3, 50_000),
    },
    Set {
        name: "2 + 2 calls, life, by loom",
        size: Size::Full,
        starts: ALL,
        alphabet: Alphabet::Life,
        lengths: &[2, 2],
        accepted_only: true,
        one_in: 1,
        only: Some("loom"),
        effort: within(BOUND_3, UNBOUNDED_AND_3, 50_000),
    },
    Set {
        name: "1 + 1 calls, whole alphabet, without a bound",
        size: Size::Full,
        starts: ALL,
        alphabet: Alphabet::Whole,
        lengths: &[1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("loom"),
        effort: within(UNBOUNDED_OR_2, UNBOUNDED_OR_2, 50_000),
    },
    Set {
        name: "1 + 1 calls, whole alphabet, to the end",
        size: Size::Named,
        starts: ALL,
        alphabet: Alphabet::Whole,
        lengths: &[1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("loom"),
        effort: within(UNBOUNDED_OR_2, UNBOUNDED_OR_2, 100_000_000),
    },
    Set {
        name: "2 + 2 calls, life, without a bound, each fifth program",
        size: Size::Full,
        starts: ALL,
        alphabet: Alphabet::Life,
        lengths: &[2, 2],
        accepted_only: true,
        one_in: 5,
        only: Some("loom"),
        effort: within(UNBOUNDED_OR_2, UNBOUNDED_OR_2, 10_000),
    },
    Set {
        name: "1 + 2 calls, whole alphabet",
        size: Size::Full,
        starts: ALL,
        alphabet: Alphabet::Whole,
        lengths: &[1, 2],
        accepted_only: false,
        one_in: 1,
        only: None,
        effort: within(BOUND_3, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "2 + 2 calls, core",
        size: Size::Full,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Core,
        lengths: &[2, 2],
        accepted_only: true,
        one_in: 1,
        only: None,
        effort: within(BOUND_2_OR_1, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "2 + 2 calls, whole alphabet",
        size: Size::Named,
        starts: ALL,
        alphabet: Alphabet::Whole,
        lengths: &[2, 2],
        accepted_only: false,
        one_in: 1,
        only: None,
        effort: within(BOUND_2_OR_1, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "2 + 2 calls, whole alphabet, each 31st program",
        size: Size::Full,
        starts: ALL,
        alphabet: Alphabet::Whole,
        lengths: &[2, 2],
        accepted_only: false,
        one_in: 31,
        only: None,
        effort: within(BOUND_2_OR_1, UNBOUNDED_OR_2, 1_000),
    },
    Set {
        name: "3 + 3 calls, life, each 17th program",
        size: Size::Full,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Life,
        lengths: &[3, 3],
        accepted_only: true,
        one_in: 17,
        only: None,
        effort: within(BOUND_2_OR_1, UNBOUNDED_OR_1, 2_000),
    },
    Set {
        name: "1 + 1 + 1 calls, life, second attempt",
        size: Size::Full,
        starts: &[Start::Retried],
        alphabet: Alphabet::Life,
        lengths: &[1, 1, 1],
        accepted_only: false,
        one_in: 1,
        only: None,
        effort: within(BOUND_3, BOUND_3, 0),
    },
    Set {
        name: "1 + 1 + 1 calls, life, without a bound",
        size: Size::Full,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Life,
        lengths: &[1, 1, 1],
        accepted_only: false,
        one_in: 1,
        only: Some("loom"),
        effort: within(UNBOUNDED_OR_2, UNBOUNDED, 5_000),
    },
    Set {
        name: "1 + 1 + 1 calls, core",
        size: Size::Full,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Core,
        lengths: &[1, 1, 1],
        accepted_only: true,
        one_in: 1,
        only: Some("loom"),
        effort: within(BOUND_2_OR_1, BOUND_2_OR_1, 20_000),
    },
    Set {
        name: "1 + 1 + 1 calls, whole alphabet",
        size: Size::Full,
        starts: ALL,
        alphabet: Alphabet::Whole,
        lengths: &[1, 1, 1],
        accepted_only: false,
        one_in: 1,
        only: None,
        effort: within(BOUND_1, UNBOUNDED_OR_1, 500),
    },
    Set {
        name: "2 + 2 + 2 calls, life",
        size: Size::Full,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Life,
        lengths: &[2, 2, 2],
        accepted_only: true,
        one_in: 1,
        only: Some("loom"),
        effort: within(BOUND_1, BOUND_1, 0),
    },
    Set {
        name: "2 + 2 + 2 calls, life, each 599th program",
        size: Size::Full,
        starts: FIRST_ATTEMPT,
        alphabet: Alphabet::Life,
        lengths: &[2, 2, 2],
        accepted_only: true,
        one_in: 599,
        only: Some("shuttle"),
        effort: within(BOUND_1, BOUND_1, 0),
    },
];
