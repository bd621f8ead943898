//! Which programs are explored, by the time that there is.

use super::super::harness::Effort;
use super::alphabet::Alphabet;

/// How much is explored: `JOB_REGISTRY_PROGRAMS` is `small`, which is usual, `quick` or `full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Size {
    Small,
    Quick,
    Full,
}

impl Size {
    pub(super) fn asked_for() -> Self {
        match std::env::var("JOB_REGISTRY_PROGRAMS").as_deref() {
            Err(_) | Ok("small") => Self::Small,
            Ok("quick") => Self::Quick,
            Ok("full") => Self::Full,
            Ok(other) => panic!("JOB_REGISTRY_PROGRAMS is small, quick or full, and not {other}"),
        }
    }
}

/// All programs of a shape over an alphabet.
pub(super) struct Set {
    pub(super) name: &'static str,
    /// From this size on.
    pub(super) size: Size,
    pub(super) alphabet: Alphabet,
    /// Calls by thread.
    pub(super) lengths: &'static [usize],
    /// Only those in which every call is accepted in some order.
    pub(super) accepted_only: bool,
    /// Under loom, for each program.
    effort: Effort,
}

impl Set {
    /// For a program of somebody's own.
    pub(super) const ONE: Effort = within(&[Some(2)], 0);

    /// The sets of a smaller size have more time.
    pub(super) fn effort(&self, size: Size) -> Effort {
        let times = if size > self.size { 10 } else { 1 };
        let Effort { bounds, most } = self.effort;
        within(bounds, most * times)
    }
}

const fn within(bounds: &'static [Option<usize>], most: usize) -> Effort {
    Effort { bounds, most }
}

pub(super) const SETS: [Set; 8] = [
    Set {
        name: "1 + 1 calls, whole alphabet",
        size: Size::Small,
        alphabet: Alphabet::Whole,
        lengths: &[1, 1],
        accepted_only: false,
        effort: within(&[None, Some(2)], 20_000),
    },
    Set {
        name: "1 + 1 + 1 calls, life",
        size: Size::Quick,
        alphabet: Alphabet::Life,
        lengths: &[1, 1, 1],
        accepted_only: false,
        effort: within(&[Some(2)], 0),
    },
    Set {
        name: "2 + 2 calls, life",
        size: Size::Quick,
        alphabet: Alphabet::Life,
        lengths: &[2, 2],
        accepted_only: true,
        effort: within(&[Some(3)], 0),
    },
    Set {
        name: "2 + 2 calls, life, without a bound",
        size: Size::Full,
        alphabet: Alphabet::Life,
        lengths: &[2, 2],
        accepted_only: true,
        effort: within(&[None, Some(2)], 1_000_000),
    },
    Set {
        name: "1 + 1 + 1 calls, core",
        size: Size::Full,
        alphabet: Alphabet::Core,
        lengths: &[1, 1, 1],
        accepted_only: true,
        effort: within(&[Some(2), Some(1)], 20_000),
    },
    Set {
        name: "2 + 2 calls, core",
        size: Size::Full,
        alphabet: Alphabet::Core,
        lengths: &[2, 2],
        accepted_only: true,
        effort: within(&[Some(2), Some(1)], 5_000),
    },
    Set {
        name: "3 + 3 calls, life",
        size: Size::Full,
        alphabet: Alphabet::Life,
        lengths: &[3, 3],
        accepted_only: true,
        effort: within(&[Some(2), Some(1)], 2_000),
    },
    Set {
        name: "2 + 2 + 2 calls, life",
        size: Size::Full,
        alphabet: Alphabet::Life,
        lengths: &[2, 2, 2],
        accepted_only: true,
        effort: within(&[Some(1)], 0),
    },
];
