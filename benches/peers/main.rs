//! Ratios of this crate to its peers and to the limits of the machine.
//!
//! `cargo bench --bench peers` runs the comparison. `-- --quick` runs fewer rounds, and all rows.
//! `-- --only NAME` runs the rows whose name contains NAME.
//!
//! Criterion would measure the contenders one after the other, minutes apart. The load of the
//! machine changes meanwhile, and distorts the ratio of two such numbers. Here, this crate and its
//! peers alternate in short rounds within one process. Most rows report the median of the rounds.
//! Only the ratios are meaningful. The times show the order of magnitude.

mod chart;
mod concurrent;
mod contest;
mod goals;
mod held;
mod latency;
mod locked;
mod maps;
mod ours;
mod peer;
mod report;
mod timers;
mod wakes;
mod watchers;

use contest::Effort;
use report::Report;
use std::time::Instant;

/// Rows to measure, and the size of each measurement.
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
    watchers::run(&plan, &mut report);
    timers::run(&plan, &mut report);
    latency::run(&plan, &mut report);
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
