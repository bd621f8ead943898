//! P11, P6, P9: one panic of any user code, in any public call, affects only the job that the call
//! concerns.
//!
//! The table in `rows.rs` has a row for each call and a column for each kind of user code. A run
//! without a panic counts how often the call runs the code of a kind. A further run makes each of
//! these executions panic, with a value of each kind. In one more run, all of them panic.
//!
//! The result is compared with the run without a panic: the states, errors, times and watchers of
//! all jobs, the events, the drops, and the calls of the removal hook. Finally every job is locked,
//! ended and removed, and the registry is filled again.
//!
//! Each kind of value has its own process, because a panic during a panic aborts the process.

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

/// One run of a row, and the state after it.
struct Run {
    /// `None` if the panic reached the caller.
    done: Option<Done>,
    seen: Seen,
    view: View,
    healed: Result<(), String>,
}

/// The part of the table that a process runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Play {
    /// Omits the call, which gives the state before it.
    Before,
    Call,
    /// Makes the call, and drops the owner that it returned.
    AndLoseTheOwner,
}

fn run(row: &Row, play: Play, armed: Option<Armed>) -> Run {
    let mut world = World::new(row.states, row.when_full);
    (row.prepare)(&mut world);
    stage::open(armed);
    let mut done = None;
    if play != Play::Before {
        match catch_unwind(AssertUnwindSafe(|| (row.act)(&mut world))) {
            Ok(returned) => done = Some(returned),
            // The value may panic when it is dropped.
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

/// A row's runs without a panic, to which the others are compared.
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

/// Runs every cell of a column with one kind of value.
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
        // A clock that always panics shows nothing.
        let always = firings > 1 && source != Source::Clock;
        for when in once.chain(always.then_some(When::Always)) {
            // The last line of an aborted process identifies the cell.
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

/// Runs each kind in its own process, because a panic during a panic aborts the process.
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

/// P11 and P9: the wakers panic in every step that wakes.
#[test]
fn wakers_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Waker, "wakers_that_panic_reach_no_other_job");
}

/// P11 and P9: a waker is dropped after the wake, by a poll with another waker, and with its watch.
#[test]
fn wakers_whose_drop_panics_reach_no_other_job() {
    try_column_with_every_kind(
        Source::WakerDrop,
        "wakers_whose_drop_panics_reach_no_other_job",
    );
}

/// P11 and P6: the hook panics in every kind of removal.
#[test]
fn hooks_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Hook, "hooks_that_panic_reach_no_other_job");
}

/// P11 and P6: the destructor panics wherever a payload is dropped.
#[test]
fn payloads_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Payload, "payloads_that_panic_reach_no_other_job");
}

/// P11: the subscriber panics in every event, refusals included.
#[test]
fn subscribers_that_panic_reach_no_other_job() {
    try_column_with_every_kind(
        Source::Subscriber,
        "subscribers_that_panic_reach_no_other_job",
    );
}

/// P11: the recorder panics in every metric.
#[test]
fn recorders_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Recorder, "recorders_that_panic_reach_no_other_job");
}

/// P11: a clock should not panic. If it does, no job and no lock is lost.
#[test]
fn clocks_that_panic_reach_no_other_job() {
    try_column_with_every_kind(Source::Clock, "clocks_that_panic_reach_no_other_job");
}
