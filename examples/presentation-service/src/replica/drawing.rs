//! [`Drawing`]: an attempt of this process, in the hands of a painter.

use super::folder::Folder;
use super::stored::Stored;
use crate::deck::{Deck, DeckLimits};
use crate::run::{Attempt, RunError};
use job_registry::Progress;
use job_registry_redis::{Error, Job};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::sleep;

/// Pause before a call is repeated that the store did not answer.
const PAUSE: Duration = Duration::from_millis(250);

/// An attempt of this process, in the hands of a painter.
///
/// Each call is repeated while the store does not answer, which every step of an attempt bears. An
/// attempt that is over is refused every step. Its files are left to a later attempt, or to the
/// removal.
pub(super) struct Drawing {
    pub(super) job: Arc<Job<Stored>>,
    pub(super) folder: Folder,
    pub(super) limits: DeckLimits,
    pub(super) runtime: Handle,
}

impl Drawing {
    /// Makes a call, again and again while the store does not answer. Heartbeats stop meanwhile,
    /// and so do the stall verdicts: after an outage, every job gets its whole limit again.
    fn wait<R>(&self, call: impl AsyncFn() -> Result<R, Error>) -> Result<R, Error> {
        self.runtime.block_on(async {
            loop {
                match call().await {
                    Err(Error::Unavailable(_)) => sleep(PAUSE).await,
                    other => return other,
                }
            }
        })
    }
}

impl Attempt for Drawing {
    fn begin(&self) -> Result<Arc<Deck>, RunError> {
        let (id, attempt) = (self.job.id(), self.job.attempt());
        self.folder.begin(id, attempt)?;
        // Refused if the attempt was over before its directory existed.
        self.advance(Progress::ZERO)?;
        let record = self.wait(async || self.job.registry().get(id).await)?;
        Ok(Arc::new(record.payload.deck(&self.limits)?))
    }

    fn create(&self, name: &str) -> Result<File, RunError> {
        let created = self.folder.create(self.job.id(), self.job.attempt(), name);
        created.or_else(|error| {
            // A directory that was deleted belongs to an attempt that is over.
            if error.kind() == io::ErrorKind::NotFound {
                self.advance(Progress::ZERO)?;
            }
            Err(error.into())
        })
    }

    fn arranged(&self, pictures: usize, warnings: Vec<String>) -> Result<(), RunError> {
        let arrange = |payload: &mut Stored| payload.arranged(pictures, &warnings);
        Ok(self.wait(async || self.job.update(arrange).await)?)
    }

    fn advance(&self, progress: Progress) -> Result<(), RunError> {
        self.wait(async || self.job.advance(progress).await)?;
        Ok(())
    }

    fn report(&self, progress: Progress, note: String) -> Result<(), RunError> {
        Ok(self.wait(async || self.job.report(progress, &*note).await)?)
    }
}
