//! The threads that draw. Their number is fixed, however many presentations wait. Drawing never
//! takes the threads that requests need.

use crate::files::Trash;
use crate::jobs::{Presentation, Run};
use crate::render::Studio;
use job_registry::Job;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

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
    queue: mpsc::Sender<Work>,
    underway: TaskTracker,
}

/// An attempt in the queue. It owns its job, so that a lost attempt fails its job instead of
/// leaving it running.
struct Work {
    job: Job<Presentation>,
    _underway: TaskTrackerToken,
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
                while let Some(work) = next(&waiting) {
                    draw(&work.job, &workshop);
                }
            };
            let thread = std::thread::Builder::new().name(format!("painter {number}"));
            thread.spawn(work).expect("the system gives a thread");
        }
        let underway = TaskTracker::new();
        // The tracker is only used for waiting, so it may be closed; the registry decides when no
        // more work is accepted.
        underway.close();
        Self { queue, underway }
    }

    /// Draws the job as soon as a thread is free. The registry's capacity bounds the queue.
    pub fn draw(&self, job: Job<Presentation>) {
        let underway = self.underway.token();
        // The queue accepts work while `self` exists; if it did not, the job would fail as
        // abandoned.
        let _ = self.queue.send(Work {
            job,
            _underway: underway,
        });
    }

    /// Number of attempts that are being drawn or wait.
    #[must_use]
    pub fn underway(&self) -> usize {
        self.underway.len()
    }

    /// Waits until no attempt is left.
    pub async fn idle(&self) {
        self.underway.wait().await;
    }
}

/// Returns the next attempt, or `None` at the end.
fn next(waiting: &Mutex<mpsc::Receiver<Work>>) -> Option<Work> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.recv().ok()
}

/// Runs an attempt from start to end. A refused step means that the job was ended or retried
/// meanwhile.
fn draw(job: &Job<Presentation>, workshop: &Workshop) {
    let _in_span = job.span().entered();
    if job.start().is_err() {
        return;
    }
    let run = Run {
        studio: &*workshop.studio,
        root: &workshop.files,
        trash: &workshop.trash,
        heartbeat: workshop.heartbeat,
    };
    let _ = match catch_unwind(AssertUnwindSafe(|| run.render(job))) {
        Ok(Ok(())) => job.complete(),
        Ok(Err(error)) => job.fail(error.to_string()),
        Err(panic) => job.fail(format!("panicked: {}", text(&*panic))),
    };
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a text")
}
