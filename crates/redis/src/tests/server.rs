//! A server of Redis that a test starts and ends.

use crate::script::Parts;
use crate::{Builder, JobRegistry};
use redis::{Commands, Connection};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time after which a test that has not ended has failed.
const LONGEST_TEST: Duration = Duration::from_secs(300);

/// A clock that a test moves: the key `clock` of the namespace.
pub(crate) const MANUAL_CLOCK: &str = "local function clock()
  return tonumber(redis.call('GET', (string.gsub(KEYS[1], 'count$', 'clock'))) or '0')
end
";

/// A server in a temporary folder, on a port that was free. It is ended when this is dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    pub(crate) port: u16,
    options: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&["--appendonly", "yes"])
    }

    /// Starts a server that loses nothing when it is killed.
    pub(crate) fn lasting() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        Self::within(options, |_| Vec::new())
    }

    /// Starts a server with environment variables, which may depend on its folder.
    pub(crate) fn within(
        options: &[&str],
        environment: impl Fn(&Path) -> Vec<(String, String)>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let environment = environment(folder.path());
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        // Another process may take the port before the server does.
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = free.local_addr().expect("an address").port();
            drop(free);
            let mut child = launch(folder.path(), port, &options, &environment);
            if wait_for(&mut child, port) {
                return Self {
                    child,
                    folder,
                    port,
                    options,
                    environment,
                };
            }
        }
        panic!(
            "{} does not start in {}; `apt-get install redis-server` has a server",
            program(),
            folder.path().display()
        );
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Returns a builder for a namespace, with scripts of these parts.
    pub(crate) fn builder<T: Serialize + DeserializeOwned + Send + 'static>(
        &self,
        namespace: &str,
        parts: &Parts,
    ) -> Builder<T> {
        builder(&self.url(), namespace, parts)
    }

    pub(crate) async fn jobs(&self, namespace: &str) -> JobRegistry<Vec<String>> {
        self.builder(namespace, &Parts::default())
            .connect()
            .await
            .expect("a connection")
    }

    /// Returns a connection for what the library does not do.
    pub(crate) fn admin(&self) -> Connection {
        let client = redis::Client::open(self.url()).expect("a URL");
        client.get_connection().expect("a connection")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether the server has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some())
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .expect("kill");
        assert!(sent.success(), "the signal {name} was not sent");
    }

    /// Kills the server, and starts it again in its folder and on its port.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }

    pub(crate) fn restart(&mut self) {
        self.repair();
        let folder = self.folder.path();
        self.child = launch(folder, self.port, &self.options, &self.environment);
        assert!(
            wait_for(&mut self.child, self.port),
            "the server does not start again"
        );
    }

    /// Removes the transaction that a killed server has not written to its end. The server itself
    /// may leave the beginning of it in its file, and execute that with what follows it when it is
    /// started once more.
    fn repair(&self) {
        let manifest = self
            .folder
            .path()
            .join("appendonlydir/appendonly.aof.manifest");
        if !manifest.exists() {
            return;
        }
        let mut check = Command::new("redis-check-aof")
            .arg("--fix")
            .arg(manifest)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("`apt-get install redis-tools` has it");
        let mut input = check.stdin.take().expect("a pipe");
        // It does not read an answer if there is nothing to remove.
        let _ = input.write_all(b"y\n");
        drop(input);
        let ended = check.wait().expect("it ends");
        assert!(ended.success(), "the file cannot be repaired");
    }

    /// Returns every key with its value, as texts that can be compared.
    pub(crate) fn dump(&self) -> BTreeMap<String, String> {
        let mut admin = self.admin();
        let keys: Vec<String> = admin.keys("*").expect("the keys");
        let value = |key: &String, admin: &mut Connection| {
            let kind: String = redis::cmd("TYPE").arg(key).query(admin).expect("a type");
            let value: redis::Value = match kind.as_str() {
                "hash" => {
                    let fields: BTreeMap<Vec<u8>, Vec<u8>> = admin.hgetall(key).expect("a hash");
                    return format!("{fields:?}");
                }
                "zset" => admin.zrange_withscores(key, 0, -1).expect("a sorted set"),
                _ => redis::cmd("DUMP").arg(key).query(admin).expect("a value"),
            };
            format!("{kind} {value:?}")
        };
        keys.into_iter()
            .map(|key| (key.clone(), value(&key, &mut admin)))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server may have been stopped by a signal: SIGKILL ends it all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn builder<T: Serialize + DeserializeOwned + Send + 'static>(
    url: &str,
    namespace: &str,
    parts: &Parts,
) -> Builder<T> {
    let mut builder = JobRegistry::builder(url, namespace);
    builder.parts = parts.clone();
    builder
}

/// Returns the program of the servers: that of Redis, unless `JOB_REGISTRY_REDIS_SERVER` names
/// another one, for instance `valkey-server`.
pub(crate) fn program() -> String {
    std::env::var("JOB_REGISTRY_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

/// Whether libfaketime can move the time of the servers. It does not start later servers, whose
/// allocator reads the clock before libfaketime is ready.
pub(crate) fn has_movable_clock() -> bool {
    std::env::var_os("JOB_REGISTRY_REDIS_SERVER").is_none()
}

fn launch(folder: &Path, port: u16, options: &[String], environment: &[(String, String)]) -> Child {
    // A write beyond the limit of a file's size fails, and does not end the server.
    let started = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", &program()])
        .envs(environment.iter().cloned())
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .arg("--dir")
        .arg(folder)
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.expect("a shell")
}

/// Returns whether the server accepts commands. It does not if its port was taken.
fn wait_for(child: &mut Child, port: u16) -> bool {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("a URL");
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return false;
        }
        let answer = client
            .get_connection_with_timeout(Duration::from_millis(200))
            .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
        // A server that still loads answers with an error.
        if answer.is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Runs a test with a server of its own, and then audits every namespace that it has used.
pub(crate) fn with_server(test: impl AsyncFnOnce(&mut Server)) {
    with(Server::start(), test);
}

/// Runs a test with this server, as [`with_server`] does.
pub(crate) fn with(mut server: Server, test: impl AsyncFnOnce(&mut Server)) {
    run(async {
        test(&mut server).await;
        audit(&server).await;
    });
}

/// Runs a test to its end, or fails it after a while.
pub(crate) fn run(test: impl Future<Output = ()>) {
    run_within(LONGEST_TEST, test);
}

/// Runs a test as [`run`] does, with a time of its own.
pub(crate) fn run_within(time: Duration, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let ended = runtime.block_on(async { tokio::time::timeout(time, test).await });
    runtime.shutdown_timeout(Duration::from_secs(5));
    assert!(ended.is_ok(), "the test did not end within {time:?}");
}

/// Audits every namespace of the server.
pub(crate) async fn audit(server: &Server) {
    let mut admin = server.admin();
    let keys: Vec<String> = admin.keys("jr1:*").expect("the keys");
    let mut namespaces = BTreeSet::new();
    for key in keys {
        if key.ends_with(":clock") {
            let _: () = admin.del(&key).expect("a deleted key");
        }
        let name = key
            .split(['{', '/'])
            .nth(1)
            .expect("a namespace")
            .to_owned();
        namespaces.insert(name);
    }
    for namespace in namespaces {
        let jobs = server.jobs(&namespace).await;
        // Tasks may still change jobs: that of an owner that the test has dropped abandons its job.
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let found = jobs.audit().await.expect("an audit");
            if found.is_empty() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "the audit of {namespace} finds {found:#?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A check that has to fail with scripts that are wrong.
pub(crate) type Check<'a> = (&'static str, Pin<Box<dyn Future<Output = ()> + 'a>>);

/// Declares tests that can also run with other scripts: each gets the server and the scripts' parts.
macro_rules! checks {
    ($($(#[$doc:meta])* async fn $name:ident($server:ident, $parts:ident) $body:block)*) => {
        mod checks {
            use super::*;
            $(pub(super) async fn $name($server: &Server, $parts: &Parts) $body)*
        }

        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                $crate::tests::server::with_server(async |server| {
                    checks::$name(server, &Parts::default()).await;
                });
            }
        )*

        /// All of these checks, by name.
        pub(super) fn all<'a>(
            server: &'a Server,
            parts: &'a Parts,
        ) -> Vec<$crate::tests::server::Check<'a>> {
            vec![$((stringify!($name), Box::pin(checks::$name(server, parts)))),*]
        }
    };
}
pub(crate) use checks;

#[test]
fn a_script_that_a_killed_server_has_half_written_has_no_effect() {
    let mut server = Server::lasting();
    let script = "redis.call('SET', 'a', '1') redis.call('SET', 'b', '1')";
    let run = |server: &Server| {
        let ran = redis::cmd("EVAL")
            .arg(script)
            .arg(0)
            .query(&mut server.admin());
        let () = ran.expect("a script that runs");
    };
    run(&server);
    server.kill();
    let folder = server.folder().join("appendonlydir");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(folder.join("appendonly.aof.1.incr.aof"))
        .expect("the file");
    let size = file.metadata().expect("a size").len();
    // The end of the second write, and that of the transaction.
    file.set_len(size - 20).expect("a shorter file");
    server.restart();
    let () = server.admin().set("c", "1").expect("a write");
    server.kill_and_restart();
    let seen: Vec<Option<u8>> = server.admin().mget(&["a", "b", "c"]).expect("values");
    assert_eq!(seen, [None, None, Some(1)]);
}
