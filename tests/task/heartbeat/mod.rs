//! `heartbeat_every`: a timer that stops by itself. P8.

mod batches;
mod intervals;
mod runtimes;

use crate::{SECOND, settle};
use job_registry::{Job, JobRegistry, LookupError, Snapshot, StepError, TokioClock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::sleep;

const STALL: Duration = Duration::from_secs(10);

pub(crate) fn registry() -> JobRegistry<()> {
    JobRegistry::builder()
        .clock(TokioClock::new())
        .stall_after(STALL)
        .build()
}

pub(crate) fn running(jobs: &JobRegistry<()>) -> Job<()> {
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    job
}

/// Returns the time since the job's last heartbeat.
pub(crate) fn silence(job: &Job<()>) -> Duration {
    let last = job.snapshot().unwrap().last_heartbeat();
    job.registry().now().saturating_sub(last)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// P8: a heartbeat is sent at once and then every interval, by id or by handle.
#[tokio::test(start_paused = true)]
async fn heartbeat_keeps_a_job_from_stalling() {
    let jobs = registry();
    let (by_handle, by_id, without) = (running(&jobs), running(&jobs), running(&jobs));
    sleep(5 * SECOND).await;
    let first = by_handle.heartbeat_every(3 * SECOND);
    assert!(format!("{first:?}").starts_with("Heartbeat"));
    let _second = jobs.heartbeat_every(by_id.id(), 4 * SECOND).unwrap();
    assert_eq!(
        (silence(&by_handle), silence(&by_id)),
        (Duration::ZERO, Duration::ZERO)
    );
    for _ in 0..600 {
        sleep(SECOND).await;
        settle().await;
        assert!(
            silence(&by_handle) < 3 * SECOND,
            "{:?}",
            silence(&by_handle)
        );
        assert!(silence(&by_id) < 4 * SECOND, "{:?}", silence(&by_id));
    }
    let stalled = jobs.fail_stalled();
    assert_eq!(
        stalled.iter().map(Snapshot::id).collect::<Vec<_>>(),
        [without.id()]
    );
}

/// P8, scenario 20: dropping the guard stops the heartbeats.
#[tokio::test(start_paused = true)]
async fn heartbeat_stops_when_its_guard_is_dropped() {
    let jobs = registry();
    let job = running(&jobs);
    let heartbeat = job.heartbeat_every(SECOND);
    sleep(3 * SECOND + SECOND / 2).await;
    assert_eq!(silence(&job), SECOND / 2);
    drop(heartbeat);
    sleep(20 * SECOND).await;
    assert_eq!(silence(&job), 20 * SECOND + SECOND / 2);
    assert_eq!(jobs.fail_stalled().len(), 1);
}

/// P8: as in the guide's step 3, no heartbeat outlives its job, even if the guard is kept.
#[tokio::test(start_paused = true)]
async fn heartbeat_stops_when_its_job_ends() {
    let jobs = registry();
    let job = running(&jobs);
    let heartbeat = job.heartbeat_every(SECOND);
    sleep(SECOND / 2).await;
    assert_eq!(tasks(), 1);
    job.complete().unwrap();
    let at_the_end = job.snapshot();
    sleep(3 * SECOND).await;
    assert_eq!(job.snapshot(), at_the_end);
    assert_eq!(tasks(), 0, "and the task with it");
    job.remove().unwrap();
    drop(heartbeat);
}

/// P8 and P4, scenario 7: the next job in the slot of a removed one gets none of its heartbeats.
#[tokio::test(start_paused = true)]
async fn heartbeat_of_a_removed_job_does_not_touch_its_successor() {
    let jobs = JobRegistry::builder()
        .clock(TokioClock::new())
        .capacity(1)
        .build();
    let old = running(&jobs);
    let _heartbeat = old.heartbeat_every(SECOND);
    old.cancel().unwrap();
    old.remove().unwrap();
    let new = running(&jobs);
    sleep(5 * SECOND).await;
    assert_eq!(silence(&new), 5 * SECOND);
}

/// P10, scenario 16: the timer of an old attempt does not keep the next one alive.
#[tokio::test(start_paused = true)]
async fn heartbeat_of_an_old_attempt_does_not_touch_the_next() {
    let jobs = registry();
    let first = running(&jobs);
    let _by_handle = first.heartbeat_every(SECOND);
    let _by_id = jobs.heartbeat_every(first.id(), SECOND).unwrap();
    first.fail("reason").unwrap();
    let second = first.retry().unwrap();
    second.start().unwrap();
    let late = first.heartbeat_every(SECOND);
    sleep(5 * SECOND + SECOND / 2).await;
    // The heartbeat of a retry may be a millisecond ahead of the clock.
    assert!(silence(&second) > 5 * SECOND, "{:?}", silence(&second));
    assert_eq!(first.heartbeat(), Err(StepError::Superseded));
    drop(late);
    assert_eq!(tasks(), 0);
}

/// P8: the heartbeat of an ended job does nothing, and a missing job is an error.
#[tokio::test(start_paused = true)]
async fn heartbeat_of_an_ended_job_does_nothing() {
    let jobs = registry();
    let job = running(&jobs);
    job.cancel().unwrap();
    let by_handle = job.heartbeat_every(SECOND);
    let by_id = jobs.heartbeat_every(job.id(), SECOND).unwrap();
    assert_eq!(tasks(), 0);
    job.remove().unwrap();
    assert_eq!(
        jobs.heartbeat_every(job.id(), SECOND).map(drop),
        Err(LookupError::Gone)
    );
    let foreign = running(&registry()).id();
    assert_eq!(
        jobs.heartbeat_every(foreign, SECOND).map(drop),
        Err(LookupError::NotFound)
    );
    drop((by_handle, by_id));
}

/// P11, scenario 24: all heartbeats share one task, and stop independently.
#[tokio::test(start_paused = true)]
async fn heartbeats_share_one_task_and_nothing_else() {
    let jobs = registry();
    let all: Vec<_> = (1..=100_u32).map(|_| running(&jobs)).collect();
    let mut guards: Vec<_> = (1..)
        .zip(&all)
        .map(|(n, job)| Some(job.heartbeat_every(n * SECOND / 50)))
        .collect();
    settle().await;
    assert_eq!(tasks(), 1);
    // A third of the jobs lose their guards, a third end, and a third continue.
    for (n, job) in all.iter().enumerate() {
        match n % 3 {
            0 => guards[n] = None,
            1 => job.complete().unwrap(),
            _ => {}
        }
    }
    sleep(9 * SECOND).await;
    assert_eq!(tasks(), 1);
    for (n, job) in all.iter().enumerate() {
        let silent = silence(job) >= 9 * SECOND;
        assert_eq!(silent, n % 3 != 2, "number {n}: {:?}", silence(job));
    }
    guards.clear();
    sleep(3 * SECOND).await;
    assert_eq!(tasks(), 0, "with the last guard the task goes");
    // The next heartbeat starts the task again.
    let job = running(&jobs);
    let _heartbeat = job.heartbeat_every(SECOND);
    sleep(20 * SECOND).await;
    assert!(silence(&job) <= SECOND);
    assert_eq!(tasks(), 1);
}

/// P8, scenario 32: a short interval is on time although a long one was started before it.
#[tokio::test(start_paused = true)]
async fn shorter_interval_is_not_late_behind_a_longer_one() {
    let jobs = registry();
    let (slow, quick) = (running(&jobs), running(&jobs));
    let _slow = slow.heartbeat_every(3600 * SECOND);
    sleep(SECOND).await;
    let _quick = quick.heartbeat_every(SECOND);
    sleep(5 * SECOND).await;
    assert!(silence(&quick) <= SECOND);
    assert_eq!(silence(&slow), 6 * SECOND);
}

/// P8: two guards of one job are independent; the job is alive until both are dropped.
#[tokio::test(start_paused = true)]
async fn second_guard_continues_after_the_first() {
    let jobs = registry();
    let job = running(&jobs);
    let first = job.heartbeat_every(SECOND);
    let second = job.heartbeat_every(2 * SECOND);
    sleep(4 * SECOND).await;
    drop(first);
    sleep(4 * SECOND).await;
    settle().await;
    assert!(silence(&job) <= 2 * SECOND);
    drop(second);
    sleep(4 * SECOND).await;
    assert!(silence(&job) >= 4 * SECOND);
}

/// P8: the shortest interval sends as often as possible, and the longest sends once.
#[tokio::test(start_paused = true)]
async fn shortest_and_longest_intervals_work() {
    let jobs = registry();
    let (always, never) = (running(&jobs), running(&jobs));
    let _always = always.heartbeat_every(Duration::ZERO);
    let _never = never.heartbeat_every(Duration::MAX);
    let long = never.heartbeat_every(Duration::from_secs(1 << 40));
    sleep(SECOND).await;
    settle().await;
    assert!(
        silence(&always) <= Duration::from_millis(2),
        "{:?}",
        silence(&always)
    );
    assert_eq!(silence(&never), SECOND);
    drop(long);
}

/// P6: a heartbeat does not keep the registry alive, and its guard may outlive the registry.
#[tokio::test(start_paused = true)]
async fn heartbeat_does_not_keep_the_registry_alive() {
    let payload = std::sync::Arc::new(());
    let jobs = JobRegistry::new();
    let id = jobs.register(payload.clone()).unwrap().detach();
    let heartbeat = jobs.heartbeat_every(id, SECOND).unwrap();
    settle().await;
    drop(jobs);
    assert_eq!(std::sync::Arc::strong_count(&payload), 1);
    sleep(2 * SECOND).await;
    assert_eq!(tasks(), 0);
    drop(heartbeat);
}
