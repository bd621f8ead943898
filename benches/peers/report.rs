//! The measured rows, as text, as a Markdown table and as JSON.

use crate::goals;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A measurement of every contender.
pub struct Row {
    pub call: &'static str,
    pub jobs: usize,
    pub threads: usize,
    /// Value of each contender, this crate first. Most rows are in nanoseconds.
    pub values: Vec<(&'static str, f64)>,
}

#[derive(Default)]
pub struct Report {
    pub rows: Vec<Row>,
}

impl Report {
    /// Prints and adds a row. The first of `values` is this crate's.
    pub fn add(
        &mut self,
        call: &'static str,
        jobs: usize,
        threads: usize,
        values: &[(&'static str, f64)],
    ) {
        let row = Row {
            call,
            jobs,
            threads,
            values: values.to_vec(),
        };
        row.print();
        self.rows.push(row);
    }

    /// Returns a row, if it was measured.
    pub fn row(&self, call: &str, jobs: usize, threads: usize) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| (row.call, row.jobs, row.threads) == (call, jobs, threads))
    }

    /// Returns the other's value divided by this crate's, if the row was measured.
    pub fn ratio(&self, call: &str, jobs: usize, threads: usize, other: &str) -> Option<f64> {
        let mut ratios = self.row(call, jobs, threads)?.ratios();
        ratios
            .find(|(name, _)| *name == other)
            .map(|(_, ratio)| ratio)
    }

    /// Prints the ratios of all rows.
    pub fn print(&self) {
        println!("\nEach number is the other's divided by ours: above 1, ours is better.\n");
        for row in &self.rows {
            print!("{:26}", row.call);
            print!(" {:>7} jobs {} threads: ", row.jobs, row.threads);
            let shown = row
                .ratios()
                .map(|(name, ratio)| format!("{name} {ratio:.2}"));
            println!("{}", shown.collect::<Vec<_>>().join(", "));
        }
    }

    /// Writes every row and every missed goal to the document of measured ratios.
    pub fn write_markdown(&self, path: &str) {
        let mut text = String::from(include_str!("header.md"));
        text +=
            "| call | jobs | threads | the other's time, divided by ours |\n|---|---:|---:|---|\n";
        for row in &self.rows {
            let shown = row
                .ratios()
                .map(|(name, ratio)| format!("{name} **{}**", short(ratio)));
            let shown = shown.collect::<Vec<_>>().join(", ");
            let Row {
                call,
                jobs,
                threads,
                ..
            } = row;
            let _ = writeln!(text, "| {call} | {jobs} | {threads} | {shown} |");
        }
        let verdicts = goals::evaluate(self);
        let met = verdicts.iter().filter(|verdict| verdict.is_met()).count();
        let _ = write!(
            text,
            "\n{met} of {} goals are met. The missed goals:\n\n",
            verdicts.len()
        );
        text += "| call, jobs, threads, other | ratio | goal |\n|---|---:|---:|\n";
        for missed in verdicts.iter().filter(|verdict| !verdict.is_met()) {
            let goals::Verdict {
                place,
                ratio,
                least,
            } = missed;
            let _ = writeln!(text, "| {place} | {ratio:.2} | {least:.2} |");
        }
        std::fs::write(path, text).expect("docs should be writable");
    }

    /// Writes all ratios as JSON.
    pub fn write(&self, path: &str) {
        let ratios = self.rows.iter().flat_map(|row| {
            let key = format!("{}/{}/{}", row.call, row.jobs, row.threads);
            let rounded = |ratio: f64| (ratio * 1000.0).round() / 1000.0;
            row.ratios()
                .map(move |(name, ratio)| (format!("{key}/{name}"), rounded(ratio)))
        });
        let ratios: BTreeMap<_, _> = ratios.collect();
        let text = serde_json::to_string_pretty(&ratios).expect("numbers are valid JSON");
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")).unwrap();
        std::fs::write(path, text + "\n").expect("target should be writable");
    }
}

/// Formats a ratio with three significant digits, or as an integer from 100.
fn short(ratio: f64) -> String {
    match ratio {
        ratio if ratio < 10.0 => format!("{ratio:.2}"),
        ratio if ratio < 100.0 => format!("{ratio:.1}"),
        ratio => format!("{ratio:.0}"),
    }
}

impl Row {
    /// Returns each other contender's value divided by this crate's.
    pub fn ratios(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        let ours = self.values[0].1;
        self.values[1..]
            .iter()
            .map(move |(name, value)| (*name, value / ours))
    }

    fn print(&self) {
        let shown = self
            .values
            .iter()
            .map(|(name, value)| format!("{name} {value:.1}"));
        let shown = shown.collect::<Vec<_>>().join(", ");
        println!("{}/{}/{}: {shown}", self.call, self.jobs, self.threads);
    }
}
