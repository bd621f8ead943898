//! The threads that draw. There are as many as the service was told, however many presentations
//! wait: a thousand decks do not become a thousand threads, and drawing never takes the threads that
//! requests need.

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

/// What a painter's thread has.
#[derive(Clone)]
pub struct Workshop {
    /// What draws.
    pub studio: Arc<dyn Studio>,
    /// Where the directories of the files are made.
    pub files: PathBuf,
    /// Where directories go that cannot be deleted.
    pub trash: Trash,
    /// How often a running job tells that it lives.
    pub heartbeat: Duration,
}

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// The way to the threads, which end when the last clone of this is gone and the queue is empty.
#[derive(Debug, Clone)]
pub struct Painters {
    queue: mpsc::Sender<Work>,
    underway: TaskTracker,
}

/// An attempt on its way. It owns its job: if it gets lost, the job fails and nobody waits for ever.
struct Work {
    job: Job<Presentation>,
    _underway: TaskTrackerToken,
}

impl Painters {
    /// Starts the threads.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, which the heartbeats need, and when the system gives no thread.
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
        // It is only waited for; work is taken until the registry takes no more.
        underway.close();
        Self { queue, underway }
    }

    /// Has the job drawn as soon as a thread is free. The queue is bounded by the registry's capacity.
    pub fn draw(&self, job: Job<Presentation>) {
        let underway = self.underway.token();
        // Never refused while `self` is there; if it were, the job would fail as abandoned.
        let _ = self.queue.send(Work {
            job,
            _underway: underway,
        });
    }

    /// How many attempts are being drawn or wait for it.
    #[must_use]
    pub fn underway(&self) -> usize {
        self.underway.len()
    }

    /// Waits until there is none.
    pub async fn idle(&self) {
        self.underway.wait().await;
    }
}

/// The next attempt. `None` when there will be none.
fn next(waiting: &Mutex<mpsc::Receiver<Work>>) -> Option<Work> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.recv().ok()
}

/// From start to end. What is refused here has been ended by somebody else, or retried.
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
