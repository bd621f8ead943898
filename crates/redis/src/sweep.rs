//! Sweeps and stall verdicts, which any process may make, and the reaper that makes them in time.

use crate::error::{Error, Unavailable};
use crate::link::Origin;
use crate::panics::contain;
use crate::reply::step_number;
use crate::script::Script;
use crate::state::{Position, State, walk, walk_all};
use job_registry::{Details, JobId, Snapshot, Swept};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Maximum number of jobs that one call of a script ends or removes: it keeps others from the server
/// for about a millisecond.
const AT_ONCE: usize = 16;

impl<T: Send + 'static> State<T> {
    /// Carries out what is due. A job that cannot be read is an error once the others are done.
    pub(crate) async fn sweep(&self) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let (mut began, mut unreadable) = (None, None);
        loop {
            let until = began.map_or_else(|| "now".to_owned(), |began: u64| began.to_string());
            let walked = walk(&self.store, "due", Position::default(), &until, AT_ONCE).await?;
            let began = *began.get_or_insert(walked.now);
            if walked.ids.is_empty() {
                return unreadable.map_or(Ok(swept), |id| Err(Error::unreadable(id)));
            }
            let allowed = if self.hook.is_none() { "*" } else { "" };
            let jobs: Vec<_> = walked
                .ids
                .iter()
                .map(|id| (*id, allowed.to_owned()))
                .collect();
            let results = self.collect(&jobs, began, &mut swept).await?;
            let is_done = |result: &String| result != "none" && result != "hook";
            let mut progresses = results.iter().any(is_done);
            for (id, result) in walked.ids.iter().zip(&results) {
                match result.as_str() {
                    "hook" => {
                        progresses |= self.run_hook_and_remove(*id, began, &mut swept).await?;
                    }
                    "unreadable" => unreadable = unreadable.or(Some(*id)),
                    _ => {}
                }
            }
            // Otherwise the clock has moved backward: the next sweep goes on.
            if !progresses {
                return Ok(swept);
            }
        }
    }

    /// Runs the hook for an ended job, and removes the job if it is still as the hook has seen it.
    /// Returns whether it has removed the job.
    async fn run_hook_and_remove(
        &self,
        id: JobId,
        began: u64,
        swept: &mut Swept,
    ) -> Result<bool, Error> {
        let (details, payload) = match self.record(id).await {
            Ok((details, payload, _)) => (details, payload),
            // Removed meanwhile by another process.
            Err(Error::Refused(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let seen = details.snapshot;
        if !seen.status().is_ended() {
            return Ok(false);
        }
        self.run_hook(details, payload.ok(), swept);
        let allowed = step_number(&seen).to_string();
        let results = self.collect(&[(id, allowed)], began, swept).await?;
        Ok(results == ["removed"])
    }

    fn run_hook(&self, details: Details, payload: Option<T>, swept: &mut Swept) {
        let Some(hook) = &self.hook else {
            return;
        };
        let id = details.snapshot.id();
        let record = details.with_payload(payload);
        // A hook that panics does not keep the job, nor the rest of the sweep.
        if let Err(text) = contain(|| hook(&record)) {
            swept.panics.push((id, text));
        }
    }

    /// Ends and removes what is due, and counts it.
    async fn collect(
        &self,
        jobs: &[(JobId, String)],
        began: u64,
        swept: &mut Swept,
    ) -> Result<Vec<String>, Error> {
        let ids: Vec<JobId> = jobs.iter().map(|(id, _)| *id).collect();
        let mut arguments = vec![began.to_string().into_bytes()];
        arguments.extend(jobs.iter().map(|(_, allowed)| allowed.clone().into_bytes()));
        let mut reply = self
            .store
            .change_all(Script::Collect, &ids, None, &arguments)
            .await?;
        let mut results = Vec::with_capacity(ids.len());
        while !reply.is_empty() {
            let result = reply.word()?;
            match result.as_str() {
                "expired" => swept.expired += 1,
                "cancelled" => swept.cancelled += 1,
                "removed" => swept.removed += 1,
                "leased" => swept.busy += 1,
                _ => {}
            }
            results.push(result);
        }
        Ok(results)
    }

    /// Fails the stalled jobs. A job that cannot be read is an error once the others are judged.
    pub(crate) async fn fail_stalled(
        &self,
        trusted: Option<&Trusted>,
    ) -> Result<Vec<Snapshot>, Error> {
        let silent = walk_all(&self.store, "run", "now").await?;
        let (mut failed, mut unreadable) = (Vec::new(), None);
        // The script judges each of them again.
        for batch in silent.chunks(AT_ONCE) {
            let times = trusted.map_or_else(Vec::new, |trusted| {
                let times = [trusted.since, trusted.until()];
                times.map(|time| time.to_string().into_bytes()).to_vec()
            });
            let on = trusted.map(|trusted| &trusted.origin);
            let verdict = self.store.change_all(Script::Verdict, batch, on, &times);
            let mut reply = verdict.await?;
            for id in batch {
                let mut job = reply.list()?;
                if job.is_word("unreadable") {
                    unreadable = unreadable.or(Some(*id));
                } else if !job.is_empty() {
                    failed.push(job.snapshot(*id)?);
                }
            }
        }
        unreadable.map_or(Ok(failed), |id| Err(Error::unreadable(id)))
    }
}

/// A task that sweeps and fails stalled jobs. Returned by
/// [`JobRegistry::spawn_reaper`](crate::JobRegistry::spawn_reaper). It stops when it is dropped,
/// and when the registry is.
#[derive(Debug)]
#[must_use = "the reaper stops when it is dropped"]
pub struct Reaper {
    task: JoinHandle<()>,
    last_error: Arc<Mutex<Option<Error>>>,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reaper {
    /// Must be called on a runtime.
    pub(crate) fn spawn<T: Send + 'static>(state: &Arc<State<T>>, every: Duration) -> Self {
        let last_error = Arc::default();
        let task = tokio::spawn(reap(Arc::downgrade(state), every, Arc::clone(&last_error)));
        Self { task, last_error }
    }

    /// Stops the reaper. Dropping it does the same.
    pub fn stop(self) {
        drop(self);
    }

    /// Returns the error of the last round, if it had one. The next round tries again.
    #[must_use]
    pub fn last_error(&self) -> Option<Error> {
        let error = self.last_error.lock();
        error.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Longest time between two readings of the server's clock. It also keeps the connection from being
/// idle for long.
const READ_CLOCK_EVERY: Duration = Duration::from_secs(5);

/// Reaps until the registry is dropped.
async fn reap<T: Send + 'static>(
    state: Weak<State<T>>,
    every: Duration,
    last_error: Arc<Mutex<Option<Error>>>,
) {
    let mut trust = Trust::default();
    let mut next = Instant::now();
    loop {
        let Some(state) = state.upgrade() else {
            return;
        };
        let trusted = read_clock(&state, &mut trust).await;
        if Instant::now() >= next {
            let error = round(&state, trusted).await.err();
            *last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
            next = Instant::now() + every.min(LONGEST_INTERVAL);
        }
        drop(state);
        sleep_until(next.min(Instant::now() + READ_CLOCK_EVERY)).await;
    }
}

/// Interval beyond which a clock may not reach.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1 << 30);

/// Sweeps also if the stalled jobs cannot be judged.
async fn round<T: Send + 'static>(
    state: &State<T>,
    trusted: Result<Trusted, Error>,
) -> Result<(), Error> {
    let judged = match trusted {
        Ok(trusted) => state.fail_stalled(Some(&trusted)).await.map(drop),
        Err(error) => Err(error),
    };
    state.sweep().await?;
    judged
}

/// Reads the server's clock.
async fn read_clock<T: Send + 'static>(
    state: &State<T>,
    trust: &mut Trust,
) -> Result<Trusted, Error> {
    let before = Instant::now();
    let now = walk(&state.store, "run", Position::default(), "now", 1)
        .await?
        .now;
    // An answer by an earlier connection than this one is as good as one by this one: what is
    // judged is judged by this one.
    let origin = state.store.origin().ok_or(Unavailable::NotSent)?;
    Ok(trust.read(before, now, origin))
}

/// Difference between the clocks that a slow answer explains.
const TOLERANCE: Duration = Duration::from_secs(2);

/// A server's clock that has run with this process's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trusted {
    /// Time of the server since when it has.
    pub(crate) since: u64,
    /// Last reading, and the time of this process before it.
    pub(crate) now: u64,
    pub(crate) at: Instant,
    /// The server and the connection of the readings.
    pub(crate) origin: Origin,
}

impl Trusted {
    /// Returns the latest time that the server's clock has now if it has not jumped since the
    /// last reading.
    fn until(&self) -> u64 {
        let passed = self.at.elapsed() + TOLERANCE;
        let passed = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.now.saturating_add(passed)
    }
}

/// Guard against a server's clock that jumps. After a jump, a restart or a reconnect, every job
/// gets its whole limit again.
#[derive(Debug, Default)]
struct Trust(Option<Trusted>);

impl Trust {
    /// Takes a reading of the server's clock.
    fn read(&mut self, at: Instant, now: u64, origin: Origin) -> Trusted {
        let last = self.0.take().filter(|last| {
            let own = at.saturating_duration_since(last.at);
            let servers = now.checked_sub(last.now).map(Duration::from_millis);
            last.origin == origin && servers.is_some_and(|it| it.abs_diff(own) <= TOLERANCE)
        });
        let since = last.map_or(now, |last| last.since);
        let trusted = Trusted {
            since,
            now,
            at,
            origin,
        };
        self.0 = Some(trusted.clone());
        trusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario 58.
    #[test]
    fn a_clock_is_trusted_until_it_jumps_or_the_server_changes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let origin = |run_id: &str, client_id| Origin {
            run_id: run_id.to_owned(),
            client_id,
        };
        let first = || origin("first", 7);
        let mut trust = Trust::default();
        let mut since = |at, now, origin| trust.read(at, now, origin).since;
        assert_eq!(since(at(0), 100_000, first()), 100_000);
        assert_eq!(since(at(10), 110_500, first()), 100_000);
        // Forward by a minute.
        assert_eq!(since(at(20), 180_500, first()), 180_500);
        assert_eq!(since(at(30), 190_500, first()), 180_500);
        // Backward.
        assert_eq!(since(at(40), 150_000, first()), 150_000);
        // A reconnect, and a restart.
        assert_eq!(since(at(50), 160_000, origin("first", 8)), 160_000);
        assert_eq!(since(at(60), 170_000, origin("second", 8)), 170_000);
        assert_eq!(since(at(70), 180_000, origin("second", 8)), 170_000);
    }
}
