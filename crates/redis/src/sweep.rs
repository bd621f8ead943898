//! Sweeps and stall verdicts, which any process may make, and the reaper that makes them in time.

use crate::error::Error;
use crate::link::Origin;
use crate::reply::step_number;
use crate::script::Script;
use crate::state::{Position, State, walk, walk_all};
use crate::store::BATCH;
use job_registry::{Details, JobId, Snapshot, Swept};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

impl<T: Send + 'static> State<T> {
    pub(crate) async fn sweep(&self) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let mut began = None;
        loop {
            let until = began.map_or_else(|| "now".to_owned(), |began: u64| began.to_string());
            let walked = walk(&self.store, "due", Position::default(), &until, BATCH).await?;
            let began = *began.get_or_insert(walked.now);
            if walked.ids.is_empty() {
                return Ok(swept);
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
                if result == "hook" {
                    progresses |= self.run_hook_and_remove(*id, began, &mut swept).await?;
                }
            }
            // Otherwise the clock has moved backward, or the jobs cannot be read: the next sweep
            // goes on.
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
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(&record))) {
            swept.panics.push((id, message(&*panic)));
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
                _ => {}
            }
            results.push(result);
        }
        Ok(results)
    }

    /// Fails the stalled jobs. Silence before `trusted`, of the server's time, does not count.
    pub(crate) async fn fail_stalled(&self, trusted: Option<u64>) -> Result<Vec<Snapshot>, Error> {
        let trusted = [trusted.map_or_else(Vec::new, |time| time.to_string().into_bytes())];
        let silent = walk_all(&self.store, "run", "now").await?;
        let mut failed = Vec::new();
        // The script judges each of them again.
        for batch in silent.chunks(BATCH) {
            let verdict = self
                .store
                .change_all(Script::Verdict, batch, None, &trusted);
            let mut reply = verdict.await?;
            for id in batch {
                let mut job = reply.list()?;
                if !job.is_empty() {
                    failed.push(job.snapshot(*id)?);
                }
            }
        }
        Ok(failed)
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}

/// A task that sweeps and fails stalled jobs. Returned by
/// [`JobRegistry::spawn_reaper`](crate::JobRegistry::spawn_reaper). It stops when it is dropped,
/// and when the registry is.
#[derive(Debug)]
#[must_use = "the reaper stops when it is dropped"]
pub struct Reaper(JoinHandle<()>);

impl Drop for Reaper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reaper {
    /// Must be called on a runtime.
    pub(crate) fn spawn<T: Send + 'static>(state: &Arc<State<T>>, every: Duration) -> Self {
        Self(tokio::spawn(reap(Arc::downgrade(state), every)))
    }
}

/// Reaps until the registry is dropped. An error is left for the next round.
async fn reap<T: Send + 'static>(state: Weak<State<T>>, every: Duration) {
    let mut trust = Trust::default();
    loop {
        let Some(state) = state.upgrade() else {
            return;
        };
        if let Ok(since) = trusted(&state, &mut trust).await {
            let _ = state.fail_stalled(Some(since)).await;
        }
        let _ = state.sweep().await;
        drop(state);
        sleep(every).await;
    }
}

/// Returns the time since which the server's clock has run with this process's.
async fn trusted<T: Send + 'static>(state: &State<T>, trust: &mut Trust) -> Result<u64, Error> {
    let begun = Instant::now();
    let now = walk(&state.store, "run", Position::default(), "now", 1)
        .await?
        .now;
    Ok(trust.since(begun, now, state.store.origin()))
}

/// Difference between the clocks that a slow answer explains.
const TOLERANCE: Duration = Duration::from_secs(2);

/// Guard against a server's clock that jumps. After a jump, a restart or a reconnect, every job
/// gets its whole limit again.
#[derive(Debug, Default)]
struct Trust {
    since: u64,
    last: Option<(Instant, u64, Option<Origin>)>,
}

impl Trust {
    /// Takes a reading of the server's clock, and returns the time since which it is trusted.
    fn since(&mut self, at: Instant, now: u64, origin: Option<Origin>) -> u64 {
        let runs_on = self.last.as_ref().is_some_and(|(then, before, known)| {
            let own = at.saturating_duration_since(*then);
            let servers = now.checked_sub(*before).map(Duration::from_millis);
            *known == origin && servers.is_some_and(|servers| servers.abs_diff(own) <= TOLERANCE)
        });
        if !runs_on {
            self.since = now;
        }
        self.last = Some((at, now, origin));
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_trusted_until_it_jumps_or_the_server_changes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let origin = |run_id: &str, client_id| {
            Some(Origin {
                run_id: run_id.to_owned(),
                client_id,
            })
        };
        let first = || origin("first", 7);
        let mut trust = Trust::default();
        assert_eq!(trust.since(at(0), 100_000, first()), 100_000);
        assert_eq!(trust.since(at(10), 110_500, first()), 100_000);
        // Forward by a minute.
        assert_eq!(trust.since(at(20), 180_500, first()), 180_500);
        assert_eq!(trust.since(at(30), 190_500, first()), 180_500);
        // Backward.
        assert_eq!(trust.since(at(40), 150_000, first()), 150_000);
        // A reconnect, and a restart.
        assert_eq!(trust.since(at(50), 160_000, origin("first", 8)), 160_000);
        assert_eq!(trust.since(at(60), 170_000, origin("second", 8)), 170_000);
        assert_eq!(trust.since(at(70), 180_000, origin("second", 8)), 170_000);
    }
}
