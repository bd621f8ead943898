//! Times of a change and of dropping, with many watchers of one job.

use crate::Plan;
use crate::contest::median;
use crate::peer::{RUNNING, Record};
use crate::report::Report;
use crate::wakes::CountingWaker;
use job_registry::{JobRegistry, Progress};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Instant;

const CHANGES: u32 = 8;

/// A task that reads every change of its job.
type Watcher = Pin<Box<dyn Future<Output = ()>>>;

/// Nanoseconds of a change until every watcher waits again, and of dropping all watchers.
type Times = (f64, f64);

pub fn run(plan: &Plan, report: &mut Report) {
    if !plan.wants("watchers_change") && !plan.wants("watchers_drop") {
        return;
    }
    for watchers in [1000, 4000, 16_000] {
        let mut changes = [Vec::new(), Vec::new()];
        let mut drops = [Vec::new(), Vec::new()];
        for _ in 0..plan.effort.rounds {
            for (i, run) in [ours as fn(usize) -> Times, tokio_watch]
                .into_iter()
                .enumerate()
            {
                let (change, drop) = run(watchers);
                changes[i].push(change);
                drops[i].push(drop);
            }
        }
        for (row, samples) in [("watchers_change", changes), ("watchers_drop", drops)] {
            let [ours, watch] = samples.map(median);
            let values = [("ours", ours), ("tokio_watch", watch)];
            report.add(row, watchers, 1, &values);
        }
    }
}

fn ours(watchers: usize) -> Times {
    let jobs = JobRegistry::new();
    let job = jobs.register([0_u8; 16]).expect("room");
    job.start().expect("pending");
    let watcher = |_| -> Watcher {
        let mut watch = job.watch().expect("registered");
        Box::pin(async move {
            while let Some(seen) = watch.changed().await {
                black_box(seen.progress());
            }
        })
    };
    let watchers = (0..watchers).map(watcher).collect();
    measure(watchers, |step| {
        let progress = Progress::from_ppm(step).expect("in range");
        job.advance(progress).expect("live");
    })
}

fn tokio_watch(watchers: usize) -> Times {
    let mut record = Record::new();
    record.status = RUNNING;
    let (job, watch) = tokio::sync::watch::channel(record);
    let watcher = |_| -> Watcher {
        let mut watch = watch.clone();
        Box::pin(async move {
            while watch.changed().await.is_ok() {
                black_box(watch.borrow_and_update().progress);
            }
        })
    };
    let watchers = (0..watchers).map(watcher).collect();
    measure(watchers, |step| {
        job.send_modify(|record| assert_eq!(record.advance(step), Some(step)));
    })
}

/// Measures changes and the drop of watchers, which `change` wakes.
fn measure(mut watchers: Vec<Watcher>, change: impl Fn(u32)) -> Times {
    let counter = Arc::new(CountingWaker::default());
    let waker = Waker::from(counter.clone());
    let cx = &mut Context::from_waker(&waker);
    let mut poll_all = |watchers: &mut [Watcher]| {
        for watcher in watchers {
            assert!(watcher.as_mut().poll(cx).is_pending());
        }
    };
    poll_all(&mut watchers);
    let start = Instant::now();
    for step in 1..=CHANGES {
        change(step);
        poll_all(&mut watchers);
    }
    let took = start.elapsed().as_nanos() as f64 / f64::from(CHANGES);
    let expected = CHANGES as usize * watchers.len();
    assert_eq!(counter.0.load(Ordering::Relaxed) as usize, expected);
    let start = Instant::now();
    drop(watchers);
    (took, start.elapsed().as_nanos() as f64)
}
