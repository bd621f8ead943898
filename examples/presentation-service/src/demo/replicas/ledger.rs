//! [`Ledger`]: what clients have seen of each presentation, at all replicas, and what contradicts
//! it.

use crate::views::View;
use job_registry::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The observations of all clients.
#[derive(Debug)]
pub(super) struct Ledger {
    retention: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<String, Seen>,
    totals: Totals,
    violations: BTreeSet<String>,
}

/// Numbers of answers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    /// Answers that show a presentation.
    pub(super) polls: usize,
    /// States in event streams.
    pub(super) events: usize,
    /// Answers of 503: the store was away.
    pub(super) away: usize,
    /// Answers of 410.
    pub(super) gone: usize,
    /// Answers of 404.
    pub(super) unknown: usize,
}

/// The observations of one presentation.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    /// The latest version that any client has seen.
    floor: Option<Version>,
    /// The view with this version.
    pub(super) latest: Option<View>,
    /// For each attempt, the ends that were seen: status and version.
    pub(super) ends: BTreeMap<u32, BTreeSet<(String, String)>>,
    /// For each attempt, the reason of its end.
    pub(super) reasons: BTreeMap<u32, String>,
    /// When a request was sent whose answer still showed a live attempt.
    live_at: Option<Instant>,
    /// The replicas that have answered 410, and when the first did.
    pub(super) gone: BTreeSet<usize>,
    gone_at: Option<Instant>,
}

/// A request under way. Its answer is not older than what was known when it was sent.
#[derive(Debug)]
pub(super) struct Asked {
    floor: Option<Version>,
    at: Instant,
}

impl Asked {
    /// Notes that a later answer of the same request is not older than this version.
    pub(super) fn raise(&mut self, version: Option<Version>) {
        self.floor = self.floor.max(version);
    }
}

impl Ledger {
    pub(super) fn new(retention: Duration) -> Self {
        let state = Mutex::default();
        Self { retention, state }
    }

    /// Notes that a request about a presentation is about to be sent.
    pub(super) fn ask(&self, id: &str) -> Asked {
        let floor = self.state().jobs.get(id).and_then(|seen| seen.floor);
        let at = Instant::now();
        Asked { floor, at }
    }

    /// Compares a view with all that was seen before its request was sent.
    pub(super) fn view(&self, replica: usize, asked: &Asked, view: View, is_event: bool) {
        let mut state = self.state();
        if is_event {
            state.totals.events += 1;
        } else {
            state.totals.polls += 1;
        }
        let Ok(version) = view.version.parse::<Version>() else {
            let text = format!("replica {replica} has a version {:?}", view.version);
            state.violations.insert(text);
            return;
        };
        let mut violations = Vec::new();
        let seen = state.jobs.entry(view.id.clone()).or_default();
        if asked.floor.is_some_and(|floor| version < floor) {
            violations.push(format!(
                "{}: the version fell to {version} at replica {replica}",
                view.id
            ));
        }
        if seen.gone_at.is_some_and(|at| at < asked.at) {
            violations.push(format!("{}: back after 410 at replica {replica}", view.id));
        }
        if view.ended_at.is_some() {
            let end = (view.status.clone(), view.version.clone());
            seen.ends.entry(view.attempt).or_default().insert(end);
            let reason = view.reason.clone().unwrap_or_default();
            seen.reasons.insert(view.attempt, reason);
        } else {
            seen.live_at = seen.live_at.max(Some(asked.at));
        }
        if seen.floor.is_none_or(|floor| version > floor) {
            seen.floor = Some(version);
            seen.latest = Some(view);
        }
        state.violations.extend(violations);
    }

    /// Notes an answer of 410. It must not come before the retention after the end.
    pub(super) fn gone(&self, replica: usize, id: &str) {
        let mut state = self.state();
        state.totals.gone += 1;
        let seen = state.jobs.entry(id.to_owned()).or_default();
        let is_early = seen.live_at.is_some_and(|at| at.elapsed() < self.retention);
        let has_ended = seen
            .latest
            .as_ref()
            .is_some_and(|view| view.ended_at.is_some());
        seen.gone.insert(replica);
        seen.gone_at.get_or_insert_with(Instant::now);
        if is_early || !has_ended {
            state
                .violations
                .insert(format!("{id}: 410 too early at replica {replica}"));
        }
    }

    /// Notes any other answer. The store may be away; nothing else is expected.
    pub(super) fn refusal(&self, replica: usize, request: &str, status: u16, text: &str) {
        let mut state = self.state();
        match status {
            503 => state.totals.away += 1,
            status => {
                state.totals.unknown += usize::from(status == 404);
                let text = format!("replica {replica} answered {request} with {status}: {text}");
                state.violations.insert(text);
            }
        }
    }

    /// Notes what must not be.
    pub(super) fn violation(&self, text: String) {
        self.state().violations.insert(text);
    }

    /// Returns what was seen of a presentation.
    pub(super) fn seen(&self, id: &str) -> Seen {
        self.state().jobs.get(id).cloned().unwrap_or_default()
    }

    pub(super) fn totals(&self) -> Totals {
        self.state().totals
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.state().violations.iter().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Returns whether the latest view shows this status.
    pub(super) fn is(&self, status: &str) -> bool {
        self.latest
            .as_ref()
            .is_some_and(|view| view.status == status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(version: &str, status: &str, attempt: u32) -> View {
        let ended = ["completed", "failed"].contains(&status).then_some("now");
        let view = json!({
            "id": "job", "status": status, "progress": 0.0, "attempt": attempt,
            "version": version, "note": null, "reason": null, "registered_at": "", "started_at": null,
            "ended_at": ended, "removal_at": null, "last_heartbeat": "",
            "payload": {"title": "", "slides": 1, "file": null, "warnings": []}
        });
        serde_json::from_value(view).unwrap()
    }

    fn version(attempt: u32, status: job_registry::Status) -> String {
        let progress = job_registry::Progress::ZERO;
        let version = Version::from_parts(attempt, status, progress, 0);
        version.unwrap().to_string()
    }

    #[test]
    fn a_version_that_falls_is_a_violation_only_if_it_was_known_before() {
        use job_registry::Status::{Pending, Running};
        let ledger = Ledger::new(Duration::ZERO);
        let early = ledger.ask("job");
        let now = ledger.ask("job");
        ledger.view(1, &now, view(&version(1, Running), "running", 1), false);
        // An older answer may arrive later.
        ledger.view(2, &early, view(&version(1, Pending), "pending", 1), false);
        assert_eq!(ledger.violations(), Vec::<String>::new());
        let late = ledger.ask("job");
        ledger.view(2, &late, view(&version(1, Pending), "pending", 1), true);
        assert_eq!(ledger.violations().len(), 1);
    }

    #[test]
    fn a_live_job_is_not_gone_or_unknown() {
        let ledger = Ledger::new(Duration::from_secs(60));
        let asked = ledger.ask("job");
        let running = version(1, job_registry::Status::Running);
        ledger.view(1, &asked, view(&running, "running", 1), false);
        ledger.refusal(1, "a poll", 503, "");
        assert_eq!(ledger.violations(), Vec::<String>::new());
        ledger.gone(1, "job");
        ledger.refusal(1, "a poll", 404, "");
        assert_eq!(ledger.violations().len(), 2);
        assert_eq!(ledger.totals().unknown, 1);
    }
}
