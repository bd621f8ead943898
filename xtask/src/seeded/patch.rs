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
//! `kill` names a checker and filters of its tests, which have to fail. `hangs` says that with this
//! bug the checker never returns, so that exceeding the time limit counts as detection.

use crate::config::{checkers, name};
use itertools::Itertools;
use std::fs;

/// A bug, and the tests that have to detect it.
#[derive(Debug)]
pub struct Patch {
    /// The file's name, without its ending.
    pub name: String,
    header: String,
}

impl Patch {
    /// Reads the header, which has to name known checkers.
    pub fn new(name: &str, text: &str) -> Self {
        let (header, _) = text.split_once("\n--- ").unwrap_or((text, ""));
        let (name, header) = (name.to_owned(), header.to_owned());
        let patch = Self { name, header };
        for named in patch.values("kill").chain(patch.values("hangs")) {
            let is_known = checkers().any(|(name, _)| named.split(' ').next() == Some(name));
            assert!(is_known, "{}: not a known checker: {named}", patch.name);
        }
        patch
    }

    fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let lines = self.header.lines().filter_map(|line| line.split_once(": "));
        lines.filter(move |line| line.0 == key).map(|line| line.1)
    }

    /// Returns the number in front of the name.
    pub fn number(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }

    pub fn bug(&self) -> &str {
        self.values("bug").next().unwrap_or_default()
    }

    /// Returns the properties, as `P1, P4`.
    pub fn breaks(&self) -> String {
        let ids = self.values("breaks").flat_map(|ids| ids.split(", "));
        ids.filter(|id| id.starts_with('P')).join(", ")
    }

    /// Returns the filters of a checker's tests that have to fail, with spaces between them.
    pub fn filters(&self, checker: &str) -> Option<&str> {
        let mut kills = self.values("kill").filter_map(|kill| kill.split_once(' '));
        Some(kills.find(|kill| kill.0 == checker)?.1)
    }

    pub fn may_hang(&self, checker: &str) -> bool {
        self.values("hangs").any(|name| name == checker)
    }
}

/// Returns all patches, by name.
pub fn read() -> Vec<Patch> {
    let entries = fs::read_dir(name("seeded")).expect("the patches can be listed");
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.filter_map(|name| name.into_string().ok()).sorted();
    let patch = |file: String| {
        let text = fs::read_to_string(format!("{}/{file}", name("seeded")));
        let name = file.strip_suffix(".patch")?;
        Some(Patch::new(name, &text.expect("a patch can be read")))
    };
    names.filter_map(patch).collect()
}

#[cfg(test)]
mod tests {
    use super::Patch;

    const TEXT: &str = "bug: a: b\nbreaks: P1, P4, scenario 6\nkill: loom x y\nhangs: loom\n\n--- a\nkill: lib z\n";

    #[test]
    fn header_names_checkers_and_filters() {
        let patch = Patch::new("07-lost", TEXT);
        let texts = [patch.number(), patch.bug(), &patch.breaks()];
        assert_eq!(texts, ["07", "a: b", "P1, P4"]);
        assert_eq!(patch.filters("loom"), Some("x y"));
        assert_eq!(patch.filters("lib"), None);
        assert!(patch.may_hang("loom") && !patch.may_hang("lib"));
    }

    #[test]
    #[should_panic(expected = "not a known checker")]
    fn unknown_checker_is_refused() {
        Patch::new("07-lost", &TEXT.replace("loom", "gloom"));
    }
}
