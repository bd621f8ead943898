//! The threads that draw. Their number is fixed, however many presentations wait. Drawing never
//! takes the threads that requests need.

use crate::files::Trash;
use crate::jobs::{Presentation, Run};
use crate::render::Studio;
use job_registry::Job;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::runtime::Handle;

/// The resources of a painter's thread.
#[derive(Clone)]
pub struct Workshop {
    /// The studio that draws.
    pub studio: Arc<dyn Studio>,
    /// Parent of the directories of the files.
    pub files: PathBuf,
    /// Takes directories that cannot be deleted.
    pub trash: Trash,
    /// Interval of a running job's heartbeats.
    pub heartbeat: Duration,
}

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Sends attempts to the threads, which end when the last clone of this is dropped and the queue is
/// empty.
#[derive(Debug, Clone)]
pub struct Painters {
    /// An attempt in the queue owns its job, so that a lost attempt fails its job instead of
    /// leaving it pending.
    queue: mpsc::Sender<Job<Presentation>>,
}

impl Painters {
    /// Starts the threads.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, which the heartbeats need, and if the system cannot start a
    /// thread.
    #[must_use]
    pub fn start(threads: usize, workshop: &Workshop) -> Self {
        let runtime = Handle::current();
        let (queue, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 1..=threads.max(1) {
            let (runtime, workshop, waiting) =
                (runtime.clone(), workshop.clone(), Arc::clone(&waiting));
            let work = move || {
                let _in_runtime = runtime.enter();
                while let Some(job) = next(&waiting) {
                    // An error means that the job was ended or retried meanwhile.
                    let _ = job.run(|job| Ok(workshop.run().render(job)?));
                }
            };
            let thread = std::thread::Builder::new().name(format!("painter {number}"));
            thread.spawn(work).expect("the system gives a thread");
        }
        Self { queue }
    }

    /// Draws the job as soon as a thread is free. The registry's capacity bounds the queue.
    pub fn draw(&self, job: Job<Presentation>) {
        // The queue accepts work while `self` exists; if it did not, the job would fail as
        // abandoned.
        let _ = self.queue.send(job);
    }
}

impl Workshop {
    fn run(&self) -> Run<'_> {
        Run {
            studio: &*self.studio,
            root: &self.files,
            trash: &self.trash,
            heartbeat: self.heartbeat,
        }
    }
}

/// Returns the next attempt, or `None` at the end.
fn next(waiting: &Mutex<mpsc::Receiver<Job<Presentation>>>) -> Option<Job<Presentation>> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.recv().ok()
}
