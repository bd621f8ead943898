//! `cargo verify zoo`: bugs that were seeded on purpose, and whether the checks notice.
//!
//! Each patch in `loom_tests/seeded` puts one bug into a copy of the sources, and its header names the
//! checkers and tests that have to fail then. All of them must; one that passes is a missing model. What they
//! must not do is fail without the bug, so the copy is checked unpatched first.
//!
//! The small registries of `loom_tests/zoo` are the other half. They are ordinary tests of the models,
//! which report to the same ledger.

mod child;
mod copy;
mod kill;
mod matrix;
mod seeded;
mod verdict;

use self::child::{Child, Ended};
use self::copy::Copy;
use self::kill::Kill;
use self::seeded::{Checker, Seeded};
use self::verdict::{Verdict, failures, started};
use crate::{generated, miri};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Far more than a build takes that has everything to compile.
const BUILD: Duration = Duration::from_secs(600);
/// Several times what the slowest of the named tests takes.
const RUN: Duration = Duration::from_secs(180);
/// All of them, one after the other, without a bug.
const ALL: Duration = Duration::from_secs(1200);

/// Of Miri, for each bug: three times as many as the rarest of them needs.
const SEEDS: u32 = 48;

const SEEDED: &str = "loom_tests/seeded";
const DOCUMENT: &str = "docs/zoo.md";
const PART: &str = "zoo";

/// Whether every bug was killed by every checker that its patch names, and, of a run with all of them, whether
/// docs/zoo.md says so; with `write` it does, afterwards. `only` picks the patches with one of these texts,
/// which commas separate, in their names; of such a run, `write` replaces their rows.
pub fn run(root: &Path, only: Option<&str>, write: bool) -> bool {
    let began = Instant::now();
    let zoo = match Zoo::open(root, only) {
        Ok(zoo) => zoo,
        Err(error) => {
            eprintln!("zoo: {error}");
            return false;
        }
    };
    // The runs of one checker follow each other, because they share what is built.
    let mut is_sound = true;
    for checker in Checker::all() {
        if only.is_none() {
            is_sound &= zoo.specimens(&checker);
        }
        is_sound &= zoo.visit(&checker);
    }
    let kills = kill::read(&zoo.ledger);
    let lived: Vec<_> = kills.iter().filter(|kill| !kill.died).collect();
    println!(
        "\nzoo: {} of {} killed, in {} seconds",
        kills.len() - lived.len(),
        kills.len(),
        began.elapsed().as_secs()
    );
    for kill in &lived {
        println!("{kill}");
    }
    let document = root.join(DOCUMENT);
    let old = match only {
        Some(_) => generated::read(&document, PART).unwrap_or_default(),
        None => String::new(),
    };
    let is_documented = only.is_some() && !write
        || generated::check(&document, PART, &matrix::matrix(&kills, &old), write);
    is_sound && is_documented && lived.is_empty() && !kills.is_empty()
}

/// Without a run: whether every patch has its row in docs/zoo.md, and nothing there lives.
pub fn check(root: &Path) -> bool {
    let Some(matrix) = generated::read(&root.join(DOCUMENT), PART) else {
        eprintln!("{DOCUMENT}: no place for `{PART}`");
        return false;
    };
    let seeded = match seeded::read(&root.join(SEEDED)) {
        Ok(seeded) => seeded,
        Err(error) => {
            eprintln!("zoo: {error}");
            return false;
        }
    };
    let mut is_fine = !matrix.contains(matrix::LIVES);
    for bug in seeded {
        let number = bug.name.split('-').next().unwrap_or_default();
        if !matrix.contains(&format!("| {number} | {} |", bug.bug)) {
            eprintln!(
                "{DOCUMENT}: `cargo verify zoo --write` has not run with {}",
                bug.name
            );
            is_fine = false;
        }
    }
    is_fine
}

struct Zoo {
    target: PathBuf,
    ledger: PathBuf,
    copy: Copy,
    seeded: Vec<Seeded>,
}

impl Zoo {
    fn open(root: &Path, only: Option<&str>) -> Result<Self, String> {
        let target = root.join("target/zoo");
        let copy = Copy::of(root, &target.join("copy")).map_err(|error| error.to_string())?;
        // Of a part there is a ledger apart: the matrix is made of all.
        let ledger = target.join(match only {
            None => "ledger.jsonl",
            Some(_) => "some.jsonl",
        });
        // Lines are appended, and those of the last run are not of this one.
        let _ = std::fs::remove_file(&ledger);
        let mut seeded = seeded::read(&root.join(SEEDED))?;
        let is_picked =
            |bug: &Seeded, only: &str| only.split(',').any(|text| bug.name.contains(text));
        seeded.retain(|bug| only.is_none_or(|only| is_picked(bug, only)));
        Ok(Self {
            target,
            ledger,
            copy,
            seeded,
        })
    }

    /// The small registries, whose tests write the ledger's lines. `false` if one of them lives.
    fn specimens(&self, checker: &Checker) -> bool {
        if !matches!(checker, Checker::Loom | Checker::Shuttle) {
            return true;
        }
        println!("\nsmall registries, {checker}");
        if let Err(why) = self.build(checker) {
            println!("  {why}");
            return false;
        }
        let child = self.test(checker, ["loom_tests::zoo::"], RUN);
        let is_dead = child.ended == Ended::Passed && !started(&child.output).is_empty();
        if !is_dead {
            println!("{}", child.output);
        }
        for kill in kill::read(&self.ledger) {
            if kill.kind == "zoo" && kill.checker == checker.to_string() {
                println!("{kill}");
            }
        }
        is_dead
    }

    /// Runs everything that this checker has to kill. `false` if it cannot be relied on.
    fn visit(&self, checker: &Checker) -> bool {
        let bugs: Vec<_> = self
            .seeded
            .iter()
            .filter_map(|bug| Some((bug, bug.filters(checker)?)))
            .collect();
        let mut filters: Vec<_> = bugs.iter().flat_map(|(_, filters)| *filters).collect();
        filters.sort_unstable();
        filters.dedup();
        if filters.is_empty() {
            return true;
        }
        println!("\nunpatched, {checker}: {} filters", filters.len());
        if let Err(why) = self.passes(checker, &filters) {
            println!("  NOT SOUND: {why}");
            return false;
        }
        for (bug, filters) in bugs {
            let kill = self.try_bug(bug, checker, filters);
            println!("{kill}");
            kill.append(&self.ledger);
        }
        true
    }

    /// Without a bug, everything that is named exists and passes.
    fn passes(&self, checker: &Checker, filters: &[&String]) -> Result<(), String> {
        self.build(checker)?;
        let child = self.test(checker, filters.iter().map(|filter| filter.as_str()), ALL);
        if child.ended != Ended::Passed {
            let failed = failures(&child.output).join(", ");
            return Err(format!("{:?}, failed: {failed}", child.ended));
        }
        let started = started(&child.output);
        match filters
            .iter()
            .find(|filter| !started.iter().any(|test| test.contains(**filter)))
        {
            Some(filter) => Err(format!("no test is called `{filter}`")),
            None => Ok(()),
        }
    }

    fn try_bug(&self, bug: &Seeded, checker: &Checker, filters: &[String]) -> Kill {
        let began = Instant::now();
        let verdict = match self.copy.apply(&bug.path) {
            Ok(()) => {
                let verdict = self.judge(bug, checker, filters);
                self.copy
                    .revert(&bug.path)
                    .expect("a patch that was applied can be reverted");
                verdict
            }
            Err(error) => Verdict::lives(format!("the patch does not apply: {error}")),
        };
        Kill::new(bug, checker, verdict, began.elapsed())
    }

    fn judge(&self, bug: &Seeded, checker: &Checker, filters: &[String]) -> Verdict {
        if let Err(error) = self.build(checker) {
            return Verdict::lives(error);
        }
        let child = self.test(checker, filters.iter().map(String::as_str), RUN);
        // For whoever wonders why.
        let output = self.target.join(format!("{}.{checker}.txt", bug.name));
        let _ = std::fs::copy(self.target.join("run.txt"), output);
        Verdict::of(&child, bug.hangs.contains(checker))
    }

    fn build(&self, checker: &Checker) -> Result<(), String> {
        let mut cargo = self.cargo(checker);
        cargo.arg("--no-run");
        let child = Child::run(cargo, BUILD, &self.target.join("build.txt"));
        match child.ended {
            Ended::Passed => Ok(()),
            _ => Err(format!("does not build:\n{}", child.output)),
        }
    }

    /// One test after the other, so that it is known which one an abort belongs to.
    fn test<'a>(
        &self,
        checker: &Checker,
        filters: impl IntoIterator<Item = &'a str>,
        within: Duration,
    ) -> Child {
        let mut cargo = self.cargo(checker);
        cargo.args(["--", "--test-threads=1", "--nocapture"]);
        cargo.args(filters);
        Child::run(cargo, within, &self.target.join("run.txt"))
    }

    fn cargo(&self, checker: &Checker) -> std::process::Command {
        let mut cargo = match checker {
            Checker::Miri => miri::test(&self.copy.path, SEEDS),
            _ => {
                let mut cargo = std::process::Command::new(env!("CARGO"));
                cargo.current_dir(&self.copy.path).arg("test");
                cargo
            }
        };
        cargo
            .args(["--profile", "zoo"])
            .args(checker.target())
            .env("RUSTFLAGS", checker.flags())
            .env("RUST_BACKTRACE", "0")
            // The same histories every time, so that a kill is not a matter of luck.
            .env("PROPTEST_RNG_SEED", "1")
            .env("CARGO_TARGET_DIR", self.target.join(checker.folder()))
            .env("JOB_REGISTRY_ZOO_LEDGER", &self.ledger)
            .env_remove("JOB_REGISTRY_LEDGER");
        if *checker == Checker::Environment {
            // Some bugs are detected after hundreds of thousands of executions.
            cargo.args(["--config", "profile.zoo.package.job-registry.opt-level=3"]);
        }
        cargo
    }
}
