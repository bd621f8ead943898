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
}

impl Job {
    pub(crate) fn register(job: Name, now: Millis, payload: u64) -> Self {
        let view = View {
            job,
            version: (1, Status::Pending, Progress::ZERO),
            beat: now,
        };
        let record = Record {
            view,
            registered: now,
            started: None,
            ended: None,
            removal: None,
            error: None,
            payload,
        };
        Self {
            record,
            removed: false,
            keep: None,
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
        if *status == Status::Pending {
            return Err(Refusal::NotStarted);
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
        (ending, error): (Status, Option<String>),
    ) -> Result<(), Refusal> {
        let (_, status, progress) = &mut self.live()?.record.view.version;
        if ending == Status::Completed {
            if *status == Status::Pending {
                return Err(Refusal::NotStarted);
            }
            *progress = Progress::DONE;
        }
        *status = ending;
        self.record.error = error;
        self.record.ended = Some(now);
        self.record.removal = after(now, self.keep.unwrap_or(limits.retention));
        Ok(())
    }

    /// Whether the job is stalled. Only a running job is, and only once its silence exceeds the
    /// limit.
    pub(crate) fn is_stalled(&self, now: Millis, limits: &Limits) -> bool {
        let limit = after(self.record.view.beat, limits.stall_after);
        self.status() == Status::Running && limit.is_some_and(|limit| now > limit)
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
        let mut next = Self::register(last.view.job, last.registered, last.payload);
        next.record.view.version.0 = self.attempt() + 1;
        next.record.view.beat = now.max(last.view.beat + 1);
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
