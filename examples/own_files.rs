//! A job's files belong to its payload. Removing the job deletes them, so that no list of files and
//! no cleanup task is needed. A retry keeps them.
//!
//! `cargo run --example own_files`

use job_registry::{JobRegistry, ManualClock};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io, process};

/// A directory that is deleted when its owner is dropped.
struct WorkDir(PathBuf);

impl WorkDir {
    fn new(name: &str) -> io::Result<Self> {
        let path = env::temp_dir().join(format!("{name}-{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // The sweep would catch and report a panic here; an error is logged.
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(Duration::from_secs(300))
        .on_remove(|record| println!("{} is removed", record.snapshot.id()))
        .build();

    let work_dir = WorkDir::new("own-files")?;
    let path = work_dir.path().to_owned();
    let job = jobs.register(work_dir)?;
    job.start()?;
    // Only the path leaves the lock, because writing to the disk may take long.
    let page = job.update(|dir| dir.path().join("page-1.txt"))?;
    fs::write(page, "a page")?;
    job.complete()?;

    jobs.sweep();
    assert!(path.exists(), "for five minutes the client may fetch it");
    clock.advance(Duration::from_secs(300));
    let swept = jobs.sweep();
    println!("{swept}");
    assert!(swept.removed == 1 && !path.exists());
    Ok(())
}
