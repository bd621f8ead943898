//! [`Target`]: whom a call means.

use crate::JobId;
use crate::error::{Fenced, LookupError};
use crate::word::Word;

/// Which job a call means, and as whose writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    /// The other half of the job's id.
    pub(crate) nonce: u64,
    /// `None` for a caller by id, who writes to whatever attempt there is.
    pub(crate) attempt: Option<u16>,
}

impl Target {
    /// Of a caller by id. Whether there is such a job is for the caller to see.
    #[inline(always)]
    pub(crate) fn of(id: JobId) -> Self {
        Self {
            slot: id.slot,
            generation: id.generation,
            nonce: id.nonce,
            attempt: None,
        }
    }

    #[inline]
    pub(crate) fn id(self) -> JobId {
        JobId {
            nonce: self.nonce,
            generation: self.generation,
            slot: self.slot,
        }
    }

    /// Whether a slot in this state still holds the job.
    #[inline]
    pub(crate) fn admit_reader(self, word: Word) -> Result<(), LookupError> {
        admit_reader(self.generation, word)
    }

    /// Whether it does, and the job is running, on the caller's attempt.
    #[inline(always)]
    pub(crate) fn runs(self, word: Word) -> bool {
        word.is_running(self.generation, self.attempt)
    }

    /// Whether it does, and the caller may still write to it.
    #[inline]
    pub(crate) fn admit(self, word: Word) -> Result<(), Fenced> {
        admit(self.generation, self.attempt, word)
    }
}

#[inline]
fn admit_reader(generation: u32, word: Word) -> Result<(), LookupError> {
    if word.generation() == generation && !word.is_vacant() {
        Ok(())
    } else if word.generation() > generation {
        Err(LookupError::Gone)
    } else {
        Err(LookupError::NotFound)
    }
}

/// [`Target::admit`], of the fields that it depends on.
#[inline]
pub(crate) fn admit(generation: u32, attempt: Option<u16>, word: Word) -> Result<(), Fenced> {
    admit_reader(generation, word)?;
    match attempt {
        Some(attempt) if attempt != word.attempt() => Err(Fenced::Superseded),
        _ => Ok(()),
    }
}
