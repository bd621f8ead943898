//! The last entry of a queue of times goes, or moves, while somebody sleeps until it comes. P6 and P8, scenario 32.

use crate::heartbeat::{registry, running, silence};
use crate::{SECOND, settle};
use job_registry::{JobRegistry, TokioClock};
use std::time::Duration;
use tokio::time::sleep;

/// P8, scenario 32: the only heartbeat goes, at every moment of its interval, and the next one comes, at once or later, with a
/// shorter or a longer interval. It beats in time.
#[tokio::test(start_paused = true)]
async fn heartbeat_beats_in_time_after_the_last_one_went() {
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

/// P5 and P6, scenario 32: the only removal that is planned moves forward, back, or goes with its job. The next one comes in time.
#[tokio::test(start_paused = true)]
async fn removal_comes_in_time_after_the_last_one_moved() {
    let jobs = JobRegistry::builder()
        .clock(TokioClock::new())
        .retention(10 * SECOND)
        .build();
    let period = SECOND / 10;
    jobs.spawn_reaper(period);
    let ended = || {
        let id = jobs.register(()).unwrap().detach();
        jobs.cancel(id).unwrap();
        id
    };
    let is_removed_after = async |delay: Duration| {
        let not_yet = delay.checked_sub(Duration::from_millis(1)).unwrap();
        sleep(not_yet).await;
        assert_eq!(jobs.len(), 1, "removed before {delay:?}");
        // A period, and then the sweep's thread, whose time is real.
        sleep(2 * period).await;
        let mut patience = 20_000;
        while !jobs.is_empty() && patience > 0 {
            patience -= 1;
            std::thread::sleep(Duration::from_millis(1));
            tokio::task::yield_now().await;
        }
        assert!(jobs.is_empty(), "not removed after {delay:?}");
    };

    jobs.remove_after(ended(), 3 * SECOND).unwrap();
    is_removed_after(3 * SECOND).await;
    jobs.remove_after(ended(), 30 * SECOND).unwrap();
    is_removed_after(30 * SECOND).await;
    jobs.remove(ended()).unwrap();
    sleep(SECOND).await;
    ended();
    is_removed_after(10 * SECOND).await;
}
