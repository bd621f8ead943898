//! The words of the specification: calls, what they return, and what is seen of a job.

use super::{Progress, Status};
use std::time::Duration;

/// What a test calls a job. It stands for one id and is never given twice.
pub(crate) type Name = u32;
/// The registry's time.
pub(crate) type Millis = u64;
/// What the version of a snapshot counts, in this order: attempt, status, progress.
pub(crate) type Version = (u32, Status, Progress);

/// As whom a call is made: by id, by the owner's handle of one attempt, or by the thread's guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Id(Name),
    Handle(Name, u32),
    Guard,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// Time passes.
    Tick(Millis),
    Register(Name, u64),
    Start(Who),
    Advance(Who, Progress),
    Heartbeat(Who),
    Complete(Who),
    Fail(Who, &'static str),
    Cancel(Who),
    Lock(Who),
    TryLock(Who),
    Unlock,
    /// Takes the lock of a live or ended job to read it, until the thread unlocks it.
    Read(Name),
    /// Appends a decimal digit to the payload, which then shows what was done, and in which order.
    Update(Who, u8),
    /// The closure of an `update`, or the holder of a guard, panics with `boom`.
    Panic(Who),
    Snapshot(Who),
    Get(Name),
    RemoveAfter(Who, Duration),
    Remove(Who),
    Sweep,
    /// A sweep comes by this one job.
    Collect(Name),
    Retry(Who),
    /// A retry comes by this one job, and fails it first if it is stalled.
    Verdict(Who),
    DropOwner(Name, u32),
    Detach(Name, u32),
    Stalled,
    FailStalled,
    /// Begins to watch a job. The watch gets a name of its own.
    Watch(Name, u32),
    Poll(u32),
    /// Polls with another waker, which replaces the one before.
    PollAnew(u32),
    Unwatch(u32),
    Iter,
    Len,
    Counts,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ret {
    Done,
    Refused(Refusal),
    /// There is no room, and the payload comes back.
    Full(u64),
    Progress(Progress),
    Payload(u64),
    /// A retry began this attempt.
    Attempt(u32),
    Panicked,
    Count(usize),
    /// By status, in the order of the statuses.
    Counts([usize; 5]),
    View(View),
    /// Sorted by name.
    Views(Vec<View>),
    Record(Box<Record>),
    /// What a watch yields: a state, or the end of the stream.
    Next(Option<View>),
    /// The watch has nothing new.
    Waits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    NotFound,
    Gone,
    Superseded,
    NotStarted,
    AlreadyStarted,
    Ended(Status),
    Live,
    NotRetryable(Status),
    AttemptsExhausted,
    Busy,
    WouldDeadlock,
    /// Not an answer of the registry: the call cannot be made at this point, because there is no such
    /// guard or watch, or cannot return, because another thread has the lock.
    Impossible,
}

/// A snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct View {
    pub(crate) job: Name,
    pub(crate) version: Version,
    pub(crate) beat: Millis,
}

/// A job with its payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) view: View,
    pub(crate) registered: Millis,
    pub(crate) started: Option<Millis>,
    pub(crate) ended: Option<Millis>,
    /// From when on an ended job may be removed; `None` is never.
    pub(crate) removal: Option<Millis>,
    pub(crate) error: Option<String>,
    pub(crate) payload: u64,
}

impl Call {
    /// Whether it is only a part of what a thread calls, and gives no answer of its own.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Collect(_) | Self::Verdict(_))
    }

    /// As whom it is made; `None` for a call to the registry as a whole.
    #[allow(clippy::match_same_arms)] // by subject, which reads better
    pub(crate) fn who(&self) -> Option<Who> {
        match *self {
            Self::Start(who) | Self::Advance(who, _) | Self::Heartbeat(who) => Some(who),
            Self::Complete(who) | Self::Fail(who, _) | Self::Cancel(who) => Some(who),
            Self::Retry(who) | Self::Verdict(who) => Some(who),
            Self::Lock(who) | Self::TryLock(who) | Self::Update(who, _) | Self::Panic(who) => {
                Some(who)
            }
            Self::Snapshot(who) | Self::RemoveAfter(who, _) | Self::Remove(who) => Some(who),
            Self::Get(name) | Self::Read(name) | Self::Watch(name, _) => Some(Who::Id(name)),
            Self::Collect(name) => Some(Who::Id(name)),
            Self::DropOwner(name, attempt) | Self::Detach(name, attempt) => {
                Some(Who::Handle(name, attempt))
            }
            Self::Tick(_) | Self::Register(..) | Self::Unlock | Self::Sweep | Self::Stalled => None,
            Self::FailStalled | Self::Poll(_) | Self::PollAnew(_) | Self::Unwatch(_) => None,
            Self::Iter | Self::Len | Self::Counts => None,
        }
    }

    /// What kind of call it is, and as whom: for what has to be seen in a set of histories.
    pub(crate) fn kind(&self) -> String {
        let call = head(&format!("{self:?}"));
        self.who().map_or(call.clone(), |who| {
            format!("{call} by {}", head(&format!("{who:?}")))
        })
    }
}

impl Ret {
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Refused(refusal) => format!("{refusal:?}"),
            Self::Count(0) => "Count(0)".to_owned(),
            Self::Views(views) if views.is_empty() => "Views(0)".to_owned(),
            Self::Next(None) => "Next(None)".to_owned(),
            other => head(&format!("{other:?}")),
        }
    }
}

fn head(debug: &str) -> String {
    debug.split('(').next().unwrap_or(debug).to_owned()
}
