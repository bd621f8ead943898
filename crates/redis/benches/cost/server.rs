//! A server of Redis that the benchmark starts and ends, and what it says of itself.

use crate::Result;
use redis::Connection;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server in a temporary folder, on a port that was free, with an append-only file. It is ended
/// when this is dropped.
pub(crate) struct Server {
    child: Child,
    _folder: TempDir,
    pub(crate) port: u16,
}

/// Calls of scripts since the server started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scripts {
    pub(crate) calls: u64,
    /// Time that they took on the server, in microseconds.
    pub(crate) micros: u64,
}

impl Server {
    pub(crate) fn start() -> Result<Self> {
        // Another process may take the port before the server does.
        for _ in 0..10 {
            let folder = tempfile::tempdir()?;
            let free = TcpListener::bind("127.0.0.1:0")?;
            let port = free.local_addr()?.port();
            drop(free);
            let options = format!(
                "--port {port} --bind 127.0.0.1 --save --appendonly yes \
                 --auto-aof-rewrite-percentage 0 --dir"
            );
            let program = std::env::var("JOB_REGISTRY_REDIS_SERVER");
            let child = Command::new(program.as_deref().unwrap_or("redis-server"))
                .args(options.split_whitespace())
                .arg(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let mut server = Self {
                child: child.map_err(|error| format!("redis-server does not start: {error}"))?,
                _folder: folder,
                port,
            };
            if server.is_ready() {
                return Ok(server);
            }
        }
        Err("the server does not start".into())
    }

    /// Returns whether the server accepts commands. It does not if its port was taken.
    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            if self.admin().is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Returns a connection for what the registry does not do.
    pub(crate) fn admin(&self) -> Result<Connection> {
        Ok(redis::Client::open(self.url())?.get_connection()?)
    }

    fn info(&self, section: &str) -> Result<String> {
        Ok(redis::cmd("INFO").arg(section).query(&mut self.admin()?)?)
    }

    /// Returns the calls of scripts since the server started.
    pub(crate) fn scripts(&self) -> Result<Scripts> {
        let info = self.info("commandstats")?;
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
        let field = |name: &str| -> Result<u64> {
            let fields = line.unwrap_or_default().split(',');
            let value = fields
                .filter_map(|field| field.split_once('='))
                .find(|(key, _)| *key == name);
            Ok(value.map_or(Ok(0), |(_, value)| value.parse())?)
        };
        Ok(Scripts {
            calls: field("calls")?,
            micros: field("usec")?,
        })
    }

    /// Returns the memory that the server has allocated, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let info = self.info("memory")?;
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        Ok(line.ok_or("no used_memory")?.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the processor time of a process, in seconds.
pub(crate) fn processor_time(process: u32) -> Result<f64> {
    /// The kernel counts in hundredths of a second for every program.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program may have spaces.
    let (_, fields) = stat.rsplit_once(')').ok_or("no fields")?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    let (user, system) = (fields[11].parse::<u32>()?, fields[12].parse::<u32>()?);
    Ok(f64::from(user + system) / TICKS)
}
