//! P8: a job stalls when its last heartbeat is longer ago than the limit, and not earlier.

use super::{LATEST, SetClock, edge, ms, up};
use job_registry::{JobRegistry, ManualClock};
use proptest::prelude::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// P8: a `stall_after` of `Duration::MAX` disables stall detection.
#[test]
fn stall_after_duration_max_never_stalls() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(Duration::MAX)
        .build();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    clock.advance(Duration::MAX);
    assert_eq!((jobs.stalled(), jobs.fail_stalled()), (vec![], vec![]));
    assert_eq!(job.complete(), Ok(()));
}

/// P8: a clock that goes backward moves no heartbeat backward.
#[test]
fn clock_that_goes_backward_moves_no_heartbeat_backward() {
    let clock = SetClock::default();
    clock.show(SECOND);
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(SECOND)
        .build();
    clock.show(3 * SECOND);
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    job.heartbeat().unwrap();
    for now in [2_000, 0, 2_999] {
        clock.show(Duration::from_millis(now));
        assert_eq!(job.heartbeat(), Ok(()));
        assert_eq!(job.snapshot().unwrap().last_heartbeat(), 2 * SECOND);
        assert_eq!(jobs.fail_stalled(), []);
    }
    clock.show(Duration::ZERO);
    job.fail("reason").unwrap();
    let again = job.retry().unwrap();
    assert!(again.snapshot().unwrap().last_heartbeat() >= 2 * SECOND);
}

/// P8: silence is measured up to the latest recordable heartbeat.
#[test]
fn no_job_stalls_after_the_latest_recordable_heartbeat() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(SECOND)
        .build();
    let silent = jobs.register(1).unwrap();
    silent.start().unwrap();
    clock.advance(Duration::from_secs(5 * 366 * 24 * 3600));
    let heard = jobs.register(2).unwrap();
    heard.start().unwrap();
    clock.advance(2 * SECOND);
    heard.heartbeat().unwrap();
    let stalled: Vec<_> = jobs
        .stalled()
        .iter()
        .map(job_registry::Snapshot::id)
        .collect();
    assert_eq!(stalled, [silent.id()]);
    assert_eq!(jobs.fail_stalled().len(), 1);
    heard.complete().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// P8: a job stalls a millisecond after its limit and not at it. Silence after the latest
    /// recordable heartbeat does not count.
    #[test]
    fn job_stalls_one_millisecond_after_its_limit(
        limit in prop_oneof![edge(), (0..100_000u64).prop_map(ms)],
        then in prop_oneof![Just(0), 0..10_000u64, LATEST - 2..LATEST + 3],
    ) {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder().clock(clock.clone()).stall_after(limit).build();
        clock.advance(ms(then));
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        let heartbeat = then.min(LATEST);
        prop_assert_eq!(job.snapshot().unwrap().last_heartbeat(), ms(heartbeat));
        let stalls = up(limit).and_then(|limit| limit.checked_add(heartbeat + 1)).filter(|at| *at <= LATEST);
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
        let why = format!("stalled: no heartbeat for {:?}", ms(stalls - heartbeat));
        prop_assert_eq!(record.reason.as_deref(), Some(&*why));
    }

    /// P8: however far the clock leaps, the verdict states the silence that it was judged by.
    #[test]
    fn stall_after_a_leap_reports_the_recordable_silence(leap in edge()) {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder().clock(clock.clone()).stall_after(ms(10)).build();
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        clock.advance(leap);
        let silence = ms(u64::try_from(leap.as_millis()).unwrap_or(u64::MAX).min(LATEST));
        prop_assert_eq!(jobs.fail_stalled().len(), usize::from(silence > ms(10)));
        if let Some(why) = jobs.get(job.id()).unwrap().reason {
            prop_assert_eq!(&*why, &*format!("stalled: no heartbeat for {silence:?}"));
        }
    }
}
