//! The patches: a header of `key: value` lines, then a unified diff.
//!
//! ```text
//! bug: what is wrong, in a line
//! breaks: P1, scenario 6
//! kill: loom p01_forward_only
//! kill: faults panics::
//! hangs: loom
//! ```
//!
//! `kill` names a checker and what to filter its tests by. `hangs` says that with this bug the checker never
//! comes back, so that a time-out counts; without it a time-out does not.

use std::fmt;
use std::path::{Path, PathBuf};

/// The models under one of the two checkers, or an ordinary test target, which Miri may interpret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checker {
    Loom,
    Shuttle,
    /// Each call alone, among any number of threads.
    Environment,
    /// The library's unit tests.
    Lib,
    /// A file or folder of `tests`.
    Test(&'static str),
    /// The tests on real threads, with many seeds.
    Miri,
}

const TESTS: [&str; 5] = ["faults", "against_spec", "threads", "task_layer", "panics"];
/// Those that compare events, or need them.
const WITH_EVENTS: [&str; 2] = ["against_spec", "panics"];

impl Checker {
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Loom, Self::Shuttle, Self::Environment, Self::Lib]
            .into_iter()
            .chain(TESTS.map(Self::Test))
            .chain([Self::Miri])
    }

    fn parse(name: &str) -> Option<Self> {
        Self::all().find(|checker| checker.to_string() == name)
    }

    /// What cargo is asked to test.
    pub fn target(&self) -> Vec<&'static str> {
        match self {
            Self::Test(name) if WITH_EVENTS.contains(name) => {
                vec!["--features", "metrics,tracing", "--test", *name]
            }
            Self::Test(name) => vec!["--test", *name],
            Self::Miri => vec!["--test", "threads"],
            _ => vec!["--lib"],
        }
    }

    pub fn flags(&self) -> &'static str {
        match self {
            Self::Loom => "--cfg loom",
            Self::Shuttle => "--cfg shuttle",
            Self::Environment => "--cfg environment",
            _ => "",
        }
    }

    /// Of `target/zoo`, for what is built.
    pub fn folder(&self) -> &'static str {
        match self {
            Self::Loom => "loom",
            Self::Shuttle => "shuttle",
            Self::Environment => "environment",
            Self::Miri => "miri",
            _ => "tests",
        }
    }
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loom => "loom",
            Self::Shuttle => "shuttle",
            Self::Environment => "environment",
            Self::Lib => "lib",
            Self::Test(name) => name,
            Self::Miri => "miri",
        })
    }
}

pub struct Seeded {
    /// The file's name, without its ending.
    pub name: String,
    pub path: PathBuf,
    pub bug: String,
    /// Properties, as `P1, P4`.
    pub breaks: String,
    kills: Vec<(Checker, Vec<String>)>,
    pub hangs: Vec<Checker>,
}

impl Seeded {
    /// The tests that must fail under `checker`.
    pub fn filters(&self, checker: &Checker) -> Option<&Vec<String>> {
        let (_, filters) = self.kills.iter().find(|(named, _)| named == checker)?;
        Some(filters)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut seeded = Self {
            name: name.into_owned(),
            path: path.to_owned(),
            bug: String::new(),
            breaks: String::new(),
            kills: Vec::new(),
            hangs: Vec::new(),
        };
        let header = text.lines().take_while(|line| !line.starts_with("--- "));
        for (key, value) in header.filter_map(|line| line.split_once(": ")) {
            let mut words = value.split_whitespace();
            let mut checker = || {
                let name = words.next().unwrap_or_default();
                Checker::parse(name).ok_or(format!("{}: no checker `{name}`", seeded.name))
            };
            match key {
                "bug" => seeded.bug = value.to_owned(),
                "breaks" => {
                    let properties = value.split(", ").filter(|id| id.starts_with('P'));
                    seeded.breaks = properties.collect::<Vec<_>>().join(", ");
                }
                "hangs" => seeded.hangs.push(checker()?),
                "kill" => {
                    let checker = checker()?;
                    seeded
                        .kills
                        .push((checker, words.map(str::to_owned).collect()));
                }
                _ => {}
            }
        }
        let has_filters = seeded.kills.iter().all(|(_, filters)| !filters.is_empty());
        let has_names = !seeded.bug.is_empty() && !seeded.breaks.is_empty();
        if !has_names || seeded.kills.is_empty() || !has_filters {
            return Err(format!("{}: the header is not complete", seeded.name));
        }
        Ok(seeded)
    }
}

/// All patches of a folder, by name.
pub fn read(folder: &Path) -> Result<Vec<Seeded>, String> {
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    paths.retain(|path| path.extension().is_some_and(|it| it == "patch"));
    paths.sort();
    let parse = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Seeded::parse(path, &text)
    };
    paths.iter().map(parse).collect()
}
