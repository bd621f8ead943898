//! Further attempts: `retry`, and the stall verdict.

use crate::beat::{Beat, LATEST};
use crate::clock::millis;
use crate::error::RetryError;
use crate::inner::{Found, Inner};
use crate::locked::Locked;
use crate::observe::{Event, ON, tell};
use crate::steps::{in_status, tell_ending};
use crate::sync::Mark;
use crate::target::Target;
use crate::thread::despite_panics;
use crate::word::{Ending, LAST_ATTEMPT, Word};
use crate::{Snapshot, Status};
use std::time::Duration;

impl<T> Inner<T> {
    /// `own` makes the owner of the new attempt, before anything runs that could panic.
    pub(crate) fn retry<R>(
        &self,
        (slot, target): Found<'_, T>,
        own: impl FnOnce(Target) -> R,
    ) -> Result<R, RetryError> {
        let mut locked = slot.lock()?;
        let word = locked.word();
        target.admit(word)?;
        if self.table.free().is_closed() {
            return Err(RetryError::Closed);
        }
        // Before anything is changed: a clock that panics has the call refused.
        let now = self.now();
        let is_last = word.attempt() == LAST_ATTEMPT;
        match word.status() {
            Some(Status::Failed | Status::Cancelled) if is_last => {
                return Err(RetryError::AttemptsExhausted);
            }
            // Before the verdict: what is refused changes nothing.
            Some(Status::Running) if is_last && self.judge(&locked, target, now).is_some() => {
                return Err(RetryError::AttemptsExhausted);
            }
            Some(Status::Failed | Status::Cancelled) => {}
            Some(Status::Running) if self.fail_if_stalled(&mut locked, target).is_some() => {}
            Some(status) => return Err(RetryError::NotRetryable(status)),
            None => return Err(RetryError::Gone),
        }
        let ended = Duration::from_millis(now.saturating_sub(locked.body.ended));
        locked.body.retry(now);
        let open = locked.slot.reopen(now);
        let duty = locked.slot.settle(open);
        tell(|| Event::Retried {
            id: target.id(),
            attempt: word.attempt() + 1,
            // A running one has just been failed for its silence.
            before: (
                word.status()
                    .filter(|status| status.is_ended())
                    .unwrap_or(Status::Failed),
                ended,
            ),
        });
        let owner = own(Target {
            attempt: Some(word.attempt() + 1),
            ..target
        });
        // Wakers and subscribers run. If one panics, the attempt has an owner that goes.
        drop((duty, locked));
        Ok(owner)
    }

    pub(crate) fn stalled(&self) -> impl Iterator<Item = Snapshot> {
        let now = self.now();
        self.snapshots_of(move |word, beat| self.has_stalled(word, beat, now))
    }

    fn has_stalled(&self, word: Word, beat: Beat, now: u64) -> bool {
        word.status() == Some(Status::Running) && silence(beat, now) > self.settings.stall_after
    }

    /// Fails what is stalled, and returns it as it is then. A job whose lock is held is left for the
    /// next time: its holder may be about to end it, and nobody should wait for one that hangs.
    pub(crate) fn fail_stalled(&self) -> Vec<Snapshot> {
        let mut failed = Vec::new();
        let panics = despite_panics(self.stalled(), |seen| {
            let Ok((slot, target)) = self.find(seen.id()) else {
                return;
            };
            let target = Target {
                attempt: Some(seen.word().attempt()),
                ..target
            };
            if let Ok(Some(mut locked)) = slot.try_lock() {
                failed.extend(self.fail_if_stalled(&mut locked, target));
            }
        });
        panics.resume();
        failed
    }

    /// The verdict on one job. It seals the very heartbeat that it judged: one that came in between
    /// makes the compare-exchange fail, and one that comes later finds the seal.
    fn fail_if_stalled(&self, locked: &mut Locked<'_, T>, target: Target) -> Option<Snapshot> {
        // One reading for the verdict, its text and its time: they are of one instant.
        let elapsed = self.timeline.elapsed();
        let now = millis(elapsed);
        let mut beat = self.judge(locked, target, now)?;
        let mark = Mark::here();
        let before = (locked.body.ended, locked.body.removal);
        let lasted = ON.then(|| in_status(locked, locked.word(), now));
        let sealed = loop {
            let silence = Duration::from_millis(silence(beat, now));
            let reason = format!("stalled: no heartbeat for {silence:?}");
            self.write_ending(locked, elapsed, Some(reason));
            if let Ok(sealed) = locked.slot.seal_exactly(beat, Ending::Failed) {
                break sealed;
            }
            // A heartbeat came in between. It is judged in its turn, since it may have been late.
            locked.body.error = None;
            (locked.body.ended, locked.body.removal) = before;
            beat = self.judge(locked, target, now)?;
            mark.again("fail_if_stalled", beat.bits());
        };
        let _duty = locked.slot.settle(sealed);
        if let Some(lasted) = lasted {
            tell_ending(locked, target, lasted, true);
        }
        locked.slot.snapshot(target).ok()
    }

    /// The beat of the running, stale job that `target` means.
    fn judge(&self, locked: &Locked<'_, T>, target: Target, now: u64) -> Option<Beat> {
        let (word, beat) = locked.slot.observe();
        target.admit(word).ok()?;
        self.has_stalled(word, beat, now).then_some(beat)
    }
}

/// Milliseconds since the last heartbeat. Time after the latest recordable heartbeat does not count: otherwise every running
/// job would look stalled once the clock has passed it.
fn silence(beat: Beat, now: u64) -> u64 {
    now.min(LATEST).saturating_sub(beat.millis())
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use crate::{JobRegistry, ManualClock, RetryError, Status};
    use std::time::Duration;

    /// P10 and P1: attempts are numbered to the last and then refused; the refusal changes nothing, not even a stalled
    /// job.
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
