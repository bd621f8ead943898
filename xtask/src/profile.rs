//! Where the instructions of a call are spent: of what callgrind has written for each benchmark, the
//! [format](https://valgrind.org/docs/manual/cl-format.html) as far as it is needed.

use std::collections::BTreeMap;

/// Instructions by name.
type Costs = BTreeMap<String, u64>;

/// What each line costs by itself, without what it calls.
#[derive(Default)]
struct Profile {
    /// What was inlined counts where it was written.
    by_file: Costs,
    /// What was inlined counts where it is.
    by_function: Costs,
}

/// Of `out`: the dearest functions, each as instructions of one of `calls`. The dearest files, if one function has most of it:
/// then all else is inlined there.
pub fn dearest(out: &str, calls: u64) -> String {
    let Profile {
        by_file,
        by_function,
    } = parse(out);
    let all: u64 = by_function.values().sum();
    let is_in_one = by_function.values().any(|cost| cost * 2 > all);
    let costs = if is_in_one { by_file } else { by_function };
    let mut costs: Vec<_> = costs.into_iter().collect();
    costs.sort_by_key(|(name, cost)| (std::cmp::Reverse(*cost), name.clone()));
    // Those that are worth a word.
    let shown = costs.iter().take_while(|(_, cost)| cost * 40 > all).count();
    let rest: u64 = costs[shown..].iter().map(|(_, cost)| cost).sum();
    let names = costs[..shown].iter();
    let names = names.map(|(name, cost)| format!("`{name}` {}", cost / calls));
    let others = (rest > 0).then(|| format!("{} others {}", costs.len() - shown, rest / calls));
    names.chain(others).collect::<Vec<_>>().join(", ")
}

fn parse(out: &str) -> Profile {
    let mut profile = Profile::default();
    let (mut file, mut function) = ("", "");
    let mut is_of_callee = false;
    for line in out.lines() {
        match line.split_once('=') {
            // A function's file, and changes of it where something has been inlined.
            Some(("fl" | "fi" | "fe", name)) => file = name,
            Some(("fn", name)) => function = name,
            Some(("calls", _)) => is_of_callee = true,
            // A place, and the events there; instructions are the first of them.
            None if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) => {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
                let cost: u64 = cost.unwrap_or_default();
                if !std::mem::take(&mut is_of_callee) {
                    *profile.by_file.entry(source(file)).or_default() += cost;
                    *profile.by_function.entry(path(function)).or_default() += cost;
                }
            }
            _ => {}
        }
    }
    profile
}

/// A function's, without type arguments and traits: `removal::vacate`, `clock::ManualClock::now`.
fn path(function: &str) -> String {
    // What gungraun wraps a benchmark in.
    if function.contains("__gungraun") {
        return "the benchmark".to_owned();
    }
    // `<Type as Trait>::function`
    let of_type = function
        .strip_prefix('<')
        .and_then(|rest| rest.split_once(" as "));
    let function = match of_type {
        Some((of, rest)) => format!("{of}::{}", rest.rsplit("::").next().unwrap_or_default()),
        None => function.to_owned(),
    };
    let mut depth = 0;
    let flat: String = function
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '<');
            let is_outside = depth == 0;
            depth -= i32::from(*c == '>');
            is_outside
        })
        .collect();
    let parts = flat.split("::").filter(|part| !part.is_empty());
    let parts = parts.skip_while(|part| *part == "job_registry");
    parts.collect::<Vec<_>>().join("::")
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

#[cfg(test)]
mod tests {
    use super::{Costs, Profile, dearest, parse, path};

    const OUT: &str = "positions: line\nevents: Ir Dr\nsummary: 700 9\n\n\
        ob=/a/target/release/deps/instructions\nfl=/a/b/src/inner.rs\nfn=job_registry::inner::<impl X>::f\n10 200 1\n\
        fi=/rustc/0123/library/core/src/sync/atomic.rs\n+5 300 2\nfe=/a/b/src/inner.rs\n\
        cfi=/a/b/src/word.rs\ncfn=g\ncalls=1 3\n* 900 4\n-3 200\n\n\
        fl=/rust/deps/hashbrown-0.16.1/src/raw/mod.rs\nfn=hashbrown::insert\n7 100\n";

    /// What a call costs is its callee's, and what is inlined is its own file's.
    #[test]
    fn each_instruction_counts_once_where_it_was_written() {
        let Profile {
            by_file,
            by_function,
        } = parse(OUT);
        let costs = |costs: &[(&str, u64)]| -> Costs {
            let costs = costs.iter();
            costs
                .map(|(name, cost)| ((*name).to_owned(), *cost))
                .collect()
        };
        assert_eq!(
            by_file,
            costs(&[
                ("core/sync/atomic.rs", 300),
                ("hashbrown", 100),
                ("src/inner.rs", 400)
            ])
        );
        assert_eq!(
            by_function,
            costs(&[("inner::f", 700), ("hashbrown::insert", 100)])
        );
    }

    #[test]
    fn what_one_function_has_is_told_by_its_files() {
        let text = "`src/inner.rs` 4, `core/sync/atomic.rs` 3, `hashbrown` 1";
        assert_eq!(dearest(OUT, 100), text);
        let even = OUT.replace("7 100", "7 700");
        assert_eq!(dearest(&even, 100), "`hashbrown::insert` 7, `inner::f` 7");
    }

    #[test]
    fn functions_are_paths_without_arguments() {
        for (function, expected) in [
            (
                "job_registry::removal::<impl job_registry::inner::Inner<T>>::vacate",
                "removal::vacate",
            ),
            (
                "<job_registry::clock::ManualClock as job_registry::clock::Clock>::now",
                "clock::ManualClock::now",
            ),
            (
                "core::ptr::drop_in_place<job_registry::removal::Removed<[u8; 16]>>",
                "core::ptr::drop_in_place",
            ),
        ] {
            assert_eq!(path(function), expected);
        }
    }
}
