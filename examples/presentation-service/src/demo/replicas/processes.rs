//! The processes that the demo starts. Each is ended, by its id, when its value is dropped.

use crate::demo::Failure;
use redis::Commands;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Time limit for the start and the end of a process.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A child that is killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both calls fail if the process has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Redis server in a folder of its own.
pub(super) struct Server {
    child: Killed,
    folder: PathBuf,
    port: u16,
}

impl Server {
    /// Starts a server on a free port. Acknowledged changes survive when it is killed.
    pub(super) fn start(folder: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder)?;
        // Another process may take the port before the server does.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut child = Killed(launch(folder, port)?);
            if answers(&mut child.0, port) {
                let folder = folder.to_owned();
                return Ok(Self {
                    child,
                    folder,
                    port,
                });
            }
        }
        Err("the Redis server does not start".into())
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Kills the server as `kill -9` does.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        self.child.0.kill()?;
        self.child.0.wait()?;
        Ok(())
    }

    /// Starts the server again in its folder and on its port.
    pub(super) fn restart(&mut self) -> Result<(), Failure> {
        self.child = Killed(launch(&self.folder, self.port)?);
        if answers(&mut self.child.0, self.port) {
            return Ok(());
        }
        Err("the Redis server does not start again".into())
    }

    /// Returns the names of all keys, without those that expire by themselves within a minute.
    pub(super) fn lasting_keys(&self) -> Result<Vec<String>, Failure> {
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        let names: Vec<String> = connection.keys("*")?;
        let mut lasting = Vec::new();
        for name in names {
            let seconds: i64 = connection.ttl(&name)?;
            if !(0..=60).contains(&seconds) {
                lasting.push(name);
            }
        }
        Ok(lasting)
    }
}

fn launch(folder: &Path, port: u16) -> Result<Child, Failure> {
    let started = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(["--save", "", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "this demo needs a Redis server: apt-get install redis-server".into()
        }
        _ => format!("redis-server cannot be started: {error}").into(),
    })
}

/// Waits until the server accepts commands. Returns whether it does.
fn answers(child: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let Ok(client) = redis::Client::open(format!("redis://127.0.0.1:{port}/")) else {
        return false;
    };
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        let answer = client
            .get_connection_with_timeout(Duration::from_millis(500))
            .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
        if answer.is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// A replica of the service.
pub(super) struct Process {
    child: Killed,
    log: PathBuf,
    pub(super) url: String,
}

impl Process {
    /// Starts this program again, as a replica that logs to a file. Returns once it listens.
    pub(super) fn start(options: &[String], log: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").args(options);
        command
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(log)?);
        let mut child = Killed(command.spawn()?);
        let out = child.0.stdout.take().ok_or("the output is not piped")?;
        // The thread ends with the process, whose output it reads.
        let (send, first) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let line = first.recv_timeout(PATIENCE);
        let url = line.ok().and_then(|line| {
            let url = line.strip_prefix("listening on ")?;
            Some(url.trim_end_matches('/').to_owned())
        });
        let text = || std::fs::read_to_string(log).unwrap_or_default();
        let url = url.ok_or_else(|| format!("a replica does not start: {}", text()))?;
        let log = log.to_owned();
        Ok(Self { child, log, url })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Kills the process as `kill -9` does.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        self.child.0.kill()?;
        self.child.0.wait()?;
        Ok(())
    }

    /// Sends a signal to the process.
    pub(super) fn signal(&self, signal: &str) -> Result<(), Failure> {
        let id = self.id().to_string();
        if Command::new("kill").args([signal, &id]).status()?.success() {
            return Ok(());
        }
        Err("a replica is gone before its time".into())
    }

    /// Asks the process to stop, as a service manager does, and waits for its end. Returns its exit
    /// code.
    pub(super) async fn stop(&mut self) -> Result<Option<i32>, Failure> {
        self.signal("-TERM")?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.0.try_wait()? {
                return Ok(status.code());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("a replica does not stop".into())
    }

    /// Returns the errors in the log of the process.
    pub(super) fn errors(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let is_error = |line: &&str| line.contains("ERROR") || line.contains("panicked");
        text.lines().filter(is_error).map(str::to_owned).collect()
    }
}
