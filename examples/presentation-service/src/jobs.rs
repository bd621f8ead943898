//! One presentation as a job: the registry's payload, and the run that draws it.

use crate::deck::Deck;
use crate::encode::{Animation, write_png};
use crate::files::{Directory, Trash};
use crate::render::{Painter, Studio};
use job_registry::{Job, LockError, Progress, StepError};
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error as ThisError;

/// Maximum number of pictures of a deck. It bounds the time of a run: a deck within the limits of
/// its Markdown can still be thousands of lines long.
pub const MOST_PICTURES: usize = 300;

/// The name of the animation among a presentation's files.
const GIF: &str = "deck.gif";

/// The name of a picture, counted from 1.
fn png(picture: usize) -> String {
    format!("slide-{picture:03}.png")
}

/// The registry's payload. It owns the directory of the files, which is deleted when the removal of
/// the job drops the payload. It keeps the deck, so that a retry needs no data from the client.
#[derive(Debug)]
pub struct Presentation {
    deck: Arc<Deck>,
    files: Option<Directory>,
    /// Number of pictures, once the deck is arranged.
    pictures: Option<usize>,
    warnings: Vec<String>,
}

impl Presentation {
    /// Returns a presentation without files. Its run creates their directory.
    #[must_use]
    pub fn new(deck: Deck) -> Self {
        Self {
            warnings: deck.warnings.clone(),
            deck: Arc::new(deck),
            files: None,
            pictures: None,
        }
    }

    /// The deck's title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.deck.title
    }

    /// Number of pictures. Until the run has arranged the deck, it is the number of slides in the
    /// source; a slide that does not fit on one picture has more.
    #[must_use]
    pub fn slides(&self) -> usize {
        self.pictures.unwrap_or(self.deck.slides.len())
    }

    /// Full sentences about parts of the deck that are not drawn as they were written. Until the run
    /// has arranged the deck, those about its fonts are missing.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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
    /// Returns the error of the file system, which is `NotFound` before the animation exists.
    pub fn open_gif(&self) -> io::Result<File> {
        File::open(self.path(GIF)?)
    }

    /// Opens picture number `slide`, counted from 1, for reading.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`open_gif`](Self::open_gif).
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

/// The resources of a run.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The studio that draws.
    pub studio: &'a dyn Studio,
    /// Parent of the directory of the files.
    pub root: &'a Path,
    /// Takes the directory if it cannot be deleted.
    pub trash: &'a Trash,
    /// Interval of the job's heartbeats.
    pub heartbeat: Duration,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// The reason why a run ended without a presentation.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum RunError {
    /// The job was ended or removed meanwhile, for example by a cancel.
    #[error("stopped: {0}")]
    Stopped(#[from] StepError),
    /// The job was ended or removed meanwhile, which the request for its lock detected.
    #[error("stopped: {0}")]
    Unreachable(#[from] LockError),
    /// The deck needs too many pictures.
    #[error(
        "the deck needs more than {limit} pictures, because long slides are continued: shorten it, \
         or divide it into several decks"
    )]
    TooManyPictures {
        /// Pictures allowed.
        limit: usize,
    },
    /// A slide could not be drawn.
    #[error("slide {slide} cannot be drawn: {source}")]
    Paint {
        /// Its number among the pictures, counted from 1.
        slide: usize,
        /// The painter's error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file could not be written.
    #[error("a file cannot be written: {0}")]
    Files(#[from] io::Error),
}

impl Run<'_> {
    /// Draws the job's deck: a PNG for each picture, and the animation frame by frame. Must be called
    /// on a thread that may block.
    ///
    /// # Errors
    ///
    /// Returns a [`RunError`], for example if the job was cancelled. The run detects that once for
    /// each slide that it arranges and twice for each picture, because the registry refuses the
    /// steps of an ended job.
    pub fn render(&self, job: &Job<Presentation>) -> Result<(), RunError> {
        let _beating = job.heartbeat_every(self.heartbeat);
        let (deck, before) = job.update(|payload| self.begin(payload))??;
        // The files of the previous attempt are deleted without a lock.
        drop(before);

        let mut painter = self.studio.painter();
        let pictures = arrange(job, &deck, &mut *painter)?;
        let mut animation = Animation::new(BufWriter::new(create(job, GIF)?));
        for picture in 0..pictures {
            let canvas = painter.paint(&deck, picture).map_err(|source| {
                let slide = picture + 1;
                RunError::Paint { slide, source }
            })?;
            let file = create(job, &png(picture + 1))?;
            write_png(BufWriter::new(file), &canvas)?;
            job.advance(part(2 * picture + 1, pictures))?;
            animation.push(&canvas)?;
            let done = format!("slide {} of {pictures}", picture + 1);
            job.report(part(2 * picture + 2, pictures), done)?;
        }
        animation.finish()?;
        Ok(())
    }

    /// Creates a directory for the attempt, under the job's lock. After the last job has been
    /// removed, no file or directory is created, so that a stopped service leaves nothing behind.
    fn begin(&self, payload: &mut Presentation) -> io::Result<(Arc<Deck>, Option<Directory>)> {
        let directory = Directory::create(self.root, self.trash)?;
        Ok((Arc::clone(&payload.deck), payload.files.replace(directory)))
    }
}

/// Distributes the slides over pictures, and returns the number of these. It and the warnings are
/// in the payload from then on.
fn arrange(
    job: &Job<Presentation>,
    deck: &Deck,
    painter: &mut dyn Painter,
) -> Result<usize, RunError> {
    let (mut pictures, mut warnings) = (0, deck.warnings.clone());
    for slide in 0..deck.slides.len() {
        let arranged = painter.arrange(deck, slide).map_err(|source| {
            let slide = slide + 1;
            RunError::Paint { slide, source }
        })?;
        pictures += arranged.pages;
        warnings.extend(arranged.warnings);
        // Checked here, so that no more is arranged than the limit allows.
        if pictures > MOST_PICTURES {
            let limit = MOST_PICTURES;
            return Err(RunError::TooManyPictures { limit });
        }
        // Refused once the job is stopping or has ended. It moves nothing, so it is no new version.
        job.advance(Progress::ZERO)?;
    }
    job.update(|payload| {
        payload.pictures = Some(pictures);
        payload.warnings = warnings;
    })?;
    Ok(pictures)
}

/// Each picture counts twice: once as a file, and once as a frame.
fn part(done: usize, pictures: usize) -> Progress {
    Progress::ratio(done as u64, 2 * pictures as u64)
        .expect("no more parts are done than there are")
}

/// Creates a file of the job under the job's lock. A locked job is not removed, and a removed one
/// cannot be locked. No file can appear in a directory that is being deleted. The lock covers only
/// the creation; the content is written through the open file.
fn create(job: &Job<Presentation>, name: &str) -> Result<File, RunError> {
    Ok(job.update(|payload| payload.create(name))??)
}
