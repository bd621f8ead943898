//! Who waits for which slot. A slot that nobody watches has nothing in here.
//!
//! A watcher enters its waker, then sets the watched bit on the state word it has seen; a writer
//! whose step clears that bit comes here and wakes. If the exchange of the watcher succeeds, every later
//! step finds the bit, and the waker was in before it: no change is missed between check and wait.
//!
//! A removal leaves the last snapshot with every watcher of the job, which is how a slow one
//! still learns the end.

use crate::Snapshot;
use crate::sync::cache_padded::CachePadded;
use crate::sync::deferred::{Deferred, defer};
use crate::sync::{AtomicU64, MODELLED, Mutex, Ordering};
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

/// For indices of slots, which are dense and not a client's to choose: Fibonacci hashing (Knuth, volume 3, 6.4).
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

/// Mostly one, which then takes no memory of its own.
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
    /// What the job was when it was removed.
    last: Option<Snapshot>,
}

/// A watcher's place in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    slot: u32,
    key: u64,
}

/// The duty to wake the watchers of a slot. Whoever clears the watched bit of a state word has it, and
/// no return, `?` or panic loses it: the drop wakes. Under a job's lock the wake is deferred until the
/// thread releases the lock.
#[must_use = "dropping the duty wakes the watchers: keep it until the call has made its own step"]
#[derive(Debug)]
pub(crate) struct WakeDuty<'a>(Option<(&'a Watchers, u32)>);

impl<'a> WakeDuty<'a> {
    /// The duty of whoever replaced a state word, which `watched` says was watched.
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
        // Mostly there is one, and room for four would be most of what a watch costs.
        let entries = shard.entry(slot).or_insert_with(|| Vec::with_capacity(1));
        entries.push(entry);
        drop(shard);
        Registration { slot, key }
    }

    /// Has `waker` woken by the next change, in place of the one before. If the job has been removed
    /// meanwhile, returns what it was.
    pub(crate) fn wait(&self, registration: Registration, waker: &Waker) -> Option<Snapshot> {
        // Cloning and dropping a waker is foreign code: before and after the lock.
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

    pub(crate) fn leave(&self, registration: Registration) {
        let mut shard = self.shard(registration.slot).lock();
        let Some(entries) = shard.get_mut(&registration.slot) else {
            return;
        };
        let left = entries
            .iter()
            .position(|entry| entry.key == registration.key)
            .map(|place| entries.swap_remove(place));
        if entries.is_empty() {
            shard.remove(&registration.slot);
        }
        drop(shard);
        drop(left);
    }

    /// Wakes everybody who waits for the slot, or has them woken when this thread lets go of its lock.
    #[cold]
    fn wake(&self, slot: u32) {
        let mut shard = self.shard(slot).lock();
        let entries = shard.get_mut(&slot).into_iter().flatten();
        let wakers: Wakers = entries.filter_map(|entry| entry.waker.take()).collect();
        drop(shard);
        defer(wakers.into_iter().map(Deferred::Wake));
    }

    /// Leaves `last` with every watcher of the removed job, and returns their wakers.
    /// `None` where nobody watches the slot.
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

    /// Slot and generation of every watcher, and how many slots are listed without one.
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

    /// Everybody's, when the registry goes away.
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
