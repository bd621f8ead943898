//! The command line.

use crate::api::{AppState, Config};
use crate::demo::{self, Failure};
use crate::render::TextStudio;
use crate::server::Server;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long requests and runs may take to end when the service is stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// Renders Markdown decks to PNG and animated GIF over HTTP.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service on 127.0.0.1 until it is interrupted.
    Serve(Serve),
    /// Start the service, submit five decks at once, and check from the outside that no race shows.
    Demo(Demo),
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// How long an ended presentation and its files stay, like "90s" or "5m".
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration)]
    pub retention: Duration,
    /// Presentations at a time, ended ones included until they are removed.
    #[arg(long, default_value_t = Config::default().capacity)]
    pub capacity: usize,
    /// Where the files are kept [default: the system's directory for temporary files].
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Decks or other Markdown documents; without any, documents of this repository.
    #[arg(value_name = "DECK.md")]
    pub decks: Vec<PathBuf>,
}

/// Does what the command line says.
///
/// # Errors
///
/// What kept it from being done. A demo whose checks fail is no error; its exit code tells.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(options) => serve(options).await.map(|()| ExitCode::SUCCESS),
        Command::Demo(options) => {
            let passed = demo::run(&options.decks).await?;
            Ok(if passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}

async fn serve(options: Serve) -> Result<(), Failure> {
    let mut config = Config {
        capacity: options.capacity,
        retention: options.retention,
        ..Config::default()
    };
    if let Some(output) = options.output {
        tokio::fs::create_dir_all(&output).await?;
        config.files = output;
    }
    let retention = humantime::format_duration(config.retention);
    let (capacity, files) = (config.capacity, config.files.display().to_string());
    let state = AppState::new(config, Arc::new(TextStudio::default()));
    let server = Server::start(options.port, state).await?;
    println!("listening on http://{}/api/presentations", server.address());
    println!("at most {capacity} presentations, each kept {retention} after its end, in {files}");
    interrupted().await?;
    println!("stopping: what runs is cancelled, all files are deleted");
    println!("stopped: {}", server.shutdown(PATIENCE).await?);
    Ok(())
}

/// Waits for ctrl-c, or for what a service manager sends.
async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupt = tokio::signal::ctrl_c() => interrupt,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
