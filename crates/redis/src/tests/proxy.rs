//! A proxy between a client and the server that cuts connections, and delivers calls late.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// The fault that a call, or its answer, meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The connection is cut before the server has the call.
    BeforeTheCall,
    /// The server has the call, and the connection is cut before the answer.
    BeforeTheAnswer,
    /// The client gets half of the answer.
    WithinTheAnswer,
    /// The client's side is closed, and the server gets the call later.
    Late,
    /// The client gets the end of the connection, and the server gets the call at once.
    HalfClosed,
    /// The server gets the call and the end of the connection, and the client may get the answer.
    HalfClosedBehind,
    /// Nothing is cut, and the call waits for a while.
    Slow(Duration),
}

/// A proxy. Its connections end when it is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    listener: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    cuts: Mutex<VecDeque<Option<Cut>>>,
    /// Number of times that each kind of cut has struck.
    struck: Mutex<Vec<Cut>>,
    /// Delivers the calls that are late.
    deliver: Notify,
    delivered: AtomicU64,
    /// Ends all connections.
    close: Notify,
    /// Port of the server of new connections.
    target: AtomicU16,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared: Arc<Shared> = Arc::default();
        shared.target.store(server, Ordering::SeqCst);
        let for_connections = shared.clone();
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = for_connections.clone();
                let target = shared.target.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await {
                        relay(client, server, &shared).await;
                    }
                });
            }
        });
        Self {
            port,
            shared,
            listener,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Plans what happens to the next calls, whichever connection they are on.
    pub(crate) fn plan(&self, cuts: impl IntoIterator<Item = Option<Cut>>) {
        self.shared.cuts.lock().unwrap().extend(cuts);
    }

    /// Delivers the late calls, and waits until the server's connections have ended.
    pub(crate) async fn deliver(&self) -> u64 {
        self.shared.deliver.notify_waiters();
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.shared.delivered.load(Ordering::SeqCst)
    }

    /// Leads new connections to another server.
    pub(crate) fn lead_to(&self, server: u16) {
        self.shared.target.store(server, Ordering::SeqCst);
    }

    /// Ends all connections, and accepts no more.
    pub(crate) fn close(&self) {
        self.listener.abort();
        self.shared.close.notify_waiters();
    }

    pub(crate) fn struck(&self) -> Vec<Cut> {
        self.shared.struck.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Relays between a client and the server until one of them closes, or the connection is cut.
async fn relay(client: TcpStream, server: TcpStream, shared: &Shared) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut call, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut cut = None;
    loop {
        tokio::select! {
            () = shared.close.notified() => return,
            read = from_client.read(&mut call) => {
                let Ok(length @ 1..) = read else { return };
                let call = &call[..length];
                // Calls of scripts that change something; the handshake is left alone.
                let is_call = contains(call, b"EVALSHA");
                cut = if is_call { shared.cuts.lock().unwrap().pop_front().flatten() } else { None };
                if let Some(cut) = cut {
                    shared.struck.lock().unwrap().push(cut);
                }
                match cut {
                    Some(Cut::BeforeTheCall) => return,
                    Some(Cut::Late) => {
                        drop((from_client, to_client));
                        return deliver_late(call, to_server, from_server, shared).await;
                    }
                    Some(Cut::Slow(time)) => tokio::time::sleep(time).await,
                    _ => {}
                }
                if to_server.write_all(call).await.is_err() { return }
                let closed = match cut {
                    Some(Cut::HalfClosed) => to_client.shutdown().await,
                    Some(Cut::HalfClosedBehind) => to_server.shutdown().await,
                    _ => Ok(()),
                };
                if closed.is_err() { return }
            }
            read = from_server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                let answer = &answer[..length];
                match cut {
                    Some(Cut::BeforeTheAnswer | Cut::HalfClosed) => return,
                    Some(Cut::WithinTheAnswer) => {
                        let _ = to_client.write_all(&answer[..length / 2]).await;
                        return;
                    }
                    _ => if to_client.write_all(answer).await.is_err() { return },
                }
            }
        }
    }
}

async fn deliver_late(
    call: &[u8],
    mut to_server: OwnedWriteHalf,
    mut from_server: OwnedReadHalf,
    shared: &Shared,
) {
    shared.deliver.notified().await;
    let _ = to_server.write_all(call).await;
    shared.delivered.fetch_add(1, Ordering::SeqCst);
    // The answer goes nowhere.
    let mut answer = [0; 1024];
    while matches!(from_server.read(&mut answer).await, Ok(1..)) {}
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
