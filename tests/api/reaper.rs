//! The reaper's threads. P5, P6, P7 and P11, scenarios 25, 40 and 43. `tests/task/reaper.rs` has the
//! future.

use crate::watchdog::in_time;
use job_registry::{JobRegistry, LookupError, ManualClock, Options, Record, Status};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn until(mut is_done: impl FnMut() -> bool) {
    while !is_done() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// P5 and P6, scenario 25: due jobs are removed, and no other, without any further call.
#[test]
fn what_is_due_is_removed() {
    in_time(|| {
        let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
        jobs.spawn_reaper().unwrap();
        let live = jobs.register(()).unwrap();
        let kept = jobs.register(()).unwrap();
        kept.remove_after(Duration::MAX).unwrap();
        kept.cancel().unwrap();
        for _ in 0..500 {
            drop(jobs.register(()).unwrap());
        }
        until(|| jobs.len() == 2);
        assert_eq!(live.snapshot().unwrap().status(), Status::Pending);
        assert_eq!(kept.snapshot().unwrap().status(), Status::Cancelled);
        // An earlier time wakes the reaper, which has nothing to wait for.
        kept.remove_after(Duration::ZERO).unwrap();
        until(|| kept.snapshot() == Err(LookupError::Gone));
    });
}

/// P5, P8 and P13: deadlines, ends of stops and stall verdicts, and an earlier one wakes the reaper.
#[test]
fn limits_are_carried_out() {
    in_time(|| {
        let jobs = JobRegistry::builder().stop_grace(10 * SECOND).build();
        jobs.spawn_reaper().unwrap();
        let start = |options| {
            let job = jobs.register_with((), options).unwrap();
            job.start().unwrap();
            job
        };
        let far = start(Options::new().deadline(3600 * SECOND));
        let reason = |job: &job_registry::Job<()>| jobs.details(job.id()).unwrap().reason;
        let late = start(Options::new().deadline(Duration::from_millis(5)));
        until(|| late.snapshot().unwrap().status() == Status::Failed);
        let text = reason(&late);
        assert_eq!(text.as_deref(), Some("deadline exceeded after 5ms"));
        let silent = start(Options::new().stall_after(Duration::from_millis(5)));
        until(|| silent.snapshot().unwrap().status() == Status::Failed);
        let text = reason(&silent).unwrap();
        assert!(text.starts_with("stalled: no heartbeat for "), "{text}");
        assert_eq!(far.snapshot().unwrap().status(), Status::Running);
    });
}

/// P13: the grace of a stop ends by the reaper.
#[test]
fn grace_of_a_stop_ends() {
    in_time(|| {
        let grace = Duration::from_millis(5);
        let jobs = JobRegistry::builder().stop_grace(grace).build();
        jobs.spawn_reaper().unwrap();
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        job.request_stop("moved").unwrap();
        until(|| job.snapshot().unwrap().status() == Status::Cancelled);
    });
}

/// The reaper follows a clock that moves by hand.
#[test]
fn clock_that_jumps_is_followed() {
    in_time(|| {
        let clock = ManualClock::new();
        let builder = JobRegistry::builder().clock(clock.clone());
        let jobs = builder.retention(3600 * SECOND).build();
        jobs.spawn_reaper().unwrap();
        jobs.register(()).unwrap().cancel().unwrap();
        thread::sleep(Duration::from_millis(5));
        assert_eq!(jobs.len(), 1);
        clock.advance(3600 * SECOND);
        until(|| jobs.is_empty());
    });
}

/// P6: the reaper does not keep the registry alive, and ends with it.
#[test]
fn reaper_ends_with_its_registry() {
    struct Dropped(mpsc::Sender<()>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    in_time(|| {
        let (dropped, is_dropped) = mpsc::channel();
        let jobs = JobRegistry::new();
        let reaper = jobs.spawn_reaper().unwrap();
        let _ = jobs.register(Dropped(dropped)).unwrap().detach();
        drop(jobs);
        is_dropped.recv().unwrap();
        assert_eq!(reaper.hangs(), None);
    });
}

/// A reaper that has been stopped removes nothing more.
#[test]
fn stopped_reaper_leaves_what_is_due() {
    in_time(|| {
        let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
        let reaper = jobs.spawn_reaper().unwrap();
        jobs.register(()).unwrap().cancel().unwrap();
        until(|| jobs.is_empty());
        reaper.stop();
        thread::sleep(Duration::from_millis(20));
        jobs.register(()).unwrap().cancel().unwrap();
        thread::sleep(Duration::from_millis(50));
        assert_eq!(jobs.len(), 1);
    });
}

/// P11, scenario 40: neither a hook nor a payload that panics ends the reaper.
#[test]
fn reaper_survives_panics() {
    struct Panics(Arc<AtomicUsize>);

    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
            panic!("in a payload's drop");
        }
    }

    in_time(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let jobs = JobRegistry::builder()
            .retention(Duration::ZERO)
            .on_remove(|_| panic!("in the hook"))
            .build();
        jobs.spawn_reaper().unwrap();
        for round in 1..=3 {
            for _ in 0..2 {
                drop(jobs.register(Panics(drops.clone())).unwrap());
            }
            until(|| jobs.is_empty());
            assert_eq!(drops.load(Ordering::SeqCst), 2 * round);
            assert_eq!(jobs.removal_panics(), 2 * round as u64);
        }
    });
}

/// P7, scenario 43: a hook that hangs delays removals and nothing else, and is reported. Registration
/// and a sweep by another thread go on.
#[test]
fn hung_hook_delays_removals_only() {
    in_time(|| {
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let may_go_on = Mutex::new(may_go_on);
        let jobs = JobRegistry::builder()
            .retention(Duration::ZERO)
            .stop_grace(Duration::from_millis(5))
            .on_remove(move |record: &Record<&str>| {
                if record.payload == "hangs" {
                    let _ = may_go_on.lock().unwrap().recv();
                }
            })
            .build();
        let reaper = jobs.spawn_reaper().unwrap();
        let hangs = jobs.register("hangs").unwrap();
        hangs.cancel().unwrap();
        until(|| hangs.snapshot() == Err(LookupError::Gone));

        let ended = jobs.register("waits").unwrap();
        ended.cancel().unwrap();
        let options = Options::new().deadline(Duration::from_millis(5));
        let options = options.retention(Duration::MAX);
        let late = jobs.register_with("late", options).unwrap();
        let options = Options::new().stall_after(Duration::from_millis(5));
        let silent = jobs
            .register_with("silent", options.retention(Duration::MAX))
            .unwrap();
        silent.start().unwrap();
        let options = Options::new().retention(Duration::MAX);
        let stops = jobs.register_with("stops", options).unwrap();
        stops.start().unwrap();
        stops.request_stop("moved").unwrap();
        until(|| late.snapshot().unwrap().status() == Status::Failed);
        until(|| silent.snapshot().unwrap().status() == Status::Failed);
        until(|| stops.snapshot().unwrap().status() == Status::Cancelled);
        assert!(ended.snapshot().is_ok(), "its removal waits");
        until(|| reaper.hangs().is_some());
        let (id, since) = reaper.hangs().unwrap();
        assert!(id == hangs.id() && since >= SECOND, "{since:?}");

        // Another thread may carry out what waits.
        jobs.sweep();
        assert_eq!(ended.snapshot(), Err(LookupError::Gone));
        assert_eq!(reaper.hangs().map(|(id, _)| id), Some(hangs.id()));
        go_on.send(()).unwrap();
        until(|| reaper.hangs().is_none());
        let last = jobs.register("last").unwrap();
        last.cancel().unwrap();
        until(|| last.snapshot() == Err(LookupError::Gone));
    });
}

/// P5 and P7: a job that is locked when it is due is removed later, and jobs behind it are removed
/// meanwhile.
#[test]
fn locked_job_is_removed_later() {
    in_time(|| {
        let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
        let locked = jobs.register(()).unwrap().detach();
        jobs.cancel(locked).unwrap();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (held, is_held) = mpsc::channel();
        let holder = thread::spawn({
            let jobs = jobs.clone();
            move || {
                jobs.read(locked, |_| {
                    held.send(()).unwrap();
                    may_go_on.recv().unwrap();
                })
                .unwrap();
            }
        });
        is_held.recv().unwrap();
        jobs.spawn_reaper().unwrap();
        let other = jobs.register(()).unwrap();
        other.cancel().unwrap();
        until(|| other.snapshot() == Err(LookupError::Gone));
        thread::sleep(Duration::from_millis(20));
        assert_eq!(jobs.len(), 1);
        go_on.send(()).unwrap();
        holder.join().unwrap();
        until(|| jobs.is_empty());
    });
}

/// P6: a hook that registers and ends a job, which is due at once, does not keep a sweep from ending.
#[test]
fn sweep_handles_what_was_due_when_it_began() {
    in_time(|| {
        let slot: Arc<Mutex<Option<JobRegistry<u32>>>> = Arc::default();
        let removed = Arc::new(AtomicUsize::new(0));
        let jobs = JobRegistry::builder()
            .clock(ManualClock::new())
            .retention(Duration::ZERO)
            .on_remove({
                let (slot, removed) = (slot.clone(), removed.clone());
                move |record: &Record<u32>| {
                    removed.fetch_add(1, Ordering::SeqCst);
                    let jobs = slot.lock().unwrap();
                    let jobs = jobs.as_ref().expect("set before the first removal");
                    jobs.register(record.payload + 1).unwrap().cancel().unwrap();
                }
            })
            .build();
        *slot.lock().unwrap() = Some(jobs.clone());
        for payload in 0..3 {
            jobs.register(payload).unwrap().cancel().unwrap();
        }
        for round in 1..=4 {
            assert_eq!(jobs.sweep().removed, 3);
            assert_eq!(removed.load(Ordering::SeqCst), 3 * round);
        }
        // The payloads are those of the fourth generation.
        let payloads: Vec<_> = jobs
            .iter()
            .map(|seen| jobs.get(seen.id()).unwrap().payload)
            .collect();
        assert_eq!(payloads, [4, 5, 6]);
        *slot.lock().unwrap() = None;
    });
}

/// A clock that counts its readings.
struct Counted(Arc<AtomicUsize>, std::time::Instant);

impl job_registry::Clock for Counted {
    fn now(&self) -> Duration {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.elapsed()
    }
}

/// P7: a reaper does not spin while a due job is locked.
#[test]
fn locked_job_is_not_tried_all_the_time() {
    in_time(|| {
        let readings = Arc::new(AtomicUsize::new(0));
        let clock = Counted(readings.clone(), std::time::Instant::now());
        let jobs = JobRegistry::builder()
            .clock(clock)
            .retention(Duration::ZERO)
            .build();
        let locked = jobs.register(()).unwrap().detach();
        jobs.cancel(locked).unwrap();
        thread::sleep(Duration::from_millis(2));
        jobs.read(locked, |_| {
            let reaper = jobs.spawn_reaper().unwrap();
            thread::sleep(Duration::from_millis(200));
            reaper.stop();
        })
        .unwrap();
        // It looks every 10 ms, and reads the clock a few times.
        let seen = readings.load(Ordering::SeqCst);
        assert!(seen < 2_000, "{seen} readings");
    });
}

/// P6 and P13: one sweep ends an overdue job and removes it, if its removal is due at the same time.
#[test]
fn expired_job_without_retention_is_removed_at_once() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(Duration::ZERO)
        .build();
    let options = Options::new().deadline(5 * SECOND);
    let _ = jobs.register_with((), options).unwrap().detach();
    clock.advance(5 * SECOND);
    let swept = jobs.sweep();
    assert_eq!((swept.expired, swept.removed), (1, 1));
    assert!(jobs.is_empty());
}
