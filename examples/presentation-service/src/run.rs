//! The run that draws one attempt of a presentation, whatever registry the job is in.

use crate::deck::{Deck, DeckError};
use crate::encode::{Animation, write_png};
use crate::render::{Painter, Studio};
use job_registry::{LockError, Progress, StepError};
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;
use thiserror::Error as ThisError;

/// Maximum number of pictures of a deck. It bounds the time of a run: a deck within the limits of
/// its Markdown can still be thousands of lines long.
pub const MOST_PICTURES: usize = 300;

/// The name of the animation among a presentation's files.
pub(crate) const GIF: &str = "deck.gif";

/// The name of a picture, counted from 1.
pub(crate) fn png(picture: usize) -> String {
    format!("slide-{picture:03}.png")
}

/// The attempt that a run draws. Its calls may block, and are refused once the attempt is over.
pub(crate) trait Attempt {
    /// Creates an empty directory for the files, deletes those of the previous attempt, and returns
    /// the deck.
    fn begin(&self) -> Result<Arc<Deck>, RunError>;

    /// Creates a file of the attempt.
    fn create(&self, name: &str) -> Result<File, RunError>;

    /// Records the number of pictures and the warnings.
    fn arranged(&self, pictures: usize, warnings: Vec<String>) -> Result<(), RunError>;

    /// Raises the progress.
    fn advance(&self, progress: Progress) -> Result<(), RunError>;

    /// Raises the progress and replaces the note.
    fn report(&self, progress: Progress, note: String) -> Result<(), RunError>;
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
    /// The shared store refused a step of the attempt, for example because another one has begun.
    #[error("stopped: {0}")]
    Refused(#[from] job_registry_redis::Error),
    /// The deck in the shared store cannot be drawn, because its limits are not this replica's.
    #[error("the deck cannot be read: {0}")]
    Deck(#[from] DeckError),
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

/// Draws the attempt's deck: a PNG for each picture, and the animation frame by frame. Must be
/// called on a thread that may block.
///
/// # Errors
///
/// Returns a [`RunError`], for example if the job was cancelled. The run detects that once for each
/// slide that it arranges and twice for each picture, because the registry refuses the steps of an
/// ended job.
pub(crate) fn draw(studio: &dyn Studio, attempt: &impl Attempt) -> Result<(), RunError> {
    let deck = attempt.begin()?;
    let mut painter = studio.painter();
    let pictures = arrange(attempt, &deck, &mut *painter)?;
    let mut animation = Animation::new(BufWriter::new(attempt.create(GIF)?));
    for picture in 0..pictures {
        let canvas = painter.paint(&deck, picture).map_err(|source| {
            let slide = picture + 1;
            RunError::Paint { slide, source }
        })?;
        let file = attempt.create(&png(picture + 1))?;
        write_png(BufWriter::new(file), &canvas)?;
        attempt.advance(part(2 * picture + 1, pictures))?;
        animation.push(&canvas)?;
        let done = format!("slide {} of {pictures}", picture + 1);
        attempt.report(part(2 * picture + 2, pictures), done)?;
    }
    animation.finish()?;
    Ok(())
}

/// Distributes the slides over pictures, and returns the number of these. It and the warnings are
/// in the payload from then on.
fn arrange(
    attempt: &impl Attempt,
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
        attempt.advance(Progress::ZERO)?;
    }
    attempt.arranged(pictures, warnings)?;
    Ok(pictures)
}

/// Each picture counts twice: once as a file, and once as a frame.
fn part(done: usize, pictures: usize) -> Progress {
    Progress::ratio(done as u64, 2 * pictures as u64)
        .expect("no more parts are done than there are")
}
