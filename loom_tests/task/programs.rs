//! Random programs over the calls of the task layer, too large to be explored.
//!
//! Two threads act on two runtimes while a third one shuts the registry down. Whatever they do,
//! every job ends, the shutdown keeps its time and its report is true, and nothing is left behind.

use super::{at, ms, registry, sample};
use crate::loom_tests::harness::block_on;
use crate::sync::facade::runtime::{Runtime, sleep};
use crate::sync::rt::park_for;
use crate::{Failure, Heartbeat, Job, JobId, JobRegistry, Options, Phases};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// A call, or a few that belong together. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Spawns work that takes this time, and looks for a stop afterwards.
    Spawn(u64),
    SpawnBlocking(u64),
    /// Runs work on the acting thread.
    Run(u64),
    /// Registers a job that nobody works on, with a deadline.
    Register(u64),
    /// Starts the heartbeat of the thread's last job, at this interval.
    Heartbeat(u64),
    DropHeartbeat,
    RequestStop,
    Cancel,
    /// Retries the thread's last job, and spawns the attempt.
    Retry(u64),
    Wait(u64),
}

const ACTS: [Act; 12] = [
    Act::Spawn(0),
    Act::Spawn(7),
    Act::Spawn(60),
    Act::SpawnBlocking(7),
    Act::Run(3),
    Act::Register(11),
    Act::Heartbeat(5),
    Act::DropHeartbeat,
    Act::RequestStop,
    Act::Cancel,
    Act::Retry(4),
    Act::Wait(6),
];

/// Sebastiano Vigna's `SplitMix64`.
fn mixed(seed: u64) -> u64 {
    let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The acts of one thread.
fn acts(seed: u64) -> Vec<Act> {
    let act = |number| ACTS[usize::try_from(mixed(seed + number) % 12).unwrap()];
    (0..5).map(act).collect()
}

/// The state of a thread between its acts.
struct Actor {
    jobs: JobRegistry<u64>,
    last: Option<JobId>,
    heartbeats: Vec<Heartbeat>,
}

async fn work(job: Arc<Job<u64>>, millis: u64) -> Result<(), Failure> {
    sleep(ms(millis)).await;
    job.update(|pages| *pages += 1)?;
    if job.is_stop_requested() {
        return Err("stopped".into());
    }
    Ok(())
}

impl Actor {
    /// A refusal is as good as any answer: the registry may be closed, and the job may have ended.
    fn perform(&mut self, act: Act) {
        let jobs = &self.jobs;
        let block = |millis: u64| {
            move |job: &Job<u64>| {
                park_for(ms(millis));
                Ok(job.update(|pages| *pages += 1)?)
            }
        };
        let (was_closed, last) = (jobs.is_closed(), self.last);
        let admit = |id: JobId| {
            assert!(!was_closed, "a job was admitted after the close");
            Some(id)
        };
        match act {
            Act::Spawn(millis) => {
                let spawned = jobs.spawn(0, move |job| work(job, millis));
                self.last = spawned.ok().and_then(admit).or(last);
            }
            Act::SpawnBlocking(millis) => {
                let spawned = jobs.spawn_blocking(0, block(millis));
                self.last = spawned.ok().and_then(admit).or(last);
            }
            Act::Run(millis) => {
                if let Ok(job) = jobs.register(0) {
                    self.last = admit(job.id());
                    let _ = job.run(block(millis));
                }
            }
            Act::Register(deadline) => {
                let options = Options::new().deadline(ms(deadline));
                self.last = jobs
                    .register_with(0, options)
                    .map(Job::detach)
                    .ok()
                    .or(last);
            }
            Act::Heartbeat(interval) => {
                let heartbeat = last.map(|id| jobs.heartbeat_every(id, ms(interval)));
                self.heartbeats.extend(heartbeat.into_iter().flatten());
            }
            Act::DropHeartbeat => drop(self.heartbeats.pop()),
            Act::RequestStop => {
                let _ = last.map(|id| jobs.request_stop(id, "moved"));
            }
            Act::Cancel => {
                let _ = last.map(|id| jobs.cancel(id));
            }
            Act::Retry(millis) => {
                if let Some(Ok(job)) = last.map(|id| jobs.retry(id)) {
                    admit(job.spawn(move |job| work(job, millis)));
                }
            }
            Act::Wait(millis) => park_for(ms(millis)),
        }
    }
}

thread_local! {
    /// The number of the next program. A checker runs all threads of a model on one thread.
    static NEXT: RefCell<u64> = const { RefCell::new(0) };
}

/// Plays the next program.
fn play() {
    let seed = NEXT.with_borrow_mut(|next| {
        *next += 1;
        *next * 1_000
    });
    let jobs = registry::<u64>(|builder| builder.retention(Duration::MAX).stall_after(ms(20)));
    let _reaper = (seed % 2_000 == 0).then(|| jobs.spawn_reaper().unwrap());
    let runtimes = [Runtime::new(1), Runtime::new(1)];
    let actors = [0, 1].map(|thread| {
        let handle = runtimes[thread].handle().clone();
        let acts = acts(seed + 10 * u64::try_from(thread).unwrap());
        let mut actor = Actor {
            jobs: jobs.clone(),
            last: None,
            heartbeats: Vec::new(),
        };
        at(0, move || {
            let _entered = handle.enter();
            for act in acts {
                actor.perform(act);
            }
        })
    });
    let shuts = {
        let jobs = jobs.clone();
        at(mixed(seed) % 30, move || {
            let phases = Phases {
                finish: ms(10),
                stop: ms(10),
                cancel: ms(10),
            };
            let start = jobs.now();
            let report = block_on(jobs.shutdown(phases));
            let took = jobs.now().saturating_sub(start);
            assert!(took <= ms(30), "{report} took {took:?}");
            assert_eq!(report.live, [], "{report}");
            assert_eq!(jobs.counts().live(), 0, "{report}");
            report
        })
    };
    for actor in actors {
        actor.join().unwrap();
    }
    let report = shuts.join().unwrap();
    let [first, second] = runtimes;
    at(0, move || drop((first, second))).join().unwrap();
    assert_eq!(jobs.counts().live(), 0, "{report}: a job was revived");
    assert_eq!(jobs.state.works.running(), [], "work has not returned");
    assert!(!jobs.state.tasks.heartbeats.has_task(), "a task is left");
}

/// P2, P6, P7 and P13.
#[test]
fn random_programs_end_every_job_in_time() {
    sample("random_programs_end_every_job_in_time", 4_000, &[()], play);
}
