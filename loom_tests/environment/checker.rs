//! Runs one call of the real code among all steps that the guarantee permits to other threads.
//!
//! The checker does not branch on the environment's steps. After each access it has the *set* of
//! configurations that agree with what the call has seen, closes it under the environment's steps, and
//! branches on the values that the next access can see. A configuration is a memory, and what the call has
//! done so far. An execution is one sequence of values seen; all of them are enumerated depth first.
//!
//! Where the code says that nothing it has seen matters any more ([`Mark`](crate::sync::Mark)), a configuration
//! that was there before is not explored again.

use super::graph::{Graph, OWN, beat_of, word_of};
use super::judge;
use super::spec::{Call, Ret};
use crate::guarantee::{Heartbeat, Memory, Rule, State, rule};
use crate::sync::facade::environment::{Access, Checker};
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::state_word::StateWord;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// A set of answers, by number.
type Answers = [u64; 4];
const NO_ANSWERS: Answers = [0; 4];

fn has(answers: Answers, number: usize) -> bool {
    answers[number / 64] >> (number % 64) & 1 != 0
}

fn union(a: Answers, b: Answers) -> Answers {
    std::array::from_fn(|word| a[word] | b[word])
}

fn meet(a: Answers, b: Answers) -> Answers {
    std::array::from_fn(|word| a[word] & b[word])
}

/// A memory and what the call has done, in 64 bits: the memory's number, the answer that its effect
/// committed it to (0 is none), whether it has a duty to wake, and at which depths of its loops nothing
/// has changed since it came by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Configuration(u64);

const EFFECT: u32 = 32;
const OWES: u64 = 1 << 40;
const QUIET: u32 = 48;

impl Configuration {
    fn new(memory: u32) -> Self {
        Self(memory.into())
    }

    #[allow(clippy::cast_possible_truncation)] // its low half
    fn memory(self) -> u32 {
        self.0 as u32
    }

    fn with_memory(self, memory: u32) -> Self {
        Self(self.0 >> 32 << 32 | u64::from(memory))
    }

    /// A number of an answer, plus 1.
    fn effect(self) -> usize {
        (self.0 >> EFFECT & 0xff) as usize
    }

    fn with_effect(self, answer: usize) -> Self {
        Self(self.0 & !(0xff << EFFECT) | (answer as u64 + 1) << EFFECT)
    }

    fn owes(self) -> bool {
        self.0 & OWES != 0
    }

    fn with_owes(self, owes: bool) -> Self {
        Self(if owes { self.0 | OWES } else { self.0 & !OWES })
    }

    fn is_quiet(self, depth: usize) -> bool {
        self.0 >> QUIET >> depth & 1 != 0
    }

    /// At this depth, and no more at any that is deeper.
    fn with_quiet(self, depth: usize) -> Self {
        let outer = (1 << (QUIET as usize + depth)) - 1;
        Self(self.0 & outer | 1 << QUIET << depth)
    }

    /// Something has changed.
    fn loud(self) -> Self {
        Self(self.0 & ((1 << QUIET) - 1))
    }
}

/// Fibonacci hashing (Knuth, volume 3, 6.4): the keys are small numbers of our own.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29);
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are numbers")
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Each configuration with the answers that are explained on every path to it.
type Set = HashMap<Configuration, Answers, BuildHasherDefault<Quick>>;

/// The memory that is watched: the state word, the beat word, the nonce, the lock.
pub(super) type Addresses = [usize; 4];

/// The parts of a check.
pub(super) struct Question {
    /// Where the call may begin.
    pub(super) from: Vec<u32>,
    /// The call, as the specification has it.
    pub(super) call: Call,
    /// A part of the call that may happen before it, and gives no answer.
    pub(super) silent: Option<Call>,
    pub(super) now: u64,
    /// The nonces of the generations, from 0.
    pub(super) nonces: Vec<u64>,
}

/// A branch: what an access sees, and all that may be so then.
struct Branch {
    seen: u64,
    set: Set,
}

struct Node {
    branches: Vec<Branch>,
    next: usize,
}

/// A loop that the call is in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Round {
    position: usize,
    place: &'static str,
    locals: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Access(usize, Access, u64),
    Again(&'static str, u64),
}

/// State of a cut point: the configurations explored from it, and the next access of the call.
#[derive(Default)]
struct Cut {
    explored: Set,
    next: Option<(usize, Access)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The real memory is used: before and after a call, and where its rest is of no interest.
    Off,
    On,
}

struct Run {
    question: Question,
    mode: Mode,
    stack: Vec<Node>,
    position: usize,
    set: Set,
    history: Vec<Step>,
    trace: Vec<Step>,
    rounds: Vec<Round>,
    /// The cut point that the call has just passed.
    passed: Option<u64>,
    cuts: HashMap<u64, Cut>,
    answers: Vec<Ret>,
    by_memory: HashMap<u32, Answers, BuildHasherDefault<Quick>>,
    failure: Option<String>,
    report: Report,
    addresses: Addresses,
}

/// Result of a check.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) executions: u64,
    /// Executions that ended at a configuration that was explored before.
    pub(super) cut: u64,
    /// Memories of the closed sets, summed up.
    pub(super) configurations: u64,
    /// Rules that the environment used, and rules that permitted the call's own writes.
    pub(super) environment: BTreeSet<Rule>,
    pub(super) own: BTreeSet<Rule>,
    /// Answers, and how many executions gave them.
    pub(super) answers: BTreeMap<String, u64>,
    pub(super) missing: Vec<String>,
    pub(super) failure: Option<String>,
    pub(super) seconds: f64,
}

pub(super) struct Environment {
    graph: Graph,
    run: RefCell<Run>,
    /// How often slots were taken in this execution, and given back.
    pub(super) taken: Cell<i32>,
    cuts: bool,
    fill: RefCell<Option<Fill>>,
}

/// Body behind the lock, as far as a call can see it: its job, and whether that job has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyClass(u32);

impl BodyClass {
    fn of(memory: &Memory) -> Self {
        match memory.state.status {
            Some(status) => Self(2 * memory.state.generation + u32::from(status.is_ended())),
            None => Self(0),
        }
    }

    /// `None` behind the lock of a vacant slot.
    pub(super) fn generation(self) -> Option<u32> {
        (self.0 > 1).then_some(self.0 / 2)
    }

    pub(super) fn is_ended(self) -> bool {
        self.0 % 2 == 1
    }
}

type Fill = Box<dyn Fn(BodyClass)>;

impl Environment {
    pub(super) fn new(graph: Graph, cuts: bool) -> Self {
        let question = Question {
            from: Vec::new(),
            call: Call::Sweep,
            silent: None,
            now: 0,
            nonces: Vec::new(),
        };
        Self {
            graph,
            run: RefCell::new(Run::new(question)),
            taken: Cell::new(0),
            cuts,
            fill: RefCell::new(None),
        }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// `fill` puts a body of a class behind the lock.
    pub(super) fn watch(&self, addresses: Addresses, fill: Fill) {
        self.run.borrow_mut().addresses = addresses;
        *self.fill.borrow_mut() = Some(fill);
    }

    /// Explores a call to its end. `call` makes it, and returns what it answers.
    pub(super) fn explore(&self, question: Question, mut call: impl FnMut() -> Ret) -> Report {
        let began = std::time::Instant::now();
        let addresses = self.run.borrow().addresses;
        *self.run.borrow_mut() = Run {
            addresses,
            ..Run::new(question)
        };
        loop {
            self.run.borrow_mut().begin();
            let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut call));
            let mut run = self.run.borrow_mut();
            if run.end(&self.graph, answer) {
                run.report.seconds = began.elapsed().as_secs_f64();
                run.find_missing(&self.graph);
                return run.report.clone();
            }
        }
    }

    /// Does something that is no part of the call.
    pub(super) fn aside<R>(&self, f: impl FnOnce() -> R) -> R {
        let mode = std::mem::replace(&mut self.run.borrow_mut().mode, Mode::Off);
        let result = f();
        self.run.borrow_mut().mode = mode;
        result
    }

    /// Forgets the explained answers.
    fn forget_answers(&self) {
        let mut run = self.run.borrow_mut();
        if run.mode == Mode::On && run.position == run.stack.len() {
            run.set
                .values_mut()
                .for_each(|answers| *answers = NO_ANSWERS);
        }
    }

    /// A waker has been woken.
    pub(super) fn woken(&self) {
        let mut run = self.run.borrow_mut();
        if run.mode == Mode::On && run.position == run.stack.len() {
            let set = std::mem::take(&mut run.set);
            for (configuration, answers) in set {
                run.add(configuration.with_owes(false), answers);
            }
        }
    }

    /// Checks something of every configuration, at this point of the call.
    pub(super) fn assert_all(&self, what: &str, holds: impl Fn(&Memory) -> bool) {
        let mut run = self.run.borrow_mut();
        if run.mode == Mode::Off || run.position < run.stack.len() {
            return;
        }
        run.close(&self.graph);
        let wrong = run
            .set
            .keys()
            .map(|configuration| self.graph.memory(configuration.memory()))
            .find(|memory| !holds(memory));
        if let Some(memory) = wrong {
            run.fail(&format!("not {what}: {memory:?}"));
        }
    }
}

impl Checker for Environment {
    fn access(&self, address: usize, access: Access) -> Option<u64> {
        let mut run = self.run.borrow_mut();
        let object = run.addresses.iter().position(|known| *known == address)?;
        match access {
            Access::Take => self.taken.set(self.taken.get() + 1),
            Access::GiveBack => self.taken.set(self.taken.get() - 1),
            _ => {}
        }
        if run.mode == Mode::Off {
            return None;
        }
        let seen = run.access(&self.graph, object, access)?;
        let takes_the_lock = access == Access::Lock || (access == Access::TryLock && seen != 0);
        if takes_the_lock {
            run.mode = Mode::Off;
            drop(run);
            let class = BodyClass(u32::try_from(seen - 1).expect("a class"));
            let fill = self.fill.borrow();
            fill.as_ref().expect("it is set")(class);
            self.run.borrow_mut().mode = Mode::On;
        }
        Some(seen)
    }

    fn waits(&self) {
        self.forget_answers();
    }

    fn position(&self) -> usize {
        self.run.borrow().history.len()
    }

    fn again(&self, position: usize, place: &'static str, locals: u64) {
        let mut run = self.run.borrow_mut();
        if run.mode == Mode::On && self.cuts {
            run.again(&self.graph, position, place, locals);
        }
    }
}

impl Run {
    fn new(question: Question) -> Self {
        Self {
            question,
            mode: Mode::Off,
            stack: Vec::new(),
            position: 0,
            set: Set::default(),
            history: Vec::new(),
            trace: Vec::new(),
            rounds: Vec::new(),
            passed: None,
            cuts: HashMap::new(),
            answers: Vec::new(),
            by_memory: HashMap::default(),
            failure: None,
            report: Report::default(),
            addresses: Addresses::default(),
        }
    }

    fn begin(&mut self) {
        self.position = 0;
        self.history.clear();
        self.trace.clear();
        self.rounds.clear();
        self.passed = None;
        self.mode = Mode::On;
        if self.stack.is_empty() {
            self.set = self
                .question
                .from
                .iter()
                .map(|memory| (Configuration::new(*memory), NO_ANSWERS))
                .collect();
        }
    }

    /// The call has returned. Whether all is explored.
    fn end(&mut self, graph: &Graph, answer: std::thread::Result<Ret>) -> bool {
        let is_watched = std::mem::replace(&mut self.mode, Mode::Off) == Mode::On;
        self.report.executions += 1;
        if is_watched {
            match answer {
                Ok(answer) => {
                    let answer = judge::plain(&self.question.call, answer);
                    self.returned(graph, &answer);
                }
                Err(panic) => {
                    let text = crate::sync::panics::panic_message(&*panic).to_owned();
                    self.fail(&format!("the call panics: {text}"));
                }
            }
        } else {
            self.report.cut += 1;
        }
        if let Some(failure) = self.failure.take() {
            self.report.failure = Some(failure);
            return true;
        }
        while let Some(top) = self.stack.last_mut() {
            top.next += 1;
            if top.next < top.branches.len() {
                return false;
            }
            self.stack.pop();
        }
        true
    }

    fn returned(&mut self, graph: &Graph, answer: &Ret) {
        // Before the answers of the start are known, a call without an access needs them too.
        let number = self.number(answer.clone());
        for (&configuration, &answers) in &self.set.clone() {
            let memory = graph.memory(configuration.memory());
            let explained = union(answers, self.answers_in(graph, configuration.memory()));
            let is_explained = match configuration.effect() {
                0 => has(explained, number),
                effect => effect - 1 == number,
            };
            let wrong = if !is_explained {
                match configuration.effect() {
                    0 => "no instant of the call explains its answer".to_owned(),
                    effect => format!("its effect was that of {:?}", self.answers[effect - 1]),
                }
            } else if configuration.owes() {
                "it has cleared the watched bit and woken nobody".to_owned()
            } else if memory.lock == Some(OWN) {
                "it has kept the lock".to_owned()
            } else if memory.claim == Some(OWN) {
                "it has kept the slot".to_owned()
            } else {
                continue;
            };
            self.fail(&format!("{answer:?}: {wrong}, at {memory:?}"));
            return;
        }
        let name = answer_name(answer);
        *self.report.answers.entry(name).or_default() += 1;
    }

    fn fail(&mut self, why: &str) {
        let mut text = format!("{:?}: {why}\n", self.question.call);
        for step in &self.trace {
            let _ = match *step {
                Step::Access(object, access, seen) => {
                    let object_name = ["state", "heartbeat", "nonce", "lock"][object];
                    let show = |bits: u64| match object {
                        0 => format!("{:?}", StateWord::from_bits(bits)),
                        1 => format!("{:?}", HeartbeatWord::from_bits(bits)),
                        _ => bits.to_string(),
                    };
                    let access = match access {
                        Access::Is(to) => format!("is it still {}", show(to)),
                        Access::Store(to) => format!("store {}", show(to)),
                        Access::Swap(to) => format!("swap to {}", show(to)),
                        Access::Exchange(from, to) => {
                            format!("exchange from {} to {}", show(from), show(to))
                        }
                        other => format!("{other:?}"),
                    };
                    writeln!(text, "  {object_name}: {access}, sees {}", show(seen))
                }
                Step::Again(place, _) => writeln!(text, "  again at {place}"),
            };
        }
        self.failure.get_or_insert(text);
        self.mode = Mode::Off;
    }

    fn number(&mut self, answer: Ret) -> usize {
        if let Some(number) = self.answers.iter().position(|known| *known == answer) {
            return number;
        }
        assert!(
            self.answers.len() < 250,
            "more answers than there is room for"
        );
        self.answers.push(answer);
        self.answers.len() - 1
    }

    /// Answers that change nothing, and that the specification gives in this memory.
    fn answers_in(&mut self, graph: &Graph, number: u32) -> Answers {
        if let Some(known) = self.by_memory.get(&number) {
            return *known;
        }
        let memory = graph.memory(number);
        let call = self.question.call.clone();
        let mut answers = NO_ANSWERS;
        let mut add = |run: &mut Self, answer: Ret| {
            let number = run.number(answer);
            answers[number / 64] |= 1 << (number % 64);
        };
        if let Some((ret, false)) = judge::answer_in(&memory, &call, self.question.now) {
            if judge::has_a_view(&memory) || !judge::shows_a_beat(&ret) {
                add(self, ret);
            }
        }
        for excuse in judge::excuses(&memory, &call) {
            add(self, excuse);
        }
        self.by_memory.insert(number, answers);
        answers
    }

    fn add(&mut self, configuration: Configuration, answers: Answers) {
        let known = self.set.entry(configuration).or_insert(answers);
        *known = meet(*known, answers);
    }

    /// Adds all that the environment can make of the set.
    fn close(&mut self, graph: &Graph) {
        let mut work: Vec<_> = self.set.keys().copied().collect();
        for configuration in &work {
            let more = self.answers_in(graph, configuration.memory());
            let answers = self.set.get_mut(configuration).expect("it is in the set");
            *answers = match configuration.effect() {
                0 => union(*answers, more),
                _ => NO_ANSWERS,
            };
        }
        while let Some(configuration) = work.pop() {
            let answers = self.set[&configuration];
            for &(next, rule) in &*graph.steps(configuration.memory()) {
                self.report.environment.insert(rule);
                let after = configuration.with_memory(next).loud();
                let answers = match configuration.effect() {
                    0 => union(answers, self.answers_in(graph, next)),
                    _ => NO_ANSWERS,
                };
                match self.set.entry(after) {
                    std::collections::hash_map::Entry::Vacant(entry) => {
                        entry.insert(answers);
                        work.push(after);
                    }
                    std::collections::hash_map::Entry::Occupied(mut entry) => {
                        let both = meet(*entry.get(), answers);
                        if both != *entry.get() {
                            entry.insert(both);
                            work.push(after);
                        }
                    }
                }
            }
        }
        self.report.configurations += self.set.len() as u64;
    }

    /// Returns the value that an access sees. `None` where the execution is over.
    fn access(&mut self, graph: &Graph, object: usize, access: Access) -> Option<u64> {
        if let Some(passed) = self.passed.take() {
            let cut = self.cuts.entry(passed).or_default();
            let next = *cut.next.get_or_insert((object, access));
            if next != (object, access) {
                let known = (object, access);
                self.fail(&format!(
                    "a cut point hides a local: {next:?} and {known:?}"
                ));
                return None;
            }
        }
        if self.position == self.stack.len() {
            self.close(graph);
            let branches = self.branches(graph, object, access)?;
            if branches.is_empty() {
                let why = match access {
                    Access::Lock => "the call waits for itself",
                    _ => "no environment lets the call go on",
                };
                self.fail(&format!("{access:?}: {why}"));
                return None;
            }
            self.stack.push(Node { branches, next: 0 });
        }
        self.position += 1;
        let is_last = self.position == self.stack.len();
        let node = &mut self.stack[self.position - 1];
        let branch = &mut node.branches[node.next];
        if is_last {
            self.set = std::mem::take(&mut branch.set);
        }
        let step = Step::Access(object, access, branch.seen);
        self.history.push(step);
        self.trace.push(step);
        Some(branch.seen)
    }

    /// The values that an access can see, each with the set of those in which it does.
    fn branches(&mut self, graph: &Graph, object: usize, access: Access) -> Option<Vec<Branch>> {
        let mut branches: BTreeMap<u64, Set> = BTreeMap::new();
        let set = std::mem::take(&mut self.set);
        for (configuration, answers) in set {
            let memory = graph.memory(configuration.memory());
            let value = self.value(&memory, object);
            let (seen, write) = match access {
                Access::Load => (value, None),
                Access::Is(other) => (u64::from(value == other), None),
                Access::Store(to) => (0, Some(to)),
                Access::Swap(to) => (value, Some(to)),
                Access::Exchange(from, to) => (value, (value == from).then_some(to)),
                // Waits until the lock is free, which the set has as well.
                Access::Lock if memory.lock.is_some() => continue,
                Access::TryLock if memory.lock.is_some() => (0, None),
                // By the body behind it.
                Access::Lock | Access::TryLock => {
                    (1 + u64::from(BodyClass::of(&memory).0), Some(0))
                }
                Access::Take if memory.state.status.is_some() || memory.claim.is_some() => continue,
                Access::Unlock | Access::Take | Access::GiveBack => (0, Some(0)),
            };
            let after = match write {
                None => configuration,
                Some(to) => self.own_step(graph, configuration, object, access, to)?,
            };
            let answers = match after.effect() {
                0 => union(answers, self.answers_in(graph, after.memory())),
                _ => NO_ANSWERS,
            };
            let known = branches
                .entry(seen)
                .or_default()
                .entry(after)
                .or_insert(answers);
            *known = meet(*known, answers);
        }
        let branch = |(seen, set)| Branch { seen, set };
        Some(branches.into_iter().map(branch).collect())
    }

    fn value(&self, memory: &Memory, object: usize) -> u64 {
        match object {
            0 => word_of(memory.state).bits(),
            1 => beat_of(memory.heartbeat).bits(),
            2 => self.question.nonces[memory.nonce as usize],
            _ => 0,
        }
    }

    /// Returns the configuration after the call's own write. `None` where the execution is over.
    fn own_step(
        &mut self,
        graph: &Graph,
        configuration: Configuration,
        object: usize,
        access: Access,
        to: u64,
    ) -> Option<Configuration> {
        let before = graph.memory(configuration.memory());
        let mut after = before;
        match (object, access) {
            (0, _) => {
                after.state = State::of(StateWord::from_bits(to));
                if after.state.generation != before.state.generation {
                    after.claim = Some(OWN);
                } else if before.state.status.is_none() {
                    after.claim = None;
                }
            }
            (1, _) => after.heartbeat = Heartbeat::of(HeartbeatWord::from_bits(to)),
            (2, _) => {
                let known = self.question.nonces.iter().position(|nonce| *nonce == to);
                after.nonce = known.map_or(u32::MAX, |known| u32::try_from(known).expect("few"));
            }
            (_, Access::Unlock) => after.lock = None,
            (_, Access::Take) => after.claim = Some(OWN),
            (_, Access::GiveBack) => after.claim = None,
            _ => after.lock = Some(OWN),
        }
        let Some(rule) = rule(&before, &after, OWN) else {
            self.trace
                .push(Step::Access(object, access, self.value(&before, object)));
            self.fail(&format!(
                "no rule of the guarantee permits the call to go from {before:?} to {after:?}"
            ));
            return None;
        };
        self.report.own.insert(rule);
        let owes = configuration.owes() || (before.state.watched && !after.state.watched);
        let mut next = configuration
            .with_memory(graph.number(after))
            .with_owes(owes)
            .loud();
        if let Some(seen_as) = effect_of(rule, &before, &after) {
            let Ok(answer) = self.committed(&before, &seen_as, configuration) else {
                self.trace
                    .push(Step::Access(object, access, self.value(&before, object)));
                self.fail(&format!(
                    "the specification has no such step of the call: from {before:?} to {after:?}"
                ));
                return None;
            };
            if let Some(answer) = answer {
                next = next.with_effect(answer);
            }
        }
        Some(next)
    }

    /// The answer that an effect of the call commits it to, and `None` for its silent part. An error if the
    /// specification has no such effect, or the call has had its own.
    fn committed(
        &mut self,
        before: &Memory,
        after: &Memory,
        configuration: Configuration,
    ) -> Result<Option<usize>, ()> {
        if configuration.effect() != 0 {
            return Err(());
        }
        let now = self.question.now;
        let is_silent = |call: &Call| judge::leads_to(before, after, call, now).is_some();
        if self.question.silent.as_ref().is_some_and(is_silent) {
            return Ok(None);
        }
        let answer = judge::leads_to(before, after, &self.question.call, now).ok_or(())?;
        Ok(Some(self.number(answer)))
    }

    fn again(&mut self, graph: &Graph, position: usize, place: &'static str, locals: u64) {
        self.history.truncate(position);
        self.history.push(Step::Again(place, locals));
        self.trace.push(Step::Again(place, locals));
        self.rounds.retain(|round| round.position <= position);
        let round = Round {
            position,
            place,
            locals,
        };
        let is_same = |known: &Round| (known.position, known.place) == (position, place);
        let known = self.rounds.iter().position(is_same);
        let depth = known.unwrap_or(self.rounds.len());
        let was_here = known.is_some_and(|depth| self.rounds[depth] == round);
        self.rounds.truncate(depth);
        self.rounds.push(round);
        assert!(depth < 16, "more loops within loops than there is room for");
        if self.position < self.stack.len() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (&self.history, crate::sync::deferred::lock_state()).hash(&mut hasher);
        let key = hasher.finish();
        let spins = |configuration: &&Configuration| configuration.is_quiet(depth);
        if let Some(spinning) = self.set.keys().find(spins).filter(|_| was_here) {
            let memory = graph.memory(spinning.memory());
            self.fail(&format!(
                "it comes back to {place} although nothing has changed: {memory:?}"
            ));
            return;
        }
        self.close(graph);
        let set = std::mem::take(&mut self.set);
        let mut left = Set::default();
        let cut = self.cuts.entry(key).or_default();
        for (configuration, answers) in set {
            let configuration = configuration.with_quiet(depth);
            let mut answers = answers;
            match cut.explored.get_mut(&configuration) {
                Some(known) if meet(*known, answers) == *known => continue,
                Some(known) => {
                    answers = meet(*known, answers);
                    *known = answers;
                }
                None => drop(cut.explored.insert(configuration, answers)),
            }
            left.insert(configuration, answers);
        }
        self.passed = Some(key);
        if left.is_empty() {
            self.mode = Mode::Off;
        }
        self.set = left;
    }

    /// Each answer that the specification has for the call must have been seen.
    fn find_missing(&mut self, graph: &Graph) {
        let call = self.question.call.clone();
        let now = self.question.now;
        let mut memories: BTreeSet<u32> = self.question.from.iter().copied().collect();
        let mut work: Vec<u32> = self.question.from.clone();
        while let Some(memory) = work.pop() {
            for &(next, _) in &*graph.steps(memory) {
                if memories.insert(next) {
                    work.push(next);
                }
            }
        }
        let mut allowed = BTreeSet::new();
        for number in memories {
            let memory = graph.memory(number);
            if let Some((ret, _)) = judge::answer_in(&memory, &call, now) {
                if judge::has_a_view(&memory) || !judge::shows_a_beat(&ret) {
                    allowed.insert(answer_name(&ret));
                }
            }
            allowed.extend(judge::excuses(&memory, &call).iter().map(answer_name));
        }
        let seen = &self.report.answers;
        let missing = allowed.into_iter().filter(|name| !seen.contains_key(name));
        self.report.missing = missing.collect();
    }
}

/// A view is named in full: each of them has to be seen.
fn answer_name(answer: &Ret) -> String {
    format!("{answer:?}")
}

/// The memory that shows what a write of the call has done to the job, if it has: a decision counts as settled.
fn effect_of(rule: Rule, before: &Memory, after: &Memory) -> Option<Memory> {
    let status = match rule {
        Rule::Advance | Rule::Heartbeat | Rule::Remove | Rule::Publish => return Some(*after),
        Rule::Start => Some(crate::Status::Running),
        Rule::End => after.heartbeat.verdict,
        Rule::Retry => Some(crate::Status::Pending),
        _ => return None,
    };
    let mut settled = *after;
    settled.state.status = status;
    if status == Some(crate::Status::Completed) {
        settled.state.progress = crate::Progress::DONE.ppm();
    }
    if rule == Rule::Retry {
        settled.state.attempt = before.state.attempt + 1;
        settled.state.progress = 0;
    }
    Some(settled)
}
