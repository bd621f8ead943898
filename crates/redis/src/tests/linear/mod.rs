//! Histories of several client processes on the same jobs, under faults, are linearizable.
//!
//! Each process records its calls with the clock that all processes share. The scripts of these tests
//! keep a log: the time of each execution, and each effect. Three judges compare the history of each
//! job with the specification of the library, and have to agree:
//!
//! 1. [`search`] looks for an order of the calls that keeps real time.
//! 2. [`opinion`] has porcupine do the same.
//! 3. [`replay`] takes the order of the store, in linear time.
//!
//! A call whose outcome its caller does not know may take effect once or never. `JOB_REGISTRY_REDIS_SEED`
//! repeats the choices of a run, and not its interleavings.

mod call;
mod client;
mod corrupt;
mod faults;
mod flaws;
mod history;
mod judges;
mod log;
mod loss;
mod model;
mod opinion;
mod replay;
mod run;
mod search;
mod sentinel;
mod timeline;

use self::faults::Fault;
use self::flaws::Flaw;
use self::history::History;
use self::judges::Verdict;
use self::loss::Loss;
use self::run::{Counters, Setting, run};
use super::server;

/// Namespace of the runs.
const NAMESPACE: &str = "linear";

fn seed() -> u64 {
    let given = std::env::var("JOB_REGISTRY_REDIS_SEED");
    given.map_or_else(
        |_| u64::from_le_bytes(crate::id::random()),
        |text| text.parse().expect("a number"),
    )
}

fn history_of(setting: &Setting) -> (History, Counters) {
    println!("JOB_REGISTRY_REDIS_SEED={}: {:?}", setting.seed, setting.faults);
    let mut result = None;
    server::run(async { result = Some(run(setting).await) });
    result.expect("a history")
}

/// Runs a setting, judges its history, and returns what was counted.
fn check(setting: &Setting) -> Counters {
    let (history, counters) = history_of(setting);
    let judged = std::time::Instant::now();
    let bad = judges::judge(&history);
    println!("judged in {:?}: {counters:?}", judged.elapsed());
    for (group, verdict) in bad.iter().take(3) {
        println!("{}", verdict.text(&history.groups[*group]));
    }
    let contradictions = &history.contradictions;
    assert!(contradictions.is_empty(), "{:#?}", &contradictions[..contradictions.len().min(5)]);
    assert!(bad.is_empty(), "{} histories are not linearizable", bad.len());
    counters
}

fn require(counters: &Counters, required: &[&str]) {
    for name in required {
        let times = counters.get(name).copied().unwrap_or(0);
        assert!(times > 0, "{name}: never seen in {counters:#?}");
    }
}

/// Counters that a run with all faults has to show.
const REQUIRED: [&str; 10] = [
    "cuts between send and reply",
    "resends that met their own effect",
    "unknown",
    "scripts that were gone",
    "kills of the server with calls in flight",
    "kills of clients with calls in flight",
    "never answered",
    "jumps of the clock in the log",
    "jumps back of the clock in the log",
    "rejected, memory is full",
];

#[test]
fn histories_of_several_processes_with_faults_are_linearizable() {
    let counters = check(&Setting {
        faults: Fault::ALL.to_vec(),
        processes: 4,
        callers: 2,
        calls: 750,
        seed: seed(),
        flaw: Flaw::Nothing,
    });
    require(&counters, &REQUIRED);
    assert!(counters["calls"] > 5_000, "{counters:#?}");
}

#[test]
fn the_judges_detect_corrupted_histories() {
    let seed = seed();
    let (history, _) = history_of(&Setting {
        faults: vec![Fault::Cuts, Fault::DropConnections],
        processes: 3,
        callers: 1,
        calls: 900,
        seed,
        flaw: Flaw::Nothing,
    });
    let bad = judges::judge(&history);
    assert!(bad.is_empty() && history.contradictions.is_empty(), "it is not corrupted yet");
    corrupt::check(&history.groups, call::Dice(seed));
}

#[test]
#[ignore = "takes minutes: a run for each wrong client and script"]
fn wrong_clients_and_scripts_are_detected() {
    for flaw in Flaw::IN_ONE_HISTORY {
        let is_detected = (0..6).any(|_| {
            let (history, counters) = history_of(&Setting {
                faults: vec![Fault::Cuts, Fault::DropConnections, Fault::StopServer],
                processes: 4,
                callers: 2,
                calls: 500,
                seed: seed(),
                flaw,
            });
            let bad = judges::judge(&history);
            let count = |judge: fn(&Verdict) -> bool| {
                bad.iter().filter(|(_, verdict)| judge(verdict)).count()
            };
            println!(
                "{flaw:?}: of {} histories, the search finds {}, porcupine {}, the replay {}; {} \
                 contradictions in the log; {} resends, {} unknown",
                history.groups.len(),
                count(|verdict| verdict.search.is_some()),
                count(|verdict| verdict.opinion == Some(false)),
                count(|verdict| verdict.replay.is_some()),
                history.contradictions.len(),
                counters["resends"],
                counters.get("unknown").unwrap_or(&0),
            );
            for (_, verdict) in &bad {
                assert_eq!(verdict.search.is_some(), verdict.opinion != Some(true));
            }
            !bad.is_empty() || !history.contradictions.is_empty()
        });
        assert!(is_detected, "{flaw:?} survives");
    }
}

/// Runs a loss, and requires two histories that are linearizable.
fn check_loss(loss: Loss, processes: u32, calls: u32) -> Counters {
    let mut result = None;
    let setting = loss::Setting {
        loss,
        processes,
        calls,
        seed: seed(),
        flaw: Flaw::Nothing,
    };
    println!("JOB_REGISTRY_REDIS_SEED={}: {loss:?}", setting.seed);
    server::run(async { result = Some(loss::run(&setting).await) });
    let judged = result.expect("two histories");
    println!("{:?}", judged.counters);
    for found in judged.found.iter().take(3) {
        println!("{found}");
    }
    assert!(judged.found.is_empty(), "{} findings", judged.found.len());
    judged.counters
}

#[test]
fn dev_loss() {
    for loss in [
        Loss::Kill("always"),
        Loss::Kill("everysec"),
        Loss::PowerFailure("everysec"),
        Loss::PowerFailure("no"),
        Loss::Failover,
        Loss::Sentinel,
    ] {
        check_loss(loss, 4, 200);
    }
}
