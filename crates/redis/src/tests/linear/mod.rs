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
mod faults;
mod flaws;
mod history;
mod judges;
mod log;
mod model;
mod opinion;
mod replay;
mod run;
mod search;
mod timeline;

use self::faults::Fault;
use self::flaws::Flaw;
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

/// Runs a setting, judges its history, and returns what was counted.
fn check(setting: &Setting) -> Counters {
    println!("JOB_REGISTRY_REDIS_SEED={}: {:?}", setting.seed, setting.faults);
    let mut result = None;
    server::run(async { result = Some(run(setting).await) });
    let (history, counters) = result.expect("a history");
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

#[test]
fn histories_of_several_processes_with_faults_are_linearizable() {
    let counters = check(&Setting {
        faults: std::env::var("DEV_FAULTS").map_or(Fault::ALL.to_vec(), |names| Fault::ALL.into_iter().filter(|fault| names.contains(&format!("{fault:?}"))).collect()),
        processes: 4,
        callers: 2,
        calls: std::env::var("DEV_CALLS").map_or(400, |n| n.parse().unwrap()),
        seed: seed(),
        flaw: Flaw::Nothing,
    });
    require(&counters, &["cuts between send and reply", "unknown"]);
}
