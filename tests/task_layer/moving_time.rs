//! P5 and P8: time passes while tasks register jobs and work on them.

use job_registry::{JobRegistry, ManualClock, Status};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// P8: a spawned job is registered after the removals that make room for it, however long their hooks take, started when its
/// task runs, and ended when its work is done.
#[tokio::test]
async fn spawned_job_has_the_times_at_which_it_was_worked_on() {
    for blocking in [false, true] {
        let clock = ManualClock::new();
        let slow = clock.clone();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(MINUTE)
            .stall_after(MINUTE)
            .on_remove(move |_| slow.advance(MINUTE))
            .build();
        for _ in 0..2 {
            let old = jobs.register(()).unwrap().detach();
            jobs.cancel(old).unwrap();
        }
        clock.advance(MINUTE);
        let work = clock.clone();
        let id = if blocking {
            jobs.spawn_blocking((), move |_| {
                work.advance(MINUTE);
                Ok::<_, String>(())
            })
        } else {
            jobs.spawn((), async move |_| {
                work.advance(MINUTE);
                Ok::<_, String>(())
            })
        };
        let id = id.unwrap();
        let mut watch = jobs.watch(id).unwrap();
        while watch.changed().await.is_some() {}
        let record = jobs.get(id).unwrap();
        assert_eq!(record.snapshot.status(), Status::Completed);
        let times = record.times;
        // A minute until the old jobs were due, and a minute for each of their hooks.
        assert_eq!(times.registered, 3 * MINUTE, "{times:?}");
        assert_eq!(times.started, Some(3 * MINUTE), "{times:?}");
        assert_eq!(record.snapshot.last_heartbeat(), 3 * MINUTE);
        assert_eq!(times.ended, Some(4 * MINUTE), "{times:?}");
        assert_eq!(times.removal, Some(5 * MINUTE), "{times:?}");
    }
}
