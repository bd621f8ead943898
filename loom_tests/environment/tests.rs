//! One test for each call.

use super::{Domain, HANDLES, IDS, Kind, LARGE, REVISED, SMALL, Subject, explore, ledger};
use crate::guarantee::Rule;

/// Explores a call on each of `subjects` and writes the results to the ledger.
///
/// # Panics
///
/// Panics if a check fails, if the call never gave an answer of the specification, or if the
/// environment never used some rule.
fn check(name: &str, kind: Kind, subjects: &[Subject]) {
    let base = if kind.loads_pair() { SMALL } else { LARGE };
    let without_revisions = Domain {
        generations: if kind.scans() { 1 } else { base.generations },
        halves: kind.advances(),
        watches_ended: kind.ends_or_retries(),
        ..base
    };
    let mut reports = explore(kind, subjects, without_revisions, true);
    if kind.reads_revision() {
        let with_revisions = Domain {
            halves: kind.advances(),
            ..REVISED
        };
        reports.extend(explore(kind, subjects, with_revisions, true));
    }
    ledger::write(name, subjects.len(), &reports);
    for (subject, report) in subjects.iter().cycle().zip(&reports) {
        if let Some(failure) = &report.failure {
            let executions: u64 = reports.iter().map(|report| report.executions).sum();
            panic!(
                "{}: detected in execution {executions} under environment. \
                 As {subject:?}, {failure}",
                std::thread::current().name().unwrap_or(name),
            );
        }
        assert!(
            report.missing.is_empty(),
            "{name} as {subject:?}: the call never gave these answers of the specification: {:?}",
            report.missing
        );
    }
    let is_used = |rule: &Rule| {
        reports
            .iter()
            .any(|report| report.environment.contains(rule))
    };
    // The environment revises nothing if the call reads no revision, which the checker asserts.
    let is_possible = |rule: &Rule| *rule != Rule::Revise || kind.reads_revision();
    let unused: Vec<_> = Rule::ALL
        .into_iter()
        .filter(|rule| is_possible(rule) && !is_used(rule))
        .collect();
    assert!(
        unused.is_empty(),
        "{name}: the environment never used {unused:?}"
    );
}

macro_rules! calls {
    ($($test:ident: $name:literal, $kind:ident, $subjects:expr;)*) => {
        $(
            #[test]
            fn $test() {
                check($name, Kind::$kind, $subjects);
            }
        )*
    };
}

/// Subject of a call on the registry as a whole, which ignores it.
const REGISTRY: &[Subject] = &[Subject::Id(1)];

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
    request_stop_by_id: "`request_stop` by id", RequestStop, IDS;
    request_stop_by_handle: "`request_stop` by handle", RequestStop, HANDLES;
    note_by_id: "`note` by id", Note, IDS;
    note_by_handle: "`note` by handle", Note, HANDLES;
    report_by_id: "`report` by id", Report, IDS;
    report_by_handle: "`report` by handle", Report, HANDLES;
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
    poll: "a poll of a `Watch`", Poll, &[Subject::Id(1)];
    drop_owner: "the drop of a `Job`", DropOwner, HANDLES;
    register: "`register`", Register, REGISTRY;
    sweep: "`sweep`", Sweep, REGISTRY;
    iter: "`iter`", Iter, REGISTRY;
    counts: "`counts`", Counts, REGISTRY;
    stalled: "`stalled`", Stalled, REGISTRY;
    fail_stalled: "`fail_stalled`", FailStalled, REGISTRY;
    guard_start: "`lock`, `JobGuard::start`", GuardStart, IDS;
    guard_advance: "`lock`, `JobGuard::advance`", GuardAdvance, IDS;
    guard_heartbeat: "`lock`, `JobGuard::heartbeat`", GuardHeartbeat, IDS;
    guard_update: "`lock`, a write through the guard", GuardUpdate, IDS;
    guard_complete: "`lock`, `JobGuard::complete`", GuardComplete, IDS;
    guard_fail: "`lock`, `JobGuard::fail`", GuardFail, IDS;
    guard_cancel: "`lock`, `JobGuard::cancel`", GuardCancel, IDS;
}

/// Checks that cut points change no result: in a tiny domain, four calls give the same answers with
/// and without them.
#[test]
fn cut_points_hide_nothing() {
    let tiny = Domain {
        generations: 1,
        attempts: 1,
        times: 1,
        revisions: 1,
        halves: true,
        watches_ended: true,
    };
    for kind in [Kind::Advance, Kind::Complete, Kind::Start, Kind::Remove] {
        let subject = Subject::Handle(1, 1);
        let [with, without] = [true, false].map(|cuts| explore(kind, &[subject], tiny, cuts));
        assert_eq!(with[0].failure, None);
        assert_eq!(without[0].failure, None);
        let keys = |report: &super::Report| report.answers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&with[0]), keys(&without[0]), "{kind:?}");
        assert!(with[0].executions <= without[0].executions);
    }
}
