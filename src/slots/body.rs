//! [`Body`]: the part of a job that does not fit into the words: its payload, and its [`Info`].

use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::types::clock::NEVER;
use crate::types::options::Options;
use crate::types::snapshot::{Details, Record, Snapshot, Times};
use crate::types::status::Status;
use std::sync::Arc;
use std::time::Duration;

/// The part of a job behind locks.
///
/// The lock of the payload is the job's lock: the holder of it may run user code. The lock of the
/// info is a leaf, under which no user code runs and no other job's lock is taken. Whoever changes
/// the info holds the job's lock as well, and keeps the info's lock until the words say the same.
/// A thread that holds the info's lock therefore sees the job at one instant.
#[derive(Debug)]
pub(crate) struct Body<T> {
    /// `None` in an empty slot.
    pub(crate) payload: Mutex<Option<T>>,
    pub(crate) begun: AtomicBegun,
    pub(crate) info: Mutex<Info>,
}

/// The times at which a job and its attempt began.
///
/// Each is stored before the state word that shows it, by a registration or a start, which needs no
/// lock for that. After that, it changes only under the lock of the info. A thread that holds that
/// lock, and then loads the state word, therefore sees the times of that word.
#[derive(Debug)]
pub(crate) struct AtomicBegun {
    registered: AtomicU64,
    started: AtomicU64,
}

/// The times at which a job and its attempt began, in milliseconds of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) registered: u64,
    /// Start of the attempt. While a later attempt is pending, the time of its retry. `NEVER` if
    /// the job ended without a start.
    pub(crate) started: u64,
}

impl Begun {
    #[cfg(all(test, not(any(loom, shuttle))))]
    const NEVER: Self = Self {
        registered: NEVER,
        started: NEVER,
    };

    /// Returns the time since which a pending job has been pending.
    #[inline]
    pub(crate) fn pending_since(self) -> u64 {
        match self.started {
            NEVER => self.registered,
            retried => retried,
        }
    }
}

impl AtomicBegun {
    fn new() -> Self {
        Self {
            registered: AtomicU64::new(NEVER),
            started: AtomicU64::new(NEVER),
        }
    }

    // ORDERING: Relaxed. The words that follow the stores publish them.

    #[inline]
    pub(crate) fn load(&self) -> Begun {
        Begun {
            registered: self.registered.load(Ordering::Relaxed),
            started: self.started.load(Ordering::Relaxed),
        }
    }

    /// Stores the time of a registration.
    pub(crate) fn register(&self, now: u64) {
        self.registered.store(now, Ordering::Relaxed);
    }

    /// Stores the start of the attempt, or `NEVER` for an attempt that ends without one.
    #[inline]
    pub(crate) fn start(&self, now: u64) {
        self.started.store(now, Ordering::Relaxed);
    }

    /// Stores the time of a retry. The caller holds the lock of the info.
    pub(crate) fn retry(&self, now: u64) {
        self.start(now.min(NEVER - 1));
    }

    /// Returns whether the times are as in an empty slot.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn is_empty(&self) -> bool {
        self.load() == Begun::NEVER
    }

    /// Empties the times and returns those of the removed job. The caller holds both locks.
    #[inline]
    pub(crate) fn take(&self) -> Begun {
        let taken = self.load();
        self.register(NEVER);
        self.start(NEVER);
        taken
    }
}

impl<T> Body<T> {
    pub(crate) fn empty() -> Self {
        Self {
            payload: Mutex::new(None),
            begun: AtomicBegun::new(),
            info: Mutex::new(Info::empty()),
        }
    }
}

/// End, texts and limits of a job. All times are milliseconds of the registry.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) ended: u64,
    pub(crate) removal: Removal,
    /// Time of this slot's entry in the due queue, or `NEVER`. The entry outlives the job.
    pub(crate) queued_at: u64,
    /// Boxed, because few jobs have a text or limits of their own.
    rare: Option<Box<Rare>>,
}

/// Texts and limits.
#[derive(Debug)]
pub(crate) struct Rare {
    pub(crate) note: Option<Arc<str>>,
    pub(crate) reason: Option<Arc<str>>,
    pub(crate) options: Options,
    /// Time at which a live attempt fails, or `NEVER`.
    pub(crate) deadline: u64,
    /// Time at which the stop was requested, or `NEVER`.
    pub(crate) stop_requested: u64,
    /// Time at which a stopping job is cancelled, or `NEVER`.
    pub(crate) stop_by: u64,
}

/// Time of a job's removal. It is the registry's default, a delay after the end of a live job, or
/// an absolute time. The top two bits distinguish them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removal(u64);

const AFTER: u64 = 1 << 63;
const AT: u64 = 1 << 62;
const MILLIS: u64 = AT - 1;

impl Removal {
    /// The job's retention decides.
    pub(crate) const DEFAULT: Self = Self(0);

    /// Removes `delay` after the job's end, or never if `delay` does not fit the field.
    pub(crate) fn after(delay: u64) -> Self {
        Self(AFTER | delay.min(MILLIS))
    }

    /// Removes at `due`, or never if `due` does not fit the field.
    #[inline]
    pub(crate) fn at(due: u64) -> Self {
        Self(AT | due.min(MILLIS))
    }

    /// Returns the delay after the job's end, if one was set. It may be `NEVER`.
    #[inline]
    pub(crate) fn delay(self) -> Option<u64> {
        (self.0 & AFTER != 0).then(|| self.millis())
    }

    /// Returns the absolute time, if there is one. It may be `NEVER`.
    #[inline]
    pub(crate) fn due(self) -> Option<u64> {
        (self.0 & AT != 0).then(|| self.millis())
    }

    fn millis(self) -> u64 {
        match self.0 & MILLIS {
            MILLIS => NEVER,
            millis => millis,
        }
    }
}

impl Info {
    pub(crate) const fn empty() -> Self {
        Self {
            ended: NEVER,
            removal: Removal::DEFAULT,
            queued_at: NEVER,
            rare: None,
        }
    }

    /// Stores the options of an attempt that begins at `now`.
    #[inline]
    pub(crate) fn set_options(&mut self, now: Duration, options: Options) {
        if options != Options::new() {
            let rare = self.rare();
            rare.options = options;
            rare.deadline = options.deadline_from(now);
        }
    }

    /// Resets the info for the next attempt, pending since `now`.
    pub(crate) fn retry(&mut self, now: Duration) {
        let options = self.options();
        self.ended = NEVER;
        self.removal = Removal::DEFAULT;
        self.rare = None;
        self.set_options(now, options);
    }

    /// Returns whether it is as in an empty slot, apart from the entry in the due queue.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn is_empty(&self) -> bool {
        self.ended == NEVER && self.removal == Removal::DEFAULT && self.rare.is_none()
    }

    /// Returns the texts and limits, to be changed.
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| {
            Box::new(Rare {
                note: None,
                reason: None,
                options: Options::new(),
                deadline: NEVER,
                stop_requested: NEVER,
                stop_by: NEVER,
            })
        })
    }

    #[inline]
    pub(crate) fn options(&self) -> Options {
        self.rare
            .as_ref()
            .map_or(Options::new(), |rare| rare.options)
    }

    #[inline]
    pub(crate) fn reason(&self) -> Option<Arc<str>> {
        self.rare.as_ref()?.reason.clone()
    }

    #[inline]
    pub(crate) fn set_reason(&mut self, reason: Option<Arc<str>>) {
        if reason.is_some() || self.rare.is_some() {
            self.rare().reason = reason;
        }
    }

    /// Returns the time at which a stopping job is cancelled, or `NEVER`.
    #[inline]
    pub(crate) fn stop_by(&self) -> u64 {
        self.rare.as_ref().map_or(NEVER, |rare| rare.stop_by)
    }

    /// Returns the time at which a live job fails, or `NEVER`.
    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.rare.as_ref().map_or(NEVER, |rare| rare.deadline)
    }

    /// Returns the time from which a sweep has to act on a job of this status, or `NEVER`.
    #[inline]
    pub(crate) fn due(&self, status: Option<Status>) -> u64 {
        match status {
            None => NEVER,
            Some(Status::Pending | Status::Running) => self.deadline(),
            Some(Status::Stopping) => self.deadline().min(self.stop_by()),
            Some(Status::Completed | Status::Failed | Status::Cancelled) => {
                self.removal.due().unwrap_or(NEVER)
            }
        }
    }

    /// Empties the info and returns that of the removed job. The slot's entry stays in the due
    /// queue, and is early enough for most of the slot's next jobs.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self {
            queued_at: self.queued_at,
            ..Self::empty()
        };
        std::mem::replace(self, empty)
    }

    /// Returns the time since which a live job has its status.
    pub(crate) fn since(&self, begun: Begun, status: Status) -> u64 {
        match status {
            Status::Pending => begun.pending_since(),
            Status::Stopping => self.rare.as_ref().map_or(0, |rare| rare.stop_requested),
            _ => begun.started,
        }
    }

    /// Returns the details of a job that was seen as `snapshot`.
    pub(crate) fn details(&self, begun: Begun, snapshot: Snapshot) -> Details {
        let (note, reason) = self.texts();
        Details {
            snapshot,
            times: self.times(begun, snapshot.status()),
            note,
            reason,
        }
    }

    /// Returns the record of a job that was seen as `snapshot`.
    #[inline]
    pub(crate) fn record<P>(&self, begun: Begun, snapshot: Snapshot, payload: P) -> Record<P> {
        let (note, reason) = self.texts();
        Record {
            snapshot,
            times: self.times(begun, snapshot.status()),
            note,
            reason,
            payload,
        }
    }

    /// Returns the note and the reason.
    #[inline]
    fn texts(&self) -> (Option<Arc<str>>, Option<Arc<str>>) {
        match &self.rare {
            Some(rare) => (rare.note.clone(), rare.reason.clone()),
            None => (None, None),
        }
    }

    #[inline]
    fn times(&self, begun: Begun, status: Status) -> Times {
        let at = |millis| (millis != NEVER).then(|| Duration::from_millis(millis));
        Times {
            registered: Duration::from_millis(begun.registered),
            started: at(begun.started).filter(|_| status != Status::Pending),
            ended: at(self.ended),
            removal: self.removal.due().and_then(at),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// A later attempt is pending since its retry and has no start, at every time.
    #[test]
    fn a_retry_does_not_count_as_a_start() {
        let body = Body::<()>::empty();
        let mut info = body.info.lock();
        body.begun.register(3);
        let started = |info: &Info| info.times(body.begun.load(), Status::Pending).started;
        let pending_since = || body.begun.load().pending_since();
        assert_eq!((pending_since(), started(&info)), (3, None));
        for (now, since) in [(0, 0), (7, 7), (NEVER, NEVER - 1)] {
            info.retry(Duration::from_millis(now));
            body.begun.retry(now);
            assert_eq!((pending_since(), started(&info)), (since, None));
        }
        body.begun.start(8);
        let started = info.times(body.begun.load(), Status::Running).started;
        assert_eq!(started, Some(Duration::from_millis(8)));
    }

    /// A removal is either relative or absolute, at every time, and a time that does not fit is
    /// never.
    #[test]
    fn removals_keep_their_kind_and_time() {
        for millis in [0, 1, MILLIS - 1] {
            let (after, at) = (Removal::after(millis), Removal::at(millis));
            assert_eq!((after.delay(), after.due()), (Some(millis), None));
            assert_eq!((at.delay(), at.due()), (None, Some(millis)));
        }
        for millis in [MILLIS, MILLIS + 1, NEVER] {
            assert_eq!(Removal::after(millis).delay(), Some(NEVER));
            assert_eq!(Removal::at(millis).due(), Some(NEVER));
        }
        let default = Removal::DEFAULT;
        assert_eq!((default.delay(), default.due()), (None, None));
    }
}
