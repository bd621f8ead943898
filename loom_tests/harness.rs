//! `check`: explores a model to the end, counts, and compares what was seen with what has to be.

use std::fmt::Debug;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[cfg(loom)]
pub(super) use loom::future::block_on;
#[cfg(all(shuttle, not(loom)))]
pub(super) use shuttle::{future::block_on, thread::spawn};

use crate::{Builder, Job, JobRegistry, ManualClock, Progress};

/// What a model claims, for the ledger and for the tables made of it.
pub(super) struct Claim {
    /// The test's name, which is the claim.
    pub(super) name: &'static str,
    /// `P1` to `P12`.
    pub(super) properties: &'static [&'static str],
    /// Numbers of the scenarios it covers.
    pub(super) scenarios: &'static [u32],
    /// Preemptions in one execution under loom. Shuttle, which runs the same bodies, has no bound.
    pub(super) preemptions: usize,
}

impl Claim {
    /// For models that are too large for the usual bound.
    pub(super) fn preemptions(self, preemptions: usize) -> Self {
        Self {
            preemptions,
            ..self
        }
    }

    fn bound(&self) -> Option<usize> {
        cfg!(loom).then_some(self.preemptions)
    }
}

/// Explores every execution of `model` and collects what it returns.
///
/// # Panics
///
/// If the model does, in any execution; if an outcome of `must_see` never came, for then the race that
/// the model is about did not happen in it; or if one came that is not in `must_see` or `may_see`.
pub(super) fn check<O>(
    claim: &Claim,
    must_see: &[O],
    may_see: &[O],
    model: impl Fn() -> O + Send + Sync + 'static,
) where
    O: PartialEq + Clone + Debug + Send + 'static,
{
    let executions = Arc::new(AtomicU64::new(0));
    let outcomes = Arc::new(Mutex::new(Vec::<O>::new()));
    let began = Instant::now();
    let counted = {
        let (executions, outcomes) = (executions.clone(), outcomes.clone());
        move || {
            let outcome = model();
            executions.fetch_add(1, Ordering::Relaxed);
            let mut outcomes = outcomes.lock().unwrap();
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        }
    };
    let completed = explore(claim.bound(), counted);
    let executions = executions.load(Ordering::Relaxed);
    let outcomes = outcomes.lock().unwrap().clone();
    write_ledger(
        claim,
        completed,
        executions,
        outcomes.len(),
        began.elapsed(),
    );

    let name = claim.name;
    for expected in must_see {
        assert!(
            outcomes.contains(expected),
            "{name}: {expected:?} was never seen, so that the race was not there to check. Seen: {outcomes:?}"
        );
    }
    for seen in &outcomes {
        assert!(
            must_see.contains(seen) || may_see.contains(seen),
            "{name}: {seen:?} must not happen. Seen: {outcomes:?}"
        );
    }
}

/// To the end, with at most `bound` preemptions in one execution, and with no limit that would end the check
/// silently. Once for the orders of accesses and once for stale values; see `sync/loom_atomic.rs`.
#[cfg(loom)]
fn explore(bound: Option<usize>, model: impl Fn() + Send + Sync + 'static) -> bool {
    let model = Arc::new(model);
    for weak in [false, true] {
        crate::sync::loom_atomic::set_weak(weak);
        let mut builder = loom::model::Builder::new();
        builder.max_permutations = None;
        builder.max_duration = None;
        builder.preemption_bound = bound;
        builder.max_branches = 10_000;
        let model = model.clone();
        builder.check(move || {
            SPAWNED.set(0);
            model();
        });
    }
    true // without a limit, loom returns at the end only
}

#[cfg(loom)]
thread_local! {
    static SPAWNED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A thread of the model. All are spawned before the first join, and loom runs none before that.
#[cfg(loom)]
pub(super) fn spawn<R: 'static>(f: impl FnOnce() -> R + 'static) -> loom::thread::JoinHandle<R> {
    SPAWNED.set(SPAWNED.get() + 1);
    crate::sync::loom_atomic::set_threads(SPAWNED.get());
    loom::thread::spawn(f)
}

/// Depth first, and where that does not come to its end within `DEPTH_FIRST`, by probabilistic concurrency
/// testing (Burckhardt et al., ASPLOS 2010) as well, which looks where depth-first search never gets.
#[cfg(all(shuttle, not(loom)))]
fn explore(_: Option<usize>, model: impl Fn() + Send + Sync + 'static) -> bool {
    use shuttle::scheduler::{DfsScheduler, PctScheduler};

    const DEPTH_FIRST: usize = 50_000;
    let model = Arc::new(model);
    let run = |scheduler: Box<dyn shuttle::scheduler::Scheduler + Send>| {
        let model = model.clone();
        shuttle::Runner::new(scheduler, shuttle::Config::new()).run(move || model())
    };
    let completed = run(Box::new(DfsScheduler::new(Some(DEPTH_FIRST), false))) < DEPTH_FIRST;
    if !completed {
        for depth in 2..=4 {
            run(Box::new(PctScheduler::new_from_seed(
                depth as u64,
                depth,
                4_000,
            )));
        }
    }
    completed
}

const CHECKER: &str = if cfg!(loom) { "loom" } else { "shuttle" };

/// One line of JSON for each model, to the file that `JOB_REGISTRY_LEDGER` names.
fn write_ledger(claim: &Claim, completed: bool, executions: u64, outcomes: usize, took: Duration) {
    let Claim {
        name,
        properties,
        scenarios,
        ..
    } = claim;
    let bound = claim
        .bound()
        .map_or("null".to_owned(), |bound| bound.to_string());
    let line = format!(
        "{{\"checker\":\"{CHECKER}\",\"model\":\"{name}\",\"properties\":{properties:?},\
         \"scenarios\":{scenarios:?},\"bound\":{bound},\"completed\":{completed},\"executions\":{executions},\
         \"outcomes\":{outcomes},\"seconds\":{:.3}}}\n",
        took.as_secs_f64()
    );
    print!("{line}");
    if let Some(path) = std::env::var_os("JOB_REGISTRY_LEDGER") {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        // One write, so that tests that run beside each other do not mix their lines.
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the ledger can be written");
    }
}

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
) -> (JobRegistry<T>, ManualClock) {
    let clock = ManualClock::new();
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
            preemptions: 3,
        }
    };
}
pub(super) use claim;
