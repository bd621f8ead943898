//! `cargo verify`: everything that is checked, and a table of the results at the end.

mod config;
mod documents;
mod ledger;
mod scenarios;
mod seeded;
mod steps;
mod tables;

use clap::Parser;
use clap::builder::{PossibleValue, PossibleValuesParser};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Checks everything that the project claims.
#[derive(Parser)]
#[command(bin_name = "cargo verify", max_term_width = 120)]
struct Arguments {
    /// The part that is checked
    #[arg(default_value = "quick", value_parser = parts())]
    part: String,
    /// Only seeded bugs with one of these texts in their names; commas separate the texts
    name: Option<String>,
    /// Write the generated tables; without it, a table that is out of date is a failure
    #[arg(long)]
    write: bool,
}

fn parts() -> PossibleValuesParser {
    let value = |(name, about)| match name {
        "seeded" => PossibleValue::new(name).help(about).alias("zoo"),
        _ => PossibleValue::new(name).help(about),
    };
    config::parts().map(value).collect::<Vec<_>>().into()
}

/// Name of a check, whether it passed, and how long it took.
struct Outcome(&'static str, bool, Duration);

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    std::env::set_current_dir(root.expect("xtask is in the root")).expect("the root is there");
    let arguments = Arguments::parse();
    let part = if arguments.part == "zoo" {
        "seeded"
    } else {
        &arguments.part
    };
    let write = arguments.write || part == "full" || part == "models";
    let check = |name: &str| match name {
        "table of bugs" => seeded::check(),
        "seeded bugs" => seeded::run(arguments.name.as_deref(), write),
        "scenarios" => scenarios::check(part == "scenarios"),
        "shuttle in loom" => ledger::compare(),
        "table of properties" => tables::properties(write),
        "table of explorations" => tables::explorations(write),
        "table of calls" => tables::calls(write),
        _ => panic!("a step without a line, and no check: {name}"),
    };
    let outcomes = steps::run(&config::steps(part), check);
    println!("\n{:<26} {:<8} {:>8}", "check", "result", "seconds");
    for Outcome(name, passed, took) in &outcomes {
        let result = if *passed { "ok" } else { "FAILED" };
        println!("{name:<26} {result:<8} {:>8.1}", took.as_secs_f64());
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.1).count();
    println!("\n{} passed, {failed} failed", outcomes.len() - failed);
    ExitCode::from(u8::from(failed > 0))
}

#[cfg(test)]
mod tests {
    use super::config;

    #[test]
    fn every_name_in_a_line_is_known() {
        let lines = config::parts().flat_map(|(part, _)| config::steps(part));
        let lines = lines.filter_map(|step| step.line);
        for line in lines.chain(config::checkers().map(|(_, line)| line)) {
            let mut words = line.split(['{', '}']).skip(1).step_by(2);
            assert!(
                words.all(|word| word == "part" || word.contains(' ')),
                "{line}"
            );
        }
    }
}
