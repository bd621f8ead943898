//! The directory of a presentation, and the directories that could not be deleted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// A directory that is deleted with everything in it when it is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    trash: Trash,
}

impl Directory {
    /// Creates a new directory below `root`.
    ///
    /// # Errors
    ///
    /// Returns the error of the file system.
    pub fn create(root: &Path, trash: &Trash) -> io::Result<Self> {
        // The directory is deleted here and not by `TempDir`, which hides the error.
        let path = tempfile::TempDir::with_prefix_in("presentation-", root)?.keep();
        let trash = trash.clone();
        Ok(Self { path, trash })
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.trash.delete(&self.path);
    }
}

/// The directories that could not be deleted. Their jobs have been removed.
#[derive(Debug, Clone, Default)]
pub struct Trash {
    left: Arc<Mutex<Vec<PathBuf>>>,
}

impl Trash {
    /// Returns the directories that still exist.
    #[must_use]
    pub fn left(&self) -> Vec<PathBuf> {
        self.lock().clone()
    }

    /// Tries each of them again, and returns how many still exist.
    #[allow(clippy::must_use_candidate)] // how many are left is of interest to few
    pub fn delete_again(&self) -> usize {
        // The lock is not held during disk access, so that other threads can add directories.
        let tried = std::mem::take(&mut *self.lock());
        let still: Vec<PathBuf> = tried
            .into_iter()
            .filter(|path| match delete(path) {
                Ok(()) => {
                    tracing::info!(path = %path.display(), "deleted in a later attempt");
                    false
                }
                Err(_) => true,
            })
            .collect();
        let mut left = self.lock();
        left.extend(still);
        left.len()
    }

    /// Tries again every `period`, until the last clone of this is dropped.
    pub(crate) fn spawn(&self, period: Duration) -> JoinHandle<()> {
        let left = Arc::downgrade(&self.left);
        tokio::spawn(keep_trying(left, period.max(Duration::from_millis(1))))
    }

    fn delete(&self, path: &Path) {
        let (files, bytes) = contents(path);
        match delete(path) {
            Ok(()) => tracing::info!(path = %path.display(), files, bytes, "cleanup"),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "not deleted, will be tried again");
                self.lock().push(path.to_owned());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the files of a directory and their bytes. Unreadable entries are skipped.
fn contents(path: &Path) -> (usize, u64) {
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    let sizes = files.filter_map(|file| Some(file.metadata().ok()?.len()));
    sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
}

/// A directory that no longer exists counts as deleted; only the log shows the difference.
fn delete(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), "was already deleted");
            Ok(())
        }
        other => other,
    }
}

async fn keep_trying(left: Weak<Mutex<Vec<PathBuf>>>, period: Duration) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(left) = left.upgrade() else { return };
        let trash = Trash { left };
        if !trash.lock().is_empty() {
            // An error means that the runtime is being dropped.
            let _ = tokio::task::spawn_blocking(move || trash.delete_again()).await;
        }
    }
}
