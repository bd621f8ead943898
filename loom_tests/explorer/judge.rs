//! The search for a sequential order of the calls that explains an outcome.

use super::super::spec::{Call, Millis, Refusal, Ret, Spec, Who};
use super::alphabet::{EARLIER_WATCH, JOB, Letter, Start, TICK};
use super::program::Program;
use std::collections::HashSet;

/// Answers of a call of a program: one for each observed instant.
pub(super) type Answers = Vec<Ret>;

/// The observable result of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    /// Answers by thread and call.
    pub(super) answers: Vec<Vec<Answers>>,
    /// Answers to [`final_calls`], after all threads have ended.
    pub(super) last: Answers,
}

/// Returns the calls that are made after all threads have ended.
pub(super) fn final_calls(program: &Program) -> Vec<Call> {
    let mut calls = vec![Call::Get(JOB)];
    calls.extend(watches(program).map(Call::Poll));
    calls.extend(program.start.watches().iter().copied().map(Call::Poll));
    if program.start == Start::Reused {
        calls.push(Call::Poll(EARLIER_WATCH));
    }
    calls.extend([Call::Len, Call::Sweep, Call::Len]);
    calls
}

/// Returns a name for each call of a program.
pub(super) fn place(thread: usize, call: usize) -> u32 {
    u32::try_from(10 * (thread + 1) + call + 1).expect("few threads, few calls")
}

pub(super) fn watches(program: &Program) -> impl Iterator<Item = u32> + '_ {
    letters(program).filter_map(|(place, letter)| (letter == Letter::Watch).then_some(place))
}

fn letters(program: &Program) -> impl Iterator<Item = (u32, Letter)> + '_ {
    program
        .threads
        .iter()
        .enumerate()
        .flat_map(|(thread, letters)| {
            let place = move |call| place(thread, call);
            letters
                .iter()
                .enumerate()
                .map(move |(call, letter)| (place(call), *letter))
        })
}

/// The calls that had returned when a call began: `before[thread][call]` has a count for each
/// thread.
pub(super) type RealTime = Vec<Vec<Vec<usize>>>;

/// Whether some order of the calls explains the outcome. It must keep the order of each thread, and
/// real time where that is known.
///
/// A call may record or compare any time that the clock had during the call. If the call takes the
/// job's lock, the time is also no earlier than the last section before it.
pub(super) fn explains(program: &Program, outcome: &Outcome, real_time: Option<&RealTime>) -> bool {
    let instants = |(thread, letters): (usize, &Vec<Letter>)| {
        let calls = |(call, letter): (usize, &Letter)| letter.calls(place(thread, call));
        letters.iter().enumerate().map(calls).collect()
    };
    let mut search = Search {
        calls: program.threads.iter().enumerate().map(instants).collect(),
        outcome,
        real_time,
        last: final_calls(program),
        began: program.start.spec().now,
        dead_ends: HashSet::new(),
    };
    let at = vec![At::default(); program.threads.len()];
    search.from(&program.start.spec(), &at, 0)
}

/// Progress of a thread: its call, the next instant of that call, and the number of answers given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct At {
    call: usize,
    instant: usize,
    answers: usize,
}

struct Search<'a> {
    calls: Vec<Vec<Vec<Call>>>,
    outcome: &'a Outcome,
    real_time: Option<&'a RealTime>,
    last: Vec<Call>,
    /// Time at which the program began.
    began: Millis,
    /// States from which no order reaches the end (Lowe, CCPE 2017).
    dead_ends: HashSet<(Spec, Vec<At>, Millis)>,
}

impl Search<'_> {
    /// Continues the order. `unlocked` is the time at which the job's lock was last released.
    fn from(&mut self, spec: &Spec, at: &[At], unlocked: Millis) -> bool {
        let here = (spec.clone(), at.to_vec(), unlocked);
        if self.dead_ends.contains(&here) {
            return false;
        }
        let is_explained = self.goes_on(spec, at, unlocked);
        if !is_explained {
            self.dead_ends.insert(here);
        }
        is_explained
    }

    fn goes_on(&mut self, spec: &Spec, at: &[At], unlocked: Millis) -> bool {
        let mut over = true;
        for thread in 0..at.len() {
            let Some(calls) = self.calls[thread].get(at[thread].call) else {
                continue;
            };
            over = false;
            let call = calls[at[thread].instant].clone();
            if self.may_begin(thread, at) && self.step(spec, at, unlocked, thread, &call) {
                return true;
            }
        }
        over && self.ends_as_seen(spec)
    }

    /// Returns the times that the call may have read.
    fn readings(
        &self,
        spec: &Spec,
        at: &[At],
        unlocked: Millis,
        thread: usize,
        call: &Call,
    ) -> impl Iterator<Item = Millis> + use<> {
        // A refused call did not go on to move the clock.
        let ticks = |thread: usize, calls: usize| -> Millis {
            let calls = self.calls[thread][..calls].iter();
            let with_answers = calls.zip(&self.outcome.answers[thread]);
            let made = with_answers.flat_map(|(calls, answers)| {
                let loud = calls.iter().filter(|call| !call.is_silent());
                loud.take(answers.len())
            });
            let ticks = made.map(|call| match call {
                Call::Tick(millis) => *millis,
                _ => 0,
            });
            ticks.sum()
        };
        let own = at[thread].call;
        // Sum of all ticks before the call began.
        let passed: Millis = match self.real_time {
            Some(before) => {
                let before = before[thread][own].iter().enumerate();
                before.map(|(other, calls)| ticks(other, *calls)).sum()
            }
            None => ticks(thread, own),
        };
        let all: Millis = (0..self.calls.len())
            .map(|thread| ticks(thread, self.calls[thread].len()))
            .sum();
        let began = match call {
            _ if all == 0 => spec.now,
            Call::Tick(_) => spec.now,
            _ => self.began + passed,
        };
        let from = if reads_the_clock_under_the_lock(call) {
            began.max(unlocked)
        } else {
            began
        };
        (from..=spec.now)
            .rev()
            .step_by(usize::try_from(TICK).expect("small"))
    }

    /// Whether all calls that returned before this call began precede it in the order.
    fn may_begin(&self, thread: usize, at: &[At]) -> bool {
        let before = self.real_time.map(|order| &order[thread][at[thread].call]);
        before.is_none_or(|before| {
            at.iter()
                .zip(before)
                .all(|(other, count)| other.call >= *count)
        })
    }

    fn step(
        &mut self,
        spec: &Spec,
        at: &[At],
        unlocked: Millis,
        thread: usize,
        call: &Call,
    ) -> bool {
        let seen = &self.outcome.answers[thread][at[thread].call];
        let answer = seen.get(at[thread].answers);
        // A removal or verdict within another call has no answer of its own.
        let silent = call.is_silent();
        let number = u32::try_from(thread).expect("few threads");
        for now in self.readings(spec, at, unlocked, thread, call) {
            let mut next = spec.clone();
            next.now = now;
            let ret = next.apply_from(number, call);
            if !matches!(call, Call::Tick(_)) {
                next.now = spec.now;
            }
            if silent || answer == Some(&ret) {
                let is_last = ends_the_call(call, &ret);
                let after = self.after(at, thread, silent, is_last);
                let unlocked = if had_the_lock(call, &ret) {
                    next.now
                } else {
                    unlocked
                };
                if self.from(&next, &after, unlocked) {
                    return true;
                }
            }
        }
        let is_last = answer.is_some_and(|answer| ends_the_call(call, answer));
        let excused = match call {
            // These calls skip a job that is locked at the moment.
            Call::Collect(_) | Call::Expire(..) => true,
            Call::Sweep => answer == Some(&Ret::Count(0)),
            Call::FailStalled => answer == Some(&Ret::Views(Vec::new())),
            Call::TryLock(who) => {
                let is_live = spec.clone().apply_from(number, &Call::Lock(*who)) == Ret::Done;
                is_live && answer == Some(&Ret::Refused(Refusal::Busy))
            }
            // A removed job counts towards the capacity until its removal returns.
            Call::Register(..) => {
                let excused = matches!(answer, Some(Ret::Full(_)));
                return excused && self.may_overlap(thread, at, removes) && {
                    let after = self.after(at, thread, silent, is_last);
                    self.from(spec, &after, unlocked)
                };
            }
            // A removal publishes the final state to the watches and wakes them as its last step.
            Call::Poll(_) | Call::PollAnew(_) => {
                answer == Some(&Ret::Waits) && spec.jobs[&JOB].removed
            }
            _ => false,
        };
        excused && self.may_overlap(thread, at, takes_the_lock) && {
            let after = self.after(at, thread, silent, is_last);
            self.from(spec, &after, unlocked)
        }
    }

    /// Whether another thread may be in a call that satisfies `kind`.
    fn may_overlap(&self, thread: usize, at: &[At], kind: impl Fn(&Call) -> bool) -> bool {
        let call = at[thread].call;
        (0..at.len()).filter(|other| *other != thread).any(|other| {
            let calls = self.calls[other].iter().enumerate();
            let overlaps = |(other_call, _): &(usize, &Vec<Call>)| match self.real_time {
                Some(before) => {
                    before[thread][call][other] <= *other_call
                        && before[other][*other_call][thread] <= call
                }
                // Without real time, only the other thread's present call and the one before may
                // overlap.
                None => (at[other].call.saturating_sub(1)..=at[other].call).contains(other_call),
            };
            calls
                .filter(overlaps)
                .any(|(_, call)| call.iter().any(&kind))
        })
    }

    fn after(&self, at: &[At], thread: usize, silent: bool, is_last: bool) -> Vec<At> {
        let mut at = at.to_vec();
        let own = &mut at[thread];
        own.answers += usize::from(!silent);
        own.instant += 1;
        let instants = self.calls[thread][own.call].len();
        if own.instant == instants || is_last {
            *own = At {
                call: own.call + 1,
                ..At::default()
            };
        }
        at
    }

    fn ends_as_seen(&self, spec: &Spec) -> bool {
        let mut spec = spec.clone();
        let answers = self.last.iter().map(|call| spec.apply(call));
        answers.eq(self.outcome.last.iter().cloned())
    }
}

/// Whether a refused instant ends its call. A guard is released nevertheless.
pub(super) fn ends_the_call(call: &Call, ret: &Ret) -> bool {
    matches!(ret, Ret::Refused(_)) && call.who() != Some(Who::Guard)
}

fn takes_the_lock(call: &Call) -> bool {
    !matches!(
        call,
        Call::Advance(..)
            | Call::Heartbeat(_)
            | Call::Snapshot(_)
            | Call::Details(_)
            | Call::Watch(..)
            | Call::Poll(_)
            | Call::PollAnew(_)
            | Call::Unwatch(_)
            | Call::Register(..)
            | Call::Iter
            | Call::Counts
            | Call::Stalled
            | Call::Len
            | Call::Tick(_)
    )
}

fn reads_the_clock_under_the_lock(call: &Call) -> bool {
    matches!(
        call,
        Call::Start(_)
            | Call::Complete(_)
            | Call::Fail(..)
            | Call::Cancel(_)
            | Call::CancelBecause(..)
            | Call::RequestStop(..)
            | Call::DropOwner(..)
            | Call::RemoveAfter(..)
            | Call::FailStalled
            | Call::Verdict(_)
            | Call::Retry(_)
    )
}

/// Whether an instant was under the job's lock. A refused call may have been without it.
fn had_the_lock(call: &Call, ret: &Ret) -> bool {
    let did_nothing = match ret {
        Ret::Refused(_) | Ret::Count(0) => true,
        Ret::Views(views) => views.is_empty(),
        _ => false,
    };
    // A retry holds the lock from its verdict on, and reads the clock once for both. An owner whose
    // job has ended is dropped without the lock.
    let is_open = matches!(call, Call::Verdict(_) | Call::DropOwner(..));
    takes_the_lock(call) && !did_nothing && !is_open
}

/// Whether a call may remove a job, which counts towards the capacity until the removal returns.
fn removes(call: &Call) -> bool {
    matches!(call, Call::Remove(_) | Call::Sweep | Call::Collect(_))
}

/// Returns the outcomes of all sequential orders of the calls within a bound on preemptions. A
/// preemption is a switch away from a thread that has calls left. All these outcomes must be seen.
pub(super) fn in_sequence(program: &Program, preemptions: Option<usize>) -> Vec<Outcome> {
    let mut all = Vec::new();
    let empty = Outcome {
        answers: vec![Vec::new(); program.threads.len()],
        last: Vec::new(),
    };
    let left = preemptions.unwrap_or(usize::MAX);
    sequence(program, &program.start.spec(), empty, (0, left), &mut all);
    all
}

/// Extends an order. `at` is the thread that made the last call, and the number of preemptions
/// left.
fn sequence(
    program: &Program,
    spec: &Spec,
    so_far: Outcome,
    at: (usize, usize),
    all: &mut Vec<Outcome>,
) {
    let has_more = |thread: usize| so_far.answers[thread].len() < program.threads[thread].len();
    let has_begun = !so_far.answers[at.0].is_empty();
    let mut over = true;
    for (thread, letters) in program.threads.iter().enumerate() {
        let call = so_far.answers[thread].len();
        let Some(letter) = letters.get(call) else {
            continue;
        };
        over = false;
        let is_preemption = has_begun && thread != at.0 && has_more(at.0);
        let Some(left) = at.1.checked_sub(usize::from(is_preemption)) else {
            continue;
        };
        let (mut spec, mut next) = (spec.clone(), so_far.clone());
        let mut answers = Vec::new();
        for call in letter.calls(place(thread, call)) {
            let ret = spec.apply_from(u32::try_from(thread).expect("few threads"), &call);
            if !call.is_silent() {
                let is_last = ends_the_call(&call, &ret);
                answers.push(ret);
                if is_last {
                    break;
                }
            }
        }
        next.answers[thread].push(answers);
        sequence(program, &spec, next, (thread, left), all);
    }
    if over {
        let mut spec = spec.clone();
        let last = final_calls(program)
            .iter()
            .map(|call| spec.apply(call))
            .collect();
        let outcome = Outcome { last, ..so_far };
        if !all.contains(&outcome) {
            all.push(outcome);
        }
    }
}

/// Whether each call is accepted in some order. A call that no order accepts only reads.
pub(super) fn can_all_take_effect(program: &Program) -> bool {
    let outcomes = in_sequence(program, None);
    let calls = program
        .threads
        .iter()
        .enumerate()
        .flat_map(|(thread, letters)| (0..letters.len()).map(move |call| (thread, call)));
    let takes_effect = |answers: &Answers| {
        let nothing = |answer: &Ret| match answer {
            // The calls of a superseded owner exist to be fenced.
            Ret::Refused(refusal) => *refusal != Refusal::Superseded,
            Ret::Full(_) | Ret::Count(0) => true,
            Ret::Views(views) => views.is_empty(),
            _ => false,
        };
        !answers.iter().any(nothing)
    };
    let mut calls = calls;
    calls.all(|(thread, call)| {
        outcomes
            .iter()
            .any(|outcome| takes_effect(&outcome.answers[thread][call]))
    })
}
