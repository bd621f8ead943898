//! Throughput, and the time of the scripts of sweeps and pages, as the number of jobs grows.
//!
//! Throughput is compared with that of a second server, which always has 1,000 jobs. All jobs are
//! running, and have a limit of silence and a deadline, so that they are in every sorted set. Calls
//! are made by id, for jobs from all over the namespace.

use crate::pairs::{Pairs, median, quantile, whole};
use crate::server::Server;
use crate::steps::in_turn;
use crate::{IN_FLIGHT, Result};
use job_registry::{JobId, Options, Progress, Swept};
use job_registry_redis::{Cursor, JobRegistry};
use std::time::{Duration, Instant};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const ROUNDS: usize = 21;
/// Jobs of each of the calls in flight in a round: 960 in all, of at least 1,000.
const JOBS: usize = 15;
/// Jobs of a sweep, and of a walk by pages.
const SWEPT: usize = 1_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Entry of `SLOWLOG`: number, time, microseconds, arguments, address and name.
type Entry = (u64, u64, u32, Vec<Vec<u8>>, String, String);

/// A server with a number of jobs.
struct Filled {
    server: Server,
    jobs: JobRegistry<String>,
    ids: Vec<JobId>,
    /// Index from which the next round takes its jobs.
    next: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Call {
    Register,
    Start,
    Advance,
    Complete,
    Remove,
}

impl Filled {
    async fn start() -> Result<Self> {
        let server = Server::start()?;
        let builder = JobRegistry::builder(server.url(), "growth");
        let jobs = builder
            .capacity(2_000_000)
            .stall_after(DAY)
            .connect()
            .await?;
        Ok(Self {
            server,
            jobs,
            ids: Vec::new(),
            next: 0,
        })
    }

    /// Registers and starts jobs until there are this many.
    async fn fill(&mut self, count: usize) -> Result<()> {
        let missing = count.saturating_sub(self.ids.len());
        let options = Options::new().deadline(DAY);
        self.ids.extend(self.begin(missing, options).await?);
        Ok(())
    }

    /// Registers and starts jobs, many at once.
    async fn begin(&self, count: usize, options: Options) -> Result<Vec<JobId>> {
        let mut tasks = Vec::new();
        for lane in 0..IN_FLIGHT {
            let jobs = self.jobs.clone();
            tasks.push(tokio::spawn(async move {
                let mut ids = Vec::new();
                for _ in (lane..count).step_by(IN_FLIGHT) {
                    let job = jobs.register_with(&payload(), options).await?;
                    job.start().await?;
                    ids.push(job.detach());
                }
                Result::Ok(ids)
            }));
        }
        let mut ids = Vec::new();
        for task in tasks {
            ids.extend(task.await??);
        }
        Ok(ids)
    }

    /// Makes a call for each of the jobs at these indices. Returns the calls a second.
    async fn call(&mut self, call: Call, indices: &[usize]) -> Result<f64> {
        let began = Instant::now();
        let mut tasks = Vec::new();
        for lane in indices.chunks(JOBS) {
            let jobs = self.jobs.clone();
            let lane: Vec<_> = lane
                .iter()
                .map(|index| (*index, self.ids[*index]))
                .collect();
            tasks.push(tokio::spawn(async move {
                let mut registered = Vec::new();
                for (index, id) in lane {
                    match call {
                        Call::Register => {
                            let options = Options::new().deadline(DAY);
                            let job = jobs.register_with(&payload(), options).await?;
                            registered.push((index, job.detach()));
                        }
                        Call::Start => jobs.start(id).await?,
                        Call::Advance => drop(jobs.advance(id, Progress::percent(50.0)?).await?),
                        Call::Complete => jobs.complete(id).await?,
                        Call::Remove => jobs.remove(id).await?,
                    }
                }
                Result::Ok(registered)
            }));
        }
        let mut registered = Vec::new();
        for task in tasks {
            registered.extend(task.await??);
        }
        let calls = f64::from(u32::try_from(indices.len())?);
        let rate = calls / began.elapsed().as_secs_f64();
        for (index, id) in &registered {
            self.ids[*index] = *id;
        }
        Ok(rate)
    }

    /// Returns the indices of jobs from all over the namespace, others each time.
    fn pick(&mut self) -> Vec<usize> {
        /// A prime, so that a round takes no job twice.
        const STRIDE: usize = 7_919;
        let picked = (0..IN_FLIGHT * JOBS).map(|i| (self.next + i * STRIDE) % self.ids.len());
        let picked = picked.collect();
        self.next += 1;
        picked
    }

    /// Returns the times of the scripts that a call runs, in microseconds: of those that walk over
    /// a sorted set, and of those for many jobs.
    async fn scripts<R>(&self, call: impl Future<Output = Result<R>>) -> Result<[Vec<f64>; 2]> {
        let mut admin = self.server.admin()?;
        let mut slower_than = |micros: &str| -> Result<()> {
            let set = [
                "SET",
                "slowlog-log-slower-than",
                micros,
                "slowlog-max-len",
                "4096",
            ];
            redis::cmd("CONFIG").arg(&set).exec(&mut admin)?;
            Ok(())
        };
        slower_than("0")?;
        redis::cmd("SLOWLOG")
            .arg("RESET")
            .exec(&mut self.server.admin()?)?;
        call.await?;
        slower_than("-1")?;
        let get = redis::cmd("SLOWLOG").arg("GET").arg(-1).to_owned();
        let entries: Vec<Entry> = get.query(&mut self.server.admin()?)?;
        let mut times = [Vec::new(), Vec::new()];
        for (_, _, micros, words, ..) in entries {
            if words[0] == b"EVALSHA" {
                // A walk has the keys of the namespace alone.
                times[usize::from(words[2] != b"4")].push(f64::from(micros));
            }
        }
        Ok(times)
    }
}

fn payload() -> String {
    "16 bytes, JSON".to_owned()
}

/// Calls of a round, each with the index of its rates. Each job is replaced by a new one.
const ROUND: [(Call, Option<usize>); 5] = [
    (Call::Advance, Some(1)),
    (Call::Complete, Some(2)),
    (Call::Remove, None),
    (Call::Register, Some(0)),
    (Call::Start, None),
];

pub(crate) async fn print(is_large: bool) -> Result<()> {
    let sizes = &SIZES[..if is_large { 4 } else { 3 }];
    let (mut grown, mut small) = (Filled::start().await?, Filled::start().await?);
    small.fill(SIZES[0]).await?;
    println!(
        "## As the number of jobs grows\n\n\
         {ROUNDS} rounds of {} calls with {IN_FLIGHT} in flight, in turn with a server that has 1,000 \
         jobs. Medians, with the quartiles of the ratios.\n\n\
         | jobs | register, ratio | advance, ratio | complete, ratio | register, calls/s | \
         advance, calls/s | complete, calls/s |\n|---:|---|---|---|---:|---:|---:|",
        IN_FLIGHT * JOBS
    );
    let mut scripts: Vec<(&str, Vec<String>)> = Vec::new();
    for size in sizes {
        grown.fill(*size).await?;
        let mut rates = [Pairs::default(), Pairs::default(), Pairs::default()];
        for round in 0..ROUNDS {
            let picked = [grown.pick(), small.pick()];
            for (call, of) in ROUND {
                let mut pair = [0.0; 2];
                for which in in_turn(round) {
                    let side = if which == 0 { &mut grown } else { &mut small };
                    pair[which] = side.call(call, &picked[which]).await?;
                }
                if let Some(of) = of {
                    rates[of].push(pair[0], pair[1]);
                }
            }
        }
        let ratios = rates.each_ref().map(Pairs::ratio).join(" | ");
        let medians = rates.each_ref().map(|rates| whole(median(&rates.first)));
        let size = whole(f64::from(u32::try_from(*size)?));
        println!("| {size} | {ratios} | {} |", medians.join(" | "));
        for (number, (name, times)) in server_times(&grown).await?.into_iter().enumerate() {
            let most = quantile(&times, 1.0) / 1e3;
            let shown = format!("{most:.2} ({:.2})", median(&times) / 1e3);
            if scripts.len() <= number {
                scripts.push((name, Vec::new()));
            }
            scripts[number].1.push(shown);
        }
    }
    println!(
        "\nTimes of one script on the server, in milliseconds, by `SLOWLOG`: the longest, and the \
         median. Each is of {SWEPT} jobs.\n"
    );
    let sizes = sizes.iter().map(|size| u32::try_from(*size));
    let sizes = sizes.collect::<std::result::Result<Vec<_>, _>>()?;
    let sizes: Vec<String> = sizes.into_iter().map(|size| whole(size.into())).collect();
    println!("| script | {} |", sizes.join(" | "));
    println!("|---|{}", "---:|".repeat(sizes.len()));
    for (name, shown) in scripts {
        println!("| {name} | {} |", shown.join(" | "));
    }
    println!();
    Ok(())
}

/// Returns the times of the scripts of pages, sweeps and verdicts, in microseconds.
async fn server_times(filled: &Filled) -> Result<Vec<(&'static str, Vec<f64>)>> {
    let jobs = &filled.jobs;
    let mut times = Vec::new();
    let [walks, reads] = filled
        .scripts(async {
            // A cursor is a number of changes, of which there are at least two for each job.
            let middle: Cursor = filled.ids.len().to_string().parse()?;
            Ok(jobs.page(middle, SWEPT.min(filled.ids.len() / 2)).await?)
        })
        .await?;
    times.extend([
        ("page: ids of 100 jobs", walks),
        ("page: states of 100 jobs", reads),
    ]);

    for id in filled
        .begin(SWEPT, Options::new().retention(Duration::ZERO))
        .await?
    {
        jobs.complete(id).await?;
    }
    let [walks, removals] = swept(filled, |swept| swept.removed).await?;
    times.extend([
        ("sweep: ids of 16 jobs", walks),
        ("sweep: 16 removals", removals),
    ]);

    filled
        .begin(
            SWEPT,
            Options::new()
                .deadline(Duration::from_millis(1))
                // Not due yet in the sweep that ends the jobs.
                .retention(Duration::from_millis(1)),
        )
        .await?;
    let [_, deadlines] = swept(filled, |swept| swept.expired).await?;
    // A sweep that begins later removes them.
    swept(filled, |swept| swept.removed).await?;
    times.push(("sweep: 16 deadlines", deadlines));

    let stalled = Options::new()
        .stall_after(Duration::ZERO)
        .retention(Duration::ZERO);
    filled.begin(SWEPT, stalled).await?;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let [_, verdicts] = filled
        .scripts(async {
            let failed = jobs.fail_stalled().await?.len();
            (failed == SWEPT)
                .then_some(())
                .ok_or(format!("{failed} verdicts").into())
        })
        .await?;
    times.push(("16 stall verdicts", verdicts));
    swept(filled, |swept| swept.removed).await?;
    Ok(times)
}

/// Sweeps, and checks the number of jobs.
async fn swept(filled: &Filled, count: impl Fn(&Swept) -> usize) -> Result<[Vec<f64>; 2]> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    filled
        .scripts(async {
            let swept = filled.jobs.sweep().await?;
            let is_whole = count(&swept) == SWEPT;
            is_whole.then_some(()).ok_or(format!("{swept:?}").into())
        })
        .await
}
