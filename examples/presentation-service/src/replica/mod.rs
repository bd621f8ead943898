//! [`Replica`]: one of several processes that share their presentations.
//!
//! The jobs are in a store, and the files in a folder. Every replica answers for every
//! presentation. A presentation is drawn by the replica that has registered or retried it.

mod cleaner;
mod drawing;
mod folder;
mod stored;

pub use stored::Stored;

use crate::deck::DeckLimits;
use crate::download::Part;
use crate::errors;
use crate::render::Studio;
use crate::run::draw;
use crate::server::Stop;
use crate::state::Config;
use crate::store::{Ended, Store, Submitted};
use crate::views::About;
use drawing::Drawing;
use folder::Folder;
use job_registry::{Failure, JobId, KeyLife, Options, Phases, Status};
use job_registry_axum::Problem;
use job_registry_redis::{Durability, Error, Job, JobRegistry, Keys, Reaper};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, block_in_place, spawn_blocking};
use tokio::time::{interval, sleep, timeout};

/// Interval of the sweeps and stall verdicts.
const REAP_EVERY: Duration = Duration::from_millis(500);
/// Time for a call to the store, with all its resends.
const LONGEST_CALL: Duration = Duration::from_secs(3);
/// Maximum number of painters: half of the threads that may block.
const MOST_PAINTERS: usize = 256;
/// Number of times that a download waits for the removal of a job whose files are missing.
const REMOVAL_CHECKS: usize = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

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
    studio: Arc<dyn Studio>,
    /// One permit for each painter, in the order of the requests.
    painters: Arc<Semaphore>,
    all_painters: u32,
    folder: Folder,
    limits: DeckLimits,
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
    /// Connects to the store.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect`](job_registry_redis::Builder::connect).
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
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
            .on_remove(move |record| blocking(|| removed.remove(&record.snapshot)))
            .connect()
            .await?;
        if jobs.durability() != Durability::Always {
            tracing::warn!("the store may lose acknowledged changes: set `appendfsync always`");
        }
        let all_painters = config.painters.clamp(1, MOST_PAINTERS);
        let all_painters = u32::try_from(all_painters).unwrap_or(1);
        Ok(Self(Arc::new(Inner {
            keys: Keys::new(jobs.clone(), KeyLife::UntilRemoved),
            jobs,
            studio,
            painters: Arc::new(Semaphore::new(all_painters as usize)),
            all_painters,
            folder,
            limits: config.deck,
            heartbeat: config.heartbeat,
            clean_every: config.delete_again,
            give_up_after: sharing.give_up_after,
            background: Mutex::default(),
        })))
    }
}

impl Inner {
    /// Waits for a painter, and draws the attempt on a thread that may block.
    async fn paint(&self, job: Arc<Job<Stored>>) -> Result<(), Failure> {
        // The attempt is running while it waits, with heartbeats. If the process is killed, the
        // stall verdict therefore covers it. A pending job has no such verdict.
        let _beating = job.heartbeat_every(self.heartbeat);
        let painter = Arc::clone(&self.painters).acquire_owned().await?;
        let studio = Arc::clone(&self.studio);
        let drawing = Drawing {
            job,
            folder: self.folder.clone(),
            limits: self.limits,
            runtime: Handle::current(),
        };
        let drawn = spawn_blocking(move || {
            // The painter is free when it returns, also if the attempt was over before.
            let _painter = painter;
            draw(&*studio, &drawing)
        });
        match drawn.await {
            Ok(drawn) => Ok(drawn?),
            // The registry contains the panic, and fails the job with its text.
            Err(error) => std::panic::resume_unwind(error.try_into_panic()?),
        }
    }
}

impl Store for Replica {
    type Registry = JobRegistry<Stored>;

    fn registry(&self) -> &JobRegistry<Stored> {
        &self.0.jobs
    }

    async fn submit(&self, submitted: Submitted) -> Result<JobId, Problem> {
        let payload = Stored::new(&submitted.deck, submitted.markdown);
        let options = Options::new().deadline(self.0.give_up_after);
        let replica = self.clone();
        let begin = move |job| replica.draw(job);
        let Submitted { key, body, .. } = submitted;
        self.0
            .keys
            .submit(&key, &body, payload, options, begin)
            .await
    }

    fn draw(&self, job: Job<Stored>) {
        let inner = Arc::clone(&self.0);
        job.spawn(async move |job| inner.paint(job).await);
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
            capacity: self.0.jobs.capacity(),
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

    /// Lets the attempts of this process finish for three fifths of the deadline, asks those that
    /// are left to stop, and cancels those that are left then. Other replicas and their
    /// presentations go on.
    async fn end_work(&self, how: Stop) -> Ended {
        let phases = Phases {
            finish: how.deadline * 3 / 5,
            stop: how.deadline / 5,
            cancel: how.deadline / 5,
        };
        let (began, painters) = (Instant::now(), &self.0.painters);
        let work = self.0.jobs.shutdown(phases).await;
        // A painter may still draw an attempt that was ended or retried elsewhere.
        let rest = how.deadline.saturating_sub(began.elapsed());
        let _ = timeout(rest, painters.acquire_many(self.0.all_painters)).await;
        let idle = u32::try_from(painters.available_permits()).unwrap_or(u32::MAX);
        Ended {
            // A job that was asked to stop may have been cancelled afterwards.
            cancelled: work.stopped.max(work.cancelled),
            painting: self.0.all_painters.saturating_sub(idle) as usize,
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
