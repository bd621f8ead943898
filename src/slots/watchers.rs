//! The watchers of all slots. A slot without watchers has no entry here.
//!
//! A watcher stores its waker and then sets the watched bit on the state word that it has loaded. A
//! writer whose step clears that bit wakes the slot's watchers. If the watcher's compare-exchange
//! succeeds, every later step finds the bit, and the waker was stored before it. No change is
//! missed between check and wait.
//!
//! A removal stores the job's last snapshot in every entry of the job, so that a slow watcher still
//! learns of the end.

use crate::sync::cache_padded::CachePadded;
use crate::sync::deferred::{Deferred, defer};
use crate::sync::{AtomicU64, MODELLED, Mutex, Ordering};
use crate::types::snapshot::Snapshot;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::Waker;

const SHARDS: usize = if MODELLED { 2 } else { 16 };

#[derive(Debug)]
pub(crate) struct Watchers {
    shards: [CachePadded<Mutex<Shard>>; SHARDS],
    next_key: AtomicU64,
}

type Shard = HashMap<u32, Vec<Entry>, BuildHasherDefault<IndexHasher>>;

/// A hasher for slot indices, which are dense and not chosen by clients: Fibonacci hashing (Knuth,
/// volume 3, 6.4).
#[derive(Default)]
struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn write_u32(&mut self, index: u32) {
        self.0 = u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("an index is a u32")
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A list of wakers that allocates no memory for a single one, which is the most frequent case.
pub(crate) struct Wakers {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl FromIterator<Waker> for Wakers {
    fn from_iter<I: IntoIterator<Item = Waker>>(wakers: I) -> Self {
        let mut wakers = wakers.into_iter();
        Self {
            first: wakers.next(),
            others: wakers.collect(),
        }
    }
}

impl IntoIterator for Wakers {
    type Item = Waker;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Waker>, std::vec::IntoIter<Waker>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

#[derive(Debug)]
struct Entry {
    key: u64,
    generation: u32,
    waker: Option<Waker>,
    /// The last snapshot of the job, once it has been removed.
    last: Option<Snapshot>,
}

/// The registration of a watcher.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    slot: u32,
    key: u64,
}

/// The duty to wake the watchers of a slot. A thread that clears the watched bit of a state word
/// has it. Its destructor wakes, so that no return, `?` or panic loses it. Under a job's lock, the
/// wake is deferred until the thread releases the lock.
#[must_use = "dropping the duty wakes the watchers: keep it until the call has made its own step"]
#[derive(Debug)]
pub(crate) struct WakeDuty<'a>(Option<(&'a Watchers, u32)>);

impl<'a> WakeDuty<'a> {
    /// Returns the duty of a caller that has replaced a state word, which `watched` says was
    /// watched.
    #[inline(always)]
    pub(crate) fn new(watchers: &'a Watchers, slot: u32, watched: bool) -> Self {
        Self(watched.then_some((watchers, slot)))
    }

    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn is_owed(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for WakeDuty<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some((watchers, slot)) = self.0.take() {
            watchers.wake(slot);
        }
    }
}

impl Watchers {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| CachePadded::default()),
            next_key: AtomicU64::new(0),
        }
    }

    fn shard(&self, slot: u32) -> &Mutex<Shard> {
        &self.shards[slot as usize % SHARDS]
    }

    /// Registers a watcher, without a waker.
    pub(crate) fn enter(&self, slot: u32, generation: u32) -> Registration {
        // ORDERING: Relaxed. Keys only have to differ.
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            key,
            generation,
            waker: None,
            last: None,
        };
        let mut shard = self.shard(slot).lock();
        // Most slots have one watcher, and the default capacity of four would be most of a watch's
        // memory.
        let entries = shard.entry(slot).or_insert_with(|| Vec::with_capacity(1));
        entries.push(entry);
        drop(shard);
        Registration { slot, key }
    }

    /// Stores `waker` to be woken by the next change, in place of the previous one. Returns the
    /// last snapshot if the job has been removed.
    pub(crate) fn wait(&self, registration: Registration, waker: &Waker) -> Option<Snapshot> {
        // Cloning and dropping a waker is user code: it runs before and after the lock.
        let mut waker = Some(waker.clone());
        let mut shard = self.shard(registration.slot).lock();
        let entry = shard
            .get_mut(&registration.slot)?
            .iter_mut()
            .find(|entry| entry.key == registration.key)?;
        std::mem::swap(&mut entry.waker, &mut waker);
        let last = entry.last.take();
        drop(shard);
        drop(waker);
        #[cfg(all(test, environment, not(any(loom, shuttle))))]
        crate::sync::facade::environment::waits();
        last
    }

    /// Removes the registration of a watcher.
    pub(crate) fn leave(&self, registration: Registration) {
        let mut shard = self.shard(registration.slot).lock();
        let Some(entries) = shard.get_mut(&registration.slot) else {
            return;
        };
        let removed = entries
            .iter()
            .position(|entry| entry.key == registration.key)
            .map(|position| entries.swap_remove(position));
        if entries.is_empty() {
            shard.remove(&registration.slot);
        }
        drop(shard);
        drop(removed);
    }

    /// Wakes all watchers of the slot, or defers the wakes until this thread releases its lock.
    #[cold]
    fn wake(&self, slot: u32) {
        let mut shard = self.shard(slot).lock();
        let entries = shard.get_mut(&slot).into_iter().flatten();
        let wakers: Wakers = entries.filter_map(|entry| entry.waker.take()).collect();
        drop(shard);
        defer(wakers.into_iter().map(Deferred::Wake));
    }

    /// Stores `last` for every watcher of the removed job, and returns their wakers. Returns `None`
    /// if the slot has no watcher.
    pub(crate) fn take_removed(
        &self,
        slot: u32,
        generation: u32,
        last: Snapshot,
    ) -> Option<Wakers> {
        let mut shard = self.shard(slot).lock();
        let entries = shard.get_mut(&slot)?.iter_mut();
        let wakers = entries
            .filter(|entry| entry.generation == generation)
            .filter_map(|entry| {
                entry.last = Some(last);
                entry.waker.take()
            });
        Some(wakers.collect())
    }

    /// Returns slot and generation of every watcher, and the number of slots with an empty list.
    #[cfg(test)]
    pub(crate) fn census(&self) -> (Vec<(u32, u32)>, usize) {
        let (mut watchers, mut empty) = (Vec::new(), 0);
        for shard in &self.shards {
            for (&slot, entries) in &*shard.lock() {
                watchers.extend(entries.iter().map(|entry| (slot, entry.generation)));
                empty += usize::from(entries.is_empty());
            }
        }
        (watchers, empty)
    }

    /// Returns all wakers, for a registry that is dropped.
    pub(crate) fn take_all(&mut self) -> Wakers {
        let drain = |shard: &CachePadded<Mutex<Shard>>| std::mem::take(&mut *shard.lock());
        let entries = self
            .shards
            .iter()
            .map(drain)
            .flat_map(HashMap::into_values)
            .flatten();
        entries.filter_map(|entry| entry.waker).collect()
    }
}
