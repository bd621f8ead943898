//! Each step by the registry beside its bare script.

use crate::bare::{Bare, NOTE, Names, REASON};
use crate::pairs::{Pairs, median, whole};
use crate::server::Server;
use crate::{IN_FLIGHT, PAYLOAD, Result, registry};
use job_registry::Progress;
use job_registry_redis::{Job, JobRegistry};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 21;
/// Jobs of each of the calls in flight in a round.
const JOBS: usize = 32;
/// Jobs of a round with one call in flight.
const ALONE: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Register,
    Start,
    Heartbeat,
    Advance,
    Note,
    Update,
    Snapshot,
    Get,
    RequestStop,
    Cancel,
    Retry,
    Complete,
    Remove,
}

/// The steps of each job in a round. A job is stopped and cancelled, and its second attempt
/// completes.
const LIFE: [Step; 14] = [
    Step::Register,
    Step::Start,
    Step::Heartbeat,
    Step::Advance,
    Step::Note,
    Step::Update,
    Step::Snapshot,
    Step::Get,
    Step::RequestStop,
    Step::Cancel,
    Step::Retry,
    Step::Start,
    Step::Complete,
    Step::Remove,
];

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Start => "start",
            Self::Heartbeat => "heartbeat",
            Self::Advance => "advance",
            Self::Note => "note",
            Self::Update => "update (a read and a write)",
            Self::Snapshot => "snapshot",
            Self::Get => "get",
            Self::RequestStop => "request_stop",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Complete => "complete",
            Self::Remove => "remove",
        }
    }
}

/// Jobs that one task works on, one call after the other.
pub(crate) enum Lane {
    Registry(JobRegistry<String>, Vec<Job<String>>),
    Bare(Arc<Bare>, Vec<Names>),
}

impl Lane {
    /// Makes a step of the i-th job.
    pub(crate) async fn call(&mut self, step: Step, i: usize) -> Result<()> {
        let (registry, jobs) = match self {
            Self::Bare(bare, jobs) => {
                if step == Step::Register {
                    jobs.push(bare.names()?);
                }
                return bare.call(step, &mut jobs[i], PAYLOAD).await;
            }
            Self::Registry(registry, jobs) => (registry, jobs),
        };
        match step {
            Step::Register => jobs.push(registry.register(&text()).await?),
            Step::Start => jobs[i].start().await?,
            Step::Heartbeat => jobs[i].heartbeat().await?,
            Step::Advance => drop(jobs[i].advance(Progress::percent(50.0)?).await?),
            Step::Note => jobs[i].note(NOTE).await?,
            Step::Update => jobs[i].update(|payload| *payload = text()).await?,
            Step::Snapshot => drop(jobs[i].snapshot().await?),
            Step::Get => drop(registry.get(jobs[i].id()).await?),
            Step::RequestStop => drop(jobs[i].request_stop(REASON).await?),
            Step::Cancel => jobs[i].cancel().await?,
            Step::Retry => jobs[i] = jobs[i].retry().await?,
            Step::Complete => jobs[i].complete().await?,
            Step::Remove => jobs[i].remove().await?,
        }
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::Registry(_, jobs) => jobs.clear(),
            Self::Bare(_, jobs) => jobs.clear(),
        }
    }
}

/// Returns a text that is [`PAYLOAD`] in JSON.
fn text() -> String {
    PAYLOAD[1..PAYLOAD.len() - 1].to_owned()
}

/// The two sides, each with as many lanes as calls are in flight.
struct Sides {
    registry: Vec<Lane>,
    bare: Vec<Lane>,
}

impl Sides {
    async fn connect(server: &Server, names: [&str; 2], lanes: usize) -> Result<Self> {
        let registry = registry(server, names[0]).await?;
        let bare = Arc::new(Bare::connect(&server.url(), names[1]).await?);
        let lanes = 0..lanes;
        Ok(Self {
            registry: lanes
                .clone()
                .map(|_| Lane::Registry(registry.clone(), Vec::new()))
                .collect(),
            bare: lanes
                .map(|_| Lane::Bare(bare.clone(), Vec::new()))
                .collect(),
        })
    }

    fn side(&mut self, which: usize) -> &mut Vec<Lane> {
        [&mut self.registry, &mut self.bare]
            .into_iter()
            .nth(which)
            .expect("one of two")
    }

    fn clear(&mut self) {
        self.registry.iter_mut().for_each(Lane::clear);
        self.bare.iter_mut().for_each(Lane::clear);
    }
}

/// Makes a step of the first jobs of every lane, all lanes at once. Returns the time that it took.
pub(crate) async fn run(lanes: &mut Vec<Lane>, step: Step, jobs: usize) -> Result<Duration> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for mut lane in lanes.drain(..) {
        tasks.push(tokio::spawn(async move {
            for i in 0..jobs {
                lane.call(step, i).await?;
            }
            Result::Ok(lane)
        }));
    }
    for task in tasks {
        lanes.push(task.await??);
    }
    Ok(began.elapsed())
}

/// Checks that both sides store the same for one job after each step.
async fn check(server: &Server) -> Result<()> {
    let names = ["check-registry", "check-bare-set"];
    let mut sides = Sides::connect(server, names, 1).await?;
    let [registry, bare] = [
        Bare::connect(&server.url(), names[0]).await?,
        Bare::connect(&server.url(), names[1]).await?,
    ];
    for step in LIFE {
        for which in [0, 1] {
            run(sides.side(which), step, 1).await?;
        }
        // A heartbeat in the same millisecond as the start would change nothing.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let (Lane::Registry(_, ours), Lane::Bare(_, theirs)) = (&sides.registry[0], &sides.bare[0])
        else {
            return Err("the sides are mixed up".into());
        };
        let [ours, theirs] = [
            registry.shape(&ours[0].id().to_string()).await?,
            bare.shape(theirs[0].id()).await?,
        ];
        if ours != theirs {
            let step = step.name();
            let text =
                format!("after {step}, the registry stores {ours:?}, its bare script {theirs:?}");
            return Err(text.into());
        }
    }
    Ok(())
}

#[derive(Default)]
struct Measured {
    rates: Pairs,
    latencies: Pairs,
    /// Microseconds of the scripts for each call.
    scripts: Pairs,
}

pub(crate) async fn print(server: &Server) -> Result<()> {
    check(server).await?;
    let mut measured: HashMap<Step, Measured> = HashMap::new();
    let mut many = Sides::connect(server, ["registry", "bare-set"], IN_FLIGHT).await?;
    let mut alone = Sides::connect(server, ["registry", "bare-set"], 1).await?;
    for round in 0..ROUNDS {
        for (number, step) in LIFE.into_iter().enumerate() {
            let of = measured.entry(step).or_default();
            let (mut rates, mut scripts) = ([0.0; 2], [0.0; 2]);
            for which in in_turn(round + number) {
                let before = server.scripts()?;
                let took = run(many.side(which), step, JOBS).await?;
                let after = server.scripts()?;
                let calls = f64::from(u32::try_from(IN_FLIGHT * JOBS)?);
                rates[which] = calls / took.as_secs_f64();
                scripts[which] = f64::from(u32::try_from(after.micros - before.micros)?) / calls;
            }
            of.rates.push(rates[0], rates[1]);
            of.scripts.push(scripts[0], scripts[1]);
        }
        many.clear();
        for step in LIFE {
            let [ours, bare] = latencies(&mut alone, step).await?;
            let of = measured.entry(step).or_default();
            of.latencies.push(median(&ours), median(&bare));
        }
        alone.clear();
    }
    println!(
        "## Each step, beside a bare script\n\n\
         {ROUNDS} rounds of {} calls with {IN_FLIGHT} in flight, and of {ALONE} with one in flight. \
         Medians, with the quartiles of the ratios.\n\n\
         | step | throughput, ratio | latency, ratio | script, ratio | calls/s | bare | \
         latency, µs | bare | script, µs | bare |\n\
         |---|---|---|---|---:|---:|---:|---:|---:|---:|",
        IN_FLIGHT * JOBS
    );
    let mut shown = Vec::new();
    for step in LIFE {
        if shown.contains(&step) {
            continue;
        }
        shown.push(step);
        let of = &measured[&step];
        println!(
            "| {} | {} | {} | {} | {} | {} | {:.0} | {:.0} | {:.1} | {:.1} |",
            step.name(),
            of.rates.ratio(),
            of.latencies.ratio(),
            of.scripts.ratio(),
            whole(median(&of.rates.first)),
            whole(median(&of.rates.second)),
            median(&of.latencies.first),
            median(&of.latencies.second),
            median(&of.scripts.first),
            median(&of.scripts.second),
        );
    }
    println!();
    Ok(())
}

/// Returns the order of the two sides, which changes with the number.
pub(crate) fn in_turn(number: usize) -> [usize; 2] {
    [number % 2, 1 - number % 2]
}

/// Makes a step of jobs of both sides in turn. Returns the latencies in microseconds.
async fn latencies(sides: &mut Sides, step: Step) -> Result<[Vec<f64>; 2]> {
    let mut lanes = [
        sides.registry.pop().ok_or("no lane")?,
        sides.bare.pop().ok_or("no lane")?,
    ];
    let task = tokio::spawn(async move {
        let mut took = [Vec::new(), Vec::new()];
        for i in 0..ALONE {
            for which in in_turn(i) {
                let began = Instant::now();
                lanes[which].call(step, i).await?;
                took[which].push(began.elapsed().as_secs_f64() * 1e6);
            }
        }
        Result::Ok((lanes, took))
    });
    let (lanes, took) = task.await??;
    let [registry, bare] = lanes;
    sides.registry.push(registry);
    sides.bare.push(bare);
    Ok(took)
}
