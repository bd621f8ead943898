//! Permitted results of a panic, and the faults of a run.

use crate::rows::Row;
use crate::stage::{SOURCES, Seen, Source};
use crate::world::{JOBS, JobView, NEW};
use crate::{Clean, Run};

/// Result of a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// `-`: the call does not run the code.
    Never,
    /// `P`: the caller sees the panic; everything else is as without it.
    Passed,
    /// `C`: the caller does not see the panic; everything is as without it.
    Contained,
    /// `M`: the caller may see the panic; everything else is as without it.
    Mixed,
    /// `L`: the caller sees the panic and has no owner; everything is as if the owner had been
    /// dropped.
    OwnerLost,
    /// `E`: the new job is as without the panic, has ended, or is missing; all others are as
    /// without it.
    NewJobEnds,
    /// `R`: one job is as before the call and all others are as without the panic, or all are as before.
    Refused,
    /// `G`: like `R`, or the job has failed because its guard was unwound.
    Guarded,
    /// `S`: like `C`, but the event of one heartbeat or sweep may be missing.
    Skipped,
}

impl Row {
    pub(crate) fn expected(&self, source: Source) -> Expected {
        let column = SOURCES.iter().position(|known| *known == source);
        match self.cells.as_bytes()[column.expect("every source has a column")] {
            b'-' => Expected::Never,
            b'P' => Expected::Passed,
            b'C' => Expected::Contained,
            b'M' => Expected::Mixed,
            b'L' => Expected::OwnerLost,
            b'E' => Expected::NewJobEnds,
            b'R' => Expected::Refused,
            b'G' => Expected::Guarded,
            b'S' => Expected::Skipped,
            other => panic!("{}: {other} is no letter of the table", self.name),
        }
    }

    /// Whether the call sweeps, which has its own event that a panic of the clock may suppress.
    fn sweeps(&self) -> bool {
        self.name.contains("sweep")
    }
}

/// Faults of a run with a panic.
pub(crate) struct Verdict<'a> {
    row: &'a Row,
    source: Source,
    expected: Expected,
    clean: &'a Clean,
    panicked: &'a Run,
    pub(crate) complaints: Vec<String>,
}

impl<'a> Verdict<'a> {
    pub(crate) fn of(row: &'a Row, source: Source, clean: &'a Clean, panicked: &'a Run) -> Self {
        let mut verdict = Self {
            row,
            source,
            expected: row.expected(source),
            clean,
            panicked,
            complaints: Vec::new(),
        };
        verdict.judge_return();
        verdict.judge_jobs();
        verdict.judge_metrics();
        verdict.judge_counts();
        verdict.check(panicked.healed.is_ok(), || {
            format!("afterwards: {:?}", panicked.healed)
        });
        verdict
    }

    fn check(&mut self, holds: bool, complaint: impl FnOnce() -> String) {
        if !holds {
            self.complaints.push(complaint());
        }
    }

    /// Judges whether the caller saw the panic, and the value that was returned otherwise.
    fn judge_return(&mut self) {
        let reached = self.panicked.done.is_none();
        let may_reach = !matches!(self.expected, Expected::Contained | Expected::Skipped);
        let must_reach = matches!(self.expected, Expected::Passed | Expected::OwnerLost);
        self.check(!reached || may_reach, || {
            "the panic reached the caller".to_owned()
        });
        self.check(reached || !must_reach, || {
            "the caller did not see the panic".to_owned()
        });
        if matches!(self.expected, Expected::NewJobEnds | Expected::Refused) {
            return;
        }
        if let (Some(done), Some(without)) = (&self.panicked.done, &self.clean.call.done) {
            self.check(done.text == without.text, || {
                format!("returned {}, not {}", done.text, without.text)
            });
        }
    }

    fn judge_jobs(&mut self) {
        let target = match self.expected {
            Expected::OwnerLost => &self.clean.owner_lost,
            _ => &self.clean.call.view,
        };
        let mut spared = 0;
        for name in JOBS.into_iter().chain([NEW]) {
            let (seen, without) = (&self.panicked.view.jobs[name], &target.jobs[name]);
            let before = &self.clean.before.jobs[name];
            let is_fine = match self.expected {
                Expected::NewJobEnds if name == NEW => !seen.is_live || same(seen, without),
                // The event of a sweep belongs to no job, and may be suppressed.
                Expected::NewJobEnds | Expected::Skipped => same_state(seen, without),
                Expected::Refused | Expected::Guarded => {
                    let is_as_without = if self.row.sweeps() {
                        same_state(seen, without)
                    } else {
                        same(seen, without)
                    };
                    spared += usize::from(!is_as_without);
                    let is_unwound = self.expected == Expected::Guarded && is_unwound(seen);
                    is_as_without || is_unchanged(seen, before) || is_unwound
                }
                _ => same(seen, without),
            };
            self.check(is_fine, || format!("{name} is {seen:?}, not {without:?}"));
        }
        let (seen, before) = (&self.panicked.view.jobs, &self.clean.before.jobs);
        let all_before = JOBS
            .iter()
            .all(|name| is_unchanged(&seen[name], &before[name]));
        self.check(spared <= 1 || all_before, || {
            format!("{spared} jobs were spared")
        });
    }

    /// Checks that a subscriber that panics does not keep metrics from the recorder.
    fn judge_metrics(&mut self) {
        let has_all = matches!(
            self.expected,
            Expected::Passed | Expected::Contained | Expected::Mixed
        );
        if self.source == Source::Subscriber && has_all {
            let seen = recorded(&self.panicked.seen);
            let without = recorded(&self.clean.call.seen);
            self.check(seen == without, || {
                format!("recorded {seen:?}, not {without:?}")
            });
        }
    }

    /// Checks that removals and endings by a sweep are counted if user code panics, and reported by
    /// the sweep.
    fn judge_counts(&mut self) {
        let fired = &self.panicked.seen.fired;
        let counted = self.panicked.view.removal_panics;
        let ends_jobs = self.row.name == "sweep of stopping jobs";
        let is_fine = match self.source {
            // Each job that a sweep ends is counted once. The event of the sweep belongs to no job.
            Source::Waker | Source::WakerDrop if ends_jobs => {
                counted > 0 && counted <= fired.len() as u64
            }
            Source::Subscriber if ends_jobs => counted <= fired.len() as u64,
            // The dropped registry can no longer be asked.
            Source::Payload if self.row.covers == "JobRegistry::drop" => counted == 0,
            Source::Hook | Source::Payload => counted == fired.len() as u64,
            Source::Subscriber => {
                let removals = fired
                    .iter()
                    .filter(|event| event.starts_with(" message=cleanup"));
                counted == removals.count() as u64
            }
            // Each removal has two metrics of its own, and some metrics belong to other events.
            Source::Recorder => counted <= fired.len() as u64,
            Source::Waker | Source::WakerDrop | Source::Clock => counted == 0,
        };
        self.check(is_fine, || format!("{counted} panics are counted"));
        let reported = self.panicked.done.as_ref().and_then(|done| done.panics);
        self.check(
            reported.is_none_or(|reported| reported as u64 == counted),
            || format!("{reported:?} panics are reported, {counted} counted"),
        );
    }
}

/// Returns the recorded metrics, except the count of panics.
fn recorded(seen: &Seen) -> Vec<&str> {
    let of_recorder = |(source, what): &&(Source, String)| {
        *source == Source::Recorder && !what.contains("removal_panics")
    };
    let recorded = seen.firings.iter().filter(of_recorder);
    recorded.map(|(_, what)| what.as_str()).collect()
}

fn same(seen: &JobView, without: &JobView) -> bool {
    seen == without
}

/// Compares everything except the events.
fn same_state(seen: &JobView, without: &JobView) -> bool {
    let events = without.events.clone();
    JobView {
        events,
        ..seen.clone()
    } == *without
}

/// Accepts that a refused payload has been dropped.
fn is_unchanged(seen: &JobView, before: &JobView) -> bool {
    (&seen.state, &seen.rung, seen.hooked) == (&before.state, &before.rung, before.hooked)
}

fn is_unwound(seen: &JobView) -> bool {
    seen.state
        .contains("panicked: while the job's lock was held")
}
