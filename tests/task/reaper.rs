//! The reaper, a task that sweeps. P5 and P6, scenario 25.

use crate::{Drops, SECOND, settle};
use job_registry::{JobRegistry, LookupError, ManualClock, TokioClock};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::time::{Instant, advance, sleep, timeout};

/// P5 and P6, scenario 25: due jobs are removed within a period, and none early, without any other
/// call.
#[tokio::test(start_paused = true)]
async fn reaper_removes_what_is_due_and_nothing_else() {
    let drops = Drops::default();
    let jobs = JobRegistry::builder()
        .clock(TokioClock::new())
        .retention(5 * SECOND)
        .build();
    jobs.spawn_reaper(SECOND);
    let ended = jobs.register(drops.token()).unwrap();
    let live = jobs.register(drops.token()).unwrap();
    let kept = jobs.register(drops.token()).unwrap();
    kept.remove_after(Duration::MAX).unwrap();
    kept.cancel().unwrap();
    ended.cancel().unwrap();
    let before = Instant::now();
    while drops.count() == 0 {
        sleep(SECOND / 100).await;
    }
    let took = before.elapsed();
    assert!(
        (5 * SECOND..=6 * SECOND + SECOND / 10).contains(&took),
        "{took:?}"
    );
    assert_eq!(ended.snapshot(), Err(LookupError::Gone));
    sleep(3600 * SECOND).await;
    assert_eq!((jobs.len(), drops.count()), (2, 1));
    drop(live);
}

/// P6: the reaper works with the system's clock and on several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reaper_works_with_the_systems_clock() {
    let drops = Drops::default();
    let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
    jobs.spawn_reaper(Duration::ZERO);
    for _ in 0..500 {
        drop(jobs.register(drops.token()).unwrap());
    }
    let all = async {
        while drops.count() < 500 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("jobs are left");
    assert!(jobs.is_empty());
}

/// P7, scenario 43: a slow hook or destructor does not block a worker thread.
#[tokio::test]
async fn hooks_and_drops_run_on_a_blocking_thread() {
    struct Payload(Arc<Mutex<Vec<thread::ThreadId>>>);

    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(thread::current().id());
        }
    }

    let threads = Arc::new(Mutex::new(Vec::new()));
    let jobs = JobRegistry::builder()
        .retention(Duration::ZERO)
        .on_remove(|record: &job_registry::Record<Payload>| {
            record
                .payload
                .0
                .lock()
                .unwrap()
                .push(thread::current().id());
        })
        .build();
    jobs.spawn_reaper(Duration::from_millis(1));
    drop(jobs.register(Payload(threads.clone())).unwrap());
    while threads.lock().unwrap().len() < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(!threads.lock().unwrap().contains(&thread::current().id()));
}

/// P6: the reaper does not keep the registry alive, and ends with it.
#[tokio::test(start_paused = true)]
async fn reaper_ends_with_its_registry() {
    let drops = Drops::default();
    let jobs = JobRegistry::new();
    let reaper = jobs.spawn_reaper(SECOND);
    let _ = jobs.register(drops.token()).unwrap().detach();
    sleep(3 * SECOND).await;
    drop(jobs);
    assert_eq!(drops.count(), 1);
    timeout(2 * SECOND, reaper)
        .await
        .expect("ends within a period")
        .expect("ends by itself");
}

/// P7: `register` sweeps if it is asked to, and a reaper makes no difference to that.
#[tokio::test(start_paused = true)]
async fn register_sweeps_only_if_asked_beside_a_reaper() {
    for (sweeps, dropped) in [(false, [0, 0]), (true, [2, 3])] {
        let drops = Drops::default();
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(SECOND)
            .sweep_on_register(sweeps)
            .build();
        let register = || drop(jobs.register(drops.token()).unwrap());
        // It sweeps before anything is due, and again in an hour.
        let reaper = jobs.spawn_reaper(3600 * SECOND);
        settle().await;
        register();
        register();
        register();
        clock.advance(SECOND);
        let seen = [(); 2].map(|()| {
            register();
            drops.count()
        });
        assert_eq!(seen, dropped, "{sweeps}");
        reaper.abort();
    }
}

/// P11, scenario 40: neither a hook nor a payload that panics ends the reaper.
#[tokio::test(start_paused = true)]
async fn reaper_survives_panics() {
    struct Payload(Drops);

    impl Drop for Payload {
        fn drop(&mut self) {
            drop(self.0.token());
            panic!("in a payload's drop");
        }
    }

    let drops = Drops::default();
    let jobs = JobRegistry::builder()
        .clock(TokioClock::new())
        .retention(Duration::ZERO)
        .on_remove(|_| panic!("in the hook"))
        .build();
    let reaper = jobs.spawn_reaper(SECOND);
    for round in 1..=3 {
        drop(jobs.register(Payload(drops.clone())).unwrap());
        drop(jobs.register(Payload(drops.clone())).unwrap());
        sleep(3 * SECOND).await;
        assert_eq!(
            (drops.count(), jobs.removal_panics()),
            (2 * round, 2 * round as u64)
        );
    }
    assert!(!reaper.is_finished());
}

/// P5 and P7: a job that is locked during a sweep is removed by a later one.
#[tokio::test(start_paused = true)]
async fn reaper_removes_a_locked_job_later() {
    let drops = Drops::default();
    let jobs = JobRegistry::builder()
        .clock(TokioClock::new())
        .retention(Duration::ZERO)
        .build();
    jobs.spawn_reaper(SECOND);
    let id = jobs.register(drops.token()).unwrap().detach();
    let (locked, is_locked) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let reader = thread::spawn({
        let jobs = jobs.clone();
        move || {
            jobs.read(id, |_| {
                locked.send(()).unwrap();
                may_go_on.recv().unwrap();
            })
        }
    });
    is_locked.await.unwrap();
    let canceller = thread::spawn({
        let jobs = jobs.clone();
        // This call waits for the reader.
        move || jobs.cancel(id)
    });
    sleep(5 * SECOND).await;
    assert_eq!(drops.count(), 0);
    go_on.send(()).unwrap();
    reader.join().unwrap().unwrap();
    canceller.join().unwrap().unwrap();
    sleep(3 * SECOND).await;
    assert_eq!(drops.count(), 1);
}

/// P6: a reaper sweeps at once, and runs as long as its registry, whatever its period is.
#[tokio::test(start_paused = true)]
async fn reaper_sweeps_with_any_period() {
    let periods = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(1),
        Duration::from_millis(u32::MAX.into()),
        Duration::from_millis(u64::MAX),
        Duration::MAX.saturating_sub(Duration::from_nanos(1)),
        Duration::MAX,
    ];
    for period in periods {
        for late in [Duration::ZERO, Duration::from_secs(1)] {
            let builder = JobRegistry::builder().clock(TokioClock::new());
            let jobs = builder.retention(Duration::ZERO).build();
            let id = jobs.register(()).unwrap().detach();
            jobs.cancel(id).unwrap();
            advance(Duration::from_millis(1)).await;
            let reaper = jobs.spawn_reaper(period);
            // The first tick may be late.
            advance(late).await;
            let swept = timeout(Duration::from_millis(100), async {
                while !jobs.is_empty() {
                    sleep(Duration::from_millis(1)).await;
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

/// P5 and P6, scenario 32: the only planned removal moves forward, moves back, or disappears with
/// its job. The next one happens on time.
#[tokio::test(start_paused = true)]
async fn removal_is_on_time_after_the_only_one_moved() {
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
        // The sweep starts within a period, on a thread that runs in real time.
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
