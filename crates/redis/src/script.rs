//! The scripts: their texts, and the hashes by which they are called.

use crate::names::{OF_ONE, SHARED};
use std::collections::HashSet;

/// A script of `src/scripts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Script {
    Register,
    Start,
    Advance,
    Heartbeat,
    End,
    Update,
    Keep,
    Lease,
    Stop,
    Remove,
    Retry,
    Verdict,
    Collect,
    Read,
    Stalled,
    Walk,
    Counts,
    Lookup,
    Audit,
    Open,
}

/// The scripts in the order of [`Script`], with their names and their own texts.
const OWN: [(&str, &str); 20] = [
    ("register", include_str!("scripts/register.lua")),
    ("start", include_str!("scripts/start.lua")),
    ("advance", include_str!("scripts/advance.lua")),
    ("heartbeat", include_str!("scripts/heartbeat.lua")),
    ("end", include_str!("scripts/end.lua")),
    ("update", include_str!("scripts/update.lua")),
    ("keep", include_str!("scripts/keep.lua")),
    ("lease", include_str!("scripts/lease.lua")),
    ("stop", include_str!("scripts/stop.lua")),
    ("remove", include_str!("scripts/remove.lua")),
    ("retry", include_str!("scripts/retry.lua")),
    ("verdict", include_str!("scripts/verdict.lua")),
    ("collect", include_str!("scripts/collect.lua")),
    ("read", include_str!("scripts/read.lua")),
    ("stalled", include_str!("scripts/stalled.lua")),
    ("walk", include_str!("scripts/walk.lua")),
    ("counts", include_str!("scripts/counts.lua")),
    ("lookup", include_str!("scripts/lookup.lua")),
    ("audit", include_str!("scripts/audit.lua")),
    ("open", include_str!("scripts/open.lua")),
];

/// The parts of the scripts' texts, by name. Tests replace some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) clock: String,
    pub(crate) prelude: String,
    pub(crate) own: Vec<(&'static str, String)>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            clock: include_str!("scripts/clock.lua").to_owned(),
            prelude: include_str!("scripts/prelude.lua").to_owned(),
            own: OWN.map(|(name, text)| (name, text.to_owned())).to_vec(),
        }
    }
}

/// The assembled scripts.
#[derive(Debug)]
pub(crate) struct Scripts(Vec<Assembled>);

#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) text: String,
    pub(crate) hash: String,
    /// Number of the keys of [`OF_ONE`] or [`SHARED`] that the script gets.
    pub(crate) keys: usize,
}

impl Scripts {
    pub(crate) fn new(parts: &Parts) -> Self {
        let assemble = |(_, own): &(&str, String)| {
            // The line with the flags has to come first.
            let (flags, rest) = own.split_once('\n').unwrap_or((own, ""));
            let shared = format!("{}{}", parts.clock, parts.prelude);
            let body = format!("{}{rest}", used(&shared, rest));
            let used: HashSet<&str> = words(&body).collect();
            let keys = if used.contains("JOB") {
                let is_used = |(name, _): &(&str, &str)| used.contains(name);
                let last = OF_ONE.iter().rposition(is_used).unwrap_or(0);
                &OF_ONE[..=last]
            } else {
                &SHARED[..]
            };
            let text = format!("{flags}\n{}{body}", named(keys));
            let hash = redis::Script::new(&text).get_hash().to_owned();
            let keys = keys.len();
            Assembled { text, hash, keys }
        };
        Self(parts.own.iter().map(assemble).collect())
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Assembled] {
        &self.0
    }

    pub(crate) fn get(&self, script: Script) -> &Assembled {
        &self.0[script as usize]
    }
}

/// Returns a line that names the first keys of a call.
fn named(keys: &[(&str, &str)]) -> String {
    let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
    let keys: Vec<_> = (1..=keys.len()).map(|i| format!("KEYS[{i}]")).collect();
    format!("local {} = {}\n", names.join(", "), keys.join(", "))
}

/// Returns those declarations of the shared text that a script uses, without comments.
///
/// The server runs the whole text in each call, and creates every function that it declares. A
/// declaration begins with `local` at the start of a line and ends before the next one.
fn used(shared: &str, own: &str) -> String {
    let mut declarations: Vec<String> = Vec::new();
    for line in shared.lines() {
        if line.starts_with("local ") {
            declarations.push(String::new());
        }
        // Comments are between the declarations.
        if let Some(last) = declarations.last_mut().filter(|_| !line.starts_with("--")) {
            *last += line;
            *last += "\n";
        }
    }
    let mut used: HashSet<&str> = words(own).collect();
    let mut kept = Vec::new();
    for declaration in declarations.iter().rev() {
        let names = declaration
            .trim_start_matches("local ")
            .trim_start_matches("function ");
        let names = names.split(['(', '=']).next().unwrap_or_default();
        if names.split(',').any(|name| used.contains(name.trim())) {
            used.extend(words(declaration));
            kept.push(&**declaration);
        }
    }
    kept.reverse();
    kept.concat()
}

/// Returns the words of Lua code outside of comments.
fn words(code: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let lines = code
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    lines.flat_map(move |line| line.split(move |letter| !is_part(letter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_the_declarations_that_it_uses() {
        let shared = "-- A rule.\nlocal A, B = 1, 2\n\nlocal function f(x)\n  return x + B\nend\n
local function g()\n  return f(1)\nend\n\nlocal function h() -- f, and no g\n  return g()\nend\n";
        assert_eq!(used(shared, "return 1 -- A, f\n"), "");
        assert_eq!(used(shared, "return job.A2\n"), "");
        assert_eq!(used(shared, "return A\n"), "local A, B = 1, 2\n\n");
        let with_g = used(shared, "return g()\n");
        assert!(
            !with_g.contains("function h") && with_g.contains("function f"),
            "{with_g}"
        );
        assert!(with_g.starts_with("local A, B = 1, 2\n"), "{with_g}");
        assert_eq!(used(shared, "h()\n").matches("local ").count(), 4);
    }

    #[test]
    fn a_script_that_reads_has_no_function_that_writes() {
        let scripts = Scripts::new(&Parts::default());
        let has = |script, name| words(&scripts.get(script).text).any(|word| word == name);
        assert!(has(Script::Advance, "commit_step") && has(Script::Collect, "delete"));
        assert!(!has(Script::Read, "write") && !has(Script::Advance, "delete"));
    }

    #[test]
    fn a_script_of_one_job_gets_the_keys_up_to_the_last_one_that_it_uses() {
        let scripts = Scripts::new(&Parts::default());
        let keys = |script| scripts.get(script).keys;
        assert_eq!((keys(Script::Advance), keys(Script::Update)), (3, 5));
        assert_eq!((keys(Script::Remove), keys(Script::Register)), (7, 7));
        let start = &scripts.get(Script::Start).text;
        assert!(
            start.contains("local COUNT, JOB, TEXTS, RUN, DUE = KEYS[1], "),
            "{start}"
        );
        let verdict = &scripts.get(Script::Verdict).text;
        assert!(
            verdict.contains("local COUNT, RUN, DUE, ALL = KEYS[1], "),
            "{verdict}"
        );
    }
}
