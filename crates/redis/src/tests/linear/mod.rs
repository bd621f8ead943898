//! Histories of several client processes on the same jobs, under faults, are linearizable.
//!
//! Each process records its calls with the clock that all processes share. The scripts of these
//! tests keep a log: the time of each execution, and each effect. Three judges compare the history
//! of each job with the specification of the library, and have to agree:
//!
//! 1. [`search`] looks for an order of the calls that keeps real time.
//! 2. [`opinion`] has porcupine do the same.
//! 3. [`replay`] takes the order of the store, in linear time.
//!
//! A call whose outcome its caller does not know may take effect once or never. A call that sends
//! several scripts, such as `lock` or `run`, is judged as one call for each script, by the reply.
//! So is each script of a task.
//!
//! `JOB_REGISTRY_REDIS_SEED` repeats the choices of a run, and not its interleavings.

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
mod sent;
mod timeline;
mod work;

use self::faults::Fault;
use self::flaws::Flaw;
use self::history::{Counters, History};
use self::judges::Verdict;
use self::loss::{Judged, Loss};
use self::run::{Setting, run};
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
    println!(
        "JOB_REGISTRY_REDIS_SEED={}: {:?}",
        setting.seed, setting.faults
    );
    let mut result = None;
    server::run(async { result = Some(run(setting).await) });
    result.expect("a history")
}

/// Runs a setting, judges its history, and returns the counters.
fn check(setting: &Setting) -> Counters {
    let (history, counters) = history_of(setting);
    let judged = std::time::Instant::now();
    let bad = judges::judge(&history);
    println!("judged in {:?}: {counters:?}", judged.elapsed());
    for (group, verdict) in bad.iter().take(3) {
        println!("{}", verdict.text(&history.groups[*group]));
    }
    let contradictions = &history.contradictions;
    assert!(
        contradictions.is_empty(),
        "{:#?}",
        &contradictions[..contradictions.len().min(5)]
    );
    assert!(
        bad.is_empty(),
        "{} histories are not linearizable",
        bad.len()
    );
    counters
}

fn require(counters: &Counters, required: &[&str]) {
    for name in required {
        if name.starts_with("jumps") && !server::has_movable_clock() {
            continue;
        }
        let times = counters.get(*name).copied().unwrap_or(0);
        assert!(times > 0, "{name}: never seen in {counters:#?}");
    }
}

/// Returns a setting with these faults.
fn setting(faults: &[Fault], processes: u32, callers: u32, calls: u32) -> Setting {
    let can_strike = |fault: &&Fault| **fault != Fault::ClockJump || server::has_movable_clock();
    Setting {
        faults: faults.iter().filter(can_strike).copied().collect(),
        processes,
        callers,
        calls,
        seed: seed(),
        flaw: Flaw::Nothing,
        policy: "always",
    }
}

/// Counters that a run with all faults has to show.
const REQUIRED: [&str; 22] = [
    "cuts between send and reply",
    "resends that met their own effect",
    "unknown",
    "scripts that were gone",
    "kills of the server with writes in flight",
    "kills of clients with calls in flight",
    "never answered",
    "jumps of the clock in the log",
    "jumps back of the clock in the log",
    "rejected, memory is full",
    "leases that were taken",
    "leases that ended while held",
    "leases that tasks have given up",
    "busy because of a lease",
    "leased jobs in sweeps",
    "payloads of guards",
    "endings by guards",
    "keys that led to a job",
    "keys that led to a second new job",
    "mismatches",
    "runs that ended",
    "spawned works that ended",
];

/// Scenario 57.
#[test]
fn histories_of_several_processes_with_faults_are_linearizable() {
    let counters = check(&setting(&Fault::ALL, 4, 2, 580));
    require(&counters, &REQUIRED);
    assert!(counters["calls"] > 5_000, "{counters:#?}");
}

#[test]
#[ignore = "takes ten minutes: a hundred thousand calls"]
fn long_histories_under_each_fault_are_linearizable() {
    let mut calls = 0;
    for (number, fault) in Fault::ALL.into_iter().enumerate() {
        // From 3 to 8 processes, most of them with several callers.
        let (processes, callers) = [(3, 2), (4, 2), (5, 1), (6, 1), (7, 1), (8, 1)][number % 6];
        let counters = check(&setting(&[fault], processes, callers, 3_000 / processes));
        require(&counters, own(fault));
        calls += counters["calls"];
    }
    // Without `appendfsync always`, a full disk ends no server: it rejects the calls.
    let full = Setting {
        policy: "everysec",
        ..setting(&[Fault::DiskFull], 4, 2, 400)
    };
    let counters = check(&full);
    require(&counters, &["rejected, disk is full"]);
    calls += counters["calls"];
    let mut mixed = Counters::new();
    while calls < 100_000 {
        let counters = check(&setting(&Fault::ALL, 8, 2, 500));
        calls += counters["calls"];
        for (name, times) in counters {
            *mixed.entry(name).or_default() += times;
        }
    }
    println!("{calls} calls; all faults: {mixed:#?}");
    require(&mixed, &REQUIRED);
}

/// Returns the counters that a run with one fault has to show.
fn own(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::Cuts => &[
            "cuts between send and reply",
            "resends that met their own effect",
            "unknown",
        ],
        Fault::KillServer | Fault::DiskFull => &[
            "kills of the server with writes in flight",
            "resends",
            "unknown",
        ],
        Fault::KillClient => &["kills of clients with calls in flight", "never answered"],
        Fault::StopServer | Fault::DropConnections | Fault::Pause | Fault::Sleep => &["resends"],
        Fault::StopClient => &["struck: StopClient"],
        Fault::ForgetScripts => &["scripts that were gone"],
        Fault::MemoryFull => &["rejected, memory is full"],
        Fault::ClockJump => &[
            "jumps of the clock in the log",
            "jumps back of the clock in the log",
        ],
    }
}

#[test]
fn the_judges_detect_corrupted_histories() {
    let setting = setting(&[Fault::Cuts, Fault::DropConnections], 3, 2, 500);
    let (history, _) = history_of(&setting);
    let bad = judges::judge(&history);
    assert!(
        bad.is_empty() && history.contradictions.is_empty(),
        "it is not corrupted yet"
    );
    corrupt::check(&history.groups, call::Dice(setting.seed));
}

/// Number of runs in which a wrong client may hide.
const TRIES: u32 = 6;

#[test]
#[ignore = "takes minutes: a run for each wrong client and script"]
fn wrong_clients_and_scripts_are_detected() {
    for flaw in Flaw::IN_ONE_HISTORY {
        let is_detected = (0..TRIES).any(|_| {
            let faults = [Fault::Cuts, Fault::DropConnections, Fault::StopServer];
            let (history, counters) = history_of(&Setting {
                flaw,
                ..setting(&faults, 4, 2, 500)
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

#[test]
#[ignore = "takes a minute: runs until an attempt is rewound and its owner writes"]
fn a_fence_without_a_nonce_is_detected_after_a_failover() {
    let is_detected = (0..2 * TRIES).any(|_| {
        let judged = judge_loss(Loss::Failover, 6, 300, Flaw::FenceByAttempt);
        println!("{} findings", judged.found.len());
        !judged.found.is_empty()
    });
    assert!(is_detected, "the fence survives");
}

fn judge_loss(loss: Loss, processes: u32, calls: u32, flaw: Flaw) -> Judged {
    let seed = seed();
    println!("JOB_REGISTRY_REDIS_SEED={seed}: {loss:?}");
    let setting = loss::Setting {
        loss,
        processes,
        calls,
        seed,
        flaw,
    };
    let mut result = None;
    server::run(async { result = Some(loss::run(&setting).await) });
    result.expect("two histories")
}

/// Runs a loss, and requires two histories that are linearizable.
fn check_loss(loss: Loss, processes: u32, calls: u32) -> Counters {
    let judged = judge_loss(loss, processes, calls, Flaw::Nothing);
    println!("{:?}", judged.counters);
    for found in judged.found.iter().take(3) {
        println!("{found}");
    }
    assert!(judged.found.is_empty(), "{} findings", judged.found.len());
    let required: &[_] = match loss {
        Loss::Kill(_) => &["changes before", "changes after"],
        _ => &[
            "changes before",
            "changes after",
            "acknowledged changes lost",
        ],
    };
    require(&judged.counters, required);
    let is_kill = matches!(loss, Loss::Kill(_));
    assert!(
        !is_kill || judged.counters["changes lost"] == 0,
        "a killed server loses changes"
    );
    judged.counters
}

/// Scenario 76.
#[test]
fn a_power_failure_loses_a_suffix_and_nothing_worse() {
    check_loss(Loss::PowerFailure("everysec"), 4, 200);
}

#[test]
#[ignore = "takes two minutes: a run for each way to lose changes"]
fn every_loss_is_one_of_a_suffix_and_nothing_worse() {
    for loss in [
        Loss::Kill("always"),
        Loss::Kill("everysec"),
        Loss::Kill("no"),
        Loss::PowerFailure("everysec"),
        Loss::PowerFailure("no"),
        Loss::Failover,
        Loss::Sentinel,
    ] {
        check_loss(loss, 5, 300);
    }
}
