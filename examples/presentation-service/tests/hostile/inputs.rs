//! Generated hostile input.

use axum::http::HeaderValue;
use proptest::prelude::*;
use serde_json::Value;

/// Text with troublesome parts: separators, control characters, markup, other scripts.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<String>(),
        Just("../../etc/passwd".to_owned()),
        Just("\u{0}\r\n\u{1b}[2J\u{202e}".to_owned()),
        Just("<script>alert(1)</script>\"'&".to_owned()),
        Just("\n---\n```\n# \n| a | b |\n|---|\n".to_owned()),
    ];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// Elements of Markdown in any order, with any text between them.
pub(crate) fn deck() -> impl Strategy<Value = String> {
    let marks: &[&str] = &[
        "\n",
        "\n\n",
        "\n---\n",
        "# ",
        "###### ",
        "- ",
        "  1. ",
        "> ",
        "```",
        "```rust\n",
        "~~~\n",
        "`",
        "**",
        "_",
        "~~",
        "[a](b)",
        "![",
        "](",
        "<b>",
        "<!--",
        "|a|b|\n|-|:-:|\n|1|2|\n",
        "- [ ] ",
        "\\",
        "&amp;",
        "&#0;",
        "\t",
        "\r\n",
        "\u{200d}",
        "\u{202e}",
        "a\u{301}",
        "✅",
        "їжак",
        "漢字",
        "العربية",
    ];
    let part = prop_oneof![
        6 => proptest::sample::select(marks).prop_map(str::to_owned),
        2 => "[a-z ]{1,12}",
        1 => text(),
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

/// Any JSON, usually with the fields of a submission.
pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("title".to_owned()),
        Just("deck".to_owned()),
        any::<String>()
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(key.clone(), inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Any bytes that are valid in a header's value.
pub(crate) fn header_value() -> impl Strategy<Value = HeaderValue> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..64);
    bytes.prop_filter_map("no header", |bytes| HeaderValue::from_bytes(&bytes).ok())
}
