//! The command line.

use crate::demo::{self, Failure};
use crate::metrics::Metrics;
use crate::render::{FontLibrary, PageSize, TextStudio};
use crate::server::{Server, Stop};
use crate::state::{AppState, Config};
use clap::{Args, Parser, Subcommand};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// Renders Markdown decks to PNG and animated GIF over HTTP.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// Subcommand to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service on 127.0.0.1 until it is interrupted.
    Serve(Serve),
    /// Start the service, submit five decks at once, and check from outside that no race occurs.
    Demo(Demo),
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Port to listen on; 0 chooses a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// How long an ended presentation and its files are kept, like "90s" or "5m".
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration)]
    pub retention: Duration,
    /// Maximum number of presentations, including ended ones that are not yet removed.
    #[arg(long, default_value_t = Config::default().capacity)]
    pub capacity: usize,
    /// Maximum number of presentations that are drawn at a time; the others wait.
    #[arg(long, default_value_t = Config::default().painters)]
    pub painters: usize,
    /// Interval of the heartbeats of a running presentation.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub heartbeat: Duration,
    /// How long requests and presentations may take to end when the service is stopped.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub deadline: Duration,
    /// When stopped, let presentations end by themselves for four fifths of the deadline, and then
    /// cancel the rest.
    #[arg(long)]
    pub drain: bool,
    /// Level of the log on standard error: error, warn, info, debug, trace or off.
    #[arg(long, default_value = "info")]
    pub log: LevelFilter,
    /// Directory with fonts (.ttf, .otf, .ttc) for scripts that the compiled-in fonts lack; can be
    /// given several times.
    #[arg(long, value_name = "DIR")]
    pub fonts: Vec<PathBuf>,
    /// Directory for the files [default: the system's directory for temporary files].
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Decks or other Markdown documents; by default, documents of this repository.
    #[arg(value_name = "DECK.md")]
    pub decks: Vec<PathBuf>,
}

/// Runs the subcommand.
///
/// # Errors
///
/// The error that prevented the run. A demo with failed checks is not an error; its exit code shows
/// them.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(options) => serve(options).await,
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

async fn serve(options: Serve) -> Result<ExitCode, Failure> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // Otherwise an error of standard error is printed there, and panics in the code that logs.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(options.log)
        .init();
    // The handlers are installed before the address is printed, so that no signal comes too early.
    let mut signals = Signals::new()?;
    let mut config = Config {
        capacity: options.capacity,
        retention: options.retention,
        painters: options.painters,
        heartbeat: options.heartbeat,
        ..Config::default()
    };
    if let Some(output) = options.output {
        tokio::fs::create_dir_all(&output).await?;
        config.files = output;
    }
    let page = PageSize::default();
    let fonts = FontLibrary::with_directories(&options.fonts)?;
    let studio = TextStudio { page, fonts };
    let retention = humantime::format_duration(config.retention);
    let (capacity, files) = (config.capacity, config.files.display().to_string());
    let state = AppState {
        metrics: Some(Metrics::install()?),
        ..AppState::new(config, Arc::new(studio))
    };
    let server = Server::start(options.port, state).await?;
    say(&format!("listening on http://{}/", server.address()));
    say(&format!(
        "at most {capacity} presentations, each kept for {retention} after its end, in {files}"
    ));
    signals.wait().await;
    let (deadline, drain) = (options.deadline, options.drain);
    say(if drain {
        "stopping: running presentations may end, then all files are deleted"
    } else {
        "stopping: running presentations are cancelled, all files are deleted"
    });
    let stopped = server.stop(Stop { deadline, drain }).await?;
    say(&format!("stopped: {stopped}"));
    for path in &stopped.left {
        tracing::error!(path = %path.display(), "left behind");
    }
    Ok(if stopped.left.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints a line. A closed standard output must not stop the service.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Ctrl-c, and the signal of service managers.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    #[allow(clippy::unnecessary_wraps)] // as above
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn wait(&mut self) {
        // Without a signal handler, only a kill ends the service.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
