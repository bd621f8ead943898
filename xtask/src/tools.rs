//! Tools that the full size installs for itself, below `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of a crate that `cargo install` knows. `None`, and said why, if it cannot be had.
pub fn install(root: &Path, name: &str, version: &str) -> Option<PathBuf> {
    let tools = root.join("target/tools");
    let program = tools.join("bin").join(name);
    // What cargo says it has installed there.
    let list = Command::new(env!("CARGO"))
        .args(["install", "--list", "--root"])
        .arg(&tools)
        .output();
    let wanted = format!("{name} v{version}:");
    let is_there = list.is_ok_and(|list| String::from_utf8_lossy(&list.stdout).contains(&wanted));
    if is_there && program.exists() {
        return Some(program);
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root);
    // A program that is there and not listed is of nobody knows which version.
    cargo.args([
        "install",
        "--force",
        "--locked",
        // What they do takes less than what optimising them would.
        "--debug",
        "--version",
        version,
        "--root",
    ]);
    cargo.arg(&tools).arg(name);
    let done = cargo.status().is_ok_and(|status| status.success());
    if !done {
        eprintln!("{name} {version} cannot be installed");
    }
    done.then_some(program)
}
