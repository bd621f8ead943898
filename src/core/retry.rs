//! Retry: the next attempt of a job that has failed, was cancelled or has stalled.

use crate::core::lookup::LockedJob;
use crate::slots::fenced_id::FencedId;
use crate::telemetry::{Event, emit};
use crate::types::clock::millis;
use crate::types::error::RetryError;
use crate::types::state_word::LAST_ATTEMPT;
use crate::types::status::Status;
use std::time::Duration;

impl<T> LockedJob<'_, T> {
    /// Begins the next attempt and releases the lock. `into_owner` makes the owner of the attempt
    /// before any code runs that could panic.
    pub(crate) fn retry<R>(self, into_owner: impl FnOnce(FencedId) -> R) -> Result<R, RetryError> {
        let word = self.word();
        self.id.admit(word)?;
        // The clock is read before anything is changed: if it panics, the call is refused.
        let elapsed = self.registry.timeline.elapsed();
        let now = millis(elapsed);
        let mut info = self.info();
        // The lock of the info is kept from this check until the attempt is pending. A thread that
        // takes this lock after a close therefore sees the attempt, or the attempt never begins.
        if self.registry.table.free().is_closed() {
            return Err(RetryError::Closed);
        }
        let is_last = word.attempt() == LAST_ATTEMPT;
        let stalled = match word.status() {
            Some(Status::Failed | Status::Cancelled) if is_last => {
                return Err(RetryError::AttemptsExhausted);
            }
            // This arm precedes the verdict: a refused call changes nothing.
            Some(Status::Running | Status::Stopping)
                if is_last && self.judge(&info, now).is_some() =>
            {
                return Err(RetryError::AttemptsExhausted);
            }
            Some(Status::Failed | Status::Cancelled) => None,
            Some(status @ (Status::Running | Status::Stopping)) => {
                let stalled = self.seal_if_stalled(&mut info, elapsed);
                Some(stalled.ok_or(RetryError::NotRetryable(status))?)
            }
            Some(status) => return Err(RetryError::NotRetryable(status)),
            None => return Err(RetryError::Gone),
        };
        let ended = Duration::from_millis(now.saturating_sub(info.ended));
        info.retry(elapsed);
        self.slot.body.begun.retry(now);
        let open = self.slot.decide_retry(now);
        let duty = self.slot.settle(open);
        drop(self.job_ref().schedule(&mut info, now));
        drop(info);
        let id = self.id;
        let (failed, first_duty) = stalled.unzip();
        if let Some(failed) = failed.flatten() {
            emit(|| failed);
        }
        emit(|| Event::Retried {
            id: id.id(),
            attempt: word.attempt() + 1,
            // A running job has just been failed by the stall verdict.
            before: (
                word.status()
                    .filter(|status| status.is_ended())
                    .unwrap_or(Status::Failed),
                ended,
            ),
        });
        let owner = into_owner(FencedId {
            attempt: Some(word.attempt() + 1),
            ..id
        });
        // Wakers and subscribers run. If one panics, the attempt has an owner, whose drop fails it.
        drop((first_duty, duty, self));
        Ok(owner)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use crate::{JobRegistry, ManualClock, RetryError, Status};
    use std::time::Duration;

    /// P10 and P1: attempts are numbered up to the last, and then refused. The refusal changes
    /// nothing, not even a stalled job.
    #[test]
    fn attempts_run_out_and_do_not_wrap() {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(Duration::MAX)
            .stall_after(Duration::ZERO)
            .build();
        let mut job = jobs.register(()).unwrap();
        let id = job.id();
        for attempt in 1..=65_535 {
            assert_eq!(job.snapshot().unwrap().attempt(), attempt);
            assert_eq!(job.attempt(), attempt);
            if attempt == 65_535 {
                break;
            }
            job.fail("again").unwrap();
            job = job.retry().unwrap();
        }
        job.start().unwrap();
        clock.advance(Duration::from_secs(1000));
        let before = jobs.snapshot(id).unwrap();
        assert!(jobs.stalled().contains(&before));
        assert_eq!(jobs.retry(id).unwrap_err(), RetryError::AttemptsExhausted);
        assert_eq!(jobs.snapshot(id), Ok(before));
        job.fail("for good").unwrap();
        assert_eq!(jobs.retry(id).unwrap_err(), RetryError::AttemptsExhausted);
        let after = jobs.snapshot(id).unwrap();
        assert_eq!((after.status(), after.attempt()), (Status::Failed, 65_535));
    }
}
