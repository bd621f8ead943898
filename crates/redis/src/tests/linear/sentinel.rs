//! A sentinel that watches a primary and promotes its replica. `apt-get install redis-sentinel` has
//! it.

use crate::tests::server;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::sleep;

/// A sentinel. It is ended when this is dropped.
pub(super) struct Sentinel {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Sentinel {
    pub(super) fn start(primary: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor jobs 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds jobs 700\n\
             sentinel failover-timeout jobs 6000\n",
            folder.path().display()
        );
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, settings).expect("a file");
        let child = Command::new(server::program().replace("-server", "-sentinel"))
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self {
            child: child.expect("`apt-get install redis-sentinel` has the sentinel"),
            port,
            _folder: folder,
        }
    }

    /// Waits until the sentinel names this server as the primary, as a client does that asks it.
    pub(super) async fn wait_for(&self, port: u16) {
        for _ in 0..600 {
            if self.primary() == Some(port) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("the sentinel promotes no replica");
    }

    fn primary(&self) -> Option<u16> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).ok()?;
        let mut connection = client
            .get_connection_with_timeout(Duration::from_secs(1))
            .ok()?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg("jobs");
        let (_, port): (String, u16) = command.query(&mut connection).ok()?;
        Some(port)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
