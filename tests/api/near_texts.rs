//! Texts that differ slightly from a given text.

/// Characters that resemble a digit, a letter or nothing.
const LOOKALIKES: [char; 12] = [
    '０', '٣', '²', 'é', 'а', 'K', 'ſ', '\u{a0}', '\u{200b}', '\u{feff}', '\u{301}', '😀',
];
const BLANKS: [&str; 9] = [
    " ", "\t", "\n", "\r\n", "\0", "\u{a0}", "\u{200b}", "\u{feff}", "\u{2028}",
];

/// Returns every text that one small change makes of `text`, which is ASCII. None of them equals
/// `text`.
pub(crate) fn near(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let ascii = (0u8..128).map(char::from);
    for (place, &was) in chars.iter().enumerate() {
        let (before, after) = (&text[..place], &text[place + 1..]);
        for other in ascii.clone().chain(LOOKALIKES) {
            all.push(format!("{before}{other}{after}"));
        }
        // The character is left out, and doubled.
        all.push(format!("{before}{after}"));
        all.push(format!("{before}{was}{was}{after}"));
        for other in place + 1..chars.len() {
            let mut swapped = chars.clone();
            swapped.swap(place, other);
            all.push(swapped.into_iter().collect());
        }
    }
    for place in 0..=chars.len() {
        let (before, after) = text.split_at(place);
        all.extend([before.to_owned(), after.to_owned()]);
        for blank in BLANKS {
            all.push(format!("{before}{blank}{after}"));
            // The blank replaces as many bytes, so that the length stays valid.
            if let Some(rest) = after.get(blank.len()..) {
                all.push(format!("{before}{blank}{rest}"));
            }
        }
    }
    all.extend([text.to_uppercase(), text.to_lowercase()]);
    all.extend([text.repeat(2), chars.iter().rev().collect()]);
    for (start, end) in [
        ("0", ""),
        ("", "0"),
        ("+", ""),
        ("-", ""),
        ("0x", ""),
        ("{", "}"),
        ("\"", "\""),
    ] {
        all.push(format!("{start}{text}{end}"));
    }
    for (start, end) in [("+", ""), ("-", ""), ("", "="), (" ", ""), ("", " ")] {
        // The text loses a character, so that the length stays valid.
        all.push(format!("{start}{}{end}", &text[1..]));
        all.push(format!("{start}{}{end}", &text[..text.len() - 1]));
    }
    all.retain(|other| other != text);
    all
}
