//! The faults of a run, and their times.

use super::call::Dice;
use super::client::Plan;
use crate::tests::proxy::{Cut, Proxy};
use crate::tests::server::Server;
use crate::tests::trace::monotonic;
use redis::Value;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::time::Duration;
use tokio::time::sleep;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Connections are cut, half-closed and slowed down by a proxy.
    Cuts,
    KillServer,
    StopServer,
    KillClient,
    StopClient,
    /// The server closes all connections.
    DropConnections,
    /// `CLIENT PAUSE`.
    Pause,
    /// `SCRIPT FLUSH`.
    ForgetScripts,
    /// `DEBUG SLEEP`.
    Sleep,
    MemoryFull,
    /// The limit of a file's size stands for a full disk.
    DiskFull,
    /// The server's clock jumps forward or backward.
    ClockJump,
}

impl Fault {
    pub(super) const ALL: [Self; 12] = [
        Self::Cuts,
        Self::KillServer,
        Self::StopServer,
        Self::KillClient,
        Self::StopClient,
        Self::DropConnections,
        Self::Pause,
        Self::ForgetScripts,
        Self::Sleep,
        Self::MemoryFull,
        Self::DiskFull,
        Self::ClockJump,
    ];
}

/// The client processes of a run.
pub(super) struct Clients {
    running: Vec<(Plan, Child)>,
    next: u32,
    /// Number of processes that may still be killed and replaced.
    spare: u32,
    pub(super) failed: Vec<u32>,
}

impl Clients {
    pub(super) fn start(plans: Vec<Plan>, spare: u32) -> Self {
        let next = plans.iter().map(|plan| plan.number + 1).max().unwrap_or(0);
        let start = |plan: Plan| {
            let child = plan.start();
            (plan, child)
        };
        Self {
            running: plans.into_iter().map(start).collect(),
            next,
            spare,
            failed: Vec::new(),
        }
    }

    /// Whether some process still makes calls.
    pub(super) fn are_running(&mut self) -> bool {
        let failed = &mut self.failed;
        self.running.retain_mut(|(plan, child)| {
            let ended = child.try_wait().expect("a process");
            if ended.is_some_and(|status| !status.success()) {
                failed.push(plan.number);
            }
            ended.is_none()
        });
        !self.running.is_empty()
    }

    /// Kills a process and starts another one in its place. Returns the process that was killed.
    fn kill_one(&mut self, dice: &mut Dice) -> Option<u32> {
        if self.spare == 0 || self.running.is_empty() {
            return None;
        }
        self.spare -= 1;
        let at = usize::try_from(dice.below(self.running.len() as u64)).expect("an index");
        let (mut plan, mut child) = self.running.swap_remove(at);
        child.kill().expect("a process that runs");
        child.wait().expect("it ends");
        let killed = plan.number;
        (plan.number, plan.seed) = (self.next, dice.next());
        self.next += 1;
        self.running.push((plan.clone(), plan.start()));
        Some(killed)
    }

    fn signal_one(&self, dice: &mut Dice) -> Option<Pid> {
        let (_, child) = (!self.running.is_empty()).then(|| dice.pick(&self.running))?;
        Pid::from_raw(i32::try_from(child.id()).ok()?)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The faults that have struck, and their times.
#[derive(Debug, Default)]
pub(super) struct Struck {
    pub(super) counts: BTreeMap<Fault, u64>,
    pub(super) server_kills: Vec<u64>,
    pub(super) client_kills: Vec<(u64, u32)>,
    /// Number of calls of scripts that the server had forgotten.
    pub(super) forgotten: u64,
}

/// Sends a command to the server, and ignores a server that does not answer.
pub(super) fn command(server: &Server, words: &[&str]) -> Option<Value> {
    let client = redis::Client::open(server.url()).expect("a URL");
    let connection = client.get_connection_with_timeout(Duration::from_secs(1));
    let mut connection = connection.ok()?;
    let patience = Some(Duration::from_secs(5));
    connection.set_read_timeout(patience).ok()?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).query(&mut connection).ok()
}

/// Returns how often the server was asked for a script that it did not have, since it was started.
fn forgotten_scripts(server: &Server) -> u64 {
    let statistics = command(server, &["INFO", "errorstats"]);
    let text = format!("{statistics:?}");
    let count = text
        .split("errorstat_NOSCRIPT:count=")
        .nth(1)
        .unwrap_or("0");
    let digits: String = count.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Moves the server's clock, by a file that libfaketime reads.
pub(super) fn set_clock(folder: &Path, seconds: i64) {
    let (file, next) = (folder.join("clock"), folder.join("clock.next"));
    std::fs::write(&next, format!("{seconds:+}s\n")).expect("a file");
    std::fs::rename(next, file).expect("a file");
}

/// Returns the environment of a server whose clock can be moved.
pub(super) fn movable_clock(folder: &Path) -> Vec<(String, String)> {
    set_clock(folder, 0);
    let folders = std::fs::read_dir("/usr/lib").expect("the folder of libraries");
    let libraries = folders.filter_map(Result::ok).map(|folder| folder.path());
    let library = libraries
        .map(|folder| folder.join("faketime/libfaketime.so.1"))
        .find(|library| library.exists());
    let library = library.expect("`apt-get install libfaketime` has the library");
    let libraries = format!("libc_malloc_debug.so.0 {}", library.display());
    let clock = folder.join("clock");
    [
        // The server's own allocator reads the clock while libfaketime allocates. That of libc does
        // not.
        ("LD_PRELOAD", libraries.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", &clock.to_string_lossy()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Plans the cuts of a connection's calls.
pub(super) fn plan_cuts(proxy: &Proxy, dice: &mut Dice, calls: u32) {
    let cuts = [
        Cut::BeforeTheCall,
        Cut::BeforeTheAnswer,
        Cut::BeforeTheAnswer,
        Cut::WithinTheAnswer,
        Cut::Late,
        Cut::HalfClosed,
        Cut::HalfClosedBehind,
        Cut::Slow(Duration::from_millis(20)),
        Cut::Slow(Duration::from_millis(400)),
    ];
    proxy.plan((0..3 * calls).map(|_| (dice.below(40) == 0).then(|| *dice.pick(&cuts))));
}

/// Makes one fault strike, and ends it.
pub(super) async fn strike(
    fault: Fault,
    server: &mut Server,
    clients: &mut Clients,
    dice: &mut Dice,
    struck: &mut Struck,
) {
    let a_while = Duration::from_millis(100 + dice.below(500));
    match fault {
        Fault::Cuts => return,
        Fault::KillServer => {
            struck.server_kills.push(monotonic());
            server.kill();
            sleep(a_while / 4).await;
            server.restart();
        }
        Fault::StopServer => {
            server.signal("STOP");
            sleep(a_while).await;
            server.signal("CONT");
        }
        Fault::KillClient => {
            let at = monotonic();
            let Some(killed) = clients.kill_one(dice) else {
                return;
            };
            struck.client_kills.push((at, killed));
        }
        Fault::StopClient => {
            let Some(process) = clients.signal_one(dice) else {
                return;
            };
            kill_process(process, Signal::STOP).expect("a process of this test");
            sleep(a_while).await;
            // It may have ended meanwhile only if it was killed.
            let _ = kill_process(process, Signal::CONT);
        }
        Fault::DropConnections => {
            command(server, &["CLIENT", "KILL", "TYPE", "normal"]);
        }
        Fault::Pause => {
            let time = a_while.as_millis().to_string();
            let kind = if dice.below(2) == 0 { "ALL" } else { "WRITE" };
            command(server, &["CLIENT", "PAUSE", &time, kind]);
            sleep(a_while).await;
        }
        Fault::ForgetScripts => {
            let before = forgotten_scripts(server);
            command(server, &["SCRIPT", "FLUSH"]);
            sleep(a_while / 2).await;
            struck.forgotten += forgotten_scripts(server).saturating_sub(before);
        }
        Fault::Sleep => {
            let time = format!("{:.3}", a_while.as_secs_f64());
            command(server, &["DEBUG", "SLEEP", &time]);
        }
        Fault::MemoryFull => {
            command(server, &["CONFIG", "SET", "maxmemory", "1"]);
            sleep(a_while / 2).await;
            while command(server, &["CONFIG", "SET", "maxmemory", "0"]).is_none() {
                sleep(Duration::from_millis(20)).await;
            }
        }
        Fault::DiskFull => fill_disk(server, dice, struck).await,
        Fault::ClockJump => {
            // It jumps forward and backward in turn.
            let jumps = struck.counts.get(&fault).copied().unwrap_or(0);
            let times = [[1, 10, 25], [-20, -3, 0]][usize::from(jumps % 2 == 1)];
            set_clock(server.folder(), *dice.pick(&times));
        }
    }
    *struck.counts.entry(fault).or_default() += 1;
}

/// Limits the size of the server's files until it ends, as it does with `appendfsync always`, or
/// for a while.
async fn fill_disk(server: &mut Server, dice: &mut Dice, struck: &mut Struck) {
    let process = Pid::from_raw(i32::try_from(server.process()).expect("a process"));
    let files = std::fs::read_dir(server.folder().join("appendonlydir")).expect("the folder");
    let sizes = files.map(|file| file.expect("a file").metadata().expect("a size").len());
    let size = sizes.max().unwrap_or(0) + dice.below(20_000);
    let limit = |current| Rlimit {
        current,
        maximum: None,
    };
    prlimit(process, Resource::Fsize, limit(Some(size))).expect("a process of this test");
    for _ in 0..40 {
        if server.has_ended() {
            struck.server_kills.push(monotonic());
            server.restart();
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    prlimit(process, Resource::Fsize, limit(None)).expect("a process of this test");
}
