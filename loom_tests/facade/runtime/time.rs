//! Virtual time: a number, the timers that wait for it, and the clock task that moves it.

use super::super::announce;
use crate::Clock;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::ops::{Add, Sub};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

#[derive(Default)]
struct Time {
    now: Duration,
    /// The timers by deadline and by number.
    timers: BTreeMap<(Duration, u64), Waker>,
    made: u64,
    /// The main thread, which waits for the clock to begin.
    starter: Option<Waker>,
}

thread_local! {
    static TIME: RefCell<Time> = RefCell::default();
}

fn with<R>(f: impl FnOnce(&mut Time) -> R) -> R {
    TIME.with(|time| f(&mut time.borrow_mut()))
}

/// Begins a new execution, at time zero.
pub(crate) fn reset() {
    with(|time| *time = Time::default());
}

/// Spawns the clock task. A model that has timers calls it first, in its main thread.
pub(crate) fn start_clock() {
    // A task whose handle is dropped does not keep an execution from its end.
    drop(shuttle::future::spawn(ClockTask));
    // No task may wait for a timer before the scheduler knows the clock.
    shuttle::future::block_on(poll_fn(|cx| {
        if announce::has_clock() {
            return Poll::Ready(());
        }
        with(|time| time.starter = Some(cx.waker().clone()));
        Poll::Pending
    }));
}

struct ClockTask;

impl Future for ClockTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // From its first poll on, the scheduler runs it only if nothing else can run.
        let begins = announce::become_clock();
        if begins {
            let starter = with(|time| time.starter.take());
            starter.into_iter().for_each(Waker::wake);
        }
        if begins || advance() {
            cx.waker().wake_by_ref();
            Poll::Pending
        } else {
            // No timer is left, so that shuttle reports the deadlock.
            Poll::Ready(())
        }
    }
}

/// Moves the time to the earliest timer and wakes the timers of that time. Returns `false` if there
/// is none.
fn advance() -> bool {
    let due = with(|time| {
        let (&(at, _), _) = time.timers.first_key_value()?;
        let later = time.timers.split_off(&(at, u64::MAX));
        time.now = time.now.max(at);
        Some(std::mem::replace(&mut time.timers, later))
    });
    let Some(due) = due else { return false };
    due.into_values().for_each(Waker::wake);
    true
}

/// Returns whether any timer waits.
pub(crate) fn has_timer() -> bool {
    with(|time| !time.timers.is_empty())
}

/// A point of virtual time. Loading it is not a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(with(|time| time.now))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().saturating_duration_since(self)
    }

    pub(crate) fn duration_since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }

    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    pub(crate) fn checked_add(self, by: Duration) -> Option<Self> {
        self.0.checked_add(by).map(Self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// The clock of a registry in a model with virtual time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VirtualClock;

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        Instant::now().0
    }
}

/// A future that ends at a time.
#[derive(Debug)]
pub(crate) struct Sleep {
    until: Instant,
    number: Option<u64>,
}

pub(crate) fn sleep_until(until: Instant) -> Sleep {
    Sleep {
        until,
        number: None,
    }
}

pub(crate) fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

impl Sleep {
    fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            with(|time| time.timers.remove(&(self.until.0, number)));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.leave();
        if self.until <= Instant::now() {
            return Poll::Ready(());
        }
        assert!(
            announce::has_clock(),
            "a model with timers calls `start_clock` first"
        );
        let number = with(|time| {
            time.made += 1;
            let waker = cx.waker().clone();
            time.timers.insert((self.until.0, time.made), waker);
            time.made
        });
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The error of a future that has not ended in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Runs a future until a time. The future is polled before the time is compared.
pub(crate) fn timeout_at<F: Future>(
    until: Instant,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    let sleep = sleep_until(until);
    async move {
        let (mut future, mut sleep) = (pin!(future), pin!(sleep));
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Ok(result)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| Err(Elapsed)),
        })
        .await
    }
}

pub(crate) fn timeout<F: Future>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    timeout_at(Instant::now() + duration, future)
}
