//! P6 and P11: a removal drops the payload once, and a panic in its destructor affects no other
//! job.

use crate::watchdog::in_time;
use job_registry::{JobRegistry, LookupError, ManualClock, RegisterError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Counts its drops, and panics in them on request.
struct Payload {
    drops: Arc<AtomicUsize>,
    panics: bool,
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        // A second panic during unwinding would abort the process, whatever the library does.
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
            .sweep_on_register(true)
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

/// P6 and P11: the sweep continues, the slots are freed, and each panic is reported with its job.
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

/// P6 and P11: `register` contains the panic of another job's payload.
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

/// P6: the caller of `remove` drops the payload, and gets its panic.
#[test]
fn removed_payload_is_dropped_by_its_caller_alone() {
    let bench = Bench::new(1);
    let id = bench.ended(true);
    let payload = bench.jobs.remove(id).unwrap();
    assert_eq!((bench.drops(), bench.jobs.removal_panics()), (0, 0));
    drop(bench.jobs.register(bench.payload(false)).unwrap());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(payload))).is_err());
    assert_eq!(bench.drops(), 1);
}

/// P6: the caller of a refused `register` gets the payload back.
#[test]
fn refused_payload_is_returned_intact() {
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

/// P6: a dropped registry drops every payload once. The jobs are pending, running, ended and
/// retried, in used and in new slots.
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

/// P6 and P11: a panic in one payload's destructor spares the other payloads of a dropped registry.
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
        // The library may pass the panic on or contain it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(jobs)));
        assert_eq!(drops.load(Ordering::SeqCst), 9);
    });
}

/// P6: assigning a new payload under the lock drops the old one immediately, and nothing else.
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

/// P4 and P6, scenario 31: the payload, with the files that it owns, is dropped before the slot is
/// free.
#[test]
fn payload_is_dropped_before_the_slot_is_used_again() {
    type Shared = (OnceLock<JobRegistry<Payload>>, Mutex<Vec<bool>>);
    struct Payload(Option<Arc<Shared>>);

    impl Drop for Payload {
        fn drop(&mut self) {
            let Some(shared) = self.0.take() else { return };
            let jobs = shared.0.get().expect("is set before the first removal");
            let full = matches!(jobs.register(Payload(None)), Err(RegisterError::Full(_)));
            shared.1.lock().unwrap().push(full);
        }
    }

    // If the hook panics in `remove`, the library drops the payload.
    for (by_sweep, hook_panics) in [(true, false), (true, true), (false, true)] {
        in_time(move || {
            let clock = ManualClock::new();
            let jobs = JobRegistry::builder()
                .capacity(1)
                .clock(clock.clone())
                .retention(Duration::ZERO)
                .on_remove(move |_| assert!(!hook_panics, "in the hook"))
                .build();
            let shared = Arc::new(Shared::default());
            assert!(shared.0.set(jobs.clone()).is_ok());
            let id = jobs
                .register(Payload(Some(shared.clone())))
                .unwrap()
                .detach();
            jobs.cancel(id).unwrap();
            if by_sweep {
                clock.advance(Duration::from_millis(1));
                assert_eq!(jobs.sweep().removed, 1);
            } else {
                let result = catch_unwind(AssertUnwindSafe(|| drop(jobs.remove(id))));
                assert!(result.is_err());
            }
            assert_eq!(
                *shared.1.lock().unwrap(),
                [true],
                "dropped once, with the slot taken (swept: {by_sweep}, hook panics: {hook_panics})"
            );
        });
    }
}
