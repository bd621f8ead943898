//! `cargo verify package`: what the crate is to those who depend on it: its files, its licences, its features in every
//! combination, the oldest dependencies and the oldest compiler that it says it works with, its public API, and that
//! this has not lost anything since the last release.

use crate::{generated, tools};
use std::fs;
use std::path::Path;
use std::process::Command;

const HACK: &str = "0.6.46";
const DENY: &str = "0.20.2";
const PUBLIC_API: &str = "0.52.0";
const SEMVER: &str = "0.51.0";
/// The features of the library, but those of the checkers, which have no effect without their `--cfg`.
const FEATURES: &str = "metrics,serde,tokio,tracing";
/// What the package has, from the root. Everything else that the package gets by mistake is refused.
const CONTENTS: &[&str] = &[
    ".cargo_vcs_info.json",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Cargo.toml.orig",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "examples/",
    "loom_tests/",
    "src/",
    "tests/",
];
/// Crates whose types may stand in the public API. Each is a promise: their major versions are ours.
const EXTERNAL: &[&str] = &["futures_core", "serde_core", "tokio", "tracing"];
const API: &str = "docs/public-api.txt";

/// Every check, to the end; `write` renews the listing of the public API.
pub fn run(root: &Path, write: bool) -> bool {
    let checks = [
        contents(root),
        licences(root),
        features(root),
        oldest_dependencies(root),
        oldest_compiler(root),
        public_api(root, write),
        compatible(root),
    ];
    checks.iter().all(|passed| *passed)
}

fn cargo(root: &Path, args: &str) -> Command {
    println!("\n$ cargo {args}");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(args.split(' '));
    cargo
}

fn succeeds(mut command: Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// The package holds what it should, builds from that alone, and nothing else is in it.
fn contents(root: &Path) -> bool {
    let list = cargo(root, "package --list --allow-dirty -p job-registry").output();
    let Ok(list) = list.map(|list| String::from_utf8_lossy(&list.stdout).into_owned()) else {
        return false;
    };
    let is_known = |file: &str| {
        CONTENTS.iter().any(|known| match known.strip_suffix('/') {
            Some(_) => file.starts_with(known),
            None => file == *known,
        })
    };
    let unknown: Vec<_> = list.lines().filter(|file| !is_known(file)).collect();
    for file in &unknown {
        eprintln!("in the package, and not in `CONTENTS`: {file}");
    }
    let missing: Vec<_> = ["src/lib.rs", "README.md", "LICENSE-MIT", "LICENSE-APACHE"]
        .into_iter()
        .filter(|file| !list.lines().any(|listed| listed == *file))
        .collect();
    for file in &missing {
        eprintln!("not in the package: {file}");
    }
    unknown.is_empty()
        && missing.is_empty()
        && succeeds(cargo(root, "package --allow-dirty -p job-registry"))
}

/// Licences, sources, and crates that are there twice, by `deny.toml`.
fn licences(root: &Path) -> bool {
    let Some(deny) = tools::install(root, "cargo-deny", DENY) else {
        return false;
    };
    println!("\n$ cargo deny --all-features --workspace check bans licenses sources");
    let mut command = Command::new(deny);
    command.current_dir(root).args([
        "--all-features",
        "--workspace",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    succeeds(command)
}

fn features(root: &Path) -> bool {
    let Some(hack) = tools::install(root, "cargo-hack", HACK) else {
        return false;
    };
    println!("\n$ cargo hack check --feature-powerset --no-dev-deps -p job-registry");
    let mut command = Command::new(hack);
    command
        // It changes the manifest while it works, and changes it back.
        .current_dir(root)
        .env("CARGO_TARGET_DIR", root.join("target/package-features"))
        .args(["hack", "check", "--feature-powerset", "--no-dev-deps"])
        .args([
            "--package",
            "job-registry",
            "--exclude-features",
            "loom,shuttle",
        ]);
    succeeds(command)
}

/// With the oldest versions of its own dependencies that the manifest allows. In a copy: the lock file changes.
fn oldest_dependencies(root: &Path) -> bool {
    let copy = root.join("target/oldest");
    let _ = fs::remove_dir_all(copy.join("tree"));
    let tree = copy.join("tree");
    if fs::create_dir_all(&tree).is_err() {
        return false;
    }
    let files = Command::new("git")
        .current_dir(root)
        .args(["checkout-index", "--all", "--prefix"])
        .arg(format!("{}/", tree.display()))
        .status();
    if !files.is_ok_and(|status| status.success()) {
        eprintln!("git has no copy of the tree to give");
        return false;
    }
    if let Err(error) = leave_the_workspace(&tree.join("Cargo.toml")) {
        eprintln!("the copy's manifest: {error}");
        return false;
    }
    let Some(hack) = tools::install(root, "cargo-hack", HACK) else {
        return false;
    };
    // What the tests need is not what a dependent gets.
    let mut remove = Command::new(hack);
    remove
        .current_dir(&tree)
        .args(["hack", "--remove-dev-deps"]);
    let mut update = cargo(&tree, "update -Z direct-minimal-versions");
    // The option is not stable, and nothing of what is built depends on it.
    update.env("RUSTC_BOOTSTRAP", "1");
    let mut check = cargo(&tree, "check -p job-registry --lib --features");
    check
        .arg(FEATURES)
        .env("CARGO_TARGET_DIR", copy.join("target"));
    succeeds(remove) && succeeds(update) && succeeds(check)
}

/// With the compiler of `rust-version`, which rustup is asked for if it is not there. A machine that cannot have it fails here:
/// what has not been checked has not passed.
fn oldest_compiler(root: &Path) -> bool {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let Some(version) = version.map(|version| version.trim_matches('"')) else {
        eprintln!("Cargo.toml names no `rust-version`");
        return false;
    };
    println!("\n$ rustup toolchain install {version} --profile minimal");
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", version, "--profile", "minimal"]);
    if !succeeds(install) {
        eprintln!("NOT CHECKED: Rust {version} cannot be had here");
        return false;
    }
    println!("\n$ cargo +{version} check -p job-registry --lib --features {FEATURES}");
    let mut check = Command::new("rustup");
    check
        .current_dir(root)
        .env("CARGO_TARGET_DIR", root.join("target/oldest-compiler"))
        // The one that runs this has said which it is.
        .env_remove("RUSTC")
        .env_remove("RUSTDOC")
        .args(["run", version, "cargo", "check", "--package"])
        .args(["job-registry", "--lib", "--features", FEATURES]);
    succeeds(check)
}

/// Nothing is gone or changed that dependents of the last release may use. Before the first release there is nothing to compare
/// with, and the listing of the public API is all that is looked at.
fn compatible(root: &Path) -> bool {
    let tags = Command::new("git")
        .current_dir(root)
        .args(["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"])
        .output();
    let tag = match tags {
        Ok(tags) if tags.status.success() => {
            String::from_utf8_lossy(&tags.stdout).trim().to_owned()
        }
        _ => {
            println!("\nno release yet: cargo semver-checks has nothing to compare with");
            return true;
        }
    };
    let Some(tool) = tools::install(root, "cargo-semver-checks", SEMVER) else {
        return false;
    };
    println!("\n$ cargo semver-checks -p job-registry --baseline-rev {tag}");
    let mut command = Command::new(tool);
    command
        .current_dir(root)
        .env("CARGO_TARGET_DIR", root.join("target/semver"))
        .args(["semver-checks", "--package", "job-registry"])
        .args(["--only-explicit-features", "--features", FEATURES])
        .args(["--baseline-rev", &tag]);
    succeeds(command)
}

/// Without the other packages, which ask for versions of their own.
fn leave_the_workspace(manifest: &Path) -> std::io::Result<()> {
    let text = fs::read_to_string(manifest)?;
    let is_own =
        |line: &&str| !line.starts_with("members =") && !line.starts_with("default-members =");
    let own: Vec<_> = text.lines().filter(is_own).collect();
    fs::write(manifest, own.join("\n"))
}

/// The listing is as it was committed, and has nobody else's types but those that it may have.
fn public_api(root: &Path, write: bool) -> bool {
    let Some(tool) = tools::install(root, "cargo-public-api", PUBLIC_API) else {
        return false;
    };
    println!("\n$ cargo public-api -p job-registry --features {FEATURES}");
    let listing = Command::new(tool)
        .current_dir(root)
        .env("CARGO_TARGET_DIR", root.join("target/public-api"))
        .args(["public-api", "--package", "job-registry", "--simplified"])
        .args(["--features", FEATURES, "--color", "never"])
        .output();
    let Ok(listing) = listing else { return false };
    if !listing.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&listing.stderr));
        return false;
    }
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let foreign: Vec<_> = listing
        .lines()
        .filter(|line| has_foreign_type(line))
        .collect();
    for line in &foreign {
        eprintln!("a type of a crate that is not in `EXTERNAL`: {line}");
    }
    foreign.is_empty() && generated::same(&root.join(API), &listing, write)
}

/// Whether a line of the listing names a path of a crate that is neither the library's own, nor the standard
/// library's, nor one of those that it may name.
fn has_foreign_type(line: &str) -> bool {
    let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    words
        .filter_map(|word| word.split_once("::"))
        .map(|(first, _)| first)
        .filter(|first| first.starts_with(|c: char| c.is_ascii_lowercase()))
        .any(|first| {
            !["std", "core", "alloc", "job_registry"].contains(&first) && !EXTERNAL.contains(&first)
        })
}

#[cfg(test)]
mod tests {
    use super::has_foreign_type;

    #[test]
    fn foreign_types_are_found() {
        assert!(has_foreign_type(
            "pub fn job_registry::Job<T>::m(&self) -> siphasher::sip::SipHasher"
        ));
        assert!(!has_foreign_type(
            "pub fn job_registry::Job<T>::span(&self) -> tracing::span::Span"
        ));
        assert!(!has_foreign_type(
            "impl<T> core::fmt::Debug for job_registry::Job<T> where Self::X: alloc::Y"
        ));
    }
}
