//! [`Store`]: the registry that has the presentations, and what the service asks of it beside the
//! routes.

use crate::deck::Deck;
use crate::download::Part;
use crate::server::Stop;
use crate::views::About;
use job_registry::JobId;
use job_registry_axum::{IdempotencyKey, Problem, Registry};
use std::fs::File;
use std::future::Future;
use std::io;
use std::path::PathBuf;

/// The parts of a payload that clients see.
pub trait Contents {
    /// The deck's title.
    fn title(&self) -> &str;

    /// Number of pictures. Until the run has arranged the deck, it is the number of slides in the
    /// source; a slide that does not fit on one picture has more.
    fn slides(&self) -> usize;

    /// Full sentences about parts of the deck that are not drawn as they were written. Until the run
    /// has arranged the deck, those about its fonts are missing.
    fn warnings(&self) -> &[String];
}

/// A deck that a client submits.
#[derive(Debug)]
pub struct Submitted {
    /// The deck.
    pub deck: Deck,
    /// The Markdown from which it was read.
    pub markdown: String,
    /// The body of the request.
    pub body: Vec<u8>,
    /// The key of the request.
    pub key: IdempotencyKey,
}

/// The presentations of a service. [`Memory`](crate::memory::Memory) has them in the process, and
/// [`Replica`](crate::replica::Replica) shares them with other processes.
pub trait Store: Clone + Send + Sync + 'static {
    /// The registry of the routes.
    type Registry: Registry<Payload: Contents>;

    /// Returns the registry.
    fn registry(&self) -> &Self::Registry;

    /// Registers a presentation, unless its key leads to one, and has it drawn. Returns its id. If
    /// the future is dropped, either no job is registered, or the job is drawn.
    fn submit(&self, submitted: Submitted) -> impl Future<Output = Result<JobId, Problem>> + Send;

    /// Draws an attempt as soon as a painter is free.
    fn draw(&self, job: <Self::Registry as Registry>::Job);

    /// Opens a file of a completed presentation. Its bytes stay until the last reader is done,
    /// whatever happens to its name.
    fn open(&self, id: JobId, part: Part) -> impl Future<Output = Result<File, Problem>> + Send;

    /// Returns the state of the service.
    fn about(&self) -> About;

    /// Sets the gauges of the presentations.
    fn publish_counts(&self) -> impl Future<Output = ()> + Send;

    /// Starts the work in the background: sweeps, stall verdicts, and the deletion of files.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if no thread can be started.
    fn start(&self) -> io::Result<()>;

    /// Refuses presentations and retries from now on.
    fn close(&self);

    /// Ends the attempts of this process.
    fn end_work(&self, how: Stop) -> impl Future<Output = Ended> + Send;

    /// Deletes what must not outlive the process, and returns the directories that are left. Must
    /// be called on a thread that may block.
    fn clear(&self) -> Vec<PathBuf>;
}

/// Result of [`Store::end_work`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Attempts that were cancelled.
    pub cancelled: usize,
    /// Attempts that are still being drawn.
    pub painting: usize,
}
