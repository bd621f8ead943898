//! The calls that programs are made of, and the states they begin in.

use super::super::spec::{Call, Limits, Name, Spec, Who};
use crate::Progress;
use std::time::Duration;

/// The job that all programs are about; the others are registered by them.
pub(super) const JOB: Name = 0;
const BY_ID: Who = Who::Id(JOB);
/// By the owner of the first attempt, which after a retry is an old one.
const BY_OWNER: Who = Who::Handle(JOB, 1);

/// A letter of the alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Letter {
    Start,
    /// To another progress at every place.
    Advance,
    Update,
    /// A section under the lock, with a step inside.
    Section,
    Heartbeat,
    Complete,
    Fail,
    Cancel,
    Snapshot,
    Get,
    /// `remove_after` for ever: takes a removal back that is due.
    Keep,
    Remove,
    Sweep,
    FailStalled,
    Retry,
    /// Into the place of the job, which is the only one.
    Register,
    /// Begins to watch and looks, ready to be woken.
    Watch,
    OwnerAdvance,
    OwnerHeartbeat,
    OwnerComplete,
}

impl Letter {
    /// Whether it leaves a job alone that is locked at the moment.
    pub(super) fn tries_a_lock(self) -> bool {
        matches!(self, Self::Sweep | Self::FailStalled | Self::Register)
    }

    /// What it is in the words of the specification, each call an instant of its own. `place` tells the
    /// letters of a program from each other.
    pub(super) fn calls(self, place: u32) -> Vec<Call> {
        let percent = |percent| Progress::percent(percent).expect("it is one");
        let digit = u8::try_from(place % 10).expect("a digit");
        // The first call of a thread goes further than the second, and a later thread further than an earlier one.
        let further = percent(f64::from(10 + place - 2 * (place % 10)));
        vec![match self {
            Self::Start => Call::Start(BY_ID),
            Self::Advance => Call::Advance(BY_ID, further),
            Self::Update => Call::Update(BY_ID, digit),
            Self::Section => {
                let step = Call::Advance(Who::Guard, further);
                return vec![
                    Call::Lock(BY_ID),
                    Call::Update(Who::Guard, digit),
                    step,
                    Call::Unlock,
                ];
            }
            Self::Heartbeat => Call::Heartbeat(BY_ID),
            Self::Complete => Call::Complete(BY_ID),
            Self::Fail => Call::Fail(BY_ID, "disk full"),
            Self::Cancel => Call::Cancel(BY_ID),
            Self::Snapshot => Call::Snapshot(BY_ID),
            Self::Get => Call::Get(JOB),
            Self::Keep => Call::RemoveAfter(BY_ID, Duration::MAX),
            Self::Remove => Call::Remove(BY_ID),
            Self::Sweep => Call::Sweep,
            Self::FailStalled => Call::FailStalled,
            // A stalled job is failed first, which others may see.
            Self::Retry => return vec![Call::Verdict(JOB), Call::Retry(BY_ID)],
            // Without a reaper, registering removes up to two jobs that are due.
            Self::Register => {
                return vec![
                    Call::Collect(JOB),
                    Call::Collect(JOB),
                    Call::Register(1 + place, 0),
                ];
            }
            Self::Watch => return vec![Call::Watch(JOB, place), Call::Poll(place)],
            Self::OwnerAdvance => Call::Advance(BY_OWNER, further),
            Self::OwnerHeartbeat => Call::Heartbeat(BY_OWNER),
            Self::OwnerComplete => Call::Complete(BY_OWNER),
        }]
    }
}

/// Which letters the programs of a set are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// All that there are.
    Whole,
    /// One of those that take the same way through the code, for larger programs.
    Core,
    /// Those that change a job's life, for still larger ones.
    Life,
}

impl Alphabet {
    pub(super) fn letters(self, start: Start) -> Vec<Letter> {
        use Letter::{
            Advance, Cancel, Complete, Fail, FailStalled, Get, Heartbeat, Keep, OwnerAdvance,
            OwnerComplete, OwnerHeartbeat, Register, Remove, Retry, Section, Snapshot, Start,
            Sweep, Update, Watch,
        };
        let life = [Start, Advance, Complete, Cancel, Remove, Retry];
        let core = [
            Section,
            Heartbeat,
            Snapshot,
            Sweep,
            FailStalled,
            Register,
            Watch,
        ];
        let rest = [
            Update,
            Fail,
            Get,
            Keep,
            OwnerAdvance,
            OwnerHeartbeat,
            OwnerComplete,
        ];
        // Where there is a removal to take back, or an owner of an older attempt.
        let own: &[Letter] = match start {
            self::Start::Due => &[Keep],
            self::Start::Retried => &[OwnerAdvance, OwnerComplete],
            self::Start::Pending | self::Start::Running => &[],
        };
        match self {
            Self::Whole => [life.as_slice(), &core, &rest].concat(),
            Self::Core => [life.as_slice(), &core, own].concat(),
            Self::Life => life.to_vec(),
        }
    }
}

/// Where a program begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Start {
    /// A job that nobody has started.
    Pending,
    /// A running one that has been silent for long enough to be failed.
    Running,
    /// A failed one whose removal is due.
    Due,
    /// A second attempt that is running, so that the first one's owner is an old one.
    Retried,
}

/// The registry's time when the program begins; the job was heard of at 0.
pub(super) const NOW: u64 = 10;

impl Start {
    pub(super) const ALL: [Self; 4] = [Self::Pending, Self::Running, Self::Due, Self::Retried];

    pub(super) const LIMITS: Limits = Limits {
        capacity: 1,
        retention: Duration::ZERO,
        stall_after: Duration::from_millis(5),
    };

    /// How it comes about.
    pub(super) fn calls(self) -> Vec<Call> {
        let fail = Call::Fail(BY_ID, "no route");
        let mut calls = vec![Call::Register(JOB, 0)];
        calls.extend(match self {
            Self::Pending => vec![],
            Self::Running => vec![Call::Start(BY_ID)],
            Self::Due => vec![Call::Start(BY_ID), fail],
            Self::Retried => vec![fail, Call::Retry(BY_ID), Call::Start(BY_ID)],
        });
        calls.push(Call::Tick(NOW));
        calls
    }

    pub(super) fn spec(self) -> Spec {
        let mut spec = Spec::new(Self::LIMITS);
        for call in self.calls() {
            spec.apply(&call);
        }
        spec
    }
}
