//! Step 4 of the guide: two threads, each with its own runtime, work on one job. P1 and P3.

use job_registry::{JobRegistry, Progress};
use std::thread;
use tokio::task::yield_now;

/// P1 and P3, scenario 41: a job's lock excludes the tasks of two runtimes like those of one.
#[test]
fn no_update_of_two_runtimes_is_lost() {
    const TASKS: u64 = 4;
    const ROUNDS: u64 = 500;
    let jobs = JobRegistry::new();
    let id = jobs.register(0_u64).unwrap().detach();
    jobs.start(id).unwrap();
    let run = |jobs: JobRegistry<u64>| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let tasks = (0..TASKS).map(|_| {
                let jobs = jobs.clone();
                tokio::spawn(async move {
                    for round in 0..ROUNDS {
                        // The update reads and writes separately, so that another update could come
                        // between.
                        jobs.update(id, |pages| {
                            let read = *pages;
                            thread::yield_now();
                            *pages = read + 1;
                        })
                        .unwrap();
                        let reported = Progress::ratio(round, ROUNDS).unwrap();
                        assert!(jobs.advance(id, reported).unwrap() >= reported);
                        yield_now().await;
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
    };
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| run(jobs.clone()));
        }
    });
    assert_eq!(jobs.get(id).unwrap().payload, 2 * TASKS * ROUNDS);
}
