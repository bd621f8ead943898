//! Re-entrant user code: wakers, hooks, and destructors of payloads and owners.
//!
//! The smallest program that could violate P7 here: one thread removes a job whose payload takes a
//! lock when it is dropped. A violation looks like a lock that is refused with `WouldDeadlock`, or
//! like the checker's own report.

use super::super::harness::{call, check, claim, percent, race, registry, running};
use crate::core::registry_state::RegistryState;
use crate::sync::Weak;
use crate::{Job, JobId, JobRegistry, RemoveError, Status, StepError, Watch};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// A waker takes the job's lock, whichever step wakes it.
#[test]
fn a_waker_may_take_the_lock() {
    struct Reader(JobRegistry<u32>, JobId);

    impl Wake for Reader {
        fn wake(self: Arc<Self>) {
            self.0.read(self.1, |_| ()).expect("no lock is held");
        }
    }

    let claim = claim!(a_waker_may_take_the_lock, [P7], [37]);
    check(&claim, &[true, false], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let mut watch = jobs.watch(id).unwrap();
        wait(&mut watch, &Waker::from(Arc::new(Reader(jobs.clone(), id))));
        let (advanced, ()) = race(
            {
                let jobs = jobs.clone();
                move || jobs.advance(id, percent(40.0)).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || jobs.complete(id).unwrap()
            },
        );
        // A waiting watch holds the waker, which holds the registry.
        drop(watch);
        advanced
    });
}

/// Polls until the watch waits with `waker`.
fn wait<T>(watch: &mut Watch<T>, waker: &Waker) {
    let mut cx = Context::from_waker(waker);
    while std::pin::pin!(watch.changed()).poll(&mut cx).is_ready() {}
}

/// A payload's destructor takes another job's lock.
#[test]
fn a_payloads_drop_may_take_a_lock() {
    struct Last(Option<(JobRegistry<Last>, JobId)>);

    impl Drop for Last {
        fn drop(&mut self) {
            if let Some((jobs, other)) = self.0.take() {
                jobs.read(other, |_| ()).expect("no lock is held");
            }
        }
    }

    let claim = claim!(a_payloads_drop_may_take_a_lock, [P7], [37, 43]);
    check(&claim, &[1], &[], || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::from_millis(10)));
        let other = jobs.register(Last(None)).unwrap().detach();
        let last = Last(Some((jobs.clone(), other)));
        let id = jobs.register(last).unwrap().detach();
        jobs.cancel(id).unwrap();
        clock.advance(Duration::from_millis(10));
        let (swept, ()) = race(
            {
                let jobs = jobs.clone();
                move || jobs.sweep()
            },
            {
                let jobs = jobs.clone();
                move || jobs.update(other, |_| ()).unwrap()
            },
        );
        assert_eq!(swept.panics, [], "a payload found a lock held");
        swept.removed
    });
}

/// A waker removes the ended job during a sweep that does so too. The job that it registers and
/// ends is left to the next sweep.
#[test]
fn a_waker_may_remove_the_job() {
    struct Clear(JobRegistry<Arc<()>>, JobId);

    impl Wake for Clear {
        fn wake(self: Arc<Self>) {
            match call!(self.0.remove(self.1)) {
                Ok(_) | Err(RemoveError::Gone) => {}
                Err(refused) => panic!("{refused}"),
            }
            self.0.register(Arc::new(())).unwrap().cancel().unwrap();
        }
    }

    let claim = claim!(a_waker_may_remove_the_job, [P6, P7], [37]);
    check(&claim, &[0, 1], &[], || {
        let payload = Arc::new(());
        let (jobs, _) = registry(|builder| builder.retention(Duration::ZERO));
        let id = jobs.register(payload.clone()).unwrap().detach();
        let mut watch = jobs.watch(id).unwrap();
        wait(&mut watch, &Waker::from(Arc::new(Clear(jobs.clone(), id))));
        let ((), swept) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.cancel(id)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).removed
            },
        );
        drop(watch);
        call!(jobs.sweep());
        assert!(jobs.is_empty());
        assert_eq!(Arc::strong_count(&payload), 1, "a payload has leaked");
        swept
    });
}

/// A hook finds its job gone, locks another one, and submits the next.
#[test]
fn a_hook_may_call_anything() {
    let claim = claim!(a_hook_may_call_anything, [P4, P7], [31, 37, 40]);
    check(&claim, &[(1, 2), (1, 1)], &[], || {
        let home = Arc::new(OnceLock::<(Weak<RegistryState<u32>>, JobId)>::new());
        let seen = Arc::new(Mutex::new(0));
        let hook = {
            let (home, seen) = (home.clone(), seen.clone());
            move |record: &crate::Record<u32>| {
                let (inner, other) = home.get().expect("it is set");
                let inner = inner.upgrade().expect("the registry is there");
                let jobs = JobRegistry { state: inner };
                assert!(jobs.snapshot(record.snapshot.id()).is_err());
                let count = call!(jobs.update(*other, |count| {
                    *count += 1;
                    *count
                }));
                *seen.lock().unwrap() = count.expect("no lock is held");
                let _ = jobs.register(7).unwrap().detach();
                assert_eq!(call!(jobs.sweep()).removed, 0);
            }
        };
        let (jobs, clock) =
            registry(|builder| builder.retention(Duration::from_millis(10)).on_remove(hook));
        let other = jobs.register(0).unwrap().detach();
        let _ = home.set((Arc::downgrade(&jobs.state), other));
        let id = jobs.register(1).unwrap().detach();
        call!(jobs.cancel(id)).unwrap();
        clock.advance(Duration::from_millis(10));
        let (swept, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep())
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.update(other, |count| *count += 1)).unwrap()
            },
        );
        assert_eq!(swept.panics, [], "a hook found a lock held");
        assert_eq!(
            (jobs.len(), call!(jobs.get(other)).unwrap().payload),
            (2, 2)
        );
        (swept.removed, *seen.lock().unwrap())
    });
}

/// A payload owns a job. Its destructor ends that job, which is then due itself, for the next sweep.
#[test]
fn a_payload_may_own_a_job() {
    struct Parent(#[allow(dead_code)] Option<Job<Parent>>);

    let claim = claim!(a_payload_may_own_a_job, [P2, P7], [36, 37]);
    let outcomes = [Ok(()), Err(StepError::Ended(Status::Failed))];
    check(&claim, &outcomes, &[], || {
        let (jobs, _) = registry(|builder| builder.retention(Duration::ZERO));
        let child = jobs.register(Parent(None)).unwrap();
        let child_id = child.id();
        let parent = jobs.register(Parent(Some(child))).unwrap().detach();
        call!(jobs.cancel(parent)).unwrap();
        let (_, cancelled) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep())
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.cancel(child_id))
            },
        );
        call!(jobs.sweep());
        assert!(jobs.is_empty(), "a job without an owner is still live");
        cancelled
    });
}
