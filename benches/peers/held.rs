//! Times of calls on a job whose lock another thread holds.
//!
//! These calls of this crate do not take the lock. A peer whose jobs are under the lock would wait
//! for its holder, so no peer is measured.

use crate::Plan;
use crate::contest::median;
use crate::ours::Ours;
use crate::peer::Peer;
use crate::report::Report;
use job_registry::JobId;
use std::hint::black_box;
use std::sync::mpsc::channel;
use std::time::Instant;

const CALLS: u32 = 20_000;

pub fn run(plan: &Plan, report: &mut Report) {
    let ours = Ours::new(1);
    let job = ours.register(0);
    assert!(ours.start(&job));
    for (row, call) in [
        ("snapshot_held", snapshot as fn(&Ours, &JobId, u32)),
        ("advance_held", advance),
        ("heartbeat_held", heartbeat),
    ] {
        if plan.wants(row) {
            let (held, free) = both(plan, &ours, &job, call);
            report.add(row, 1, 1, &[("ours", held), ("not_held", free)]);
        }
    }
}

fn snapshot(ours: &Ours, job: &JobId, _: u32) {
    black_box(ours.snapshot(job).expect("registered"));
}

fn advance(ours: &Ours, job: &JobId, i: u32) {
    black_box(ours.advance(job, i).expect("live"));
}

fn heartbeat(ours: &Ours, job: &JobId, _: u32) {
    assert!(ours.heartbeat(job));
}

/// Returns the nanoseconds of a call with the lock held and without, measured alternately.
fn both(plan: &Plan, ours: &Ours, job: &JobId, call: fn(&Ours, &JobId, u32)) -> (f64, f64) {
    let (commands, received) = channel::<bool>();
    let (done, confirmed) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut guard = None;
            for hold in received {
                guard = hold.then(|| ours.0.lock(*job).expect("live"));
                done.send(guard.is_some()).expect("the main thread waits");
            }
            drop(guard);
        });
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..plan.effort.rounds {
            for (hold, samples) in [true, false].into_iter().zip(&mut samples) {
                commands.send(hold).expect("the holder is running");
                assert_eq!(confirmed.recv(), Ok(hold));
                let start = Instant::now();
                (0..CALLS).for_each(|i| call(ours, job, i));
                samples.push(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
            }
        }
        drop(commands);
        let [held, free] = samples.map(median);
        (held, free)
    })
}
