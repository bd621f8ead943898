//! [`Followers`]: one reader for each watched job of a process, and the subscription that wakes it.

use crate::error::Error;
use crate::store::{Part, Store, jittered, rest};
use futures_util::StreamExt;
use job_registry::{Error as Refusal, JobId, Snapshot};
use redis::aio::{PubSub, PubSubSink};
use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

/// Time after which a watched job is read without a hint.
const WITHOUT_HINT: Duration = Duration::from_secs(5);

/// A watched job as it was last read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// Not read yet.
    Nothing,
    /// In the store.
    Present(Snapshot),
    /// Removed, with its last state if it is known.
    Removed(Option<Snapshot>),
}

/// Result of a reading of a watched job. Readings are numbered in the order in which they begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) number: u64,
    pub(crate) seen: Seen,
}

/// The followed jobs of a process.
#[derive(Debug)]
pub(crate) struct Followers {
    shared: Arc<Shared>,
    /// Runtime on which the registry was connected.
    runtime: Handle,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    jobs: Mutex<HashMap<JobId, Weak<Followed>>>,
    /// Wishes of the subscription, once there is one.
    wishes: Mutex<Option<mpsc::UnboundedSender<Wish>>>,
}

/// A followed job. All its watches share it.
#[derive(Debug)]
pub(crate) struct Followed {
    id: JobId,
    shared: Weak<Shared>,
    seen: watch::Sender<Reading>,
    /// Number of readings that have begun.
    begun: AtomicU64,
    hint: Arc<Notify>,
    /// Wakes the reader when the last watch is gone.
    gone: Arc<Notify>,
}

#[derive(Debug)]
enum Wish {
    Hints(JobId, Arc<Notify>),
    Nothing(JobId),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No user code runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Followers {
    pub(crate) fn new(store: Arc<Store>, runtime: Handle) -> Self {
        let (jobs, wishes) = (Mutex::default(), Mutex::default());
        Self {
            runtime,
            shared: Arc::new(Shared {
                store,
                jobs,
                wishes,
            }),
        }
    }

    /// Returns the follower of a job that has been read, and starts one if there is none.
    pub(crate) fn follow(&self, id: JobId) -> Arc<Followed> {
        let mut jobs = locked(&self.shared.jobs);
        if let Some(followed) = jobs.get(&id).and_then(Weak::upgrade) {
            return followed;
        }
        let followed = Arc::new(Followed {
            id,
            shared: Arc::downgrade(&self.shared),
            seen: watch::Sender::new(Reading {
                number: 0,
                seen: Seen::Nothing,
            }),
            begun: AtomicU64::new(0),
            hint: Arc::default(),
            gone: Arc::default(),
        });
        jobs.insert(id, Arc::downgrade(&followed));
        // Under the lock, so that the requests of a job come in the order of its followers.
        self.wish(Wish::Hints(id, followed.hint.clone()));
        drop(jobs);
        let (hint, gone) = (followed.hint.clone(), followed.gone.clone());
        let reader = read_on_hints(self.shared.store.clone(), Arc::downgrade(&followed), hint);
        drop(self.runtime.spawn(async move {
            tokio::select! {
                () = reader => {}
                () = gone.notified() => {}
            }
        }));
        followed
    }

    /// Tells the subscription, which is made for the first wish.
    fn wish(&self, wish: Wish) {
        let mut wishes = locked(&self.shared.wishes);
        let sender = wishes.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            let subscription = subscribe(self.shared.store.clone(), receiver);
            drop(self.runtime.spawn(subscription));
            sender
        });
        // The subscription ends only when the runtime does. Readers do without hints then.
        let _ = sender.send(wish);
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        // The subscription ends, and all watches do.
        locked(&self.shared.wishes).take();
        // Dropping the last reference to a follower takes the lock.
        let followed: Vec<_> = {
            let jobs = locked(&self.shared.jobs);
            jobs.values().filter_map(Weak::upgrade).collect()
        };
        for followed in followed {
            followed.gone.notify_one();
            followed.show(u64::MAX, Seen::Removed(None));
        }
    }
}

impl Followed {
    pub(crate) fn receiver(&self) -> watch::Receiver<Reading> {
        self.seen.subscribe()
    }

    /// Returns the number of readings that have begun. The store may have moved on since a reading
    /// with this number or a smaller one.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    fn show(&self, number: u64, seen: Seen) {
        self.seen.send_replace(Reading { number, seen });
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.gone.notify_one();
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let mut jobs = locked(&shared.jobs);
        // Another follower of the job may have taken the place.
        if jobs
            .get(&self.id)
            .is_some_and(|there| there.strong_count() == 0)
        {
            jobs.remove(&self.id);
            // Under the lock, as in `follow`.
            if let Some(wishes) = &*locked(&shared.wishes) {
                let _ = wishes.send(Wish::Nothing(self.id));
            }
        }
    }
}

/// Reads a job now, after each hint, and after a while without one.
async fn read_on_hints(store: Arc<Store>, followed: Weak<Followed>, hint: Arc<Notify>) {
    loop {
        let begin = |followed: Arc<Followed>| {
            let number = followed.begun.fetch_add(1, Ordering::SeqCst) + 1;
            (followed.id, number)
        };
        let Some((id, number)) = followed.upgrade().map(begin) else {
            return;
        };
        let seen = read_last(&store, id).await;
        let Some(followed) = followed.upgrade() else {
            return;
        };
        if let Ok(seen) = seen {
            followed.show(number, seen);
            if matches!(seen, Seen::Removed(_)) {
                return;
            }
        }
        drop(followed);
        // A hint that came while the job was read is kept.
        tokio::select! {
            () = hint.notified() => {}
            () = sleep(jittered(WITHOUT_HINT)) => {}
        }
    }
}

/// Reads a job, and the last state of one that was removed less than a minute ago.
async fn read_last(store: &Store, id: JobId) -> Result<Seen, Error> {
    let mut reply = store.read(Part::LastState, &[id]).await?;
    let mut job = reply.list()?;
    if job.is_empty() {
        return Ok(Seen::Removed(None));
    }
    let snapshot = job.snapshot(id)?;
    if job.is_empty() {
        return Ok(Seen::Present(snapshot));
    }
    Ok(Seen::Removed(Some(snapshot)))
}

/// Reads a job for a new watch.
pub(crate) async fn read_present(store: &Store, id: JobId) -> Result<Snapshot, Error> {
    store.admit(id)?;
    let found = crate::state::snapshots(store, Part::State, &[id]).await?;
    found.first().copied().ok_or(Refusal::Gone.into())
}

/// The jobs whose hints are wished for.
#[derive(Debug)]
struct Wished {
    wishes: mpsc::UnboundedReceiver<Wish>,
    jobs: HashMap<JobId, Arc<Notify>>,
    /// Jobs whose subscription has to follow a wish.
    changed: HashSet<JobId>,
}

impl Wished {
    /// Waits for a wish, and takes all that are there. Returns whether there can be more.
    ///
    /// Cancel safe: a wish is taken once it has been received.
    async fn more(&mut self) -> bool {
        let Some(wish) = self.wishes.recv().await else {
            return false;
        };
        self.take(wish);
        while let Ok(wish) = self.wishes.try_recv() {
            self.take(wish);
        }
        true
    }

    fn take(&mut self, wish: Wish) {
        let (Wish::Hints(id, _) | Wish::Nothing(id)) = wish;
        self.changed.insert(id);
        match wish {
            Wish::Hints(_, hint) => drop(self.jobs.insert(id, hint)),
            Wish::Nothing(_) => drop(self.jobs.remove(&id)),
        }
    }

    /// Makes the subscription follow the wishes, and has the jobs read that it follows now.
    async fn follow(&mut self, store: &Store, sink: &mut PubSubSink) -> Result<(), Lost> {
        let changed: Vec<JobId> = self.changed.drain().collect();
        let is_wished = |id: &JobId| self.jobs.contains_key(id);
        let (begun, ended): (Vec<_>, Vec<_>) = changed.into_iter().partition(is_wished);
        for batch in ended.chunks(CHANNELS) {
            let channels: Vec<_> = batch.iter().map(|id| store.keys.channel(*id)).collect();
            in_time(store, sink.unsubscribe(channels)).await?;
        }
        for batch in begun.chunks(CHANNELS) {
            let channels: Vec<_> = batch.iter().map(|id| store.keys.channel(*id)).collect();
            in_time(store, sink.subscribe(channels)).await?;
            for hint in batch.iter().filter_map(|id| self.jobs.get(id)) {
                hint.notify_one();
            }
        }
        Ok(())
    }
}

/// Maximum number of channels in one command.
const CHANNELS: usize = 1000;
/// Time after which a subscription without messages has to answer.
const PING_EVERY: Duration = Duration::from_secs(10);

/// The subscription does not answer.
#[derive(Debug)]
struct Lost;

/// Waits for an answer of the subscription.
async fn in_time<R>(
    store: &Store,
    answer: impl Future<Output = redis::RedisResult<R>>,
) -> Result<R, Lost> {
    let answer = tokio::time::timeout(store.patience.answer, answer).await;
    answer.ok().and_then(Result::ok).ok_or(Lost)
}

/// Keeps a subscription for the wished jobs, until nobody can wish any more. After each connect,
/// all jobs are read: a message may have been lost.
async fn subscribe(store: Arc<Store>, wishes: mpsc::UnboundedReceiver<Wish>) {
    let mut jobs = Wished {
        wishes,
        jobs: HashMap::new(),
        changed: HashSet::new(),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let connected = {
            let mut connecting = pin!(connect(&store));
            loop {
                tokio::select! {
                    connected = &mut connecting => break connected,
                    is_more = jobs.more() => if !is_more { return },
                }
            }
        };
        let lost = match connected {
            Ok(connected) => follow_wishes(&store, &mut jobs, connected, &mut pause).await,
            Err(lost) => Err(lost),
        };
        if lost.is_ok() {
            return;
        }
        rest(&mut pause).await;
    }
}

async fn connect(store: &Store) -> Result<PubSub, Lost> {
    let primary = store.place.primary(store.patience.answer).await;
    let primary = primary.map_err(|_| Lost)?;
    in_time(store, primary.get_async_pubsub()).await
}

/// Pause after a subscription that was lost, which doubles until one comes back.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Passes the messages of one connection on. Returns `Ok` when nobody can wish any more.
async fn follow_wishes(
    store: &Store,
    wished: &mut Wished,
    connected: PubSub,
    pause: &mut Duration,
) -> Result<(), Lost> {
    let (mut sink, mut messages) = connected.split();
    wished.changed = wished.jobs.keys().copied().collect();
    wished.follow(store, &mut sink).await?;
    *pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            message = messages.next() => {
                let message = message.ok_or(Lost)?;
                let id = store.keys.job_of_channel(message.get_channel_name());
                if let Some(hint) = id.and_then(|id| wished.jobs.get(&id)) {
                    hint.notify_one();
                }
            }
            is_more = wished.more() => {
                if !is_more {
                    return Ok(());
                }
                wished.follow(store, &mut sink).await?;
            }
            () = sleep(PING_EVERY) => {
                let _: redis::Value = in_time(store, sink.ping()).await?;
            }
        }
    }
}
