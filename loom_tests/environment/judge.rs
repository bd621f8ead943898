//! Answers of the specification to a call in a memory.

use super::spec::{Call, Job, Limits, Refusal, Ret, Spec, View, Who};
use crate::guarantee::{Memory, State};
use crate::{Progress, Status};
use std::time::Duration;

/// No job has this name.
pub(super) const NOBODY: u32 = 99;

/// A silence of any length is a stall: the clock stands still, so that a beat of now is none.
pub(super) const STALL_AFTER: Duration = Duration::ZERO;

/// The specification's registry that a memory stands for: each generation of the slot is a job of that
/// name. What only the body has is not in it.
pub(super) fn spec_of(memory: &Memory, now: u64) -> Spec {
    let mut spec = Spec::new(Limits {
        capacity: usize::MAX,
        retention: Duration::MAX,
        stall_after: STALL_AFTER,
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
        // A job whose removal is due, for the sweeps. No other call asks.
        job.record.removal = view.version.1.is_ended().then_some(now);
        spec.jobs.insert(generation, job);
    }
    spec
}

/// The job that a slot shows.
fn view_of(memory: &Memory) -> Option<View> {
    let State {
        generation,
        attempt,
        status,
        progress,
        ..
    } = memory.state;
    let progress = Progress::from_ppm(progress).expect("it is one");
    Some(View {
        job: generation,
        version: (attempt.into(), status?, progress),
        beat: memory.heartbeat.millis,
    })
}

/// Everything that can be observed: each job, or that it is gone.
pub(super) fn visible(spec: &Spec) -> Vec<(u32, Option<View>)> {
    let jobs = spec.jobs.iter();
    jobs.map(|(name, job)| (*name, (!job.removed).then_some(job.record.view)))
        .collect()
}

/// A call of the specification in a memory: its answer, and whether it changes anything that can be seen.
/// `None` where the call cannot happen there.
pub(super) fn answer_in(memory: &Memory, call: &Call, now: u64) -> Option<(Ret, bool)> {
    if let Call::Poll(_) = call {
        let (ret, _) = answer_in(memory, &Call::Snapshot(Who::Id(POLLED)), now)?;
        return match ret {
            Ret::View(view) if view.version != SEEN => Some((Ret::Next(Some(view)), false)),
            _ => None,
        };
    }
    let call = &in_this(memory, call)?;
    let mut spec = spec_of(memory, now);
    let before = visible(&spec);
    let ret = spec.apply(call);
    if ret == Ret::Refused(Refusal::Impossible) {
        return None;
    }
    let has_changed = visible(&spec) != before;
    Some((plain(call, ret), has_changed))
}

/// Whether a call of the specification leads from one memory to the next one, and its answer.
pub(super) fn leads_to(before: &Memory, after: &Memory, call: &Call, now: u64) -> Option<Ret> {
    let call = &in_this(before, call)?;
    let mut spec = spec_of(before, now);
    let ret = spec.apply(call);
    (visible(&spec) == visible(&spec_of(after, now))).then(|| plain(call, ret))
}

/// The job that is polled.
pub(super) const POLLED: u32 = 1;
/// The version that the watch has seen.
pub(super) const SEEN: (u32, Status, Progress) = (1, Status::Running, Progress::ZERO);

/// A registration publishes the job whose generation the slot has, if the slot is free.
fn in_this(memory: &Memory, call: &Call) -> Option<Call> {
    let generation = memory.state.generation;
    match call {
        Call::Register(..) if memory.state.status.is_some() => None,
        Call::Register(_, payload) => Some(Call::Register(generation, *payload)),
        other => Some(other.clone()),
    }
}

/// Without what only the body has, and of a verdict without the progress, which may still grow while it is
/// carried out.
pub(super) fn plain(call: &Call, ret: Ret) -> Ret {
    match (call, ret) {
        (_, Ret::Record(record)) => Ret::View(record.view),
        (Call::FailStalled, Ret::Views(mut views)) => {
            for view in &mut views {
                view.version.2 = Progress::ZERO;
            }
            Ret::Views(views)
        }
        (_, other) => other,
    }
}

/// Whether the heartbeat word has lost the beat that the job still shows: a start or a retry has
/// been decided, and the state does not say so yet. Every reader of beats settles it first.
pub(super) fn has_a_view(memory: &Memory) -> bool {
    memory.is_settled() || memory.heartbeat.verdict.is_some()
}

/// Whether an answer shows a beat.
pub(super) fn shows_a_beat(ret: &Ret) -> bool {
    match ret {
        Ret::View(_) | Ret::Next(Some(_)) => true,
        Ret::Views(views) => !views.is_empty(),
        _ => false,
    }
}

/// Whether the job that a call means is live.
pub(super) fn is_live(memory: &Memory, who: Who) -> bool {
    let State {
        generation,
        attempt,
        ..
    } = memory.state;
    memory.state.is_live()
        && match who {
            Who::Id(name) => name == generation,
            Who::Handle(name, of) => name == generation && of == u32::from(attempt),
            Who::Guard => false,
        }
}

/// Answers that a call may give although the specification, in which every call is alone, does not have them.
pub(super) fn excuses(memory: &Memory, call: &Call) -> Vec<Ret> {
    let is_locked = memory.lock == Some(super::graph::ENVIRONMENT);
    match call {
        Call::TryLock(who) if is_locked && is_live(memory, *who) => {
            vec![Ret::Refused(Refusal::Busy)]
        }
        // These leave a job alone that somebody has locked at the moment.
        Call::Sweep if is_locked => vec![Ret::Count(0)],
        Call::FailStalled if is_locked => vec![Ret::Views(Vec::new())],
        // The watch waits for a step that clears the bit, or for the remover, who has still to come.
        Call::Poll(_) if is_awaited(memory) => vec![Ret::Waits],
        _ => Vec::new(),
    }
}

fn is_awaited(memory: &Memory) -> bool {
    let is_gone = memory.state.generation > POLLED;
    let shows = view_of(memory).map(|view| (view.job, view.version));
    is_gone || (memory.state.watched && shows == Some((POLLED, SEEN)))
}
