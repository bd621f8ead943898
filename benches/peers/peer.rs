//! The calls that are compared, and their implementations for peers.
//!
//! A peer is a [`JobStore`]. If it lends its jobs for writing, they are plain [`Record`]s.
//! Otherwise they are [`Atomics`], which are written through a shared reference. The calls are
//! implemented once for each of the two.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub const MAX_PPM: u32 = 1_000_000;
pub const PENDING: u8 = 0;
pub const RUNNING: u8 = 1;
pub const COMPLETED: u8 = 2;
pub type Payload = [u8; 16];

/// The calls of a contender. Each step is checked, and returns its result or whether it was
/// accepted.
pub trait Peer: Send + Sync + Sized + 'static {
    const NAME: &'static str;
    /// Whether this is the limit, which has no look-up and does not support every call.
    const IS_LIMIT: bool = false;
    type Key: Send + Sync;

    fn new(jobs: usize) -> Self;
    /// Registers a job. `random` determines its id.
    fn register(&self, random: u64) -> Self::Key;
    fn start(&self, key: &Self::Key) -> bool;
    fn advance(&self, key: &Self::Key, ppm: u32) -> Option<u32>;
    /// Returns the status, the progress and whether there was a heartbeat.
    fn snapshot(&self, key: &Self::Key) -> Option<(u8, u32, bool)>;
    fn heartbeat(&self, key: &Self::Key) -> bool;
    /// Increments a counter in the payload.
    fn update(&self, key: &Self::Key) -> bool;
    fn complete(&self, key: &Self::Key) -> bool;
    /// Removes the job if it has ended.
    fn remove(&self, key: &Self::Key) -> bool;
}

/// A job as plain data.
#[derive(Clone, Debug)]
pub struct Record {
    pub status: u8,
    pub progress: u32,
    pub heartbeat_at: Instant,
    /// Times of registration, start and end.
    pub times: [Instant; 3],
    pub payload: Payload,
}

impl Record {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            status: PENDING,
            progress: 0,
            heartbeat_at: now,
            times: [now; 3],
            payload: [0; 16],
        }
    }

    pub fn step(&mut self, from: u8, to: u8) -> bool {
        let is_legal = self.status == from;
        if is_legal {
            self.status = to;
            self.times[usize::from(to)] = Instant::now();
        }
        is_legal
    }

    pub fn advance(&mut self, ppm: u32) -> Option<u32> {
        if self.status != RUNNING {
            return None;
        }
        self.progress = self.progress.max(ppm.min(MAX_PPM));
        Some(self.progress)
    }

    pub fn heartbeat(&mut self) -> bool {
        let is_live = self.status <= RUNNING;
        if is_live {
            self.heartbeat_at = Instant::now();
        }
        is_live
    }
}

/// A job in atomic words. The status is in the upper half of `state`, the progress in the lower.
#[derive(Debug)]
pub struct Atomics {
    state: AtomicU64,
    heartbeat_at: AtomicU64,
    /// Times of registration, start and end, in nanoseconds.
    times: [AtomicU64; 3],
    pub payload: Mutex<Payload>,
    origin: Instant,
}

impl Atomics {
    pub fn new(origin: Instant) -> Self {
        let now = origin.elapsed().as_nanos() as u64;
        Self {
            state: AtomicU64::new(0),
            heartbeat_at: AtomicU64::new(now.max(1)),
            times: [now, 0, 0].map(AtomicU64::new),
            payload: Mutex::new([0; 16]),
            origin,
        }
    }

    pub fn state(&self) -> (u8, u32) {
        let word = self.state.load(Ordering::Acquire);
        ((word >> 32) as u8, word as u32)
    }

    pub fn step(&self, from: u8, to: u8) -> bool {
        let mut word = self.state.load(Ordering::Acquire);
        while (word >> 32) as u8 == from {
            let next = u64::from(to) << 32 | (word & 0xffff_ffff);
            match self
                .state
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    let now = self.origin.elapsed().as_nanos() as u64;
                    self.times[usize::from(to)].store(now, Ordering::Release);
                    return true;
                }
                Err(now) => word = now,
            }
        }
        false
    }

    pub fn advance(&self, ppm: u32) -> Option<u32> {
        let ppm = ppm.min(MAX_PPM);
        let mut word = self.state.load(Ordering::Acquire);
        loop {
            if (word >> 32) as u8 != RUNNING {
                return None;
            }
            if word as u32 >= ppm {
                return Some(word as u32);
            }
            let next = word & !0xffff_ffff | u64::from(ppm);
            match self
                .state
                .compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(ppm),
                Err(now) => word = now,
            }
        }
    }

    pub fn snapshot(&self) -> (u8, u32, bool) {
        let (status, progress) = self.state();
        (
            status,
            progress,
            self.heartbeat_at.load(Ordering::Acquire) > 0,
        )
    }

    /// Makes the given number of compare-exchanges. A peer needs one, and the limit makes three.
    pub fn heartbeat(&self, exchanges: usize) -> bool {
        if self.state().0 > RUNNING {
            return false;
        }
        let now = self.origin.elapsed().as_nanos() as u64;
        for offset in 0..exchanges as u64 {
            let last = self.heartbeat_at.load(Ordering::Acquire);
            let to = last.max(now) + offset;
            let _ =
                self.heartbeat_at
                    .compare_exchange(last, to, Ordering::AcqRel, Ordering::Acquire);
        }
        true
    }
}

/// A container of jobs, with look-up by key.
pub trait JobStore<I>: Send + Sync + Sized + 'static {
    const NAME: &'static str;
    const IS_LIMIT: bool = false;
    type Key: Send + Sync;
    fn new(jobs: usize) -> Self;
    fn insert(&self, item: I, random: u64) -> Self::Key;
    fn read<R>(&self, key: &Self::Key, f: impl FnOnce(&I) -> R) -> Option<R>;
    /// Removes the job if it exists and `f` returns true. Returns whether it was removed.
    fn remove_if(&self, key: &Self::Key, f: impl FnOnce(&I) -> bool) -> bool;
}

/// A container that lends its records for writing.
pub trait JobStoreMut: JobStore<Record> {
    fn write<R>(&self, key: &Self::Key, f: impl FnOnce(&mut Record) -> R) -> Option<R>;
}

/// A peer whose jobs are records.
pub struct InRecords<K>(pub K);

impl<K: JobStoreMut> Peer for InRecords<K> {
    const NAME: &'static str = K::NAME;
    const IS_LIMIT: bool = K::IS_LIMIT;
    type Key = K::Key;

    fn new(jobs: usize) -> Self {
        Self(K::new(jobs))
    }
    fn register(&self, random: u64) -> K::Key {
        self.0.insert(Record::new(), random)
    }
    fn start(&self, key: &K::Key) -> bool {
        let step = self.0.write(key, |job| job.step(PENDING, RUNNING));
        step.unwrap_or(false)
    }
    fn advance(&self, key: &K::Key, ppm: u32) -> Option<u32> {
        self.0.write(key, |job| job.advance(ppm))?
    }
    fn snapshot(&self, key: &K::Key) -> Option<(u8, u32, bool)> {
        self.0.read(key, |job| (job.status, job.progress, true))
    }
    fn heartbeat(&self, key: &K::Key) -> bool {
        self.0.write(key, Record::heartbeat).unwrap_or(false)
    }
    fn update(&self, key: &K::Key) -> bool {
        let count = |job: &mut Record| {
            job.payload[0] = job.payload[0].wrapping_add(1);
            job.status <= RUNNING
        };
        self.0.write(key, count).unwrap_or(false)
    }
    fn complete(&self, key: &K::Key) -> bool {
        let complete = |job: &mut Record| {
            job.progress = MAX_PPM;
            job.step(RUNNING, COMPLETED)
        };
        self.0.write(key, complete).unwrap_or(false)
    }
    fn remove(&self, key: &K::Key) -> bool {
        self.0.remove_if(key, |job| job.status > RUNNING)
    }
}

/// A peer whose jobs are atomic words.
pub struct InAtomics<K> {
    pub store: K,
    origin: Instant,
}

impl<K: JobStore<Atomics>> Peer for InAtomics<K> {
    const NAME: &'static str = K::NAME;
    const IS_LIMIT: bool = K::IS_LIMIT;
    type Key = K::Key;

    fn new(jobs: usize) -> Self {
        Self {
            store: K::new(jobs),
            origin: Instant::now(),
        }
    }
    fn register(&self, random: u64) -> K::Key {
        self.store.insert(Atomics::new(self.origin), random)
    }
    fn start(&self, key: &K::Key) -> bool {
        let step = self.store.read(key, |job| job.step(PENDING, RUNNING));
        step.unwrap_or(false)
    }
    fn advance(&self, key: &K::Key, ppm: u32) -> Option<u32> {
        self.store.read(key, |job| job.advance(ppm))?
    }
    fn snapshot(&self, key: &K::Key) -> Option<(u8, u32, bool)> {
        self.store.read(key, Atomics::snapshot)
    }
    fn heartbeat(&self, key: &K::Key) -> bool {
        let exchanges = if K::IS_LIMIT { 3 } else { 1 };
        let is_recorded = self.store.read(key, |job| job.heartbeat(exchanges));
        is_recorded.unwrap_or(false)
    }
    fn update(&self, key: &K::Key) -> bool {
        let count = |job: &Atomics| {
            let mut payload = job.payload.lock();
            payload[0] = payload[0].wrapping_add(1);
            job.state().0 <= RUNNING
        };
        self.store.read(key, count).unwrap_or(false)
    }
    fn complete(&self, key: &K::Key) -> bool {
        let step = self.store.read(key, |job| job.step(RUNNING, COMPLETED));
        step.unwrap_or(false)
    }
    fn remove(&self, key: &K::Key) -> bool {
        self.store.remove_if(key, |job| job.state().0 > RUNNING)
    }
}
