//! The body: what of a job is behind its lock.

use crate::snapshot::Times;
use std::sync::Arc;
use std::time::Duration;

/// In the fields of a [`Body`] that hold a time: not yet, or never.
pub(crate) const NEVER: u64 = u64::MAX;

/// What of a job does not fit into two words. All times are milliseconds of the registry.
#[derive(Debug)]
pub(crate) struct Body<T> {
    /// `None` in an empty slot.
    pub(crate) payload: Option<T>,
    pub(crate) error: Option<Arc<str>>,
    pub(crate) registered: u64,
    pub(crate) started: u64,
    pub(crate) ended: u64,
    pub(crate) removal: Removal,
    /// Under which time the due queue has this job, or `NEVER`.
    pub(crate) filed: u64,
}

/// When a job is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// As the registry does it with every ended job.
    Default,
    /// So long after its end, which is still to come.
    After(u64),
    /// Not before this time.
    At(u64),
}

impl<T> Body<T> {
    pub(crate) fn empty() -> Self {
        Self {
            payload: None,
            error: None,
            registered: NEVER,
            started: NEVER,
            ended: NEVER,
            removal: Removal::Default,
            filed: NEVER,
        }
    }

    pub(crate) fn times(&self) -> Times {
        let at = |millis| (millis != NEVER).then(|| Duration::from_millis(millis));
        Times {
            registered: Duration::from_millis(self.registered),
            started: at(self.started),
            ended: at(self.ended),
            removal: match self.removal {
                Removal::At(due) => at(due),
                Removal::Default | Removal::After(_) => None,
            },
        }
    }
}
