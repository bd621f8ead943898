//! [`Owned`]: the jobs that this process owns and works on, for `idle` and `shutdown`.

use crate::store::Fence;
use job_registry::JobId;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The owners that may still step their jobs, and the work that has not returned.
#[derive(Debug, Default)]
pub(crate) struct Owned(watch::Sender<Entries>);

#[derive(Debug, Default)]
struct Entries {
    last_number: u64,
    /// One entry for each owner and for each piece of work: a job may have several.
    jobs: BTreeMap<u64, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: JobId,
    fence: Fence,
    is_work: bool,
}

/// An entry that lasts until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    owned: Arc<Owned>,
    number: u64,
}

impl Owned {
    /// Counts an owner.
    pub(crate) fn own(self: &Arc<Self>, id: JobId, fence: Fence) -> Hold {
        let is_work = false;
        self.enter(Entry { id, fence, is_work })
    }

    /// Counts a piece of work.
    pub(crate) fn work(self: &Arc<Self>, id: JobId, fence: Fence) -> Hold {
        let is_work = true;
        self.enter(Entry { id, fence, is_work })
    }

    fn enter(self: &Arc<Self>, entry: Entry) -> Hold {
        let mut number = 0;
        self.0.send_modify(|entries| {
            entries.last_number += 1;
            number = entries.last_number;
            entries.jobs.insert(number, entry);
        });
        Hold {
            owned: self.clone(),
            number,
        }
    }

    /// Forgets the owners of an attempt that is over. Its work still counts.
    pub(crate) fn is_over(&self, id: JobId, fence: Fence) {
        self.0.send_modify(|entries| {
            let is_owner = |entry: &Entry| !entry.is_work && (entry.id, entry.fence) == (id, fence);
            entries.jobs.retain(|_, entry| !is_owner(entry));
        });
    }

    /// Waits until there is no owner and no work.
    pub(crate) async fn idle(&self) {
        let mut entries = self.0.subscribe();
        // The sender is borrowed.
        let _ = entries.wait_for(|entries| entries.jobs.is_empty()).await;
    }

    /// Returns the jobs with an owner or work, each once for each attempt.
    pub(crate) fn jobs(&self) -> Vec<(JobId, Fence)> {
        let entries = self.0.borrow();
        let jobs = entries.jobs.values();
        let jobs: BTreeMap<_, _> = jobs
            .map(|entry| ((entry.id, entry.fence.attempt), entry.fence))
            .collect();
        jobs.into_iter()
            .map(|((id, _), fence)| (id, fence))
            .collect()
    }

    /// Returns the jobs on which work runs, each once for each piece of work.
    pub(crate) fn working(&self) -> Vec<JobId> {
        let entries = self.0.borrow();
        let work = entries.jobs.values().filter(|entry| entry.is_work);
        work.map(|entry| entry.id).collect()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.owned.0.send_modify(|entries| {
            entries.jobs.remove(&self.number);
        });
    }
}
