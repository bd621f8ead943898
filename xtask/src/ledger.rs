//! What the models recorded: a line of JSON for each.

use serde::Deserialize;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
pub struct Line {
    pub checker: String,
    pub properties: Vec<String>,
    pub completed: bool,
    pub executions: u64,
}

/// All lines of all ledgers; a ledger that is not there has none, which shows in the table.
pub fn read(paths: &[PathBuf]) -> Vec<Line> {
    let texts = paths
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let parse = |line: &str| serde_json::from_str(line).expect("a ledger has a JSON object a line");
    texts
        .flat_map(|text| text.lines().map(parse).collect::<Vec<Line>>())
        .collect()
}
