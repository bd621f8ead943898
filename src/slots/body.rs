//! The body: the part of a job that is behind the slot's lock.

use crate::types::clock::NEVER;
use crate::types::snapshot::Snapshot;
use crate::types::snapshot::{Record, Times};
use crate::types::status::Status;
use std::sync::Arc;
use std::time::Duration;

/// The part of a job that does not fit into the two words. All times are milliseconds of the
/// registry.
#[derive(Debug)]
pub(crate) struct Body<T> {
    /// `None` in an empty slot.
    pub(crate) payload: Option<T>,
    /// Boxed, because few jobs have a text: this halves the field's size.
    pub(crate) error: Option<Box<Arc<str>>>,
    pub(crate) registered: u64,
    /// Start of the attempt. While a later attempt is pending, the time of its retry. `NEVER` if
    /// the job ended without a start.
    pub(crate) started: u64,
    pub(crate) ended: u64,
    pub(crate) removal: Removal,
    /// Time of this slot's entry in the due queue, or `NEVER`. The entry outlives the job.
    pub(crate) queued_at: u64,
}

/// Time of a job's removal. It is the registry's default, a delay after the end of a live job, or
/// an absolute time. The top two bits distinguish them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removal(u64);

const AFTER: u64 = 1 << 63;
const AT: u64 = 1 << 62;
const MILLIS: u64 = AT - 1;

impl Removal {
    /// The registry's retention decides.
    pub(crate) const DEFAULT: Self = Self(0);

    /// Removes `delay` after the job's end, or never if `delay` does not fit the field.
    pub(crate) fn after(delay: u64) -> Self {
        Self(AFTER | delay.min(MILLIS))
    }

    /// Removes at `due`, or never if `due` does not fit the field.
    pub(crate) fn at(due: u64) -> Self {
        Self(AT | due.min(MILLIS))
    }

    /// Returns the delay after the job's end, if one was set. It may be `NEVER`.
    pub(crate) fn delay(self) -> Option<u64> {
        (self.0 & AFTER != 0).then(|| self.millis())
    }

    /// Returns the absolute time, if there is one. It may be `NEVER`.
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

impl<T> Body<T> {
    pub(crate) fn empty() -> Self {
        Self {
            payload: None,
            error: None,
            registered: NEVER,
            started: NEVER,
            ended: NEVER,
            removal: Removal::DEFAULT,
            queued_at: NEVER,
        }
    }

    /// Resets the body for the next attempt, pending since `now`.
    pub(crate) fn retry(&mut self, now: u64) {
        self.error = None;
        self.started = now.min(NEVER - 1);
        self.ended = NEVER;
        self.removal = Removal::DEFAULT;
    }

    /// Returns the time since which a pending job has been pending.
    pub(crate) fn pending_since(&self) -> u64 {
        match self.started {
            NEVER => self.registered,
            retried => retried,
        }
    }

    /// Returns the record of a job that was last seen as `snapshot`, with its payload, which the
    /// caller puts back. Returns `None` for an empty slot.
    pub(crate) fn take_record(&mut self, snapshot: Snapshot) -> Option<Record<T>> {
        Some(Record {
            snapshot,
            times: self.times(snapshot.status()),
            error: self.error.as_deref().cloned(),
            payload: self.payload.take()?,
        })
    }

    pub(crate) fn times(&self, status: Status) -> Times {
        let at = |millis| (millis != NEVER).then(|| Duration::from_millis(millis));
        Times {
            registered: Duration::from_millis(self.registered),
            started: at(self.started).filter(|_| status != Status::Pending),
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
        let mut body = Body::<()>::empty();
        body.registered = 3;
        let started = |body: &Body<()>| body.times(Status::Pending).started;
        assert_eq!((body.pending_since(), started(&body)), (3, None));
        for (now, since) in [(0, 0), (7, 7), (NEVER, NEVER - 1)] {
            body.retry(now);
            assert_eq!((body.pending_since(), started(&body)), (since, None));
        }
        body.started = 8;
        let started = body.times(Status::Running).started;
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
