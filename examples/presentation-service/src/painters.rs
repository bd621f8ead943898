//! The threads that draw. Their number is fixed, however many presentations wait. Drawing never
//! takes the threads that requests need.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tokio::runtime::Handle;

/// Sends attempts to the threads, which end when the last clone of this is dropped and the queue is
/// empty.
#[derive(Debug)]
pub(crate) struct Painters<J> {
    queue: mpsc::Sender<J>,
}

impl<J> Clone for Painters<J> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

impl<J: Send + 'static> Painters<J> {
    /// Starts the threads, each of which calls `work` for one attempt after the other.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, which the heartbeats need, and if the system cannot start a
    /// thread.
    #[must_use]
    pub(crate) fn start(threads: usize, work: impl Fn(J) + Send + Sync + 'static) -> Self {
        let runtime = Handle::current();
        let (queue, waiting) = mpsc::channel();
        let (waiting, work) = (Arc::new(Mutex::new(waiting)), Arc::new(work));
        for number in 1..=threads.max(1) {
            let (runtime, waiting) = (runtime.clone(), Arc::clone(&waiting));
            let work = Arc::clone(&work);
            let paint = move || {
                let _in_runtime = runtime.enter();
                while let Some(job) = next(&waiting) {
                    work(job);
                }
            };
            let thread = std::thread::Builder::new().name(format!("painter {number}"));
            thread.spawn(paint).expect("the system gives a thread");
        }
        Self { queue }
    }

    /// Draws an attempt as soon as a thread is free.
    pub(crate) fn draw(&self, job: J) {
        // The queue accepts work while `self` exists.
        let _ = self.queue.send(job);
    }
}

/// Returns the next attempt, or `None` at the end.
fn next<J>(waiting: &Mutex<mpsc::Receiver<J>>) -> Option<J> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.recv().ok()
}
