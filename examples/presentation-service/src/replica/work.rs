//! [`Work`]: the attempts that this process owns.

use super::stored::Stored;
use job_registry_redis::Job;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The owner of an attempt, for its painter and for the shutdown.
pub(super) type Owner = Arc<Job<Stored>>;

/// The attempts that this process owns, from before their registration to the end of their work.
#[derive(Debug, Clone, Default)]
pub(super) struct Work(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    owners: Mutex<Owners>,
    /// Number of attempts.
    open: watch::Sender<usize>,
    /// Whether the process is about to end, so that no call waits for the store.
    leaving: AtomicBool,
}

#[derive(Debug, Default)]
struct Owners {
    /// `None` while the job is being registered.
    places: HashMap<u64, Option<Owner>>,
    next_key: u64,
}

/// The place of an attempt among the work. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    work: Work,
    key: u64,
}

impl Work {
    /// Returns a place for an attempt that is about to begin.
    pub(super) fn enter(&self) -> Place {
        let mut owners = self.owners();
        let key = owners.next_key;
        owners.next_key += 1;
        owners.places.insert(key, None);
        self.0.open.send_replace(owners.places.len());
        drop(owners);
        let work = self.clone();
        Place { work, key }
    }

    /// Returns the owners of all attempts that are registered.
    pub(super) fn all(&self) -> Vec<Owner> {
        self.owners().places.values().flatten().cloned().collect()
    }

    /// Returns the number of attempts.
    pub(super) fn len(&self) -> usize {
        self.owners().places.len()
    }

    /// Waits until there is no attempt.
    pub(super) async fn idle(&self) {
        // An error means that the sender is gone, which `self` has.
        let _ = self.0.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Makes calls that wait for the store give up.
    pub(super) fn leave(&self) {
        self.0.leaving.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.0.leaving.load(Ordering::SeqCst)
    }

    fn owners(&self) -> MutexGuard<'_, Owners> {
        // No user code runs under this lock.
        self.0.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Returns the work to which the place belongs.
    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    /// Makes the owner known to a shutdown.
    pub(super) fn take(&self, owner: &Owner) {
        let mut owners = self.work.owners();
        owners.places.insert(self.key, Some(Arc::clone(owner)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut owners = self.work.owners();
        let owner = owners.places.remove(&self.key);
        self.work.0.open.send_replace(owners.places.len());
        drop(owners);
        // The last owner of a live attempt fails it, without the lock.
        drop(owner);
    }
}
