//! The service as a whole: a listener, the routes, the reaper, and an orderly end.

use crate::api::{AppState, router};
use crate::jobs::Presentation;
use job_registry::{JobRegistry, Shutdown};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

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

    /// Ends the service: no new connections and presentations, the ones that run are cancelled, and
    /// all files are deleted. Requests and runs that are still busy at `deadline` are left behind.
    ///
    /// # Errors
    ///
    /// Whatever the listener ended with.
    pub async fn shutdown(self, deadline: Duration) -> io::Result<Shutdown> {
        // Already gone when the listener failed; `serving` tells why.
        let _ = self.stop.send(());
        let requests = tokio::time::timeout(deadline, self.serving);
        let runs = self.state.registry.shutdown(deadline);
        let (served, stopped) = tokio::join!(requests, runs);
        if let Ok(joined) = served {
            joined.map_err(io::Error::other)??;
        }
        Ok(stopped)
    }
}
