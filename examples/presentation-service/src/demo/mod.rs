//! Checks the service from outside, by HTTP alone: it submits many decks at once, compares every
//! answer with the previous one, and waits until everything is removed.

mod checks;
mod client;
mod progress;
pub mod replicas;
mod report;
mod sources;
mod track;

use crate::render::TextStudio;
use crate::server::Server;
use crate::state::{AppState, Config};
use client::Client;
use futures_util::future::try_join_all;
use progress::Progress;
use report::Report;
use sources::Source;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use track::{Followed, follow};

/// Short, so that the demo includes the removals.
const RETENTION: Duration = Duration::from_secs(3);
const HEARTBEAT: Duration = Duration::from_millis(100);
/// Time limit for the deletion of a removed presentation's files.
const DELETION: Duration = Duration::from_secs(2);

/// An error that prevented the checks.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs the demo on these documents, or on the repository's. Returns whether every check passed.
///
/// # Errors
///
/// Returns an error if the service or the client could not work.
pub async fn run(documents: &[PathBuf]) -> Result<bool, Failure> {
    let began = Instant::now();
    let config = Config::default();
    let decks = sources::decks(documents, &config.deck, &sources::LONG)?;
    let files = tempfile::tempdir()?;
    let config = Config {
        retention: RETENTION,
        heartbeat: HEARTBEAT,
        files: files.path().to_owned(),
        ..config
    };
    let state = AppState::new(config, Arc::new(TextStudio::default()));
    let server = Server::start(0, state).await?;
    println!("serving on http://{}", server.address());
    println!("{} decks, submitted at once:", decks.len());
    for deck in &decks {
        println!("  {:<34} {:>3} slides", deck.title, deck.slides);
    }
    println!();

    let client = Client::new(server.address());
    let accepted = submit(&client, &decks).await?;
    let progress = Progress::new(&decks);
    let following = accepted.iter().zip(0..).map(|(id, number)| {
        let bar = progress.bar(number);
        follow(&client, id.clone(), bar, RETENTION)
    });
    let (followed, most_files) = watch_files(files.path(), try_join_all(following)).await;
    let followed = followed?;
    progress.finish();
    let left = files_left(files.path()).await?;
    let unknown = client.status_of("AAAAAAAAAAAAAAAAAAAAAA").await?;
    server.shutdown(Duration::from_secs(10)).await?;

    let report = Report {
        decks: &decks,
        followed: &followed,
        most_files,
        left,
        unknown,
        took: began.elapsed(),
        retention: RETENTION,
    };
    Ok(report.print())
}

/// Submits all decks at once, without waiting for answers in between.
async fn submit(client: &Client, decks: &[Source]) -> Result<Vec<String>, Failure> {
    try_join_all(decks.iter().map(|deck| client.submit(deck))).await
}

/// Counts the files until `following` is done, and returns the largest count.
async fn watch_files<F: Future<Output = Result<Vec<Followed>, Failure>>>(
    root: &Path,
    following: F,
) -> (F::Output, usize) {
    let mut most = 0;
    let mut following = std::pin::pin!(following);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            followed = &mut following => return (followed, most),
            _ = tick.tick() => most = most.max(count(root)),
        }
    }
}

/// Counts the remaining files after a short wait. A removed job answers 410 shortly before its
/// files are deleted, because nothing is deleted under a lock.
async fn files_left(root: &Path) -> Result<usize, Failure> {
    let deadline = Instant::now() + DELETION;
    while Instant::now() < deadline && std::fs::read_dir(root)?.next().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // An empty directory is a leak as well.
    Ok(count(root) + std::fs::read_dir(root)?.count())
}

/// Counts the files in the directories below `root`. A directory that disappears meanwhile has
/// none.
fn count(root: &Path) -> usize {
    let Ok(directories) = std::fs::read_dir(root) else {
        return 0;
    };
    directories
        .flatten()
        .filter_map(|directory| std::fs::read_dir(directory.path()).ok())
        .map(Iterator::count)
        .sum()
}
