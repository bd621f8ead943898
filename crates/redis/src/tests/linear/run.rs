//! A run: client processes and a server, faults meanwhile, and the history afterwards.

use super::NAMESPACE;
use super::call::Dice;
use super::client::Plan;
use super::faults::{Clients, Fault, Struck, movable_clock, plan_cuts, set_clock, strike};
use super::flaws::Flaw;
use super::history::{self, Counters, History, Recorded};
use super::{log, work};
use crate::tests::proxy::{Cut, Proxy};
use crate::tests::server::{self, Server};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) faults: Vec<Fault>,
    pub(super) processes: u32,
    /// Number of callers that share the connection of a process.
    pub(super) callers: u32,
    /// Number of calls of each caller.
    pub(super) calls: u32,
    pub(super) seed: u64,
    pub(super) flaw: Flaw,
    /// `appendfsync` of the server.
    pub(super) policy: &'static str,
}

/// Runs the clients to their ends, and returns the history.
pub(super) async fn run(setting: &Setting) -> (History, Counters) {
    let options = [
        "--appendonly",
        "yes",
        "--appendfsync",
        setting.policy,
        "--enable-debug-command",
        "local",
        "--auto-aof-rewrite-percentage",
        "0",
    ];
    let mut server = if setting.faults.contains(&Fault::ClockJump) {
        Server::within(&options, movable_clock)
    } else {
        Server::with(&options)
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice(setting.seed);
    let (mut plans, mut proxies) = (Vec::new(), Vec::new());
    for number in 0..setting.processes {
        let proxy = Proxy::start(server.port).await;
        if setting.faults.contains(&Fault::Cuts) {
            plan_cuts(&proxy, &mut dice, setting.callers * setting.calls);
        }
        plans.push(Plan {
            url: proxy.url(),
            folder: folder.path().to_owned(),
            number,
            callers: setting.callers,
            calls: setting.calls,
            seed: dice.next(),
            flaw: setting.flaw.name(),
        });
        proxies.push(proxy);
    }
    let proxies = Arc::new(proxies);
    // Late calls are delivered from time to time.
    let for_delivery = proxies.clone();
    let delivery = tokio::spawn(async move {
        loop {
            for proxy in for_delivery.iter() {
                proxy.deliver().await;
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    let spare = if setting.faults.contains(&Fault::KillClient) {
        5
    } else {
        0
    };
    let mut clients = Clients::start(plans, spare);
    let mut struck = Struck::default();
    wait_for_calls(folder.path(), setting.processes).await;
    let mut turns = Vec::new();
    while clients.are_running() {
        sleep(Duration::from_millis(20 + dice.below(300))).await;
        // Every fault strikes once before one strikes again.
        if turns.is_empty() {
            turns.clone_from(&setting.faults);
            dice.shuffle(&mut turns);
        }
        if let Some(fault) = turns.pop() {
            strike(fault, &mut server, &mut clients, &mut dice, &mut struck).await;
        }
    }
    delivery.abort();
    if setting.faults.contains(&Fault::ClockJump) {
        set_clock(server.folder(), 0);
    }
    assert!(
        clients.failed.is_empty(),
        "{}",
        logs(&clients.failed, folder.path())
    );
    let recorded = history::recorded(folder.path());
    let log = log::read(&mut server.admin(), NAMESPACE);
    log::delete(&mut server.admin(), NAMESPACE);
    if setting.flaw == Flaw::Nothing {
        server::audit(&server).await;
    }
    let mut history = history::join(&recorded, &log);
    let idle = idle(folder.path());
    history.contradictions.extend(work::check(&recorded, &idle));
    let mut counters = history.counters.clone();
    let works = work::ended(&recorded);
    counters.insert("spawned works that ended".to_owned(), works);
    counters.insert("idle processes".to_owned(), idle.len() as u64);
    count(&mut counters, &recorded, &struck, &log, folder.path());
    let cuts = proxies.iter().flat_map(Proxy::struck);
    let between = [Cut::BeforeTheAnswer, Cut::WithinTheAnswer, Cut::HalfClosed];
    let between = cuts.filter(|cut| between.contains(cut)).count();
    counters.insert("cuts between send and reply".to_owned(), between as u64);
    counters.insert("scripts that were gone".to_owned(), struck.forgotten);
    (history, counters)
}

/// Waits until every process has begun to make calls.
async fn wait_for_calls(folder: &Path, processes: u32) {
    let has_begun = |number: &u32| {
        let calls = std::fs::metadata(folder.join(format!("calls-{number}-0")));
        calls.is_ok_and(|calls| calls.len() > 0)
    };
    for _ in 0..1_000 {
        if (0..processes).all(|number| has_begun(&number)) {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the clients make no calls");
}

fn logs(failed: &[u32], folder: &std::path::Path) -> String {
    let log = |number| std::fs::read_to_string(folder.join(format!("client-{number}.log")));
    let logs = failed.iter().map(|number| log(number).unwrap_or_default());
    format!("client processes failed:\n{}", logs.collect::<String>())
}

fn count(
    counters: &mut Counters,
    recorded: &[Recorded],
    struck: &Struck,
    log: &[log::Entry],
    folder: &std::path::Path,
) {
    let mut insert = |name: &str, times| counters.insert(name.to_owned(), times);
    let is_in_flight = |call: &&Recorded, at: u64| {
        call.begun < at && call.end.as_ref().is_none_or(|(ended, _)| *ended > at)
    };
    let writes = || recorded.iter().filter(|call| call.is_write());
    let kills = struck.server_kills.iter();
    let in_flight = kills.filter(|at| writes().any(|call| is_in_flight(&call, **at)));
    insert(
        "kills of the server with writes in flight",
        in_flight.count() as u64,
    );
    let of = |process: u32| {
        let process = process.to_string();
        recorded
            .iter()
            .filter(move |call| call.process() == process)
    };
    let kills = struck.client_kills.iter();
    let in_flight = kills.filter(|(at, process)| of(*process).any(|call| is_in_flight(&call, *at)));
    insert(
        "kills of clients with calls in flight",
        in_flight.count() as u64,
    );
    let times: Vec<u64> = log
        .iter()
        .map(|entry| entry.now)
        .filter(|now| *now > 0)
        .collect();
    let jumps = times
        .windows(2)
        .filter(|pair| pair[0].abs_diff(pair[1]) > 900)
        .count();
    insert("jumps of the clock in the log", jumps as u64);
    let back = times
        .windows(2)
        .filter(|pair| pair[0] > pair[1] + 900)
        .count();
    insert("jumps back of the clock in the log", back as u64);
    for fault in Fault::ALL {
        if let Some(times) = struck.counts.get(&fault) {
            insert(&format!("struck: {fault:?}"), *times);
        }
    }
    let resends = summaries(folder).map(|(_, numbers)| numbers[0]).sum();
    insert("resends", resends);
}

/// Returns the last line of every process that was not killed: its resends, its connections, and
/// whether it has become idle.
fn summaries(folder: &Path) -> impl Iterator<Item = (String, Vec<u64>)> {
    let files = std::fs::read_dir(folder).expect("the folder");
    files.filter_map(|file| {
        let path = file.expect("a file").path();
        let name = path.file_name()?.to_string_lossy().into_owned();
        let process = name.strip_prefix("spawned-")?.to_owned();
        let text = std::fs::read_to_string(&path).expect("a text");
        let line = text.lines().rfind(|line| line.starts_with("s "))?;
        let numbers = line
            .split(' ')
            .skip(1)
            .map(|word| word.parse().expect("a number"));
        Some((process, numbers.collect()))
    })
}

fn idle(folder: &Path) -> BTreeSet<String> {
    let is_idle = |(_, numbers): &(String, Vec<u64>)| numbers[2] == 1;
    summaries(folder)
        .filter(is_idle)
        .map(|(process, _)| process)
        .collect()
}
