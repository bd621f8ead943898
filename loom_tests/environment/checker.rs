//! Runs one call of the real code among all steps that the guarantee permits to other threads.
//!
//! A *configuration* is a memory and the call's effects so far. After each access, the checker has
//! the set of configurations that agree with the values that the call has seen. It closes the set
//! under the environment's steps and branches on the values that the next access can see. It does
//! not branch on the environment's steps. An execution is one sequence of values seen. All
//! executions are enumerated depth first.
//!
//! A [`Mark`](crate::sync::Mark) in the code states that earlier loads no longer matter. At such a
//! *cut point*, a configuration that was explored before is not explored again.

use super::graph::{Graph, OWN, heartbeat_word, state_word};
use super::judge;
use super::spec::{Call, Ret};
use crate::guarantee::{Heartbeat, Memory, Rule, State, revision_of, rule};
use crate::sync::facade::environment::{Access, Checker};
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::state_word::StateWord;
use crate::types::version::first_revision;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// A set of numbered answers, as bits.
type Answers = [u64; 4];
const NO_ANSWERS: Answers = [0; 4];

fn contains(answers: Answers, number: usize) -> bool {
    answers[number / 64] >> (number % 64) & 1 != 0
}

fn union(a: Answers, b: Answers) -> Answers {
    std::array::from_fn(|word| a[word] | b[word])
}

fn intersection(a: Answers, b: Answers) -> Answers {
    std::array::from_fn(|word| a[word] & b[word])
}

/// A memory and the call's effects so far, in 64 bits.
///
/// | bits  | content                                                              |
/// |-------|----------------------------------------------------------------------|
/// | 0–31  | number of the memory                                                 |
/// | 32–39 | 1 + number of the answer that the call's effect requires; 0 is none  |
/// | 40    | the call has to wake the watchers and has not yet done so            |
/// | 48–63 | by depth of the loop: nothing has changed since the last iteration   |
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Configuration(u64);

const EFFECT_SHIFT: u32 = 32;
const WAKE_PENDING: u64 = 1 << 40;
const UNCHANGED_SHIFT: u32 = 48;

impl Configuration {
    fn new(memory: u32) -> Self {
        Self(memory.into())
    }

    #[allow(clippy::cast_possible_truncation)] // the number is in the low half
    fn memory(self) -> u32 {
        self.0 as u32
    }

    fn with_memory(self, memory: u32) -> Self {
        Self(self.0 >> 32 << 32 | u64::from(memory))
    }

    /// Returns the number of the answer that the call's effect requires, plus 1. 0 is no effect.
    fn effect(self) -> usize {
        (self.0 >> EFFECT_SHIFT & 0xff) as usize
    }

    fn with_effect(self, answer: usize) -> Self {
        Self(self.0 & !(0xff << EFFECT_SHIFT) | (answer as u64 + 1) << EFFECT_SHIFT)
    }

    fn wake_pending(self) -> bool {
        self.0 & WAKE_PENDING != 0
    }

    fn with_wake_pending(self, wake_pending: bool) -> Self {
        Self(if wake_pending {
            self.0 | WAKE_PENDING
        } else {
            self.0 & !WAKE_PENDING
        })
    }

    fn is_unchanged(self, depth: usize) -> bool {
        self.0 >> UNCHANGED_SHIFT >> depth & 1 != 0
    }

    /// Marks the loop at this depth as unchanged, and clears the marks of deeper loops.
    fn with_unchanged(self, depth: usize) -> Self {
        let outer = (1 << (UNCHANGED_SHIFT as usize + depth)) - 1;
        Self(self.0 & outer | 1 << UNCHANGED_SHIFT << depth)
    }

    /// Clears the marks of all loops, because a step has changed the memory.
    fn changed(self) -> Self {
        Self(self.0 & ((1 << UNCHANGED_SHIFT) - 1))
    }
}

/// A hasher for the checker's own numbers: Fibonacci hashing (Knuth, volume 3, 6.4).
#[derive(Default)]
struct FibonacciHasher(u64);

impl Hasher for FibonacciHasher {
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

/// Configurations, each with the answers that an instant explains on every path to it.
type Set = HashMap<Configuration, Answers, BuildHasherDefault<FibonacciHasher>>;

/// Addresses of the checked slot's state word, heartbeat word, nonce, lock and revision.
pub(super) type Addresses = [usize; 5];

/// A call to check.
pub(super) struct CheckedCall {
    /// Numbers of the memories in which the call may begin.
    pub(super) from: Vec<u32>,
    /// The call in the specification.
    pub(super) call: Call,
    /// A part of the call that may take effect before it, and gives no answer.
    pub(super) silent_part: Option<Call>,
    pub(super) now: u64,
    /// Nonces by generation, from 0.
    pub(super) nonces: Vec<u64>,
    /// Whether the call may read the revision.
    pub(super) reads_revision: bool,
}

/// A value that an access can see, and the configurations in which it sees the value.
struct Branch {
    seen: u64,
    set: Set,
}

/// An access, with its branches and the index of the one that the execution takes.
struct Node {
    branches: Vec<Branch>,
    current: usize,
}

/// Last iteration of a loop that the call is in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Iteration {
    /// Length of the history at the loop's mark.
    position: usize,
    place: &'static str,
    locals: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// Object, access and the value that it sees.
    Access(usize, Access, u64),
    /// Place and locals of a cut point.
    Again(&'static str, u64),
}

/// State of a cut point: the configurations explored from it, and the call's next access.
#[derive(Default)]
struct Cut {
    explored: Set,
    next: Option<(usize, Access)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Accesses use the real memory: outside of the call, and after a failure or a cut.
    Off,
    /// The checker answers the accesses to the slot.
    On,
}

/// The exploration of one call.
struct Run {
    checked: CheckedCall,
    mode: Mode,
    /// Accesses of the present execution. The first `position` of them have been made.
    stack: Vec<Node>,
    position: usize,
    /// Configurations that agree with the values seen. The set is out of date during a replay,
    /// while
    /// `position` is less than the length of `stack`.
    set: Set,
    /// Steps of the execution, without those that a cut point has discarded.
    history: Vec<Step>,
    /// All steps of the execution, to print a failure.
    trace: Vec<Step>,
    /// Loops that the call is in, from the outermost.
    iterations: Vec<Iteration>,
    /// Key of the cut point that the call has reached since its last access.
    passed: Option<u64>,
    cuts: HashMap<u64, Cut>,
    /// Answers by number.
    answers: Vec<Ret>,
    /// Explained answers of each memory, computed on first use.
    by_memory: HashMap<u32, Answers, BuildHasherDefault<FibonacciHasher>>,
    failure: Option<String>,
    report: Report,
    addresses: Addresses,
}

/// Result of the exploration of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) executions: u64,
    /// Number of executions that ended at a cut point without a new configuration.
    pub(super) cut: u64,
    /// Total size of the closed sets.
    pub(super) configurations: u64,
    /// Rules that the environment used.
    pub(super) environment: BTreeSet<Rule>,
    /// Rules that permitted the call's own writes.
    pub(super) own: BTreeSet<Rule>,
    /// Number of executions by answer.
    pub(super) answers: BTreeMap<String, u64>,
    /// Answers of the specification that no execution gave.
    pub(super) missing: Vec<String>,
    pub(super) failure: Option<String>,
    pub(super) seconds: f64,
}

/// The checker that answers the accesses of the checked call.
pub(super) struct Environment {
    graph: Graph,
    run: RefCell<Run>,
    /// Number of times that the slot was taken in this execution, less those that it was given
    /// back.
    pub(super) taken: Cell<i32>,
    /// Whether cut points are used.
    cuts: bool,
    fill: RefCell<Option<Fill>>,
}

/// Class of bodies that calls cannot distinguish: the job, and whether it has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyClass(u32);

impl BodyClass {
    fn of(memory: &Memory) -> Self {
        match memory.state.status {
            Some(status) => Self(2 * memory.state.generation + u32::from(status.is_ended())),
            None => Self(0),
        }
    }

    /// Returns the generation of the job, or `None` in a vacant slot.
    pub(super) fn generation(self) -> Option<u32> {
        (self.0 > 1).then_some(self.0 / 2)
    }

    pub(super) fn is_ended(self) -> bool {
        self.0 % 2 == 1
    }
}

/// Writes a body of a class to the real slot.
type Fill = Box<dyn Fn(BodyClass)>;

impl Environment {
    pub(super) fn new(graph: Graph, cuts: bool) -> Self {
        let checked = CheckedCall {
            from: Vec::new(),
            call: Call::Sweep,
            silent_part: None,
            now: 0,
            nonces: Vec::new(),
            reads_revision: false,
        };
        Self {
            graph,
            run: RefCell::new(Run::new(checked)),
            taken: Cell::new(0),
            cuts,
            fill: RefCell::new(None),
        }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Sets the slot to check. `fill` is called at each acquisition of its lock.
    pub(super) fn control(&self, addresses: Addresses, fill: Fill) {
        self.run.borrow_mut().addresses = addresses;
        *self.fill.borrow_mut() = Some(fill);
    }

    /// Explores a call exhaustively, up to the first failure. `call` makes it and returns its
    /// answer.
    pub(super) fn explore(&self, checked: CheckedCall, mut call: impl FnMut() -> Ret) -> Report {
        let began = std::time::Instant::now();
        let addresses = self.run.borrow().addresses;
        *self.run.borrow_mut() = Run {
            addresses,
            ..Run::new(checked)
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

    /// Runs `f` in the real memory. It is no part of the checked call.
    pub(super) fn unchecked<R>(&self, f: impl FnOnce() -> R) -> R {
        let mode = std::mem::replace(&mut self.run.borrow_mut().mode, Mode::Off);
        let result = f();
        self.run.borrow_mut().mode = mode;
        result
    }

    /// Discards the explained answers. Only later instants may then explain the call's answer.
    fn discard_answers(&self) {
        let mut run = self.run.borrow_mut();
        if run.mode == Mode::On && run.position == run.stack.len() {
            run.set
                .values_mut()
                .for_each(|answers| *answers = NO_ANSWERS);
        }
    }

    /// Notes that the call has woken the watchers.
    pub(super) fn note_wake(&self) {
        let mut run = self.run.borrow_mut();
        if run.mode == Mode::On && run.position == run.stack.len() {
            let set = std::mem::take(&mut run.set);
            for (configuration, answers) in set {
                run.add(configuration.with_wake_pending(false), answers);
            }
        }
    }

    /// Fails the check unless `holds` is true of every configuration at this point of the call.
    pub(super) fn assert_all(&self, claim: &str, holds: impl Fn(&Memory) -> bool) {
        let mut run = self.run.borrow_mut();
        if run.mode == Mode::Off || run.position < run.stack.len() {
            return;
        }
        run.close(&self.graph);
        let counterexample = run
            .set
            .keys()
            .map(|configuration| self.graph.memory(configuration.memory()))
            .find(|memory| !holds(memory));
        if let Some(memory) = counterexample {
            run.fail(&format!("not {claim}: {memory:?}"));
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
        let acquires_lock = access == Access::Lock || (access == Access::TryLock && seen != 0);
        if acquires_lock {
            run.mode = Mode::Off;
            drop(run);
            let class = BodyClass(u32::try_from(seen - 1).expect("a class of bodies"));
            let fill = self.fill.borrow();
            fill.as_ref().expect("the slot was set")(class);
            self.run.borrow_mut().mode = Mode::On;
        }
        Some(seen)
    }

    fn waits(&self) {
        self.discard_answers();
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
    fn new(checked: CheckedCall) -> Self {
        Self {
            checked,
            mode: Mode::Off,
            stack: Vec::new(),
            position: 0,
            set: Set::default(),
            history: Vec::new(),
            trace: Vec::new(),
            iterations: Vec::new(),
            passed: None,
            cuts: HashMap::new(),
            answers: Vec::new(),
            by_memory: HashMap::default(),
            failure: None,
            report: Report::default(),
            addresses: Addresses::default(),
        }
    }

    /// Begins the next execution, which first replays the accesses of the stack.
    fn begin(&mut self) {
        self.position = 0;
        self.history.clear();
        self.trace.clear();
        self.iterations.clear();
        self.passed = None;
        self.mode = Mode::On;
        if self.stack.is_empty() {
            self.set = self
                .checked
                .from
                .iter()
                .map(|memory| (Configuration::new(*memory), NO_ANSWERS))
                .collect();
        }
    }

    /// Ends an execution with the call's answer or panic. Returns whether the exploration is over.
    fn end(&mut self, graph: &Graph, answer: std::thread::Result<Ret>) -> bool {
        let is_checked = std::mem::replace(&mut self.mode, Mode::Off) == Mode::On;
        self.report.executions += 1;
        if is_checked {
            match answer {
                Ok(answer) => {
                    let answer = judge::comparable(&self.checked.call, answer);
                    self.check_answer(graph, &answer);
                }
                Err(panic) => {
                    let text = crate::sync::panics::panic_message(&*panic).into_owned();
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
            top.current += 1;
            if top.current < top.branches.len() {
                return false;
            }
            self.stack.pop();
        }
        true
    }

    /// Checks an answer and the state of the call at its return in every configuration.
    fn check_answer(&mut self, graph: &Graph, answer: &Ret) {
        // A call without an access has never closed its set, so the answers of the present memory
        // are added here.
        let number = self.number(answer.clone());
        for (&configuration, &answers) in &self.set.clone() {
            let memory = graph.memory(configuration.memory());
            let explained = union(answers, self.answers_in(graph, configuration.memory()));
            let is_explained = match configuration.effect() {
                0 => contains(explained, number),
                effect => effect - 1 == number,
            };
            let violation = if !is_explained {
                match configuration.effect() {
                    0 => "no instant of the call explains its answer".to_owned(),
                    effect => format!("its effect was that of {:?}", self.answers[effect - 1]),
                }
            } else if configuration.wake_pending() {
                "it has changed a watched job and woken no watcher".to_owned()
            } else if memory.lock == Some(OWN) {
                "it has kept the lock".to_owned()
            } else if memory.claim == Some(OWN) {
                "it has kept the slot".to_owned()
            } else {
                continue;
            };
            self.fail(&format!("{answer:?}: {violation}, at {memory:?}"));
            return;
        }
        let name = answer_name(answer);
        *self.report.answers.entry(name).or_default() += 1;
    }

    /// Records a failure with the trace of the execution. The rest of the call is not checked.
    fn fail(&mut self, why: &str) {
        let mut text = format!("{:?}: {why}\n", self.checked.call);
        for step in &self.trace {
            let _ = match *step {
                Step::Access(object, access, seen) => {
                    let object_name = ["state", "heartbeat", "nonce", "lock", "revision"][object];
                    let show = |bits: u64| match object {
                        0 => format!("{:?}", StateWord::from_bits(bits)),
                        1 => format!("{:?}", HeartbeatWord::from_bits(bits)),
                        _ => bits.to_string(),
                    };
                    let access = match access {
                        Access::Is(to) => format!("compare with {}", show(to)),
                        Access::Store(to) => format!("store {}", show(to)),
                        Access::Swap(to) => format!("swap to {}", show(to)),
                        Access::Exchange(from, to) => {
                            format!("compare-exchange from {} to {}", show(from), show(to))
                        }
                        other => format!("{other:?}"),
                    };
                    writeln!(text, "  {object_name}: {access}, sees {}", show(seen))
                }
                Step::Again(place, _) => writeln!(text, "  repeats from {place}"),
            };
        }
        self.failure.get_or_insert(text);
        self.mode = Mode::Off;
    }

    /// Returns the number of an answer.
    fn number(&mut self, answer: Ret) -> usize {
        if let Some(number) = self.answers.iter().position(|known| *known == answer) {
            return number;
        }
        assert!(self.answers.len() < 250, "at most 250 answers fit in a set");
        self.answers.push(answer);
        self.answers.len() - 1
    }

    /// Returns the answers that the specification gives in this memory without a change of the
    /// state.
    fn answers_in(&mut self, graph: &Graph, number: u32) -> Answers {
        if let Some(known) = self.by_memory.get(&number) {
            return *known;
        }
        let memory = graph.memory(number);
        let call = self.checked.call.clone();
        let mut answers = NO_ANSWERS;
        let mut add = |run: &mut Self, answer: Ret| {
            let number = run.number(answer);
            answers[number / 64] |= 1 << (number % 64);
        };
        if let Some((ret, false)) = judge::answer_in(&memory, &call, self.checked.now) {
            if judge::has_consistent_pair(&memory) || !judge::shows_heartbeat(&ret) {
                add(self, ret);
            }
        }
        for answer in judge::concurrent_answers(&memory, &call) {
            add(self, answer);
        }
        self.by_memory.insert(number, answers);
        answers
    }

    /// Adds a configuration to the set. Answers stay explained only if they are on every path.
    fn add(&mut self, configuration: Configuration, answers: Answers) {
        let known = self.set.entry(configuration).or_insert(answers);
        *known = intersection(*known, answers);
    }

    /// Closes the set under the environment's steps.
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
                let mut after = configuration.with_memory(next).changed();
                // A thread that clears the watched bit wakes the watchers, also those that the call
                // has to wake.
                if configuration.wake_pending() && clears_watched(graph, configuration, next) {
                    after = after.with_wake_pending(false);
                }
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
                        let both = intersection(*entry.get(), answers);
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

    /// Returns the value that an access sees, or `None` after a failure.
    fn access(&mut self, graph: &Graph, object: usize, access: Access) -> Option<u64> {
        if let Some(passed) = self.passed.take() {
            let cut = self.cuts.entry(passed).or_default();
            let next = *cut.next.get_or_insert((object, access));
            if next != (object, access) {
                let known = (object, access);
                self.fail(&format!(
                    "a cut point omits a local: {next:?} and {known:?} follow it"
                ));
                return None;
            }
        }
        let is_read = object == 4 && !matches!(access, Access::Swap(_));
        if is_read && !self.checked.reads_revision {
            self.fail("the call reads the revision, which the environment has not changed");
            return None;
        }
        if self.position == self.stack.len() {
            self.close(graph);
            let branches = self.branches(graph, object, access)?;
            if branches.is_empty() {
                let why = match access {
                    Access::Lock => "the call waits for a lock that it holds",
                    _ => "the access is impossible in every configuration",
                };
                self.fail(&format!("{access:?}: {why}"));
                return None;
            }
            self.stack.push(Node {
                branches,
                current: 0,
            });
        }
        self.position += 1;
        let is_last = self.position == self.stack.len();
        let node = &mut self.stack[self.position - 1];
        let branch = &mut node.branches[node.current];
        if is_last {
            self.set = std::mem::take(&mut branch.set);
        }
        let step = Step::Access(object, access, branch.seen);
        self.history.push(step);
        self.trace.push(step);
        Some(branch.seen)
    }

    /// Returns the values that an access can see, each with the configurations after it, or `None`
    /// after a failure.
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
                // The call waits. The closed set also has the memory in which the lock is free.
                Access::Lock if memory.lock.is_some() => continue,
                Access::TryLock if memory.lock.is_some() => (0, None),
                // The value seen is the class of the body behind the lock.
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
            *known = intersection(*known, answers);
        }
        let branch = |(seen, set)| Branch { seen, set };
        Some(branches.into_iter().map(branch).collect())
    }

    /// Returns the bits of an object in a memory.
    fn value(&self, memory: &Memory, object: usize) -> u64 {
        match object {
            0 => state_word(memory.state).bits(),
            1 => heartbeat_word(memory.heartbeat).bits(),
            2 => self.checked.nonces[memory.nonce as usize],
            4 => first_revision(memory.revision.0) + memory.revision.1,
            _ => 0,
        }
    }

    /// Returns the configuration after the call's own write, or `None` after a failure.
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
            (4, _) => after.revision = revision_of(to),
            (1, _) => after.heartbeat = Heartbeat::of(HeartbeatWord::from_bits(to)),
            (2, _) => {
                let known = self.checked.nonces.iter().position(|nonce| *nonce == to);
                after.nonce = known.map_or(u32::MAX, |known| {
                    u32::try_from(known).expect("few generations")
                });
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
        let owes_wake = match rule {
            Rule::Revise => before.state.watched,
            _ => before.state.watched && !after.state.watched,
        };
        let wake_pending = configuration.wake_pending() || owes_wake;
        let mut next = configuration
            .with_memory(graph.number(after))
            .with_wake_pending(wake_pending)
            .changed();
        if let Some(effect) = effect_of(rule, &before, &after) {
            let Ok(answer) = self.required_answer(&before, &effect, configuration) else {
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

    /// Returns the answer that an effect of the call requires, or `None` for its silent part. It is
    /// an error if the specification has no such effect, or if the call has already had its own.
    fn required_answer(
        &mut self,
        before: &Memory,
        after: &Memory,
        configuration: Configuration,
    ) -> Result<Option<usize>, ()> {
        if configuration.effect() != 0 {
            return Err(());
        }
        let now = self.checked.now;
        let is_silent = |call: &Call| judge::leads_to(before, after, call, now).is_some();
        if self.checked.silent_part.as_ref().is_some_and(is_silent) {
            return Ok(None);
        }
        let answer = judge::leads_to(before, after, &self.checked.call, now).ok_or(())?;
        Ok(Some(self.number(answer)))
    }

    /// Handles a cut point: detects an iteration without progress, and drops the configurations
    /// that were explored from here before.
    fn again(&mut self, graph: &Graph, position: usize, place: &'static str, locals: u64) {
        self.history.truncate(position);
        self.history.push(Step::Again(place, locals));
        self.trace.push(Step::Again(place, locals));
        self.iterations.retain(|known| known.position <= position);
        let iteration = Iteration {
            position,
            place,
            locals,
        };
        let is_same = |known: &Iteration| (known.position, known.place) == (position, place);
        let known = self.iterations.iter().position(is_same);
        let depth = known.unwrap_or(self.iterations.len());
        let is_repeated = known.is_some_and(|depth| self.iterations[depth] == iteration);
        self.iterations.truncate(depth);
        self.iterations.push(iteration);
        assert!(depth < 16, "loops are nested at most 16 deep");
        if self.position < self.stack.len() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (&self.history, crate::sync::deferred::lock_state()).hash(&mut hasher);
        let key = hasher.finish();
        let is_unchanged = |configuration: &&Configuration| configuration.is_unchanged(depth);
        if let Some(spinning) = self.set.keys().find(is_unchanged).filter(|_| is_repeated) {
            let memory = graph.memory(spinning.memory());
            self.fail(&format!(
                "it repeats from {place} although nothing has changed: {memory:?}"
            ));
            return;
        }
        self.close(graph);
        let set = std::mem::take(&mut self.set);
        let mut unexplored = Set::default();
        let cut = self.cuts.entry(key).or_default();
        for (configuration, answers) in set {
            let configuration = configuration.with_unchanged(depth);
            let mut answers = answers;
            match cut.explored.get_mut(&configuration) {
                Some(known) if intersection(*known, answers) == *known => continue,
                Some(known) => {
                    answers = intersection(*known, answers);
                    *known = answers;
                }
                None => drop(cut.explored.insert(configuration, answers)),
            }
            unexplored.insert(configuration, answers);
        }
        self.passed = Some(key);
        if unexplored.is_empty() {
            self.mode = Mode::Off;
        }
        self.set = unexplored;
    }

    /// Reports the answers that the specification has for the call and that no execution gave.
    fn find_missing(&mut self, graph: &Graph) {
        let call = self.checked.call.clone();
        let now = self.checked.now;
        let mut memories: BTreeSet<u32> = self.checked.from.iter().copied().collect();
        let mut work: Vec<u32> = self.checked.from.clone();
        while let Some(memory) = work.pop() {
            for &(next, _) in &*graph.steps(memory) {
                if memories.insert(next) {
                    work.push(next);
                }
            }
        }
        let mut specified = BTreeSet::new();
        for number in memories {
            let memory = graph.memory(number);
            if let Some((ret, _)) = judge::answer_in(&memory, &call, now) {
                if judge::has_consistent_pair(&memory) || !judge::shows_heartbeat(&ret) {
                    specified.insert(answer_name(&ret));
                }
            }
            specified.extend(
                judge::concurrent_answers(&memory, &call)
                    .iter()
                    .map(answer_name),
            );
        }
        let seen = &self.report.answers;
        let missing = specified
            .into_iter()
            .filter(|name| !seen.contains_key(name));
        self.report.missing = missing.collect();
    }
}

/// Returns the name of an answer in the report. Each view is an answer of its own.
fn answer_name(answer: &Ret) -> String {
    format!("{answer:?}")
}

/// Returns whether a step of the environment clears the watched bit.
fn clears_watched(graph: &Graph, configuration: Configuration, next: u32) -> bool {
    let is_watched = |number| graph.memory(number).state.watched;
    is_watched(configuration.memory()) && !is_watched(next)
}

/// Returns the memory in which a write's effect on the job is settled, or `None` if the write has
/// no such effect.
fn effect_of(rule: Rule, before: &Memory, after: &Memory) -> Option<Memory> {
    let status = match rule {
        Rule::Advance
        | Rule::Heartbeat
        | Rule::Stop
        | Rule::Revise
        | Rule::Remove
        | Rule::Publish => return Some(*after),
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
