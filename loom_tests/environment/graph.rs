//! The memories that the guarantee reaches in a bounded domain, and the environment's steps between
//! them.

use crate::Progress;
use crate::Status;
use crate::guarantee::{Heartbeat, Memory, Rule, State, Thread, rule};
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::state_word::{Ending, StateWord};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Thread of the checked call.
pub(super) const OWN: Thread = 0;
/// All other threads, merged into one that may make any step that one of them may make.
pub(super) const ENVIRONMENT: Thread = 1;

/// Bounds of the environment. The checked call may exceed each by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Domain {
    /// Last generation of which the environment publishes a job. The first is 1.
    pub(super) generations: u32,
    /// Last attempt that a retry of the environment begins.
    pub(super) attempts: u16,
    /// Exclusive limit, in milliseconds, of the times at which the environment opens a slot, starts
    /// a job or records a heartbeat.
    pub(super) times: u64,
    /// Number of revisions of a job by the environment.
    pub(super) revisions: u64,
    /// Whether the environment advances to [`HALF`], and not only to 100 %.
    pub(super) halves: bool,
    /// Whether the environment watches ended jobs, too.
    pub(super) watches_ended: bool,
}

/// Progress to which the checked call advances, in parts per million.
pub(super) const HALF: u32 = 500_000;

impl Domain {
    /// Returns the states of the present and the next generation. The attempts include one beyond
    /// the bounds, which the checked call may begin.
    fn states(self, around: State) -> Vec<State> {
        let mut all = Vec::new();
        for generation in around.generation..=around.generation + 1 {
            let vacant = State {
                generation,
                attempt: 0,
                status: None,
                progress: 0,
                watched: false,
            };
            all.push(vacant);
            for attempt in 1..=self.attempts + 1 {
                for status in [
                    Status::Pending,
                    Status::Running,
                    Status::Stopping,
                    Status::Completed,
                    Status::Failed,
                    Status::Cancelled,
                ] {
                    for progress in [0, HALF, Progress::DONE.ppm()] {
                        all.extend([false, true].map(|watched| State {
                            attempt,
                            status: Some(status),
                            progress,
                            watched,
                            ..vacant
                        }));
                    }
                }
            }
        }
        all
    }

    /// Returns the heartbeats of a generation. Each retry may need one more millisecond beyond the
    /// limit of the times.
    fn heartbeats(self, generation: u32) -> Vec<Heartbeat> {
        let verdicts = [
            None,
            Some(Status::Completed),
            Some(Status::Failed),
            Some(Status::Cancelled),
        ];
        let mut all = Vec::new();
        for millis in 0..self.times + u64::from(self.attempts) {
            for started in [false, true] {
                all.extend(verdicts.map(|verdict| Heartbeat {
                    generation,
                    millis,
                    started,
                    verdict,
                }));
            }
        }
        all
    }

    /// Returns whether a step of the environment stays within the bounds.
    fn contains(self, before: &Memory, after: &Memory, rule: Rule) -> bool {
        match rule {
            Rule::Revise => after.revision.1 <= self.revisions,
            Rule::Advance => self.halves || after.state.progress != HALF,
            Rule::Watch => self.watches_ended || before.state.is_live(),
            Rule::Take | Rule::Open | Rule::Renumber | Rule::Name | Rule::Publish => {
                before.state.generation <= self.generations
                    && (rule != Rule::Open || after.heartbeat.millis < self.times)
            }
            Rule::Retry => {
                before.state.attempt < self.attempts
                    && after.heartbeat.millis < self.times + u64::from(before.state.attempt)
            }
            Rule::Start | Rule::Heartbeat => {
                after.heartbeat.millis < self.times
                    || after.heartbeat.millis == before.heartbeat.millis
            }
            _ => true,
        }
    }

    /// Returns the environment's steps from a memory. The guarantee selects them from candidates
    /// that change one part of it.
    fn steps(self, from: &Memory) -> Vec<(Memory, Rule)> {
        let claims = [None, Some(ENVIRONMENT)];
        let mut candidates = Vec::new();
        for state in self.states(from.state) {
            candidates.extend([from.claim, None, Some(ENVIRONMENT)].map(|claim| Memory {
                state,
                claim,
                ..*from
            }));
        }
        for generation in from.state.generation.saturating_sub(1)..=from.state.generation {
            let all = self.heartbeats(generation).into_iter();
            candidates.extend(all.map(|heartbeat| Memory { heartbeat, ..*from }));
        }
        let nonce = from.state.generation;
        candidates.push(Memory { nonce, ..*from });
        let (generation, count) = from.revision;
        for revision in [(generation, count + 1), (from.state.generation, 0)] {
            candidates.push(Memory { revision, ..*from });
        }
        candidates.extend(claims.map(|claim| Memory { claim, ..*from }));
        candidates.extend(claims.map(|lock| Memory { lock, ..*from }));
        let mut steps: Vec<(Memory, Rule)> = Vec::new();
        for after in candidates {
            let Some(rule) = rule(from, &after, ENVIRONMENT) else {
                continue;
            };
            if self.contains(from, &after, rule) && !steps.contains(&(after, rule)) {
                steps.push((after, rule));
            }
        }
        steps
    }
}

/// The environment's steps from a memory: the number of the next memory, and the rule.
type Steps = Rc<[(u32, Rule)]>;

/// Numbered memories and the environment's steps from each, computed on first use.
#[derive(Default)]
struct Known {
    memories: Vec<Memory>,
    numbers: HashMap<Memory, u32>,
    steps: Vec<Option<Steps>>,
}

impl Known {
    fn number(&mut self, memory: Memory) -> u32 {
        if let Some(number) = self.numbers.get(&memory) {
            return *number;
        }
        let number = u32::try_from(self.memories.len()).expect("fewer than 2^32 memories");
        self.memories.push(memory);
        self.numbers.insert(memory, number);
        self.steps.push(None);
        number
    }
}

/// The memories as nodes, and the environment's steps as edges.
pub(super) struct Graph {
    pub(super) domain: Domain,
    known: RefCell<Known>,
    /// Numbers of the memories that the environment reaches from a slot before its first job.
    pub(super) reachable: Vec<u32>,
}

impl Graph {
    pub(super) fn new(domain: Domain) -> Self {
        let mut graph = Self {
            domain,
            known: RefCell::default(),
            reachable: Vec::new(),
        };
        let first = graph.number(Memory::new(StateWord::vacant(1), HeartbeatWord::vacant()));
        let mut reachable = vec![first];
        let mut known = HashSet::from([first]);
        let mut position = 0;
        while let Some(&number) = reachable.get(position) {
            for &(next, _) in &*graph.steps(number) {
                if known.insert(next) {
                    reachable.push(next);
                }
            }
            position += 1;
        }
        graph.reachable = reachable;
        graph
    }

    pub(super) fn number(&self, memory: Memory) -> u32 {
        self.known.borrow_mut().number(memory)
    }

    pub(super) fn memory(&self, number: u32) -> Memory {
        self.known.borrow().memories[number as usize]
    }

    pub(super) fn steps(&self, number: u32) -> Steps {
        let mut known = self.known.borrow_mut();
        if let Some(steps) = &known.steps[number as usize] {
            return steps.clone();
        }
        let from = known.memories[number as usize];
        let steps: Steps = self
            .domain
            .steps(&from)
            .into_iter()
            .map(|(after, rule)| (known.number(after), rule))
            .collect();
        known.steps[number as usize] = Some(steps.clone());
        steps
    }
}

/// Returns the state word of a state, by the steps that lead to it.
pub(super) fn state_word(state: State) -> StateWord {
    let mut word = StateWord::vacant(state.generation);
    let Some(status) = state.status else {
        return word;
    };
    let legal = "the step is legal";
    word = word.register().expect(legal);
    for _ in 1..state.attempt {
        word = word
            .end(Ending::Failed)
            .and_then(StateWord::retry)
            .expect(legal);
    }
    let is_started = matches!(
        status,
        Status::Running | Status::Stopping | Status::Completed
    );
    if is_started || state.progress > 0 {
        word = word.start().expect(legal);
        let progress = Progress::from_ppm(state.progress).expect("a progress in range");
        word = word.advance(progress).unwrap_or(word);
    }
    if status == Status::Stopping {
        word = word.stop().expect(legal);
    }
    if let Some(ending) = ending_of(status) {
        word = word.end(ending).expect(legal);
    }
    if state.watched {
        word = word.watched();
    }
    assert_eq!(
        State::of(word),
        state,
        "a state word should represent the state"
    );
    word
}

/// Returns the heartbeat word of a heartbeat.
pub(super) fn heartbeat_word(heartbeat: Heartbeat) -> HeartbeatWord {
    let mut word = HeartbeatWord::open(heartbeat.generation, heartbeat.millis);
    if heartbeat.started {
        word = word.started(heartbeat.millis);
    }
    match heartbeat.verdict.and_then(ending_of) {
        Some(ending) => word.sealed(ending),
        None => word,
    }
}

fn ending_of(status: Status) -> Option<Ending> {
    match status {
        Status::Completed => Some(Ending::Completed),
        Status::Failed => Some(Ending::Failed),
        Status::Cancelled => Some(Ending::Cancelled),
        Status::Pending | Status::Running | Status::Stopping => None,
    }
}
