//! [`FencedId`]: the job that a call means, and the attempt on which it may write.

use crate::types::error::{Fenced, LookupError};
use crate::types::id::JobId;
use crate::types::state_word::StateWord;

/// An id with the attempt that a writer is fenced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FencedId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    /// The unguessable part of the job's id.
    pub(crate) nonce: u64,
    /// `None` for a call by id, which writes on any attempt.
    pub(crate) attempt: Option<u16>,
}

impl FencedId {
    /// Returns the fenced id of a call by id. The caller checks whether there is such a job.
    #[inline(always)]
    pub(crate) fn of(id: JobId) -> Self {
        Self {
            slot: id.slot,
            generation: id.generation,
            nonce: id.nonce,
            attempt: None,
        }
    }

    /// Returns a fenced id of no job. The caller fills in the job that it finds in the slot.
    #[inline(always)]
    pub(crate) fn of_slot(slot: u32) -> Self {
        Self {
            slot,
            generation: 0,
            nonce: 0,
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

    /// Returns an error if a slot in this state no longer holds the job.
    #[inline]
    pub(crate) fn admit_reader(self, word: StateWord) -> Result<(), LookupError> {
        admit_reader(self.generation, word)
    }

    /// Returns whether a slot in this state holds the job, running on the attempt.
    #[inline(always)]
    pub(crate) fn runs(self, word: StateWord) -> bool {
        word.is_running(self.generation, self.attempt)
    }

    /// Returns an error if a slot in this state no longer holds the job, or holds it on a later
    /// attempt.
    #[inline]
    pub(crate) fn admit(self, word: StateWord) -> Result<(), Fenced> {
        admit(self.generation, self.attempt, word)
    }
}

#[inline]
fn admit_reader(generation: u32, word: StateWord) -> Result<(), LookupError> {
    if word.generation() == generation && !word.is_vacant() {
        Ok(())
    } else if word.generation() > generation {
        Err(LookupError::Gone)
    } else {
        Err(LookupError::NotFound)
    }
}

/// Checks as [`FencedId::admit`] does, with only the fields that the check depends on.
#[inline]
pub(crate) fn admit(generation: u32, attempt: Option<u16>, word: StateWord) -> Result<(), Fenced> {
    admit_reader(generation, word)?;
    match attempt {
        Some(attempt) if attempt != word.attempt() => Err(Fenced::Superseded),
        _ => Ok(()),
    }
}
