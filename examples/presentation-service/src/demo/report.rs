//! The check list at the end of the demo.

use super::checks::{Check, check, print};
use super::sources::Source;
use super::track::Followed;
use std::time::Duration;

/// The data for the checks.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) decks: &'a [Source],
    pub(super) followed: &'a [Followed],
    /// The largest number of files at one time.
    pub(super) most_files: usize,
    /// The number of files at the end.
    pub(super) left: usize,
    /// The status code for an id that was never issued.
    pub(super) unknown: u16,
    pub(super) took: Duration,
    pub(super) retention: Duration,
}

impl Report<'_> {
    /// Prints the list, and returns whether every check passed.
    pub(super) fn print(&self) -> bool {
        let sentences = self.followed.iter().flat_map(|job| {
            let error = job.error.as_ref();
            let error = error.map(|error| format!("a job failed: {error}"));
            let violations = job.decreases.iter().chain(&job.revived);
            violations.cloned().chain(error)
        });
        print(&self.checks(), sentences, self.took)
    }

    fn checks(&self) -> Vec<Check> {
        let mut checks = self.while_running();
        checks.extend(self.after_the_end());
        checks
    }

    fn while_running(&self) -> Vec<Check> {
        let jobs = self.followed.len();
        let polls = self.sum(|job| job.polls);
        let decreases = self.sum(|job| job.decreases.len());
        let values = self.least(|job| job.progress.len());
        let versions = self.least(|job| job.versions.len());
        let heartbeats = self.least(|job| job.heartbeats.len());
        vec![
            check(
                jobs == self.decks.len(),
                "every deck was accepted (202)",
                format!("{jobs} jobs, {} slides", self.slides()),
            ),
            check(
                decreases == 0 && polls > 0,
                "progress, version and heartbeat never decreased",
                format!("{polls} polls, {decreases} decreases"),
            ),
            check(
                values > 3 && versions > 3,
                "the progress of every job was observed",
                format!("at least {values} values of progress, {versions} versions each"),
            ),
            check(
                heartbeats > 1,
                "heartbeats of every job were observed",
                format!("at least {heartbeats} heartbeats each"),
            ),
        ]
    }

    fn after_the_end(&self) -> Vec<Check> {
        let jobs = self.followed.len();
        let completed = self.count(|job| job.ending.as_deref() == Some("completed"));
        let revived = self.sum(|job| job.revived.len());
        let after = self.sum(|job| job.after_end);
        let unchanged = self.sum(|job| job.unchanged);
        let frames = self.sum(|job| job.frames);
        let bytes = self.sum(|job| job.bytes) / 1024;
        let complete = self
            .followed
            .iter()
            .zip(self.decks)
            .all(|(job, deck)| job.frames == job.pictures && job.frames >= deck.slides);
        let gone = self.count(|job| job.gone);
        let early = self.count(|job| job.early);
        let retention = humantime::format_duration(self.retention);
        vec![
            check(
                completed == jobs && revived == 0 && after > 0,
                "every job ended once, and its ending never changed",
                format!("{completed} completed, {after} polls after the end, {revived} changes"),
            ),
            check(
                unchanged > 0,
                "an unchanged version is answered 304",
                format!("{unchanged} times"),
            ),
            check(
                complete,
                "every animation decodes, with a frame for each picture",
                format!("{frames} frames, {bytes} KiB"),
            ),
            check(
                gone == jobs && early == 0,
                "every id answered 410 after the retention, none earlier",
                format!("{gone} of {jobs} after {retention}, {early} early"),
            ),
            check(
                self.left == 0 && self.most_files > 0,
                "no file is left on disk",
                format!("{} of up to {}", self.left, self.most_files),
            ),
            check(
                self.unknown == 404,
                "an id that was never issued is answered 404",
                format!("{}", self.unknown),
            ),
        ]
    }

    fn slides(&self) -> usize {
        self.decks.iter().map(|deck| deck.slides).sum()
    }

    fn sum(&self, of: impl Fn(&Followed) -> usize) -> usize {
        self.followed.iter().map(of).sum()
    }

    fn least(&self, of: impl Fn(&Followed) -> usize) -> usize {
        self.followed.iter().map(of).min().unwrap_or(0)
    }

    fn count(&self, which: impl Fn(&Followed) -> bool) -> usize {
        self.followed.iter().filter(|job| which(job)).count()
    }
}
