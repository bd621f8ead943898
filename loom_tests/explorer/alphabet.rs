//! The calls that programs consist of, and the states in which they begin.

use super::super::spec::{Call, Limits, Millis, Name, Spec, Who};
use crate::Progress;
use std::time::Duration;

/// The subject of all programs. Programs may register further jobs.
pub(super) const JOB: Name = 0;
/// An earlier job in the slot of [`JOB`], removed before the program begins.
pub(super) const EARLIER: Name = 1_000;
const BY_ID: Who = Who::Id(JOB);
/// The owner of the first attempt, which a retry supersedes.
const BY_OWNER: Who = Who::Handle(JOB, 1);
const EARLIER_BY_ID: Who = Who::Id(EARLIER);
const BY_EARLIER_OWNER: Who = Who::Handle(EARLIER, 1);

/// The watches that wait when a program begins.
pub(super) const FIRST_WATCH: u32 = 1_000;
pub(super) const SECOND_WATCH: u32 = 1_001;
/// The watch of the earlier job, which has not been polled since that job's removal.
pub(super) const EARLIER_WATCH: u32 = 1_002;

/// Milliseconds by which a [`Letter::Tick`] moves the clock.
pub(super) const TICK: Millis = 7;
const SOON: Duration = Duration::from_millis(3);

/// A letter of the alphabet: one call of a program, or several in sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Letter {
    Start,
    /// Advances to a progress that differs at every place of the program.
    Advance,
    Update,
    /// Takes the lock, makes two steps, and releases it.
    Section,
    Heartbeat,
    Complete,
    Fail,
    Cancel,
    Snapshot,
    Get,
    /// `remove_after` with no end, which revokes a due removal.
    Keep,
    Remove,
    Sweep,
    FailStalled,
    Retry,
    /// Registers another job. The capacity is one.
    Register,
    /// Begins to watch, and polls so that the waker waits.
    Watch,
    OwnerAdvance,
    OwnerHeartbeat,
    OwnerComplete,

    Iter,
    Counts,
    Stalled,
    /// Takes the lock for two steps unless another thread holds it.
    TrySection,
    OwnerStart,
    OwnerUpdate,
    OwnerFail,
    OwnerCancel,
    OwnerSnapshot,
    OwnerKeep,
    OwnerRemove,
    OwnerRetry,
    DropOwner,
    RequestStop,
    Note,
    /// Raises the progress and replaces the note.
    Report,
    Details,

    /// Polls the first watch again, with the same waker.
    Poll,
    /// Polls the first watch again, with another waker.
    PollAnew,
    /// Drops the first watch.
    Unwatch,
    /// Polls the second watch again.
    PollSecond,

    /// Moves the clock.
    Tick,
    /// `remove_after` with a short delay.
    Defer,
    /// Reads under the lock while the clock moves.
    SlowRead,

    EarlierSnapshot,
    EarlierHeartbeat,
    EarlierOwnerHeartbeat,
    EarlierOwnerAdvance,
    EarlierOwnerUpdate,
    EarlierOwnerCancel,
    EarlierOwnerRemove,
    EarlierOwnerRetry,
    EarlierPoll,
    EarlierUnwatch,
}

impl Letter {
    /// Whether it skips a job that is locked at the moment.
    pub(super) fn tries_a_lock(self) -> bool {
        matches!(
            self,
            Self::Sweep | Self::FailStalled | Self::Register | Self::TrySection
        )
    }

    /// Returns the watch that it needs for its thread alone, of those that wait at the beginning.
    pub(super) fn watch(self) -> Option<u32> {
        match self {
            Self::Poll | Self::PollAnew | Self::Unwatch => Some(FIRST_WATCH),
            Self::PollSecond => Some(SECOND_WATCH),
            Self::EarlierPoll | Self::EarlierUnwatch => Some(EARLIER_WATCH),
            _ => None,
        }
    }

    /// Whether it needs the owner of the first attempt.
    pub(super) fn needs_the_owner(self) -> bool {
        let calls = self.calls(0);
        calls.iter().any(|call| call.who() == Some(BY_OWNER))
    }

    /// Returns its calls of the specification, each of which has an instant of its own. `place`
    /// distinguishes the letters of a program.
    pub(super) fn calls(self, place: u32) -> Vec<Call> {
        let percent = |percent| Progress::percent(percent).expect("it is one");
        let digit = u8::try_from(place % 10).expect("a digit");
        // A thread's first call advances further than its second, and a later thread further than
        // an earlier one.
        let further = percent(f64::from(10 + place.saturating_sub(2 * (place % 10))));
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
            // A job whose grace is over is cancelled first, which other threads may see.
            Self::Sweep => return vec![Call::Expire(JOB, Millis::MAX), Call::Sweep],
            Self::RequestStop => Call::RequestStop(BY_ID, "the user left"),
            Self::Note => Call::Note(BY_ID, "half done"),
            Self::Report => Call::Report(BY_ID, further, "on its way"),
            Self::Details => Call::Details(BY_ID),
            Self::FailStalled => Call::FailStalled,
            // A stalled job fails first, which other threads may see.
            Self::Retry => return vec![Call::Verdict(BY_ID), Call::Retry(BY_ID)],
            // With `sweep_on_register`, `register` removes up to two due jobs, and one more if
            // there is no room.
            Self::Register => {
                return vec![
                    Call::Expire(JOB, Millis::MAX),
                    Call::Collect(JOB),
                    Call::Collect(JOB),
                    Call::Register(1 + place, 0),
                ];
            }
            Self::Watch => return vec![Call::Watch(JOB, place), Call::Poll(place)],
            Self::OwnerAdvance => Call::Advance(BY_OWNER, further),
            Self::OwnerHeartbeat => Call::Heartbeat(BY_OWNER),
            Self::OwnerComplete => Call::Complete(BY_OWNER),

            Self::Iter => Call::Iter,
            Self::Counts => Call::Counts,
            Self::Stalled => Call::Stalled,
            Self::TrySection => {
                return vec![
                    Call::TryLock(BY_ID),
                    Call::Update(Who::Guard, digit),
                    Call::Unlock,
                ];
            }
            Self::OwnerStart => Call::Start(BY_OWNER),
            Self::OwnerUpdate => Call::Update(BY_OWNER, digit),
            Self::OwnerFail => Call::Fail(BY_OWNER, "no memory"),
            Self::OwnerCancel => Call::Cancel(BY_OWNER),
            Self::OwnerSnapshot => Call::Snapshot(BY_OWNER),
            Self::OwnerKeep => Call::RemoveAfter(BY_OWNER, Duration::MAX),
            Self::OwnerRemove => Call::Remove(BY_OWNER),
            Self::OwnerRetry => return vec![Call::Verdict(BY_OWNER), Call::Retry(BY_OWNER)],
            Self::DropOwner => Call::DropOwner(JOB, 1),

            Self::Poll => Call::Poll(FIRST_WATCH),
            Self::PollAnew => Call::PollAnew(FIRST_WATCH),
            Self::Unwatch => Call::Unwatch(FIRST_WATCH),
            Self::PollSecond => Call::Poll(SECOND_WATCH),

            Self::Tick => Call::Tick(TICK),
            Self::Defer => Call::RemoveAfter(BY_ID, SOON),
            Self::SlowRead => return vec![Call::Read(JOB), Call::Tick(TICK), Call::Unlock],

            Self::EarlierSnapshot => Call::Snapshot(EARLIER_BY_ID),
            Self::EarlierHeartbeat => Call::Heartbeat(EARLIER_BY_ID),
            Self::EarlierOwnerHeartbeat => Call::Heartbeat(BY_EARLIER_OWNER),
            Self::EarlierOwnerAdvance => Call::Advance(BY_EARLIER_OWNER, further),
            Self::EarlierOwnerUpdate => Call::Update(BY_EARLIER_OWNER, digit),
            Self::EarlierOwnerCancel => Call::Cancel(BY_EARLIER_OWNER),
            Self::EarlierOwnerRemove => Call::Remove(BY_EARLIER_OWNER),
            Self::EarlierOwnerRetry => Call::Retry(BY_EARLIER_OWNER),
            Self::EarlierPoll => Call::Poll(EARLIER_WATCH),
            Self::EarlierUnwatch => Call::Unwatch(EARLIER_WATCH),
        }]
    }
}

/// The letters that the programs of a set consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Every letter that is of use in the start state.
    Every,
    /// All calls by id that can race, and an owner's.
    Whole,
    /// One call for each path through the code, for larger programs.
    Core,
    /// Calls that change a job's status, for still larger programs.
    Life,
    /// Calls that stall, keep and end a job. Some bugs need four of them.
    Verdicts,
    /// Calls that record or compare a time, and a clock that moves.
    Time,
    /// Polls and drops of watches, and the steps that wake them.
    Watchers,
    /// Repeated polls of two watchers, during steps.
    Polls,
    /// Requested stops, notes and details, and the calls that they race with.
    Stops,
}

impl Alphabet {
    #[allow(clippy::too_many_lines)] // a list for each alphabet
    pub(super) fn letters(self, start: Start) -> Vec<Letter> {
        use Letter::{
            Advance, Cancel, Complete, Counts, Defer, Details, DropOwner, EarlierHeartbeat,
            EarlierOwnerAdvance, EarlierOwnerCancel, EarlierOwnerHeartbeat, EarlierOwnerRemove,
            EarlierOwnerRetry, EarlierOwnerUpdate, EarlierPoll, EarlierSnapshot, EarlierUnwatch,
            Fail, FailStalled, Get, Heartbeat, Iter, Keep, Note, OwnerAdvance, OwnerCancel,
            OwnerComplete, OwnerFail, OwnerHeartbeat, OwnerKeep, OwnerRemove, OwnerRetry,
            OwnerSnapshot, OwnerStart, OwnerUpdate, Poll, PollAnew, PollSecond, Register, Remove,
            Report, RequestStop, Retry, Section, SlowRead, Snapshot, Stalled, Start, Sweep, Tick,
            TrySection, Unwatch, Update, Watch,
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
        let rare = [
            Iter,
            Counts,
            Stalled,
            TrySection,
            OwnerStart,
            OwnerUpdate,
            OwnerFail,
            OwnerCancel,
            OwnerSnapshot,
            OwnerKeep,
            OwnerRemove,
            OwnerRetry,
            DropOwner,
            Tick,
            Defer,
            SlowRead,
            RequestStop,
            Note,
            Report,
            Details,
        ];
        let watched: &[Letter] = match start.watches() {
            [] => &[],
            [_] => &[Poll, PollAnew, Unwatch],
            _ => &[Poll, PollAnew, Unwatch, PollSecond],
        };
        let earlier: &[Letter] = if start == self::Start::Reused {
            &[
                EarlierSnapshot,
                EarlierHeartbeat,
                EarlierOwnerHeartbeat,
                EarlierOwnerAdvance,
                EarlierOwnerUpdate,
                EarlierOwnerCancel,
                EarlierOwnerRemove,
                EarlierOwnerRetry,
                EarlierPoll,
                EarlierUnwatch,
            ]
        } else {
            &[]
        };
        // Only these states have a due removal, or an owner of an earlier attempt.
        let own: &[Letter] = match start {
            self::Start::Due => &[Keep],
            self::Start::Retried => &[OwnerAdvance, OwnerComplete],
            _ => &[],
        };
        match self {
            Self::Every => [life.as_slice(), &core, &rest, &rare, watched, earlier].concat(),
            Self::Whole => [life.as_slice(), &core, &rest].concat(),
            Self::Core => [life.as_slice(), &core, own].concat(),
            Self::Life => life.to_vec(),
            Self::Verdicts => vec![Heartbeat, Fail, Keep, Sweep, FailStalled],
            Self::Time => vec![
                Tick,
                SlowRead,
                Start,
                Heartbeat,
                Fail,
                Defer,
                Remove,
                Sweep,
                FailStalled,
                Retry,
                Register,
                Get,
            ],
            Self::Watchers => {
                let steps = [Start, Advance, Heartbeat, Cancel, Remove, Retry];
                let owner = [OwnerHeartbeat, Register];
                [steps.as_slice(), &owner, watched].concat()
            }
            Self::Polls => vec![Poll, PollSecond, Advance, Heartbeat],
            Self::Stops => {
                let words = [RequestStop, Note, Report, Details, Update, Snapshot, Sweep];
                [words.as_slice(), &life, watched].concat()
            }
        }
    }
}

/// The state in which a program begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Start {
    /// A job that has not been started.
    Pending,
    /// A running job whose silence is long enough for a stall verdict.
    Running,
    /// A stopping job whose grace is over.
    Stopping,
    /// A failed job whose removal is due.
    Due,
    /// A running second attempt, whose first owner is superseded.
    Retried,
    /// `Pending` with one waiting watcher.
    PendingWatched,
    /// `Running` with two waiting watchers.
    RunningWatched,
    /// `Due` with a watcher that the ending has woken and that has not polled since.
    DueWatched,
    /// `Retried` with two waiting watchers.
    RetriedWatched,
    /// `PendingWatched` in a reused slot. An owner, the id and a watch of the slot's earlier job
    /// remain.
    Reused,
}

/// Time of the registry when the program begins. The job's last heartbeat was at 0.
pub(super) const NOW: Millis = 10;

impl Start {
    pub(super) const ALL: [Self; 10] = [
        Self::Pending,
        Self::Running,
        Self::Stopping,
        Self::Due,
        Self::Retried,
        Self::PendingWatched,
        Self::RunningWatched,
        Self::DueWatched,
        Self::RetriedWatched,
        Self::Reused,
    ];

    pub(super) const LIMITS: Limits = Limits {
        capacity: 1,
        retention: Duration::ZERO,
        stall_after: Duration::from_millis(5),
        stop_grace: Duration::from_millis(4),
    };

    /// Returns the watches of [`JOB`] that wait, or have been woken and not polled.
    pub(super) fn watches(self) -> &'static [u32] {
        match self {
            Self::Pending | Self::Running | Self::Stopping | Self::Due | Self::Retried => &[],
            Self::PendingWatched | Self::DueWatched | Self::Reused => &[FIRST_WATCH],
            Self::RunningWatched | Self::RetriedWatched => &[FIRST_WATCH, SECOND_WATCH],
        }
    }

    /// Returns the calls that lead to the state.
    pub(super) fn calls(self) -> Vec<Call> {
        let fail = Call::Fail(BY_ID, "no route");
        let wait = |job, watch| {
            [
                Call::Watch(job, watch),
                Call::Poll(watch),
                Call::Poll(watch),
            ]
        };
        let mut calls = Vec::new();
        if self == Self::Reused {
            calls.push(Call::Register(EARLIER, 0));
            calls.extend(wait(EARLIER, EARLIER_WATCH));
            calls.extend([Call::Cancel(EARLIER_BY_ID), Call::Remove(EARLIER_BY_ID)]);
        }
        calls.push(Call::Register(JOB, 0));
        calls.extend(match self {
            Self::Pending | Self::PendingWatched | Self::Reused => vec![],
            Self::Running | Self::RunningWatched | Self::Due | Self::DueWatched => {
                vec![Call::Start(BY_ID)]
            }
            Self::Stopping => {
                vec![
                    Call::Start(BY_ID),
                    Call::RequestStop(BY_ID, "the user left"),
                ]
            }
            Self::Retried | Self::RetriedWatched => {
                vec![fail.clone(), Call::Retry(BY_ID), Call::Start(BY_ID)]
            }
        });
        calls.extend(self.watches().iter().flat_map(|watch| wait(JOB, *watch)));
        if matches!(self, Self::Due | Self::DueWatched) {
            calls.push(fail);
        }
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
