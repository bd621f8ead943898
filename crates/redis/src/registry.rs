//! [`JobRegistry`]: the calls by id.

use crate::audit::audit;
use crate::builder::Builder;
use crate::error::Error;
use crate::follow::read_present;
use crate::id::Nonce;
use crate::job::Job;
use crate::link::Durability;
use crate::page::{Cursor, Page};
use crate::pulse::Heartbeat;
use crate::script::Script;
use crate::state::{Position, State, snapshots, walk, walk_all};
use crate::steps::{Steps, encode, millis};
use crate::store::{BATCH, Fence, Part, Registered};
use crate::sweep::Reaper;
use crate::watch::Watch;
use job_registry::{
    Counts, Details, Error as Refusal, JobId, Options, Progress, Record, Snapshot, Status, Swept,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A registry of long-running jobs on a server of Redis or Valkey. It is cheap to clone, and its
/// clones are the same registry. Processes that connect to the same namespace share its jobs.
///
/// The calls are those of [`job_registry::JobRegistry`], async, and the
/// [table](crate#call-by-call) says what differs. Dropping the future of a call that changes a job
/// leaves it open whether the call takes effect.
///
/// ```no_run
/// use job_registry_redis::{Error, JobRegistry};
/// use job_registry::Progress;
///
/// # async fn f() -> Result<(), Error> {
/// let jobs = JobRegistry::connect("redis://localhost", "decks").await?;
/// let job = jobs.register(&Vec::<String>::new()).await?;
/// let id = job.id(); // for the client, at every replica
/// job.start().await?;
/// job.update(|files| files.push("intro.png".to_owned())).await?;
/// job.advance(Progress::percent(50.0)?).await?;
/// job.complete().await?;
/// let seen = jobs.snapshot(id).await?;
/// println!("{}: {}", seen.status(), seen.progress());
/// # Ok(())
/// # }
/// ```
pub struct JobRegistry<T> {
    pub(crate) state: Arc<State<T>>,
}

impl<T> Clone for JobRegistry<T> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
        }
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> JobRegistry<T> {
    /// Connects to a namespace with the defaults of the [builder](Self::builder). The namespace has
    /// 1 to 64 letters, digits, hyphens and underscores. The URL is one of these:
    ///
    /// * `redis://[user:password@]host[:port][/database]`
    /// * `redis+sentinel://[user:password@]host:port,host:port/name[/database]`: the primary of
    ///   this name, as sentinels say. They are asked at each connect. The password is that of the
    ///   server.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect`].
    ///
    /// # Panics
    ///
    /// As [`Builder::connect`].
    pub async fn connect(
        url: impl Into<String>,
        namespace: impl Into<String>,
    ) -> Result<Self, Error> {
        Self::builder(url, namespace).connect().await
    }

    /// Returns a builder, for other limits, another codec, or a removal hook.
    pub fn builder(url: impl Into<String>, namespace: impl Into<String>) -> Builder<T> {
        Builder::new(url.into(), namespace.into())
    }
}

/// Registering and counting.
impl<T: Send + 'static> JobRegistry<T> {
    /// Registers a pending job and returns its owner. The payload is encoded, and stays with the
    /// caller.
    ///
    /// # Errors
    ///
    /// Returns [`Full`](Refusal::Full) at capacity and [`Closed`](Refusal::Closed) after
    /// [`close`](Self::close). Returns [`Error::Payload`] for a payload that is too large or does
    /// not encode. After [`Unknown`](crate::Unavailable::Unknown), the job may exist without an
    /// owner, under an id that nobody knows. Give jobs a deadline if that may not be.
    pub async fn register(&self, payload: &T) -> Result<Job<T>, Error> {
        self.register_with(payload, Options::new()).await
    }

    /// Registers a pending job with limits of its own, as [`register`](Self::register) does.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    pub async fn register_with(&self, payload: &T, options: Options) -> Result<Job<T>, Error> {
        let mut was_emptied = false;
        loop {
            let mut registration = Registration::new(self, payload, options)?;
            if self.state.is_closed() {
                return Err(Refusal::Closed.into());
            }
            let keys = self
                .state
                .store
                .keys_of_one(Script::Register, registration.id);
            let arguments = std::mem::take(&mut registration.arguments);
            let job = registration.into_job(self);
            match self.state.store.register(&keys, &arguments).await {
                Ok(Registered::New) => return Ok(job),
                Ok(Registered::Emptied) if !was_emptied => {
                    was_emptied = true;
                    let _ = job.detach();
                }
                Ok(other) => {
                    let _ = job.detach();
                    return Err(Error::strange(other));
                }
                Err(error) => return Err(job.not_registered(error)),
            }
        }
    }

    /// Refuses registrations and retries by this process from now on. All other calls go on, and
    /// other processes are not affected.
    pub fn close(&self) {
        self.state.close();
    }

    /// Returns whether [`close`](Self::close) has been called in this process.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    /// Returns the maximum number of jobs that this process allows in the namespace.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.state.limits.capacity
    }

    /// Returns how long an acknowledged change survives, as the server said at the last connect.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.state.store.durability()
    }

    /// Returns the server's time since 1970. Compare [`Snapshot::last_heartbeat`] and
    /// [`Times`](job_registry::Times) with it, by `saturating_sub`.
    ///
    /// # Errors
    ///
    /// Returns an error only if the store was not reached, or rejected the call.
    pub async fn now(&self) -> Result<Duration, Error> {
        let store = &self.state.store;
        let keys = store.keys.of_all(&[], &[]);
        let mut reply = store.ask(Script::Counts, &keys, &[]).await?;
        Ok(Duration::from_millis(reply.required()?))
    }

    /// Converts a time of the registry into wall-clock time, for display.
    #[must_use]
    pub fn system_time(&self, at: Duration) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(at)
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns the number of jobs of each status, all of one instant.
    ///
    /// # Errors
    ///
    /// As [`now`](Self::now).
    pub async fn counts(&self) -> Result<Counts, Error> {
        let store = &self.state.store;
        let keys = store.keys.of_all(&[], &[]);
        let mut reply = store.ask(Script::Counts, &keys, &[]).await?;
        let (_now, _changes) = (reply.required()?, reply.number()?);
        let mut counts = Counts::default();
        for count in [
            &mut counts.pending,
            &mut counts.running,
            &mut counts.stopping,
            &mut counts.completed,
            &mut counts.failed,
            &mut counts.cancelled,
        ] {
            *count = usize::try_from(reply.number()?.unwrap_or(0)).unwrap_or(usize::MAX);
        }
        Ok(counts)
    }

    /// Returns up to `n` jobs from a cursor on, and the cursor of the next page. A walk begins at
    /// `Cursor::default()` and ends with a page without a next one.
    ///
    /// A job that is there throughout the walk comes exactly once, and every job at most once, in
    /// the order of their registrations. A page may have fewer than `n` jobs only if it is the
    /// last. The last page may be empty.
    ///
    /// # Errors
    ///
    /// As [`now`](Self::now).
    pub async fn page(&self, cursor: Cursor, n: usize) -> Result<Page, Error> {
        let (mut jobs, mut passed) = (Vec::new(), cursor.passed);
        while jobs.len() < n {
            let wanted = (n - jobs.len()).min(BATCH);
            let from = Position {
                score: passed + 1,
                passed: 0,
            };
            let walked = walk(&self.state.store, "all", from, "+inf", wanted).await?;
            jobs.extend(snapshots(&self.state.store, Part::State, &walked.ids).await?);
            if !walked.ids.is_empty() {
                passed = walked.next.score;
            }
            if walked.ids.len() < wanted {
                return Ok(Page { jobs, next: None });
            }
        }
        Ok(Page {
            jobs,
            next: Some(Cursor { passed }),
        })
    }

    /// Compares the hashes of all jobs with the sorted sets, the counts and the keys of the
    /// namespace, and returns a text for each difference. While jobs change, it may report
    /// differences that are none.
    ///
    /// # Errors
    ///
    /// As [`now`](Self::now).
    pub async fn audit(&self) -> Result<Vec<String>, Error> {
        audit(self).await
    }
}

/// A registration that has not been sent.
pub(crate) struct Registration {
    pub(crate) id: JobId,
    fence: Fence,
    /// Arguments of the script, without a client's key.
    pub(crate) arguments: Vec<Vec<u8>>,
}

impl Registration {
    pub(crate) fn new<T: Send + 'static>(
        jobs: &JobRegistry<T>,
        payload: &T,
        options: Options,
    ) -> Result<Self, Error> {
        let (state, limits) = (&jobs.state, &jobs.state.limits);
        let bytes = encode(&*state.codec, payload, state.payload_limit)?;
        let fence = Fence {
            attempt: 1,
            nonce: Nonce::random(),
        };
        let deadline = options.own_deadline();
        // A closed registry registers nothing, but a known key leads to its job.
        let capacity = if state.is_closed() {
            0
        } else {
            limits.capacity
        };
        let (id, store) = state.store.mint();
        let arguments = vec![
            fence.nonce.0.to_vec(),
            capacity.to_string().into_bytes(),
            bytes,
            state.codec.name().into(),
            millis(options.own_retention().unwrap_or(limits.retention)),
            millis(options.own_stall_after().unwrap_or(limits.stall_after)),
            millis(limits.stop_grace),
            deadline.map_or_else(Vec::new, millis),
            deadline.map_or_else(Vec::new, |deadline| format!("{deadline:?}").into_bytes()),
            store.into_bytes(),
        ];
        Ok(Self {
            id,
            fence,
            arguments,
        })
    }

    pub(crate) fn into_job<T: Send + 'static>(self, jobs: &JobRegistry<T>) -> Job<T> {
        Job::new(jobs.clone(), self.id, self.fence)
    }
}

/// The steps of a live job. A call by id means whichever attempt exists.
impl<T: Send + 'static> JobRegistry<T> {
    pub(crate) fn steps(&self, id: JobId, fence: Option<Fence>) -> Steps<'_, T> {
        Steps {
            state: &self.state,
            id,
            fence,
        }
    }

    fn by_id(&self, id: JobId) -> Steps<'_, T> {
        self.steps(id, None)
    }

    /// Moves a pending job to running. Exactly one of several starters succeeds. A start counts as
    /// a heartbeat.
    ///
    /// # Errors
    ///
    /// Returns [`AlreadyStarted`](Refusal::AlreadyStarted) for a running or stopping job and
    /// [`Ended`](Refusal::Ended) for an ended one. Like every call by id, it returns
    /// [`NotFound`](Refusal::NotFound) or [`Gone`](Refusal::Gone) if there is no such job, and
    /// [`Error::Unavailable`] or [`Error::Rejected`] if the store does not answer or refuses.
    pub async fn start(&self, id: JobId) -> Result<(), Error> {
        self.by_id(id).start().await
    }

    /// Raises the progress of a running job and returns the progress that it has then. A smaller
    /// value leaves the progress as it is.
    ///
    /// # Errors
    ///
    /// Returns [`NotStarted`](Refusal::NotStarted) for a pending job,
    /// [`Stopping`](Refusal::Stopping) once a stop has been requested, and
    /// [`Ended`](Refusal::Ended) for an ended job.
    pub async fn advance(&self, id: JobId, progress: Progress) -> Result<Progress, Error> {
        self.by_id(id).advance(progress).await
    }

    /// Records that the job is alive now.
    ///
    /// # Errors
    ///
    /// Returns [`Ended`](Refusal::Ended) once the job has ended, and records nothing.
    pub async fn heartbeat(&self, id: JobId) -> Result<(), Error> {
        self.by_id(id).heartbeat().await
    }

    /// Records heartbeats as [`Job::heartbeat_every`] does, for whichever attempt exists, until a
    /// heartbeat finds the job ended or gone. Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](Refusal::NotFound) for an id that the namespace never issued. Whether
    /// the job exists is not asked.
    pub fn heartbeat_every(&self, id: JobId, interval: Duration) -> Result<Heartbeat, Error> {
        self.state.store.admit(id)?;
        Ok(self.state.pulse.add(id, None, interval))
    }

    /// Replaces the note of a live job. A note longer than 1 KiB is cut at a character and ends in
    /// `…`.
    ///
    /// # Errors
    ///
    /// Returns [`Ended`](Refusal::Ended) once the job has ended.
    pub async fn note(&self, id: JobId, text: impl Into<String>) -> Result<(), Error> {
        self.by_id(id).note(text.into()).await
    }

    /// Raises the progress as [`advance`](Self::advance) does, and replaces the note, at one
    /// instant.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance). A refused report changes neither.
    pub async fn report(
        &self,
        id: JobId,
        progress: Progress,
        text: impl Into<String>,
    ) -> Result<(), Error> {
        self.by_id(id).report(progress, text.into()).await
    }

    /// Completes a running job, at 100 %. Exactly the first of several endings wins.
    ///
    /// # Errors
    ///
    /// Returns [`NotStarted`](Refusal::NotStarted) for a pending job and
    /// [`Ended`](Refusal::Ended) if another ending won.
    pub async fn complete(&self, id: JobId) -> Result<(), Error> {
        self.by_id(id).end(Status::Completed, None).await
    }

    /// Fails a live job, for a reason. Its progress stays as it is.
    ///
    /// # Errors
    ///
    /// Returns [`Ended`](Refusal::Ended) if another ending won.
    pub async fn fail(&self, id: JobId, reason: impl Into<String>) -> Result<(), Error> {
        self.by_id(id)
            .end(Status::Failed, Some(reason.into()))
            .await
    }

    /// Asks a job to stop, for a reason. A pending job is cancelled. A running one becomes
    /// [`Stopping`](Status::Stopping): `advance` is refused from then on. Returns the status that
    /// the job has then. The reaper, or a [`sweep`](Self::sweep), cancels a job that still lives
    /// when its time to stop is over.
    ///
    /// # Errors
    ///
    /// Returns [`Stopping`](Refusal::Stopping) if a stop was requested before, and
    /// [`Ended`](Refusal::Ended) for an ended job.
    pub async fn request_stop(
        &self,
        id: JobId,
        reason: impl Into<String>,
    ) -> Result<Status, Error> {
        self.by_id(id).request_stop(reason.into()).await
    }

    /// Cancels a live job at once, without a reason; a stopping job keeps the reason of its stop.
    ///
    /// # Errors
    ///
    /// Returns [`Ended`](Refusal::Ended) if another ending won.
    pub async fn cancel(&self, id: JobId) -> Result<(), Error> {
        self.by_id(id).end(Status::Cancelled, None).await
    }

    /// Cancels a live job as [`cancel`](Self::cancel) does, for a reason.
    ///
    /// # Errors
    ///
    /// As [`cancel`](Self::cancel).
    pub async fn cancel_because(&self, id: JobId, reason: impl Into<String>) -> Result<(), Error> {
        self.by_id(id)
            .end(Status::Cancelled, Some(reason.into()))
            .await
    }

    /// Reads the payload of a live job, runs `f` on it, and stores it if it has not changed
    /// meanwhile. Otherwise it begins again, up to 20 times, with a pause. Returns what the last
    /// run of `f` returned.
    ///
    /// `f` runs under no lock, and its effects on anything but the payload must bear repetition.
    ///
    /// # Errors
    ///
    /// Returns [`Ended`](Refusal::Ended) for an ended job, [`Busy`](Refusal::Busy) if other writers
    /// came first each time, and [`Error::Payload`] if the payload does not decode, does not encode
    /// or is too large.
    pub async fn update<R>(&self, id: JobId, f: impl FnMut(&mut T) -> R) -> Result<R, Error> {
        self.by_id(id).update(f).await
    }
}

/// Reading and following.
impl<T: Send + 'static> JobRegistry<T> {
    /// Returns the vital state of a job, all of one instant.
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](Refusal::NotFound) for an id that the namespace never issued, and
    /// [`Gone`](Refusal::Gone) for a job that has been removed. Returns [`Error::Unavailable`] if
    /// the store was not reached: that is no statement about the job.
    pub async fn snapshot(&self, id: JobId) -> Result<Snapshot, Error> {
        read_present(&self.state.store, id).await
    }

    /// Returns the job with its times and texts, all of one instant, without the payload.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot).
    pub async fn details(&self, id: JobId) -> Result<Details, Error> {
        self.state.details(id).await
    }

    /// Returns the job with its payload, all of one instant.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot), and [`Error::Payload`] if the payload does not decode.
    pub async fn get(&self, id: JobId) -> Result<Record<T>, Error> {
        let (details, payload, _) = self.state.record(id).await?;
        Ok(details.with_payload(payload?))
    }

    /// Calls `f` with the job and its payload, all of one instant.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn read<R>(&self, id: JobId, f: impl FnOnce(Record<&T>) -> R) -> Result<R, Error> {
        let (details, payload, _) = self.state.record(id).await?;
        Ok(f(details.with_payload(&payload?)))
    }

    /// Returns a [`Watch`], which follows the job. It lasts as long as the runtime on which the
    /// registry was connected.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot).
    pub async fn watch(&self, id: JobId) -> Result<Watch, Error> {
        // The subscription is asked for before the job is read: a change after the read is hinted
        // at, or is in the read that follows the subscription.
        let followed = self.state.followers.follow(id);
        let first = read_present(&self.state.store, id).await?;
        Ok(Watch::new(first, followed))
    }
}

/// After an attempt: removal, retry, and the verdict on stalled jobs.
impl<T: Send + 'static> JobRegistry<T> {
    /// Schedules the job's removal for `delay` after it ends, or after this call if it has already
    /// ended. The most recent call wins. `Duration::MAX` means never.
    ///
    /// # Errors
    ///
    /// Returns an error only if there is no such job, or if the store does not answer or refuses.
    pub async fn remove_after(&self, id: JobId, delay: Duration) -> Result<(), Error> {
        self.by_id(id).remove_after(delay).await
    }

    /// Removes an ended job now, without the removal hook. [`get`](Self::get) reads its payload
    /// before.
    ///
    /// # Errors
    ///
    /// Returns [`Live`](Refusal::Live) for a live job.
    pub async fn remove(&self, id: JobId) -> Result<(), Error> {
        self.by_id(id).remove().await
    }

    /// Starts the next attempt of a failed, cancelled or stalled job: pending, at 0 %, with the
    /// payload as it is. Writers of the old attempt get `Superseded` from now on.
    ///
    /// # Errors
    ///
    /// Returns [`NotRetryable`](Refusal::NotRetryable) for a completed job and for a live one that
    /// has not stalled. Returns [`AttemptsExhausted`](Refusal::AttemptsExhausted) after 65,535
    /// attempts and [`Closed`](Refusal::Closed) after [`close`](Self::close). After
    /// [`Unknown`](crate::Unavailable::Unknown), the attempt may have begun without an owner; end
    /// the job by id, and retry it then.
    pub async fn retry(&self, id: JobId) -> Result<Job<T>, Error> {
        let fence = self.by_id(id).retry().await?;
        Ok(Job::new(self.clone(), id, fence))
    }

    /// Returns the running and stopping jobs whose last heartbeat is older than their limit. After
    /// a time in which the server was away, or a jump of its clock, live jobs are among them. Let
    /// the [reaper](Self::spawn_reaper) judge, and retry what it has failed.
    ///
    /// # Errors
    ///
    /// As [`now`](Self::now).
    pub async fn stalled(&self) -> Result<Vec<Snapshot>, Error> {
        let store = &self.state.store;
        let silent = walk_all(store, "run", "now").await?;
        snapshots(store, Part::Stalled, &silent).await
    }

    /// Fails the [stalled](Self::stalled) jobs (`stalled: no heartbeat for …`) and returns them as
    /// they ended. The verdict is exact, by the server's clock: a heartbeat before it prevents it,
    /// and a heartbeat after it is refused. A [reaper](Self::spawn_reaper) makes this call in time,
    /// and guards it against a clock that jumps.
    ///
    /// # Errors
    ///
    /// As [`now`](Self::now). Some of the jobs may have been failed.
    pub async fn fail_stalled(&self) -> Result<Vec<Snapshot>, Error> {
        self.state.fail_stalled(None).await
    }

    /// Carries out what is due when the sweep begins. It removes ended jobs whose removal is due,
    /// fails live jobs whose deadline has passed, and cancels stopping jobs whose time to stop is
    /// over. Any process may sweep, and several may at the same time.
    ///
    /// # Errors
    ///
    /// As [`now`](Self::now). Some of what is due may have been carried out.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        self.state.sweep().await
    }

    /// Starts a task that sweeps, and fails stalled jobs, once per `every`. One process is enough,
    /// and several do no harm. Must be called on a tokio runtime.
    ///
    /// The reaper compares the server's clock with its own. After a jump, a restart of the server,
    /// a reconnect, and when it begins, silence before that does not count, and every job gets its
    /// whole limit again.
    pub fn spawn_reaper(&self, every: Duration) -> Reaper {
        Reaper::spawn(&self.state, every)
    }
}

impl<T> fmt::Debug for JobRegistry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRegistry")
            .field("state", &self.state)
            .finish()
    }
}
