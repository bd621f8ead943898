//! [`Pulse`]: the heartbeats of a process, sent together.

use crate::error::Error;
use crate::steps::heartbeats;
use crate::store::{BATCH, Fence, Store};
use job_registry::JobId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Pause after heartbeats that were not answered.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);

/// The heartbeats of a process.
#[derive(Debug)]
pub(crate) struct Pulse(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    entries: Mutex<Entries>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    jobs: HashMap<u64, Entry>,
    next_key: u64,
    task: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: JobId,
    fence: Option<Fence>,
    interval: Duration,
    next: Instant,
}

/// Sends heartbeats until it is dropped. Returned by
/// [`Job::heartbeat_every`](crate::Job::heartbeat_every) and
/// [`JobRegistry::heartbeat_every`](crate::JobRegistry::heartbeat_every).
#[derive(Debug)]
#[must_use = "the heartbeats end when this is dropped"]
pub struct Heartbeat {
    shared: Weak<Shared>,
    key: u64,
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.entries().jobs.remove(&self.key);
        }
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        // No user code runs under this lock.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self(Arc::new(Shared {
            store,
            entries: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Adds a job, whose first heartbeat is due now. Must be called on a runtime.
    pub(crate) fn add(&self, id: JobId, fence: Option<Fence>, interval: Duration) -> Heartbeat {
        // A shorter interval would only fill the connection, and no clock reaches a much longer
        // one.
        let interval = interval.clamp(Duration::from_millis(1), Duration::from_secs(1 << 30));
        let mut entries = self.0.entries();
        let key = entries.next_key;
        entries.next_key += 1;
        let next = Instant::now();
        entries.jobs.insert(
            key,
            Entry {
                id,
                fence,
                interval,
                next,
            },
        );
        // A task whose runtime has ended is replaced.
        if entries.task.as_ref().is_none_or(JoinHandle::is_finished) {
            entries.task = Some(tokio::spawn(beat(Arc::downgrade(&self.0))));
        }
        drop(entries);
        self.0.changed.notify_one();
        Heartbeat {
            shared: Arc::downgrade(&self.0),
            key,
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.entries().jobs.clear();
        self.0.changed.notify_one();
    }
}

/// Sends the heartbeats that are due, until there are none. An error ends no job's heartbeats.
async fn beat(shared: Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let Some((due, next)) = next_beats(&shared) else {
            return;
        };
        if due.is_empty() {
            tokio::select! {
                () = sleep_until(next) => {}
                () = shared.changed.notified() => {}
            }
            continue;
        }
        for batch in due.chunks(BATCH) {
            let jobs: Vec<_> = batch.iter().map(|(_, it)| (it.id, it.fence)).collect();
            let results = heartbeats(&shared.store, &jobs).await;
            let mut entries = shared.entries();
            for (i, (key, entry)) in batch.iter().enumerate() {
                let result = results.as_ref().map(|results| &results[i]);
                if let Ok(Err(Error::Refused(_))) = result {
                    // The attempt has ended, or a later one has begun.
                    entries.jobs.remove(key);
                } else if let Some(there) = entries.jobs.get_mut(key) {
                    let pause = if let Ok(Ok(())) = result {
                        entry.interval
                    } else {
                        entry.interval.min(AFTER_AN_ERROR)
                    };
                    there.next = Instant::now() + pause;
                }
            }
        }
    }
}

/// Returns the heartbeats that are due, and the time of the next one. Returns `None`, and notes
/// that nothing runs, if there are no jobs.
fn next_beats(shared: &Shared) -> Option<(Vec<(u64, Entry)>, Instant)> {
    let mut entries = shared.entries();
    let Some(next) = entries.jobs.values().map(|entry| entry.next).min() else {
        entries.task = None;
        return None;
    };
    let now = Instant::now();
    // Jobs share a call if one of them is due: a heartbeat may be up to 1/64 early.
    let is_due = |entry: &Entry| entry.next <= now + entry.interval / 64;
    let due = entries.jobs.iter().filter(|(_, entry)| is_due(entry));
    let due = due.map(|(key, entry)| (*key, *entry)).collect();
    Some((due, next))
}
