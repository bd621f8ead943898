//! One job of the specification: its lifecycle, without locks, names and fences.

use super::{Limits, Millis, Name, Progress, Record, Refusal, Status, View};
use std::time::Duration;

/// A job that exists or existed. A removed one keeps its last state, for its watchers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) record: Record,
    pub(crate) removed: bool,
    /// Delay that `remove_after` set while the job was live. Without it, the registry's retention
    /// applies.
    keep: Option<Duration>,
    /// Time from which a sweep cancels the job, if it is stopping.
    pub(crate) stop_by: Option<Millis>,
    /// Deadline of each attempt.
    deadline: Option<Duration>,
    /// Time from which a sweep fails the live attempt.
    pub(crate) fail_by: Option<Millis>,
}

impl Job {
    pub(crate) fn register(job: Name, now: Millis, payload: u64) -> Self {
        let view = View {
            job,
            version: (1, Status::Pending, Progress::ZERO),
            revision: 0,
            beat: now,
        };
        let record = Record {
            view,
            registered: now,
            started: None,
            ended: None,
            removal: None,
            note: None,
            reason: None,
            payload,
        };
        Self {
            record,
            removed: false,
            keep: None,
            stop_by: None,
            deadline: None,
            fail_by: None,
        }
    }

    /// Sets a deadline for each attempt. The present one begins `now`.
    pub(crate) fn with_deadline(self, now: Millis, deadline: Option<Duration>) -> Self {
        Self {
            deadline,
            fail_by: deadline.and_then(|deadline| after(now, deadline)),
            ..self
        }
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.record.view.version.0
    }

    pub(crate) fn status(&self) -> Status {
        self.record.view.version.1
    }

    /// Returns the job if it can still change.
    pub(crate) fn live(&mut self) -> Result<&mut Self, Refusal> {
        match self.status() {
            ended if ended.is_ended() => Err(Refusal::Ended(ended)),
            _ => Ok(self),
        }
    }

    pub(crate) fn start(&mut self, now: Millis) -> Result<(), Refusal> {
        match self.live()?.status() {
            Status::Pending => self.record.view.version.1 = Status::Running,
            _ => return Err(Refusal::AlreadyStarted),
        }
        self.record.started = Some(now);
        self.heartbeat(now)
    }

    /// Raises the progress, which never decreases, and returns its present value.
    pub(crate) fn advance(&mut self, to: Progress) -> Result<Progress, Refusal> {
        let (_, status, progress) = &mut self.live()?.record.view.version;
        match *status {
            Status::Pending => return Err(Refusal::NotStarted),
            Status::Stopping => return Err(Refusal::Stopping),
            _ => {}
        }
        *progress = to.max(*progress);
        Ok(*progress)
    }

    pub(crate) fn heartbeat(&mut self, now: Millis) -> Result<(), Refusal> {
        let beat = &mut self.live()?.record.view.beat;
        *beat = now.max(*beat);
        Ok(())
    }

    /// Ends the job; the first ending wins. Failing and cancelling leave the progress as it was.
    pub(crate) fn end(
        &mut self,
        now: Millis,
        limits: &Limits,
        (ending, reason): (Status, Option<String>),
    ) -> Result<(), Refusal> {
        let (_, status, progress) = &mut self.live()?.record.view.version;
        if ending == Status::Completed {
            if *status == Status::Pending {
                return Err(Refusal::NotStarted);
            }
            *progress = Progress::DONE;
        }
        *status = ending;
        // A cancelled job without a reason keeps that of the requested stop.
        if reason.is_some() || ending != Status::Cancelled {
            self.record.reason = reason;
        }
        (self.stop_by, self.fail_by) = (None, None);
        self.record.ended = Some(now);
        self.record.removal = after(now, self.keep.unwrap_or(limits.retention));
        Ok(())
    }

    /// Asks a running job to stop, and cancels a pending one.
    pub(crate) fn request_stop(
        &mut self,
        now: Millis,
        limits: &Limits,
        why: &str,
    ) -> Result<Status, Refusal> {
        let why = Some(why.to_owned());
        match self.live()?.status() {
            Status::Pending => self.end(now, limits, (Status::Cancelled, why))?,
            Status::Running => {
                self.record.view.version.1 = Status::Stopping;
                self.record.reason = why;
                self.stop_by = after(now, limits.stop_grace);
            }
            _ => return Err(Refusal::Stopping),
        }
        Ok(self.status())
    }

    /// Whether a sweep that begins `now` ends the live job.
    pub(crate) fn is_overdue(&self, now: Millis) -> bool {
        let is_over = |time: Option<Millis>| time.is_some_and(|time| time <= now);
        !self.removed && (is_over(self.stop_by) || is_over(self.fail_by))
    }

    /// Ends an overdue job, as part of a sweep that began at `began`. The grace of a stop takes
    /// precedence over the deadline.
    pub(crate) fn end_if_overdue(&mut self, began: Millis, now: Millis, limits: &Limits) -> bool {
        if !self.is_overdue(began) {
            return false;
        }
        let ending = if self.stop_by.is_some_and(|time| time <= began) {
            (Status::Cancelled, None)
        } else {
            let deadline = self.deadline.unwrap_or_default();
            let why = format!("deadline exceeded after {deadline:?}");
            (Status::Failed, Some(why))
        };
        self.end(now, limits, ending).is_ok()
    }

    /// Counts a change that attempt, status and progress do not show.
    pub(crate) fn revise(&mut self) {
        self.record.view.revision += 1;
    }

    /// Raises the progress and replaces the note. Without a step, the note alone is a change.
    pub(crate) fn report(&mut self, to: Progress, note: &str) -> Result<(), Refusal> {
        let before = self.record.view.version;
        self.advance(to)?;
        self.record.note = Some(note.to_owned());
        if self.record.view.version == before {
            self.revise();
        }
        Ok(())
    }

    pub(crate) fn note(&mut self, note: &str) -> Result<(), Refusal> {
        self.live()?.record.note = Some(note.to_owned());
        self.revise();
        Ok(())
    }

    /// Whether the job is stalled. Only a running or stopping job is, and only once its silence
    /// exceeds the limit.
    pub(crate) fn is_stalled(&self, now: Millis, limits: &Limits) -> bool {
        let limit = after(self.record.view.beat, limits.stall_after);
        matches!(self.status(), Status::Running | Status::Stopping)
            && limit.is_some_and(|limit| now > limit)
    }

    pub(crate) fn fail_if_stalled(&mut self, now: Millis, limits: &Limits) -> bool {
        let silence = Duration::from_millis(now.saturating_sub(self.record.view.beat));
        let why = format!("stalled: no heartbeat for {silence:?}");
        self.is_stalled(now, limits) && self.end(now, limits, (Status::Failed, Some(why))).is_ok()
    }

    /// Begins the next attempt, which keeps only the payload and the registration time. Its
    /// heartbeat is later than that of the last attempt, by at least one millisecond.
    pub(crate) fn retry(&mut self, now: Millis, limits: &Limits) -> Result<u32, Refusal> {
        if self.attempt() == u32::from(u16::MAX) {
            return Err(Refusal::AttemptsExhausted);
        }
        self.fail_if_stalled(now, limits);
        if !matches!(self.status(), Status::Failed | Status::Cancelled) {
            return Err(Refusal::NotRetryable(self.status()));
        }
        let last = &self.record;
        let next = Self::register(last.view.job, last.registered, last.payload);
        let mut next = next.with_deadline(now, self.deadline);
        next.record.view.version.0 = self.attempt() + 1;
        next.record.view.beat = now.max(last.view.beat + 1);
        next.record.view.revision = last.view.revision;
        *self = next;
        Ok(self.attempt())
    }

    /// Sets the delay of the removal, which counts from the later of this call and the end. The
    /// most recent call wins, and a retry voids it.
    pub(crate) fn remove_after(&mut self, now: Millis, delay: Duration) {
        if self.status().is_ended() {
            self.record.removal = after(now, delay);
        } else {
            self.keep = Some(delay);
        }
        self.revise();
    }

    pub(crate) fn is_due(&self, now: Millis) -> bool {
        !self.removed && self.record.removal.is_some_and(|due| due <= now)
    }

    pub(crate) fn remove(&mut self) -> Result<u64, Refusal> {
        if !self.status().is_ended() {
            return Err(Refusal::Live);
        }
        self.removed = true;
        Ok(self.record.payload)
    }
}

/// Returns the time `delay` after `then`, rounded up to whole milliseconds. `None` is never, and
/// stands for the last representable millisecond as well.
fn after(then: Millis, delay: Duration) -> Option<Millis> {
    let millis = u64::try_from(delay.as_nanos().div_ceil(1_000_000)).ok()?;
    then.checked_add(millis)
        .filter(|&moment| moment < Millis::MAX)
}
