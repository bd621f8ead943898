//! `cargo verify fuzz`: what strangers send, by libFuzzer. It needs a nightly compiler, whose instruments it uses.

use crate::tools;
use std::path::Path;
use std::process::Command;

const VERSION: &str = "0.13.2";
/// The programs of `fuzz/`.
const TARGETS: [&str; 3] = ["ids", "decks", "requests"];

/// Each for so many seconds. What makes one fail is kept below `fuzz/artifacts`.
pub fn run(root: &Path, seconds: u32) -> bool {
    let Some(tool) = tools::install(root, "cargo-fuzz", VERSION) else {
        return false;
    };
    let fuzz = |target: &&str| {
        println!("\n$ cargo +nightly fuzz run {target} -- -max_total_time={seconds}");
        let mut command = Command::new("rustup");
        command
            .current_dir(root)
            // The one that runs this is another.
            .env_remove("CARGO")
            .env_remove("RUSTC")
            .args(["run", "nightly"])
            .arg(&tool)
            .args(["run", target, "--fuzz-dir", "fuzz", "--"])
            .arg(format!("-max_total_time={seconds}"))
            // A request that takes longer is one that holds a thread.
            .args(["-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1"]);
        match command.status() {
            Ok(status) => status.success(),
            Err(error) => {
                eprintln!("rustup: {error}");
                false
            }
        }
    };
    // All of them, also where one has failed.
    TARGETS.iter().filter(|target| !fuzz(target)).count() == 0
}
