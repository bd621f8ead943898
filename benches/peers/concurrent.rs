//! Peers without one lock around all jobs: concurrent maps, a slab, a cache and a channel. The
//! limit is here, too.

use crate::peer::{Atomics, JobStore, JobStoreMut, Record};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A hasher for `DashMap`, with the peer's name.
pub trait Named: BuildHasher + Default + Clone + Send + Sync + 'static {
    const DASHMAP: &'static str;
}
impl Named for RandomState {
    const DASHMAP: &'static str = "dashmap_sip";
}
impl Named for foldhash::fast::RandomState {
    const DASHMAP: &'static str = "dashmap_foldhash";
}

pub struct DashMap<S>(pub dashmap::DashMap<u64, Record, S>);

impl<S: Named> JobStore<Record> for DashMap<S> {
    const NAME: &'static str = S::DASHMAP;
    type Key = u64;

    fn new(jobs: usize) -> Self {
        let map = dashmap::DashMap::with_capacity_and_hasher(jobs, S::default());
        Self(map)
    }
    fn insert(&self, item: Record, random: u64) -> u64 {
        self.0.insert(random, item);
        random
    }
    fn read<R>(&self, key: &u64, f: impl FnOnce(&Record) -> R) -> Option<R> {
        self.0.get(key).map(|job| f(&job))
    }
    fn remove_if(&self, key: &u64, f: impl FnOnce(&Record) -> bool) -> bool {
        self.0.remove_if(key, |_, job| f(job)).is_some()
    }
}

impl<S: Named> JobStoreMut for DashMap<S> {
    fn write<R>(&self, key: &u64, f: impl FnOnce(&mut Record) -> R) -> Option<R> {
        self.0.get_mut(key).map(|mut job| f(&mut job))
    }
}

pub struct Scc(scc::HashMap<u64, Record, foldhash::fast::RandomState>);

impl JobStore<Record> for Scc {
    const NAME: &'static str = "scc";
    type Key = u64;

    fn new(jobs: usize) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        Self(scc::HashMap::with_capacity_and_hasher(jobs, hasher))
    }
    fn insert(&self, item: Record, random: u64) -> u64 {
        let _ = self.0.insert_sync(random, item);
        random
    }
    fn read<R>(&self, key: &u64, f: impl FnOnce(&Record) -> R) -> Option<R> {
        self.0.read_sync(key, |_, job| f(job))
    }
    fn remove_if(&self, key: &u64, f: impl FnOnce(&Record) -> bool) -> bool {
        self.0.remove_if_sync(key, |job| f(job)).is_some()
    }
}

impl JobStoreMut for Scc {
    fn write<R>(&self, key: &u64, f: impl FnOnce(&mut Record) -> R) -> Option<R> {
        self.0.update_sync(key, |_, job| f(job))
    }
}

/// A lock-free map. It lends shared references only, so the jobs are atomic words.
pub struct Papaya(papaya::HashMap<u64, Atomics, foldhash::fast::RandomState>);

impl JobStore<Atomics> for Papaya {
    const NAME: &'static str = "papaya";
    type Key = u64;

    fn new(jobs: usize) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        Self(papaya::HashMap::with_capacity_and_hasher(jobs, hasher))
    }
    fn insert(&self, item: Atomics, random: u64) -> u64 {
        self.0.pin().insert(random, item);
        random
    }
    fn read<R>(&self, key: &u64, f: impl FnOnce(&Atomics) -> R) -> Option<R> {
        self.0.pin().get(key).map(f)
    }
    fn remove_if(&self, key: &u64, f: impl FnOnce(&Atomics) -> bool) -> bool {
        let map = self.0.pin();
        map.get(key).is_some_and(f) && map.remove(key).is_some()
    }
}

/// A sharded slab. It lends shared references only, so the jobs are atomic words. Its keys can be
/// guessed.
pub struct Slab(sharded_slab::Slab<Atomics>);

impl JobStore<Atomics> for Slab {
    const NAME: &'static str = "sharded_slab";
    type Key = usize;

    fn new(_: usize) -> Self {
        Self(sharded_slab::Slab::new())
    }
    fn insert(&self, item: Atomics, _: u64) -> usize {
        self.0.insert(item).expect("room")
    }
    fn read<R>(&self, key: &usize, f: impl FnOnce(&Atomics) -> R) -> Option<R> {
        self.0.get(*key).map(|job| f(&job))
    }
    fn remove_if(&self, key: &usize, f: impl FnOnce(&Atomics) -> bool) -> bool {
        self.0.get(*key).is_some_and(|job| f(&job)) && self.0.remove(*key)
    }
}

/// A cache with a time to live. Its documentation advises an `Arc` for values that are written in
/// place.
pub struct Moka(moka::sync::Cache<u64, Arc<parking_lot::Mutex<Record>>>);

impl JobStore<Record> for Moka {
    const NAME: &'static str = "moka";
    type Key = u64;

    fn new(_: usize) -> Self {
        let cache = moka::sync::Cache::builder().time_to_live(Duration::from_hours(1));
        Self(cache.build())
    }
    fn insert(&self, item: Record, random: u64) -> u64 {
        self.0
            .insert(random, Arc::new(parking_lot::Mutex::new(item)));
        random
    }
    fn read<R>(&self, key: &u64, f: impl FnOnce(&Record) -> R) -> Option<R> {
        self.0.get(key).map(|job| f(&job.lock()))
    }
    fn remove_if(&self, key: &u64, f: impl FnOnce(&Record) -> bool) -> bool {
        let is_ended = self.0.get(key).is_some_and(|job| f(&job.lock()));
        is_ended && self.0.remove(key).is_some()
    }
}

impl JobStoreMut for Moka {
    fn write<R>(&self, key: &u64, f: impl FnOnce(&mut Record) -> R) -> Option<R> {
        self.0.get(key).map(|job| f(&mut job.lock()))
    }
}

/// A channel for each job, without a look-up.
pub struct Watch;

impl JobStore<Record> for Watch {
    const NAME: &'static str = "tokio_watch";
    type Key = Arc<watch::Sender<Record>>;

    fn new(_: usize) -> Self {
        Self
    }
    fn insert(&self, item: Record, _: u64) -> Self::Key {
        Arc::new(watch::Sender::new(item))
    }
    fn read<R>(&self, key: &Self::Key, f: impl FnOnce(&Record) -> R) -> Option<R> {
        Some(f(&key.borrow()))
    }
    fn remove_if(&self, key: &Self::Key, f: impl FnOnce(&Record) -> bool) -> bool {
        f(&key.borrow())
    }
}

impl JobStoreMut for Watch {
    fn write<R>(&self, key: &Self::Key, f: impl FnOnce(&mut Record) -> R) -> Option<R> {
        let mut result = None;
        key.send_modify(|job| result = Some(f(job)));
        result
    }
}

/// The limit: each call has a reference to the job's words and needs no look-up.
pub struct Limit;

impl JobStore<Atomics> for Limit {
    const NAME: &'static str = "limit";
    const IS_LIMIT: bool = true;
    type Key = Arc<Atomics>;

    fn new(_: usize) -> Self {
        Self
    }
    fn insert(&self, item: Atomics, _: u64) -> Self::Key {
        Arc::new(item)
    }
    fn read<R>(&self, key: &Self::Key, f: impl FnOnce(&Atomics) -> R) -> Option<R> {
        Some(f(key))
    }
    fn remove_if(&self, key: &Self::Key, f: impl FnOnce(&Atomics) -> bool) -> bool {
        f(key)
    }
}
