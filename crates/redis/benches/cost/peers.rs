//! The registry beside job queues on the same server: `BullMQ`, and apalis-redis.
//!
//! A queue runs in a process of its own, which makes its calls when it is told to. The work of a
//! pair is the same for a client: a new job, a progress, and a job that is begun and completed.

use crate::pairs::{Pairs, median, whole};
use crate::server::Server;
use crate::steps::{Lane, Step, in_turn, run};
use crate::{IN_FLIGHT, Result, registry};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const ROUNDS: usize = 11;
/// Jobs of each of the calls in flight in a round.
const JOBS: usize = 16;
/// Jobs of a round with one call in flight.
const ALONE: usize = 128;

/// A part of a round: steps of the registry, and the call of the queue that does the same.
struct Part {
    /// Name of the row, or empty for what only prepares others.
    name: &'static str,
    steps: &'static [Step],
    call: &'static str,
}

const fn part(name: &'static str, steps: &'static [Step], call: &'static str) -> Part {
    Part { name, steps, call }
}

const BULLMQ: &[Part] = &[
    part("`register`; `Queue.add`", &[Step::Register], "add"),
    part("", &[Step::Start], ""),
    part(
        "`advance`; `Job.updateProgress`",
        &[Step::Advance],
        "progress",
    ),
    part("", &[Step::Complete], "finish"),
    part("", &[Step::Register], "add"),
    part(
        "`start` and `complete`; `Worker.getNextJob` and `Job.moveToCompleted`",
        &[Step::Start, Step::Complete],
        "finish",
    ),
    part("", &[Step::Register], "add"),
    part(
        "`start` and `complete`; a `Worker` that does nothing",
        &[Step::Start, Step::Complete],
        "work",
    ),
];

const APALIS: &[Part] = &[
    part("`register`; `push`", &[Step::Register], "add"),
    part(
        "`start` and `complete`; a worker that does nothing",
        &[Step::Start, Step::Complete],
        "work",
    ),
];

/// A process that makes the calls of a queue.
struct Queue {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    _folder: Option<TempDir>,
}

impl Queue {
    fn start(command: &mut Command, folder: Option<TempDir>) -> Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned?;
        Ok(Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().ok_or("no output")?),
            child,
            _folder: folder,
        })
    }

    /// Installs `BullMQ` in a temporary folder, by the lock file of this repository.
    fn bullmq(server: &Server) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/bullmq");
        for name in ["package.json", "package-lock.json", "bullmq.mjs"] {
            std::fs::copy(source.join(name), folder.path().join(name))?;
        }
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        let installed = install
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .status();
        if !installed.is_ok_and(|status| status.success()) {
            return Err("BullMQ is not installed: `npm ci` has failed".into());
        }
        let mut node = Command::new("node");
        node.arg("bullmq.mjs").arg(server.port.to_string());
        Self::start(node.current_dir(folder.path()), Some(folder))
    }

    /// Builds the program that calls apalis-redis. It is a package of its own.
    fn apalis(server: &Server) -> Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/apalis");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("apalis");
        let mut build = Command::new(std::env::var("CARGO").unwrap_or("cargo".to_owned()));
        build
            .args(["build", "--release", "--quiet"])
            .env("CARGO_TARGET_DIR", &target);
        if !build.current_dir(package).status()?.success() {
            return Err("the program that calls apalis-redis is not built".into());
        }
        let program = target.join("release/job-registry-redis-apalis");
        Self::start(Command::new(program).arg(server.url()), None)
    }

    fn call(&mut self, call: &str, count: usize, in_flight: usize) -> Result<Duration> {
        let input = self.input.as_mut().ok_or("no input")?;
        writeln!(input, "{call} {count} {in_flight}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let micros = line.trim().parse();
        Ok(Duration::from_micros(
            micros.map_err(|_| format!("{call} has failed"))?,
        ))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // A queue's process ends with its input, unless it hangs.
        drop(self.input.take());
        for _ in 0..100 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn print(server: &Server) -> Result<()> {
    println!(
        "## Beside job queues\n\n\
         {ROUNDS} rounds of {} jobs with {IN_FLIGHT} in flight, and of {ALONE} jobs one by one. \
         Medians, with the quartiles of the ratios. A ratio of times below 1 is in favour of the \
         registry, and a ratio of throughputs above 1.\n",
        IN_FLIGHT * JOBS
    );
    compare(server, "BullMQ 6.7.0", BULLMQ, &mut Queue::bullmq(server)?).await?;
    compare(
        server,
        "apalis-redis 1.0.0",
        APALIS,
        &mut Queue::apalis(server)?,
    )
    .await
}

async fn compare(server: &Server, name: &str, parts: &[Part], queue: &mut Queue) -> Result<()> {
    let jobs = registry(server, "peers").await?;
    let lanes = |count| {
        (0..count)
            .map(|_| Lane::Registry(jobs.clone(), Vec::new()))
            .collect()
    };
    let (mut many, mut alone): (Vec<_>, Vec<_>) = (lanes(IN_FLIGHT), lanes(1));
    // Jobs a second, microseconds of a job alone, and microseconds of the scripts for a job.
    let mut rows: Vec<[Pairs; 3]> = parts.iter().map(|_| Default::default()).collect();
    for round in 0..=ROUNDS {
        for (lanes, each) in [(&mut many, JOBS), (&mut alone, ALONE)] {
            let (in_flight, is_alone) = (lanes.len(), lanes.len() == 1);
            let count = in_flight * each;
            let per_job = 1.0 / f64::from(u32::try_from(count)?);
            for (part, row) in parts.iter().zip(&mut rows) {
                let (mut took, mut scripts) = ([0.0; 2], [0.0; 2]);
                for which in in_turn(round) {
                    let before = server.scripts()?.micros;
                    if which == 0 {
                        for step in part.steps {
                            if *step == Step::Register {
                                lanes.iter_mut().for_each(Lane::clear);
                            }
                            took[0] += run(lanes, *step, each).await?.as_secs_f64();
                        }
                    } else if !part.call.is_empty() {
                        took[1] = queue.call(part.call, count, in_flight)?.as_secs_f64();
                    }
                    let micros = u32::try_from(server.scripts()?.micros - before)?;
                    scripts[which] = f64::from(micros) * per_job;
                }
                // The first round warms up.
                if round == 0 {
                    continue;
                }
                if is_alone {
                    row[1].push(took[0] * per_job * 1e6, took[1] * per_job * 1e6);
                } else {
                    row[0].push(1.0 / (took[0] * per_job), 1.0 / (took[1] * per_job));
                    row[2].push(scripts[0], scripts[1]);
                }
            }
        }
    }
    println!(
        "| registry; {name} | throughput, ratio | time of one, ratio | scripts, ratio | jobs/s | \
         {name} | one, µs | {name} | scripts, µs | {name} |\n\
         |---|---|---|---|---:|---:|---:|---:|---:|---:|"
    );
    for (part, row) in parts.iter().zip(&rows) {
        if part.name.is_empty() {
            continue;
        }
        let ratios = row.each_ref().map(Pairs::ratio).join(" | ");
        let medians = row
            .iter()
            .flat_map(|pairs| [median(&pairs.first), median(&pairs.second)])
            .map(whole);
        let medians = medians.collect::<Vec<_>>().join(" | ");
        println!("| {} | {ratios} | {medians} |", part.name);
    }
    println!();
    Ok(())
}
