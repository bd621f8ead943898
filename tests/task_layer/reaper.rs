//! The reaper: a task that sweeps. P5 and P6, scenario 25.

use crate::{Drops, SECOND, settle};
use job_registry::{JobRegistry, LookupError, ManualClock, TokioClock};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// P5 and P6, scenario 25: due jobs go within a period, and none before its time, while nobody calls anything.
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

/// P6: the same by the system's clock and on several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reaper_removes_by_the_systems_clock() {
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

/// P7, scenario 43: a slow disk is no worker thread's business.
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

/// P6: the reaper keeps no registry alive, and ends with it.
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

/// P6: while a reaper is at work `register` leaves the sweeping to it, and takes it back afterwards.
#[tokio::test(start_paused = true)]
async fn register_sweeps_only_where_no_reaper_does() {
    let drops = Drops::default();
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(SECOND)
        .build();
    let register = || drop(jobs.register(drops.token()).unwrap());
    // Both have looked before anything is due, and do so again in an hour.
    let reapers = [(); 2].map(|()| jobs.spawn_reaper(3600 * SECOND));
    settle().await;
    register();
    register();
    register();
    clock.advance(SECOND);
    register();
    assert_eq!(drops.count(), 0, "with two reapers");
    let [first, second] = reapers;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    register();
    assert_eq!(drops.count(), 0, "with one reaper");
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    register();
    assert_eq!(drops.count(), 2, "with none, two at a time");
    register();
    assert_eq!(drops.count(), 3);
}

/// P6: a reaper that goes with its runtime hands the sweeping back as well.
#[test]
fn reaper_of_a_dropped_runtime_hands_the_sweeping_back() {
    let drops = Drops::default();
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(SECOND)
        .build();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        jobs.spawn_reaper(SECOND);
    });
    drop(runtime);
    drop(jobs.register(drops.token()).unwrap());
    clock.advance(SECOND);
    drop(jobs.register(drops.token()).unwrap());
    assert_eq!(drops.count(), 1);
}

/// P11, scenario 40: neither a hook nor a payload that panics ends it.
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

/// P5 and P7: a job that is locked at the time goes at a later one.
#[tokio::test(start_paused = true)]
async fn reaper_comes_back_to_a_locked_job() {
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
        // Waits for the reader.
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
