//! `cargo verify miri`: interprets the tests on real threads with Miri. A seed decides the schedule and which stale values are
//! read. It needs a nightly compiler.

use std::path::Path;
use std::process::Command;

/// Number of seeds for the shortest tests. All runs then take 20 minutes of processor time, or ten on two cores.
pub const SEEDS: u32 = 200;

/// Arguments of `cargo miri test`, those of its tests, and one seed for how many of [`SEEDS`].
///
/// `accepted_beat` is left out: its threads have to alternate in step, which takes too long under Miri. The unit tests are those
/// of the free list, which start threads.
const RUNS: [(&str, &str, u32); 5] = [
    (
        "--test threads",
        "slot_is_passed steps_of_two writers_that",
        1,
    ),
    ("--test threads", "id_of_a_walk new_chunk", 10),
    ("--test threads", "--skip orders:: --skip accepted_beat", 70),
    ("--lib", "free::", 40),
    ("--test linearizable", "", 20),
];

/// `seeds` is the number of seeds for the shortest tests.
pub fn run(root: &Path, seeds: u32) -> bool {
    if !is_there(root) {
        return false;
    }
    // All of them, also where one has failed.
    let failed = RUNS
        .iter()
        .filter(|(target, filter, one_in)| !cargo(root, seeds.div_ceil(*one_in), target, filter));
    failed.count() == 0
}

/// Installs the component, unless it is there.
fn is_there(root: &Path) -> bool {
    let rustup = |args: &[&str]| {
        println!("\n$ rustup {}", args.join(" "));
        let done = command(root).args(args).status();
        done.is_ok_and(|status| status.success())
    };
    let component = "component add miri rust-src --toolchain nightly";
    let is_there = rustup(&component.split(' ').collect::<Vec<_>>());
    if !is_there {
        eprintln!("Miri cannot be installed");
    }
    is_there
}

fn cargo(root: &Path, seeds: u32, target: &str, filter: &str) -> bool {
    println!(
        "\n$ MIRIFLAGS=\"{}\" cargo +nightly miri test {target} -- {filter}",
        flags(seeds)
    );
    let mut cargo = test(root, seeds);
    cargo
        .args(target.split(' '))
        .arg("--")
        .args(filter.split(' ').filter(|word| !word.is_empty()))
        .env("CARGO_TARGET_DIR", root.join("target/miri"));
    cargo.status().is_ok_and(|status| status.success())
}

/// The registry asks the system for the time and for a key, which isolation forbids. Threads are preempted five times as often
/// as is usual, because the tests are short.
fn flags(seeds: u32) -> String {
    format!("-Zmiri-disable-isolation -Zmiri-preemption-rate=0.05 -Zmiri-many-seeds=0..{seeds}")
}

/// `cargo miri test`, without its arguments.
pub fn test(root: &Path, seeds: u32) -> Command {
    let mut cargo = command(root);
    cargo
        .args(["run", "nightly", "cargo", "miri", "test"])
        .env("MIRIFLAGS", flags(seeds));
    cargo
}

fn command(root: &Path) -> Command {
    let mut rustup = Command::new("rustup");
    rustup
        .current_dir(root)
        // Cargo has set these for the toolchain of this program.
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN");
    rustup
}
