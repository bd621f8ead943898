//! The text inside of HTML: tags are dropped, and those that structure or style text are applied.

use super::markdown::Reader;
use html5gum::{DefaultEmitter, EndTag, StartTag, State, Token, Tokenizer};

/// Elements whose content is not text of the page.
const HIDDEN: [&str; 3] = ["script", "style", "template"];

/// Elements that begin and end on a line of their own.
const BLOCKS: [&str; 34] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "center",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "head",
    "header",
    "html",
    "legend",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "thead",
    "tr",
    "ul",
    "video",
];

/// Reads the HTML of a block, or one inline tag or comment, into `reader`.
pub(super) fn read(reader: &mut Reader<'_>, source: &str) {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut hidden: Option<Vec<u8>> = None;
    let mut tokenizer = Tokenizer::new_with_emitter(source, emitter);
    tokenizer.set_state(State::Data);
    for token in tokenizer {
        // A string has no read errors.
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                if hidden.is_none() && HIDDEN.contains(&&*name) && !tag.self_closing {
                    hidden = Some(tag.name.to_vec());
                } else if hidden.is_none() {
                    start(reader, &name, &tag);
                }
            }
            Token::EndTag(EndTag { name, .. }) => {
                if hidden.as_deref() == Some(&**name) {
                    hidden = None;
                } else if hidden.is_none() {
                    end(reader, &String::from_utf8_lossy(&name));
                }
            }
            Token::String(text) if hidden.is_none() => {
                reader.html_text(&String::from_utf8_lossy(&text));
            }
            Token::Error(error) if error.value == html5gum::Error::EofInComment => {
                reader.warn_of_open_comment();
            }
            _ => {}
        }
    }
}

fn start(reader: &mut Reader<'_>, name: &str, tag: &StartTag<()>) {
    let attribute = |name: &[u8]| {
        let value = tag.attributes.get(name);
        value.map(|value| String::from_utf8_lossy(&value.value).into_owned())
    };
    if let Some(level) = heading(name) {
        reader.begin_heading(level);
    } else if BLOCKS.contains(&name) {
        reader.flush();
    }
    match name {
        "br" => reader.line_break(),
        "hr" => reader.rule(),
        "img" => {
            let address = attribute(b"src").unwrap_or_default();
            reader.image(&attribute(b"alt").unwrap_or_default(), &address);
        }
        "li" => {
            reader.flush();
            reader.begin_html_item();
        }
        "td" | "th" => reader.cell_gap(),
        _ => reader.html_style(name, true),
    }
}

fn end(reader: &mut Reader<'_>, name: &str) {
    if heading(name).is_some() || name == "li" || BLOCKS.contains(&name) {
        reader.flush();
    }
    reader.html_style(name, false);
}

/// The level of a heading's element.
fn heading(name: &str) -> Option<u8> {
    match name.as_bytes() {
        [b'h', level @ b'1'..=b'6'] => Some(level - b'0'),
        _ => None,
    }
}
