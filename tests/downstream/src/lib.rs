//! A minimal service on the registry: decks are submitted, drawn by a thread each, and kept for a
//! minute. Clients poll or watch them.
//!
//! In a model, its threads are those of the checker, so that the model contains the same service.

use job_registry::{
    Clock, Error, JobId, JobRegistry, LookupError, Progress, Snapshot, StepError, Swept, Watch,
};
use std::time::Duration;

#[cfg(all(loom, feature = "loom"))]
pub use loom::thread;
#[cfg(all(shuttle, feature = "shuttle"))]
pub use shuttle::thread;
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
pub use std::thread;

/// How long an ended deck is kept.
pub const RETENTION: Duration = Duration::from_secs(60);

/// The pages that have been drawn.
pub type Pages = Vec<u64>;

/// The service. Clones share it.
#[derive(Clone, Debug)]
pub struct Decks {
    jobs: JobRegistry<Pages>,
}

impl Decks {
    pub fn new(clock: impl Clock) -> Self {
        let jobs = JobRegistry::builder()
            .clock(clock)
            .retention(RETENTION)
            .build();
        Self { jobs }
    }

    /// Registers a deck, and draws it on a new thread.
    pub fn submit(&self, pages: u64) -> (JobId, thread::JoinHandle<Result<(), Error>>) {
        let job = self
            .jobs
            .register(Vec::new())
            .expect("a small service is not full");
        let id = job.id();
        let worker = thread::spawn(move || {
            job.start()?;
            for page in 0..pages {
                // If the job has ended, the next step is refused.
                job.update(|drawn| drawn.push(page))?;
                job.heartbeat()?;
                job.advance(Progress::ratio(page + 1, pages)?)?;
            }
            Ok(job.complete()?)
        });
        (id, worker)
    }

    pub fn cancel(&self, id: JobId) -> Result<(), StepError> {
        self.jobs.cancel(id)
    }

    pub fn snapshot(&self, id: JobId) -> Result<Snapshot, LookupError> {
        self.jobs.snapshot(id)
    }

    pub fn watch(&self, id: JobId) -> Result<Watch<Pages>, LookupError> {
        self.jobs.watch(id)
    }

    /// Returns the drawn pages and removes the deck.
    pub fn collect(&self, id: JobId) -> Option<Pages> {
        self.jobs.remove(id).ok()
    }

    /// Removes the decks whose minute is over.
    pub fn tidy(&self) -> Swept {
        self.jobs.sweep()
    }
}
