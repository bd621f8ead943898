//! `cargo verify fuzz`: what strangers send, by libFuzzer. It needs a nightly compiler, whose instruments it uses.

use crate::tools;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

const VERSION: &str = "0.13.2";
/// The programs of `fuzz/`.
const TARGETS: [&str; 3] = ["ids", "decks", "requests"];

/// All at the same time, each for so many seconds. What makes one fail is kept below `fuzz/artifacts`.
pub fn run(root: &Path, seconds: u32) -> bool {
    let Some(tool) = tools::install(root, "cargo-fuzz", VERSION) else {
        return false;
    };
    let fuzz = |args: &[&str]| {
        println!("\n$ cargo +nightly fuzz {}", args.join(" "));
        let mut command = Command::new("rustup");
        command
            .current_dir(root)
            // The one that runs this is another.
            .env_remove("CARGO")
            .env_remove("RUSTC")
            .args(["run", "nightly"])
            .arg(&tool)
            .args(args);
        command
    };
    if !succeeds(fuzz(&["build", "--fuzz-dir", "fuzz"]).status()) {
        return false;
    }
    let seconds = format!("-max_total_time={seconds}");
    let runs = TARGETS.map(|target| {
        let mut run = fuzz(&["run", target, "--fuzz-dir", "fuzz", "--", &seconds]);
        // A request that takes longer is one that holds a thread.
        run.args(["-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1"]);
        run.stdin(Stdio::null()).stdout(Stdio::piped());
        run.stderr(Stdio::piped());
        run.spawn()
    });
    std::thread::scope(|scope| {
        let ends = runs.map(|run| scope.spawn(|| run?.wait_with_output()));
        let ends = ends.map(|end| end.join().expect("it waits, and no more"));
        // All of them, also where one has failed.
        let failed = TARGETS.iter().zip(ends).filter(|(target, end)| {
            println!("\n{target}:");
            if let Ok(end) = end {
                print!("{}", String::from_utf8_lossy(&end.stderr));
            }
            !succeeds(end.as_ref().map(|end| end.status))
        });
        failed.count() == 0
    })
}

fn succeeds<E: std::fmt::Display>(end: Result<ExitStatus, E>) -> bool {
    match end {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("rustup: {error}");
            false
        }
    }
}
