//! The check list at the end of the demo of several replicas.

use super::ledger::{Ledger, Seen};
use crate::demo::checks::{check, print};
use std::time::Duration;

/// The data for the checks, beside the ledger.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Number of presentations, and of those that ended as they had to.
    pub(super) jobs: usize,
    pub(super) ended_once: usize,
    /// Number of attempts that ended.
    pub(super) attempts: usize,
    /// Submissions that were repeated at another replica, and those that led to the same id.
    pub(super) repeated: usize,
    pub(super) same: usize,
    /// Presentations of the killed replica: those that it drew, and all that were live.
    pub(super) killed_drawing: usize,
    pub(super) killed: usize,
    /// Live presentations of the paused replica.
    pub(super) paused: usize,
    /// Number of these that were judged stalled.
    pub(super) stalled: usize,
    /// Answers of 503 while the store was away.
    pub(super) away: usize,
    pub(super) delivered: Vec<Delivered>,
    /// Presentations that every living replica has answered with 410, and the number of replicas.
    pub(super) removed: usize,
    pub(super) living: usize,
    /// Entries of the lists after that.
    pub(super) listed: usize,
    pub(super) files_left: usize,
    pub(super) keys_left: Vec<String>,
    /// Whether the replica that was told to stop completed its presentation.
    pub(super) drained: bool,
    /// Exit codes of the replicas that were told to stop.
    pub(super) exits: Vec<Option<i32>>,
    /// Presentations, and directories of files, that the stopped replicas have left to others.
    pub(super) kept: usize,
    pub(super) kept_files: usize,
    /// Lines of the replicas' logs.
    pub(super) errors: Vec<String>,
}

/// The downloads of one presentation.
#[derive(Debug)]
pub(super) struct Delivered {
    /// Number of replicas that have sent it.
    pub(super) downloads: usize,
    /// Number of frames.
    pub(super) frames: usize,
    /// Whether they are as many as the presentation has pictures.
    pub(super) is_whole: bool,
    /// Whether all replicas have sent the same bytes.
    pub(super) same: bool,
}

impl Default for Delivered {
    fn default() -> Self {
        Self {
            downloads: 0,
            frames: 0,
            is_whole: false,
            same: true,
        }
    }
}

/// Returns whether each attempt of a presentation was seen to end once: the lost ones failed, and
/// the last one completed.
pub(super) fn ended_once(seen: &Seen, lost: u32) -> bool {
    let expected = (1..=lost + 1).map(|attempt| {
        let status = if attempt > lost {
            "completed"
        } else {
            "failed"
        };
        (attempt, status)
    });
    let ends = seen.ends.iter().map(|(attempt, ends)| {
        let status = ends.first().map_or("", |(status, _)| status);
        (*attempt, if ends.len() == 1 { status } else { "" })
    });
    ends.eq(expected)
}

impl Report {
    /// Prints the list, and returns whether every check passed.
    pub(super) fn print(&self, ledger: &Ledger, took: Duration) -> bool {
        let (totals, violations) = (ledger.totals(), ledger.violations());
        let downloads: usize = self.delivered.iter().map(|it| it.downloads).sum();
        let frames: usize = self.delivered.iter().map(|it| it.frames).sum();
        let whole = |it: &Delivered| it.is_whole && it.same && it.downloads > 0;
        let checks = vec![
            check(
                self.same == self.repeated && self.repeated > 0,
                "a repeated submission led to the same id at another replica",
                format!("{} of {}", self.same, self.repeated),
            ),
            check(
                violations.is_empty() && totals.polls > 0 && totals.events > 0,
                "no version fell, at no replica, and nothing was 404",
                format!(
                    "{} polls, {} events, {} violations",
                    totals.polls,
                    totals.events,
                    violations.len()
                ),
            ),
            check(
                self.killed_drawing > 0 && self.killed > self.killed_drawing,
                "the killed replica had work",
                format!(
                    "{} drawn, {} waiting",
                    self.killed_drawing,
                    self.killed.saturating_sub(self.killed_drawing)
                ),
            ),
            check(
                self.paused > 0 && self.stalled == self.killed + self.paused,
                "its presentations stalled, and those of the paused one",
                format!("{} of {}", self.stalled, self.killed + self.paused),
            ),
            check(
                self.ended_once == self.jobs,
                "every attempt ended once, and every presentation completed",
                format!(
                    "{} of {}, {} attempts",
                    self.ended_once, self.jobs, self.attempts
                ),
            ),
            check(
                self.away > 0,
                "clients learned that the store was away",
                format!("{} answers of 503", totals.away),
            ),
            check(
                self.delivered.len() == self.jobs && self.delivered.iter().all(whole),
                "every replica sent the same whole animation",
                format!("{downloads} downloads, {frames} frames"),
            ),
            check(
                self.removed > 0 && self.listed == 0 && totals.gone >= self.removed * self.living,
                "every id answered 410 after the retention, none earlier",
                format!("{} at {} replicas", self.removed, self.living),
            ),
            check(
                self.files_left == 0 && self.keys_left.is_empty(),
                "no file and no key was left",
                format!("{} files, {} keys", self.files_left, self.keys_left.len()),
            ),
            check(
                self.drained && self.exits.iter().all(|code| *code == Some(0)),
                "a replica that was told to stop finished its work",
                format!("{} exit codes of 0", self.exits.len()),
            ),
            check(
                self.kept == 2 && self.kept_files == 2,
                "stopped replicas removed nothing",
                format!(
                    "{} presentations, {} with files",
                    self.kept, self.kept_files
                ),
            ),
            check(
                self.errors.is_empty(),
                "no replica logged an error",
                format!("{} lines", self.errors.len()),
            ),
        ];
        let keys = self.keys_left.iter().map(|key| format!("left: {key}"));
        let sentences = violations
            .into_iter()
            .chain(self.errors.clone())
            .chain(keys);
        print(&checks, sentences, took)
    }
}
