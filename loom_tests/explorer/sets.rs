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
    /// For loom; the largest first.
    bounds: &'static [Option<usize>],
    /// Executions of a program within the larger bounds, when the set is the newest of the size that was asked for.
    most: usize,
}

impl Set {
    /// For a program of somebody's own.
    pub(super) const ONE: Effort = Effort {
        bounds: &[None, Some(2)],
        most: usize::MAX,
    };

    /// A set that is there already at a smaller size gets more of the time.
    pub(super) fn effort(&self, size: Size) -> Effort {
        let sizes = u32::from(size as u8 - self.size as u8);
        Effort {
            bounds: self.bounds,
            most: self.most * 10_usize.pow(sizes),
        }
    }
}

/// With no bound where that is possible.
const AS_FAR_AS_POSSIBLE: &[Option<usize>] = &[None, Some(4), Some(3), Some(2)];

pub(super) const SETS: [Set; 7] = [
    Set {
        name: "1 + 1 calls, whole alphabet",
        size: Size::Small,
        alphabet: Alphabet::Whole,
        lengths: &[1, 1],
        accepted_only: false,
        bounds: AS_FAR_AS_POSSIBLE,
        most: 3_000,
    },
    Set {
        name: "2 + 2 calls, life",
        size: Size::Quick,
        alphabet: Alphabet::Life,
        lengths: &[2, 2],
        accepted_only: true,
        bounds: AS_FAR_AS_POSSIBLE,
        most: 1_000,
    },
    Set {
        name: "1 + 1 + 1 calls, core",
        size: Size::Quick,
        alphabet: Alphabet::Core,
        lengths: &[1, 1, 1],
        accepted_only: true,
        bounds: AS_FAR_AS_POSSIBLE,
        most: 1_000,
    },
    Set {
        name: "1 + 1 + 1 calls, whole alphabet",
        size: Size::Full,
        alphabet: Alphabet::Whole,
        lengths: &[1, 1, 1],
        accepted_only: false,
        bounds: &[Some(3), Some(2)],
        most: 2_000,
    },
    Set {
        name: "2 + 2 calls, core",
        size: Size::Full,
        alphabet: Alphabet::Core,
        lengths: &[2, 2],
        accepted_only: true,
        bounds: &[None, Some(2)],
        most: 1_000,
    },
    Set {
        name: "3 + 3 calls, life",
        size: Size::Full,
        alphabet: Alphabet::Life,
        lengths: &[3, 3],
        accepted_only: true,
        bounds: &[Some(2)],
        most: 0,
    },
    Set {
        name: "2 + 2 + 2 calls, life",
        size: Size::Full,
        alphabet: Alphabet::Life,
        lengths: &[2, 2, 2],
        accepted_only: true,
        bounds: &[Some(2)],
        most: 0,
    },
];

#[test]
fn count_them() {
    for set in &SETS {
        for start in super::Start::ALL {
            let mut all = super::programs(set.alphabet, start, set.lengths);
            let before = all.len();
            if set.accepted_only {
                all.retain(super::can_all_take_effect);
            }
            eprintln!("{} {start:?} {before} {}", set.name, all.len());
        }
    }
}
