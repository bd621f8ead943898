//! What a dependent gets: `tests/dependent`, a service with models of its own, is built and tested with and without
//! `--cfg loom` and `--cfg shuttle`, which are for everybody in a build, and with and without the features by which it
//! asks the registry to take part in its models.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

const ORDINARY: &[&str] = &[
    "a_deck_is_drawn_watched_and_collected",
    "a_task_beats_and_completes",
];
/// With a checker in the build: its own models work, and the registry is an ordinary one.
const BESIDE: &[&str] = &[
    "a_model_of_ones_own_goes_on_working",
    "a_deck_is_drawn_watched_and_collected",
    "a_task_beats_and_completes",
];
const INSIDE: &[&str] = &[
    "a_model_of_ones_own_goes_on_working",
    "of_the_registry::a_cancel_races_the_worker",
    "of_the_registry::a_look_races_the_removal",
];

/// One combination.
struct Cell {
    /// The checker of `--cfg`.
    cfg: Option<&'static str>,
    features: &'static str,
    /// Tests that have to have passed; what is configured out passes by itself.
    tests: &'static [&'static str],
}

const CELLS: &[Cell] = &[
    cell(None, "", ORDINARY),
    cell(None, "loom,shuttle", ORDINARY),
    cell(Some("loom"), "", BESIDE),
    cell(Some("loom"), "shuttle", BESIDE),
    cell(Some("loom"), "loom", INSIDE),
    cell(Some("shuttle"), "", BESIDE),
    cell(Some("shuttle"), "loom", BESIDE),
    cell(Some("shuttle"), "shuttle", INSIDE),
];

const fn cell(
    cfg: Option<&'static str>,
    features: &'static str,
    tests: &'static [&'static str],
) -> Cell {
    Cell {
        cfg,
        features,
        tests,
    }
}

/// Tries all of them, a line each; whether each did what it has to.
pub fn run(root: &Path) -> bool {
    println!(
        "\n{:<16} {:<16} {:<8} {:>8}",
        "a dependent", "features", "result", "seconds"
    );
    // Every cell, also after one that failed.
    CELLS.iter().filter(|cell| !cell.passes(root)).count() == 0
}

impl Cell {
    fn passes(&self, root: &Path) -> bool {
        let began = Instant::now();
        let wrong = self.test(root).err();
        println!(
            "{:<16} {:<16} {:<8} {:>8.1}",
            self.cfg
                .map_or("no --cfg".to_owned(), |cfg| format!("--cfg {cfg}")),
            if self.features.is_empty() {
                "none"
            } else {
                self.features
            },
            if wrong.is_none() { "ok" } else { "FAILED" },
            began.elapsed().as_secs_f64(),
        );
        if let Some(wrong) = &wrong {
            eprintln!("{wrong}");
        }
        wrong.is_none()
    }

    fn test(&self, root: &Path) -> Result<(), String> {
        // The checkers' own are where the registry's models have them built.
        let target = root.join("target").join(self.cfg.unwrap_or("dependent"));
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(root.join("tests/dependent"))
            .args(["test", "--locked", "--tests", "--features", self.features])
            .env("CARGO_TARGET_DIR", target)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env(
                "RUSTFLAGS",
                self.cfg.map_or(String::new(), |cfg| format!("--cfg {cfg}")),
            );
        let output = cargo.output().map_err(|error| error.to_string())?;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
        if !output.status.success() {
            return Err(text);
        }
        if text.contains("\nwarning: `") {
            return Err(format!("{text}\nthe build has warnings"));
        }
        for test in self.tests {
            if !text.contains(&format!("test {test} ... ok")) {
                return Err(format!("{text}\n`{test}` has not run"));
            }
        }
        Ok(())
    }
}
