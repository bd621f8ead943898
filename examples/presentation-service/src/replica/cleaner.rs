//! Deletes the directories of the shared folder that no removal has deleted.
//!
//! A process may be killed between the removal of a job and the deletion of its files, and a
//! superseded painter may create a directory after the next attempt has deleted it.

use super::folder::Folder;
use super::stored::Stored;
use job_registry::{Error as Refusal, JobId};
use job_registry_redis::{Error, JobRegistry};
use std::collections::BTreeMap;
use std::io;
use tokio::task::spawn_blocking;

/// Deletes the directories of removed jobs, and of superseded attempts.
///
/// The directories are listed before the store is asked. Each of them therefore belongs to an
/// attempt that had begun by then, and the answer shows that attempt or a later one.
pub(super) async fn clean(folder: &Folder, jobs: &JobRegistry<Stored>) -> io::Result<()> {
    let listed = folder.clone();
    let found = spawn_blocking(move || listed.list()).await??;
    let mut attempts: BTreeMap<JobId, Vec<u32>> = BTreeMap::new();
    for (id, attempt) in found {
        attempts.entry(id).or_default().push(attempt);
    }
    for (id, attempts) in attempts {
        let first_kept = match jobs.snapshot(id).await {
            Ok(seen) => seen.attempt(),
            Err(Error::Refused(Refusal::Gone)) => u32::MAX,
            // The directory of another namespace, or no statement about the job.
            Err(_) => continue,
        };
        let folder = folder.clone();
        let delete = move || {
            let over = attempts.iter().filter(|attempt| **attempt < first_kept);
            over.for_each(|attempt| folder.delete(id, *attempt));
        };
        spawn_blocking(delete).await?;
    }
    Ok(())
}
