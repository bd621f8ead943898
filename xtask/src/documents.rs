//! Generated parts of documents, between `<!-- MARK: generated -->` and `<!-- /MARK -->`.

use itertools::Itertools;
use std::collections::BTreeSet;
use std::fs;

/// Returns the text of a document at a mark.
pub fn read(document: &str, mark: &str) -> String {
    let text = fs::read_to_string(document).unwrap_or_default();
    split(&text, mark).map_or_else(String::new, |[_, part, _]| part.trim().to_owned())
}

/// Returns whether a document has this text at a mark, or writes it there. Of each line, `part` is
/// compared.
pub fn check(document: &str, mark: &str, text: &str, part: fn(&str) -> &str, write: bool) -> bool {
    let all = fs::read_to_string(document).unwrap_or_default();
    let Some([before, found, after]) = split(&all, mark) else {
        eprintln!("{document}: no place for `{mark}`");
        return false;
    };
    let [old, new] = [found, text].map(|text| text.trim().lines().map(part).collect::<Vec<_>>());
    if old == new {
        return true;
    }
    if write {
        let all = format!("{before}\n\n{}\n\n{after}", text.trim());
        return fs::write(document, all).is_ok();
    }
    eprintln!("{document}: `{mark}` is out of date; `--write` renews it:");
    let [old, new] = [old, new].map(BTreeSet::from_iter);
    old.difference(&new).for_each(|line| eprintln!("- {line}"));
    new.difference(&old).for_each(|line| eprintln!("+ {line}"));
    false
}

/// Leaves a row without its last cell: seconds differ from run to run.
pub fn without_seconds(row: &str) -> &str {
    let row = row.trim_end_matches([' ', '|']);
    row.rsplit_once('|').map_or(row, |(row, _)| row)
}

/// Splits a document at the marks, which stay outside.
fn split<'a>(text: &'a str, mark: &str) -> Option<[&'a str; 3]> {
    let begin = format!("<!-- {mark}: generated -->");
    let from = text.find(&begin)? + begin.len();
    let to = from + text[from..].find(&format!("<!-- /{mark} -->"))?;
    Some([&text[..from], &text[from..to], &text[to..]])
}

/// Returns the rows of a text's tables, without their heads.
pub fn rows(text: &str) -> Vec<&str> {
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        if line.starts_with("|---") {
            rows.pop();
        } else {
            rows.push(line);
        }
    }
    rows
}

/// Returns a cell of a row.
pub fn cell(row: &str, index: usize) -> &str {
    row.split('|').nth(index + 1).map_or("", str::trim)
}

/// Writes the digits of a number in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(String::from_utf8_lossy).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_between_marks_is_found() {
        let parts = ["a <!-- x: generated -->", "\n1\n", "<!-- /x --> b"];
        assert_eq!(split(&parts.concat(), "x"), Some(parts));
        assert_eq!(split("<!-- x: generated --> 1", "x"), None);
    }

    #[test]
    fn tables_are_read_without_heads_and_seconds() {
        let text = "| a | b |\n|---|---|\n| 1 | 2 |\n\nx\n\n| c |\n|---|\n| 3 |";
        assert_eq!(rows(text), ["| 1 | 2 |", "| 3 |"]);
        assert_eq!((cell("| 1 | 2 |", 1), cell("| 1 | 2 |", 2)), ("2", ""));
        assert_eq!(without_seconds("| P1 | 7 | 1.0 |"), "| P1 | 7 ");
        assert_eq!(
            [12, 1234, 1_234_567].map(grouped),
            ["12", "1 234", "1 234 567"]
        );
    }
}
