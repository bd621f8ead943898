//! The reaper: carries out whatever is due, as long as the registry lives.

use crate::api::registry::JobRegistry;
use crate::core::registry_state::RegistryState;
use crate::core::removal::Swept;
use crate::sync::panics::contain;
use crate::sync::rt::{park_for, thread, unpark_waker};
use crate::sync::{Arc, AtomicUsize, Ordering, Weak};
use crate::telemetry::{Event, emit};
use crate::types::clock::{NEVER, Pace};
use crate::types::id::JobId;
use std::fmt;
#[cfg(feature = "tokio")]
use std::future::{Future, poll_fn};
use std::io;
#[cfg(feature = "tokio")]
use std::pin::pin;
#[cfg(feature = "tokio")]
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

/// Time after which a reaper tries a job again whose lock was held.
const BUSY: Duration = Duration::from_millis(10);
/// Bounds of the time between two checks for stalls, in milliseconds. It is an eighth of the least
/// stall limit, so that many jobs that stall one after another, or a locked one, cost little.
const BUSY_STALL: (u64, u64) = (10, 1000);
/// Time after which a removal is reported as hanging.
const HANGS: Duration = Duration::from_secs(1);
/// Longest sleep under a clock that is not the operating system's, which may jump.
const GLANCE: Duration = Duration::from_millis(100);

/// Handle of a registry's reaper. Returned by [`JobRegistry::spawn_reaper`]. The reaper goes on
/// when the handle is dropped.
pub struct Reaper {
    registry: Weak<dyn Hangs + Send + Sync>,
    stopped: Arc<AtomicUsize>,
}

/// A registry with any type of payload.
trait Hangs {
    fn hangs(&self) -> Option<(JobId, Duration)>;
    fn wake(&self);
}

impl<T: Send> Hangs for RegistryState<T> {
    fn hangs(&self) -> Option<(JobId, Duration)> {
        self.removing.under_way().filter(|(_, time)| *time >= HANGS)
    }

    fn wake(&self) {
        drop((self.due.wake_reapers(), self.handed_over.wake_reapers()));
    }
}

impl Reaper {
    /// Returns the job whose removal the reaper has been carrying out for a second or more, and
    /// that time: its hook or the payload's destructor hangs.
    #[must_use]
    pub fn hangs(&self) -> Option<(JobId, Duration)> {
        self.registry.upgrade()?.hangs()
    }

    /// Ends the reaper. A batch of removals that is under way is finished. What is due later is left.
    pub fn stop(self) {
        self.stopped.store(1, Ordering::Release);
        if let Some(registry) = self.registry.upgrade() {
            registry.wake();
        }
    }
}

impl fmt::Debug for Reaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaper").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> JobRegistry<T> {
    /// Starts the reaper, which carries out what is due, as [`sweep`](Self::sweep) and
    /// [`fail_stalled`](Self::fail_stalled) do: removals, deadlines, the ends of stops, and stall
    /// verdicts. Call it once, after the registry has been built. Do not call it in a model under
    /// loom or shuttle: call `sweep` and `fail_stalled` there.
    ///
    /// The reaper has two threads and needs no runtime, so that nothing that the registry runs can
    /// delay it. One of them sleeps until the next time at which anything is due, and an earlier one
    /// wakes it. The other runs removal hooks and payloads' destructors. If one of them hangs,
    /// removals wait, and nothing else does. After a second, the hang is reported as an event, and
    /// by [`Reaper::hangs`].
    ///
    /// A job that is locked is tried again every 10 milliseconds. A stall verdict may be late by an
    /// eighth of the least stall limit, at least 10 milliseconds and at most one second.
    ///
    /// Under a clock other than [`SystemClock`](crate::SystemClock), the reaper also reads the time
    /// every 100 milliseconds. The reaper's threads do not see the paused time of a tokio runtime.
    /// Use `reap` there.
    ///
    /// The reaper does not keep the registry alive, and ends with it.
    ///
    /// # Errors
    ///
    /// The operating system's error if it can start no thread.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// let jobs = JobRegistry::builder()
    ///     .retention(Duration::from_millis(5))
    ///     .build();
    /// jobs.spawn_reaper()?;
    /// jobs.register("deck")?.cancel()?;
    /// while !jobs.is_empty() {
    ///     std::thread::sleep(Duration::from_millis(1));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_reaper(&self) -> io::Result<Reaper> {
        let stopped = Arc::new(AtomicUsize::new(0));
        let duties = || Duties {
            registry: Arc::downgrade(&self.state),
            stopped: stopped.clone(),
        };
        let (limits, removals) = (duties(), duties());
        thread::spawn("job-registry-remove", move || removals.remove())?;
        let started = thread::spawn("job-registry-reaper", move || limits.judge());
        let registry: Weak<dyn Hangs + Send + Sync> = Arc::downgrade(&self.state) as _;
        let reaper = Reaper { registry, stopped };
        match started {
            Ok(_) => Ok(reaper),
            Err(error) => {
                reaper.stop();
                Err(error)
            }
        }
    }
}

/// The part that both threads of a reaper have.
struct Duties<T> {
    registry: Weak<RegistryState<T>>,
    stopped: Arc<AtomicUsize>,
}

impl<T: Send + 'static> Duties<T> {
    /// Releases the registry, which must not be kept alive by a sleeping thread, and sleeps. The
    /// thread's waker is known to the queue. Returns `false` if the reaper has been stopped.
    fn sleep(&self, registry: Arc<RegistryState<T>>, time: Duration) -> bool {
        // A stop before the waker was known has woken nobody. It is seen here.
        let goes_on = self.stopped.load(Ordering::Acquire) == 0;
        drop(registry);
        if goes_on {
            park_for(time);
        }
        goes_on
    }

    /// Carries out deadlines, ends of stops and stall verdicts, and hands removals over.
    fn judge(self) {
        let waker = unpark_waker();
        let mut stalls = Stalls::new();
        let mut reported = None;
        while let Some(registry) = self.registry.upgrade() {
            let mut sleep = due(&registry, &mut stalls, &waker, |now| {
                registry.sweep_limits(now)
            });
            if registry.timeline.pace() != Pace::System {
                sleep = sleep.min(GLANCE);
            }
            sleep = sleep.min(match registry.removing.under_way() {
                Some((id, since)) if since >= HANGS => {
                    let is_new = reported.replace(id) != Some(id);
                    if is_new {
                        contain(|| emit(|| Event::RemovalHangs { id, since }));
                    }
                    // Another one may hang after it.
                    HANGS
                }
                Some((_, since)) => HANGS.saturating_sub(since),
                // A removal may be about to begin.
                None if registry.handed_over.is_due(NEVER - 1) => HANGS,
                None if registry.removing.is_busy() => HANGS,
                None => Duration::MAX,
            });
            if !self.sleep(registry, sleep) {
                return;
            }
        }
    }

    /// Carries out the removals that have been handed over.
    fn remove(self) {
        let waker = unpark_waker();
        while let Some(registry) = self.registry.upgrade() {
            registry.handed_over.awake(&waker);
            contain(|| registry.remove_handed_over(registry.now()));
            let next = registry.handed_over.sleep_until(&waker);
            // What is left is locked.
            let sleep = if next == NEVER { Duration::MAX } else { BUSY };
            if !self.sleep(registry, sleep) {
                return;
            }
        }
    }
}

/// Time of the next check for stalls.
struct Stalls {
    next: u64,
    /// The least stall limit at the last check.
    limit: u64,
}

impl Stalls {
    fn new() -> Self {
        Self {
            next: 0,
            limit: NEVER,
        }
    }

    /// Fails the stalled jobs if it is time to check.
    fn check<T>(&mut self, registry: &RegistryState<T>, now: u64) {
        let limit = registry.least_stall_limit();
        if limit < self.limit {
            // A job with a lower limit may have begun at any time since.
            self.next = now;
            self.limit = limit;
        }
        if limit == NEVER || now < self.next {
            return;
        }
        // A job that begins its work from now on stalls after the limit at the earliest.
        let fresh = now.saturating_add(limit).saturating_add(1);
        // A panic of a waker or a subscriber comes after the verdict.
        contain(|| registry.fail_stalled());
        let known = contain(|| registry.next_stall()).unwrap_or(now);
        // What has stalled already is locked.
        let (least, most) = BUSY_STALL;
        let again = now.saturating_add((limit / 8).clamp(least, most));
        self.next = fresh.min(known.max(again));
    }

    /// Returns the time of the next check, or `NEVER`.
    fn next(&self, registry: &RegistryState<impl Sized>) -> u64 {
        if registry.least_stall_limit() == NEVER {
            NEVER
        } else {
            self.next
        }
    }
}

/// Carries out what is due, by `sweep`. Returns the time until more is due. The waker is woken if
/// that time is brought forward.
fn due<T>(
    registry: &RegistryState<T>,
    stalls: &mut Stalls,
    waker: &Waker,
    sweep: impl FnOnce(u64) -> Swept,
) -> Duration {
    registry.due.awake(waker);
    let Some(now) = contain(|| registry.now()) else {
        return BUSY;
    };
    contain(|| sweep(now));
    stalls.check(registry, now);
    let next = registry.due.sleep_until(waker);
    if registry.least_stall_limit() < stalls.limit {
        // It has been lowered since the check, and perhaps before the waker was known.
        return Duration::ZERO;
    }
    let left = |time: u64| match time {
        NEVER => Duration::MAX,
        time => {
            let now = contain(|| registry.now()).unwrap_or(now);
            Duration::from_millis(time.saturating_sub(now))
        }
    };
    // What was due and has been left is locked.
    let sweep_in = if next <= now { BUSY } else { left(next) };
    let check_in = left(stalls.next(registry));
    sweep_in.min(check_in)
}

#[cfg(feature = "tokio")]
impl<T: Send + 'static> JobRegistry<T> {
    /// Does what [`spawn_reaper`](Self::spawn_reaper) does, as a future for a runtime of yours. It
    /// does not keep the registry alive, and returns when the registry is gone.
    ///
    /// Removal hooks and payloads' destructors run within the future's `poll`. They should
    /// therefore not block, and a hook that hangs delays everything else that is due.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime, or on one without a timer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the reaper between two sweeps.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
    /// tokio::spawn(jobs.reap());
    /// jobs.register("deck")?.cancel()?;
    /// while !jobs.is_empty() {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    /// }
    /// # Ok::<(), job_registry::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn reap(&self) -> impl Future<Output = ()> + Send + use<T> {
        super::heartbeat::require_timer();
        let registry = Arc::downgrade(&self.state);
        async move {
            let mut stalls = Stalls::new();
            loop {
                let slept = poll_fn(|cx| {
                    let Some(registry) = registry.upgrade() else {
                        return Poll::Ready(None);
                    };
                    let sleep = due(&registry, &mut stalls, cx.waker(), |now| {
                        registry.sweep_at(now)
                    });
                    let glances = registry.timeline.pace() == Pace::Unknown;
                    Poll::Ready(Some(if glances { sleep.min(GLANCE) } else { sleep }))
                });
                let Some(sleep) = slept.await else { return };
                let mut timer = pin!(crate::sync::rt::sleep(sleep));
                // The second poll is that of the timer, or of the queue's waker.
                let mut polled = false;
                poll_fn(|cx| {
                    let is_over = timer.as_mut().poll(cx).is_ready();
                    if is_over || std::mem::replace(&mut polled, true) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
                crate::sync::rt::yield_now().await;
            }
        }
    }
}
