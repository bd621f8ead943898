//! Time of a step that wakes one waiting task.

use crate::Plan;
use crate::contest::median;
use crate::peer::{RUNNING, Record};
use crate::report::Report;
use job_registry::{JobRegistry, Progress};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

const STEPS: u32 = 20_000;

/// A waker that counts its wakes.
#[derive(Default)]
pub struct CountingWaker(pub AtomicU32);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn run(plan: &Plan, report: &mut Report) {
    if !plan.wants("wake") {
        return;
    }
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..plan.effort.rounds {
        for (run, samples) in [ours as fn() -> f64, tokio_watch]
            .into_iter()
            .zip(&mut samples)
        {
            samples.push(run());
        }
    }
    let [ours, watch] = samples.map(median);
    report.add("wake", 1, 1, &[("ours", ours), ("tokio_watch", watch)]);
}

/// Returns the nanoseconds from one step to the next: wait, step, wake, poll.
fn ours() -> f64 {
    let jobs = JobRegistry::new();
    let job = jobs.register([0_u8; 16]).expect("room");
    job.start().expect("pending");
    let mut watch = job.watch().expect("registered");
    let counter = Arc::new(CountingWaker::default());
    let waker = Waker::from(counter.clone());
    let cx = &mut Context::from_waker(&waker);
    // The first item is the current state, for which a watch does not wait.
    assert!(pin!(watch.changed()).poll(cx).is_ready());
    let start = Instant::now();
    for step in 1..=STEPS {
        let mut changed = pin!(watch.changed());
        assert!(changed.as_mut().poll(cx).is_pending());
        job.advance(Progress::from_ppm(step).expect("in range"))
            .expect("live");
        let Poll::Ready(Some(seen)) = changed.as_mut().poll(cx) else {
            panic!("the watch was woken without a change");
        };
        assert_eq!(seen.progress().ppm(), step);
    }
    let took = start.elapsed();
    assert_eq!(counter.0.load(Ordering::Relaxed), STEPS);
    took.as_nanos() as f64 / f64::from(STEPS)
}

fn tokio_watch() -> f64 {
    let mut record = Record::new();
    record.status = RUNNING;
    let (job, mut watch) = tokio::sync::watch::channel(record);
    let counter = Arc::new(CountingWaker::default());
    let waker = Waker::from(counter.clone());
    let cx = &mut Context::from_waker(&waker);
    let start = Instant::now();
    for step in 1..=STEPS {
        {
            let mut changed = pin!(watch.changed());
            assert!(changed.as_mut().poll(cx).is_pending());
            job.send_modify(|record| assert_eq!(record.advance(step), Some(step)));
            assert!(changed.as_mut().poll(cx).is_ready());
        }
        assert_eq!(watch.borrow_and_update().progress, step);
    }
    let took = start.elapsed();
    assert_eq!(counter.0.load(Ordering::Relaxed), STEPS);
    took.as_nanos() as f64 / f64::from(STEPS)
}
