//! Request headers that select an answer, and headers of answers.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use job_registry::Version;
use std::fmt::Write;
use std::time::Duration;

pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The preferences of a request ([RFC 7240](https://www.rfc-editor.org/rfc/rfc7240)) that the
/// routes honour. Others, and values that are not valid, are ignored, as the standard asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Prefer {
    /// How long an answer may take.
    pub(crate) wait: Option<Duration>,
    /// Whether the client would rather have an answer of 202 than wait.
    pub(crate) respond_async: bool,
}

impl Prefer {
    /// Reads the preferences. A preference that is stated twice has its first value.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let mut wait = None;
        let values = headers.get_all(PREFER).iter();
        for value in values.filter_map(|value| value.to_str().ok()) {
            for preference in split_unquoted(value, ',') {
                // Parameters of a preference follow a semicolon. None is defined for these.
                let preference = split_unquoted(preference, ';').next().unwrap_or_default();
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                let name = name.trim();
                if name.eq_ignore_ascii_case("respond-async") {
                    found.respond_async = true;
                } else if name.eq_ignore_ascii_case("wait") {
                    wait.get_or_insert(value.trim());
                }
            }
        }
        let seconds = wait.map(|value| value.trim_matches('"'));
        // Digits only: the standard library also accepts a sign.
        let seconds = seconds.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        found.wait = seconds
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        found
    }

    /// The value of `Preference-Applied`, if there is any.
    pub(crate) fn applied(wait: Option<Duration>, respond_async: bool) -> Option<HeaderValue> {
        let wait = wait.map(|wait| format!("wait={}", wait.as_secs()));
        let applied = match (respond_async, wait) {
            (true, Some(wait)) => format!("respond-async, {wait}"),
            (true, None) => "respond-async".to_owned(),
            (false, Some(wait)) => wait,
            (false, None) => return None,
        };
        applied.parse().ok()
    }
}

/// Splits at a separator outside of quoted strings.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter: char| {
        if escaped {
            escaped = false;
        } else if quoted && letter == '\\' {
            escaped = true;
        } else if letter == '"' {
            quoted = !quoted;
        }
        !quoted && letter == separator
    })
}

/// The version as a weak validator, because it does not count heartbeats.
pub(crate) fn etag(version: Version) -> HeaderValue {
    let mut tag = String::with_capacity(40);
    // Writing to a string does not fail.
    let _ = write!(tag, "W/\"{version}\"");
    tag.try_into()
        .expect("a version is letters, digits and a hyphen")
}

/// Returns whether the client has this version, by `If-None-Match`.
pub(crate) fn has_version(headers: &HeaderMap, version: Version) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = tags
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .peekable();
    if tags.peek().is_none() {
        return false;
    }
    let current = version.to_string();
    tags.any(|tag| {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*"
            || opaque
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"'))
                == Some(&*current)
    })
}

/// The version that the client of a stream has seen, if the header is valid.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<Version> {
    headers.get(LAST_EVENT_ID)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefer(values: &[&str]) -> (Option<u64>, bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let found = Prefer::of(&headers);
        (found.wait.map(|wait| wait.as_secs()), found.respond_async)
    }

    #[test]
    fn preferences_are_found_in_any_order_and_case() {
        for (values, expected) in [
            (&["wait=10"][..], (Some(10), false)),
            (&["respond-async"], (None, true)),
            (&["respond-async, wait=5"], (Some(5), true)),
            (&["Wait = 7 ; x=1 , RESPOND-ASYNC"], (Some(7), true)),
            (&["return=minimal", "wait=\"3\""], (Some(3), false)),
            (&["wait=0"], (Some(0), false)),
            // The first value of several is meant, also if it is not valid.
            (&["wait=1, wait=2"], (Some(1), false)),
            (&["wait=x, wait=2"], (None, false)),
            (
                &["foo=\"a, wait=9; \\\", wait=8\", wait=2"],
                (Some(2), false),
            ),
            (&["wait", "respond-asynchronously"], (None, false)),
            (&["wait=-1"], (None, false)),
            (&["wait=+1"], (None, false)),
            (&["wait=1.5"], (None, false)),
            (&["wait=99999999999999999999999"], (None, false)),
            (
                &["", ";", "=", ",,,", "\"", "wait=\"", "\u{ff}wait=1"],
                (None, false),
            ),
            (&[], (None, false)),
        ] {
            assert_eq!(prefer(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_version_is_known_by_either_kind_of_tag() {
        let version: Version = job_registry::JobRegistry::new()
            .register(())
            .unwrap()
            .snapshot()
            .unwrap()
            .version();
        let known = |tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, tag.parse().unwrap());
            has_version(&headers, version)
        };
        for tag in [
            format!("W/\"{version}\""),
            format!("\"{version}\""),
            format!("\"a\", W/\"b\",W/\"{version}\" "),
            "*".to_owned(),
        ] {
            assert!(known(&tag), "{tag}");
        }
        for tag in [
            version.to_string(),
            format!("\"{version}"),
            format!("\"{version}x\""),
            format!("w/\"{version}\""),
            String::new(),
            "\"\"".to_owned(),
            "\"*\"".to_owned(),
        ] {
            assert!(!known(&tag), "{tag}");
        }
        assert!(!has_version(&HeaderMap::new(), version));
    }
}
