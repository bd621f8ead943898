//! `xtask/verify.toml`: the parts and steps of `cargo verify`, and the names in use.

use itertools::Itertools;
use std::sync::LazyLock;
use toml::{Table, Value};

static CONFIG: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("../verify.toml")).expect("verify.toml is well-formed")
});

/// A command for the shell, or a check of this program.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: &'static str,
    /// The command. Without it, the step is the check of its name.
    pub line: Option<String>,
    /// A process each: the text for `{part}` in the line. A step without parts is one process.
    pub parts: Vec<String>,
    /// Tests that have to run and pass, in a build without warnings.
    pub tests: Vec<String>,
}

fn table(key: &str) -> &'static Table {
    CONFIG[key].as_table().expect("it is a table")
}

fn text(value: &'static Value) -> &'static str {
    value.as_str().expect("it is a text")
}

fn list(value: Option<&'static Value>) -> impl Iterator<Item = &'static str> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.map(text)
}

/// Returns one of the names.
pub fn name(name: &str) -> &'static str {
    text(&table("names")[name])
}

/// Returns the parts of `cargo verify`, each with its description.
pub fn parts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let parts = table("verify").iter();
    parts.map(|(name, part)| (&**name, text(&part["about"])))
}

/// Returns the steps of a part, in their order.
pub fn steps(part: &str) -> Vec<Step> {
    let mut groups = list(table("verify")[part].get("groups")).collect::<Vec<_>>();
    if groups.is_empty() {
        groups.push(part);
    }
    let steps = groups.iter().map(|group| table("steps")[*group].as_table());
    let steps = steps.flatten().flatten();
    steps.map(|(name, value)| step(name, value)).collect()
}

fn step(name: &'static str, value: &'static Value) -> Step {
    let parts = value.get("parts").map(|parts| &table("parts")[text(parts)]);
    let tests = list(value.get("tests")).map(filled).join(" ");
    Step {
        name,
        line: value.get("run").unwrap_or(value).as_str().map(filled),
        parts: list(parts).map(str::to_owned).collect(),
        tests: tests.split_whitespace().map(str::to_owned).collect(),
    }
}

/// Returns the names of all checkers, in their order, and the lines that build and run their tests.
pub fn checkers() -> impl Iterator<Item = (&'static str, String)> {
    let checkers = table("checkers").iter();
    checkers.map(|(name, line)| (&**name, filled(text(line))))
}

/// Replaces each `{name}` in a line, also within a replacement.
fn filled(line: &str) -> String {
    let fill = |line: String, (name, value): (&String, &'static Value)| {
        line.replace(&format!("{{{name}}}"), text(value))
    };
    let once = |line| table("names").iter().fold(line, fill);
    once(once(once(line.to_owned())))
}
