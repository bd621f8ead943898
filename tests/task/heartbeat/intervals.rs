//! P8: when heartbeats are sent, for intervals of any length and after other heartbeats have
//! stopped.

use crate::heartbeat::{registry, running, silence};
use crate::{SECOND, settle};
use job_registry::{JobRegistry, TokioClock};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{advance, sleep};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const LONGEST: u64 = u32::MAX as u64;

/// P8: the second heartbeat is sent at its interval, or less than a 64th earlier, for intervals of
/// any length.
#[tokio::test(start_paused = true)]
async fn heartbeats_are_on_time_at_intervals_of_any_length() {
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

/// P8, scenario 32: the only heartbeat stops, at every moment of its interval. The next one starts
/// at once or later, with a shorter or longer interval, and is on time.
#[tokio::test(start_paused = true)]
async fn heartbeat_is_on_time_after_the_only_one_stopped() {
    for interval in [2, 4, 8].map(|quarters| quarters * SECOND / 4) {
        for gone_after in (0..=10).map(|quarters| quarters * SECOND / 4) {
            for pause in [Duration::ZERO, SECOND / 4, 5 * SECOND] {
                let jobs = registry();
                let (first, second) = (running(&jobs), running(&jobs));
                let heartbeat = first.heartbeat_every(SECOND);
                sleep(gone_after).await;
                drop(heartbeat);
                sleep(pause).await;
                let _next = second.heartbeat_every(interval);
                for _ in 0..20 {
                    sleep(SECOND / 4).await;
                    settle().await;
                    assert!(
                        silence(&second) < interval,
                        "{:?} of silence at an interval of {interval:?}; the first was gone after \
                         {gone_after:?}, {pause:?} before",
                        silence(&second)
                    );
                }
            }
        }
    }
}
