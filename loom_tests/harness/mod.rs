//! `check` explores a model, counts its executions, and compares its outcomes with the expected
//! ones.

mod bell;
#[cfg(loom)]
mod canaries;
mod census;
#[cfg(loom)]
#[path = "under_loom.rs"]
mod checker;
#[cfg(all(shuttle, not(loom)))]
#[path = "under_shuttle.rs"]
mod checker;
mod clock;
pub(super) mod failure;
pub(super) mod ledger;
mod programs;
#[cfg(all(shuttle, not(loom)))]
mod reduction;
#[cfg(all(shuttle, not(loom)))]
mod reduction_tests;

pub(super) use bell::{Bell, waiting};
pub(super) use census::nothing_is_left;
#[cfg(all(shuttle, not(loom)))]
pub(super) use checker::{HideClock, begin, depth_first, run};
pub(super) use checker::{JoinHandle, block_on, explore, spawn};
pub(super) use clock::ModelClock;

use crate::sync::facade::record::{self, Event};
use crate::{Builder, Job, JobRegistry, Progress};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A model's name and coverage, for the ledger and for the tables made from it.
pub(super) struct Claim {
    /// Name of the test, which states the claim.
    pub(super) name: &'static str,
    /// Properties that the model checks, `P1` to `P13`.
    pub(super) properties: &'static [&'static str],
    /// Numbers of the scenarios that the model covers.
    pub(super) scenarios: &'static [u32],
    pub(super) effort: Effort,
}

impl Claim {
    /// Replaces the bounds, for models that are too large for the usual ones.
    pub(super) fn bounds(mut self, bounds: &'static [Option<usize>]) -> Self {
        self.effort.ordered = bounds;
        self.effort.weak = bounds;
        self
    }
}

/// How much loom explores, for each form of a slot's two words (`src/sync/loom_atomic.rs`). Shuttle
/// runs the same bodies without a bound.
///
/// The bounds limit the preemptions of an execution, the largest first; `None` is no bound.
/// Everything is explored with the last bound, and then with the first bound that takes fewer than
/// `most` executions.
#[cfg_attr(not(loom), allow(dead_code))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    pub(super) ordered: &'static [Option<usize>],
    pub(super) weak: &'static [Option<usize>],
    pub(super) most: usize,
}

impl Effort {
    pub(super) const USUAL: Self = Self {
        ordered: &[None, Some(3)],
        weak: &[None, Some(3)],
        most: 5_000,
    };
}

/// Bounds of a finished exploration under loom, for each form of the words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) ordered: Option<usize>,
    pub(super) weak: Option<usize>,
}

/// Result of the exploration of one model.
pub(super) struct Explored<O> {
    /// Number of executions that ran to their end.
    pub(super) executions: u64,
    /// `None` if the exploration did not finish.
    pub(super) within: Option<Bounds>,
    pub(super) outcomes: Vec<O>,
}

/// Explores the executions of `model` and collects its results, each distinct outcome once.
///
/// # Panics
///
/// If the model panics in any execution. The timeline of that execution and the command that
/// repeats it are printed.
pub(super) fn outcomes<O>(
    effort: Effort,
    model: impl Fn() -> O + Send + Sync + 'static,
) -> Explored<O>
where
    O: PartialEq + Send + 'static,
{
    let executions = Arc::new(AtomicU64::new(0));
    let outcomes = Arc::new(Mutex::new(Vec::<O>::new()));
    let counted = {
        let (executions, outcomes) = (executions.clone(), outcomes.clone());
        move || {
            let outcome = failure::watched(&model);
            executions.fetch_add(1, Ordering::Relaxed);
            let mut outcomes = outcomes.lock().unwrap();
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        }
    };
    let within = explore(effort, counted);
    let outcomes = std::mem::take(&mut *outcomes.lock().unwrap());
    Explored {
        executions: executions.load(Ordering::Relaxed),
        within,
        outcomes,
    }
}

/// Explores as [`outcomes`] does, writes a line to the ledger, and compares the outcomes with the
/// expected ones.
///
/// # Panics
///
/// * If the model panics in any execution.
/// * If the exploration did not finish.
/// * If an outcome of `must_see` never occurred: then the race did not happen in the model.
/// * If an outcome occurred that is neither in `must_see` nor in `may_see`.
pub(super) fn check<O>(
    claim: &Claim,
    must_see: &[O],
    may_see: &[O],
    model: impl Fn() -> O + Send + Sync + 'static,
) where
    O: PartialEq + Clone + Debug + Send + 'static,
{
    let began = Instant::now();
    let explored = failure::of(claim.name, "", || outcomes(claim.effort, model));
    ledger::write(&ledger::Line {
        name: claim.name,
        kind: "model",
        properties: claim.properties,
        scenarios: claim.scenarios,
        programs: 1,
        within: explored.within.as_slice(),
        executions: explored.executions,
        outcomes: explored.outcomes.len(),
        took: began.elapsed(),
    });

    let (name, seen) = (claim.name, explored.outcomes);
    let texts = seen.iter().map(|outcome| hash(&format!("{outcome:?}")));
    ledger::outcomes(name, texts);
    assert!(
        explored.within.is_some(),
        "{name}: the exploration did not finish"
    );
    for expected in must_see {
        assert!(
            seen.contains(expected),
            "{name}: {expected:?} never occurred, so the model does not contain the race. Seen: {seen:?}"
        );
    }
    for outcome in &seen {
        assert!(
            must_see.contains(outcome) || may_see.contains(outcome),
            "{name}: {outcome:?} must not occur. Seen: {seen:?}"
        );
    }
}

/// Hashes an outcome, equally in every build with one version of the standard library.
pub(super) fn hash(outcome: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    outcome.hash(&mut hasher);
    hasher.finish()
}

/// Adds an event to the timeline of this execution.
pub(super) fn note(event: Event) {
    let me = record::this_thread();
    record::with(|execution| execution.events.push((me, event)));
}

/// A text whose `Debug` form is the text itself.
struct Text(String);

impl Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a call and adds it to the timeline.
pub(super) fn called<R: Debug>(what: &'static str, call: impl FnOnce() -> R) -> R {
    note(Event::Call(Rc::new(Text(what.to_owned()))));
    let result = call();
    note(Event::Return(Rc::new(Text(format!("{result:?}")))));
    result
}

/// Makes a call that the timeline of a failure shows, with its result.
macro_rules! call {
    ($call:expr) => {
        $crate::loom_tests::harness::called(stringify!($call), || $call)
    };
}
pub(super) use call;

/// Runs both closures concurrently, in two spawned threads.
pub(super) fn race<A, B>(
    a: impl FnOnce() -> A + Send + 'static,
    b: impl FnOnce() -> B + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    let (a, b) = (spawn(a), spawn(b));
    (a.join().unwrap(), b.join().unwrap())
}

/// Builds a registry whose clock moves only by hand and whose registrations sweep, and returns it
/// with its clock.
pub(super) fn registry<T: Send + 'static>(
    build: impl FnOnce(Builder<T>) -> Builder<T>,
) -> (JobRegistry<T>, ModelClock) {
    let clock = ModelClock::new();
    let jobs = build(
        JobRegistry::builder()
            .clock(clock.clone())
            .sweep_on_register(true),
    )
    .build();
    (jobs, clock)
}

/// Returns a running job, and the registry that holds it alone.
pub(super) fn running<T: Send + 'static>(payload: T) -> (JobRegistry<T>, Job<T>) {
    let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
    let job = jobs.register(payload).unwrap();
    job.start().unwrap();
    (jobs, job)
}

pub(super) fn percent(percent: f64) -> Progress {
    Progress::percent(percent).unwrap()
}

/// Names the calling test, the properties that it checks and the scenarios that it covers.
macro_rules! claim {
    ($name:ident, [$($property:ident),*], [$($scenario:literal),*]) => {
        $crate::loom_tests::harness::Claim {
            name: stringify!($name),
            properties: &[$(stringify!($property)),*],
            scenarios: &[$($scenario),*],
            effort: $crate::loom_tests::harness::Effort::USUAL,
        }
    };
}
pub(super) use claim;
