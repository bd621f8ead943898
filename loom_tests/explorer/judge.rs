//! Whether what happened is what some order of the calls, one at a time, would have done.

use super::super::spec::{Call, Refusal, Ret, Spec, Who};
use super::alphabet::{JOB, Letter};
use super::program::Program;
use std::collections::HashSet;

/// What a call of a program returned: an answer for each of its instants that was seen.
pub(super) type Answers = Vec<Ret>;

/// What an execution has shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    /// By thread and call.
    pub(super) answers: Vec<Vec<Answers>>,
    /// Of [`last_look`], after all threads have ended.
    pub(super) last: Answers,
}

/// What is asked when all is over.
pub(super) fn last_look(program: &Program) -> Vec<Call> {
    let mut calls = vec![Call::Get(JOB)];
    calls.extend(watches(program).map(Call::Poll));
    calls.extend([Call::Len, Call::Sweep, Call::Len]);
    calls
}

/// A name for each call of a program.
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

/// Which calls had returned when a call began: `before[thread][call]` has a count for each thread.
pub(super) type RealTime = Vec<Vec<Vec<usize>>>;

/// Whether an order of the calls explains the outcome: one that keeps the order of each thread, and that of real
/// time where it is known.
pub(super) fn explains(program: &Program, outcome: &Outcome, real_time: Option<&RealTime>) -> bool {
    let instants = |(thread, letters): (usize, &Vec<Letter>)| {
        let calls = |(call, letter): (usize, &Letter)| letter.calls(place(thread, call));
        letters.iter().enumerate().map(calls).collect()
    };
    let mut search = Search {
        calls: program.threads.iter().enumerate().map(instants).collect(),
        outcome,
        real_time,
        last: last_look(program),
        dead_ends: HashSet::new(),
    };
    let at = vec![At::default(); program.threads.len()];
    search.from(&program.start.spec(), &at)
}

/// How far a thread has come: in which call, before which of its instants, and how many answers it has given.
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
    /// From where there is no way to the end (Lowe, CCPE 2017).
    dead_ends: HashSet<(Spec, Vec<At>)>,
}

impl Search<'_> {
    fn from(&mut self, spec: &Spec, at: &[At]) -> bool {
        let here = (spec.clone(), at.to_vec());
        if self.dead_ends.contains(&here) {
            return false;
        }
        let is_explained = self.goes_on(spec, at);
        if !is_explained {
            self.dead_ends.insert(here);
        }
        is_explained
    }

    fn goes_on(&mut self, spec: &Spec, at: &[At]) -> bool {
        let mut over = true;
        for thread in 0..at.len() {
            let Some(calls) = self.calls[thread].get(at[thread].call) else {
                continue;
            };
            over = false;
            let call = calls[at[thread].instant].clone();
            if self.may_begin(thread, at) && self.step(spec, at, thread, &call) {
                return true;
            }
        }
        over && self.ends_as_seen(spec)
    }

    /// Whether all that returned before this call began has been placed before it.
    fn may_begin(&self, thread: usize, at: &[At]) -> bool {
        let before = self.real_time.map(|order| &order[thread][at[thread].call]);
        before.is_none_or(|before| {
            at.iter()
                .zip(before)
                .all(|(other, count)| other.call >= *count)
        })
    }

    fn step(&mut self, spec: &Spec, at: &[At], thread: usize, call: &Call) -> bool {
        let seen = &self.outcome.answers[thread][at[thread].call];
        let answer = seen.get(at[thread].answers);
        // What sweeps on the way in does not say so.
        let silent = call.is_silent();
        let mut next = spec.clone();
        let number = u32::try_from(thread).expect("few threads");
        let ret = next.apply_from(number, call);
        if silent || answer == Some(&ret) {
            let is_last = ends_the_call(call, &ret);
            let after = self.after(at, thread, silent, is_last);
            if self.from(&next, &after) {
                return true;
            }
        }
        let excused = match call {
            // These leave a job alone that somebody has locked at the moment.
            Call::Collect(_) => true,
            Call::Sweep => answer == Some(&Ret::Count(0)),
            Call::FailStalled => answer == Some(&Ret::Views(Vec::new())),
            // A job that is gone has its place until its removal is over.
            Call::Register(..) => matches!(answer, Some(Ret::Full(_))),
            // Whoever removes the job tells its watches at last, and wakes them.
            Call::Poll(_) => answer == Some(&Ret::Waits) && spec.jobs[&JOB].removed,
            _ => false,
        };
        excused && self.is_locked_beside(thread, at) && {
            let after = self.after(at, thread, silent, false);
            self.from(spec, &after)
        }
    }

    /// Whether another thread may be in a call that takes the lock.
    fn is_locked_beside(&self, thread: usize, at: &[At]) -> bool {
        let call = at[thread].call;
        (0..at.len()).filter(|other| *other != thread).any(|other| {
            let calls = self.calls[other].iter().enumerate();
            let beside = |(beside, _): &(usize, &Vec<Call>)| match self.real_time {
                Some(before) => {
                    before[thread][call][other] <= *beside && before[other][*beside][thread] <= call
                }
                // Then nobody knows, but the other is not far from where it is now.
                None => (at[other].call.saturating_sub(1)..=at[other].call).contains(beside),
            };
            calls
                .filter(beside)
                .any(|(_, call)| call.iter().any(takes_the_lock))
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

/// Whether an instant was refused, and the rest of its call does not happen. A guard is let go all the same.
pub(super) fn ends_the_call(call: &Call, ret: &Ret) -> bool {
    matches!(ret, Ret::Refused(_)) && call.who() != Some(Who::Guard)
}

fn takes_the_lock(call: &Call) -> bool {
    !matches!(
        call,
        Call::Advance(..)
            | Call::Heartbeat(_)
            | Call::Snapshot(_)
            | Call::Watch(..)
            | Call::Poll(_)
            | Call::Register(..)
    )
}

/// What the program does when each of its calls is made at a time of its own, and a thread that has calls left is left
/// for another one at most so often: every outcome of these must be seen.
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

/// `at` is the thread that made the last call, and how many preemptions are left.
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
        let last = last_look(program)
            .iter()
            .map(|call| spec.apply(call))
            .collect();
        let outcome = Outcome { last, ..so_far };
        if !all.contains(&outcome) {
            all.push(outcome);
        }
    }
}

/// Whether each of its calls is accepted in some order: one that never is adds nothing to a program but a look.
pub(super) fn can_all_take_effect(program: &Program) -> bool {
    let outcomes = in_sequence(program, None);
    let calls = program
        .threads
        .iter()
        .enumerate()
        .flat_map(|(thread, letters)| (0..letters.len()).map(move |call| (thread, call)));
    let takes_effect = |answers: &Answers| {
        let nothing = |answer: &Ret| match answer {
            // The fence is what an old owner's calls are there for.
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
