//! [`Folder`]: the files of all replicas.
//!
//! Each attempt has a directory, whose name is the job's id and the number of the attempt. Nothing
//! else records it. A process that finds a directory asks the store what has become of it, also if
//! the process that created it was killed.
//!
//! 1. An attempt writes to its own directory, and deletes those of earlier attempts.
//! 2. A removal deletes the directories up to the attempt that has ended, because another replica
//!    may begin a later one meanwhile.
//! 3. No process deletes the directory of an attempt that may still be drawn or read.

use job_registry::{JobId, Snapshot};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder that replicas share.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: Arc<Path>,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    fn directory(&self, id: JobId, attempt: u32) -> PathBuf {
        self.root.join(format!("{id}-{attempt}"))
    }

    /// Creates the directory of an attempt, and deletes those of earlier attempts.
    pub(super) fn begin(&self, id: JobId, attempt: u32) -> io::Result<()> {
        self.delete_until(id, attempt - 1);
        let path = self.directory(id, attempt);
        match std::fs::create_dir(&path) {
            // A store that was restored from a copy may begin an attempt once more.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                std::fs::remove_dir_all(&path)?;
                std::fs::create_dir(&path)
            }
            other => other,
        }
    }

    /// Creates a file of an attempt.
    pub(super) fn create(&self, id: JobId, attempt: u32, name: &str) -> io::Result<File> {
        File::create_new(self.directory(id, attempt).join(name))
    }

    /// Opens a file of an attempt for reading.
    pub(super) fn open(&self, id: JobId, attempt: u32, name: &str) -> io::Result<File> {
        File::open(self.directory(id, attempt).join(name))
    }

    /// Deletes the files of a job that is about to be removed, and was seen so. A retry may have
    /// begun a later attempt meanwhile, which keeps the job and its own files.
    pub(super) fn remove(&self, seen: &Snapshot) {
        self.delete_until(seen.id(), seen.attempt());
    }

    /// Deletes the directories of a job up to this attempt. A directory that cannot be deleted is
    /// logged, and found again by [`list`](Self::list).
    fn delete_until(&self, id: JobId, attempt: u32) {
        for attempt in 1..=attempt {
            self.delete(id, attempt);
        }
    }

    /// Deletes the directory of an attempt, if there is one.
    pub(super) fn delete(&self, id: JobId, attempt: u32) {
        let path = self.directory(id, attempt);
        match std::fs::remove_dir_all(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "cleanup"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "not deleted, will be tried again");
            }
        }
    }

    /// Returns the job and the attempt of each directory. Other names are skipped.
    pub(super) fn list(&self) -> io::Result<Vec<(JobId, u32)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let parts = name.to_str().and_then(|name| name.split_once('-'));
            let parts = parts.and_then(|(id, attempt)| Some((id.parse().ok()?, attempt)));
            if let Some((id, Ok(attempt))) = parts.map(|(id, attempt)| (id, attempt.parse())) {
                found.push((id, attempt));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use job_registry::{Progress, Status, Version};
    use std::time::Duration;

    fn names(folder: &Folder) -> Vec<u32> {
        let mut found: Vec<u32> = folder.list().unwrap().iter().map(|it| it.1).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn a_removal_and_an_attempt_leave_later_attempts() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path());
        let (id, other) = (JobId::from_bits(7), JobId::from_bits(8));
        for attempt in 1..=4 {
            std::fs::create_dir(folder.directory(id, attempt)).unwrap();
        }
        let failed = Version::from_parts(1, Status::Failed, Progress::ZERO, 0).unwrap();
        folder.remove(&Snapshot::from_parts(id, failed, Duration::ZERO));
        assert_eq!(names(&folder), [2, 3, 4]);
        folder.begin(other, 1).unwrap();
        // The directory of an attempt that is begun once more is emptied.
        folder.create(id, 3, "old").unwrap();
        folder.begin(id, 3).unwrap();
        assert!(folder.open(id, 3, "old").is_err());
        assert_eq!(names(&folder), [1, 3, 4]);
        assert!(folder.create(id, 2, "late").is_err());
    }

    #[test]
    fn only_names_of_attempts_are_listed() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path());
        let id = JobId::from_bits(1 << 90);
        folder.begin(id, 12).unwrap();
        for name in [
            "x",
            "-1",
            "x-1",
            &format!("{id}"),
            &format!("{id}-a"),
            &format!("{id}-"),
        ] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        assert_eq!(folder.list().unwrap(), [(id, 12)]);
    }
}
