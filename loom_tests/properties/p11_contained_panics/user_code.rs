//! Panics in hooks, in destructors of payloads and in wakers.
//!
//! The smallest program that could violate P11 here: a sweep meets a hook that panics on the first
//! of two due jobs. A violation looks like a second job that is never removed.

use super::super::harness::{call, check, claim, percent, race, registry, running};
use super::{fall, falls};
use crate::{Builder, Job, JobRegistry, Record, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// Removes two due jobs, of which the first one panics. One thread sweeps while another removes the
/// first job by id. Returns whether the removal by id met the panic.
fn remove_during_a_sweep<T: Send + 'static>(
    payloads: [T; 2],
    build: impl FnOnce(Builder<T>) -> Builder<T>,
) -> (JobRegistry<T>, bool) {
    let (jobs, clock) =
        registry(|builder| build(builder.capacity(2).retention(Duration::from_millis(10))));
    let [first, _] = payloads.map(|payload| {
        let id = jobs.register(payload).unwrap().detach();
        call!(jobs.cancel(id)).unwrap();
        id
    });
    clock.advance(Duration::from_millis(10));
    let (fell, swept) = race(
        {
            let jobs = jobs.clone();
            move || falls(|| drop(jobs.remove(first)))
        },
        {
            let jobs = jobs.clone();
            move || call!(jobs.sweep())
        },
    );
    // At most one job was found locked.
    let late = call!(jobs.sweep());
    let panics = swept.panics.len() + late.panics.len() + usize::from(fell);
    assert_eq!(panics, 1, "a panic is reported once");
    assert_eq!(swept.removed + late.removed + usize::from(fell), 2);
    assert!(jobs.is_empty(), "a due job was not removed");
    (jobs, fell)
}

fn has_room_again<T: Send + 'static>(jobs: &JobRegistry<T>, payloads: [T; 2]) -> bool {
    let again = payloads.map(|payload| jobs.register(payload).map(Job::detach));
    again.iter().all(Result::is_ok)
}

/// A hook that panics once is still called for the next job, and both slots are reused.
#[test]
fn a_hook_that_panics_stops_no_sweep() {
    let claim = claim!(a_hook_that_panics_stops_no_sweep, [P6, P11], [40]);
    check(&claim, &[true, false], &[], || {
        let called = Arc::new(AtomicUsize::new(0));
        let count = called.clone();
        let hook = move |record: &Record<usize>| {
            count.fetch_add(1, Ordering::SeqCst);
            if record.payload == 0 {
                fall("in the hook")
            }
        };
        let (jobs, fell) = remove_during_a_sweep([0, 1], |builder| builder.on_remove(hook));
        assert_eq!(called.load(Ordering::SeqCst), 2, "a hook was skipped");
        assert!(has_room_again(&jobs, [2, 3]), "a slot has leaked");
        fell
    });
}

/// A payload that panics when it is dropped does not stop a sweep.
#[test]
fn a_payload_that_panics_stops_no_sweep() {
    struct Payload(bool);

    impl Drop for Payload {
        fn drop(&mut self) {
            if self.0 {
                fall("while dropped")
            }
        }
    }

    let claim = claim!(a_payload_that_panics_stops_no_sweep, [P6, P11], [40]);
    check(&claim, &[true, false], &[], || {
        let payloads = [true, false].map(Payload);
        let (jobs, fell) = remove_during_a_sweep(payloads, |builder| builder);
        let payloads = [false, false].map(Payload);
        assert!(has_room_again(&jobs, payloads), "a slot has leaked");
        fell
    });
}

/// The first of two wakers panics. Its thread gets the panic, the other watcher is woken, and the
/// step is made.
#[test]
fn a_waker_that_panics_spares_the_other_watchers() {
    struct Waken(AtomicUsize, bool);

    impl Wake for Waken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
            if self.1 {
                fall("in the waker")
            }
        }
    }

    let claim = claim!(
        a_waker_that_panics_spares_the_other_watchers,
        [P9, P11],
        [24, 37]
    );
    check(&claim, &[(true, false), (false, true)], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let wakers = [true, false].map(|falls| Arc::new(Waken(AtomicUsize::new(0), falls)));
        let watches = wakers.clone().map(|waker| {
            let mut watch = jobs.watch(id).unwrap();
            let waker = Waker::from(waker);
            let mut cx = Context::from_waker(&waker);
            while std::pin::pin!(watch.changed()).poll(&mut cx).is_ready() {}
            watch
        });
        let (advance, complete) = race(
            {
                let jobs = jobs.clone();
                move || falls(|| jobs.advance(id, percent(40.0)).is_ok())
            },
            {
                let jobs = jobs.clone();
                move || falls(|| jobs.complete(id).unwrap())
            },
        );
        drop(watches);
        for waker in &wakers {
            assert_eq!(waker.0.load(Ordering::SeqCst), 1, "a watcher was not woken");
        }
        assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Completed);
        assert!(call!(jobs.remove(id)).is_ok(), "a lock is still held");
        (advance, complete)
    });
}
