//! Clients of sentinels, which promote a replica. `apt-get install redis-sentinel` has them.

use super::network::wait_for_replica;
use super::server::{self, Server, with_server};
use crate::{Error, JobRegistry};
use job_registry::{Progress, Status};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// A sentinel. It is ended when this is dropped.
pub(crate) struct Sentinel {
    child: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Sentinel {
    pub(crate) fn start(primary: u16) -> Self {
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
    pub(crate) async fn wait_for(&self, port: u16) {
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

/// Returns a builder for the primary that these sentinels name.
fn builder(ports: &[u16], name: &str) -> crate::Builder<Vec<String>> {
    let hosts: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let url = format!("redis+sentinel://{}/{name}", hosts.join(","));
    JobRegistry::builder(url, "deck").answer_within(Duration::from_millis(500))
}

/// Scenario 48.
#[test]
fn a_client_of_sentinels_follows_the_primary_that_they_promote() {
    with_server(async |primary| {
        let replica = Server::with(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
        let sentinel = Sentinel::start(primary.port);
        sentinel.wait_for(primary.port).await;
        // One sentinel is gone, and one accepts connections and answers nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let [silent_port, gone_port] = [&silent, &gone].map(|it| it.local_addr().unwrap().port());
        drop(gone);
        let jobs = builder(&[gone_port, silent_port, sentinel.port], "jobs");
        let jobs = jobs.connect().await.unwrap();
        let job = jobs.register(&Vec::new()).await.unwrap();
        job.start().await.unwrap();
        let mut watch = jobs.watch(job.id()).await.unwrap();
        assert_eq!(watch.changed().await.unwrap().status(), Status::Running);
        wait_for_replica(primary, &replica).await;
        primary.kill();
        sentinel.wait_for(replica.port).await;
        let half = Progress::percent(50.0).unwrap();
        while let Err(error) = job.advance(half).await {
            assert!(matches!(error, Error::Unavailable(_)), "{error}");
        }
        while watch.changed().await.unwrap().progress() != half {}
        job.complete().await.unwrap();
        // Without a message, the job would be read again after five seconds or more.
        let until_completed =
            async { while watch.changed().await.unwrap().status() != Status::Completed {} };
        let completed = timeout(Duration::from_secs(4), until_completed).await;
        assert!(
            completed.is_ok(),
            "the subscription does not follow the primary"
        );
        let promoted = replica.jobs("deck").await;
        assert_eq!(promoted.counts().await.unwrap().completed, 1);
        assert_eq!(promoted.audit().await.unwrap(), Vec::<String>::new());
        primary.restart();
    });
}

#[test]
fn a_primary_that_no_sentinel_knows_is_not_found() {
    with_server(async |primary| {
        let sentinel = Sentinel::start(primary.port);
        sentinel.wait_for(primary.port).await;
        let unknown = builder(&[sentinel.port], "decks").call_within(Duration::from_millis(300));
        let error = unknown.connect().await.unwrap_err();
        assert_eq!(error.name(), "unusable");
        let text = error.to_string();
        assert!(
            text.contains("no sentinel names a primary of \"decks\""),
            "{text}"
        );
    });
}
