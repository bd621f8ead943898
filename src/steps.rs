//! The steps of a job's life: `start`, `advance`, `heartbeat` and the three endings.

use crate::body::{NEVER, Removal};
use crate::clock::{millis, millis_up};
use crate::due::{Entry, hint};
use crate::error::StepError;
use crate::inner::{Found, Inner};
use crate::locked::Locked;
use crate::observe::{Event, ON, tell};
use crate::slot::Slot;
use crate::target::{Target, admit};
use crate::word::{Ending, Word};
use crate::{Progress, Status};
use std::sync::Arc;
use std::time::Duration;

impl<T> Inner<T> {
    pub(crate) fn start(&self, (slot, target): Found<'_, T>) -> Result<(), StepError> {
        let mut locked = slot.lock()?;
        self.start_locked(&mut locked, target)
    }

    /// Under the lock, because the start is also a time in the body. And a beat: a job that waited for
    /// long must not be running with an old one for even an instant.
    pub(crate) fn start_locked(
        &self,
        locked: &mut Locked<'_, T>,
        target: Target,
    ) -> Result<(), StepError> {
        let word = locked.word();
        target.admit(word)?;
        match word.status() {
            Some(Status::Pending) => {}
            Some(Status::Running) => return Err(StepError::AlreadyStarted),
            Some(ended) => return Err(StepError::Ended(ended)),
            None => return Err(StepError::Gone),
        }
        let now = self.now();
        let pending = ON.then(|| pending(locked, now));
        locked.body.started = now;
        let started = locked.slot.begin(now);
        let _duty = locked.slot.settle(started);
        tell(|| Event::Started {
            id: target.id(),
            attempt: word.attempt(),
            pending: pending.unwrap_or_default(),
        });
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn heartbeat(&self, (slot, target): Found<'_, T>) -> Result<(), StepError> {
        slot.heartbeat(target, || self.now())
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn is_live(&self, target: Target) -> bool {
        let word = self.slot(target.slot).state();
        target.admit(word).is_ok() && !word.status().is_some_and(Status::is_ended)
    }

    pub(crate) fn end(
        &self,
        (slot, target): Found<'_, T>,
        ending: Ending,
        reason: Option<String>,
    ) -> Result<(), StepError> {
        let mut locked = slot.lock()?;
        self.end_locked(&mut locked, target, ending, reason)
    }

    pub(crate) fn end_locked(
        &self,
        locked: &mut Locked<'_, T>,
        target: Target,
        ending: Ending,
        reason: Option<String>,
    ) -> Result<(), StepError> {
        let word = locked.word();
        target.admit(word)?;
        match word.status() {
            Some(ended) if ended.is_ended() => return Err(StepError::Ended(ended)),
            Some(Status::Pending) if ending == Ending::Completed => {
                return Err(StepError::NotStarted);
            }
            _ => {}
        }
        let now = self.timeline.elapsed();
        let before = ON.then(|| in_status(locked, word, millis(now)));
        // The text first: whoever sees the ending finds it.
        self.write_ending(locked, now, reason);
        let sealed = locked.slot.seal(ending);
        let _duty = locked.slot.settle(sealed);
        if let Some(before) = before {
            tell_ending(locked, target, before, false);
        }
        Ok(())
    }

    /// What the body says of an ending: why, when, and when the job is to be removed.
    pub(crate) fn write_ending(
        &self,
        locked: &mut Locked<'_, T>,
        now: Duration,
        reason: Option<String>,
    ) {
        if locked.word().status() == Some(Status::Pending) {
            // It has never been started. Until now this was when its attempt began.
            locked.body.started = NEVER;
        }
        let body = &mut *locked.body;
        body.error = reason.map(|reason| Box::new(Arc::from(reason)));
        body.ended = millis(now);
        let delay = body.removal.delay().unwrap_or(self.settings.retention);
        body.removal = Removal::at(millis_up(now).saturating_add(delay));
        self.file(locked, millis(now));
    }

    /// Has the due queue come by when the job's removal is due, or earlier.
    pub(crate) fn file(&self, locked: &mut Locked<'_, T>, now: u64) {
        let Some(due) = locked.body.removal.due() else {
            return;
        };
        // An entry before the deadline will do: the sweep files again what it finds too early.
        if due == NEVER || due >= locked.body.filed {
            return;
        }
        let time = hint(now, due);
        locked.body.filed = time;
        self.due.file([Entry {
            time,
            slot: locked.slot.index,
        }]);
    }
}

impl<T> Slot<'_, T> {
    #[inline(always)]
    pub(crate) fn advance(self, target: Target, progress: Progress) -> Result<Progress, StepError> {
        let (before, after) = self.step(|word| {
            if target.runs(word) {
                Ok(word.advance(progress))
            } else {
                Err(not_running(target.generation, target.attempt, word))
            }
        })?;
        Ok(advanced((self, target), before, after))
    }

    #[inline(always)]
    pub(crate) fn heartbeat(
        self,
        target: Target,
        now: impl FnOnce() -> u64,
    ) -> Result<(), StepError> {
        let word = self.record_beat(target, now)?;
        match word.status() {
            Some(status) if status.is_ended() => Err(StepError::Ended(status)),
            _ => {
                beaten((self, target), word);
                Ok(())
            }
        }
    }
}

/// Announces an advance, if it was one, and returns the progress reached.
#[inline(always)]
pub(crate) fn advanced<T>((slot, target): Found<'_, T>, before: Word, after: Word) -> Progress {
    if before == after || !(ON || before.is_watched()) {
        return after.progress();
    }
    announce_advance((slot, target), before.is_watched(), after)
}

/// Emits the event of an advance and wakes the watchers, also if the subscriber panics.
///
/// This is a function of its own so that an advance without watchers keeps nothing across a call.
#[cfg_attr(not(any(feature = "tracing", feature = "metrics")), cold)]
fn announce_advance<T>((slot, target): Found<'_, T>, watched: bool, after: Word) -> Progress {
    let _duty = slot.wake_duty(watched);
    tell(|| Event::Advanced {
        id: target.id(),
        attempt: after.attempt(),
        progress: after.progress(),
    });
    after.progress()
}

/// Tells of a beat.
#[inline(always)]
pub(crate) fn beaten<T>((slot, target): Found<'_, T>, word: Word) {
    tell(|| Event::Heartbeat {
        id: target.id(),
        attempt: word.attempt(),
        count: slot.count_beat(),
    });
}

/// Why a job does not advance. Of a target what matters, because the whole would have to go through memory.
#[cold]
fn not_running(generation: u32, attempt: Option<u16>, word: Word) -> StepError {
    match (admit(generation, attempt, word), word.status()) {
        (Err(fenced), _) => fenced.into(),
        (Ok(()), Some(status)) if status.is_ended() => StepError::Ended(status),
        (Ok(()), _) => StepError::NotStarted,
    }
}

/// How long a live job has been pending or running, for those who listen.
pub(crate) fn in_status<T>(locked: &Locked<'_, T>, word: Word, now: u64) -> (Status, Duration) {
    match word.status() {
        Some(Status::Pending) => (Status::Pending, pending(locked, now)),
        status => {
            let since = now.saturating_sub(locked.body.started);
            (
                status.unwrap_or(Status::Running),
                Duration::from_millis(since),
            )
        }
    }
}

/// How long a pending attempt has been so.
fn pending<T>(locked: &Locked<'_, T>, now: u64) -> Duration {
    Duration::from_millis(now.saturating_sub(locked.body.pending_since()))
}

/// Tells how a job has ended.
pub(crate) fn tell_ending<T>(
    locked: &Locked<'_, T>,
    target: Target,
    before: (Status, Duration),
    stalled: bool,
) {
    let word = locked.word();
    tell(|| Event::Ended {
        id: target.id(),
        attempt: word.attempt(),
        status: word.status().unwrap_or(Status::Failed),
        progress: word.progress(),
        error: locked.body.error.as_deref().cloned(),
        before,
        stalled,
    });
}
