//! `cargo verify`: everything that is checked, and a table at the end.

mod compare;
mod dependents;
mod environment;
mod exploration;
mod fuzz;
mod generated;
mod ledger;
mod miri;
mod mutants;
mod package;
mod page;
mod performance;
mod profile;
mod properties;
mod scenarios;
mod steps;
mod tools;
mod zoo;

use clap::{Parser, Subcommand};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Checks everything that the project claims.
#[derive(Parser)]
#[command(bin_name = "cargo verify")]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Clone, Subcommand)]
enum What {
    /// In a quarter of an hour; this is the default
    Quick {
        /// Write what is generated in README and docs; without it, what differs is a failure
        #[arg(long)]
        write: bool,
    },
    /// For about two hours: the larger programs, the seeded bugs and the mutants as well; writes all that is generated
    Full,
    /// Models and programs alone, of the full size; writes their tables
    Models,
    /// The tables of what the last run has recorded
    Tables {
        #[arg(long)]
        write: bool,
    },
    /// The seeded bugs, or those with a certain text in their names
    Zoo {
        name: Option<String>,
        #[arg(long)]
        write: bool,
    },
    /// A service that depends on the library, with and without the checkers
    Dependents,
    /// Which test checks which property and scenario
    Scenarios {
        #[arg(long)]
        write: bool,
    },
    /// Puts what the last `cargo bench --bench peers` has measured into docs/performance.md
    Peers,
    /// What the hot calls cost in instructions, counted by callgrind
    Instructions {
        #[arg(long)]
        write: bool,
    },
    /// What the crate is to those who depend on it: files, licences, features, oldest dependencies, public API
    Package {
        #[arg(long)]
        write: bool,
    },
    /// The service's page in a headless Chromium; needs that, Node and npm
    Page,
    /// What strangers send, by libFuzzer; needs a nightly compiler
    Fuzz {
        /// For each of the programs
        #[arg(long, default_value_t = 90)]
        seconds: u32,
    },
    /// Tests on real threads, interpreted by Miri with many schedules; needs a nightly compiler
    Miri {
        /// Number of seeds for the shortest tests; longer ones have fewer
        #[arg(long, default_value_t = miri::SEEDS)]
        seeds: u32,
    },
    /// The library with one small change, hundreds of times over
    Mutants {
        #[arg(long)]
        write: bool,
        /// Only those that the last run has missed; tests may have changed since, the library may not
        #[arg(long)]
        again: bool,
    },
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask has a parent");
    let is_fine = match Arguments::parse()
        .what
        .unwrap_or(What::Quick { write: false })
    {
        What::Quick { write } => verify(root, false, write),
        What::Full => verify(root, true, true),
        What::Models => models(root),
        What::Tables { write } => {
            let mut outcomes = Vec::new();
            explored(root, write, &mut outcomes);
            concluded(&outcomes)
        }
        What::Zoo { name, write } => zoo::run(root, name.as_deref(), write),
        What::Dependents => dependents::run(root),
        What::Scenarios { write } => scenarios::check(root, write),
        What::Peers => performance::copy_peers(root),
        What::Instructions { write } => performance::run(root, write),
        What::Package { write } => package::run(root, write),
        What::Page => page::run(root),
        What::Fuzz { seconds } => fuzz::run(root, seconds),
        What::Miri { seeds } => miri::run(root, seeds),
        What::Mutants { write, again } => mutants::run(root, write, again),
    };
    ExitCode::from(u8::from(!is_fine))
}

/// What a check is called, whether it passed and what it took.
struct Outcome(&'static str, bool, Duration);

fn timed(name: &'static str, check: impl FnOnce() -> bool) -> Outcome {
    let began = Instant::now();
    let passed = check();
    Outcome(name, passed, began.elapsed())
}

fn models(root: &Path) -> bool {
    ledger::forget(root);
    environment::forget(root);
    let mut outcomes = steps::models(root);
    explored(root, true, &mut outcomes);
    concluded(&outcomes)
}

fn verify(root: &Path, full: bool, write: bool) -> bool {
    ledger::forget(root);
    environment::forget(root);
    let mut outcomes = steps::run(root, full);
    if full {
        outcomes.push(timed("seeded bugs", || zoo::run(root, None, true)));
        outcomes.push(timed("instructions", || performance::run(root, false)));
        outcomes.push(timed("package", || package::run(root, false)));
        outcomes.push(timed("page", || page::run(root)));
        outcomes.push(timed("fuzz", || fuzz::run(root, 90)));
        outcomes.push(timed("miri", || miri::run(root, miri::SEEDS)));
        outcomes.push(timed("mutants", || mutants::run(root, true, false)));
    }
    outcomes.push(timed("table of bugs", || zoo::check(root)));
    outcomes.push(timed("dependents", || dependents::run(root)));
    outcomes.push(timed("scenarios", || scenarios::check(root, write)));
    explored(root, write, &mut outcomes);
    concluded(&outcomes)
}

/// What the ledgers say.
fn explored(root: &Path, write: bool, outcomes: &mut Vec<Outcome>) {
    let lines = ledger::read(root);
    outcomes.push(timed("shuttle in loom", || compare::run(root)));
    outcomes.push(timed("table of properties", || {
        properties::check(root, &lines, write)
    }));
    outcomes.push(timed("table of explorations", || {
        exploration::check(root, &lines, write)
    }));
    outcomes.push(timed("table of calls", || environment::check(root, write)));
    println!("\n{}", exploration::table(&lines));
}

/// Prints the results. `false` if a check failed.
fn concluded(outcomes: &[Outcome]) -> bool {
    println!("{:<26} {:<8} {:>8}", "check", "result", "seconds");
    for Outcome(name, passed, took) in outcomes {
        let result = if *passed { "ok" } else { "FAILED" };
        println!("{name:<26} {result:<8} {:>8.1}", took.as_secs_f64());
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.1).count();
    println!("\n{} passed, {failed} failed", outcomes.len() - failed);
    failed == 0
}
