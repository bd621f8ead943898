//! Goals for the ratios, and whether a run met them.

use crate::maps::{SIZES, THREADS};
use crate::report::Report;

/// A goal for the ratios of some rows.
struct Goal {
    call: &'static str,
    sizes: &'static [usize],
    threads: &'static [usize],
    other: &'static str,
    /// Smallest permitted ratio of the other's value to this crate's.
    least: f64,
}

const fn goal(
    call: &'static str,
    sizes: &'static [usize],
    threads: &'static [usize],
    other: &'static str,
    least: f64,
) -> Goal {
    Goal {
        call,
        sizes,
        threads,
        other,
        least,
    }
}

const LARGE: &[usize] = &[100_000, 1_000_000];
const MILLION: &[usize] = &[1_000_000];
const LIMIT: &str = "limit";
const SIP: &str = "dashmap_sip";

/// All goals. "At most twice the limit" is a ratio of at least 0.5.
const GOALS: &[Goal] = &[
    goal("advance_by_id", &SIZES, &THREADS, LIMIT, 0.5),
    goal("advance_by_id", &SIZES, &THREADS, SIP, 3.0),
    goal("advance_by_id", &SIZES, &THREADS, "guide", 8.0),
    goal("advance_by_id", &SIZES, &[1], "mutex_slotmap", 1.0),
    goal("advance_by_id", &SIZES, &[2], "mutex_slotmap", 2.5),
    goal("advance_by_handle", &SIZES, &THREADS, LIMIT, 1.0 / 1.5),
    goal("same_job", &[1000], &[1], LIMIT, 1.0 / 1.2),
    goal("same_job", &[1000], &[2], "parking_lot_job", 2.0),
    goal("snapshot_held", &[1], &[1], "not_held", 1.0 / 1.5),
    goal("advance_held", &[1], &[1], "not_held", 1.0 / 1.5),
    goal("heartbeat_held", &[1], &[1], "not_held", 1.0 / 1.5),
    goal("wake", &[1], &[1], "tokio_watch", 1.0),
    goal("remove_after", LARGE, &[1], "delay_queue", 5.0),
    goal("remove_after", LARGE, &[1], "task_per_job", 10.0),
    goal("heartbeat_every", &[100_000], &[1], "task_per_job", 20.0),
    goal("longest_in_sweep", MILLION, &[2], SIP, 4.0),
    goal("p9999_in_sweep", MILLION, &[2], SIP, 10.0),
    goal("scan", MILLION, &[1], LIMIT, 0.5),
    goal("pause_of_register", MILLION, &[2], "one_millisecond", 1.0),
    goal(
        "pause_of_fail_stalled",
        MILLION,
        &[2],
        "one_millisecond",
        1.0,
    ),
    goal("pause_of_sweep", MILLION, &[2], "one_millisecond", 1.0),
    goal("snapshot", &SIZES, &THREADS, LIMIT, 0.5),
    goal("snapshot", &SIZES, &THREADS, SIP, 3.0),
    goal("mix_90_10", &SIZES, &THREADS, LIMIT, 0.5),
    goal("mix_90_10", &SIZES, &THREADS, SIP, 3.0),
    // The limit of this row is a clock reading and three compare-exchanges.
    goal("heartbeat", &SIZES, &THREADS, LIMIT, 1.0),
    goal("update", &[1000], &[1, 2], SIP, 1.0 / 1.5),
    goal("update", LARGE, &[1, 2], SIP, 1.0),
    goal("life", &SIZES, &THREADS, SIP, 1.0),
    goal("life", &SIZES, &THREADS, "guide", 5.0),
];

/// Result for one goal in one row.
pub struct Verdict {
    pub place: String,
    pub ratio: f64,
    pub least: f64,
}

impl Verdict {
    pub fn is_met(&self) -> bool {
        self.ratio >= self.least
    }
}

/// Returns the results of the goals whose rows were measured.
pub fn evaluate(report: &Report) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for goal in GOALS {
        for &jobs in goal.sizes {
            for &threads in goal.threads {
                let place = format!("{}/{jobs}/{threads}/{}", goal.call, goal.other);
                let ratio = report.ratio(goal.call, jobs, threads, goal.other);
                verdicts.extend(ratio.map(|ratio| Verdict {
                    place,
                    ratio,
                    least: goal.least,
                }));
            }
        }
    }
    verdicts.extend(growth(report));
    verdicts
}

/// Compares the time with 1,000,000 jobs to the time with 1,000, relative to the limit's own
/// growth.
fn growth(report: &Report) -> Option<Verdict> {
    let growth = |name: &str| {
        let value = |jobs| {
            let row = report.row("advance_by_id", jobs, 1)?;
            let value = row.values.iter().find(|(it, _)| *it == name);
            value.map(|(_, value)| *value)
        };
        Some(value(SIZES[2])? / value(SIZES[0])?)
    };
    Some(Verdict {
        place: "growth of advance_by_id/1/limit".to_owned(),
        ratio: growth(LIMIT)? / growth("ours")?,
        least: 1.0 / 1.3,
    })
}

/// Prints each goal with its ratio, and the number of goals that were met.
pub fn print(report: &Report) {
    println!("\nGoals (a ratio is the other's divided by ours)\n");
    let verdicts = evaluate(report);
    for verdict in &verdicts {
        let Verdict {
            place,
            ratio,
            least,
        } = verdict;
        let word = if verdict.is_met() { "met   " } else { "MISSED" };
        println!("{word} {place:44} {ratio:8.2}, goal at least {least:.2}");
    }
    let met = verdicts.iter().filter(|verdict| verdict.is_met()).count();
    println!("\n{met} of {} met", verdicts.len());
}
