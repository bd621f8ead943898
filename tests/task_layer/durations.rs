//! P6, P7 and P8: the durations of the task layer, at the ends of their ranges.

use job_registry::{JobRegistry, TokioClock};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{advance, sleep, timeout};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const LONGEST: u64 = u32::MAX as u64;

/// P8: the second beat comes at its interval, or less than a 64th earlier, however short or long the interval is.
#[tokio::test(start_paused = true)]
async fn beats_come_at_intervals_of_any_length() {
    let intervals = [
        (Duration::ZERO, 1),
        (Duration::from_nanos(1), 1),
        (ms(1), 1),
        (ms(1) + Duration::from_nanos(1), 1),
        (ms(1 << 31), 1 << 31),
        (ms(LONGEST - 1), LONGEST - 1),
        (ms(LONGEST), LONGEST),
        (ms(LONGEST + 1), LONGEST),
        (ms(LONGEST + 2), LONGEST),
        (ms(u64::MAX), LONGEST),
        (Duration::MAX, LONGEST),
    ];
    for (interval, millis) in intervals {
        let jobs = JobRegistry::builder().clock(TokioClock::new()).build();
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        let heartbeat = job.heartbeat_every(interval);
        let first = job.snapshot().unwrap().last_heartbeat();
        // The task begins to wait.
        yield_now().await;
        let early = millis.saturating_sub(millis / 64 + 1);
        advance(ms(early)).await;
        yield_now().await;
        assert_eq!(
            job.snapshot().unwrap().last_heartbeat(),
            first,
            "{interval:?} is early"
        );
        sleep(ms(millis - early)).await;
        yield_now().await;
        let second = job.snapshot().unwrap().last_heartbeat();
        assert!(second > first, "{interval:?} is late");
        drop(heartbeat);
    }
}

/// P6: a reaper sweeps at once, and goes on for as long as its registry, whatever its period is.
#[tokio::test(start_paused = true)]
async fn reaper_with_any_period_sweeps_and_goes_on() {
    let periods = [
        Duration::ZERO,
        Duration::from_nanos(1),
        ms(1),
        ms(LONGEST),
        ms(u64::MAX),
        Duration::MAX.saturating_sub(Duration::from_nanos(1)),
        Duration::MAX,
    ];
    for period in periods {
        for late in [Duration::ZERO, Duration::from_secs(1)] {
            let builder = JobRegistry::builder().clock(TokioClock::new());
            let jobs = builder.retention(Duration::ZERO).build();
            let id = jobs.register(()).unwrap().detach();
            jobs.cancel(id).unwrap();
            advance(ms(1)).await;
            let reaper = jobs.spawn_reaper(period);
            // The first tick may come late.
            advance(late).await;
            let swept = timeout(ms(100), async {
                while !jobs.is_empty() {
                    sleep(ms(1)).await;
                }
            });
            assert!(swept.await.is_ok(), "{period:?} {late:?}: not swept");
            assert!(
                !reaper.is_finished(),
                "{period:?} {late:?}: the reaper has ended"
            );
            reaper.abort();
        }
    }
}

/// P7: a shutdown with any deadline returns, and with the longest one it waits for a task that takes its time.
#[tokio::test(start_paused = true)]
async fn shutdown_with_any_deadline_returns() {
    let deadlines = [
        Duration::ZERO,
        Duration::from_nanos(1),
        ms(1),
        ms(u64::MAX),
        Duration::MAX,
    ];
    for deadline in deadlines {
        let jobs = JobRegistry::builder().clock(TokioClock::new()).build();
        let pending = jobs.register(()).unwrap().detach();
        jobs.start(pending).unwrap();
        let slow = jobs.spawn((), async |_job| {
            // Cancelled here.
            sleep(Duration::from_secs(3_600)).await;
            Ok::<_, String>(())
        });
        assert!(slow.is_ok());
        yield_now().await;
        let report = jobs.shutdown(deadline).await;
        assert_eq!(report.cancelled, 2, "{deadline:?}: {report:?}");
        assert_eq!(report.live, 0);
        assert!(
            report.is_clean() || deadline <= ms(1),
            "{deadline:?}: {report:?}"
        );
        assert!(jobs.is_empty());
    }
}
