//! `check`: explores a model to the end, counts, and compares what was seen with what has to be.

#[cfg(loom)]
#[path = "harness/under_loom.rs"]
mod checker;
#[cfg(all(shuttle, not(loom)))]
#[path = "harness/under_shuttle.rs"]
mod checker;
#[path = "harness/clock.rs"]
mod clock;
#[path = "harness/failure.rs"]
mod failure;
#[path = "harness/ledger.rs"]
pub(super) mod ledger;
#[cfg(all(shuttle, not(loom)))]
#[path = "harness/reduction.rs"]
mod reduction;

pub(super) use checker::{JoinHandle, block_on, explore, spawn};
pub(super) use clock::ModelClock;
pub(super) use failure::watched;

use crate::sync::record::{self, Event};
use crate::{Builder, Job, JobRegistry, Progress};
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a model claims, for the ledger and for the tables made of it.
pub(super) struct Claim {
    /// The test's name, which is the claim.
    pub(super) name: &'static str,
    /// `P1` to `P12`.
    pub(super) properties: &'static [&'static str],
    /// Numbers of the scenarios it covers.
    pub(super) scenarios: &'static [u32],
    /// Preemptions in one execution under loom; `None` for no bound. Shuttle, which runs the same bodies, has none.
    pub(super) preemptions: Option<usize>,
}

impl Claim {
    /// For models that are too large for the usual bound.
    pub(super) fn preemptions(self, preemptions: usize) -> Self {
        Self {
            preemptions: Some(preemptions),
            ..self
        }
    }
}

/// What came of exploring one model.
pub(super) struct Explored<O> {
    /// Those that ran to their end.
    pub(super) executions: u64,
    pub(super) completed: bool,
    pub(super) outcomes: Vec<O>,
}

/// Explores every execution of `model` and collects what it returns, each outcome once.
///
/// # Panics
///
/// If the model does, in any execution. Then a timeline of that execution is printed, and how to see it again.
pub(super) fn outcomes<O>(
    bound: Option<usize>,
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
            let outcome = watched(&model);
            executions.fetch_add(1, Ordering::Relaxed);
            let mut outcomes = outcomes.lock().unwrap();
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        }
    };
    let completed = explore(bound, counted);
    let outcomes = std::mem::take(&mut *outcomes.lock().unwrap());
    Explored {
        executions: executions.load(Ordering::Relaxed),
        completed,
        outcomes,
    }
}

/// [`outcomes`], with a line in the ledger, and compared with what must and what may be seen.
///
/// # Panics
///
/// As there; if the exploration did not come to its end; if an outcome of `must_see` never came, for then the race that
/// the model is about did not happen in it; or if one came that is not in `must_see` or `may_see`.
pub(super) fn check<O>(
    claim: &Claim,
    must_see: &[O],
    may_see: &[O],
    model: impl Fn() -> O + Send + Sync + 'static,
) where
    O: PartialEq + Clone + Debug + Send + 'static,
{
    let began = Instant::now();
    let explored = failure::of(claim.name, || outcomes(claim.preemptions, model));
    ledger::write(&ledger::Line {
        name: claim.name,
        kind: "model",
        properties: claim.properties,
        scenarios: claim.scenarios,
        programs: 1,
        bound: claim.preemptions.filter(|_| cfg!(loom)),
        completed: explored.completed,
        executions: explored.executions,
        outcomes: explored.outcomes.len(),
        took: began.elapsed(),
    });

    let (name, seen) = (claim.name, explored.outcomes);
    assert!(
        explored.completed,
        "{name}: the exploration did not come to its end"
    );
    for expected in must_see {
        assert!(
            seen.contains(expected),
            "{name}: {expected:?} was never seen, so that the race was not there to check. Seen: {seen:?}"
        );
    }
    for outcome in &seen {
        assert!(
            must_see.contains(outcome) || may_see.contains(outcome),
            "{name}: {outcome:?} must not happen. Seen: {seen:?}"
        );
    }
}

/// Notes something for the timeline of this execution.
pub(super) fn note(event: Event) {
    let me = record::this_thread();
    record::with(|execution| execution.events.push((me, event)));
}

/// Shown as it is.
struct Text(String);

impl Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a call and notes it.
pub(super) fn called<R: Debug>(what: &'static str, call: impl FnOnce() -> R) -> R {
    note(Event::Call(Rc::new(Text(what.to_owned()))));
    let result = call();
    note(Event::Return(Rc::new(Text(format!("{result:?}")))));
    result
}

/// A call that the timeline of a failure shows, with its result.
macro_rules! call {
    ($call:expr) => {
        $crate::loom_tests::harness::called(stringify!($call), || $call)
    };
}
pub(super) use call;

/// Runs both in threads of their own, at the same time as far as the checker is concerned.
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

/// A registry whose time stands still, and its clock.
pub(super) fn registry<T: Send + 'static>(
    build: impl FnOnce(Builder<T>) -> Builder<T>,
) -> (JobRegistry<T>, ModelClock) {
    let clock = ModelClock::new();
    let jobs = build(JobRegistry::builder().clock(clock.clone())).build();
    (jobs, clock)
}

/// A running job in a registry of its own.
pub(super) fn running<T: Send + 'static>(payload: T) -> (JobRegistry<T>, Job<T>) {
    let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
    let job = jobs.register(payload).unwrap();
    job.start().unwrap();
    (jobs, job)
}

pub(super) fn percent(percent: f64) -> Progress {
    Progress::percent(percent).unwrap()
}

/// Names the test that calls it, the properties it checks and the scenarios it covers.
macro_rules! claim {
    ($name:ident, [$($property:ident),*], [$($scenario:literal),*]) => {
        $crate::loom_tests::harness::Claim {
            name: stringify!($name),
            properties: &[$(stringify!($property)),*],
            scenarios: &[$($scenario),*],
            preemptions: Some(3),
        }
    };
}
pub(super) use claim;
