//! P11, P6, P9: one panic of any user code, in any public call, reaches nothing but the job that it is about.
//!
//! The table in `rows.rs` has a row for each call and a column for each kind of user code. A run without a panic
//! counts how often the call runs the code of a kind. Each of these times is then a run of its own in which the
//! code panics, with a value of each kind, and what is seen afterwards is compared with the run without a panic:
//! the states, errors, times and watchers of all jobs, the events, the drops, and the calls of the removal hook.
//! At last every job is locked, ended and removed, and the registry is filled again.
//!
//! Each kind of value has a process of its own, which a panic during a panic would end.

#![cfg(not(any(loom, shuttle)))]

mod complete;
mod rows;
mod stage;
mod world;

use rows::{Done, ROWS, Row};
use stage::{Kind, SOURCES, Seen, Source, Turn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use world::{JOBS, JobView, NEW, View, World};

/// What a panic comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// `-`: the call does not run the code.
    Never,
    /// `P`: the caller sees the panic; everything is as without it.
    Passed,
    /// `C`: the caller does not see it; everything is as without it.
    Contained,
    /// `M`: either; everything is as without it.
    Mixed,
    /// `L`: the caller sees it, and has no owner: everything is as if the owner had been dropped.
    OwnerLost,
    /// `E`: the new job is as without it, or has ended, or is not there; all others are as without it.
    NewJobEnds,
    /// `R`: one job is as before the call and all others are as without the panic, or all are as before.
    Refused,
    /// `G`: as `R`, or the job has failed because its guard was unwound.
    Guarded,
    /// `S`: as `C`, but for the events: one beat or one sweep may be left out.
    Skipped,
}

impl Row {
    fn expected(&self, source: Source) -> Expected {
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
}

/// One run of a row, and what was seen after it.
struct Run {
    /// `None` where the panic reached the caller.
    done: Option<Done>,
    seen: Seen,
    view: View,
    healed: Result<(), String>,
}

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Play {
    /// Not the call: what is seen is what was there before it.
    Before,
    Call,
    /// The call; and the owner that it returned is dropped.
    AndLoseTheOwner,
}

fn run(row: &Row, play: Play, armed: Option<(Source, Kind, usize)>) -> Run {
    let mut world = World::new(row.states);
    (row.prepare)(&mut world);
    stage::open(armed);
    let mut done = None;
    if play != Play::Before {
        match catch_unwind(AssertUnwindSafe(|| (row.act)(&mut world))) {
            Ok(returned) => done = Some(returned),
            // It may panic when it is dropped.
            Err(panic) => std::mem::forget(panic),
        }
    }
    let seen = stage::close();
    if play == Play::AndLoseTheOwner {
        world.kept = None;
    }
    if play != Play::Before {
        (row.then)(&mut world);
    }
    let view = world.view();
    let healed = world.heals();
    Run {
        done,
        seen,
        view,
        healed,
    }
}

/// A row's runs without a panic, which the others are compared with.
struct Clean {
    before: View,
    call: Run,
    owner_lost: View,
}

impl Clean {
    fn of(row: &Row) -> Self {
        let call = run(row, Play::Call, None);
        assert_eq!(call.healed, Ok(()), "{}, without a panic", row.name);
        Self {
            before: run(row, Play::Before, None).view,
            owner_lost: run(row, Play::AndLoseTheOwner, None).view,
            call,
        }
    }

    fn firings(&self, source: Source) -> usize {
        let firings = self.call.seen.firings.iter();
        firings.filter(|(fired, _)| *fired == source).count()
    }
}

/// What a run with a panic got wrong; empty where it is as the table says.
fn complaints(row: &Row, source: Source, clean: &Clean, panicked: &Run) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut check = |holds: bool, complaint: &dyn Fn() -> String| {
        if !holds {
            complaints.push(complaint());
        }
    };
    let expected = row.expected(source);
    let reached = panicked.done.is_none();
    let may_reach = !matches!(expected, Expected::Contained | Expected::Skipped);
    let must_reach = matches!(expected, Expected::Passed | Expected::OwnerLost);
    check(!reached || may_reach, &|| {
        "the panic reached the caller".to_owned()
    });
    check(reached || !must_reach, &|| {
        "the caller did not see the panic".to_owned()
    });
    let has_text = expected != Expected::NewJobEnds && expected != Expected::Refused;
    if let (Some(done), Some(without), true) = (&panicked.done, &clean.call.done, has_text) {
        check(done.text == without.text, &|| {
            format!("returned {}, not {}", done.text, without.text)
        });
    }

    let target = match expected {
        Expected::OwnerLost => &clean.owner_lost,
        _ => &clean.call.view,
    };
    let spares_one = matches!(expected, Expected::Refused | Expected::Guarded);
    let mut spared = 0;
    for name in JOBS.into_iter().chain([NEW]) {
        let (seen, without, before) = (
            &panicked.view.jobs[name],
            &target.jobs[name],
            &clean.before.jobs[name],
        );
        let is_fine = match expected {
            Expected::NewJobEnds if name == NEW => !seen.is_live || same(seen, without, true),
            // A sweep's own event, of no job, stands with the first.
            Expected::NewJobEnds => same(seen, without, false),
            Expected::Skipped => same(seen, without, false),
            Expected::Refused | Expected::Guarded => {
                let is_changed = same(seen, without, !row.is_walk());
                let is_spared =
                    is_unchanged(seen, before) || expected == Expected::Guarded && is_unwound(seen);
                spared += usize::from(!is_changed);
                is_changed || is_spared
            }
            _ => same(seen, without, true),
        };
        check(is_fine, &|| format!("{name} is {seen:?}, not {without:?}"));
    }
    let all_before = JOBS
        .iter()
        .all(|name| is_unchanged(&panicked.view.jobs[name], &clean.before.jobs[name]));
    check(!spares_one || spared <= 1 || all_before, &|| {
        format!("{spared} jobs were spared")
    });

    // A subscriber that panics keeps nothing from the recorder.
    let counts_all = matches!(
        expected,
        Expected::Passed | Expected::Contained | Expected::Mixed
    );
    if source == Source::Subscriber && counts_all {
        let (seen, without) = (recorded(&panicked.seen), recorded(&clean.call.seen));
        check(seen == without, &|| {
            format!("recorded {seen:?}, not {without:?}")
        });
    }

    // Removals in which something panicked are counted.
    let fired = panicked.seen.fired.as_deref().unwrap_or("nothing");
    let counted = panicked.view.removal_panics;
    let reported = panicked.done.as_ref().and_then(|done| done.panics);
    match source {
        Source::Hook => check(counted == 1, &|| format!("{counted} panics are counted")),
        Source::Payload if row.covers != "JobRegistry::drop" => {
            check(counted == 1, &|| format!("{counted} panics are counted"));
        }
        Source::Subscriber => {
            let in_removal = fired.contains("message=cleanup") && !fired.starts_with("of no job");
            check(counted == u64::from(in_removal), &|| {
                format!("{counted} panics are counted")
            });
        }
        Source::Recorder => check(counted <= 1, &|| format!("{counted} panics are counted")),
        _ => check(counted == 0, &|| format!("{counted} panics are counted")),
    }
    if let Some(reported) = reported {
        check(reported as u64 == counted, &|| {
            format!("{reported} panics are reported")
        });
    }
    check(panicked.healed.is_ok(), &|| {
        format!("afterwards: {:?}", panicked.healed)
    });
    complaints
}

impl Row {
    /// Whether a sweep or a walk has events of its own, which a clock that panics may keep back.
    fn is_walk(&self) -> bool {
        self.name.contains("sweep")
    }
}

/// What the recorder was given, but for the count of panics.
fn recorded(seen: &Seen) -> Vec<&str> {
    let recorded = seen
        .firings
        .iter()
        .filter(|(source, what)| *source == Source::Recorder && !what.contains("removal_panics"));
    recorded.map(|(_, what)| what.as_str()).collect()
}

fn same(seen: &JobView, without: &JobView, with_events: bool) -> bool {
    let mut seen = seen.clone();
    if !with_events {
        seen.events.clone_from(&without.events);
    }
    seen == *without
}

fn is_unchanged(seen: &JobView, before: &JobView) -> bool {
    // A payload that was refused has been dropped.
    (&seen.state, &seen.rung, seen.hooked) == (&before.state, &before.rung, before.hooked)
}

fn is_unwound(seen: &JobView) -> bool {
    seen.state
        .contains("panicked: while the job's lock was held")
}

/// Every cell of a column, with one kind of value.
fn try_column(source: Source, kind: Kind) {
    let _turn = Turn::take();
    let mut complaints_of_all = Vec::new();
    for row in ROWS {
        let clean = Clean::of(row);
        let firings = clean.firings(source);
        if row.expected(source) == Expected::Never {
            let none = firings == 0;
            if !none {
                complaints_of_all.push(format!("{}: runs the code {firings} times", row.name));
            }
            continue;
        }
        if firings == 0 {
            complaints_of_all.push(format!("{}: never runs the code", row.name));
        }
        for firing in 1..=firings {
            // The last line of a process that is ended says where.
            println!("in {}, at {firing} of {firings}", row.name);
            let panicked = run(row, Play::Call, Some((source, kind, firing)));
            let fired = panicked.seen.fired.clone();
            let place = format!("{}, at {firing} of {firings} ({fired:?})", row.name);
            if fired.is_none() {
                complaints_of_all.push(format!("{place}: the code did not run"));
            }
            for complaint in complaints(row, source, &clean, &panicked) {
                complaints_of_all.push(format!("{place}: {complaint}"));
            }
        }
    }
    assert!(
        complaints_of_all.is_empty(),
        "{source:?}, {kind:?}, {} complaints:\n{}",
        complaints_of_all.len(),
        complaints_of_all.join("\n")
    );
}

const CHILD: &str = "JOB_REGISTRY_TEST_CHILD";

/// Each kind in a process of its own, which a panic during a panic ends.
fn try_column_with_every_kind(source: Source, test: &str) {
    let kinds = [Kind::Str, Kind::String, Kind::Bomb];
    if let Ok(kind) = std::env::var(CHILD) {
        let kind = kinds.into_iter().find(|known| format!("{known:?}") == kind);
        return try_column(source, kind.expect("the parent names a kind"));
    }
    let mut failed = String::new();
    for kind in kinds {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(CHILD, format!("{kind:?}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        if !said.contains("1 passed") {
            let last = said.lines().rfind(|line| line.starts_with("in "));
            let why = String::from_utf8_lossy(&child.stderr);
            failed += &format!("{kind:?}: {}, last {last:?}\n{why}\n", child.status);
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

/// P11 and P9: whichever step wakes.
#[test]
fn wakers_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Waker, "wakers_that_panic_reach_no_other_job");
}

/// P11 and P9: a waker is dropped by what wakes it, by a poll with another, and with its watch.
#[test]
fn wakers_whose_drop_panics_reach_no_other_job() {
    try_column_with_every_kind(
        Source::WakerDrop,
        "wakers_whose_drop_panics_reach_no_other_job",
    );
}

/// P11 and P6: every way in which a job is removed.
#[test]
fn hooks_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Hook, "hooks_that_panic_reach_no_other_job");
}

/// P11 and P6: every way in which a payload is dropped.
#[test]
fn payloads_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Payload, "payloads_that_panic_reach_no_other_job");
}

/// P11: every event, the refusals among them.
#[test]
fn subscribers_that_panic_reach_no_other_job() {
    try_column_with_every_kind(
        Source::Subscriber,
        "subscribers_that_panic_reach_no_other_job",
    );
}

/// P11: every metric.
#[test]
fn recorders_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Recorder, "recorders_that_panic_reach_no_other_job");
}

/// P11: a clock must not panic. One that does loses no job and no lock.
#[test]
fn clocks_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Clock, "clocks_that_panic_reach_no_other_job");
}
