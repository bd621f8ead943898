//! A run in which the store loses its latest changes: it is judged as two histories. The second one
//! begins with a part of the first one, which ends at some change.

use super::NAMESPACE;
use super::call::Dice;
use super::client::Plan;
use super::faults::{Clients, command, plan_cuts};
use super::flaws::Flaw;
use super::history::{self, Boundary, Counters, Recorded};
use super::judges::{self, Verdict};
use super::log::{self, Entry};
use super::replay;
use crate::tests::proxy::Proxy;
use crate::tests::sentinel::Sentinel;
use crate::tests::server::{self, Server};
use crate::tests::trace::monotonic;
use redis::Commands;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::time::Duration;
use tokio::time::sleep;

/// How the store loses changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The server is killed. Nothing is lost with `appendfsync always`.
    Kill(&'static str),
    /// The server is killed, and its file has lost its end.
    PowerFailure(&'static str),
    /// A replica that has lost its primary is promoted.
    Failover,
    /// Sentinel promotes a replica that has lost its primary.
    Sentinel,
}

/// A port on which nothing listens.
const NOWHERE: u16 = 1;

pub(super) struct Setting {
    pub(super) loss: Loss,
    pub(super) processes: u32,
    pub(super) calls: u32,
    pub(super) seed: u64,
    pub(super) flaw: Flaw,
}

/// The findings of the judges, and the counters.
pub(super) struct Judged {
    pub(super) found: Vec<String>,
    pub(super) counters: Counters,
}

pub(super) async fn run(setting: &Setting) -> Judged {
    let policy = match setting.loss {
        Loss::Kill(policy) | Loss::PowerFailure(policy) => policy,
        Loss::Failover | Loss::Sentinel => "always",
    };
    let options = [
        "--appendonly",
        "yes",
        "--appendfsync",
        policy,
        "--auto-aof-rewrite-percentage",
        "0",
    ];
    let mut primary = Server::with(&options);
    let is_failover = matches!(setting.loss, Loss::Failover | Loss::Sentinel);
    let replica = is_failover.then(|| {
        let of = ["--replicaof", "127.0.0.1", &primary.port.to_string()];
        Server::with(&[&options[..], &of[..]].concat())
    });
    if let Some(replica) = &replica {
        wait_for_link(replica).await;
    }
    let sentinel = (setting.loss == Loss::Sentinel).then(|| Sentinel::start(primary.port));
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice(setting.seed);
    let (mut plans, mut proxies) = (Vec::new(), Vec::new());
    for number in 0..setting.processes {
        let proxy = Proxy::start(primary.port).await;
        plan_cuts(&proxy, &mut dice, 2 * setting.calls);
        plans.push(Plan {
            url: proxy.url(),
            folder: folder.path().to_owned(),
            number,
            callers: 2,
            calls: setting.calls,
            seed: dice.next(),
            flaw: setting.flaw.name(),
        });
        proxies.push(proxy);
    }
    let mut clients = Clients::start(plans, 0);
    wait_for_changes(&primary, u64::from(setting.processes * setting.calls) / 4).await;
    if let Some(replica) = &replica {
        // The replica loses its primary, and the primary goes on for a while.
        command(replica, &["REPLICAOF", "127.0.0.1", &NOWHERE.to_string()]);
        sleep(Duration::from_millis(300)).await;
    }
    // Nothing is executed any more, and everything can be read.
    command(&primary, &["CLIENT", "PAUSE", "20000", "WRITE"]);
    for proxy in &proxies {
        proxy.lead_to(NOWHERE);
    }
    let end = monotonic();
    let first = log::read(&mut primary.admin(), NAMESPACE);
    primary.kill();
    // The answers that the slowest cut has held up arrive before the next history begins.
    sleep(Duration::from_millis(600)).await;
    let server: &Server = match (&replica, &sentinel) {
        (Some(replica), Some(sentinel)) => {
            sentinel.wait_for(replica.port).await;
            replica
        }
        (Some(replica), None) => {
            command(replica, &["REPLICAOF", "NO", "ONE"]);
            replica
        }
        (None, _) => {
            if let Loss::PowerFailure(_) = setting.loss {
                cut_file(&primary, &mut dice);
            }
            primary.restart();
            &primary
        }
    };
    let kept = log::read(&mut server.admin(), NAMESPACE).len();
    let begin = monotonic();
    for proxy in &proxies {
        proxy.lead_to(server.port);
    }
    while clients.are_running() {
        sleep(Duration::from_millis(50)).await;
        for proxy in &proxies {
            proxy.deliver().await;
        }
    }
    assert!(
        clients.failed.is_empty(),
        "client processes failed: {:?}",
        clients.failed
    );
    let recorded = history::recorded(folder.path());
    let second = log::read(&mut server.admin(), NAMESPACE);
    log::delete(&mut server.admin(), NAMESPACE);
    if setting.flaw == Flaw::Nothing {
        server::audit(server).await;
    }
    judge(&recorded, Boundary { end, begin }, &first, &second, kept)
}

async fn wait_for_changes(server: &Server, changes: u64) {
    for _ in 0..1000 {
        let name = format!("jr1:{{{NAMESPACE}/0}}:count");
        let made: Option<u64> = server.admin().hget(name, "seq").expect("a number");
        if made.unwrap_or(0) >= changes {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the clients make no changes");
}

/// Waits until a replica follows its primary.
async fn wait_for_link(replica: &Server) {
    for _ in 0..600 {
        let facts = format!("{:?}", command(replica, &["INFO", "replication"]));
        if facts.contains("master_link_status:up") {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the replica does not follow");
}

/// Cuts the end of the append-only file off, as a power failure may.
fn cut_file(server: &Server, dice: &mut Dice) {
    let files = std::fs::read_dir(server.folder().join("appendonlydir")).expect("the folder");
    let mut paths = files.map(|file| file.expect("a file").path());
    let path = paths.find(|path| path.to_string_lossy().contains(".incr.aof"));
    let file = OpenOptions::new().write(true).open(path.expect("the file"));
    let file = file.expect("the file");
    let size = file.metadata().expect("a size").len();
    let cut = 5_000 + dice.below(size / 4);
    file.set_len(size - cut).expect("a shorter file");
}

fn judge(
    recorded: &[Recorded],
    boundary: Boundary,
    first: &[Entry],
    second: &[Entry],
    kept: usize,
) -> Judged {
    let mut found = Vec::new();
    if second.len() < kept || first.get(..kept) != second.get(..kept) {
        found.push("the second history does not begin with a part of the first one".to_owned());
        return Judged {
            found,
            counters: Counters::new(),
        };
    }
    let (before, after) = (&first[..kept], &second[kept..]);
    let is_change = |entry: &&Entry| entry.is_effect() && entry.seq > 0;
    let nonces: BTreeSet<_> = before
        .iter()
        .filter(is_change)
        .map(|entry| entry.nonce)
        .collect();
    let lost: BTreeSet<_> = first[kept..]
        .iter()
        .filter(is_change)
        .map(|entry| entry.nonce)
        .collect();
    let (calls, later) = history::divide(recorded, boundary, &nonces);
    let history = history::join_from(recorded, &calls, first, 0);
    let bad = judges::judge(&history);
    let states: Vec<_> = history
        .groups
        .iter()
        .map(|group| replay::state_before(kept, group))
        .collect();
    let changes = before.iter().rfind(is_change).map_or(0, |entry| entry.seq);
    let next = history::join_from(recorded, &later, after, changes);
    let worse = judges::judge_from(&next, |group| states[group].clone());
    for (history, bad) in [(&history, bad), (&next, worse)] {
        found.extend(history.contradictions.iter().cloned());
        let text = |(group, verdict): &(usize, Verdict)| verdict.text(&history.groups[*group]);
        found.extend(bad.iter().map(text));
    }
    let mut counters = history.counters.clone();
    for (name, times) in &next.counters {
        *counters.entry(name.clone()).or_default() += times;
    }
    let mut insert = |name: &str, times| counters.insert(name.to_owned(), times);
    insert("calls", recorded.len() as u64);
    insert(
        "changes before",
        before.iter().filter(is_change).count() as u64,
    );
    insert("changes lost", lost.len() as u64);
    insert(
        "changes after",
        after.iter().filter(is_change).count() as u64,
    );
    let is_lost = |call: &&Recorded| {
        call.is_acknowledged() && call.nonce().is_some_and(|nonce| lost.contains(&nonce))
    };
    insert(
        "acknowledged changes lost",
        recorded.iter().filter(is_lost).count() as u64,
    );
    let spans = |call: &&Recorded| {
        let ended = call.end.as_ref().map(|(ended, _)| *ended);
        call.begun < boundary.end && ended.is_none_or(|ended| ended > boundary.begin)
    };
    insert(
        "calls in both histories",
        recorded.iter().filter(spans).count() as u64,
    );
    Judged { found, counters }
}
