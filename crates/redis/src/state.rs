//! [`State`]: what the handles of one process share.

use crate::codec::Codec;
use crate::error::{Error, PayloadError};
use crate::follow::Followers;
use crate::owned::Owned;
use crate::pulse::Pulse;
use crate::script::Script;
use crate::store::{BATCH, Part, Store};
use job_registry::{Details, Error as Refusal, JobId, Record, Snapshot};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// A job with its payload, which may not decode, and the payload's revision.
pub(crate) type Read<T> = (Details, Result<T, PayloadError>, u64);

/// Callback for a job that is about to be removed.
pub(crate) type Hook<T> = Box<dyn Fn(&Record<Option<T>>) + Send + Sync>;

/// Limits of the jobs that this process registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) capacity: usize,
    pub(crate) retention: Duration,
    pub(crate) stall_after: Duration,
    pub(crate) stop_grace: Duration,
}

/// State shared by the handles of one process.
pub(crate) struct State<T> {
    pub(crate) store: Arc<Store>,
    pub(crate) codec: Arc<dyn Codec<T>>,
    pub(crate) limits: Limits,
    pub(crate) payload_limit: usize,
    pub(crate) hook: Option<Hook<T>>,
    pub(crate) followers: Followers,
    pub(crate) pulse: Pulse,
    pub(crate) owned: Arc<Owned>,
    /// Runtime on which the registry was connected.
    pub(crate) runtime: Handle,
    closed: AtomicBool,
}

impl<T: Send + 'static> State<T> {
    pub(crate) fn new(
        store: Store,
        codec: Arc<dyn Codec<T>>,
        limits: Limits,
        payload_limit: usize,
        hook: Option<Hook<T>>,
    ) -> Self {
        let (store, runtime) = (Arc::new(store), Handle::current());
        Self {
            followers: Followers::new(store.clone(), runtime.clone()),
            pulse: Pulse::new(store.clone()),
            owned: Arc::default(),
            store,
            codec,
            limits,
            payload_limit,
            hook,
            runtime,
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) async fn details(&self, id: JobId) -> Result<Details, Error> {
        self.store.admit(id)?;
        let mut reply = self.store.read(Part::Details, &[id]).await?;
        let mut job = reply.list()?;
        if job.is_empty() {
            return Err(Refusal::Gone.into());
        }
        job.details(id)
    }

    pub(crate) async fn record(&self, id: JobId) -> Result<Read<T>, Error> {
        self.store.admit(id)?;
        let mut reply = self.store.read(Part::Record, &[id]).await?;
        let mut job = reply.list()?;
        if job.is_empty() {
            return Err(Refusal::Gone.into());
        }
        let details = job.details(id)?;
        let (bytes, codec) = (
            job.bytes()?.unwrap_or_default(),
            job.text()?.unwrap_or_default(),
        );
        let revision = job.required()?;
        Ok((details, self.decode(&bytes, &codec), revision))
    }

    fn decode(&self, bytes: &[u8], codec: &str) -> Result<T, PayloadError> {
        let own = self.codec.name();
        if codec != own {
            let message = format!("it was stored by the codec {codec:?}, and not {own:?}");
            return Err(PayloadError::Decode(message));
        }
        let payload = self.codec.decode(bytes);
        payload.map_err(|error| PayloadError::Decode(error.to_string()))
    }
}

/// Reads the states of jobs, in the order of the ids. Jobs that do not have the part are left out.
pub(crate) async fn snapshots(
    store: &Store,
    part: Part,
    ids: &[JobId],
) -> Result<Vec<Snapshot>, Error> {
    let mut found = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        let mut reply = store.read(part, batch).await?;
        for id in batch {
            let mut job = reply.list()?;
            if !job.is_empty() {
                found.push(job.snapshot(*id)?);
            }
        }
    }
    Ok(found)
}

/// Position in a sorted set. Many jobs may have one score: heartbeats that are sent together do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) score: u64,
    /// Number of jobs with this score that have been passed.
    pub(crate) passed: usize,
}

/// A part of one of the sorted sets.
#[derive(Debug)]
pub(crate) struct Walked {
    /// Time of the server.
    pub(crate) now: u64,
    pub(crate) ids: Vec<JobId>,
    /// Position after the last id.
    pub(crate) next: Position,
}

/// Walks over a sorted set; the arguments are those of `walk.lua`.
pub(crate) async fn walk(
    store: &Store,
    set: &str,
    from: Position,
    until: &str,
    most: usize,
) -> Result<Walked, Error> {
    let (first, passed) = (from.score.to_string(), from.passed.to_string());
    let arguments = [set, &first, until, &most.to_string(), &passed];
    let arguments = arguments.map(|text| text.as_bytes().to_vec());
    let mut reply = store
        .ask(Script::Walk, &store.keys.of_all(&[], &[]), &arguments)
        .await?;
    let mut walked = Walked {
        now: reply.required()?,
        ids: Vec::new(),
        next: from,
    };
    while !reply.is_empty() {
        walked.ids.push(reply.word()?.parse()?);
        let at = parse_score(&reply.word()?)?;
        if at != walked.next.score {
            walked.next = Position {
                score: at,
                passed: 0,
            };
        }
        walked.next.passed += 1;
    }
    Ok(walked)
}

/// Returns the jobs of a sorted set up to a score, each once. Jobs that move meanwhile may be
/// missing. The score `now` is the server's time when the walk begins.
pub(crate) async fn walk_all(store: &Store, set: &str, until: &str) -> Result<Vec<JobId>, Error> {
    let (mut ids, mut next) = (Vec::new(), Position::default());
    let mut until = until.to_owned();
    loop {
        let walked = walk(store, set, next, &until, BATCH).await?;
        if walked.ids.is_empty() {
            // A job that has moved may have come twice.
            ids.sort_unstable();
            ids.dedup();
            return Ok(ids);
        }
        // The time of the first page is that of all, so that the walk ends.
        if until == "now" {
            until = walked.now.to_string();
        }
        ids.extend(walked.ids);
        next = walked.next;
    }
}

/// Parses a score, which is a whole number that Redis may print with an exponent.
fn parse_score(text: &str) -> Result<u64, Error> {
    let exact = text.parse::<u64>().ok();
    // Below 2^53, a double is the number itself.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let printed = || {
        text.parse::<f64>()
            .ok()
            .filter(|score| *score >= 0.0)
            .map(|it| it as u64)
    };
    exact.or_else(printed).ok_or_else(|| Error::strange(text))
}

impl<T> std::fmt::Debug for State<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
