//! `cargo bench --bench peers`: this crate compared with its peers and the limits of the machine,
//! as ratios.
//!
//! It does not use criterion, which measures one contender after the other, minutes apart. The load
//! of the machine changes meanwhile, and a ratio of two such numbers is worthless. Here this crate
//! and all peers alternate in turns of about a millisecond in one process, and each number is the
//! median of its turns. Only the ratios matter; the nanoseconds show the order of magnitude.
//!
//! `-- --quick` takes fewer turns, and omits no goal. `-- --only NAME` takes the rows whose name
//! contains NAME.

mod chart;
mod concurrent;
mod contest;
mod goals;
mod held;
mod locked;
mod maps;
mod ours;
mod pauses;
mod peer;
mod report;
mod timers;
mod wakes;

use contest::Effort;
use report::Report;
use std::time::Instant;

/// The rows to measure, and the number of turns.
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
