//! A job's life within one attempt: start, advance, heartbeat, notes, a requested stop, the three
//! endings, and the payload's update.

use crate::core::due_queue::{Entry, WakeReapers, coarse_deadline};
use crate::core::lookup::{JobRef, LockedJob};
use crate::core::registry_state::RegistryState;
use crate::slots::body::{Info, Removal};
use crate::slots::fenced_id::{FencedId, admit};
use crate::slots::slot::Slot;
use crate::sync::Mark;
use crate::sync::panics::{Panics, contain, panic_message};
use crate::telemetry::{self, Event, emit};
use crate::types::clock::{NEVER, millis, millis_up};
use crate::types::error::{LockError, StepError};
use crate::types::id::JobId;
use crate::types::note::Note;
use crate::types::progress::Progress;
use crate::types::state_word::{Ending, StateWord};
use crate::types::status::Status;
use std::any::Any;
use std::convert::Infallible;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

// Advance and heartbeat take no lock. Each has a fast path by id (`core/lookup.rs`), and a form for
// a resolved job.

impl<T> RegistryState<T> {
    #[inline(always)]
    pub(crate) fn advance_by_id(
        &self,
        id: JobId,
        progress: Progress,
    ) -> Result<Progress, StepError> {
        let job = self.addressed(id)?;
        let mark = Mark::here();
        let stepped = job.slot.step(|word| {
            // A forged id may have a generation that does not fit the word.
            let is_here = word.generation() == id.generation;
            if !(is_here && job.id.runs(word) && job.slot.has_nonce_of(job.id)) {
                return Err(());
            }
            match word.advance(progress) {
                // Without a compare-exchange, a second load is the validation.
                None if job.slot.state().generation() != id.generation => Err(()),
                next => Ok(next),
            }
        });
        match stepped {
            Ok((before, after)) => Ok(job.advanced(before, after)),
            Err(()) => self.resolve_and(mark, id.nonce, id.generation, id.slot, |job| {
                job.advance(progress)
            }),
        }
    }

    #[inline(always)]
    pub(crate) fn heartbeat_by_id(&self, id: JobId) -> Result<(), StepError> {
        let job = self.addressed(id)?;
        let mark = Mark::here();
        match job.slot.record_heartbeat_of(job.id, || self.now()) {
            Some(word) => {
                job.emit_heartbeat(word);
                Ok(())
            }
            None => self.resolve_and(mark, id.nonce, id.generation, id.slot, |job| {
                job.heartbeat()
            }),
        }
    }
}

impl<'a, T> JobRef<'a, T> {
    #[inline(always)]
    pub(crate) fn advance(self, progress: Progress) -> Result<Progress, StepError> {
        let (before, after) = self.raise(progress)?;
        Ok(self.advanced(before, after))
    }

    /// Raises the progress of a running job. Returns the word before and after.
    #[inline(always)]
    fn raise(self, progress: Progress) -> Result<(StateWord, StateWord), StepError> {
        self.slot.step(|word| {
            if self.id.runs(word) {
                Ok(word.advance(progress))
            } else {
                Err(not_running(self.id.generation, self.id.attempt, word))
            }
        })
    }

    #[inline(always)]
    pub(crate) fn heartbeat(self) -> Result<(), StepError> {
        self.heartbeat_at(|| self.registry.now())
    }

    #[inline(always)]
    pub(crate) fn heartbeat_at(self, now: impl FnOnce() -> u64) -> Result<(), StepError> {
        let word = self.slot.record_heartbeat(self.id, now)?;
        match word.status() {
            Some(status) if status.is_ended() => Err(StepError::Ended(status)),
            _ => {
                self.emit_heartbeat(word);
                Ok(())
            }
        }
    }

    /// Returns whether the attempt of the fenced id is pending or running, and not asked to stop.
    pub(crate) fn is_at_work(self) -> bool {
        let word = self.slot.state();
        let is_at_work = matches!(word.status(), Some(Status::Pending | Status::Running));
        self.id.admit(word).is_ok() && is_at_work
    }

    /// Returns whether the job is live on the attempt of its fenced id.
    pub(crate) fn is_live(self) -> bool {
        let word = self.slot.state();
        self.id.admit(word).is_ok() && word.status().is_some_and(|status| !status.is_ended())
    }

    /// Takes the lock of a live job. A load before the lock spares the wait for a job that has
    /// ended.
    #[inline(always)]
    pub(crate) fn lock_live(self) -> Result<LockedJob<'a, T>, LockError> {
        if !crate::sync::deferred::holds_lock() {
            self.check_live()?;
        }
        self.lock()?.live()
    }

    /// Takes the lock of a live job, or returns `Busy` if another thread holds it.
    pub(crate) fn try_lock_live(self) -> Result<LockedJob<'a, T>, LockError> {
        if let Some(job) = self.try_lock()? {
            return job.live();
        }
        self.check_live()?;
        Err(LockError::Busy)
    }

    #[inline]
    fn check_live(self) -> Result<(), LockError> {
        let word = self.slot.state();
        self.id.admit(word)?;
        match word.status().filter(|status| Status::is_ended(*status)) {
            Some(ended) => Err(LockError::Ended(ended)),
            None => Ok(()),
        }
    }

    /// Queues the slot at or before the time at which a sweep has to act on the job. Returns the
    /// duty to wake the reapers. A thread that holds the job's lock may drop it at once, because
    /// the wakes are deferred until it releases that lock.
    pub(crate) fn schedule(self, info: &mut Info, now: u64) -> Option<WakeReapers> {
        let due = info.due(self.slot.state().status());
        // An earlier entry is enough: a sweep queues a job again if it is not due.
        if due == NEVER || due >= info.queued_at {
            return None;
        }
        let time = coarse_deadline(now, due);
        info.queued_at = time;
        let slot = self.slot.index;
        Some(self.registry.due.insert([Entry { time, slot }]))
    }

    /// Emits the event of an advance and wakes the watchers. Returns the progress reached.
    #[inline(always)]
    fn advanced(self, before: StateWord, after: StateWord) -> Progress {
        if before == after || !(telemetry::ON || before.is_watched()) {
            return after.progress();
        }
        emit_advance(self.slot, self.id, before.is_watched(), after)
    }

    #[inline(always)]
    fn emit_heartbeat(self, word: StateWord) {
        emit(|| Event::Heartbeat {
            id: self.id.id(),
            attempt: word.attempt(),
            count: self.slot.count_heartbeat(),
        });
    }
}

/// Emits the event of an advance and wakes the watchers, also if the subscriber panics. Returns the
/// progress.
///
/// It is a separate function, so that an advance without watchers saves no registers across a call.
/// It takes a job's parts, because the whole would be passed in memory.
#[cfg_attr(not(any(feature = "tracing", feature = "metrics")), cold)]
fn emit_advance<T>(slot: Slot<'_, T>, id: FencedId, watched: bool, after: StateWord) -> Progress {
    let _duty = slot.wake_duty(watched);
    emit(|| Event::Advanced {
        id: id.id(),
        attempt: after.attempt(),
        progress: after.progress(),
    });
    after.progress()
}

/// Returns why a job does not advance. It takes a fenced id's parts, because the whole would be
/// passed in memory.
#[cold]
fn not_running(generation: u32, attempt: Option<u16>, word: StateWord) -> StepError {
    match (admit(generation, attempt, word), word.status()) {
        (Err(fenced), _) => fenced.into(),
        (Ok(()), Some(status)) if status.is_ended() => StepError::Ended(status),
        (Ok(()), Some(Status::Stopping)) => StepError::Stopping,
        (Ok(()), _) => StepError::NotStarted,
    }
}

impl<T> LockedJob<'_, T> {
    /// Starts a pending job. It needs the lock because the body records the time of the start. The
    /// start also counts as a heartbeat: otherwise a job that was pending for long would stall
    /// immediately.
    pub(crate) fn start(&mut self) -> Result<(), StepError> {
        let word = self.word();
        self.id.admit(word)?;
        match word.status() {
            Some(Status::Pending) => {}
            Some(Status::Running | Status::Stopping) => return Err(StepError::AlreadyStarted),
            Some(ended) => return Err(StepError::Ended(ended)),
            None => return Err(StepError::Gone),
        }
        let now = self.registry.now();
        let pending = telemetry::ON.then(|| now.saturating_sub(self.begun().pending_since()));
        self.slot.body.begun.start(now);
        let started = self.slot.decide_start(now);
        let _duty = self.slot.settle(started);
        emit(|| Event::Started {
            id: self.id.id(),
            attempt: word.attempt(),
            pending: Duration::from_millis(pending.unwrap_or_default()),
        });
        Ok(())
    }

    /// Ends a live job. Without a reason, a cancelled job keeps that of the requested stop.
    pub(crate) fn end(&mut self, ending: Ending, reason: Option<String>) -> Result<(), StepError> {
        let registry = self.registry;
        self.end_at(|| registry.timeline.elapsed(), ending, reason)
    }

    /// Ends a live job at the time that `now` reads, once the ending is accepted.
    pub(crate) fn end_at(
        &mut self,
        now: impl FnOnce() -> Duration,
        ending: Ending,
        reason: Option<String>,
    ) -> Result<(), StepError> {
        let word = self.word();
        self.id.admit(word)?;
        match word.status() {
            Some(ended) if ended.is_ended() => return Err(StepError::Ended(ended)),
            Some(Status::Pending) if ending == Ending::Completed => {
                return Err(StepError::NotStarted);
            }
            _ => {}
        }
        let now = now();
        let mut info = self.info();
        let reason = match reason {
            Some(reason) => Some(Arc::from(reason)),
            None if ending == Ending::Cancelled => info.reason(),
            None => None,
        };
        let before = telemetry::ON.then(|| self.in_status(&info, word, millis(now)));
        // The text is written first: a reader that sees the ending finds it.
        self.write_ending(&mut info, now, reason);
        let sealed = self.slot.decide_end(ending);
        let _duty = self.slot.settle(sealed);
        let ended = self.ended(&info, before, false);
        drop(self.job_ref().schedule(&mut info, millis(now)));
        drop(info);
        if let Some(ended) = ended {
            emit(|| ended);
        }
        Ok(())
    }

    /// Fails a live job for an error of its work. If a stop was requested, the job is cancelled
    /// instead, and keeps the reason of the stop.
    pub(crate) fn end_for_error(&mut self, reason: String) -> Result<(), StepError> {
        match self.word().status() {
            Some(Status::Stopping) => self.end(Ending::Cancelled, None),
            _ => self.end(Ending::Failed, Some(reason)),
        }
    }

    /// Asks a running job to stop, and cancels a pending one. Returns the status that follows.
    pub(crate) fn request_stop(&mut self, reason: String) -> Result<Status, StepError> {
        let word = self.word();
        self.id.admit(word)?;
        match word.status() {
            Some(Status::Running) => {}
            Some(Status::Pending) => {
                return self
                    .end(Ending::Cancelled, Some(reason))
                    .map(|()| Status::Cancelled);
            }
            Some(Status::Stopping) => return Err(StepError::Stopping),
            Some(ended) => return Err(StepError::Ended(ended)),
            None => return Err(StepError::Gone),
        }
        let now = self.registry.timeline.elapsed();
        let mut info = self.info();
        let reason: Arc<str> = Arc::from(reason);
        let (_, took) = self.in_status(&info, word, millis(now));
        let rare = info.rare();
        rare.reason = Some(reason.clone());
        rare.stop_requested = millis(now);
        rare.stop_by = millis_up(now).saturating_add(self.registry.settings.stop_grace);
        let stopped = self.slot.step::<Infallible>(|word| Ok(word.stop()));
        let Ok((before, after)) = stopped;
        let _duty = self.slot.wake_duty(before.is_watched());
        drop(self.job_ref().schedule(&mut info, millis(now)));
        drop(info);
        emit(|| Event::StopRequested {
            id: self.id.id(),
            attempt: after.attempt(),
            reason,
            took,
        });
        Ok(Status::Stopping)
    }

    /// Replaces the note of a live job.
    pub(crate) fn note(&mut self, note: Note) -> Result<(), StepError> {
        let word = self.word();
        self.id.admit(word)?;
        match word.status() {
            Some(ended) if ended.is_ended() => return Err(StepError::Ended(ended)),
            None => return Err(StepError::Gone),
            _ => {}
        }
        let mut info = self.info();
        self.write_note(&mut info, note);
        let duty = self.slot.revise();
        drop((info, duty));
        Ok(())
    }

    /// Raises the progress of a running job and replaces its note, at one instant.
    pub(crate) fn report(&mut self, progress: Progress, note: Note) -> Result<(), StepError> {
        let mut info = self.info();
        let (before, after) = self.job_ref().raise(progress)?;
        self.write_note(&mut info, note);
        // A step is a new version, which readers of the note see together with it.
        let duty = (before == after).then(|| self.slot.revise());
        drop((info, duty));
        self.job_ref().advanced(before, after);
        Ok(())
    }

    /// Writes the note of a live job. The caller holds the lock of the info.
    fn write_note(&self, info: &mut Info, note: Note) {
        let note = note.into_text();
        info.rare().note = Some(note.clone());
        emit(|| Event::Noted {
            id: self.id.id(),
            attempt: self.word().attempt(),
            note,
        });
    }

    /// Writes the info of an ending: its reason, its time, and the time of the removal.
    #[inline(always)]
    pub(crate) fn write_ending(&self, info: &mut Info, now: Duration, reason: Option<Arc<str>>) {
        if self.word().status() == Some(Status::Pending) {
            // The attempt was never started. Until now, the field held the time of the retry.
            self.slot.body.begun.start(NEVER);
        }
        let retention = info.options().retention_millis();
        let retention = retention.unwrap_or(self.registry.settings.retention);
        info.set_reason(reason);
        info.ended = millis(now);
        let delay = info.removal.delay().unwrap_or(retention);
        info.removal = Removal::at(millis_up(now).saturating_add(delay));
    }

    /// Checks that the job is live, and fixes the fenced id to its attempt, which cannot change
    /// while it is locked.
    // Inlined, because a locked job that is returned in memory is written in parts and read whole.
    // That defeats the processor's store forwarding.
    #[inline(always)]
    fn live(mut self) -> Result<Self, LockError> {
        let word = self.word();
        self.id.admit(word)?;
        match word.status() {
            Some(status) if status.is_ended() => Err(LockError::Ended(status)),
            None => Err(LockError::Gone),
            Some(_) => {
                self.id.attempt = Some(word.attempt());
                Ok(self)
            }
        }
    }

    /// Runs `f` on the payload of a live job. If `f` panics, the job fails with the panic's
    /// message, and the panic is passed on.
    #[inline]
    pub(crate) fn update<R>(mut self, f: impl FnOnce(&mut T) -> R) -> R {
        let mut panics = Panics::default();
        let payload = self.payload.as_mut().expect("a live job has a payload");
        let value = panics.catch(|| f(payload));
        match (value, panics.take()) {
            (Some(value), _) => {
                drop(self.slot.revise());
                value
            }
            (None, panic) => {
                self.fail_for(panic.expect("`catch` returns no value only after a panic"))
            }
        }
    }

    /// Fails the job for a panic in a closure and passes the panic on when the lock has been
    /// released. A panic of a waker or a subscriber on the way is contained.
    #[cold]
    fn fail_for(mut self, panic: Box<dyn Any + Send>) -> ! {
        let reason = format!("panicked: {}", panic_message(&*panic));
        contain(move || {
            let _ = self.end(Ending::Failed, Some(reason));
        });
        resume_unwind(panic)
    }

    /// Returns the event of an ending. `before` is the status before it, and the time in it.
    #[inline(always)]
    pub(crate) fn ended(
        &self,
        info: &Info,
        before: Option<(Status, Duration)>,
        stalled: bool,
    ) -> Option<Event> {
        let before = before?;
        let word = self.word();
        Some(Event::Ended {
            id: self.id.id(),
            attempt: word.attempt(),
            status: word.status().unwrap_or(Status::Failed),
            progress: word.progress(),
            reason: info.reason(),
            before,
            stalled,
        })
    }

    /// Returns the status of a live job, and the time that it has spent in it.
    pub(crate) fn in_status(&self, info: &Info, word: StateWord, now: u64) -> (Status, Duration) {
        let status = word.status().unwrap_or(Status::Running);
        let spent = now.saturating_sub(info.since(self.begun(), status));
        (status, Duration::from_millis(spent))
    }
}
