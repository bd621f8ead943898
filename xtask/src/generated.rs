//! Parts of documents that are generated: between `<!-- NAME: generated -->` and `<!-- /NAME -->`.

use std::collections::BTreeSet;
use std::path::Path;

/// What stands there now. `None` if the document has no such place.
pub fn read(path: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let (_, part, _) = split(&text, name)?;
    Some(part.trim().to_owned())
}

/// Whether what stands there is this; with `write` it is, afterwards.
pub fn check(path: &Path, name: &str, part: &str, write: bool) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Some((before, found, after)) = split(&text, name) else {
        eprintln!("{}: no place for `{name}`", path.display());
        return false;
    };
    if found.trim() == part.trim() {
        return true;
    }
    if write {
        let text = format!("{before}\n\n{}\n\n{after}", part.trim());
        std::fs::write(path, text).expect("a document can be written");
        return true;
    }
    eprintln!(
        "{}: `{name}` is not what was recorded; `cargo verify quick --write` writes:\n{part}",
        path.display()
    );
    false
}

/// Whether a whole document is this; with `write` it is, afterwards.
pub fn same(path: &Path, text: &str, write: bool) -> bool {
    let found = std::fs::read_to_string(path).unwrap_or_default();
    if found == text {
        return true;
    }
    if write {
        std::fs::write(path, text).expect("a document can be written");
        return true;
    }
    eprintln!("{} has changed:", path.display());
    let [old, new]: [BTreeSet<&str>; 2] = [&*found, text].map(|text| text.lines().collect());
    old.difference(&new).for_each(|line| eprintln!("- {line}"));
    new.difference(&old).for_each(|line| eprintln!("+ {line}"));
    false
}

/// With the marks before and after.
fn split<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let [begin, end] = [
        format!("<!-- {name}: generated -->"),
        format!("<!-- /{name} -->"),
    ];
    let from = text.find(&begin)? + begin.len();
    let to = from + text[from..].find(&end)?;
    Some((&text[..from], &text[from..to], &text[to..]))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn what_is_between_the_marks_is_found() {
        let text = "a <!-- x: generated -->\n1\n<!-- /x --> b";
        let (before, part, after) = split(text, "x").unwrap();
        assert_eq!(
            (before, part, after),
            ("a <!-- x: generated -->", "\n1\n", "<!-- /x --> b")
        );
    }

    #[test]
    fn a_mark_without_its_end_is_no_place() {
        assert_eq!(split("<!-- x: generated --> 1", "x"), None);
    }
}
