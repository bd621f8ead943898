//! The watchers of all slots. A slot without watchers has no entry here.
//!
//! A watcher stores its waker and then sets the watched bit on the state word that it has loaded. A
//! writer whose step clears that bit wakes the slot's watchers. If the watcher's compare-exchange
//! succeeds, every later step finds the bit, and the waker was stored before it. No change is
//! missed between check and wait.
//!
//! A removal stores the job's last snapshot in every entry of the job, so that a slow watcher still
//! learns of the end.

use crate::sync::boxed::boxed;
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
    shards: Box<[CachePadded<Shard>; SHARDS]>,
    next_key: AtomicU64,
}

#[derive(Debug)]
struct Shard {
    slots: Mutex<Slots>,
    /// Number of slots with an entry. A removal that loads 0 takes no lock.
    watched: AtomicU64,
}

impl Default for Shard {
    fn default() -> Self {
        let watched = AtomicU64::new(0);
        // For loom, the initial value is not in the order of the SeqCst accesses.
        watched.store(0, Ordering::SeqCst);
        Self {
            slots: Mutex::default(),
            watched,
        }
    }
}

type Slots = HashMap<u32, Entries, BuildHasherDefault<IndexHasher>>;

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

/// The entries of a slot, as a sparse set (Briggs and Torczon, 1993). Adding, finding and removing
/// take constant time, and a walk visits no free position.
///
/// The entries have the first `len` positions. When one is removed, the last one moves to its
/// position. A registration has an index, which does not change. Indices and positions are
/// permutations of the places' numbers, each the inverse of the other:
/// `places[places[i].position].index == i`.
#[derive(Debug, Default)]
struct Entries {
    // A vector would need another word for its capacity, in every bucket of the shard.
    places: Box<[Place]>,
    len: u32,
}

#[derive(Debug)]
struct Place {
    /// The position of the index that is this place's number.
    position: u32,
    /// The index of the position that is this place's number. If the position is free, a later
    /// registration gets the index.
    index: u32,
    /// The entry at this position.
    entry: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: u64,
    job: Watched,
}

/// A watcher's job.
#[derive(Debug)]
enum Watched {
    /// The job has not been removed, or the watcher has read its last snapshot.
    Present {
        generation: u32,
        waker: Option<Waker>,
    },
    /// The job has been removed, and this is its last snapshot.
    Removed(Snapshot),
}

impl Watched {
    fn generation(&self) -> u32 {
        match self {
            Self::Present { generation, .. } => *generation,
            Self::Removed(last) => last.id().generation,
        }
    }

    fn take_waker(&mut self) -> Option<Waker> {
        match self {
            Self::Present { waker, .. } => waker.take(),
            Self::Removed(_) => None,
        }
    }
}

impl Entries {
    /// Adds an entry, and returns its index.
    fn add(&mut self, entry: Entry) -> u32 {
        let len = self.len;
        if len as usize == self.places.len() {
            // Most slots have one watcher, and a capacity above one would be most of a watch's
            // memory.
            let capacity = (2 * len).max(1);
            let mut places = std::mem::take(&mut self.places).into_vec();
            places.reserve_exact((capacity - len) as usize);
            places.extend((len..capacity).map(|number| Place {
                position: number,
                index: number,
                entry: None,
            }));
            self.places = places.into_boxed_slice();
        }
        let place = &mut self.places[len as usize];
        place.entry = Some(entry);
        self.len += 1;
        place.index
    }

    fn find(&mut self, registration: Registration) -> Option<&mut Entry> {
        let position = self.places.get(registration.index as usize)?.position;
        let entry = self.places[position as usize].entry.as_mut();
        // If the registration has left, a later one may have its index.
        entry.filter(|entry| entry.key == registration.key)
    }

    /// Removes an entry. The last entry moves to its position.
    fn remove(&mut self, registration: Registration) -> Option<Entry> {
        self.find(registration)?;
        let index = registration.index;
        let position = self.places[index as usize].position;
        let removed = self.places[position as usize].entry.take();
        self.len -= 1;
        let last = &mut self.places[self.len as usize];
        let (moved_index, moved) = (last.index, last.entry.take());
        self.put(position, moved_index, moved);
        self.put(self.len, index, None);
        removed
    }

    /// Stores an index and its entry at a position.
    fn put(&mut self, position: u32, index: u32, entry: Option<Entry>) {
        let place = &mut self.places[position as usize];
        place.index = index;
        place.entry = entry;
        self.places[index as usize].position = position;
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        let places = &mut self.places[..self.len as usize];
        places.iter_mut().filter_map(|place| place.entry.as_mut())
    }
}

/// The registration of a watcher.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    slot: u32,
    index: u32,
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
            shards: boxed(CachePadded::default),
            next_key: AtomicU64::new(0),
        }
    }

    fn shard(&self, slot: u32) -> &Shard {
        &self.shards[slot as usize % SHARDS]
    }

    // ORDERING: every access to the count of watched slots is SeqCst, in one order with the state
    // words. A watcher raises the count before it loads the state word. A removal steps the state
    // word before it loads the count. One of the two sees the other.

    /// Registers a watcher, without a waker.
    pub(crate) fn enter(&self, slot: u32, generation: u32) -> Registration {
        // ORDERING: Relaxed. Keys only have to differ.
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        let waker = None;
        let job = Watched::Present { generation, waker };
        let shard = self.shard(slot);
        let mut slots = shard.slots.lock();
        let entries = slots.entry(slot).or_default();
        if entries.len == 0 {
            shard.watched.fetch_add(1, Ordering::SeqCst);
        }
        let index = entries.add(Entry { key, job });
        drop(slots);
        Registration { slot, index, key }
    }

    /// Stores `waker` to be woken by the next change, in place of the previous one. Returns the
    /// last snapshot if the job has been removed.
    pub(crate) fn wait(&self, registration: Registration, waker: &Waker) -> Option<Snapshot> {
        // Cloning and dropping a waker is user code: it runs before and after the lock.
        let mut waker = Some(waker.clone());
        let mut slots = self.shard(registration.slot).slots.lock();
        let entry = slots.get_mut(&registration.slot)?.find(registration)?;
        let last = match &mut entry.job {
            Watched::Present { waker: stored, .. } => {
                std::mem::swap(stored, &mut waker);
                None
            }
            Watched::Removed(last) => {
                let (last, waker) = (*last, waker.take());
                let generation = last.id().generation;
                entry.job = Watched::Present { generation, waker };
                Some(last)
            }
        };
        drop(slots);
        drop(waker);
        #[cfg(all(test, environment, not(any(loom, shuttle))))]
        crate::sync::facade::environment::waits();
        last
    }

    /// Removes the registration of a watcher.
    pub(crate) fn leave(&self, registration: Registration) {
        let shard = self.shard(registration.slot);
        let mut slots = shard.slots.lock();
        let Some(entries) = slots.get_mut(&registration.slot) else {
            return;
        };
        let removed = entries.remove(registration);
        let empty = (entries.len == 0).then(|| {
            shard.watched.fetch_sub(1, Ordering::SeqCst);
            slots.remove(&registration.slot)
        });
        drop(slots);
        drop((removed, empty));
    }

    /// Wakes all watchers of the slot, or defers the wakes until this thread releases its lock.
    #[cold]
    fn wake(&self, slot: u32) {
        let mut slots = self.shard(slot).slots.lock();
        let Some(entries) = slots.get_mut(&slot) else {
            return;
        };
        let wakers = entries
            .iter_mut()
            .filter_map(|entry| entry.job.take_waker());
        let wakers: Wakers = wakers.collect();
        drop(slots);
        defer(wakers.into_iter().map(Deferred::Wake));
    }

    /// Stores `last` for every watcher of the removed job, and returns their wakers. Returns `None`
    /// if the slot has no watcher. The caller has stepped the state word.
    #[inline]
    pub(crate) fn take_removed(
        &self,
        slot: u32,
        generation: u32,
        last: &Snapshot,
    ) -> Option<Wakers> {
        if self.shard(slot).watched.load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.take_removed_of(slot, generation, last)
    }

    #[cold]
    fn take_removed_of(&self, slot: u32, generation: u32, last: &Snapshot) -> Option<Wakers> {
        let mut slots = self.shard(slot).slots.lock();
        let entries = slots.get_mut(&slot)?.iter_mut();
        let wakers = entries
            .filter(|entry| entry.job.generation() == generation)
            .filter_map(|entry| {
                let waker = entry.job.take_waker();
                entry.job = Watched::Removed(*last);
                waker
            });
        Some(wakers.collect())
    }

    /// Returns slot and generation of every watcher, and the number of slots with an empty list.
    #[cfg(test)]
    pub(crate) fn census(&self) -> (Vec<(u32, u32)>, usize) {
        let (mut watchers, mut empty) = (Vec::new(), 0);
        for shard in self.shards.iter() {
            let mut slots = shard.slots.lock();
            assert_eq!(shard.watched.load(Ordering::SeqCst), slots.len() as u64);
            for (&slot, entries) in &mut *slots {
                empty += usize::from(entries.len == 0);
                let entries = entries.iter_mut();
                watchers.extend(entries.map(|entry| (slot, entry.job.generation())));
            }
        }
        (watchers, empty)
    }

    /// Returns all wakers, for a registry that is dropped.
    pub(crate) fn take_all(&mut self) -> Wakers {
        let drain = |shard: &CachePadded<Shard>| std::mem::take(&mut *shard.slots.lock());
        let places = self
            .shards
            .iter()
            .map(drain)
            .flat_map(HashMap::into_values)
            .flat_map(|entries| entries.places);
        let entries = places.filter_map(|place| place.entry);
        entries
            .filter_map(|mut entry| entry.job.take_waker())
            .collect()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "watchers_tests.rs"]
mod tests;
