//! Where the instructions of a call are spent, by source file: of what callgrind has written for each benchmark, the
//! [format](https://valgrind.org/docs/manual/cl-format.html) as far as it is needed.

use std::collections::BTreeMap;

/// Instructions by source file: what was inlined counts where it was written.
pub type Profile = BTreeMap<String, u64>;

/// What each line of `out` costs by itself, without what it calls.
pub fn parse(out: &str) -> Profile {
    let mut profile = Profile::new();
    let mut file = "";
    let mut is_of_callee = false;
    for line in out.lines() {
        match line.split_once('=') {
            // A function's file, and changes of it where something has been inlined.
            Some(("fl" | "fi" | "fe", name)) => file = name,
            Some(("calls", _)) => is_of_callee = true,
            // A place, and the events there; instructions are the first of them.
            None if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) => {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
                if !std::mem::take(&mut is_of_callee) {
                    *profile.entry(source(file)).or_default() += cost.unwrap_or(0_u64);
                }
            }
            _ => {}
        }
    }
    profile
}

/// A short name: `src/word.rs`, `core/sync/atomic.rs`, `hashbrown`, `memmove`.
fn source(path: &str) -> String {
    if let Some((_, path)) = path.split_once("/library/") {
        return path.replacen("src/", "", 1);
    }
    if let Some((_, path)) = path.split_once("/deps/") {
        return path.split("/src").next().map_or_else(String::new, package);
    }
    if let Some((_, path)) = path.split_once("/registry/src/") {
        return path.split('/').nth(1).map_or_else(String::new, package);
    }
    let parts: Vec<_> = path.rsplit('/').take(3).collect();
    match parts[..] {
        [file, "src", _] => format!("src/{file}"),
        [file, folder, "src"] => format!("src/{folder}/{file}"),
        [file, "benches", _] => format!("benches/{file}"),
        [file, ..] => {
            let end = file.find(['-', '.', '_']).unwrap_or(file.len());
            file[..end].to_owned()
        }
        [] => String::new(),
    }
}

/// Without the version.
fn package(folder: &str) -> String {
    let end = folder.rfind('-').unwrap_or(folder.len());
    folder[..end].to_owned()
}

/// The dearest of them, each as instructions of one of `calls`, and the rest.
pub fn dearest(profile: &Profile, calls: u64) -> String {
    const SHOWN: usize = 8;
    let mut files: Vec<_> = profile.iter().collect();
    files.sort_by_key(|&(name, &cost)| (std::cmp::Reverse(cost), name));
    let shown = files.iter().take(SHOWN);
    let shown = shown.map(|(name, cost)| format!("{name} {}", *cost / calls));
    let rest: u64 = files.iter().skip(SHOWN).map(|&(_, cost)| cost).sum();
    let rest =
        (files.len() > SHOWN).then(|| format!("{} others {}", files.len() - SHOWN, rest / calls));
    shown.chain(rest).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{dearest, parse};

    const OUT: &str = "positions: line\nevents: Ir Dr\nsummary: 700 9\n\n\
        ob=/a/target/release/deps/instructions\nfl=/a/b/src/inner.rs\nfn=f\n10 200 1\n\
        fi=/rustc/0123/library/core/src/sync/atomic.rs\n+5 300 2\nfe=/a/b/src/inner.rs\n\
        cfi=/a/b/src/word.rs\ncfn=g\ncalls=1 3\n* 900 4\n-3 200\n\n\
        fl=/rust/deps/hashbrown-0.16.1/src/raw/mod.rs\n7 100\n";

    /// What a call costs is its callee's, and what is inlined is its own file's.
    #[test]
    fn each_instruction_counts_once_where_it_was_written() {
        let profile = parse(OUT);
        let expected = [
            ("core/sync/atomic.rs", 300),
            ("hashbrown", 100),
            ("src/inner.rs", 400),
        ];
        assert!(
            profile
                .iter()
                .map(|(name, cost)| (name.as_str(), *cost))
                .eq(expected)
        );
        assert_eq!(
            dearest(&profile, 100),
            "src/inner.rs 4, core/sync/atomic.rs 3, hashbrown 1"
        );
    }
}
