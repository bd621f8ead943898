//! [`Replica`]: one of several processes that share their presentations.
//!
//! The jobs are in a store, and the files in a folder. Every replica answers for every presentation.
//! A presentation is drawn by the replica that has registered or retried it.

mod cleaner;
mod folder;
mod stored;
mod turn;
mod work;

pub use stored::Stored;

use crate::download::Part;
use crate::errors;
use crate::painters::Painters;
use crate::render::Studio;
use crate::server::Stop;
use crate::state::Config;
use crate::store::{Ended, Store, Submitted};
use crate::views::About;
use folder::Folder;
use futures_util::future::join_all;
use job_registry::{JobId, KeyLife, Options, Status};
use job_registry_axum::Problem;
use job_registry_redis::{Durability, Error, Job, JobRegistry, Key, Keys, Once, Reaper};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinHandle, block_in_place, spawn_blocking};
use tokio::time::{interval, sleep, timeout};
use turn::{Turn, Workshop};
use work::{Place, Work};

/// Interval of the sweeps and stall verdicts.
const REAP_EVERY: Duration = Duration::from_millis(500);
/// Time for a call to the store, with all its resends.
const LONGEST_CALL: Duration = Duration::from_secs(3);
/// Number of times that a download waits for the removal of a job whose files are missing.
const REMOVAL_CHECKS: usize = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);
/// The reason of the stops and the cancellations of a shutdown.
const SHUTDOWN: &str = "shutdown";

/// The store that replicas share, and the limits of their attempts.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// URL of the store.
    pub url: String,
    /// Namespace of the presentations in the store.
    pub namespace: String,
    /// Silence of a replica above which its presentations fail as stalled.
    pub stall_after: Duration,
    /// Time of an attempt, waiting included, after which it fails. It covers an attempt whose
    /// replica was killed before its start, which has no heartbeats to miss.
    pub give_up_after: Duration,
}

/// One of several processes that share their presentations.
#[derive(Clone)]
pub struct Replica(Arc<Inner>);

struct Inner {
    jobs: JobRegistry<Stored>,
    keys: Keys<Stored>,
    painters: Painters<Turn>,
    work: Work,
    folder: Folder,
    capacity: usize,
    heartbeat: Duration,
    clean_every: Duration,
    give_up_after: Duration,
    background: Mutex<Option<Background>>,
}

/// The tasks in the background, which end when this is dropped.
struct Background {
    _reaper: Reaper,
    cleaner: JoinHandle<()>,
}

impl Drop for Background {
    fn drop(&mut self) {
        self.cleaner.abort();
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("folder", &self.0.folder)
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Connects to the store, and starts the painters.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect`](job_registry_redis::Builder::connect).
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, and if the system cannot start a thread.
    pub async fn connect(
        sharing: Sharing,
        config: &Config,
        studio: Arc<dyn Studio>,
    ) -> Result<Self, Error> {
        let folder = Folder::new(&config.files);
        let removed = folder.clone();
        let jobs = JobRegistry::builder(sharing.url, sharing.namespace)
            .capacity(config.capacity)
            .retention(config.retention)
            .stall_after(sharing.stall_after)
            // A client that waits for a poll learns soon that the store is away.
            .call_within(LONGEST_CALL)
            // The body of a submission fits, with the warnings about it.
            .payload_limit(2 * config.body + (1 << 20))
            // The payload is not asked: it may not decode.
            .on_remove(move |record| {
                let seen = record.snapshot;
                blocking(|| removed.delete_until(seen.id(), seen.attempt()));
            })
            .connect()
            .await?;
        if jobs.durability() != Durability::Always {
            tracing::warn!(
                "the store may lose acknowledged changes when it is killed: set `appendfsync always`"
            );
        }
        let workshop = Workshop {
            studio,
            folder: folder.clone(),
            limits: config.deck,
            runtime: Handle::current(),
        };
        Ok(Self(Arc::new(Inner {
            keys: Keys::new(jobs.clone(), KeyLife::UntilRemoved),
            jobs,
            painters: Painters::start(config.painters, move |turn: Turn| turn.run(&workshop)),
            work: Work::default(),
            folder,
            capacity: config.capacity,
            heartbeat: config.heartbeat,
            clean_every: config.delete_again,
            give_up_after: sharing.give_up_after,
            background: Mutex::default(),
        })))
    }

    /// Starts an attempt and sends it to the painters, in a task of its own.
    fn take(&self, place: Place, job: Job<Stored>) {
        let replica = self.clone();
        tokio::spawn(async move {
            let inner = replica.0;
            if let Some(turn) = Turn::begin(place, job, inner.heartbeat).await {
                inner.painters.draw(turn);
            }
        });
    }

    async fn register(&self, submitted: Submitted) -> Result<JobId, Problem> {
        let place = self.0.work.enter();
        let payload = Stored::new(&submitted.deck, submitted.markdown);
        let options = Options::new().deadline(self.0.give_up_after);
        let job = match submitted.key.to_bytes() {
            None => self.0.jobs.register_with(&payload, options).await?,
            Some(key) => {
                let key = Key::new(key).fingerprint(submitted.body);
                match self.0.keys.register_with(&key, &payload, options).await? {
                    Once::New(job) => job,
                    Once::Existing { id } => return Ok(id),
                    Once::Mismatch => return Err(Problem::reused_key()),
                }
            }
        };
        let id = job.id();
        self.take(place, job);
        Ok(id)
    }
}

impl Store for Replica {
    type Registry = JobRegistry<Stored>;

    fn registry(&self) -> &JobRegistry<Stored> {
        &self.0.jobs
    }

    async fn submit(&self, submitted: Submitted) -> Result<JobId, Problem> {
        let replica = self.clone();
        // The task goes on if the client disconnects, so that a registered job gets its painter.
        let registered = tokio::spawn(async move { replica.register(submitted).await }).await;
        registered.map_err(|error| errors::internal("a deck cannot be registered", &error))?
    }

    fn draw(&self, job: Job<Stored>) {
        self.take(self.0.work.enter(), job);
    }

    async fn open(&self, id: JobId, part: Part) -> Result<File, Problem> {
        let mut missing = io::Error::from(io::ErrorKind::NotFound);
        for _ in 0..REMOVAL_CHECKS {
            let record = self.0.jobs.get(id).await?;
            let seen = record.snapshot;
            if seen.status() != Status::Completed {
                return Err(errors::no_file(seen.status()));
            }
            let name = part.name(&record.payload)?;
            let folder = self.0.folder.clone();
            let open = move || folder.open(id, seen.attempt(), &name);
            match spawn_blocking(open).await.map_err(errors::unreadable)? {
                Ok(file) => return Ok(file),
                // The files of a job are deleted shortly before the job is removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing = error,
                Err(error) => return Err(errors::unreadable(error)),
            }
            sleep(REMOVAL_PAUSE).await;
        }
        Err(errors::unreadable(missing))
    }

    fn about(&self) -> About {
        About {
            since: None,
            open: !self.0.jobs.is_closed(),
            capacity: self.0.capacity,
        }
    }

    async fn publish_counts(&self) {
        // Without an answer, the gauges keep their values.
        if let Ok(counts) = self.0.jobs.counts().await {
            crate::metrics::set_jobs(&counts);
        }
    }

    fn start(&self) -> io::Result<()> {
        let background = Background {
            _reaper: self.0.jobs.spawn_reaper(REAP_EVERY),
            cleaner: tokio::spawn(keep_clean(Arc::downgrade(&self.0), self.0.clean_every)),
        };
        let mut there = self
            .0
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *there = Some(background);
        Ok(())
    }

    fn close(&self) {
        self.0.jobs.close();
    }

    /// Lets the attempts of this process finish for four fifths of the deadline, asks those that are
    /// left to stop, and cancels those that are left then. Presentations of other replicas go on.
    async fn end_work(&self, how: Stop) -> Ended {
        let work = &self.0.work;
        let (finish, rest) = (how.deadline * 4 / 5, how.deadline / 10);
        if timeout(finish, work.idle()).await.is_ok() {
            return Ended::default();
        }
        let cancelled = work.len();
        let stop = async {
            join_all(work.all().iter().map(|job| job.request_stop(SHUTDOWN))).await;
            work.idle().await;
        };
        if timeout(rest, stop).await.is_err() {
            work.leave();
            let cancel = async {
                join_all(work.all().iter().map(|job| job.cancel_because(SHUTDOWN))).await;
                work.idle().await;
            };
            // Attempts that cannot be cancelled are left to the stall verdict.
            let _ = timeout(rest, cancel).await;
        }
        Ended {
            cancelled,
            painting: work.len(),
        }
    }

    /// Deletes nothing: other replicas serve the presentations.
    fn clear(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// Runs a closure that may block on a task of the registry.
fn blocking(work: impl FnOnce()) {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

/// Cleans the folder every `period`, until the replica is dropped.
async fn keep_clean(replica: Weak<Inner>, period: Duration) {
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        let Some(inner) = replica.upgrade() else {
            return;
        };
        if let Err(error) = cleaner::clean(&inner.folder, &inner.jobs).await {
            tracing::warn!(%error, "the shared folder cannot be read");
        }
    }
}
