//! The service as a whole: a listener, the routes, the reaper, and an orderly shutdown.

use crate::api::router;
use crate::memory::Memory;
use crate::state::AppState;
use crate::store::Store;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Time limit for the deletion of all files, beyond the deadline.
const DELETION: Duration = Duration::from_secs(10);

/// Options of stopping a service.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// How long requests and presentations may take to end.
    pub deadline: Duration,
    /// Whether presentations may end by themselves, for four fifths of that time. Those of a replica
    /// always may, for three fifths.
    pub drain: bool,
}

/// Result of stopping a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Presentations that were cancelled.
    pub cancelled: usize,
    /// Presentations that were still being drawn at the deadline.
    pub painting: usize,
    /// Whether requests were still open.
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
pub struct Server<S: Store = Memory> {
    address: SocketAddr,
    state: AppState<S>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl<S: Store> Server<S> {
    /// Starts the service on this machine's loopback address; port 0 chooses a free one.
    ///
    /// # Errors
    ///
    /// Returns the error of binding the port.
    pub async fn start(port: u16, state: AppState<S>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        state.store.start()?;
        let (stop, stopped) = oneshot::channel();
        let routes = router(state.clone());
        let serving = tokio::spawn(async move {
            let stopped = async {
                // A dropped sender stops the service as well.
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

    /// The address that the service listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The registry of its presentations.
    #[must_use]
    pub fn registry(&self) -> &S::Registry {
        &self.state.registry
    }

    /// Stops the service at once: [`stop`](Self::stop) without a drain.
    ///
    /// # Errors
    ///
    /// Returns the same errors.
    pub async fn shutdown(self, deadline: Duration) -> io::Result<Stopped> {
        let drain = false;
        self.stop(Stop { deadline, drain }).await
    }

    /// Stops the service: it refuses new connections and presentations, announces the shutdown to
    /// subscribers, and ends or cancels running presentations. Requests and runs that are still busy
    /// at the deadline are left behind.
    ///
    /// In memory, all files are then deleted. A replica ends its own presentations alone, and leaves
    /// ended ones with their files to the others.
    ///
    /// # Errors
    ///
    /// Returns the error of the listener, or `TimedOut` if the files are not deleted within another
    /// ten seconds.
    pub async fn stop(self, how: Stop) -> io::Result<Stopped> {
        let state = &self.state;
        state.store.close();
        // A stream announces the shutdown before it shows the cancel.
        state.stopping.cancel();
        // The receiver is dropped if the listener has failed; `serving` returns the error.
        let _ = self.stop.send(());
        let requests = timeout(how.deadline, self.serving);
        let (served, ended) = tokio::join!(requests, state.store.end_work(how));
        let store = state.store.clone();
        let delete = tokio::task::spawn_blocking(move || store.clear());
        let left = timeout(DELETION, delete).await.map_err(|_| too_slow())?;
        let stopped = Stopped {
            cancelled: ended.cancelled,
            painting: ended.painting,
            requests: served.is_err(),
            left: left.map_err(io::Error::other)?,
        };
        if let Ok(joined) = served {
            joined.map_err(io::Error::other)??;
        }
        Ok(stopped)
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the files are not deleted in time")
}
