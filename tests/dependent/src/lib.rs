//! A service on the registry, as small as one can be: decks are submitted, drawn by a thread each, asked for by
//! polling or watching, and kept for a minute.
//!
//! Its threads are the checker's where its models run, so that the same service is inside them.

use job_registry::{
    Clock, JobId, JobRegistry, LookupError, Progress, Snapshot, StepError, Swept, Watch,
};
use std::time::Duration;

#[cfg(all(loom, feature = "loom"))]
pub use loom::thread;
#[cfg(all(shuttle, feature = "shuttle"))]
pub use shuttle::thread;
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
pub use std::thread;

/// How long an ended deck can still be asked for.
pub const RETENTION: Duration = Duration::from_secs(60);

/// The pages that have been drawn.
pub type Pages = Vec<u64>;

/// The service. Clones are the same one.
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

    /// Takes a deck, and draws it in a thread of its own.
    pub fn submit(&self, pages: u64) -> (JobId, thread::JoinHandle<Result<(), StepError>>) {
        let job = self
            .jobs
            .register(Vec::new())
            .expect("a small service is not full");
        let id = job.id();
        let worker = thread::spawn(move || {
            job.start()?;
            for page in 0..pages {
                // An ended job is refused by the next step.
                let _ = job.update(|drawn| drawn.push(page));
                job.heartbeat()?;
                job.advance(Progress::ratio(page + 1, pages).expect("a page of them"))?;
            }
            job.complete()
        });
        (id, worker)
    }

    pub fn cancel(&self, id: JobId) -> Result<(), StepError> {
        self.jobs.cancel(id)
    }

    pub fn look(&self, id: JobId) -> Result<Snapshot, LookupError> {
        self.jobs.snapshot(id)
    }

    pub fn watch(&self, id: JobId) -> Result<Watch<Pages>, LookupError> {
        self.jobs.watch(id)
    }

    /// Hands out what has been drawn and forgets the deck.
    pub fn collect(&self, id: JobId) -> Option<Pages> {
        self.jobs.remove(id).ok()
    }

    /// Forgets the decks whose minute is over.
    pub fn tidy(&self) -> Swept {
        self.jobs.sweep()
    }
}
