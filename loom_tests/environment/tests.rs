//! The calls, each in a test of its own.

use super::{Aim, Domain, HANDLES, IDS, Kind, LONGER, OBSERVED, explore, ledger};
use crate::guarantee::Rule;

/// Explores a call as each of `aims` and records what came of it.
///
/// # Panics
///
/// If a check fails, if an answer that the specification has was never seen, or if the environment never used some
/// rule.
fn check(name: &str, kind: Kind, aims: &[Aim]) {
    let domain = if kind.observes() { OBSERVED } else { LONGER };
    let reports = explore(kind, aims, domain, true);
    ledger::write(name, &reports);
    for (aim, report) in aims.iter().zip(&reports) {
        if let Some(failure) = &report.failure {
            let executions: u64 = reports.iter().map(|report| report.executions).sum();
            panic!(
                "{}: detected in execution {executions} under environment. As {aim:?}, {failure}",
                std::thread::current().name().unwrap_or(name),
            );
        }
        assert!(
            report.missing.is_empty(),
            "{name} as {aim:?}: the specification has answers that were never seen: {:?}",
            report.missing
        );
    }
    let is_used = |rule: &Rule| {
        reports
            .iter()
            .any(|report| report.environment.contains(rule))
    };
    let unused: Vec<_> = Rule::ALL
        .into_iter()
        .filter(|rule| !is_used(rule))
        .collect();
    assert!(
        unused.is_empty(),
        "{name}: the environment never used {unused:?}"
    );
}

macro_rules! calls {
    ($($test:ident: $name:literal, $kind:ident, $aims:expr;)*) => {
        $(
            #[test]
            fn $test() {
                check($name, Kind::$kind, $aims);
            }
        )*
    };
}

/// A call that is about no job in particular.
const NO_JOB: &[Aim] = &[Aim::Id(1)];

calls! {
    snapshot_by_id: "`snapshot` by id", Snapshot, IDS;
    snapshot_by_handle: "`snapshot` by handle", Snapshot, HANDLES;
    advance_by_id: "`advance` by id", Advance, IDS;
    advance_by_handle: "`advance` by handle", Advance, HANDLES;
    heartbeat_by_id: "`heartbeat` by id", Heartbeat, IDS;
    heartbeat_by_handle: "`heartbeat` by handle", Heartbeat, HANDLES;
    start_by_id: "`start` by id", Start, IDS;
    start_by_handle: "`start` by handle", Start, HANDLES;
    complete_by_id: "`complete` by id", Complete, IDS;
    complete_by_handle: "`complete` by handle", Complete, HANDLES;
    fail_by_id: "`fail` by id", Fail, IDS;
    fail_by_handle: "`fail` by handle", Fail, HANDLES;
    cancel_by_id: "`cancel` by id", Cancel, IDS;
    cancel_by_handle: "`cancel` by handle", Cancel, HANDLES;
    retry_by_id: "`retry` by id", Retry, IDS;
    retry_by_handle: "`retry` by handle", Retry, HANDLES;
    remove_by_id: "`remove` by id", Remove, IDS;
    remove_by_handle: "`remove` by handle", Remove, HANDLES;
    remove_after_by_id: "`remove_after` by id", RemoveAfter, IDS;
    remove_after_by_handle: "`remove_after` by handle", RemoveAfter, HANDLES;
    lock_by_id: "`lock` and unlock by id", Lock, IDS;
    lock_by_handle: "`lock` and unlock by handle", Lock, HANDLES;
    try_lock_by_id: "`try_lock` and unlock by id", TryLock, IDS;
    try_lock_by_handle: "`try_lock` and unlock by handle", TryLock, HANDLES;
    update_by_id: "`update` by id", Update, IDS;
    update_by_handle: "`update` by handle", Update, HANDLES;
    panic_by_id: "`update` that panics, by id", Panic, IDS;
    panic_by_handle: "`update` that panics, by handle", Panic, HANDLES;
    get: "`get`, `read`", Get, IDS;
    watch: "`watch`", Watch, IDS;
    poll: "a poll of a `Watch`", Poll, &[Aim::Id(1)];
    drop_owner: "the drop of a `Job`", DropOwner, HANDLES;
    register: "`register`", Register, NO_JOB;
    sweep: "`sweep`", Sweep, NO_JOB;
    iter: "`iter`", Iter, NO_JOB;
    counts: "`counts`", Counts, NO_JOB;
    stalled: "`stalled`", Stalled, NO_JOB;
    fail_stalled: "`fail_stalled`", FailStalled, NO_JOB;
    guard_start: "`lock`, `JobGuard::start`", GuardStart, IDS;
    guard_advance: "`lock`, `JobGuard::advance`", GuardAdvance, IDS;
    guard_heartbeat: "`lock`, `JobGuard::heartbeat`", GuardHeartbeat, IDS;
    guard_complete: "`lock`, `JobGuard::complete`", GuardComplete, IDS;
    guard_fail: "`lock`, `JobGuard::fail`", GuardFail, IDS;
    guard_cancel: "`lock`, `JobGuard::cancel`", GuardCancel, IDS;
}

/// The cut points change nothing: without them, a small domain gives the same answers.
#[test]
fn cut_points_hide_nothing() {
    let small = Domain {
        generations: 1,
        attempts: 1,
        times: 1,
    };
    for kind in [Kind::Advance, Kind::Complete, Kind::Start, Kind::Remove] {
        let aim = Aim::Handle(1, 1);
        let [with, without] = [true, false].map(|cuts| explore(kind, &[aim], small, cuts));
        assert_eq!(with[0].failure, None);
        assert_eq!(without[0].failure, None);
        let keys = |report: &super::Report| report.answers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&with[0]), keys(&without[0]), "{kind:?}");
        assert!(with[0].executions <= without[0].executions);
    }
}
