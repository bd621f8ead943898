//! P11, P6, P9: one panic of any user code, in any public call, reaches nothing but the job that it is about.
//!
//! The table in `rows.rs` has a row for each call and a column for each kind of user code. A run without a panic
//! counts how often the call runs the code of a kind. Each of these times is then a run of its own in which the
//! code panics, with a value of each kind; in one more it panics every time. What is seen afterwards is compared with the run without a panic:
//! the states, errors, times and watchers of all jobs, the events, the drops, and the calls of the removal hook.
//! At last every job is locked, ended and removed, and the registry is filled again.
//!
//! Each kind of value has a process of its own, which a panic during a panic would end.

#![cfg(not(any(loom, shuttle)))]

mod complete;
mod rows;
mod stage;
mod verdict;
mod world;

use rows::{Done, ROWS, Row};
use stage::{Armed, Kind, Seen, Source, Turn, When};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use verdict::{Expected, Verdict};
use world::{View, World};

/// One run of a row, and what was seen after it.
struct Run {
    /// `None` where the panic reached the caller.
    done: Option<Done>,
    seen: Seen,
    view: View,
    healed: Result<(), String>,
}

/// The part of the table that a process runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Play {
    /// Not the call: what is seen is what was there before it.
    Before,
    Call,
    /// The call; and the owner that it returned is dropped.
    AndLoseTheOwner,
}

fn run(row: &Row, play: Play, armed: Option<Armed>) -> Run {
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
        let once = (1..=firings).map(When::Once);
        // A clock that always panics is of no use.
        let always = firings > 1 && source != Source::Clock;
        for when in once.chain(always.then_some(When::Always)) {
            // The last line of a process that is ended says where.
            println!("in {}, {when:?} of {firings}", row.name);
            let armed = Armed { source, kind, when };
            let panicked = run(row, Play::Call, Some(armed));
            let fired = &panicked.seen.fired;
            let place = format!("{}, {when:?} of {firings} ({fired:?})", row.name);
            if fired.is_empty() {
                complaints_of_all.push(format!("{place}: the code did not run"));
            }
            for complaint in Verdict::of(row, source, &clean, &panicked).complaints {
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
    let mut failed = Vec::new();
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
            let status = child.status;
            failed.push(format!("{kind:?}: {status}, last {last:?}\n{why}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
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
