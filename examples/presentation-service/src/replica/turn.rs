//! [`Turn`]: an attempt of this process, from its start to its end.

use super::folder::Folder;
use super::stored::Stored;
use super::work::{Owner, Place, Work};
use crate::deck::{Deck, DeckLimits};
use crate::render::Studio;
use crate::run::{Attempt, RunError, draw};
use job_registry::{Error as Refusal, JobId, Progress, Status};
use job_registry_redis::{Error, Heartbeat, Job};
use std::any::Any;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::sleep;

/// Pause before a call is repeated that the store did not answer.
const PAUSE: Duration = Duration::from_millis(250);

/// A started attempt that waits for a painter, or is drawn by one.
///
/// It is running while it waits, with heartbeats. If the process is killed, the stall verdict
/// therefore covers it. A pending job has no such verdict.
#[derive(Debug)]
pub(super) struct Turn {
    job: Owner,
    _beating: Heartbeat,
    // Dropped last: a shutdown waits for it.
    place: Place,
}

/// What a painter needs for a turn.
pub(super) struct Workshop {
    pub(super) studio: Arc<dyn Studio>,
    pub(super) folder: Folder,
    pub(super) limits: DeckLimits,
    pub(super) runtime: Handle,
}

impl Turn {
    /// Starts an attempt. Returns `None` if it has ended, or a later one has begun.
    pub(super) async fn begin(place: Place, job: Job<Stored>, beat: Duration) -> Option<Self> {
        let job = Arc::new(job);
        place.take(&job);
        loop {
            match job.start().await {
                // Nobody else starts a job: the answer of an earlier call was lost.
                Ok(()) | Err(Error::Refused(Refusal::AlreadyStarted)) => break,
                Err(error) if waits(place.work(), &error) => sleep(PAUSE).await,
                Err(_) => return None,
            }
        }
        Some(Self {
            _beating: job.heartbeat_every(beat),
            job,
            place,
        })
    }

    /// Draws the attempt, and ends it. Must be called on a thread that may block.
    pub(super) fn run(&self, workshop: &Workshop) {
        let drawing = Drawing {
            turn: self,
            workshop,
            id: self.job.id(),
            attempt: self.job.attempt(),
        };
        let drawn = catch_unwind(AssertUnwindSafe(|| draw(&*workshop.studio, &drawing)));
        let ended = drawing.wait(async || match &drawn {
            Ok(Ok(())) => match self.job.complete().await {
                // The answer of an earlier call was lost.
                Err(Error::Refused(Refusal::Ended(Status::Completed))) => Ok(()),
                other => other,
            },
            Ok(Err(error)) => self.end_for(error).await,
            Err(panic) => self.job.fail(format!("panicked: {}", text(&**panic))).await,
        });
        let (id, attempt) = (drawing.id.short(), drawing.attempt);
        match (ended, drawn) {
            (Ok(()), Ok(Ok(()))) => tracing::info!(%id, attempt, "completed"),
            (Ok(()), Ok(Err(error))) => tracing::info!(%id, attempt, %error, "ended"),
            (Ok(()), Err(_)) => tracing::error!(%id, attempt, "panicked"),
            (Err(error), _) => tracing::warn!(%id, attempt, %error, "not ended by its painter"),
        }
    }

    /// Ends the attempt for an error of its run: it is cancelled if a stop was requested, and
    /// otherwise failed. An attempt that is over already is left as it is, and so are its files: a
    /// later attempt, or the removal, deletes them.
    async fn end_for(&self, error: &RunError) -> Result<(), Error> {
        if let RunError::Refused(Error::Refused(refusal)) = error {
            return match refusal {
                Refusal::Stopping => self.job.cancel().await,
                refusal => Err((*refusal).into()),
            };
        }
        let seen = self.job.snapshot().await?;
        if seen.status() == Status::Stopping {
            self.job.cancel().await
        } else {
            self.job.fail(error.to_string()).await
        }
    }
}

/// Whether a call that failed is to be repeated: the store did not answer. Every step of an attempt
/// may be repeated.
fn waits(work: &Work, error: &Error) -> bool {
    matches!(error, Error::Unavailable(_)) && !work.is_leaving()
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}

/// A turn in the hands of a painter.
struct Drawing<'a> {
    turn: &'a Turn,
    workshop: &'a Workshop,
    id: JobId,
    attempt: u32,
}

impl Drawing<'_> {
    /// Makes a call, again and again while the store does not answer. Heartbeats stop meanwhile, but
    /// so do the verdicts: after an outage, every job gets its whole limit again.
    fn wait<R>(&self, call: impl AsyncFn() -> Result<R, Error>) -> Result<R, Error> {
        self.workshop.runtime.block_on(async {
            loop {
                match call().await {
                    Err(error) if waits(self.turn.place.work(), &error) => sleep(PAUSE).await,
                    other => return other,
                }
            }
        })
    }

    fn job(&self) -> &Job<Stored> {
        &self.turn.job
    }
}

impl Attempt for Drawing<'_> {
    fn begin(&self) -> Result<Arc<Deck>, RunError> {
        self.workshop.folder.begin(self.id, self.attempt)?;
        // Refused if the attempt was over before its directory existed.
        self.advance(Progress::ZERO)?;
        let record = self.wait(async || self.job().registry().get(self.id).await)?;
        Ok(Arc::new(record.payload.deck(&self.workshop.limits)?))
    }

    fn create(&self, name: &str) -> Result<File, RunError> {
        let created = self.workshop.folder.create(self.id, self.attempt, name);
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
        Ok(self.wait(async || self.job().update(arrange).await)?)
    }

    fn advance(&self, progress: Progress) -> Result<(), RunError> {
        self.wait(async || self.job().advance(progress).await)?;
        Ok(())
    }

    fn report(&self, progress: Progress, note: String) -> Result<(), RunError> {
        Ok(self.wait(async || self.job().report(progress, &*note).await)?)
    }
}
