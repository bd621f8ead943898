//! P7, scenario 37: wakers, removal hooks and destructors of payloads call the registry, and find
//! every lock free.

use crate::wakers::{wait, waker};
use crate::watchdog::in_time;
use job_registry::{JobId, JobRegistry, LockError, ManualClock, Progress, Status};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// Makes calls of every kind. If this thread holds a lock, the first `unwrap` fails; if another
/// thread keeps one, a call hangs.
fn use_everything<T: Send + Default + 'static>(jobs: &JobRegistry<T>) {
    let job = jobs.register(T::default()).unwrap();
    let id = job.id();
    job.start().unwrap();
    job.advance(Progress::percent(1.0).unwrap()).unwrap();
    job.heartbeat().unwrap();
    jobs.update(id, |payload| *payload = T::default()).unwrap();
    jobs.read(id, |_| ()).unwrap();
    drop(jobs.watch(id).unwrap());
    drop(jobs.lock(id).unwrap());
    job.fail("reason").unwrap();
    let job = job.retry().unwrap();
    jobs.cancel(id).unwrap();
    job.remove_after(Duration::MAX).unwrap();
    drop(jobs.remove(id).unwrap());
    jobs.fail_stalled();
    assert!(jobs.counts().total() <= jobs.capacity());
    jobs.sweep();
    // The locks of the jobs and watches that the callback concerns are free as well.
    let present: Vec<_> = jobs.iter().map(|seen| seen.id()).collect();
    for id in present {
        let mut watch = jobs.watch(id).unwrap();
        let poll = pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_ready(), "the job as it is");
        let _ = pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop()));
        drop(watch);
        let locked = jobs.try_lock(id);
        assert!(!matches!(locked, Err(LockError::WouldDeadlock)));
    }
}

/// P7, scenario 37: the waker runs after the step that wakes has released the job's lock.
#[test]
fn waker_may_call_anything() {
    type Step = fn(&JobRegistry<u32>, JobId);
    let steps: [Step; 8] = [
        |jobs, id| jobs.complete(id).unwrap(),
        |jobs, id| jobs.fail(id, "reason").unwrap(),
        |jobs, id| jobs.cancel(id).unwrap(),
        |jobs, id| assert_eq!(jobs.advance(id, Progress::DONE), Ok(Progress::DONE)),
        |jobs, id| jobs.lock(id).unwrap().complete().unwrap(),
        |jobs, id| jobs.lock(id).unwrap().fail("reason"),
        |jobs, id| jobs.lock(id).unwrap().cancel(),
        // A step without a lock, on a thread that holds one, defers the waker until the guard is
        // released.
        |jobs, id| {
            let job = jobs.lock(id).unwrap();
            job.advance(Progress::DONE).unwrap();
            jobs.heartbeat(id).unwrap();
        },
    ];
    for step in steps {
        in_time(move || {
            let jobs = JobRegistry::new();
            let id = jobs.register(0).unwrap().detach();
            jobs.start(id).unwrap();
            let mut watch = jobs.watch(id).unwrap();
            let woken = Arc::new(AtomicUsize::new(0));
            let waker = waker({
                let (jobs, woken) = (jobs.clone(), woken.clone());
                move || {
                    use_everything(&jobs);
                    jobs.read(id, |_| ()).unwrap();
                    woken.fetch_add(1, Ordering::SeqCst);
                }
            });
            wait(&mut watch, &waker);
            step(&jobs, id);
            assert_eq!(woken.load(Ordering::SeqCst), 1, "woken, and returned");
        });
    }
}

/// P7, scenario 37: a waker's destructor is user code as well. It may drop a task, and a job with
/// the task.
#[test]
fn dropped_waker_may_call_anything() {
    struct CallsBack(JobRegistry<u32>, Arc<AtomicUsize>);

    impl Wake for CallsBack {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for CallsBack {
        fn drop(&mut self) {
            use_everything(&self.0);
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }

    in_time(|| {
        let jobs = JobRegistry::new();
        let dropped = Arc::new(AtomicUsize::new(0));
        let job = jobs.register(0).unwrap();
        job.start().unwrap();
        let waker = || Arc::new(CallsBack(jobs.clone(), dropped.clone())).into();

        // The waker is replaced by another in a second poll, and neither poll finds a change.
        let mut watch = job.watch().unwrap();
        wait(&mut watch, &waker());
        let poll = pin!(watch.changed()).poll(&mut Context::from_waker(&waker()));
        assert!(poll.is_pending());
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        // The waker is dropped with its watch, under a guard of the same job.
        let guard = job.lock().unwrap();
        std::thread::scope(|s| s.spawn(|| drop(watch)).join()).unwrap();
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
        drop(guard);
    });
}

/// P7, scenario 37: the hook runs after the lock has been released, in every kind of removal.
#[test]
fn hook_may_call_anything() {
    for removal in [sweep, remove, register] {
        in_time(move || {
            let own = Arc::new(Mutex::new(None::<JobRegistry<u32>>));
            let calls = Arc::new(AtomicUsize::new(0));
            let jobs = JobRegistry::builder()
                .retention(Duration::ZERO)
                .sweep_on_register(true)
                .on_remove({
                    let (own, calls) = (own.clone(), calls.clone());
                    move |_| {
                        // `use_everything` removes a job, too.
                        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                            let jobs = own.lock().unwrap().clone();
                            use_everything(&jobs.expect("is set before the first removal"));
                        }
                    }
                })
                .build();
            *own.lock().unwrap() = Some(jobs.clone());
            removal(&jobs);
            assert!(
                calls.load(Ordering::SeqCst) >= 2,
                "the hook ran and returned"
            );
            *own.lock().unwrap() = None;
        });
    }
}

/// P6 and P7, scenario 37: the payload's destructor runs after the lock has been released. The
/// caller of `remove` drops the payload that it returns.
#[test]
fn payload_drop_may_call_anything() {
    #[derive(Default)]
    struct CallsBack(Option<Arc<Shared>>);
    type Shared = (Mutex<Option<JobRegistry<CallsBack>>>, AtomicUsize);

    impl Drop for CallsBack {
        fn drop(&mut self) {
            let Some(shared) = self.0.take() else { return };
            let jobs = shared.0.lock().unwrap().clone();
            use_everything(&jobs.expect("is set until the last drop"));
            shared.1.fetch_add(1, Ordering::SeqCst);
        }
    }

    for removal in [sweep, remove, register] {
        in_time(move || {
            let shared = Arc::new(Shared::default());
            let jobs = JobRegistry::builder()
                .retention(Duration::ZERO)
                .sweep_on_register(true)
                .build();
            *shared.0.lock().unwrap() = Some(jobs.clone());
            let id = jobs
                .register(CallsBack(Some(shared.clone())))
                .unwrap()
                .detach();
            jobs.cancel(id).unwrap();
            removal(&jobs);
            assert_eq!(shared.1.load(Ordering::SeqCst), 1, "dropped, and returned");
            *shared.0.lock().unwrap() = None;
        });
    }
}

// The following functions remove an ended job, each by another call.

fn ended_id<T: Send + Default + 'static>(jobs: &JobRegistry<T>) -> JobId {
    if let Some(seen) = jobs.iter().find(|seen| seen.status().is_ended()) {
        return seen.id();
    }
    let id = jobs.register(T::default()).unwrap().detach();
    jobs.cancel(id).unwrap();
    id
}

fn wait_until_due() {
    std::thread::sleep(Duration::from_millis(2));
}

fn sweep<T: Send + Default + 'static>(jobs: &JobRegistry<T>) {
    ended_id(jobs);
    wait_until_due();
    assert!(jobs.sweep().removed >= 1);
}

fn remove<T: Send + Default + 'static>(jobs: &JobRegistry<T>) {
    let id = ended_id(jobs);
    drop(jobs.remove(id).unwrap());
}

fn register<T: Send + Default + 'static>(jobs: &JobRegistry<T>) {
    let id = ended_id(jobs);
    wait_until_due();
    let job = jobs.register(T::default()).unwrap();
    assert!(jobs.snapshot(id).is_err(), "register has swept");
    assert_eq!(job.snapshot().unwrap().status(), Status::Pending);
}

/// Registers one more job when it is dropped.
struct Successor(Option<JobRegistry<Successor>>);

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(jobs) = self.0.take() {
            let _ = jobs.register(Successor(None)).unwrap().detach();
        }
    }
}

/// P7, P11: removals that cause removals run one after the other. Nested ones would overflow the
/// stack.
#[test]
fn destructors_that_register_start_no_nested_sweep() {
    in_time(|| {
        let clock = ManualClock::new();
        let builder = JobRegistry::builder().clock(clock.clone());
        let builder = builder.retention(Duration::from_secs(1));
        let jobs = builder.sweep_on_register(true).build();
        let many = 20_000;
        for _ in 0..many {
            let id = jobs
                .register(Successor(Some(jobs.clone())))
                .unwrap()
                .detach();
            jobs.cancel(id).unwrap();
        }
        clock.advance(Duration::from_secs(2));
        assert_eq!(jobs.len(), many);
        let _ = jobs.register(Successor(None)).unwrap().detach();
        assert_eq!(jobs.len(), many + 1, "two go, and leave one each");
        assert_eq!(jobs.sweep().removed, many - 2);
        assert_eq!(jobs.counts().pending, many + 1);
    });
}

/// P7, P11: a hook that sweeps its own registry starts no nested sweep.
#[test]
fn hooks_that_sweep_start_no_nested_sweep() {
    in_time(|| {
        let clock = ManualClock::new();
        let all: Arc<Mutex<Option<JobRegistry<()>>>> = Arc::default();
        let other = JobRegistry::builder().clock(clock.clone());
        let other = other.retention(Duration::from_secs(1)).build();
        let (within, beside) = (all.clone(), other.clone());
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(Duration::from_secs(1))
            .on_remove(move |_| {
                let jobs = within.lock().unwrap().clone().unwrap();
                assert_eq!(jobs.sweep().removed, 0);
                // A sweep of another registry is not nested.
                beside.sweep();
            })
            .build();
        *all.lock().unwrap() = Some(jobs.clone());
        let many = 100_000;
        for _ in 0..many {
            jobs.cancel(jobs.register(()).unwrap().detach()).unwrap();
        }
        other.cancel(other.register(()).unwrap().detach()).unwrap();
        clock.advance(Duration::from_secs(1));
        let swept = jobs.sweep();
        assert_eq!((swept.removed, swept.panics.len()), (many, 0));
        assert!(jobs.is_empty() && other.is_empty());
        *all.lock().unwrap() = None;
    });
}
