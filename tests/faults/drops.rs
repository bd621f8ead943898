//! Payload drops: each once, however the job goes (P6), and a panic in one harms no other (P11).

use crate::watchdog::in_time;
use job_registry::{JobRegistry, LookupError, ManualClock, RegisterError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Counts its drops, and panics in them if it is told to.
struct Payload {
    drops: Arc<AtomicUsize>,
    panics: bool,
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        // A second panic while one is under way would end the process, with any library.
        assert!(
            !self.panics || std::thread::panicking(),
            "in a payload's drop"
        );
    }
}

struct Bench {
    clock: ManualClock,
    jobs: JobRegistry<Payload>,
    drops: Arc<AtomicUsize>,
}

impl Bench {
    fn new(capacity: usize) -> Self {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .capacity(capacity)
            .clock(clock.clone())
            .retention(Duration::from_secs(1))
            .build();
        Self {
            clock,
            jobs,
            drops: Arc::default(),
        }
    }

    fn payload(&self, panics: bool) -> Payload {
        Payload {
            drops: self.drops.clone(),
            panics,
        }
    }

    fn ended(&self, panics: bool) -> job_registry::JobId {
        let id = self.jobs.register(self.payload(panics)).unwrap().detach();
        self.jobs.cancel(id).unwrap();
        id
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::SeqCst)
    }
}

/// P6 and P11: the sweep goes on, the slots come back, and each panic is reported with its job.
#[test]
fn panic_in_a_payloads_drop_does_not_stop_a_sweep() {
    in_time(|| {
        let bench = Bench::new(5);
        let ids: Vec<_> = [false, true, false, true, false]
            .map(|panics| bench.ended(panics))
            .into();
        bench.clock.advance(Duration::from_secs(1));
        let swept = bench.jobs.sweep();
        assert_eq!((swept.removed, swept.busy, bench.drops()), (5, 0, 5));
        let mut panicked: Vec<_> = swept.panics.iter().map(|(id, _)| *id).collect();
        panicked.sort_unstable();
        let mut expected = vec![ids[1], ids[3]];
        expected.sort_unstable();
        assert_eq!(panicked, expected);
        assert!(
            swept
                .panics
                .iter()
                .all(|(_, text)| text == "in a payload's drop")
        );
        assert_eq!(bench.jobs.removal_panics(), 2);
        for _ in 0..5 {
            bench.ended(false);
        }
    });
}

/// P6 and P11: whoever registers does not pay for another's payload.
#[test]
fn panic_in_a_payloads_drop_does_not_reach_register() {
    in_time(|| {
        let bench = Bench::new(2);
        let old = [bench.ended(true), bench.ended(true)];
        bench.clock.advance(Duration::from_secs(1));
        let job = bench.jobs.register(bench.payload(false)).unwrap();
        assert_eq!((bench.drops(), bench.jobs.removal_panics()), (2, 2));
        assert!(
            old.iter()
                .all(|id| bench.jobs.snapshot(*id) == Err(LookupError::Gone))
        );
        assert!(job.lock().is_ok());
    });
}

/// P6: a payload that `remove` returned is the caller's, panic and all.
#[test]
fn payload_that_was_returned_is_not_touched_again() {
    let bench = Bench::new(1);
    let id = bench.ended(true);
    let payload = bench.jobs.remove(id).unwrap();
    assert_eq!((bench.drops(), bench.jobs.removal_panics()), (0, 0));
    drop(bench.jobs.register(bench.payload(false)).unwrap());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(payload))).is_err());
    assert_eq!(bench.drops(), 1);
}

/// P6: neither is one that was refused.
#[test]
fn payload_that_was_refused_comes_back_whole() {
    let bench = Bench::new(0);
    let refused = bench
        .jobs
        .register(bench.payload(false))
        .map(drop)
        .unwrap_err();
    assert!(matches!(refused, RegisterError::Full(_)));
    assert_eq!(bench.drops(), 0);
    drop(refused.into_payload());
    assert_eq!(bench.drops(), 1);
}

/// P6: a registry that is dropped drops every payload once, of pending, running, ended and retried jobs,
/// in used and in new slots.
#[test]
fn dropped_registry_drops_every_payload_once() {
    let bench = Bench::new(200);
    for n in 0..100 {
        let job = bench.jobs.register(bench.payload(false)).unwrap();
        match n % 5 {
            0 => {
                let _ = job.detach();
            }
            1 => {
                job.start().unwrap();
                let _ = job.detach();
            }
            2 => drop(job),
            3 => {
                job.cancel().unwrap();
                let _ = job.retry().unwrap().detach();
            }
            _ => {
                job.cancel().unwrap();
                drop(job.remove().unwrap());
            }
        }
    }
    assert_eq!(bench.drops(), 20, "those that were removed");
    let Bench { jobs, drops, .. } = bench;
    drop(jobs);
    assert_eq!(drops.load(Ordering::SeqCst), 100);
}

/// P6 and P11: when a registry goes away, a panic in one payload's drop spares the others.
#[test]
fn panic_in_a_payloads_drop_spares_the_others_of_a_dropped_registry() {
    in_time(|| {
        let Bench { jobs, drops, .. } = {
            let bench = Bench::new(9);
            for n in 0..9 {
                bench.ended(n == 4);
            }
            bench
        };
        // Whether the panic is passed on or swallowed is the library's choice.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(jobs)));
        assert_eq!(drops.load(Ordering::SeqCst), 9);
    });
}

/// P6: assigning a new payload under the lock drops the old one there and then, and only that.
#[test]
fn replaced_payload_is_dropped_once() {
    let bench = Bench::new(1);
    let id = bench.jobs.register(bench.payload(false)).unwrap().detach();
    bench
        .jobs
        .update(id, |payload| *payload = bench.payload(false))
        .unwrap();
    assert_eq!(bench.drops(), 1);
    let taken = bench
        .jobs
        .update(id, |payload| {
            std::mem::replace(payload, bench.payload(false))
        })
        .unwrap();
    assert_eq!(bench.drops(), 1);
    drop(taken);
    bench.jobs.cancel(id).unwrap();
    drop(bench.jobs.remove(id).unwrap());
    assert_eq!(bench.drops(), 3);
}
