//! The vocabulary of the specification: calls, their answers, and the visible state of a job.

use super::{Progress, Status};
use std::time::Duration;

/// Name of a job in a test. It stands for one id and is never reused.
pub(crate) type Name = u32;
/// Time of the registry, in milliseconds.
pub(crate) type Millis = u64;
/// Attempt, status and progress of a snapshot, which grow in this order.
pub(crate) type Version = (u32, Status, Progress);

/// Subject of a call: an id, the owner's handle of one attempt, or the thread's guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Id(Name),
    Handle(Name, u32),
    Guard,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// Moves the clock.
    Tick(Millis),
    Register(Name, u64),
    /// Registers a job with a deadline.
    RegisterWith(Name, u64, Duration),
    Start(Who),
    Advance(Who, Progress),
    Heartbeat(Who),
    Complete(Who),
    Fail(Who, &'static str),
    Cancel(Who),
    CancelBecause(Who, &'static str),
    RequestStop(Who, &'static str),
    Note(Who, &'static str),
    Report(Who, Progress, &'static str),
    Lock(Who),
    TryLock(Who),
    Unlock,
    /// Takes the lock of a live or ended job to read it. The lock is held until the thread unlocks
    /// it.
    Read(Name),
    /// Appends a decimal digit to the payload, which then shows all updates in their order.
    Update(Who, u8),
    /// Panics with `boom` in the closure of an `update`, or while the guard is held.
    Panic(Who),
    Snapshot(Who),
    Get(Name),
    Details(Who),
    RemoveAfter(Who, Duration),
    Remove(Who),
    Sweep,
    /// Removes this one job if it is due, as part of a sweep.
    Collect(Name),
    /// Ends this one job if it was overdue at this time, as part of a sweep that began then. The
    /// maximum is the present.
    Expire(Name, Millis),
    Retry(Who),
    /// Fails this one job if it is stalled, as the first part of a retry.
    Verdict(Who),
    DropOwner(Name, u32),
    Detach(Name, u32),
    Stalled,
    FailStalled,
    /// Begins to watch a job. The second field is the name of the watch.
    Watch(Name, u32),
    Poll(u32),
    /// Polls with another waker, which replaces the earlier one.
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
    /// The registry is full, and the payload is returned.
    Full(u64),
    Progress(Progress),
    /// Status after a requested stop.
    Status(Status),
    Payload(u64),
    /// Number of the attempt that a retry began.
    Attempt(u32),
    Panicked,
    Count(usize),
    /// Numbers of jobs by status, in the order of the statuses.
    Counts([usize; 6]),
    View(View),
    /// Snapshots sorted by name.
    Views(Vec<View>),
    Record(Box<Record>),
    /// A record without the payload, which is 0.
    Details(Box<Record>),
    /// Item of a watch: a state, or the end of the stream.
    Next(Option<View>),
    /// The watch has nothing new, and its waker waits.
    Waits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    NotFound,
    Gone,
    Superseded,
    NotStarted,
    AlreadyStarted,
    Stopping,
    Ended(Status),
    Live,
    NotRetryable(Status),
    AttemptsExhausted,
    Busy,
    WouldDeadlock,
    /// Not an answer of the registry. The call cannot be made, because the guard or watch does not
    /// exist, or it cannot return, because another thread holds the lock.
    Impossible,
}

/// A snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct View {
    pub(crate) job: Name,
    pub(crate) version: Version,
    /// Number of changes that attempt, status and progress do not show.
    pub(crate) revision: u64,
    pub(crate) beat: Millis,
}

/// A job with its payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) view: View,
    pub(crate) registered: Millis,
    pub(crate) started: Option<Millis>,
    pub(crate) ended: Option<Millis>,
    /// Time from which an ended job may be removed; `None` is never.
    pub(crate) removal: Option<Millis>,
    pub(crate) note: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) payload: u64,
}

impl Call {
    /// Whether it is only a part of a thread's call, and has no answer of its own.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Collect(_) | Self::Expire(..) | Self::Verdict(_))
    }

    /// Returns the subject of the call, or `None` for a call on the registry as a whole.
    #[allow(clippy::match_same_arms)] // by subject, which reads better
    pub(crate) fn who(&self) -> Option<Who> {
        match *self {
            Self::Start(who) | Self::Advance(who, _) | Self::Heartbeat(who) => Some(who),
            Self::Complete(who) | Self::Fail(who, _) | Self::Cancel(who) => Some(who),
            Self::CancelBecause(who, _) | Self::RequestStop(who, _) => Some(who),
            Self::Note(who, _) | Self::Report(who, ..) | Self::Details(who) => Some(who),
            Self::Retry(who) | Self::Verdict(who) => Some(who),
            Self::Lock(who) | Self::TryLock(who) | Self::Update(who, _) | Self::Panic(who) => {
                Some(who)
            }
            Self::Snapshot(who) | Self::RemoveAfter(who, _) | Self::Remove(who) => Some(who),
            Self::Get(name) | Self::Read(name) | Self::Watch(name, _) => Some(Who::Id(name)),
            Self::Collect(name) | Self::Expire(name, _) => Some(Who::Id(name)),
            Self::DropOwner(name, attempt) | Self::Detach(name, attempt) => {
                Some(Who::Handle(name, attempt))
            }
            Self::Tick(_) | Self::Register(..) | Self::RegisterWith(..) | Self::Unlock => None,
            Self::Sweep | Self::Stalled => None,
            Self::FailStalled | Self::Poll(_) | Self::PollAnew(_) | Self::Unwatch(_) => None,
            Self::Iter | Self::Len | Self::Counts => None,
        }
    }

    /// Returns the kind of the call and of its subject, by which a set of histories is checked for
    /// coverage.
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
