//! Checks several replicas from outside, while one is killed, one is paused, and the store is
//! killed and started again.
//!
//! | phase | what happens |
//! |---|---|
//! | submit | most decks go to the first replica, and one to each of the others; clients poll and follow every presentation at every replica |
//! | kill | the first replica is killed while it draws; its presentations stall, and clients retry them at the others |
//! | pause | the second replica is paused until its presentations have been retried elsewhere, and goes on then |
//! | restart | the store is killed, and started again |
//! | removal | every presentation completes, is downloaded at every replica, and is removed |
//! | stop | the second replica is told to stop while it draws; the last one serves its presentation |

mod clients;
mod ledger;
mod processes;
mod report;

use super::Failure;
use super::sources::{self, Source};
use super::track::frames;
use crate::state::Config;
use clients::Face;
use futures_util::future::join_all;
use ledger::Ledger;
use processes::{Process, Server};
use report::{Delivered, Report};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

const RETENTION: Duration = Duration::from_secs(6);
const HEARTBEAT: Duration = Duration::from_millis(300);
const STALL_AFTER: Duration = Duration::from_secs(3);
const NAMESPACE: &str = "demo";
const PAINTERS: &str = "2";
/// Time limit for an event that must happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Interval at which conditions are checked.
const CHECK: Duration = Duration::from_millis(20);

/// Runs the demo on these documents, or on the repository's. Returns whether every check passed.
///
/// # Errors
///
/// Returns an error if there is no Redis server, or if a phase does not come to its end. Every
/// process that was started has ended then, too.
pub async fn run(documents: &[PathBuf], replicas: u8) -> Result<bool, Failure> {
    let began = Instant::now();
    let decks = sources::decks(documents, &Config::default().deck, &sources::SHORT)?;
    let mut demo = Demo::start(usize::from(replicas))?;
    let result = demo.phases(&decks).await;
    if let Err(error) = &result {
        // The last answers before the error help to explain it.
        for job in &demo.jobs {
            let latest = demo.ledger.seen(&job.id).latest;
            let shown = latest.map(|it| format!("{} {} {:?}", it.status, it.progress, it.reason));
            println!("        {} of replica {}: {shown:?}", job.id, job.owner);
        }
        for sentence in demo.ledger.violations() {
            println!("        {sentence}");
        }
        for (number, process) in (1..).zip(&demo.processes) {
            for line in process.errors() {
                println!("        replica {number}: {line}");
            }
        }
        println!("\nthe demo was not completed: {error}");
    }
    Ok(result?.print(&demo.ledger, began.elapsed()))
}

/// A presentation of the demo.
struct Job {
    id: String,
    /// Number of the replica that draws its present attempt.
    owner: usize,
    /// Number of attempts that were lost with their replica.
    lost: u32,
}

struct Demo {
    ledger: Arc<Ledger>,
    faces: Vec<Face>,
    jobs: Vec<Job>,
    clients: JoinSet<()>,
    downloads: Vec<JoinHandle<Result<Delivered, Failure>>>,
    processes: Vec<Process>,
    // Dropped after the replicas, which would otherwise log that it is away.
    redis: Server,
    folder: TempDir,
}

impl Demo {
    fn start(replicas: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let redis = Server::start(&folder.path().join("redis"))?;
        println!("the store is process {}, on {}", redis.id(), redis.url());
        let ledger = Arc::new(Ledger::new(RETENTION));
        let mut demo = Self {
            ledger,
            faces: Vec::new(),
            jobs: Vec::new(),
            clients: JoinSet::new(),
            downloads: Vec::new(),
            processes: Vec::new(),
            redis,
            folder,
        };
        for number in 1..=replicas {
            demo.start_replica(number)?;
        }
        Ok(demo)
    }

    fn start_replica(&mut self, number: usize) -> Result<(), Failure> {
        let time = |time: Duration| humantime::format_duration(time).to_string();
        let files = self.files().display().to_string();
        let url = self.redis.url();
        let options = [
            ["--port", "0"],
            ["--log", "warn"],
            ["--store", &url],
            ["--files", &files],
            ["--namespace", NAMESPACE],
            ["--painters", PAINTERS],
            ["--retention", &time(RETENTION)],
            ["--heartbeat", &time(HEARTBEAT)],
            ["--stall-after", &time(STALL_AFTER)],
            ["--deadline", "20s"],
        ];
        let options: Vec<String> = options.concat().into_iter().map(str::to_owned).collect();
        let log = self.folder.path().join(format!("replica-{number}.log"));
        let process = Process::start(&options, &log)?;
        println!(
            "replica {number} is process {}, on {}",
            process.id(),
            process.url
        );
        self.faces
            .push(Face::new(number, &process.url, &self.ledger));
        self.processes.push(process);
        Ok(())
    }

    /// The folder of the files.
    fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    async fn phases(&mut self, decks: &[Source]) -> Result<Report, Failure> {
        let mut report = Report::default();
        self.submit(decks, &mut report).await?;
        self.kill(&mut report).await?;
        self.pause(&mut report).await?;
        self.restart(&mut report).await?;
        self.remove(&mut report).await?;
        self.stop(&decks[0], &mut report).await?;
        report.jobs = self.jobs.len();
        for job in &self.jobs {
            let seen = self.ledger.seen(&job.id);
            report.attempts += seen.ends.len();
            report.ended_once += usize::from(report::ended_once(&seen, job.lost));
        }
        let errors = self.processes.iter().flat_map(Process::errors);
        report.errors = errors.collect();
        Ok(report)
    }

    /// Submits the decks, and has every presentation watched at every replica.
    async fn submit(&mut self, decks: &[Source], report: &mut Report) -> Result<(), Failure> {
        let others = self.faces[1..].iter().map(|face| face.number);
        let owners: Vec<usize> = decks.iter().map(|_| 1).chain(others).collect();
        for (number, owner) in owners.into_iter().enumerate() {
            let deck = &decks[number % decks.len()];
            self.submit_one(deck, &format!("deck {number}"), owner)
                .await?;
        }
        // A client that got no answer repeats its request at another replica.
        for (number, job) in self.jobs.iter().take(decks.len()).enumerate() {
            let key = format!("deck {number}");
            let again = self.faces[1].submit(&decks[number], &key).await?;
            report.repeated += 1;
            report.same += usize::from(again == job.id);
        }
        println!(
            "{} decks submitted, {} of them to replica 1",
            self.jobs.len(),
            decks.len()
        );
        Ok(())
    }

    async fn submit_one(&mut self, deck: &Source, key: &str, owner: usize) -> Result<(), Failure> {
        let id = self.faces[owner - 1].submit(deck, key).await?;
        for face in self.faces.iter().filter(|face| !face.left.is_cancelled()) {
            self.clients.spawn(face.clone().poll(id.clone()));
            self.clients.spawn(face.clone().follow(id.clone()));
        }
        let (faces, ledger) = (self.faces.clone(), Arc::clone(&self.ledger));
        let delivering = deliver(faces, ledger, id.clone());
        self.downloads.push(tokio::spawn(delivering));
        self.jobs.push(Job { id, owner, lost: 0 });
        Ok(())
    }

    /// Kills the first replica while it draws, and retries its presentations at the others.
    async fn kill(&mut self, report: &mut Report) -> Result<(), Failure> {
        let of_first = || self.jobs.iter().filter(|job| job.owner == 1);
        let has_worked = || {
            let completed = of_first().filter(|job| self.is(job, "completed")).count();
            let waiting = of_first().filter(|job| self.progress(job) == Some(0.0));
            completed > 0 && self.drawing(1).len() > 1 && waiting.count() > 0
        };
        until("replica 1 draws, and others wait", has_worked).await?;
        let before: Vec<_> = self.drawing(1);
        let moved = |(id, progress): &(String, f64)| {
            let seen = self.ledger.seen(id).latest;
            seen.is_some_and(|view| view.progress > *progress)
        };
        until("replica 1 goes on", || before.iter().any(moved)).await?;
        self.faces[0].leave();
        self.processes[0].kill()?;
        for job in of_first() {
            self.faces[1].look(&job.id).await?;
        }
        report.killed_drawing = self.drawing(1).len();
        let lost = self.live_of(1);
        report.killed = lost.len();
        println!(
            "replica 1 is killed: {} drawn, {} waiting",
            report.killed_drawing,
            lost.len() - report.killed_drawing
        );
        let to: Vec<usize> = self.faces[1..].iter().map(|face| face.number).collect();
        report.stalled += self.revive(&lost, &to).await?;
        println!("they stalled, and are retried at the other replicas");
        Ok(())
    }

    /// Pauses the second replica until its presentations are drawn by the last one.
    async fn pause(&mut self, report: &mut Report) -> Result<(), Failure> {
        let draws = || !self.drawing(2).is_empty();
        until("replica 2 draws", draws).await?;
        self.processes[1].signal("-STOP")?;
        for job in &self.jobs {
            self.faces[2].look(&job.id).await?;
        }
        let affected = self.live_of(2);
        report.paused = affected.len();
        println!("replica 2 is paused, with {} presentations", report.paused);
        let last = self.faces.len();
        report.stalled += self.revive(&affected, &[last]).await?;
        let goes_on = || {
            let mut jobs = affected.iter().map(|index| &self.jobs[*index]);
            jobs.any(|job| self.is(job, "completed") || self.progress(job) > Some(0.0))
        };
        until("the last replica draws one of them", goes_on).await?;
        self.processes[1].signal("-CONT")?;
        println!("they are retried at replica {last}, and replica 2 goes on");
        Ok(())
    }

    /// Kills the store while presentations are drawn, and starts it again.
    async fn restart(&mut self, report: &mut Report) -> Result<(), Failure> {
        let draws = || !self.drawing(self.faces.len()).is_empty();
        until("the last replica draws", draws).await?;
        let before = self.ledger.totals().away;
        self.redis.kill()?;
        println!("the store is killed");
        let refuse = || self.ledger.totals().away > before;
        until("clients learn that the store is away", refuse).await?;
        report.away = self.ledger.totals().away - before;
        self.redis.restart()?;
        println!("the store is started again, as process {}", self.redis.id());
        Ok(())
    }

    /// Waits until every presentation is completed, and then until it is removed.
    async fn remove(&mut self, report: &mut Report) -> Result<(), Failure> {
        let completed = || self.jobs.iter().all(|job| self.is(job, "completed"));
        until("every presentation completes", completed).await?;
        println!("every presentation is completed");
        for download in self.downloads.drain(..) {
            report.delivered.push(download.await??);
        }
        let living: Vec<usize> = self.faces[1..].iter().map(|face| face.number).collect();
        let gone = |job: &Job| {
            let seen = self.ledger.seen(&job.id);
            living.iter().all(|replica| seen.gone.contains(replica))
        };
        let removed = || self.jobs.iter().all(gone);
        until("every presentation is removed", removed).await?;
        report.removed = self.jobs.len();
        report.living = living.len();
        for face in &self.faces[1..] {
            report.listed += face.list().await?.len();
        }
        // Files are deleted before their job is removed, or at the latest by the next cleaning.
        let files = self.files();
        let _ = until("the files are deleted", || count(&files) == 0).await;
        report.files_left = count(&files);
        report.keys_left = self.lasting_keys()?;
        println!("every presentation is removed");
        Ok(())
    }

    /// Tells the second replica to stop while it draws, and then the others.
    async fn stop(&mut self, deck: &Source, report: &mut Report) -> Result<(), Failure> {
        let last = self.faces.len();
        self.submit_one(deck, "kept", last).await?;
        self.submit_one(deck, "drained", 2).await?;
        let draws = || !self.drawing(2).is_empty();
        until("replica 2 draws", draws).await?;
        // Its streams end with an announcement, and go on at other replicas.
        self.faces[1].leave();
        report.exits.push(self.processes[1].stop().await?);
        let drained = self.jobs.len() - 1;
        self.faces[last - 1].look(&self.jobs[drained].id).await?;
        report.drained = self.is(&self.jobs[drained], "completed");
        let completed = || self.is(&self.jobs[drained - 1], "completed");
        until("the last replica goes on", completed).await?;
        for download in self.downloads.drain(..) {
            report.delivered.push(download.await??);
        }
        println!("replica 2 has stopped, and replica {last} serves its presentation");
        for face in &self.faces[2..] {
            face.leave();
        }
        for process in &mut self.processes[2..] {
            report.exits.push(process.stop().await?);
        }
        let keys = self.lasting_keys()?;
        report.kept = keys.iter().filter(|key| key.contains("}:j:")).count();
        report.kept_files = count(&self.files());
        Ok(())
    }

    /// Waits until the presentations have stalled, and retries them at these replicas in turn.
    /// Returns how many were judged stalled.
    async fn revive(&mut self, lost: &[usize], to: &[usize]) -> Result<usize, Failure> {
        let mut stalled = 0;
        for (index, owner) in lost.iter().zip(to.iter().cycle()) {
            let job = &self.jobs[*index];
            let attempt = job.lost + 1;
            let ended = || self.ledger.seen(&job.id).ends.contains_key(&attempt);
            until("a lost presentation ends", ended).await?;
            let reason = self.ledger.seen(&job.id).reasons.remove(&attempt);
            let reason = reason.unwrap_or_default();
            stalled += usize::from(reason.starts_with("stalled: no heartbeat for "));
            self.faces[owner - 1].retry(&job.id).await?;
            let job = &mut self.jobs[*index];
            (job.owner, job.lost) = (*owner, attempt);
        }
        Ok(stalled)
    }

    /// Returns the indices of the live presentations of a replica.
    fn live_of(&self, replica: usize) -> Vec<usize> {
        let of_replica = self.jobs.iter().enumerate();
        let of_replica = of_replica.filter(|(_, job)| job.owner == replica);
        let live = of_replica.filter(|(_, job)| self.progress(job).is_some());
        live.map(|(index, _)| index).collect()
    }

    /// Returns the presentations that a replica draws, with their progress.
    fn drawing(&self, replica: usize) -> Vec<(String, f64)> {
        let of_replica = self.jobs.iter().filter(|job| job.owner == replica);
        let begun = of_replica.filter_map(|job| Some((job.id.clone(), self.progress(job)?)));
        begun.filter(|(_, progress)| *progress > 0.0).collect()
    }

    /// Returns the progress of a live presentation, on the attempt of its present owner.
    fn progress(&self, job: &Job) -> Option<f64> {
        let view = self.ledger.seen(&job.id).latest?;
        let is_live = view.ended_at.is_none() && view.attempt == job.lost + 1;
        is_live.then_some(view.progress)
    }

    fn is(&self, job: &Job, status: &str) -> bool {
        self.ledger.seen(&job.id).is(status)
    }

    /// Returns the keys of presentations. The namespace itself has two more.
    fn lasting_keys(&self) -> Result<Vec<String>, Failure> {
        let mut keys = self.redis.lasting_keys()?;
        keys.retain(|key| !key.ends_with("}:meta") && !key.ends_with("}:count"));
        Ok(keys)
    }
}

/// Waits for a condition.
async fn until(what: &str, is: impl Fn() -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        if Instant::now() > deadline {
            return Err(format!("not within {PATIENCE:?}: {what}").into());
        }
        sleep(CHECK).await;
    }
    Ok(())
}

/// Waits until a presentation is completed, and downloads it at every living replica.
async fn deliver(faces: Vec<Face>, ledger: Arc<Ledger>, id: String) -> Result<Delivered, Failure> {
    // The phases have limits of their own.
    while !ledger.seen(&id).is("completed") {
        sleep(CHECK).await;
    }
    let pictures = ledger.seen(&id).latest.map(|view| view.payload.slides);
    let mut delivered = Delivered::default();
    let mut first: Option<Vec<u8>> = None;
    // At once, because one of them may be paused.
    let living = faces.iter().filter(|face| !face.left.is_cancelled());
    let downloads = living.map(async |face| (face, face.download(&id).await));
    for (face, file) in join_all(downloads).await {
        let file = match file {
            // The replica was killed meanwhile.
            Err(_) if face.left.is_cancelled() => continue,
            file => file?,
        };
        let Some(file) = file else { continue };
        delivered.downloads += 1;
        delivered.same &= first.as_ref().is_none_or(|first| *first == file);
        first = Some(file);
    }
    let file = first.ok_or("no replica is left")?;
    let found = tokio::task::spawn_blocking(move || frames(&file)).await??;
    delivered.is_whole = Some(found) == pictures;
    delivered.frames = found;
    Ok(delivered)
}

/// Counts the entries of a folder.
fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}
