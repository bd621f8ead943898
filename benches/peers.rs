//! `cargo bench --bench peers`: this crate beside its peers and the limits of the machine, as ratios.
//!
//! A driver of its own, and not criterion, for one reason. Criterion measures one thing after the other, minutes
//! apart, and what else a machine does in these minutes makes a ratio of two such numbers worthless. Here
//! ours and all peers take turns of a millisecond or so in one process, and each number is the median of its turns.
//! Only ratios count: the nanoseconds are for a feeling.
//!
//! `-- --quick` takes fewer turns, and leaves no goal out. `-- --only NAME` takes the rows whose name has NAME in it.

#[path = "peers/chart.rs"]
mod chart;
#[path = "peers/concurrent.rs"]
mod concurrent;
#[path = "peers/contest.rs"]
mod contest;
#[path = "peers/goals.rs"]
mod goals;
#[path = "peers/held.rs"]
mod held;
#[path = "peers/locked.rs"]
mod locked;
#[path = "peers/maps.rs"]
mod maps;
#[path = "peers/ours.rs"]
mod ours;
#[path = "peers/pauses.rs"]
mod pauses;
#[path = "peers/peer.rs"]
mod peer;
#[path = "peers/report.rs"]
mod report;
#[path = "peers/timers.rs"]
mod timers;
#[path = "peers/wakes.rs"]
mod wakes;

use contest::Effort;
use report::Report;
use std::time::Instant;

/// How much, and what.
pub struct Plan {
    effort: Effort,
    only: Option<String>,
}

impl Plan {
    fn wants(&self, row: &str) -> bool {
        self.only.as_ref().is_none_or(|only| row.contains(only))
    }
}

fn main() {
    // Cargo adds `--bench`.
    let args: Vec<_> = std::env::args().collect();
    let only = args.iter().position(|arg| arg == "--only");
    let quick = args.iter().any(|arg| arg == "--quick");
    let (rounds, calls) = if quick { (5, 20_000) } else { (21, 50_000) };
    let plan = Plan {
        effort: Effort { rounds, calls },
        only: only.and_then(|at| args.get(at + 1).cloned()),
    };
    let start = Instant::now();
    let mut report = Report::default();
    maps::run(&plan, &mut report);
    held::run(&plan, &mut report);
    wakes::run(&plan, &mut report);
    timers::run(&plan, &mut report);
    pauses::run(&plan, &mut report);
    report.print();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    report.write(&format!("{root}/target/peers.json"));
    if plan.only.is_none() {
        chart::draw(&report, &format!("{root}/docs/internals/peers.svg"));
        report.write_markdown(&format!("{root}/docs/internals/peers.md"));
    }
    goals::print(&report);
    println!("{} s", start.elapsed().as_secs());
}
