//! One presentation as a job: what the registry keeps of it, and the run that draws it.

use crate::deck::Deck;
use crate::encode::{Animation, write_png};
use crate::files::{Directory, Trash};
use crate::render::Studio;
use job_registry::{Job, LockError, Progress, StepError};
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error as ThisError;

/// The name of the animation among a presentation's files.
const GIF: &str = "deck.gif";

/// The name of the picture of a slide, counted from 1.
fn png(slide: usize) -> String {
    format!("slide-{slide:03}.png")
}

/// The registry's payload. It owns the directory of the files: when the job is removed, for
/// whatever reason, the payload is dropped and the directory goes with it. It keeps the deck, so
/// that a retry needs nothing from the client.
#[derive(Debug)]
pub struct Presentation {
    deck: Arc<Deck>,
    files: Option<Directory>,
}

impl Presentation {
    /// A presentation without files; the run makes their directory.
    #[must_use]
    pub fn new(deck: Deck) -> Self {
        let deck = Arc::new(deck);
        Self { deck, files: None }
    }

    /// The deck's title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.deck.title
    }

    /// How many slides the deck has.
    #[must_use]
    pub fn slides(&self) -> usize {
        self.deck.slides.len()
    }

    /// The directory of the files, once the run has begun.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.files.as_ref().map(Directory::path)
    }

    /// Opens the animation for reading.
    ///
    /// # Errors
    ///
    /// Whatever the file system answers; `NotFound` before there is one.
    pub fn open_gif(&self) -> io::Result<File> {
        File::open(self.path(GIF)?)
    }

    /// Opens the picture of slide number `slide`, counted from 1, for reading.
    ///
    /// # Errors
    ///
    /// As [`open_gif`](Self::open_gif).
    pub fn open_png(&self, slide: usize) -> io::Result<File> {
        File::open(self.path(&png(slide))?)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        File::create_new(self.path(name)?)
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let directory = self.directory().ok_or(io::ErrorKind::NotFound)?;
        Ok(directory.join(name))
    }
}

/// What a run needs beside the job.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// What draws.
    pub studio: &'a dyn Studio,
    /// Where the directory of the files is made.
    pub root: &'a Path,
    /// Where the directory goes if it cannot be deleted.
    pub trash: &'a Trash,
    /// How often the job tells that it lives.
    pub heartbeat: Duration,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Why a run ended without a presentation.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum RunError {
    /// The job ended or was removed meanwhile: somebody cancelled it.
    #[error("stopped: {0}")]
    Stopped(#[from] StepError),
    /// The same, noticed where the job's lock was wanted.
    #[error("stopped: {0}")]
    Unreachable(#[from] LockError),
    /// A slide could not be drawn.
    #[error("slide {slide} cannot be drawn: {source}")]
    Paint {
        /// Its number, counted from 1.
        slide: usize,
        /// What the painter said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file could not be written.
    #[error("a file cannot be written: {0}")]
    Files(#[from] io::Error),
}

impl Run<'_> {
    /// Draws the job's deck: a PNG for each slide, and the animation frame by frame beside them. To be
    /// called on a thread that may block.
    ///
    /// # Errors
    ///
    /// [`RunError`]; among the reasons is that the job was cancelled, which is noticed twice a
    /// slide: every step tells the registry, and the registry refuses the step of an ended job.
    pub fn render(&self, job: &Job<Presentation>) -> Result<(), RunError> {
        let _beating = job.heartbeat_every(self.heartbeat);
        let (deck, before) = job.update(|payload| self.begin(payload))??;
        // The files of an attempt before this one, deleted under no lock.
        drop(before);

        let mut painter = self.studio.painter();
        let mut animation = Animation::new(BufWriter::new(create(job, GIF)?));
        let slides = deck.slides.len();
        for slide in 0..slides {
            let canvas = painter.paint(&deck, slide).map_err(|source| {
                let slide = slide + 1;
                RunError::Paint { slide, source }
            })?;
            let file = create(job, &png(slide + 1))?;
            write_png(BufWriter::new(file), &canvas)?;
            job.advance(part(2 * slide + 1, slides))?;
            animation.push(&canvas)?;
            job.advance(part(2 * slide + 2, slides))?;
        }
        animation.finish()?;
        Ok(())
    }

    /// Gives the attempt a directory of its own. Under the job's lock, like all that is created: once
    /// the last job is removed nothing new appears, and a service that ends leaves nothing behind.
    fn begin(&self, payload: &mut Presentation) -> io::Result<(Arc<Deck>, Option<Directory>)> {
        let directory = Directory::create(self.root, self.trash)?;
        Ok((Arc::clone(&payload.deck), payload.files.replace(directory)))
    }
}

/// Every slide counts twice: once as a picture, once as a frame.
fn part(done: usize, slides: usize) -> Progress {
    Progress::ratio(done as u64, 2 * slides as u64).expect("no more parts are done than there are")
}

/// Creates a file of the job under the job's lock. A locked job is not removed, and of a removed
/// one there is no lock: no file can appear in a directory that is being deleted. Only the name is
/// made under the lock; what is written goes through the open file and keeps nobody waiting.
fn create(job: &Job<Presentation>, name: &str) -> Result<File, RunError> {
    Ok(job.update(|payload| payload.create(name))??)
}
