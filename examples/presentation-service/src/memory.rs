//! [`Memory`]: the presentations of one process, which end with it.

use crate::download::Part;
use crate::errors;
use crate::files::Trash;
use crate::jobs::{InMemory, Presentation};
use crate::painters::Painters;
use crate::render::Studio;
use crate::run::draw;
use crate::server::Stop;
use crate::state::Config;
use crate::store::{Ended, Store, Submitted};
use crate::views::About;
use job_registry::{Job, JobId, JobRegistry, KeyLife, Keys, Phases, Status};
use job_registry_axum::{Problem, Time};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The presentations of one process. The registry has all their state.
#[derive(Clone)]
pub struct Memory {
    registry: JobRegistry<Presentation>,
    /// The presentations of repeated submissions.
    keys: Keys<Presentation>,
    painters: Painters<Job<Presentation>>,
    trash: Trash,
    /// Interval at which undeleted directories are tried again.
    delete_again: Duration,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Memory {
    /// Starts the painters of a registry. Must be called on a tokio runtime, which the heartbeats
    /// need.
    pub(crate) fn new(
        registry: JobRegistry<Presentation>,
        config: &Config,
        studio: Arc<dyn Studio>,
        trash: &Trash,
    ) -> Self {
        let (root, heartbeat, bin) = (config.files.clone(), config.heartbeat, trash.clone());
        let painters = Painters::start(config.painters, move |job: Job<Presentation>| {
            let attempt = |job: &Job<Presentation>| {
                let _beating = job.heartbeat_every(heartbeat);
                let (root, trash) = (&*root, &bin);
                draw(&*studio, &InMemory { job, root, trash })
            };
            // An error means that the job was ended or retried meanwhile.
            let _ = job.run(|job| Ok(attempt(job)?));
        });
        Self {
            keys: Keys::new(registry.clone(), KeyLife::UntilRemoved),
            registry,
            painters,
            trash: trash.clone(),
            delete_again: config.delete_again,
        }
    }
}

impl Store for Memory {
    type Registry = JobRegistry<Presentation>;

    fn registry(&self) -> &JobRegistry<Presentation> {
        &self.registry
    }

    async fn submit(&self, submitted: Submitted) -> Result<JobId, Problem> {
        let payload = Presentation::new(submitted.deck);
        // There is no `await` between the registration and its work, so a client that disconnects
        // cannot stop the handler there.
        let (key, body) = (submitted.key, submitted.body);
        key.submit(&self.keys, &body, payload, |job| self.draw(job))
    }

    fn draw(&self, job: Job<Presentation>) {
        // An attempt in the queue owns its job, so that a lost attempt fails its job instead of
        // leaving it pending. The registry's capacity bounds the queue.
        self.painters.draw(job);
    }

    /// Opens the file under the job's lock, where the job cannot be removed.
    async fn open(&self, id: JobId, part: Part) -> Result<File, Problem> {
        let registry = self.registry.clone();
        let opened = move || {
            registry.read(id, |record| match record.snapshot.status() {
                Status::Completed => {
                    let name = part.name(record.payload)?;
                    record.payload.open(&name).map_err(errors::unreadable)
                }
                status => Err(errors::no_file(status)),
            })
        };
        let opened = tokio::task::spawn_blocking(opened).await;
        opened.map_err(errors::unreadable)??
    }

    fn about(&self) -> About {
        About {
            since: Some(Time::from(self.registry.system_time(Duration::ZERO))),
            open: !self.registry.is_closed(),
            capacity: self.registry.capacity(),
        }
    }

    async fn publish_counts(&self) {
        self.registry.publish_counts();
    }

    fn start(&self) -> io::Result<()> {
        // The reaper lives as long as the registry, and need not be stopped.
        self.registry.spawn_reaper()?;
        // The retries of the trash end by themselves, too.
        drop(self.trash.spawn(self.delete_again));
        Ok(())
    }

    fn close(&self) {
        self.registry.close();
    }

    /// Cancels the running presentations. With a drain, they may end by themselves for four fifths
    /// of the deadline.
    async fn end_work(&self, how: Stop) -> Ended {
        let finish = if how.drain {
            how.deadline * 4 / 5
        } else {
            Duration::ZERO
        };
        let phases = Phases {
            finish,
            stop: Duration::ZERO,
            cancel: how.deadline.saturating_sub(finish),
        };
        let runs = self.registry.shutdown(phases).await;
        Ended {
            cancelled: runs.cancelled,
            painting: runs.working.len(),
        }
    }

    /// Removes every presentation with its files.
    fn clear(&self) -> Vec<PathBuf> {
        self.registry.remove_ended();
        self.trash.delete_again();
        self.trash.left()
    }
}
