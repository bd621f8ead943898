//! Every small program over the free list: takes, give-backs, retirements and a close.
//!
//! A program runs on free lists of several shapes. They have one shared magazine or two, with room
//! for one to three slots, and tables small enough to be exhausted. Some order of the calls'
//! instants must explain each outcome on the specification, which is a count of places and a set of
//! held slots. Under shuttle the order must also respect real time. Afterwards every slot is in
//! exactly one place, and all of them can be taken again.
//!
//! A violation looks like a slot with two holders, a lost slot, or `Full` while there is room.

use super::super::harness::{self, Bounds, Effort, failure, ledger};
use crate::slots::free_list::{FreeList, NoSlot};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Take,
    /// Gives back the slot that this thread has held longest.
    GiveFirst,
    /// Gives back the slot that this thread has taken most recently.
    GiveLast,
    /// Gives back the slot that this thread has held longest, as one whose generations are used up.
    Retire,
    Close,
}

use Call::{Close, GiveFirst, GiveLast, Retire, Take};
const ALL: [Call; 5] = [Take, GiveFirst, GiveLast, Retire, Close];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Slot(u32),
    Full,
    Closed,
    Gave(u32),
    Retired(u32),
    /// The thread holds no slot, or the call returns nothing.
    Nothing,
}

/// A free list at the start of a program, and its limits.
#[derive(Clone, Copy, Debug)]
struct Start {
    name: &'static str,
    slots: usize,
    capacity: usize,
    magazines: usize,
    room: usize,
    /// Number of slots that are handed out before the threads begin.
    used: usize,
    /// Number of slots that each thread holds at the beginning. The main thread gives the others
    /// back.
    held: usize,
    /// Runs one execution.
    execute: fn(&Start, &[Vec<Call>]) -> Execution,
}

/// Answers by thread and call, and how many calls of each thread had returned when a call began.
type Execution = (Vec<Vec<Answer>>, Option<Vec<Vec<Vec<usize>>>>);

macro_rules! start {
    ($name:literal, <$magazines:literal, $room:literal, $slots:literal>, $capacity:literal, $used:literal, $held:literal) => {
        Start {
            name: $name,
            slots: $slots,
            capacity: $capacity,
            magazines: $magazines,
            room: $room,
            used: $used,
            held: $held,
            execute: execute::<$magazines, $room, $slots>,
        }
    };
}

/// Threads 1 and 3 have magazine 1 of two, thread 2 and the main thread have magazine 0.
const STARTS: [Start; 6] = [
    start!("one magazine, nothing used", <1, 1, 2>, 2, 0, 0),
    start!("two magazines, the last slot in one of them", <2, 1, 3>, 3, 3, 1),
    start!("two magazines, all slots in one and the depot", <2, 3, 5>, 5, 5, 0),
    start!("one magazine with room for two, more slots than capacity", <1, 2, 5>, 3, 3, 1),
    start!("two magazines, more slots than capacity", <2, 1, 5>, 2, 0, 0),
    start!("two magazines with room for two", <2, 2, 4>, 4, 4, 1),
];

/// Specification: a counter of places and a set of held slots. A call in progress may hold a place
/// without a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Spec {
    places: usize,
    held: BTreeSet<u32>,
    retired: BTreeSet<u32>,
    closed: bool,
}

/// One instant of a call.
#[derive(Clone, Copy, Debug)]
enum Instant {
    TakePlace,
    GivePlace,
    /// There is no place: `capacity` of them are held.
    NoPlace,
    TakeSlot(u32),
    GiveSlot(u32),
    RetireSlot(u32),
    /// Every slot of the table is held or retired.
    NoSlot,
    SetClosed,
    IsClosed,
}

/// Returns the sequences of instants that a call with this answer may have.
fn instants(call: Call, answer: Answer) -> Vec<Vec<Instant>> {
    use Instant::{
        GivePlace, GiveSlot, IsClosed, NoPlace, NoSlot, RetireSlot, SetClosed, TakePlace, TakeSlot,
    };
    match answer {
        Answer::Slot(slot) => vec![vec![TakePlace, TakeSlot(slot)]],
        Answer::Full => vec![vec![NoPlace], vec![TakePlace, NoSlot, GivePlace]],
        Answer::Closed => vec![vec![IsClosed]],
        Answer::Gave(slot) => vec![vec![GiveSlot(slot), GivePlace]],
        Answer::Retired(slot) => vec![vec![RetireSlot(slot), GivePlace]],
        Answer::Nothing if call == Close => vec![vec![SetClosed]],
        Answer::Nothing => vec![vec![]],
    }
}

impl Spec {
    fn of(start: &Start, threads: usize) -> Self {
        let held = start.held * threads;
        Self {
            places: held,
            held: (0..u32::try_from(held).expect("few slots")).collect(),
            ..Self::default()
        }
    }

    /// Returns the state after an instant, or `None` if the instant is impossible.
    fn after(&self, start: &Start, instant: Instant) -> Option<Self> {
        let mut next = self.clone();
        let may = match instant {
            Instant::TakePlace => {
                next.places += 1;
                !self.closed && self.places < start.capacity
            }
            Instant::GivePlace => {
                next.places -= 1;
                true
            }
            Instant::NoPlace => !self.closed && self.places == start.capacity,
            Instant::TakeSlot(slot) => {
                let exists = (slot as usize) < start.slots;
                exists && !self.retired.contains(&slot) && next.held.insert(slot)
            }
            Instant::GiveSlot(slot) => next.held.remove(&slot),
            Instant::RetireSlot(slot) => next.held.remove(&slot) && next.retired.insert(slot),
            Instant::NoSlot => self.held.len() + self.retired.len() == start.slots,
            Instant::SetClosed => {
                next.closed = true;
                true
            }
            Instant::IsClosed => self.closed,
        };
        may.then_some(next)
    }
}

/// Slots that a thread holds, in the order in which it took them.
struct Holder(Vec<u32>);

impl Holder {
    fn make<const M: usize, const R: usize, const S: usize>(
        &mut self,
        free: &FreeList<M, R, S>,
        call: Call,
    ) -> Answer {
        match call {
            Take => match free.take() {
                Ok(slot) => {
                    self.0.push(slot);
                    Answer::Slot(slot)
                }
                Err(NoSlot::Full) => Answer::Full,
                Err(NoSlot::Closed) => Answer::Closed,
            },
            GiveFirst | GiveLast | Retire => {
                let Some(last) = self.0.len().checked_sub(1) else {
                    return Answer::Nothing;
                };
                let slot = self.0.remove(if call == GiveLast { last } else { 0 });
                if call == Retire {
                    free.give_back(None);
                    Answer::Retired(slot)
                } else {
                    free.give_back(Some(slot));
                    Answer::Gave(slot)
                }
            }
            Close => {
                free.close();
                Answer::Nothing
            }
        }
    }
}

fn execute<const M: usize, const R: usize, const S: usize>(
    start: &Start,
    threads: &[Vec<Call>],
) -> Execution {
    let free = Arc::new(FreeList::<M, R, S>::new(start.capacity));
    let used = take_all(&free, start.used);
    let (held, idle) = used.split_at(start.held * threads.len());
    for slot in idle {
        free.give_back(Some(*slot));
    }
    let spawn = |(thread, calls): (usize, &Vec<Call>)| {
        let (free, calls) = (free.clone(), calls.clone());
        let held = &held[start.held * thread..][..start.held];
        let mut holder = Holder(held.to_vec());
        harness::spawn(move || {
            let make = |call: &Call| {
                history::begins();
                let answer = harness::called("call", || (*call, holder.make(&free, *call))).1;
                history::returns();
                answer
            };
            let answers: Vec<_> = calls.iter().map(make).collect();
            (answers, holder.0)
        })
    };
    let running: Vec<_> = threads.iter().enumerate().map(spawn).collect();
    let ended = running.into_iter().map(|thread| thread.join().unwrap());
    let (answers, held): (Vec<_>, Vec<_>) = ended.unzip();
    let execution = (answers, history::real_time(threads.len()));
    account(start, threads, &free, &held.concat(), &execution.0);
    execution
}

/// Checks the slots after all threads have ended. Every slot is in one place, and no magazine is
/// too large. No more slots are in use than documented, and all free slots can be taken.
fn account<const M: usize, const R: usize, const S: usize>(
    start: &Start,
    threads: &[Vec<Call>],
    free: &FreeList<M, R, S>,
    held: &[u32],
    answers: &[Vec<Answer>],
) {
    let answers = answers.iter().flatten();
    let retired: Vec<_> = answers
        .filter_map(|answer| match answer {
            Answer::Retired(slot) => Some(*slot),
            _ => None,
        })
        .collect();
    let (magazines, depot, grown) = free.contents();
    for magazine in &magazines {
        assert!(magazine.len() <= start.room, "a magazine has {magazine:?}");
    }
    let mut all = [magazines.concat(), depot, held.to_vec(), retired.clone()].concat();
    all.sort_unstable();
    let expected: Vec<_> = (0..grown).collect();
    assert_eq!(all, expected, "a slot is lost, or in two places");
    assert_eq!(free.taken(), held.len(), "the count is wrong");

    let most_held = threads.iter().map(|calls| most_held(start, calls)).sum();
    let idle = (start.magazines - 1) * start.room;
    let bound = (start.capacity.min(most_held) + retired.len() + idle).max(start.used);
    assert!(grown as usize <= bound, "{grown} slots in use, not {bound}");

    if free.is_closed() {
        return assert_eq!(free.take(), Err(NoSlot::Closed));
    }
    let limit = start.capacity.min(start.slots - retired.len());
    let taken = take_all(free, limit - held.len());
    assert_eq!(free.take(), Err(NoSlot::Full));
    let apart: BTreeSet<_> = [&taken, held, &retired].concat().into_iter().collect();
    assert_eq!(apart.len(), limit + retired.len(), "a slot is held twice");
}

fn take_all<const M: usize, const R: usize, const S: usize>(
    free: &FreeList<M, R, S>,
    number: usize,
) -> Vec<u32> {
    let take = |_| free.take().expect("there is room");
    (0..number).map(take).collect()
}

/// Largest number of slots that a thread holds at a time.
fn most_held(start: &Start, calls: &[Call]) -> usize {
    let mut held = start.held;
    let after = calls.iter().map(|call| {
        held = after(held, *call);
        held
    });
    after.max().unwrap_or(0).max(start.held)
}

fn after(held: usize, call: Call) -> usize {
    match call {
        Take => held + 1,
        GiveFirst | GiveLast | Retire => held.saturating_sub(1),
        Close => held,
    }
}

/// Returns the sequences of `length` calls in which every call can have an effect. No thread gives
/// back a slot that it cannot hold, or closes the list twice. The two kinds of give-back occur only
/// where they differ.
fn sequences(start: &Start, length: usize) -> Vec<Vec<Call>> {
    let mut all = vec![Vec::new()];
    for _ in 0..length {
        let longer = |sequence: &Vec<Call>| {
            let held = sequence
                .iter()
                .fold(start.held, |held, call| after(held, *call));
            let (sequence, is_closed) = (sequence.clone(), sequence.contains(&Close));
            let makes_sense = move |call: &Call| match call {
                Take => true,
                GiveFirst | Retire => held > 0,
                GiveLast => held > 1,
                Close => !is_closed,
            };
            let next = ALL.into_iter().filter(makes_sense);
            next.map(move |call| [sequence.as_slice(), &[call]].concat())
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// Whether some order of the calls' instants explains the answers. It must keep the order of each
/// thread, and real time where that is known.
fn explains(start: &Start, threads: &[Vec<Call>], execution: &Execution) -> bool {
    /// Progress of a thread: the number of finished calls, and the remaining instants of the
    /// present one.
    type At = (usize, Option<Vec<Instant>>);

    let (answers, real_time) = execution;
    let at: Vec<At> = vec![(0, None); threads.len()];
    let mut reached = vec![(Spec::of(start, threads.len()), at)];
    let mut known = HashSet::new();
    while let Some((spec, at)) = reached.pop() {
        if !known.insert((spec.clone(), format!("{at:?}"))) {
            continue;
        }
        if at
            .iter()
            .zip(threads)
            .all(|(at, calls)| at.0 == calls.len())
        {
            return true;
        }
        for (thread, (over, left)) in at.iter().enumerate() {
            let Some(&call) = threads[thread].get(*over) else {
                continue;
            };
            let before = real_time.as_ref().map(|order| &order[thread][*over]);
            let have_ended =
                |before: &Vec<usize>| at.iter().zip(before).all(|(at, it)| at.0 >= *it);
            if !before.is_none_or(have_ended) {
                continue;
            }
            let ways = match left {
                Some(left) => vec![left.clone()],
                None => instants(call, answers[thread][*over]),
            };
            for way in ways {
                let mut at = at.clone();
                let (next, left) = match way.split_first() {
                    Some((first, left)) => (spec.after(start, *first), left),
                    None => (Some(spec.clone()), &[][..]),
                };
                at[thread] = if left.is_empty() {
                    (over + 1, None)
                } else {
                    (*over, Some(left.to_vec()))
                };
                reached.extend(next.map(|next| (next, at)));
            }
        }
    }
    false
}

/// Returns the kind of an answer. The slot's number depends on more than the specification has.
fn kind(answer: Answer) -> &'static str {
    match answer {
        Answer::Slot(_) => "slot",
        Answer::Full => "full",
        Answer::Closed => "closed",
        Answer::Gave(_) | Answer::Retired(_) => "given",
        Answer::Nothing => "nothing",
    }
}

type Kinds = Vec<Vec<&'static str>>;

/// Counts that the specification keeps for the kinds of answers.
#[derive(Clone, Debug)]
struct Counts {
    /// Number of held slots by thread.
    held: Vec<usize>,
    retired: usize,
    closed: bool,
    /// The thread that made the last call, and the number of switches away from unfinished threads.
    last: Option<usize>,
    preemptions: usize,
}

/// Returns the kinds of answers of all sequential orders of the calls within a bound on
/// preemptions.
fn in_sequence(start: &Start, threads: &[Vec<Call>], bound: Option<usize>) -> HashSet<Kinds> {
    let counts = Counts {
        held: vec![start.held; threads.len()],
        retired: 0,
        closed: false,
        last: None,
        preemptions: 0,
    };
    let mut all = HashSet::new();
    let mut reached = vec![(counts, vec![Vec::new(); threads.len()])];
    while let Some((counts, seen)) = reached.pop() {
        let is_over = |thread: usize| seen[thread].len() == threads[thread].len();
        if (0..threads.len()).all(is_over) {
            all.insert(seen);
            continue;
        }
        for thread in (0..threads.len()).filter(|thread| !is_over(*thread)) {
            let (mut next, mut seen) = (counts.clone(), seen.clone());
            let leaves = next
                .last
                .is_some_and(|last| last != thread && !is_over(last));
            next.preemptions += usize::from(leaves);
            next.last = Some(thread);
            if bound.is_some_and(|bound| next.preemptions > bound) {
                continue;
            }
            let call = threads[thread][seen[thread].len()];
            seen[thread].push(next.make(start, thread, call));
            reached.push((next, seen));
        }
    }
    all
}

impl Counts {
    fn make(&mut self, start: &Start, thread: usize, call: Call) -> &'static str {
        let limit = start.capacity.min(start.slots - self.retired);
        let has_room = self.held.iter().sum::<usize>() < limit;
        match call {
            Take if self.closed => "closed",
            Take if has_room => {
                self.held[thread] += 1;
                "slot"
            }
            Take => "full",
            Close => {
                self.closed = true;
                "nothing"
            }
            _ if self.held[thread] == 0 => "nothing",
            _ => {
                self.held[thread] -= 1;
                self.retired += usize::from(call == Retire);
                "given"
            }
        }
    }
}

/// Loom's two runs differ in the form of the words. The free list has none, so the second run is
/// short.
const EFFORT: Effort = Effort {
    ordered: &[None, Some(2)],
    weak: &[Some(1)],
    most: 1_000,
};

struct Explored {
    executions: u64,
    outcomes: usize,
    within: Bounds,
}

fn explore(start: Start, threads: &[Vec<Call>]) -> Explored {
    let name = format!("{}: {}", start.name, Shown(threads));
    let seen = Arc::new(Mutex::new(HashSet::<Execution>::new()));
    let model = {
        let (threads, seen, name) = (threads.to_vec(), seen.clone(), name.clone());
        move || {
            let execution = (start.execute)(&start, &threads);
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if !seen.contains(&execution) {
                assert!(
                    explains(&start, &threads, &execution),
                    "{name}: no order of the calls explains {execution:?}"
                );
                seen.insert(execution);
            }
        }
    };
    let explored = failure::of(&name, "", || harness::outcomes(EFFORT, model));
    let Some(within) = explored.within else {
        panic!("{name}: the exploration did not finish");
    };
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let outcomes: HashSet<_> = seen.into_iter().map(|(answers, _)| answers).collect();
    let of_thread = |answers: &Vec<Answer>| answers.iter().copied().map(kind).collect();
    let of_outcome = |outcome: &Vec<Vec<Answer>>| outcome.iter().map(of_thread).collect();
    let kinds: HashSet<Kinds> = outcomes.iter().map(of_outcome).collect();
    // With three threads, loom leaves out some interleavings within a bound, but none without a
    // preemption.
    let preemptions = |bound| if threads.len() > 2 { 0 } else { bound };
    for expected in in_sequence(&start, threads, within.ordered.map(preemptions)) {
        assert!(
            kinds.contains(&expected),
            "{name}: {expected:?} never occurred. Seen: {kinds:?}"
        );
    }
    if within.ordered.is_none() {
        ledger::outcomes(&name, outcomes.iter().map(harness::hash));
    }
    Explored {
        executions: explored.executions,
        outcomes: outcomes.len(),
        within,
    }
}

struct Shown<'a>(&'a [Vec<Call>]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thread = |calls: &Vec<Call>| {
            let calls: Vec<_> = calls.iter().map(|call| format!("{call:?}")).collect();
            calls.join(", ")
        };
        let threads: Vec<_> = self.0.iter().map(thread).collect();
        f.write_str(&threads.join(" | "))
    }
}

/// Explores every `one_in`th program whose threads make these numbers of calls.
fn explore_all(lengths: &[usize], one_in: usize) {
    for start in STARTS {
        let began = std::time::Instant::now();
        let mut all = vec![Vec::<Vec<Call>>::new()];
        for &length in lengths {
            let next = sequences(&start, length);
            let extend = |threads: &Vec<Vec<Call>>| {
                let one = |sequence: &Vec<Call>| {
                    [threads.as_slice(), std::slice::from_ref(sequence)].concat()
                };
                next.iter().map(one).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(extend).collect();
        }
        let all: Vec<_> = all.into_iter().step_by(one_in).collect();
        let (mut executions, mut outcomes, mut within) = (0, 0, Vec::new());
        for program in &all {
            let explored = explore(start, program);
            executions += explored.executions;
            outcomes += explored.outcomes;
            within.push(explored.within);
        }
        let texts: Vec<_> = lengths.iter().map(usize::to_string).collect();
        let calls = texts.join(" + ");
        ledger::write(&ledger::Line {
            name: &format!(
                "free list, {calls} calls, {}",
                start.name.replace(", ", "; ")
            ),
            kind: "programs",
            properties: &["P6"],
            scenarios: &[],
            programs: all.len(),
            within: &within,
            executions,
            outcomes,
            took: began.elapsed(),
        });
    }
}

/// Returns the step between explored programs, by checker. It is 1 in the full size, and otherwise
/// a prime, so that each call occurs at each place.
fn one_in(under_loom: usize, under_shuttle: usize) -> usize {
    match std::env::var("JOB_REGISTRY_PROGRAMS").as_deref() {
        Ok("full") => 1,
        _ if cfg!(loom) => under_loom,
        _ => under_shuttle,
    }
}

/// P6.
#[test]
fn two_threads_of_two_calls_keep_all_slots() {
    explore_all(&[2, 2], one_in(3, 1));
}

/// P6.
#[test]
fn two_threads_of_three_calls_keep_all_slots() {
    explore_all(&[3, 3], one_in(97, 11));
}

/// P6.
#[test]
fn three_threads_of_one_call_keep_all_slots() {
    explore_all(&[1, 1, 1], one_in(5, 1));
}

/// P6.
#[test]
fn three_threads_of_up_to_two_calls_keep_all_slots() {
    explore_all(&[1, 1, 2], one_in(23, 3));
}

#[cfg(loom)]
mod history {
    pub(super) fn begins() {}

    pub(super) fn returns() {}

    pub(super) fn real_time(_: usize) -> Option<Vec<Vec<Vec<usize>>>> {
        None
    }
}

#[cfg(all(shuttle, not(loom)))]
mod history {
    use crate::sync::facade::announce::{self, Moment};

    pub(super) use announce::{call_begins as begins, call_ends as returns};

    #[allow(clippy::unnecessary_wraps)] // loom has no real time
    pub(super) fn real_time(threads: usize) -> Option<Vec<Vec<Vec<usize>>>> {
        let mut returned = vec![0; threads];
        let mut before = vec![Vec::new(); threads];
        // The main thread is thread 0 of the model.
        for moment in announce::moments() {
            match moment {
                Moment::Begins(thread) => before[thread - 1].push(returned.clone()),
                Moment::Ends(thread) => returned[thread - 1] += 1,
            }
        }
        Some(before)
    }
}
