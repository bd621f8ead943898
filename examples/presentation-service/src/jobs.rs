//! One presentation as a job in memory: the registry's payload, and the attempt that is drawn.

use crate::deck::Deck;
use crate::files::{Directory, Trash};
use crate::run::{Attempt, RunError};
use crate::store::Contents;
use job_registry::{Job, Progress};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

    /// Number of pictures, or of slides before the run has arranged the deck; see
    /// [`Contents::slides`].
    #[must_use]
    pub fn slides(&self) -> usize {
        self.pictures.unwrap_or(self.deck.slides.len())
    }

    /// Deviations from the deck; see [`Contents::warnings`].
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The directory of the files, once the run has begun.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.files.as_ref().map(Directory::path)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// Returns the error of the file system, which is `NotFound` before the file exists.
    pub fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.path(name)?)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        File::create_new(self.path(name)?)
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let directory = self.directory().ok_or(io::ErrorKind::NotFound)?;
        Ok(directory.join(name))
    }
}

impl Contents for Presentation {
    fn title(&self) -> &str {
        self.title()
    }

    fn slides(&self) -> usize {
        self.slides()
    }

    fn warnings(&self) -> &[String] {
        self.warnings()
    }
}

/// The attempt of a job in memory.
pub(crate) struct InMemory<'a> {
    pub(crate) job: &'a Job<Presentation>,
    /// Parent of the directory of the files.
    pub(crate) root: &'a Path,
    /// Takes the directory if it cannot be deleted.
    pub(crate) trash: &'a Trash,
}

impl Attempt for InMemory<'_> {
    /// Creates the directory under the job's lock. After the last job has been removed, no file or
    /// directory is created, so that a stopped service leaves nothing behind.
    fn begin(&self) -> Result<Arc<Deck>, RunError> {
        let begun = self.job.update(|payload| {
            let directory = Directory::create(self.root, self.trash)?;
            let before = payload.files.replace(directory);
            Ok::<_, io::Error>((Arc::clone(&payload.deck), before))
        });
        let (deck, before) = begun??;
        // The files of the previous attempt are deleted without a lock.
        drop(before);
        Ok(deck)
    }

    /// Creates the file under the job's lock. A locked job is not removed, and a removed one cannot
    /// be locked. No file can appear in a directory that is being deleted. The lock covers only the
    /// creation; the content is written through the open file.
    fn create(&self, name: &str) -> Result<File, RunError> {
        Ok(self.job.update(|payload| payload.create(name))??)
    }

    fn arranged(&self, pictures: usize, warnings: Vec<String>) -> Result<(), RunError> {
        self.job.update(|payload| {
            payload.pictures = Some(pictures);
            payload.warnings = warnings;
        })?;
        Ok(())
    }

    fn advance(&self, progress: Progress) -> Result<(), RunError> {
        self.job.advance(progress)?;
        Ok(())
    }

    fn report(&self, progress: Progress, note: String) -> Result<(), RunError> {
        Ok(self.job.report(progress, note)?)
    }
}
