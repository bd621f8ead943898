//! The state word: a job's generation, attempt, status and progress, in 64 bits that only grow.
//!
//! ```text
//!  63        40 39      24 23    21 20        1  0
//! +------------+----------+--------+-----------+---+
//! | generation | attempt  | status | progress  | w |
//! |   24 bits  | 16 bits  | 3 bits |  20 bits  |   |
//! +------------+----------+--------+-----------+---+
//! ```
//!
//! * *generation*: distinguishes the jobs that a slot holds one after the other. The last value
//!   means that the slot is retired.
//! * *attempt*: 1 for the first attempt of a job, 0 in an empty slot.
//! * *status*: `0` vacant, then `Pending < Running < Stopping < Completed < Failed < Cancelled`.
//! * *progress*: parts per million.
//! * *w*: the watched bit: a watcher waits for the next change. It is the only bit that may fall.
//!
//! Every legal step makes `word >> 1` larger. `loom_tests/guarantee` lists the steps and the
//! threads that may make them, and tests compare its rules with the functions below.
//!
//! This module is plain arithmetic on values.

use crate::types::progress::Progress;
use crate::types::status::Status;
use std::num::NonZeroU64;

const PROGRESS_SHIFT: u32 = 1;
const STATUS_SHIFT: u32 = PROGRESS_SHIFT + 20;
const ATTEMPT_SHIFT: u32 = STATUS_SHIFT + 3;
const GENERATION_SHIFT: u32 = ATTEMPT_SHIFT + 16;

const PROGRESS_MASK: u64 = (1 << 20) - 1;
const STATUS_MASK: u64 = (1 << 3) - 1;
const ATTEMPT_MASK: u64 = (1 << 16) - 1;
const WATCHED: u64 = 1;

/// The generation of a retired slot. No id has it.
pub(crate) const RETIRED: u32 = (1 << 24) - 1;
/// The last attempt a job can have.
pub(crate) const LAST_ATTEMPT: u16 = u16::MAX;

/// Kind of a job's end: the three last values of [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Completed,
    Failed,
    Cancelled,
}

impl Ending {
    #[inline]
    pub(crate) fn status(self) -> Status {
        match self {
            Self::Completed => Status::Completed,
            Self::Failed => Status::Failed,
            Self::Cancelled => Status::Cancelled,
        }
    }
}

/// One value of a slot's state word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateWord(u64);

impl StateWord {
    /// Returns the word of an empty slot, whose next job gets `generation`.
    #[inline]
    pub(crate) fn vacant(generation: u32) -> Self {
        Self::encode(generation, 0, None, 0)
    }

    #[inline]
    fn encode(generation: u32, attempt: u16, status: Option<Status>, progress: u32) -> Self {
        debug_assert!(generation <= RETIRED && u64::from(progress) <= PROGRESS_MASK);
        let status = status.map_or(0, |status| status as u64 + 1);
        Self(
            u64::from(generation) << GENERATION_SHIFT
                | u64::from(attempt) << ATTEMPT_SHIFT
                | status << STATUS_SHIFT
                | u64::from(progress) << PROGRESS_SHIFT,
        )
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the word whose [`step_number`](Self::step_number) this is, of generation 0.
    pub(crate) fn from_step_number(number: u64) -> Self {
        Self(number << PROGRESS_SHIFT)
    }

    /// Returns the word of a job in this state, of generation 0. Returns `None` for a state that no
    /// step leads to.
    pub(crate) fn in_state(attempt: u32, status: Status, progress: Progress) -> Option<Self> {
        let attempt = u16::try_from(attempt)
            .ok()
            .filter(|&attempt| attempt != 0)?;
        let reachable = match status {
            Status::Pending => progress == Progress::ZERO,
            Status::Completed => progress == Progress::DONE,
            _ => true,
        };
        reachable.then(|| Self::encode(0, attempt, Some(status), progress.ppm()))
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// Returns the bits of a job's word without the watched bit, which is not part of the job's
    /// state. Returns `None` for a vacant slot.
    #[inline]
    pub(crate) fn of_job(self) -> Option<NonZeroU64> {
        let status = NonZeroU64::new(self.0 & STATUS_MASK << STATUS_SHIFT)?;
        Some(status | self.0 & !WATCHED)
    }

    #[inline]
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    #[allow(clippy::cast_possible_truncation)] // the mask leaves 16 bits
    #[inline]
    pub(crate) fn attempt(self) -> u16 {
        (self.0 >> ATTEMPT_SHIFT & ATTEMPT_MASK) as u16
    }

    /// Returns 0 for a vacant slot, 1 for a pending job, 2 for a running one, 3 for a stopping one,
    /// and more for an ended one.
    #[inline]
    pub(crate) fn status_bits(self) -> u64 {
        self.0 >> STATUS_SHIFT & STATUS_MASK
    }

    /// Returns the status, or `None` for a vacant slot.
    #[inline]
    pub(crate) fn status(self) -> Option<Status> {
        match self.status_bits() {
            bits @ 1..=6 => Some(Status::from_bits(bits)),
            _ => None,
        }
    }

    #[allow(clippy::cast_possible_truncation)] // the mask leaves 20 bits
    #[inline]
    pub(crate) fn progress(self) -> Progress {
        Progress::stored((self.0 >> PROGRESS_SHIFT & PROGRESS_MASK) as u32)
    }

    /// Returns whether this is the word of a running job with the generation and the attempt (any,
    /// if `None`), by one comparison.
    #[inline(always)]
    pub(crate) fn is_running(self, generation: u32, attempt: Option<u16>) -> bool {
        let running = Self::encode(generation, attempt.unwrap_or(0), Some(Status::Running), 0);
        let ignored = match attempt {
            Some(_) => (1 << STATUS_SHIFT) - 1,
            None => ((1 << STATUS_SHIFT) - 1) | (ATTEMPT_MASK << ATTEMPT_SHIFT),
        };
        self.0 & !ignored == running.0
    }

    #[inline]
    pub(crate) fn is_vacant(self) -> bool {
        self.status_bits() == 0
    }

    #[inline]
    pub(crate) fn is_watched(self) -> bool {
        self.0 & WATCHED != 0
    }

    /// Returns attempt, status and progress as one number of 39 bits.
    #[inline]
    pub(crate) fn step_number(self) -> u64 {
        (self.0 & ((1 << GENERATION_SHIFT) - 1)) >> PROGRESS_SHIFT
    }

    /// Returns whether a number is the [`step_number`](Self::step_number) of a job's word.
    pub(crate) fn has_step_number(number: u64) -> bool {
        let word = Self::from_step_number(number);
        let progress = word.0 >> PROGRESS_SHIFT & PROGRESS_MASK;
        number >> (GENERATION_SHIFT - PROGRESS_SHIFT) == 0
            && word.attempt() != 0
            && word.status().is_some()
            && progress <= u64::from(Progress::DONE.ppm())
    }

    /// Returns whether `next` follows `self` in a step: it is larger without the watched bit.
    #[inline]
    pub(crate) fn grows_to(self, next: Self) -> bool {
        next.0 >> PROGRESS_SHIFT > self.0 >> PROGRESS_SHIFT
    }

    pub(crate) fn watched(self) -> Self {
        Self(self.0 | WATCHED)
    }

    // The steps. Each returns `None` if no rule permits it. Each clears the watched bit: the thread
    // that makes the step wakes the watchers.

    #[inline]
    pub(crate) fn register(self) -> Option<Self> {
        let free = self.status().is_none() && self.generation() != RETIRED;
        free.then(|| Self::encode(self.generation(), 1, Some(Status::Pending), 0))
    }

    #[inline]
    pub(crate) fn start(self) -> Option<Self> {
        (self.status() == Some(Status::Pending))
            .then(|| self.with(Status::Running, self.progress()))
    }

    /// Returns the word of a running job that is asked to stop.
    pub(crate) fn stop(self) -> Option<Self> {
        (self.status() == Some(Status::Running))
            .then(|| self.with(Status::Stopping, self.progress()))
    }

    /// Returns the next word of a running job, or `None` if `progress` is not larger than the
    /// present progress.
    #[inline]
    pub(crate) fn advance(self, progress: Progress) -> Option<Self> {
        debug_assert!(self.status() == Some(Status::Running));
        (progress > self.progress()).then(|| self.with(Status::Running, progress))
    }

    #[inline]
    pub(crate) fn end(self, ending: Ending) -> Option<Self> {
        let progress = match ending {
            Ending::Completed => Progress::DONE,
            Ending::Failed | Ending::Cancelled => self.progress(),
        };
        self.status()
            .filter(|status| !status.is_ended())
            .map(|_| self.with(ending.status(), progress))
    }

    pub(crate) fn retry(self) -> Option<Self> {
        let retryable = matches!(self.status(), Some(Status::Failed | Status::Cancelled));
        (retryable && self.attempt() != LAST_ATTEMPT).then(|| {
            Self::encode(
                self.generation(),
                self.attempt() + 1,
                Some(Status::Pending),
                0,
            )
        })
    }

    #[inline]
    pub(crate) fn remove(self) -> Option<Self> {
        self.status()
            .filter(|status| status.is_ended())
            .map(|_| Self::vacant(self.generation() + 1))
    }

    #[inline]
    fn with(self, status: Status, progress: Progress) -> Self {
        Self::encode(
            self.generation(),
            self.attempt(),
            Some(status),
            progress.ppm(),
        )
    }
}

impl std::fmt::Debug for StateWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let watched = if self.is_watched() { " watched" } else { "" };
        match self.status() {
            None => write!(f, "g{} vacant{watched}", self.generation()),
            Some(status) => write!(
                f,
                "g{} a{} {status} {}{watched}",
                self.generation(),
                self.attempt(),
                self.progress()
            ),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "state_word_tests.rs"]
mod tests;
