//! Coverage of the histories: a call or an answer that never occurs proves nothing.

use super::emitted::EVENTS;
use super::pair::Pair;
use super::plan::Machine;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use proptest_state_machine::ReferenceStateMachine;
use std::collections::BTreeSet;
use std::fmt::Debug;

const HISTORIES: usize = 80;
const STEPS: usize = 150;

const CALLS: &str = "Tick Register RegisterWith Start Advance Heartbeat Complete Fail Cancel CancelBecause \
    RequestStop Note Report Lock TryLock Unlock Update Panic Snapshot Get Details RemoveAfter Remove Sweep Collect \
    Expire Retry DropOwner Detach Stalled FailStalled Watch Poll Unwatch Iter \
    Len Counts";

/// Endings by a sweep.
const EXPIRED: &str = "Expired(Cancelled) Expired(Failed)";

/// All answers except `AttemptsExhausted`, which would take 65,535 retries.
const ANSWERS: &str = "Done Full Progress Status Payload Attempt Panicked Count Counts View Views Record Details Next Waits \
    NotFound Gone Superseded NotStarted AlreadyStarted Stopping Ended(Completed) Ended(Failed) Ended(Cancelled) Live \
    NotRetryable(Pending) NotRetryable(Running) NotRetryable(Stopping) NotRetryable(Completed) Busy WouldDeadlock";

/// Work during which the clock must have advanced.
const MOVED: &str = "Hook | Destructor | Waker | Section | in a hook: RemoveAfter by Id | in a hook: Cancel by Id | \
    in a hook: RequestStop by Id | in a hook: Note by Id | \
    waiting: Start by Id | waiting: Complete by Handle | waiting: Fail by Id | waiting: Cancel by Id | \
    waiting: Panic by Id | waiting: Get by Id | waiting: RemoveAfter by Id | waiting: Remove by Id | \
    waiting: Retry by Id | waiting: DropOwner by Handle | \
    waiting: RequestStop by Id | waiting: CancelBecause by Id | waiting: Note by Id | waiting: Report by Handle";

/// A fixed set of histories contains every kind of call, of answer and of event.
#[test]
fn histories_come_by_every_call_and_every_answer() {
    let mut runner = TestRunner::deterministic();
    let (mut seen, mut moved) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..HISTORIES {
        let mut plan = sample(&Machine::init_state(), &mut runner);
        let mut pair = Pair::new(plan.spec.limits);
        for _ in 0..STEPS {
            let step = sample(&Machine::transitions(&plan), &mut runner);
            pair.play(&step);
            plan = Machine::apply(plan, &step);
        }
        for (_, call, answer) in &pair.history {
            seen.insert(kind(call));
            seen.insert(kind(answer));
        }
        moved.append(&mut pair.moved);
        seen.append(&mut pair.expired);
        seen.append(&mut pair.emitted.seen);
        pair.finish();
    }
    let unmoved: Vec<_> = MOVED
        .split('|')
        .map(str::trim)
        .filter(|kind| !moved.contains(*kind))
        .collect();
    assert!(unmoved.is_empty(), "no time passed during {unmoved:?}");
    let expected = CALLS.split_whitespace().chain(ANSWERS.split_whitespace());
    let expected = expected.chain(EXPIRED.split_whitespace());
    let expected = expected.chain(EVENTS.iter().copied());
    let missing: Vec<_> = expected.filter(|kind| !seen.contains(*kind)).collect();
    assert!(
        missing.is_empty(),
        "never tried or never answered: {missing:?}"
    );
}

fn sample<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy
        .new_tree(runner)
        .expect("the strategies reject nothing")
        .current()
}

/// Returns a variant's name, and for a refusal its full text.
fn kind(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    if let Some(refusal) = text.strip_prefix("Refused(") {
        return refusal.strip_suffix(')').unwrap_or(refusal).to_owned();
    }
    text.split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}
