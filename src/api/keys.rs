//! [`Keys`]: registration once for each key.

use crate::api::job::Job;
use crate::api::registry::JobRegistry;
use crate::core::registry_state::RegistryState;
use crate::slots::free_list::NoSlot;
use crate::sync::cache_padded::CachePadded;
use crate::sync::deferred::LockPermit;
use crate::sync::{Arc, MODELLED, Mutex};
use crate::telemetry::{Event, emit, refused};
use crate::types::clock::millis;
use crate::types::error::RegisterError;
use crate::types::id::{JobId, secret_key};
use crate::types::options::Options;
use siphasher::sip128::SipHasher24;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::Duration;

/// Number of shards. In models there are two, so that keys share a shard, and others do not.
const SHARDS: usize = if MODELLED { 2 } else { 16 };
/// Number of entries below which a shard is not purged.
const FEW: usize = 32;

/// A client's name for a request, such as the value of an `Idempotency-Key` header; see [`Keys`].
///
/// Any bytes are a key, also none. Where several tenants share a registry, the tenant is part of
/// the bytes.
#[derive(Clone)]
pub struct Key {
    bytes: Box<[u8]>,
    fingerprint: Option<Box<[u8]>>,
}

impl Key {
    /// Returns the key of these bytes, which are copied.
    #[must_use]
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self {
            bytes: bytes.as_ref().into(),
            fingerprint: None,
        }
    }

    /// Adds what the key stands for: the request's body, or a digest of it. A key that is known
    /// with another fingerprint, or without one, is a [`Mismatch`](Once::Mismatch). The bytes are
    /// copied.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Key, KeyLife, Keys, Once};
    ///
    /// let keys = Keys::new(JobRegistry::new(), KeyLife::UntilRemoved);
    /// let key = Key::new("order 66");
    /// let _first = keys.register(key.clone().fingerprint("10 slides"), "deck")?;
    /// let second = keys.register(key.fingerprint("12 slides"), "deck")?;
    /// assert!(matches!(second, Once::Mismatch { payload: "deck" }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fingerprint(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.fingerprint = Some(bytes.as_ref().into());
        self
    }

    /// Returns the bytes of the key, for another registry with keys.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes of the fingerprint, if there is one.
    ///
    /// ```
    /// use job_registry::Key;
    ///
    /// let key = Key::new("order 66").fingerprint("10 slides");
    /// assert_eq!(key.as_bytes(), b"order 66");
    /// assert_eq!(key.as_fingerprint(), Some(&b"10 slides"[..]));
    /// ```
    #[must_use]
    pub fn as_fingerprint(&self) -> Option<&[u8]> {
        self.fingerprint.as_deref()
    }
}

impl fmt::Debug for Key {
    /// Prints no bytes: a key may be a client's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("len", &self.bytes.len())
            .field("has_fingerprint", &self.fingerprint.is_some())
            .finish_non_exhaustive()
    }
}

/// Time for which a key leads to its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyLife {
    /// Until the job ends. The key of an ended job registers a new job. At most one job of a key is
    /// live at a time, unless an earlier job of the key is retried.
    WhileLive,
    /// Until the job is removed. A client that repeats its request after the end gets the id of the
    /// job that has its result.
    UntilRemoved,
}

/// Result of [`Keys::register`].
pub enum Once<T: Send + 'static> {
    /// The key led to no job. The payload is registered, and this owns the job.
    New(Job<T>),
    /// The key leads to a job. Nothing is registered.
    Existing {
        /// The job of the key.
        id: JobId,
        /// The payload that was not registered.
        payload: T,
    },
    /// The key leads to a job that was registered with another fingerprint. Nothing is registered.
    /// For HTTP: 422.
    Mismatch {
        /// The payload that was not registered.
        payload: T,
    },
}

// There is no bound `T: Debug`, as for `RegisterError`.
impl<T: Send + 'static> fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(job) => f.debug_tuple("New").field(&job.id()).finish(),
            Self::Existing { id, .. } => f
                .debug_struct("Existing")
                .field("id", id)
                .finish_non_exhaustive(),
            Self::Mismatch { .. } => f.debug_struct("Mismatch").finish_non_exhaustive(),
        }
    }
}

/// Registers at most one job for each key, so that a client may repeat a request. It is cheap to
/// clone, and its clones have the same keys.
///
/// * Of any number of concurrent registrations with one key, exactly one is [`New`](Once::New). All
///   others get its id, and need no room of their own.
/// * A key never leads to a job that had been removed when the call began.
/// * A registration is refused only at an instant at which its key leads to no job. It leaves no
///   key.
/// * A known key leads to its job also while the registry is full or closed.
///
/// A key leads to its job through retries. Jobs that are registered without a key are not affected.
/// Two `Keys` of one registry know nothing of each other. The registry lives as long as its `Keys`.
///
/// # Memory
///
/// A key is stored as a digest of 128 bits (SipHash-2-4 under a random key), and a fingerprint as
/// another. Different keys are confused with a probability of 2⁻¹²⁸ for each pair, and a client
/// cannot look for such pairs. A key of any length takes 48 bytes in a hash table, 56 to 112 with
/// the table's free entries.
///
/// Keys of removed jobs are purged when a registration finds that their shard has twice as many
/// keys as after its last purge, and at least 32. A shard, of which there are 16, therefore has at
/// most 32 keys, or twice as many as it had jobs at its last purge. [`purge`](Self::purge) purges
/// all shards now.
///
/// # Locking
///
/// The shard of a key has a lock, which is held for a look-up and a registration, and for a purge.
/// No user code runs under it, and no job's lock is waited for.
///
/// ```
/// use job_registry::{JobRegistry, Key, KeyLife, Keys, Once};
///
/// let jobs = JobRegistry::new();
/// let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
/// let Once::New(job) = keys.register(Key::new("order 66"), "deck")? else {
///     unreachable!("the key is new")
/// };
/// // The client's connection broke, and it repeats its request.
/// match keys.register(Key::new("order 66"), "deck")? {
///     Once::Existing { id, payload } => assert_eq!((id, payload), (job.id(), "deck")),
///     other => unreachable!("{other:?}"),
/// }
/// assert_eq!(jobs.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Keys<T: Send + 'static>(Arc<State<T>>);

struct State<T: Send + 'static> {
    jobs: JobRegistry<T>,
    life: KeyLife,
    hasher: SipHasher24,
    shards: [CachePadded<Mutex<Shard>>; SHARDS],
}

/// The keys of a shard. Its lock is held while an empty slot is taken and its job is published:
/// neither runs user code nor waits for a job's lock.
#[derive(Default)]
struct Shard {
    entries: HashMap<Digest, Entry, BuildHasherDefault<DigestHasher>>,
    /// Number of entries after the last purge.
    purged: usize,
}

/// A job's id, and the digest of the fingerprint. All zeros stand for none.
#[derive(Clone, Copy)]
struct Entry {
    id: JobId,
    fingerprint: Digest,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Digest(u64, u64);

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Returns a digest as its own hash: its bits are already indistinguishable from random ones.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a digest is written as a number")
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Shard {
    /// Drops the keys of removed jobs. An ended job keeps its key: it may be retried.
    fn purge<T>(&mut self, registry: &RegistryState<T>) {
        let is_there = |entry: &Entry| registry.snapshot_by_id(entry.id).is_ok();
        self.entries.retain(|_, entry| is_there(entry));
        self.purged = self.entries.len();
        self.entries.shrink_to(2 * self.purged);
    }
}

impl<T: Send + 'static> Keys<T> {
    /// Returns the keys of a registry, with no key yet.
    ///
    /// # Panics
    ///
    /// If the operating system's random generator fails.
    #[must_use]
    pub fn new(jobs: JobRegistry<T>, life: KeyLife) -> Self {
        Self(Arc::new(State {
            jobs,
            life,
            hasher: SipHasher24::new_with_key(&secret_key()),
            shards: std::array::from_fn(|_| CachePadded::default()),
        }))
    }

    /// Returns the registry in which the keys' jobs are.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn registry(&self) -> &JobRegistry<T> {
        &self.0.jobs
    }

    /// Registers a pending job, as [`JobRegistry::register`] does, unless the key leads to a job
    /// whose [`KeyLife`] goes on. The payload comes back if it is not registered.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::register`]. The key then leads to no job.
    ///
    /// # Locking
    ///
    /// Takes no job's lock, and works under a guard. Waits for other registrations in the same
    /// shard. Due jobs are removed as the builder's
    /// [`sweep_on_register`](crate::Builder::sweep_on_register) and
    /// [`when_full`](crate::Builder::when_full) ask for, while no key is locked. A registration that
    /// has made room may then find that another one has registered its key. It leaves the room to
    /// later registrations.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Key, KeyLife, Keys, Once};
    ///
    /// let keys = Keys::new(JobRegistry::new(), KeyLife::WhileLive);
    /// let key = Key::new([0x66]);
    /// if let Once::New(job) = keys.register(key.clone(), "deck")? {
    ///     job.cancel()?;
    /// }
    /// assert!(matches!(keys.register(key, "deck")?, Once::New(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register(&self, key: Key, payload: T) -> Result<Once<T>, RegisterError<T>> {
        self.register_with(key, payload, Options::new())
    }

    /// Registers a pending job with limits of its own, as [`register`](Self::register) does. An
    /// existing job keeps its limits.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    ///
    /// # Locking
    ///
    /// As [`register`](Self::register).
    pub fn register_with(
        &self,
        key: Key,
        payload: T,
        options: Options,
    ) -> Result<Once<T>, RegisterError<T>> {
        let Key { bytes, fingerprint } = key;
        let (key, fingerprint) = (
            self.digest(&bytes),
            fingerprint.map_or_else(Digest::default, |bytes| self.digest(&bytes)),
        );
        let registry = &*self.0.jobs.state;
        // The clock is read before the lock, because it is user code.
        let (mut now, mut payload) = (registry.sweep_to_register(), payload);
        let once = loop {
            match self.register_at(now, (key, fingerprint), payload, options) {
                Err(RegisterError::Full(back)) if registry.make_room(millis(now)) => {
                    (now, payload) = (registry.timeline.elapsed(), back);
                }
                once => break refused("register", None, once)?,
            }
        };
        if let Once::New(job) = &once {
            // If this panics, the job has an owner, whose drop fails it.
            emit(|| Event::Registered { id: job.id() });
        }
        Ok(once)
    }

    /// Looks the key up and registers the job under one hold of the shard's lock. If the slot were
    /// reserved before that, concurrent registrations of one key could fill the registry.
    fn register_at(
        &self,
        now: Duration,
        (key, fingerprint): (Digest, Digest),
        payload: T,
        options: Options,
    ) -> Result<Once<T>, RegisterError<T>> {
        let registry = &*self.0.jobs.state;
        // Defers the wakers of a decision that a look-up settles. Under a guard, the guard does.
        let permit = LockPermit::enter();
        let mut shard = self.shard(key).lock();
        let known = shard.entries.get(&key).filter(|it| self.is_valid(it.id));
        let once = match known {
            Some(known) if known.fingerprint != fingerprint => Ok(Once::Mismatch { payload }),
            Some(known) => Ok(Once::Existing {
                id: known.id,
                payload,
            }),
            None => match registry.reserve() {
                Err(NoSlot::Full) => Err(RegisterError::Full(payload)),
                Err(NoSlot::Closed) => Err(RegisterError::Closed(payload)),
                Ok(reservation) => {
                    if shard.entries.len() >= FEW.max(2 * shard.purged) {
                        shard.purge(registry);
                    }
                    let fenced = registry.publish(reservation, payload, options, now);
                    fenced.map(|fenced| {
                        let id = fenced.id();
                        shard.entries.insert(key, Entry { id, fingerprint });
                        Once::New(Job::new(self.0.jobs.clone(), fenced))
                    })
                }
            },
        };
        drop(shard);
        drop(permit);
        once
    }

    /// Returns whether a key leads to its job now.
    fn is_valid(&self, id: JobId) -> bool {
        let seen = self.0.jobs.state.snapshot_by_id(id);
        seen.is_ok_and(|seen| match self.0.life {
            KeyLife::WhileLive => !seen.status().is_ended(),
            KeyLife::UntilRemoved => true,
        })
    }

    /// Drops the keys of removed jobs and frees their memory. Registrations do so, too, but later.
    ///
    /// # Locking
    ///
    /// Locks one shard after the other, for a look-up of each of its keys. Takes no job's lock.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Key, KeyLife, Keys, Once};
    ///
    /// let jobs = JobRegistry::new();
    /// let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
    /// if let Once::New(job) = keys.register(Key::new("order 66"), "deck")? {
    ///     job.cancel()?;
    ///     jobs.remove(job.id())?;
    /// }
    /// assert_eq!(keys.len(), 1);
    /// keys.purge();
    /// assert!(keys.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn purge(&self) {
        for shard in &self.0.shards {
            // Dropped after the shard's lock; see `register_at`.
            let _permit = LockPermit::enter();
            shard.lock().purge(&self.0.jobs.state);
        }
    }

    /// Returns the number of stored keys, including those of ended and removed jobs until they are
    /// purged.
    ///
    /// # Locking
    ///
    /// Locks one shard after the other.
    #[must_use]
    pub fn len(&self) -> usize {
        let shards = self.0.shards.iter();
        shards.map(|shard| shard.lock().entries.len()).sum()
    }

    /// Returns whether no key is stored.
    ///
    /// # Locking
    ///
    /// As [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn digest(&self, bytes: &[u8]) -> Digest {
        let (first, second) = self.0.hasher.hash(bytes).as_u64();
        Digest(first, second)
    }

    #[allow(clippy::cast_possible_truncation)] // any bits select a shard
    fn shard(&self, key: Digest) -> &Mutex<Shard> {
        &self.0.shards[key.1 as usize % SHARDS]
    }
}

impl<T: Send + 'static> Clone for Keys<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + 'static> fmt::Debug for Keys<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("life", &self.0.life)
            .field("jobs", &self.0.jobs)
            .finish_non_exhaustive()
    }
}
