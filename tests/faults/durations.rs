//! P5 and P8: durations and times at the ends of what they are kept in, for every parameter that is one.

use job_registry::{Clock, Job, JobRegistry, ManualClock};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The latest heartbeat that is recorded, 4.3 years: 37 bits, less the room of the retries.
const LATEST: u64 = (1 << 37) - 1 - 65_535;
/// Removals from here on never come, 146 million years: 62 bits.
const NEVER: u64 = (1 << 62) - 1;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Milliseconds around which something could go wrong.
const CENTRES: [u64; 10] = [
    0,
    64,
    1 << 31,
    1 << 32,
    LATEST,
    1 << 37,
    1 << 53,
    NEVER,
    1 << 63,
    u64::MAX,
];

/// Each of them, and what is just before and after it, in milliseconds and in nanoseconds.
fn edges() -> Vec<Duration> {
    let near = |centre: Duration| {
        let by = [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_micros(500),
            ms(1),
            ms(2),
        ];
        by.into_iter()
            .flat_map(move |by| [centre.saturating_sub(by), centre.saturating_add(by)])
    };
    let mut edges: Vec<_> = CENTRES
        .into_iter()
        .map(ms)
        .chain([Duration::MAX])
        .flat_map(near)
        .collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

fn edge() -> impl Strategy<Value = Duration> {
    select(edges())
}

/// Whole milliseconds, rounded up; `None` where they are more than can be counted.
fn up(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).ok()
}

/// How a delay is given to a job.
#[derive(Clone, Copy, Debug)]
enum Way {
    Retention,
    BeforeTheEnd,
    AfterTheEnd,
    /// After the end, in place of a removal that was due earlier.
    PutOff,
}

/// A job that has ended at `then`, to be removed after `delay`.
fn ended(way: Way, then: u64, delay: Duration) -> (JobRegistry<()>, ManualClock, Job<()>) {
    let clock = ManualClock::new();
    let retention = match way {
        Way::Retention => delay,
        Way::PutOff => Duration::ZERO,
        Way::BeforeTheEnd | Way::AfterTheEnd => Duration::MAX,
    };
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(retention)
        .build();
    clock.advance(ms(then));
    let job = jobs.register(()).unwrap();
    if let Way::BeforeTheEnd = way {
        job.remove_after(delay).unwrap();
    }
    job.cancel().unwrap();
    if let Way::AfterTheEnd | Way::PutOff = way {
        job.remove_after(delay).unwrap();
    }
    (jobs, clock, job)
}

fn way() -> impl Strategy<Value = Way> {
    select(vec![
        Way::Retention,
        Way::BeforeTheEnd,
        Way::AfterTheEnd,
        Way::PutOff,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// P5 and P6: a removal comes at its millisecond, at the one after it, and not at the one before; where it is never, it
    /// does not come at the end of time either.
    #[test]
    fn removal_comes_at_its_millisecond(
        way in way(),
        then in prop_oneof![Just(0), 0..10_000u64, select(CENTRES.to_vec())],
        delay in prop_oneof![edge(), (0..100_000u64).prop_map(ms)],
    ) {
        // The clock ends at `u64::MAX`, which is counted as the millisecond before.
        let then = then.min(u64::MAX - 1);
        let due = up(delay).and_then(|delay| then.checked_add(delay)).filter(|due| *due < NEVER);
        let (jobs, clock, job) = ended(way, then, delay);
        let times = jobs.get(job.id()).unwrap().times;
        prop_assert_eq!(times.ended, Some(ms(then)));
        prop_assert_eq!(times.removal, due.map(ms));
        let Some(due) = due else {
            prop_assert_eq!(jobs.sweep().removed, 0);
            clock.advance(Duration::MAX);
            prop_assert_eq!(jobs.sweep().removed, 0, "never has come");
            return Ok(());
        };
        if due > then {
            clock.advance(ms(due - 1 - then));
            prop_assert_eq!(jobs.sweep().removed, 0, "a millisecond early");
            clock.advance(ms(1));
        }
        prop_assert_eq!(jobs.sweep().removed, 1);
        // The same in one leap, to the millisecond after.
        let (jobs, clock, _job) = ended(way, then, delay);
        clock.advance(ms(due + 1 - then));
        prop_assert_eq!(jobs.sweep().removed, 1);
    }

    /// P8: a job stalls a millisecond after its limit and not at it. Where heartbeats end, so does silence.
    #[test]
    fn stall_comes_after_its_millisecond(
        limit in prop_oneof![edge(), (0..100_000u64).prop_map(ms)],
        then in prop_oneof![Just(0), 0..10_000u64, LATEST - 2..LATEST + 3],
    ) {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder().clock(clock.clone()).stall_after(limit).build();
        clock.advance(ms(then));
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        let beat = then.min(LATEST);
        prop_assert_eq!(job.snapshot().unwrap().last_heartbeat(), ms(beat));
        let stalls = up(limit).and_then(|limit| limit.checked_add(beat + 1)).filter(|at| *at <= LATEST);
        let Some(stalls) = stalls else {
            clock.advance(Duration::MAX);
            prop_assert_eq!(jobs.fail_stalled(), []);
            return Ok(());
        };
        clock.advance(ms(stalls - 1 - then));
        prop_assert_eq!((jobs.stalled(), jobs.fail_stalled()), (vec![], vec![]));
        clock.advance(ms(1));
        prop_assert_eq!(jobs.stalled().len(), 1);
        prop_assert_eq!(jobs.fail_stalled().len(), 1);
        let record = jobs.get(job.id()).unwrap();
        prop_assert_eq!(record.times.ended, Some(ms(stalls)));
        let why = format!("stalled: no heartbeat for {:?}", ms(stalls - beat));
        prop_assert_eq!(record.error.as_deref(), Some(&*why));
    }

    /// P8: however far the clock leaps, what the text says of the silence is what it was judged by.
    #[test]
    fn stall_after_a_leap_counts_what_heartbeats_can_tell(leap in edge()) {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder().clock(clock.clone()).stall_after(ms(10)).build();
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        clock.advance(leap);
        let silence = ms(u64::try_from(leap.as_millis()).unwrap_or(u64::MAX).min(LATEST));
        prop_assert_eq!(jobs.fail_stalled().len(), usize::from(silence > ms(10)));
        if let Some(why) = jobs.get(job.id()).unwrap().error {
            prop_assert_eq!(&*why, &*format!("stalled: no heartbeat for {silence:?}"));
        }
    }

    /// A manual clock goes forward, by whole milliseconds, and stands still at its end.
    #[test]
    fn manual_clock_only_goes_forward(leaps in prop::collection::vec(edge(), 1..6)) {
        let clock = ManualClock::new();
        let mut expected = 0u64;
        for leap in leaps {
            clock.advance(leap);
            expected = u64::try_from(leap.as_millis()).map_or(u64::MAX, |leap| expected.saturating_add(leap));
            prop_assert_eq!(clock.now(), ms(expected));
        }
    }

    /// P1, P5 and P8: a clock that leaps to any edge, forward or back, moves no heartbeat back, and makes no removal early.
    #[test]
    fn leaping_clock_does_no_harm(
        origin in edge(),
        readings in prop::collection::vec(edge(), 1..12),
        delay in edge(),
    ) {
        let clock = Shown(Arc::new(Mutex::new(origin)));
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(delay)
            .stall_after(ms(10))
            .build();
        let mut job = jobs.register(()).unwrap();
        let mut last = Duration::ZERO;
        for reading in readings {
            *clock.0.lock().unwrap() = reading;
            // Started or ended already.
            let _ = job.start();
            let _ = job.heartbeat();
            let beat = job.snapshot().unwrap().last_heartbeat();
            prop_assert!(beat >= last, "{beat:?} after {last:?}");
            jobs.fail_stalled();
            let _ = job.fail("reason");
            let times = jobs.get(job.id()).unwrap().times;
            prop_assert!(times.started.is_some() && times.ended.is_some(), "{times:?}");
            if let Some(removal) = times.removal {
                let earliest = times.ended.unwrap() + ms(up(delay).expect("not never"));
                prop_assert!(removal >= earliest, "{times:?}");
            }
            let is_due = times.removal.is_some_and(|removal| removal <= jobs.now());
            prop_assert_eq!(jobs.sweep().removed, usize::from(is_due), "{:?} at {:?}", times, jobs.now());
            if is_due {
                return Ok(());
            }
            last = job.snapshot().unwrap().last_heartbeat();
            job = job.retry().unwrap();
            prop_assert!(job.snapshot().unwrap().last_heartbeat() > last);
        }
    }

    /// Every time of a registry can be shown as wall-clock time.
    #[test]
    fn every_time_can_be_shown(at in edge()) {
        let jobs = JobRegistry::<()>::new();
        let start = jobs.system_time(Duration::ZERO);
        let shown = jobs.system_time(at);
        prop_assert!(shown == start.checked_add(at).unwrap_or(start));
    }
}

/// A clock that shows what it is told to.
#[derive(Clone)]
struct Shown(Arc<Mutex<Duration>>);

impl Clock for Shown {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// P5: a removal that was planned and then called off does not come at the end of time, where every number has passed.
#[test]
fn never_does_not_come_at_the_end_of_time() {
    let (jobs, clock, job) = ended(Way::AfterTheEnd, 0, Duration::from_secs(1));
    job.remove_after(Duration::MAX).unwrap();
    clock.advance(Duration::MAX);
    assert_eq!(jobs.sweep().removed, 0);
    assert_eq!(jobs.get(job.id()).unwrap().times.removal, None);
}
