//! Cost of timers on a runtime: delayed removals and periodic heartbeats.
//!
//! The unit is processor time of the whole process, because the peers spread their work over many
//! wakes.

use crate::Plan;
use crate::contest::Random;
use crate::peer::{COMPLETED, Record};
use crate::report::Report;
use cpu_time::ProcessTime;
use job_registry::{JobId, JobRegistry};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::time::DelayQueue;

type Map = dashmap::DashMap<u64, Record, foldhash::fast::RandomState>;

/// Upper bound of the random delays.
const LONGEST: Duration = Duration::from_secs(2);
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
const MEASURED_TIME: Duration = Duration::from_secs(3);

pub fn run(plan: &Plan, report: &mut Report) {
    for jobs in [100_000, 1_000_000] {
        if plan.wants("remove_after") {
            let values = [
                ("ours", removal_cost(jobs, our_removals(jobs))),
                ("delay_queue", removal_cost(jobs, delay_queue(jobs))),
                ("task_per_job", removal_cost(jobs, task_per_removal(jobs))),
            ];
            report.add("remove_after", jobs, 1, &values);
        }
    }
    if plan.wants("heartbeat_every") {
        let jobs = 100_000;
        let values = [
            ("ours", heartbeat_cost(jobs, our_heartbeats(jobs))),
            (
                "task_per_job",
                heartbeat_cost(jobs, task_per_heartbeat(jobs)),
            ),
        ];
        report.add("heartbeat_every", jobs, 1, &values);
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().expect("a runtime");
    runtime.block_on(work)
}

/// Returns the nanoseconds of processor time for each job. `work` returns the total.
fn removal_cost(jobs: usize, work: impl Future<Output = Duration>) -> f64 {
    block_on(work).as_nanos() as f64 / jobs as f64
}

/// Returns a generator of random delays, the same in every run.
fn delays() -> impl FnMut() -> Duration {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    move || LONGEST.mul_f64((random.next() >> 40) as f64 / f64::from(1 << 24))
}

async fn our_removals(jobs: usize) -> Duration {
    let registry = JobRegistry::builder()
        .capacity(jobs)
        .retention(Duration::MAX)
        .build();
    let ids: Vec<JobId> = (0..jobs)
        .map(|_| {
            let job = registry.register([0_u8; 16]).expect("room");
            job.start().expect("pending");
            job.complete().expect("running");
            job.detach()
        })
        .collect();
    let reaper = registry.spawn_reaper().expect("a thread");
    let mut delay = delays();
    let start = ProcessTime::now();
    for id in ids {
        registry.remove_after(id, delay()).expect("registered");
    }
    while !registry.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = start.elapsed();
    reaper.stop();
    took
}

/// Returns a peer's map of ended jobs.
fn ended(jobs: usize) -> Arc<Map> {
    let map = Map::with_capacity_and_hasher(jobs, foldhash::fast::RandomState::default());
    for id in 0..jobs as u64 {
        let record = Record {
            status: COMPLETED,
            ..Record::new()
        };
        map.insert(id, record);
    }
    Arc::new(map)
}

fn remove(map: &Map, id: u64) {
    assert!(
        map.remove_if(&id, |_, job| job.status == COMPLETED)
            .is_some()
    );
}

/// Removes jobs from one task that owns a `DelayQueue`, as the queue's documentation advises.
async fn delay_queue(jobs: usize) -> Duration {
    let map = ended(jobs);
    let mut delay = delays();
    let start = ProcessTime::now();
    let mut queue = DelayQueue::with_capacity(jobs);
    for id in 0..jobs as u64 {
        queue.insert(id, delay());
    }
    while let Some(due) = std::future::poll_fn(|cx| queue.poll_expired(cx)).await {
        remove(&map, due.into_inner());
    }
    start.elapsed()
}

/// Removes each job from a task of its own, which is the guide's design.
async fn task_per_removal(jobs: usize) -> Duration {
    let map = ended(jobs);
    let mut delay = delays();
    let start = ProcessTime::now();
    for id in 0..jobs as u64 {
        let (map, delay) = (map.clone(), delay());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            remove(&map, id);
        });
    }
    while !map.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    start.elapsed()
}

/// Returns the nanoseconds of processor time for each heartbeat that was due. `work` returns the
/// total.
fn heartbeat_cost(jobs: usize, work: impl Future<Output = Duration>) -> f64 {
    let heartbeats = MEASURED_TIME.as_secs_f64() / HEARTBEAT_INTERVAL.as_secs_f64();
    block_on(work).as_nanos() as f64 / (jobs as f64 * heartbeats)
}

async fn our_heartbeats(jobs: usize) -> Duration {
    let registry = JobRegistry::builder().capacity(jobs).build();
    let register_running = |_| {
        let job = registry.register([0_u8; 16]).expect("room");
        job.start().expect("pending");
        job.detach()
    };
    let ids: Vec<JobId> = (0..jobs).map(register_running).collect();
    let every = |id: &JobId| {
        registry
            .heartbeat_every(*id, HEARTBEAT_INTERVAL)
            .expect("registered")
    };
    let heartbeats: Vec<_> = ids.iter().map(every).collect();
    let start = ProcessTime::now();
    let began = registry.now();
    tokio::time::sleep(MEASURED_TIME).await;
    let took = start.elapsed();
    let late = |id: &&JobId| {
        let last = registry
            .snapshot(**id)
            .expect("registered")
            .last_heartbeat();
        last < began + MEASURED_TIME / 2
    };
    assert_eq!(
        ids.iter().filter(late).count(),
        0,
        "jobs without a heartbeat"
    );
    drop(heartbeats);
    took
}

async fn task_per_heartbeat(jobs: usize) -> Duration {
    let map = ended(jobs);
    let began = Instant::now();
    for id in 0..jobs as u64 {
        map.get_mut(&id).expect("registered").status = crate::peer::RUNNING;
        let map = map.clone();
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(HEARTBEAT_INTERVAL);
            loop {
                interval.tick().await;
                assert!(map.get_mut(&id).expect("registered").heartbeat());
            }
        });
    }
    let start = ProcessTime::now();
    tokio::time::sleep(MEASURED_TIME).await;
    let took = start.elapsed();
    let late = |job: &dashmap::mapref::multiple::RefMulti<'_, u64, Record>| {
        job.heartbeat_at < began + MEASURED_TIME / 2
    };
    assert_eq!(
        map.iter().filter(late).count(),
        0,
        "jobs without a heartbeat"
    );
    took
}
