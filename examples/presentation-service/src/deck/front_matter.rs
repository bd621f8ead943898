//! YAML front matter: the settings at the very start of a deck, between two lines `---`.

use saphyr_parser::{Event, Parser};

/// The front matter of a deck, and the Markdown after it.
#[derive(Debug)]
pub(super) struct FrontMatter<'a> {
    /// Its `title`; empty if there is none.
    pub(super) title: String,
    /// The Markdown after the front matter, or all of it.
    pub(super) rest: &'a str,
}

impl<'a> FrontMatter<'a> {
    /// Separates the front matter from Markdown whose line endings are `\n`.
    pub(super) fn split(markdown: &'a str) -> Self {
        let (yaml, rest) = yaml(markdown).unwrap_or(("", markdown));
        let title = title(yaml)
            .or_else(|| plain_title(yaml))
            .unwrap_or_default();
        Self { title, rest }
    }
}

/// The YAML and the rest, if there is front matter.
fn yaml(markdown: &str) -> Option<(&str, &str)> {
    let (opening, after) = markdown.split_once('\n')?;
    if opening.trim_end() != "---" {
        return None;
    }
    // A deck may begin with a separator. Front matter has a key in its first line that is not a
    // comment, and no blank line before it.
    let first = after.lines().find(|line| !line.starts_with('#'))?;
    if !is_entry(first) {
        return None;
    }
    let mut at = 0;
    for line in after.split_inclusive('\n') {
        if matches!(line.trim_end(), "---" | "...") {
            return Some((&after[..at], &after[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

/// Whether a line is an entry of a mapping: `key:` or `key: value`.
pub(super) fn is_entry(line: &str) -> bool {
    let Some((key, value)) = line.split_once(':') else {
        return false;
    };
    let key = key.trim_matches(['"', '\'']);
    key.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || "_-. ".contains(c))
        && (value.is_empty() || value.starts_with([' ', '\t']))
}

/// The scalar `title` of the outermost mapping. `None` if the YAML has none before its first error.
/// Aliases are not expanded.
fn title(yaml: &str) -> Option<String> {
    let (mut depth, mut is_key, mut found) = (0_usize, true, false);
    let mut events = Parser::new_from_str(yaml);
    while let Some(event) = events.next() {
        // The next key or value of the outermost mapping, with its text if it is a scalar.
        let item = match event.ok()?.0 {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                depth += 1;
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                depth -= 1;
                None
            }
            Event::Scalar(text, ..) => Some(text),
            Event::Alias(_) => None,
            _ => continue,
        };
        if depth != 1 {
            continue;
        }
        if found {
            // An error right behind the value is one in the value.
            events.next()?.ok()?;
            return item.map(Into::into);
        }
        found = is_key && item.is_some_and(|text| text == "title");
        is_key = !is_key;
    }
    None
}

/// The title of YAML with an error, as in `title: Rust: an introduction`.
fn plain_title(yaml: &str) -> Option<String> {
    let value = yaml.lines().find_map(|line| line.strip_prefix("title:"))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_read_as_yaml() {
        for (yaml, expected) in [
            ("title: Plain words # a comment", "Plain words"),
            ("title: \"Quoted: \\\"a\\\" \\u00e9\"", "Quoted: \"a\" é"),
            ("title: 'It''s'", "It's"),
            ("title: >-\n  Two\n  lines", "Two lines"),
            ("theme: dark\nfonts:\n  title: Serif\ntitle: Mine", "Mine"),
            ("tags: [title, x]\ntitle: Mine", "Mine"),
            ("author: title\ntitle: Mine", "Mine"),
            ("title: Rust: an introduction", "Rust: an introduction"),
            ("a: &a x\nb: *a\ntitle: Mine", "Mine"),
            ("title:\n  nested: x", ""),
            ("theme: dark", ""),
        ] {
            let deck = format!("---\n{yaml}\n---\n# One\n");
            let front = FrontMatter::split(&deck);
            assert_eq!((&*front.title, front.rest), (expected, "# One\n"), "{yaml}");
        }
    }

    #[test]
    fn front_matter_ends_at_its_line_and_may_begin_with_a_comment() {
        let front = FrontMatter::split("---  \n# settings\ntitle: A\n...\ntext\n---\n");
        assert_eq!((&*front.title, front.rest), ("A", "text\n---\n"));
    }

    #[test]
    fn what_is_not_front_matter_stays() {
        for deck in [
            "",
            "---",
            "---\n",
            "---\n\n# One\n\n---\n\n# Two\n",
            "---\n# One\n\ntext: more\n---\n",
            "---\n- a: b\n---\n",
            "---\nhttp://example.org\n---\n",
            "---\ntitle: never closed\n",
            "\n---\ntitle: not at the start\n---\n",
            "----\ntitle: four dashes\n----\n",
        ] {
            let front = FrontMatter::split(deck);
            assert_eq!((&*front.title, front.rest), ("", deck));
        }
    }

    #[test]
    fn hostile_yaml_is_read_in_time() {
        let laughs: Vec<String> = (1..40)
            .map(|n| format!("a{n}: &a{n} [*a{m}, *a{m}]", m = n - 1))
            .collect();
        let laughs = laughs.join("\n");
        for yaml in [
            format!("a0: &a0 x\n{laughs}\ntitle: Mine"),
            format!("title: Mine\na: {}", "[".repeat(100_000)),
            format!("a: {}\ntitle: Mine", "{a: ".repeat(10_000)),
            format!("title: Mine\n{}", "? ".repeat(100_000)),
        ] {
            let deck = format!("---\n{yaml}\n---\n# One\n");
            let front = FrontMatter::split(&deck);
            assert_eq!((&*front.title, front.rest), ("Mine", "# One\n"));
        }
    }
}
