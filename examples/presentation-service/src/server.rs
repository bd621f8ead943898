//! The service as a whole: a listener, the routes, the reaper, and an orderly end.

use crate::api::router;
use crate::jobs::Presentation;
use crate::state::AppState;
use job_registry::JobRegistry;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long the disk may take to delete everything, beyond the deadline.
const DELETION: Duration = Duration::from_secs(10);

/// How a service is stopped.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// How long requests and presentations may take to end.
    pub deadline: Duration,
    /// Whether presentations may come to their own end, for four fifths of that time.
    pub drain: bool,
}

/// What a stop came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Presentations that were cancelled.
    pub cancelled: usize,
    /// Presentations that a painter still had in hand at the deadline.
    pub painting: usize,
    /// Whether there were requests that had not come to their end.
    pub requests: bool,
    /// Directories that could not be deleted.
    pub left: Vec<PathBuf>,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cancelled,
            painting,
            requests,
            left,
        } = self;
        let requests = if *requests { "some" } else { "no" };
        let left = left.len();
        write!(
            f,
            "{cancelled} cancelled, {painting} still being drawn, {requests} requests still open, \
             {left} directories left"
        )
    }
}

/// A running service.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: AppState,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Starts the service on this machine's loopback address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Whatever binding the port answers.
    pub async fn start(port: u16, state: AppState) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        // The reaper lives as long as the registry: there is nothing to stop.
        drop(state.registry.spawn_reaper(state.config.sweep));
        // The same goes for the trash.
        drop(state.trash.spawn(state.config.delete_again));
        let (stop, stopped) = oneshot::channel();
        let routes = router(state.clone());
        let serving = tokio::spawn(async move {
            let stopped = async {
                // A sender that is gone means the same: nobody wants the service any more.
                let _ = stopped.await;
            };
            axum::serve(listener, routes)
                .with_graceful_shutdown(stopped)
                .await
        });
        Ok(Self {
            address,
            state,
            stop,
            serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its presentations.
    #[must_use]
    pub fn registry(&self) -> &JobRegistry<Presentation> {
        &self.state.registry
    }

    /// Ends the service at once: [`stop`](Self::stop) without a drain.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn shutdown(self, deadline: Duration) -> io::Result<Stopped> {
        let drain = false;
        self.stop(Stop { deadline, drain }).await
    }

    /// Ends the service: no new connections and presentations, subscribers are told, what runs ends or is
    /// cancelled, and all files are deleted. Requests and runs that are still busy at the deadline are
    /// left behind; their files are deleted all the same.
    ///
    /// # Errors
    ///
    /// Whatever the listener ended with; `TimedOut` when the disk has not deleted the files within
    /// another ten seconds.
    pub async fn stop(self, how: Stop) -> io::Result<Stopped> {
        let end = Instant::now() + how.deadline;
        let state = &self.state;
        // First the word, then the deed: a stream tells of the shutdown before it tells of the cancel.
        state.stopping.cancel();
        // Already gone when the listener failed; `serving` tells why.
        let _ = self.stop.send(());
        if how.drain {
            let drained = timeout(how.deadline * 4 / 5, ended(&state.registry)).await;
            drop(drained);
        }
        let rest = end.saturating_duration_since(Instant::now());
        let requests = timeout(rest, self.serving);
        let painters = timeout(rest, state.painters.idle());
        let runs = timeout(rest + DELETION, state.registry.shutdown(rest));
        let (served, _, runs) = tokio::join!(requests, painters, runs);
        let cancelled = runs.map_err(|_| too_slow())?.cancelled;
        let (registry, trash) = (state.registry.clone(), state.trash.clone());
        let delete = tokio::task::spawn_blocking(move || {
            remove_the_rest(&registry);
            trash.delete_again();
            trash.left()
        });
        let left = timeout(DELETION, delete).await.map_err(|_| too_slow())?;
        let stopped = Stopped {
            cancelled,
            painting: state.painters.underway(),
            requests: served.is_err(),
            left: left.map_err(io::Error::other)?,
        };
        if let Ok(joined) = served {
            joined.map_err(io::Error::other)??;
        }
        Ok(stopped)
    }
}

/// Waits until nothing is pending or running.
async fn ended(registry: &JobRegistry<Presentation>) {
    let is_live = || registry.iter().any(|seen| !seen.status().is_ended());
    while is_live() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The registry's shutdown leaves out what is locked at that moment, by somebody who reads it. Here
/// the lock is waited for.
fn remove_the_rest(registry: &JobRegistry<Presentation>) {
    for seen in registry.iter() {
        // Ended already, as a rule.
        let _ = registry.cancel(seen.id());
        // Gone is as good.
        drop(registry.remove(seen.id()));
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the files are not deleted in time")
}
