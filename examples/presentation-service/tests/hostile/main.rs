//! Hostile and mistaken requests: the answer is a refusal with a reason or an ordinary
//! presentation, and never a failure of the service.

#[path = "../common/mod.rs"]
mod common;
mod inputs;
mod service;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use common::{PATIENCE, Service, quick, refused};
use inputs::{deck, header_value, json_value, text};
use job_registry::JobId;
use presentation_service::deck::{Deck, DeckError, DeckLimits};
use presentation_service::render::{PageSize, Studio, TextStudio};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use serde_json::{Value, json};
use service::{Hostile, LIST};
use std::sync::Arc;
use std::time::Instant;

/// A failing case is written beside this file and tried first from then on: commit it.
fn config() -> ProptestConfig {
    ProptestConfig {
        // In milliseconds: shrinking is not worth an hour of drawing.
        max_shrink_time: 30_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

const BAD_BODY: &[StatusCode] = &[StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];

#[test]
fn any_bytes_are_refused_as_a_body() {
    let service = Hostile::new();
    proptest!(config(), |(body in proptest::collection::vec(any::<u8>(), 0..512))| {
        service.check_refusal(service.post(body), BAD_BODY);
    });
}

#[test]
fn any_json_is_refused_or_a_submission() {
    let service = Hostile::new();
    proptest!(config(), |(body in json_value())| {
        let response = service.post(body.to_string());
        if response.status() == StatusCode::ACCEPTED {
            // An array of the two fields is accepted as well.
            let fields: Vec<&Value> = match &body {
                Value::Object(fields) => fields.values().collect(),
                Value::Array(fields) => fields.iter().collect(),
                _ => vec![],
            };
            prop_assert!(fields.len() == 2 && fields.iter().all(|field| field.is_string()));
        } else {
            service.check_refusal(response, BAD_BODY);
        }
    });
}

/// A title and a deck are only displayed. No part of them is used as a path.
#[test]
fn any_text_is_refused_or_drawn() {
    let service = Hostile::new();
    let ids = std::cell::RefCell::new(Vec::new());
    proptest!(config(), |(title in text(), deck in text())| {
        let response = service.post(json!({"title": title, "deck": deck}).to_string());
        if response.status() != StatusCode::ACCEPTED {
            service.check_refusal(response, BAD_BODY);
            return Ok(());
        }
        let id = service.json(response)["id"].as_str().unwrap().to_owned();
        ids.borrow_mut().push((id, title));
    });
    let ids = ids.into_inner();
    assert!(!ids.is_empty());
    for (id, title) in ids {
        let id: JobId = id.parse().unwrap();
        let mut watch = service.state.registry.watch(id).unwrap();
        let ended = async { while watch.changed().await.is_some() {} };
        let ended = async { tokio::time::timeout(PATIENCE, ended).await };
        service.runtime.block_on(ended).expect("it ends");
        let view = service.ask(
            Request::get(format!("{LIST}/{id}"))
                .body(Body::empty())
                .unwrap(),
        );
        let view = service.json(view);
        assert_eq!(view["status"], "completed", "{view}");
        let words: Vec<_> = title.split_whitespace().collect();
        assert_eq!(view["payload"]["title"], words.join(" "));
    }
    for entry in std::fs::read_dir(service.files.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (_, random) = name.split_once("presentation-").unwrap();
        assert!(
            random.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{name}"
        );
    }
}

#[test]
fn any_last_event_id_is_answered_with_events() {
    let service = Hostile::new();
    let (_job, path) = service.live();
    proptest!(config(), |(last in header_value())| {
        let events = service.get(&format!("{path}/events"), "last-event-id".parse().unwrap(), last);
        prop_assert_eq!(events.status(), StatusCode::OK);
    });
}

#[test]
fn any_if_none_match_is_answered_with_the_state() {
    let service = Hostile::new();
    let (_job, path) = service.live();
    let version = service.state.registry.iter().next().unwrap().version();
    let version = version.to_string();
    let known = version.clone();
    let near = prop_oneof![
        header_value(),
        (0..4usize).prop_map(move |more| HeaderValue::try_from(format!(
            "W/\"{known}{}\", \"x",
            "0".repeat(more)
        ))
        .unwrap()),
    ];
    proptest!(config(), |(tag in near)| {
        let has_it = tag.to_str().is_ok_and(|tag| {
            let mut tags = tag.split(',').map(str::trim);
            tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == format!("\"{version}\""))
        });
        let expected = if has_it { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        prop_assert_eq!(service.get(&path, header::IF_NONE_MATCH, tag).status(), expected);
    });
}

/// P4, scenario 19: random ids, consecutive ids and small changes of a known id find no other job.
/// An id of another registry, such as one from before a restart, finds none either.
#[test]
fn ids_cannot_be_guessed() {
    let service = Hostile::new();
    let live: Vec<_> = (0..100).map(|_| service.live()).collect();
    let id = live[0].0.id().to_string();
    let digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let near = (0..id.len()).flat_map(|place| {
        let id = &id;
        digits.chars().map(move |digit| {
            let (before, after) = (&id[..place], &id[place + 1..]);
            format!("{before}{digit}{after}")
        })
    });
    let elsewhere = Hostile::new();
    let others = (0..100).map(|_| elsewhere.live().0.detach().to_string());
    let known: Vec<String> = live.iter().map(|(job, _)| job.id().to_string()).collect();
    let chance = proptest::string::string_regex("[0-9A-Za-z]{22}").unwrap();
    let mut runner = TestRunner::default();
    let chance = (0..1000).map(|_| chance.new_tree(&mut runner).unwrap().current());
    let guesses: Vec<String> = near
        .chain(others)
        .chain(chance)
        .filter(|guess| !known.contains(guess))
        .collect();
    assert!(guesses.len() > 2300);
    for guess in guesses {
        for (method, part) in [
            (Method::GET, ""),
            (Method::GET, "/events"),
            (Method::DELETE, ""),
            (Method::POST, "/retry"),
            (Method::GET, "/file"),
        ] {
            let path = format!("{LIST}/{guess}{part}");
            let request = Request::builder()
                .method(method)
                .uri(path)
                .body(Body::empty());
            service.check_refusal(service.ask(request.unwrap()), &[StatusCode::NOT_FOUND]);
        }
    }
    assert!(
        live.iter()
            .all(|(job, _)| !job.snapshot().unwrap().status().is_ended())
    );
}

/// Any deck that parses can be laid out: the painter neither panics nor draws another size.
#[test]
fn any_deck_is_drawn_by_the_real_painter() {
    let size = PageSize {
        width: 320,
        height: 180,
    };
    let painter = std::cell::RefCell::new(TextStudio::new(size).painter());
    proptest!(config(), |(deck in deck())| {
        if let Ok(deck) = Deck::parse("A title", &deck, &DeckLimits::default()) {
            let mut painter = painter.borrow_mut();
            let pages: usize = (0..deck.slides.len())
                .map(|slide| painter.arrange(&deck, slide).unwrap().pages)
                .sum();
            for page in 0..pages {
                let canvas = painter.paint(&deck, page);
                prop_assert_eq!(canvas.map_err(|error| error.to_string()).map(|canvas| canvas.size()), Ok(size));
            }
        }
    });
}

/// The real painter lays out the decks. One that needs too many pictures fails with that reason.
#[tokio::test]
async fn nested_and_very_long_markdown_is_drawn() {
    let page = PageSize {
        width: 320,
        height: 180,
    };
    let service = Service::start(Arc::new(TextStudio::new(page))).await;
    let size = DeckLimits::default().slide_bytes - 100;
    for unit in [
        "> ",
        "- ",
        "  - ",
        "[",
        "![",
        "*",
        "_",
        "`",
        "<",
        "<b>",
        "<p>",
        "|a",
        "# ",
        "\u{200d}",
        "a\u{301}",
        "\u{202e}א",
        "\u{2067}א",
        "ب",
        "漢",
        "a\u{200b}",
        "\\",
        "&#",
        "a\n\n",
        "- a\n",
        "*a* **b** `c` ",
        "~~a~~ ",
    ] {
        let deck = unit.repeat(size / unit.len());
        let began = Instant::now();
        let response = service.post_deck("Deep", &deck).await;
        if response.status() == StatusCode::ACCEPTED {
            let path = response.headers()["location"].to_str().unwrap().to_owned();
            let view = service.ended(&path).await;
            let too_many = view
                .reason
                .as_ref()
                .is_some_and(|error| error.contains("pictures"));
            let expected = if too_many { "failed" } else { "completed" };
            assert_eq!(view.status, expected, "{unit:?}: {view:?}");
        } else {
            refused(response, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{unit:?} takes {:?}",
            began.elapsed()
        );
    }
}

/// A deck is refused before it is drawn if it is nested too deeply to be a slide.
#[test]
fn a_hundred_thousand_levels_are_refused_in_time() {
    for unit in ["> ", "- ", "1. ", "[", "*", "<b>"] {
        let deck = unit.repeat(100_000) + "a";
        let began = Instant::now();
        let read = Deck::parse("Deep", &deck, &DeckLimits::default());
        assert!(
            matches!(read, Err(DeckError::SlideTooLong { slide: 1, .. })),
            "{unit:?}"
        );
        assert!(
            began.elapsed() < PATIENCE / 4,
            "{unit:?} takes {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn oversized_requests_are_refused() {
    let service = Service::start(quick()).await;
    let error = refused(
        service.post(vec![b' '; 2 << 20]).await,
        StatusCode::PAYLOAD_TOO_LARGE,
    )
    .await;
    assert!(!error.is_empty());
    let slides = vec!["# A slide"; 1000].join("\n\n---\n\n");
    let error = refused(
        service.post_deck("Long", &slides).await,
        StatusCode::UNPROCESSABLE_ENTITY,
    )
    .await;
    assert!(error.contains("1000"), "{error}");
    let title = "A title".repeat(1000);
    refused(
        service.post_deck(&title, "# One").await,
        StatusCode::UNPROCESSABLE_ENTITY,
    )
    .await;
    let nested = format!(
        r#"{{"title": {}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let response = service.post(nested).await;
    let status = response.status();
    assert!(BAD_BODY.contains(&status), "{status}");
    refused(response, status).await;
    assert_eq!(service.state.registry.len(), 0);
}
