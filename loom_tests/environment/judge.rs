//! The specification's answers to a call in a given memory.

use super::spec::{Call, Job, Limits, Refusal, Ret, Spec, View, Who};
use crate::guarantee::{Memory, State};
use crate::{Progress, Status};
use std::time::Duration;

/// Name that no job has.
pub(super) const UNKNOWN: u32 = 99;

/// Zero: a running job is stalled if its last heartbeat is earlier than the present time.
pub(super) const STALL_AFTER: Duration = Duration::ZERO;

/// Returns the specification's registry for a memory. Each generation of the slot is a job of that
/// name. Data that only the body holds is left out.
pub(super) fn spec_of(memory: &Memory, now: u64) -> Spec {
    let mut spec = Spec::new(Limits {
        capacity: usize::MAX,
        retention: Duration::MAX,
        stall_after: STALL_AFTER,
        stop_grace: Duration::ZERO,
    });
    spec.now = now;
    for generation in 1..memory.state.generation {
        let mut job = Job::register(generation, 0, 0);
        job.record.view.version.1 = Status::Failed;
        job.removed = true;
        spec.jobs.insert(generation, job);
    }
    if let Some(view) = view_of(memory) {
        let generation = memory.state.generation;
        let mut job = Job::register(generation, 0, u64::from(generation));
        job.record.view = view;
        // An ended job is due at once, so that a sweep removes it. No other call reads this time.
        job.record.removal = view.version.1.is_ended().then_some(now);
        spec.jobs.insert(generation, job);
    }
    spec
}

/// Returns the view of the slot's job, or `None` if the slot is vacant.
fn view_of(memory: &Memory) -> Option<View> {
    let State {
        generation,
        attempt,
        status,
        progress,
        ..
    } = memory.state;
    let progress = Progress::from_ppm(progress).expect("a progress in range");
    Some(View {
        job: generation,
        version: (attempt.into(), status?, progress),
        revision: memory.revision.1,
        beat: memory.heartbeat.millis,
    })
}

/// Returns the state that calls can observe: each job's view, or `None` for a removed job.
pub(super) fn visible_state(spec: &Spec) -> Vec<(u32, Option<View>)> {
    let jobs = spec.jobs.iter();
    jobs.map(|(name, job)| (*name, (!job.removed).then_some(job.record.view)))
        .collect()
}

/// Returns the specification's answer to a call in a memory, and whether the call changes the
/// visible state. `None` if the call cannot happen in that memory.
pub(super) fn answer_in(memory: &Memory, call: &Call, now: u64) -> Option<(Ret, bool)> {
    if let Call::Poll(_) = call {
        let (ret, _) = answer_in(memory, &Call::Snapshot(Who::Id(POLLED)), now)?;
        return match ret {
            Ret::View(view) if (view.version, view.revision) != (SEEN, 0) => {
                Some((Ret::Next(Some(view)), false))
            }
            _ => None,
        };
    }
    let call = &specified(memory, call)?;
    let mut spec = spec_of(memory, now);
    let before = visible_state(&spec);
    let ret = spec.apply(call);
    if ret == Ret::Refused(Refusal::Impossible) {
        return None;
    }
    let has_changed = visible_state(&spec) != before;
    Some((comparable(call, ret), has_changed))
}

/// Returns the specification's answer if the call leads from `before` to `after`.
pub(super) fn leads_to(before: &Memory, after: &Memory, call: &Call, now: u64) -> Option<Ret> {
    let call = &specified(before, call)?;
    let mut spec = spec_of(before, now);
    let ret = spec.apply(call);
    (visible_state(&spec) == visible_state(&spec_of(after, now))).then(|| comparable(call, ret))
}

/// Name of the job that is polled.
pub(super) const POLLED: u32 = 1;
/// Version that the watch has seen.
pub(super) const SEEN: (u32, Status, Progress) = (1, Status::Running, Progress::ZERO);

/// Returns the call as the specification makes it in a memory. A registration publishes the job of
/// the slot's generation, and is impossible unless the slot is vacant.
fn specified(memory: &Memory, call: &Call) -> Option<Call> {
    let generation = memory.state.generation;
    match call {
        Call::Register(..) if memory.state.status.is_some() => None,
        Call::Register(_, payload) => Some(Call::Register(generation, *payload)),
        other => Some(other.clone()),
    }
}

/// Removes the data that only the body holds from an answer. The progress of a verdict is removed
/// too, because it may still grow until the verdict is settled.
pub(super) fn comparable(call: &Call, ret: Ret) -> Ret {
    match (call, ret) {
        (_, Ret::Record(record) | Ret::Details(record)) => Ret::View(record.view),
        (Call::FailStalled, Ret::Views(mut views)) => {
            for view in &mut views {
                view.version.2 = Progress::ZERO;
            }
            Ret::Views(views)
        }
        (_, other) => other,
    }
}

/// Returns whether the two words together show a state of the job.
///
/// Between the decision of a start or a retry and its settlement, the heartbeat already belongs to
/// the next state. Every call that reads heartbeats settles the state first.
pub(super) fn has_consistent_pair(memory: &Memory) -> bool {
    memory.is_settled() || memory.heartbeat.verdict.is_some()
}

/// Returns whether an answer includes a heartbeat.
pub(super) fn shows_heartbeat(ret: &Ret) -> bool {
    match ret {
        Ret::View(_) | Ret::Next(Some(_)) => true,
        Ret::Views(views) => !views.is_empty(),
        _ => false,
    }
}

/// Returns whether the slot holds the subject of a call, and the job is live.
pub(super) fn is_live(memory: &Memory, who: Who) -> bool {
    let State {
        generation,
        attempt,
        ..
    } = memory.state;
    memory.state.is_live()
        && match who {
            Who::Id(name) => name == generation,
            Who::Handle(name, fence) => name == generation && fence == u32::from(attempt),
            Who::Guard => false,
        }
}

/// Returns the answers that only a concurrent call may give. The specification runs each call alone
/// and does not have them.
pub(super) fn concurrent_answers(memory: &Memory, call: &Call) -> Vec<Ret> {
    let is_locked = memory.lock == Some(super::graph::ENVIRONMENT);
    match call {
        Call::TryLock(who) if is_locked && is_live(memory, *who) => {
            vec![Ret::Refused(Refusal::Busy)]
        }
        // Both skip a job that another thread has locked.
        Call::Sweep if is_locked => vec![Ret::Count(0)],
        Call::FailStalled if is_locked => vec![Ret::Views(Vec::new())],
        // The watch waits for a step that clears the watched bit, or for the wake after a removal.
        Call::Poll(_) if is_poll_pending(memory) => vec![Ret::Waits],
        _ => Vec::new(),
    }
}

fn is_poll_pending(memory: &Memory) -> bool {
    let is_gone = memory.state.generation > POLLED;
    let shows = view_of(memory).map(|view| (view.job, view.version, view.revision));
    is_gone || (memory.state.watched && shows == Some((POLLED, SEEN, 0)))
}
