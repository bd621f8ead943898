//! `close`, `idle` and `shutdown`: the end of a registry's service.
//!
//! # Closed
//!
//! A registration and a retry check that the registry is open under the lock of the info of their
//! slot, and keep that lock until the job is pending. A thread that has closed the registry and then
//! visits every slot under that lock therefore finds each job that was let in, and no job is let in
//! behind it. `idle` is such a walk. It waits for one live job after the other, and comes to each
//! slot once.

use crate::api::registry::JobRegistry;
use crate::api::watch::Watch;
use crate::core::registry_state::RegistryState;
use crate::core::removal::Swept;
use crate::sync::panics::contain;
use crate::sync::rt::thread::{self, Instant};
use crate::sync::rt::{park_for, unpark_waker};
use crate::sync::{Arc, Mutex};
use crate::types::id::JobId;
use crate::types::state_word::Ending;
use crate::types::status::Status;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Interval at which a shutdown tries locked jobs again.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// Time that the last phase takes at most if it was given none, for one try with every job.
const ONE_TRY: Duration = Duration::from_millis(20);
/// The reason of the stops and the cancellations of a shutdown.
const REASON: &str = "shutdown";

/// Times of the phases of a [`shutdown`](JobRegistry::shutdown). A phase that has nothing left to
/// wait for ends at once. `Duration::MAX` means without a limit, and no later phase begins then.
///
/// The default is 15 s, 5 s and 1 s. Of the 30 s that Kubernetes gives a container between SIGTERM and
/// SIGKILL, 9 s are left for other waits.
///
/// ```
/// use job_registry::Phases;
/// use std::time::Duration;
///
/// let Phases { finish, stop, cancel, .. } = Phases::default();
/// assert_eq!([finish, stop, cancel], [15, 5, 1].map(Duration::from_secs));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// Time in which live jobs may finish.
    pub finish: Duration,
    /// Time in which running jobs may stop after they have been asked to. With zero, they are not
    /// asked.
    pub stop: Duration,
    /// Time in which the work of cancelled jobs may return, and in which jobs whose lock is held
    /// are tried again.
    pub cancel: Duration,
}

impl Default for Phases {
    fn default() -> Self {
        Self {
            finish: Duration::from_secs(15),
            stop: Duration::from_secs(5),
            cancel: Duration::from_secs(1),
        }
    }
}

/// Report of a [`shutdown`](JobRegistry::shutdown).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Number of running jobs that were asked to stop, and of pending jobs that were cancelled with
    /// them.
    pub stopped: usize,
    /// Number of jobs that were cancelled in the last phase.
    pub cancelled: usize,
    /// Jobs that are still live, because their lock is held.
    pub live: Vec<JobId>,
    /// Jobs whose work has not returned. Their status may be that of an ended job.
    pub working: Vec<JobId>,
    /// Job whose removal the reaper is carrying out, because the hook or the payload's destructor
    /// has not returned.
    pub removing: Option<JobId>,
}

impl Shutdown {
    /// Returns whether every job has ended and all work has returned.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.live.is_empty() && self.working.is_empty()
    }
}

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stopped,
            cancelled,
            live,
            working,
            removing,
        } = self;
        let (live, working, removing) =
            (live.len(), working.len(), usize::from(removing.is_some()));
        write!(
            f,
            "{stopped} stopped, {cancelled} cancelled; still {live} live, {working} working, {removing} being removed"
        )
    }
}

impl<T: Send + 'static> JobRegistry<T> {
    /// Refuses registrations and retries from now on, for ever. All other calls go on working.
    ///
    /// A registration or a retry that is under way is either refused, or its job is seen by every
    /// [`idle`](Self::idle) and [`shutdown`](Self::shutdown) that begins after this call.
    ///
    /// # Locking
    ///
    /// Takes no lock.
    ///
    /// ```
    /// use job_registry::{JobRegistry, RegisterError};
    ///
    /// let jobs = JobRegistry::new();
    /// jobs.close();
    /// assert!(jobs.is_closed());
    /// assert!(matches!(jobs.register("deck"), Err(RegisterError::Closed("deck"))));
    /// ```
    pub fn close(&self) {
        self.state.table.free().close();
    }

    /// Returns whether the registry has been [closed](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.table.free().is_closed()
    }

    /// Waits until every job that was live when the call began has ended, and then until no work of
    /// [`spawn`](Self::spawn), [`spawn_blocking`](Self::spawn_blocking) and
    /// [`Job::run`](crate::Job::run) runs. After [`close`](Self::close), nothing begins afterwards.
    /// While the registry is open, later jobs may make it wait longer.
    ///
    /// It needs no runtime, and is woken by what it waits for. It does not end jobs that nobody
    /// ends: see [`shutdown`](Self::shutdown).
    ///
    /// # Locking
    ///
    /// Waits for no job's lock.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// jobs.close();
    /// std::thread::spawn(move || job.run(|_| Ok(())));
    /// pollster::block_on(jobs.idle());
    /// assert_eq!(jobs.counts().live(), 0);
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub async fn idle(&self) {
        idle(&self.state).await;
    }

    /// Closes the registry, lets the jobs finish, asks those that are left to stop, and cancels
    /// those that are left then. Returns as soon as every job has ended and all work has returned,
    /// and at the latest after the sum of the [`Phases`].
    ///
    /// The sum is kept to within 50 ms, whatever hangs: blocking work, a hook, a destructor, a
    /// guard, or a runtime of which all threads are busy. The phases are timed by a thread of their
    /// own, and the future only waits for its report. The polling thread must be free to do that.
    /// If the operating system can start no thread, the call itself blocks.
    ///
    /// The phases take real time, whatever the registry's clock is.
    ///
    /// A phase leaves alone what has ended. Ended jobs can be read afterwards. They are removed by
    /// the reaper when they are due, by [`remove_ended`](Self::remove_ended), or with the registry.
    ///
    /// 1. *Finish.* Live jobs go on. Pending jobs may be started.
    /// 2. *Stop.* Running jobs are asked to stop, and pending jobs are cancelled, with the reason
    ///    `shutdown`. Their grace is the rest of this phase, or the builder's `stop_grace` if that is
    ///    shorter and a reaper or a sweep carries it out.
    /// 3. *Cancel.* Live jobs are cancelled. The futures of their tasks are dropped at their next
    ///    `await`. Blocking work is waited for.
    ///
    /// The shutdown begins at the call, also if the future is not polled.
    ///
    /// # Locking
    ///
    /// Waits for no job's lock: a locked job is tried again every 5 ms until its phase is over.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the shutdown goes on, and its report is lost.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Phases, Status};
    /// use std::time::Duration;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// let id = job.id();
    /// let worker = std::thread::spawn(move || {
    ///     job.run(|job| {
    ///         while !job.is_stop_requested() {
    ///             std::thread::sleep(Duration::from_millis(1));
    ///         }
    ///         Err("stopped after page 3".into())
    ///     })
    /// });
    /// let phases = Phases {
    ///     finish: Duration::from_millis(5),
    ///     stop: Duration::from_secs(5),
    ///     cancel: Duration::from_secs(1),
    /// };
    /// let report = pollster::block_on(jobs.shutdown(phases));
    /// assert!(report.is_clean());
    /// assert!(jobs.register("another").is_err());
    /// assert_eq!(jobs.snapshot(id)?.status(), Status::Cancelled);
    /// worker.join().unwrap()?;
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    #[must_use = "the report comes by the future"]
    pub fn shutdown(&self, phases: Phases) -> impl Future<Output = Shutdown> + Send + use<T> {
        self.close();
        let report = Arc::new(Report::default());
        let run = || {
            let (registry, report) = (self.state.clone(), report.clone());
            let began = Instant::now();
            move || report.publish(run(&registry, phases, began))
        };
        if thread::spawn("job-registry-shutdown", run()).is_err() {
            // No thread can be started. The call then blocks.
            run()();
        }
        poll_fn(move |cx| report.poll(cx))
    }

    /// Removes every ended job whose lock is free, due or not, as [`sweep`](Self::sweep) removes
    /// those that are due. Usually called after a [`shutdown`](Self::shutdown), so that the removal
    /// hook runs for every job.
    ///
    /// # Locking
    ///
    /// As [`sweep`](Self::sweep).
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// jobs.register("deck")?.cancel()?;
    /// assert_eq!(jobs.sweep().removed, 0);
    /// assert_eq!(jobs.remove_ended().removed, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::must_use_candidate)] // some callers want only the removal
    pub fn remove_ended(&self) -> Swept {
        self.state.remove_ended()
    }
}

/// Waits until all jobs have ended and no work runs.
async fn idle<T>(registry: &Arc<RegistryState<T>>) {
    let mut slot = 0;
    while let Some((id, attempt)) = registry.next_live(&mut slot) {
        let watch = registry
            .resolve(id)
            .and_then(|job| Watch::new(registry, job));
        let Ok(mut watch) = watch else { continue };
        while let Some(seen) = watch.changed().await {
            if seen.status().is_ended() || seen.word().attempt() != attempt {
                break;
            }
        }
    }
    poll_fn(|cx| registry.works.poll_idle(cx)).await;
}

impl<T> RegistryState<T> {
    /// Returns the first live job from a slot on, and its attempt, and moves on to the next slot.
    /// Each slot is read under the lock of its info.
    fn next_live(&self, next: &mut u32) -> Option<(JobId, u16)> {
        while let Some(slot) = self.table.get(*next) {
            *next += 1;
            let info = slot.body.info.lock();
            let word = slot.state();
            drop(info);
            if word.status().is_some_and(|status| !status.is_ended()) {
                return Some((self.id_in(slot, word.generation()), word.attempt()));
            }
        }
        None
    }

    pub(crate) fn live(&self) -> Vec<JobId> {
        let mut slot = 0;
        std::iter::from_fn(|| self.next_live(&mut slot).map(|(id, _)| id)).collect()
    }
}

/// The report of a shutdown, for the future that waits for it.
#[derive(Default)]
struct Report(Mutex<(Option<Shutdown>, Option<Waker>)>);

impl Report {
    fn publish(&self, report: Shutdown) {
        let waker = {
            let mut state = self.0.lock();
            state.0 = Some(report);
            state.1.take()
        };
        if let Some(waker) = waker {
            contain(|| waker.wake());
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Shutdown> {
        let mut waker = Some(cx.waker().clone());
        let mut state = self.0.lock();
        if let Some(report) = state.0.take() {
            return Poll::Ready(report);
        }
        std::mem::swap(&mut state.1, &mut waker);
        // The previous waker is dropped without the lock.
        drop(state);
        Poll::Pending
    }
}

/// Goes through the phases, and returns the report.
fn run<T: Send + 'static>(
    registry: &Arc<RegistryState<T>>,
    phases: Phases,
    began: Instant,
) -> Shutdown {
    let [stops, cancels] = [(); 2].map(|()| Arc::new(Asking::default()));
    let ended = |time: Option<Duration>| time.and_then(|time| began.checked_add(time));
    let finish = Some(phases.finish);
    let stop = finish.and_then(|time| time.checked_add(phases.stop));
    let cancel = stop.and_then(|time| time.checked_add(phases.cancel));
    let is_idle = wait(pin!(idle(registry)), ended(finish))
        || !phases.stop.is_zero() && {
            ask(registry, Ask::Stop, ended(stop), &stops);
            wait(pin!(idle_and(registry, &stops)), ended(stop))
        };
    if !is_idle {
        let one_try = Instant::now().checked_add(ONE_TRY);
        let until = ended(cancel)
            .max(one_try)
            .filter(|_| ended(cancel).is_some());
        ask(registry, Ask::Cancel, until, &cancels);
        wait(pin!(idle_and(registry, &cancels)), until);
    }
    let mut working = registry.works.running();
    working.sort_unstable();
    working.dedup();
    Shutdown {
        stopped: stops.0.lock().count,
        cancelled: cancels.0.lock().count,
        live: registry.live(),
        working,
        removing: registry.removing.under_way().map(|(id, _)| id),
    }
}

/// Polls until the future is ready, or the time has come. `None` is never. Returns whether it is
/// ready.
fn wait(mut future: Pin<&mut impl Future<Output = ()>>, until: Option<Instant>) -> bool {
    let waker = unpark_waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        if future.as_mut().poll(&mut cx).is_ready() {
            return true;
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return false;
        }
        park_for(left.unwrap_or(Duration::MAX));
    }
}

/// Waits until all jobs have ended and no work runs, and the thread that asks them has finished.
async fn idle_and<T>(registry: &Arc<RegistryState<T>>, asking: &Asking) {
    idle(registry).await;
    poll_fn(|cx| asking.poll_finished(cx)).await;
}

/// The state of a thread that asks the live jobs.
#[derive(Default)]
struct Asking(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    /// Number of jobs that have done what was asked.
    count: usize,
    is_finished: bool,
    /// The waker of the thread that waits for the end.
    waker: Option<Waker>,
}

impl Asking {
    fn finish(&self) {
        let waker = {
            let mut asked = self.0.lock();
            asked.is_finished = true;
            asked.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_finished(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut asked = self.0.lock();
        if asked.is_finished {
            return Poll::Ready(());
        }
        // The waker is that of the thread that times the phases.
        asked.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The request of a phase to the live jobs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Stop,
    Cancel,
}

/// Asks every live job, on a thread of its own: wakers and subscribers that it runs may hang. A
/// locked job is asked again until the time has come.
fn ask<T: Send + 'static>(
    registry: &Arc<RegistryState<T>>,
    ask: Ask,
    until: Option<Instant>,
    asking: &Arc<Asking>,
) {
    let thread = || {
        let (registry, asking) = (registry.clone(), asking.clone());
        move || {
            let mut left = registry.live();
            loop {
                left.retain(|id| {
                    let answer = contain(|| registry.ask(*id, ask));
                    // A panic of a waker or a subscriber comes after the step, and one of the clock
                    // before it.
                    let answer = answer.unwrap_or_else(|| registry.has_answered(*id, ask));
                    if answer == Some(true) {
                        asking.0.lock().count += 1;
                    }
                    answer.is_none()
                });
                if left.is_empty() {
                    break;
                }
                park_for(RETRY_INTERVAL);
                // Nothing is asked after the report, which names the locked jobs.
                if until.is_some_and(|until| until <= Instant::now()) {
                    break;
                }
            }
            asking.finish();
        }
    };
    if thread::spawn("job-registry-shutdown", thread()).is_err() {
        thread()();
    }
}

impl<T> RegistryState<T> {
    /// Asks a job. Returns whether this call made the step, or `None` if the job is locked and has
    /// to be asked again.
    fn ask(&self, id: JobId, ask: Ask) -> Option<bool> {
        let job = self.resolve(id).ok().filter(|job| job.is_live());
        let Some(job) = job else { return Some(false) };
        let mut job = job.try_lock().ok().flatten()?;
        let is_stopping = job.word().status() == Some(Status::Stopping);
        let reason = (!is_stopping).then(|| REASON.to_owned());
        let step = match ask {
            Ask::Stop => job.request_stop(REASON.to_owned()).map(drop),
            // A job that was asked to stop keeps the reason of the stop.
            Ask::Cancel => job.end(Ending::Cancelled, reason),
        };
        Some(step.is_ok())
    }

    /// Returns what [`ask`](Self::ask) would have returned if it had not panicked.
    fn has_answered(&self, id: JobId, ask: Ask) -> Option<bool> {
        let status = self.resolve(id).ok()?.slot.state().status();
        let is_stopping = ask == Ask::Stop && status == Some(Status::Stopping);
        (is_stopping || status.is_none_or(Status::is_ended)).then_some(true)
    }
}
