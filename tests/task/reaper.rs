//! `reap`, the reaper as a future. P5 and P6, scenario 25. `tests/api/reaper.rs` has its threads.

use crate::{Drops, SECOND, settle};
use job_registry::{JobRegistry, LookupError, Options, Status, TokioClock};
use std::thread;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// P5 and P6, scenario 25: due jobs are removed in time, and none early, without any other call.
#[tokio::test(start_paused = true)]
async fn reaper_removes_what_is_due_and_nothing_else() {
    let drops = Drops::default();
    let jobs = JobRegistry::builder()
        .clock(TokioClock::new())
        .retention(5 * SECOND)
        .build();
    tokio::spawn(jobs.reap());
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
        (5 * SECOND..=5 * SECOND + SECOND / 10).contains(&took),
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
    tokio::spawn(jobs.reap());
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

/// P6: the reaper does not keep the registry alive, and ends with it.
#[tokio::test(start_paused = true)]
async fn reaper_ends_with_its_registry() {
    let drops = Drops::default();
    let jobs = JobRegistry::new();
    let reaper = tokio::spawn(jobs.reap());
    let _ = jobs.register(drops.token()).unwrap().detach();
    sleep(3 * SECOND).await;
    drop(jobs);
    assert_eq!(drops.count(), 1);
    timeout(SECOND, reaper)
        .await
        .expect("ends with the registry")
        .expect("ends by itself");
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
    let reaper = tokio::spawn(jobs.reap());
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
    tokio::spawn(jobs.reap());
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

/// P5 and P6, scenario 32: the only planned removal moves forward, moves back, or disappears with
/// its job. The next one happens on time.
#[tokio::test(start_paused = true)]
async fn removal_is_on_time_after_the_only_one_moved() {
    let jobs = JobRegistry::builder()
        .clock(TokioClock::new())
        .retention(10 * SECOND)
        .build();
    tokio::spawn(jobs.reap());
    let ended = || {
        let id = jobs.register(()).unwrap().detach();
        jobs.cancel(id).unwrap();
        id
    };
    let is_removed_after = async |delay: Duration| {
        let not_yet = delay.checked_sub(Duration::from_millis(1)).unwrap();
        sleep(not_yet).await;
        assert_eq!(jobs.len(), 1, "removed before {delay:?}");
        sleep(Duration::from_millis(3)).await;
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

/// P5, P8 and P13: deadlines, ends of stops and stall verdicts come in time, and an earlier one wakes
/// the reaper.
#[tokio::test(start_paused = true)]
async fn limits_are_carried_out_in_time() {
    let jobs = JobRegistry::builder()
        .clock(TokioClock::new())
        .stop_grace(10 * SECOND)
        .stall_after(100 * SECOND)
        .build();
    tokio::spawn(jobs.reap());
    settle().await;
    let register = |options| {
        let id = jobs.register_with((), options).unwrap().detach();
        jobs.start(id).unwrap();
        id
    };
    let stalls = register(Options::new());
    let stalls_early = register(Options::new().stall_after(50 * SECOND));
    let late = register(Options::new().deadline(40 * SECOND));
    let early = register(Options::new().deadline(20 * SECOND));
    let stops = register(Options::new());
    jobs.request_stop(stops, "moved").unwrap();
    let ended_in = |id| {
        let jobs = jobs.clone();
        async move {
            let begun = Instant::now();
            let mut watch = jobs.watch(id).unwrap();
            let mut last = jobs.snapshot(id).unwrap();
            while let Some(seen) = watch.changed().await {
                last = seen;
            }
            let took = begun.elapsed().as_millis();
            (last.status(), took, crate::error_of(&jobs, id))
        }
    };
    let seen = tokio::join!(
        ended_in(stops),
        ended_in(early),
        ended_in(late),
        ended_in(stalls_early),
        ended_in(stalls),
    );
    let reason = |text: &str| Some(text.to_owned());
    assert_eq!((seen.0.0, seen.0.2), (Status::Cancelled, reason("moved")));
    assert!((10_000..10_010).contains(&seen.0.1), "{}", seen.0.1);
    let deadline = |text| (Status::Failed, reason(text));
    assert_eq!(
        (seen.1.0, seen.1.2),
        deadline("deadline exceeded after 20s")
    );
    assert_eq!(
        (seen.2.0, seen.2.2),
        deadline("deadline exceeded after 40s")
    );
    assert!((20_000..20_010).contains(&seen.1.1) && (40_000..40_010).contains(&seen.2.1));
    assert_eq!((seen.3.0, seen.4.0), (Status::Failed, Status::Failed));
    // A job stalls once its silence exceeds the limit.
    assert!((50_001..50_010).contains(&seen.3.1), "{}", seen.3.1);
    assert!((100_001..100_010).contains(&seen.4.1), "{}", seen.4.1);
}

/// P8: a job that keeps its heartbeat is never failed, and one whose own limit is the least of all is
/// failed although it was registered while the reaper slept.
#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_job_from_the_reaper() {
    let jobs = JobRegistry::builder()
        .clock(TokioClock::new())
        .stall_after(60 * SECOND)
        .build();
    tokio::spawn(jobs.reap());
    let kept = jobs.register(()).unwrap();
    kept.start().unwrap();
    let _heartbeat = kept.heartbeat_every(5 * SECOND);
    sleep(3600 * SECOND).await;
    assert!(kept.snapshot().unwrap().status() == Status::Running);
    let silent = jobs
        .register_with((), Options::new().stall_after(SECOND))
        .unwrap();
    silent.start().unwrap();
    sleep(SECOND + Duration::from_millis(5)).await;
    assert_eq!(silent.snapshot().unwrap().status(), Status::Failed);
    assert_eq!(kept.snapshot().unwrap().status(), Status::Running);
}

/// P11: on a runtime without a timer, the call is refused with a clear panic.
#[test]
fn reap_needs_a_timer() {
    let jobs = JobRegistry::<()>::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _in_runtime = runtime.enter();
    let reap = std::panic::AssertUnwindSafe(|| drop(jobs.reap()));
    assert!(std::panic::catch_unwind(reap).is_err());
}

/// P5 and P7: with every blocking thread and every worker of the runtime busy, a due removal comes,
/// and a job's deadline is kept.
#[test]
fn reaper_needs_no_thread_of_the_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
    jobs.spawn_reaper().unwrap();
    let _in_runtime = runtime.enter();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let (release, may_release) = std::sync::mpsc::channel::<()>();
    let works = jobs.spawn((), async move |_| Ok(may_go_on.recv()?));
    let blocks = jobs.spawn_blocking((), move |_| Ok(may_release.recv()?));
    let running = |id| jobs.snapshot(id).unwrap().status() == Status::Running;
    let (works, blocks) = (works.unwrap(), blocks.unwrap());
    while !(running(works) && running(blocks)) {
        thread::sleep(Duration::from_millis(1));
    }
    let ended = jobs.register(()).unwrap();
    ended.cancel().unwrap();
    let late = Options::new().deadline(Duration::from_millis(5));
    let late = jobs.register_with((), late).unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(60);
    let gone = |job: &job_registry::Job<()>| job.snapshot() == Err(LookupError::Gone);
    while !(gone(&ended) && gone(&late)) {
        assert!(std::time::Instant::now() < until, "the reaper is starved");
        thread::sleep(Duration::from_millis(1));
    }
    assert!(running(works) && running(blocks));
    drop((go_on, release));
}
