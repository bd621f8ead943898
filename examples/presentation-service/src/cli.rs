//! The command line.

use crate::demo::{self, Failure, replicas};
use crate::metrics::Metrics;
use crate::render::{FontLibrary, PageSize, TextStudio};
use crate::replica::Sharing;
use crate::server::{Server, Stop};
use crate::state::{AppState, Config};
use crate::store::Store;
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
    /// Start the service, submit decks, and check from outside that no race occurs.
    ///
    /// With --replicas, it starts a Redis server and several replicas, kills one of them, restarts
    /// the server, and checks that nothing is lost.
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
    /// cancel the rest. A replica always does, for three fifths.
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
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    pub output: Option<PathBuf>,
    /// Redis server that has the presentations, like `redis://localhost:6379`. Processes with the
    /// same store, namespace and files are replicas of one service: each answers for every
    /// presentation. Without it, the presentations are in memory and end with the process.
    #[arg(long, value_name = "URL", requires = "files")]
    pub store: Option<String>,
    /// Directory for the files, which all replicas share; with --store.
    #[arg(long, value_name = "DIR", requires = "store")]
    pub files: Option<PathBuf>,
    /// Namespace of the presentations in the store, so that several services can share it.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "presentations",
        requires = "store"
    )]
    pub namespace: String,
    /// Silence of a replica above which its presentations fail as stalled and can be retried, at
    /// least three times --heartbeat; with --store.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration, requires = "store")]
    pub stall_after: Duration,
    /// Time after which an attempt that has not ended fails, waiting included; with --store.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration, requires = "store")]
    pub give_up_after: Duration,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Decks or other Markdown documents; by default, documents of this repository.
    #[arg(value_name = "DECK.md")]
    pub decks: Vec<PathBuf>,
    /// Number of replicas, from 3 to 9, on a Redis server that the demo starts and restarts. One of
    /// them is killed while it draws.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(3..=9))]
    pub replicas: Option<u8>,
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
            let passed = match options.replicas {
                None => demo::run(&options.decks).await?,
                Some(replicas) => {
                    // The processes that it has started end with it.
                    let mut signals = Signals::new()?;
                    tokio::select! {
                        passed = replicas::run(&options.decks, replicas) => passed?,
                        () = signals.wait() => return Err("interrupted".into()),
                    }
                }
            };
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
    let signals = Signals::new()?;
    let mut config = Config {
        capacity: options.capacity,
        retention: options.retention,
        painters: options.painters,
        heartbeat: options.heartbeat,
        ..Config::default()
    };
    if let Some(files) = options.output.as_ref().or(options.files.as_ref()) {
        tokio::fs::create_dir_all(files).await?;
        config.files.clone_from(files);
    }
    let page = PageSize::default();
    let fonts = FontLibrary::with_directories(&options.fonts)?;
    let studio = Arc::new(TextStudio { page, fonts });
    if let Some(sharing) = options.sharing()? {
        let state = AppState::connect(sharing, config, studio).await?;
        return run_service(state, &options, signals).await;
    }
    run_service(AppState::new(config, studio), &options, signals).await
}

impl Serve {
    /// Returns the store that replicas share, if there is one.
    fn sharing(&self) -> Result<Option<Sharing>, Failure> {
        let Some(url) = &self.store else {
            return Ok(None);
        };
        if self.stall_after / 3 < self.heartbeat {
            return Err("--stall-after has to be at least three times --heartbeat".into());
        }
        Ok(Some(Sharing {
            url: url.clone(),
            namespace: self.namespace.clone(),
            stall_after: self.stall_after,
            give_up_after: self.give_up_after,
        }))
    }
}

/// Serves until a signal comes.
async fn run_service<S: Store>(
    state: AppState<S>,
    options: &Serve,
    mut signals: Signals,
) -> Result<ExitCode, Failure> {
    let (retention, capacity) = (state.config.retention, state.config.capacity);
    let (retention, files) = (
        humantime::format_duration(retention),
        state.config.files.display().to_string(),
    );
    let metrics = Some(Metrics::install()?);
    let server = Server::start(options.port, AppState { metrics, ..state }).await?;
    say(&format!("listening on http://{}/", server.address()));
    say(&format!(
        "at most {capacity} presentations, each kept for {retention} after its end, in {files}"
    ));
    signals.wait().await;
    let (deadline, drain) = (options.deadline, options.drain);
    say(match (&options.store, drain) {
        (Some(_), _) => "stopping: own presentations may end; the store and the files stay",
        (None, true) => "stopping: running presentations may end, then all files are deleted",
        (None, false) => "stopping: running presentations are cancelled, all files are deleted",
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
