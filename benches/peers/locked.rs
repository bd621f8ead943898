//! Peers with mutexes: the guide's design, maps in one mutex, and a mutex for each job.

use crate::peer::{JobStore, JobStoreMut, Record};
use slotmap::{DefaultKey, SlotMap};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The guide's design: one async mutex around a map by textual id.
pub struct Guide(tokio::sync::Mutex<HashMap<String, Record>>);

impl Guide {
    /// Acquires the lock without a scheduler, by polling until it is free. This favours the peer,
    /// because polling is far cheaper than parking the thread.
    fn lock(&self) -> tokio::sync::MutexGuard<'_, HashMap<String, Record>> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut lock = pin!(self.0.lock());
        loop {
            for _ in 0..64 {
                if let Poll::Ready(guard) = lock.as_mut().poll(&mut cx) {
                    return guard;
                }
                std::hint::spin_loop();
            }
            // The holder of the lock may be waiting for a processor.
            std::thread::yield_now();
        }
    }
}

impl JobStore<Record> for Guide {
    const NAME: &'static str = "guide";
    type Key = Arc<str>;

    fn new(jobs: usize) -> Self {
        Self(tokio::sync::Mutex::new(HashMap::with_capacity(jobs)))
    }
    fn insert(&self, item: Record, random: u64) -> Arc<str> {
        // The name is as long as a UUID in text form.
        let mut name = String::with_capacity(36);
        let _ = write!(name, "{random:016x}-{:019x}", !random);
        let key = name.as_str().into();
        self.lock().insert(name, item);
        key
    }
    fn read<R>(&self, key: &Arc<str>, f: impl FnOnce(&Record) -> R) -> Option<R> {
        self.lock().get(&**key).map(f)
    }
    fn remove_if(&self, key: &Arc<str>, f: impl FnOnce(&Record) -> bool) -> bool {
        let mut map = self.lock();
        map.get(&**key).is_some_and(f) && map.remove(&**key).is_some()
    }
}

impl JobStoreMut for Guide {
    fn write<R>(&self, key: &Arc<str>, f: impl FnOnce(&mut Record) -> R) -> Option<R> {
        self.lock().get_mut(&**key).map(f)
    }
}

macro_rules! mutexed_map {
    ($name:ident, $shown:literal, $mutex:ty, $lock:expr) => {
        pub struct $name($mutex);

        impl JobStore<Record> for $name {
            const NAME: &'static str = $shown;
            type Key = u64;

            fn new(jobs: usize) -> Self {
                Self(<$mutex>::new(HashMap::with_capacity(jobs)))
            }
            fn insert(&self, item: Record, random: u64) -> u64 {
                $lock(&self.0).insert(random, item);
                random
            }
            fn read<R>(&self, key: &u64, f: impl FnOnce(&Record) -> R) -> Option<R> {
                $lock(&self.0).get(key).map(f)
            }
            fn remove_if(&self, key: &u64, f: impl FnOnce(&Record) -> bool) -> bool {
                let mut map = $lock(&self.0);
                map.get(key).is_some_and(f) && map.remove(key).is_some()
            }
        }

        impl JobStoreMut for $name {
            fn write<R>(&self, key: &u64, f: impl FnOnce(&mut Record) -> R) -> Option<R> {
                $lock(&self.0).get_mut(key).map(f)
            }
        }
    };
}

type Map = HashMap<u64, Record>;

fn lock_std(map: &std::sync::Mutex<Map>) -> std::sync::MutexGuard<'_, Map> {
    map.lock()
        .expect("no thread panics while it holds the lock")
}

mutexed_map!(StdMutex, "std_mutex_map", std::sync::Mutex<Map>, lock_std);
mutexed_map!(
    ParkingLot,
    "parking_lot_map",
    parking_lot::Mutex<Map>,
    parking_lot::Mutex::lock
);

/// A slot map in a mutex. Its keys are an index and a generation, as in this crate.
pub struct Slots(parking_lot::Mutex<SlotMap<DefaultKey, Record>>);

impl JobStore<Record> for Slots {
    const NAME: &'static str = "mutex_slotmap";
    type Key = DefaultKey;

    fn new(jobs: usize) -> Self {
        Self(parking_lot::Mutex::new(SlotMap::with_capacity(jobs)))
    }
    fn insert(&self, item: Record, _: u64) -> DefaultKey {
        self.0.lock().insert(item)
    }
    fn read<R>(&self, key: &DefaultKey, f: impl FnOnce(&Record) -> R) -> Option<R> {
        self.0.lock().get(*key).map(f)
    }
    fn remove_if(&self, key: &DefaultKey, f: impl FnOnce(&Record) -> bool) -> bool {
        let mut slots = self.0.lock();
        slots.get(*key).is_some_and(f) && slots.remove(*key).is_some()
    }
}

impl JobStoreMut for Slots {
    fn write<R>(&self, key: &DefaultKey, f: impl FnOnce(&mut Record) -> R) -> Option<R> {
        self.0.lock().get_mut(*key).map(f)
    }
}

/// A mutex for each job, without a look-up: for `same_job` and `advance_by_handle`.
pub struct MutexPerJob;

impl JobStore<Record> for MutexPerJob {
    const NAME: &'static str = "parking_lot_job";
    type Key = Arc<parking_lot::Mutex<Record>>;

    fn new(_: usize) -> Self {
        Self
    }
    fn insert(&self, item: Record, _: u64) -> Self::Key {
        Arc::new(parking_lot::Mutex::new(item))
    }
    fn read<R>(&self, key: &Self::Key, f: impl FnOnce(&Record) -> R) -> Option<R> {
        Some(f(&key.lock()))
    }
    fn remove_if(&self, key: &Self::Key, f: impl FnOnce(&Record) -> bool) -> bool {
        f(&key.lock())
    }
}

impl JobStoreMut for MutexPerJob {
    fn write<R>(&self, key: &Self::Key, f: impl FnOnce(&mut Record) -> R) -> Option<R> {
        Some(f(&mut key.lock()))
    }
}
