//! The body: what of a job is behind its lock.

use crate::types::clock::NEVER;
use crate::types::snapshot::{Record, Times};
use crate::{Snapshot, Status};
use std::sync::Arc;
use std::time::Duration;

/// What of a job does not fit into two words. All times are milliseconds of the registry.
#[derive(Debug)]
pub(crate) struct Body<T> {
    /// `None` in an empty slot.
    pub(crate) payload: Option<T>,
    /// Boxed, because few jobs have one: half the size.
    pub(crate) error: Option<Box<Arc<str>>>,
    pub(crate) registered: u64,
    /// Start of the attempt. While a later attempt is pending, the time of its retry. `NEVER` in a job
    /// that ended without a start.
    pub(crate) started: u64,
    pub(crate) ended: u64,
    pub(crate) removal: Removal,
    /// Under which time the due queue has this slot, or `NEVER`. It outlives the job.
    pub(crate) filed: u64,
}

/// When a job is to be removed: as the registry does it with every ended job, or so long after its end, which is still
/// to come, or not before a time. The top bits tell which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removal(u64);

const AFTER: u64 = 1 << 63;
const AT: u64 = 1 << 62;
const MILLIS: u64 = AT - 1;

impl Removal {
    pub(crate) const DEFAULT: Self = Self(0);

    pub(crate) fn after(delay: u64) -> Self {
        Self(AFTER | delay.min(MILLIS))
    }

    /// What is too far away for the field is never.
    pub(crate) fn at(due: u64) -> Self {
        Self(AT | due.min(MILLIS))
    }

    pub(crate) fn delay(self) -> Option<u64> {
        (self.0 & AFTER != 0).then(|| self.millis())
    }

    /// `NEVER`, or a time.
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
            filed: NEVER,
        }
    }

    /// Begins another attempt, pending since `now`.
    pub(crate) fn retry(&mut self, now: u64) {
        self.error = None;
        self.started = now.min(NEVER - 1);
        self.ended = NEVER;
        self.removal = Removal::DEFAULT;
    }

    /// Since when a pending job has been so.
    pub(crate) fn pending_since(&self) -> u64 {
        match self.started {
            NEVER => self.registered,
            retried => retried,
        }
    }

    /// Of the job as it was last seen, with its payload, which is the caller's to put back. `None` for an empty slot.
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

    /// A later attempt is pending since it began, and has not started, whatever time it is.
    #[test]
    fn a_retry_is_no_start() {
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

    /// Whatever time it is, a removal is of one kind, and what is too far away is never.
    #[test]
    fn removals_are_what_they_were_made_of() {
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
