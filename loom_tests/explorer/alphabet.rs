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
    AdvanceLow,
    AdvanceHigh,
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
    pub(super) const ALL: [Self; 21] = [
        Self::Start,
        Self::AdvanceLow,
        Self::AdvanceHigh,
        Self::Update,
        Self::Section,
        Self::Heartbeat,
        Self::Complete,
        Self::Fail,
        Self::Cancel,
        Self::Snapshot,
        Self::Get,
        Self::Keep,
        Self::Remove,
        Self::Sweep,
        Self::FailStalled,
        Self::Retry,
        Self::Register,
        Self::Watch,
        Self::OwnerAdvance,
        Self::OwnerHeartbeat,
        Self::OwnerComplete,
    ];

    /// What it is in the words of the specification, each call an instant of its own. `place` tells the
    /// letters of a program from each other.
    pub(super) fn calls(self, place: u32) -> Vec<Call> {
        let percent = |percent| Progress::percent(percent).expect("it is one");
        let digit = u8::try_from(place % 10).expect("a digit");
        vec![match self {
            Self::Start => Call::Start(BY_ID),
            Self::AdvanceLow => Call::Advance(BY_ID, percent(30.0)),
            Self::AdvanceHigh => Call::Advance(BY_ID, percent(60.0)),
            Self::Update => Call::Update(BY_ID, digit),
            Self::Section => {
                let step = Call::Advance(Who::Guard, percent(45.0));
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
            Self::Retry => Call::Retry(BY_ID),
            // Without a reaper, registering removes up to two jobs that are due.
            Self::Register => {
                return vec![
                    Call::Collect(JOB),
                    Call::Collect(JOB),
                    Call::Register(1 + place, 0),
                ];
            }
            Self::Watch => return vec![Call::Watch(JOB, place), Call::Poll(place)],
            Self::OwnerAdvance => Call::Advance(BY_OWNER, percent(30.0)),
            Self::OwnerHeartbeat => Call::Heartbeat(BY_OWNER),
            Self::OwnerComplete => Call::Complete(BY_OWNER),
        }]
    }

    /// Whether it only looks, and takes no lock.
    pub(super) fn only_looks(self) -> bool {
        matches!(self, Self::Snapshot)
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
