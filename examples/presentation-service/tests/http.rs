//! Every status that the service answers with, over a real connection.

mod common;

use common::{Service, frames, gated, quick, refused};
use job_registry::Version;
use presentation_service::deck::DeckLimits;
use presentation_service::render::{PageSize, TextStudio};
use presentation_service::views::Listing;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A well-formed id that no registry has issued.
const FORGED: &str = "AAAAAAAAAAAAAAAAAAAAAA";

#[tokio::test]
async fn a_deck_becomes_pictures_and_an_animation() {
    let page = PageSize {
        width: 320,
        height: 180,
    };
    let service = Service::start(Arc::new(TextStudio::new(page))).await;
    let deck = "# One\n\n- a\n- b\n\n---\n\n```\n---\n```\n\n---\n\nThree";
    let response = service.post_deck("  A deck ", deck).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let accepted: Value = response.json().await.unwrap();
    assert_eq!(accepted["payload"]["slides"], 3);
    assert_eq!(
        location,
        format!("/api/presentations/{}", accepted["id"].as_str().unwrap())
    );

    let view = service.ended(&location).await;
    assert_eq!(
        (&*view.status, view.progress, view.attempt),
        ("completed", 100.0, 1)
    );
    let shown = &view.payload;
    assert_eq!(
        (&*shown.title, shown.slides, view.reason),
        ("A deck", 3, None)
    );
    assert_eq!(view.note.as_deref(), Some("slide 3 of 3"));
    assert!(view.started_at.is_some());

    let [directory] = &service.directories()[..] else {
        panic!("one directory")
    };
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 3 + 1);
    let response = service.get(shown.file.as_ref().expect("a file")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "image/gif");
    let length: usize = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let file = response.bytes().await.unwrap();
    assert_eq!((file.len(), frames(&file)), (length, 3));

    for slide in 1..=3 {
        let response = service.get(&format!("{location}/slides/{slide}")).await;
        assert_eq!(response.headers()["content-type"], "image/png");
        let file = response.bytes().await.unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        assert_eq!((reader.info().width, reader.info().height), (320, 180));
    }
    for none in ["0", "4", "one", "-1"] {
        let response = service.get(&format!("{location}/slides/{none}")).await;
        refused(response, StatusCode::NOT_FOUND).await;
    }
}

#[tokio::test]
async fn a_deck_without_a_title_has_that_of_its_front_matter() {
    let service = Service::start(quick()).await;
    let deck = "---\ntitle: From the deck\n---\n\n# One";
    let answer = service.post(json!({"deck": deck}).to_string()).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["payload"]["title"], "From the deck");
    let answer = service.post(json!({"deck": "# One"}).to_string()).await;
    let error = refused(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(error.contains("title"), "{error}");
}

/// A presentation is never completed without a word about what is not drawn.
#[tokio::test]
async fn a_deck_that_cannot_be_drawn_whole_has_warnings() {
    let page = PageSize {
        width: 320,
        height: 180,
    };
    let service = Service::start(Arc::new(TextStudio::new(page))).await;
    for (deck, expected) in [("# One", 0), ("# \u{1f00}\u{10fffd}", 1)] {
        let response = service.post_deck("A deck", deck).await;
        let path = response.headers()["location"].to_str().unwrap().to_owned();
        let view = service.ended(&path).await;
        assert_eq!(view.status, "completed");
        assert_eq!(
            view.payload.warnings.len(),
            expected,
            "{:?}",
            view.payload.warnings
        );
    }
}

/// A submission whose answer was lost is repeated.
#[tokio::test]
async fn a_submission_with_a_key_is_drawn_once() {
    let service = Service::start(quick()).await;
    let submit = async |deck: &str| {
        let request = reqwest::Client::new().post(service.url("/api/presentations"));
        let request = request.header("idempotency-key", "\"order 66\"");
        request
            .json(&json!({"title": "A", "deck": deck}))
            .send()
            .await
            .unwrap()
    };
    let first: Value = submit("# One").await.json().await.unwrap();
    let again: Value = submit("# One").await.json().await.unwrap();
    assert_eq!(first["id"], again["id"]);
    refused(submit("# Two").await, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(service.state.registry.len(), 1);
}

#[tokio::test]
async fn an_unchanged_version_is_not_sent_again() {
    let service = Service::start(quick()).await;
    let path = service.submit(2).await;
    let view = service.ended(&path).await;
    let response = service.get(&path).await;
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(tag, format!("W/\"{}\"", view.version));

    for known in [&*tag, &tag[2..], "*", &format!("\"1\", {tag}")] {
        let response = service.get_unless(&path, known).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(response.headers()["etag"], *tag);
        assert!(response.bytes().await.unwrap().is_empty());
    }
    for other in ["\"1\"", "", &view.version] {
        assert_eq!(
            service.get_unless(&path, other).await.status(),
            StatusCode::OK,
            "{other}"
        );
    }
}

#[tokio::test]
async fn every_step_is_a_new_version() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(2).await;
    let mut before = None;
    for (slide, progress) in [(0, 0.0), (1, 50.0)] {
        assert_eq!(gate.arrived().await, slide);
        let view = service.view(&path).await;
        assert_eq!((&*view.status, view.progress), ("running", progress));
        let version: Version = view.version.parse().unwrap();
        assert!(Some(version) > before);
        before = Some(version);
        gate.pass();
    }
    let view = service.ended(&path).await;
    assert!(view.version.parse().ok() > before);
}

#[tokio::test]
async fn ids_that_were_never_issued_are_not_found() {
    let service = Service::start(quick()).await;
    let other = Service::start(quick()).await;
    let others = other.submit(1).await;
    let others = others.rsplit('/').next().unwrap();
    for id in [
        FORGED,
        others,
        "1",
        "%20",
        "..%2F..%2Fetc",
        "їжак",
        &"A".repeat(4000),
    ] {
        let path = format!("/api/presentations/{id}");
        refused(service.get(&path).await, StatusCode::NOT_FOUND).await;
        refused(service.delete(&path).await, StatusCode::NOT_FOUND).await;
        refused(
            service.get(&format!("{path}/file")).await,
            StatusCode::NOT_FOUND,
        )
        .await;
    }
    refused(service.get("/api").await, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn other_methods_are_refused_with_the_allowed_ones() {
    let service = Service::start(quick()).await;
    let list = "/api/presentations";
    let one = format!("{list}/{FORGED}");
    let file = format!("{one}/file");
    let cases = [
        (Method::PUT, list, "POST"),
        (Method::POST, &*one, "DELETE"),
        (Method::DELETE, &*file, "GET"),
    ];
    for (method, path, allowed) in cases {
        let response = service.request(method, path).await;
        let allow = response.headers()["allow"].to_str().unwrap().to_owned();
        assert!(allow.contains(allowed), "{path} allows {allow}");
        refused(response, StatusCode::METHOD_NOT_ALLOWED).await;
    }
}

#[tokio::test]
async fn invalid_bodies_are_refused() {
    let service = Service::with(quick(), |config| config.body = 1000).await;
    let large = json!({"title": "a", "deck": "a".repeat(1000)}).to_string();
    refused(service.post(large).await, StatusCode::PAYLOAD_TOO_LARGE).await;
    for malformed in ["", "{", "title=a", "{\"title\": \"a\", \"deck\": }"] {
        refused(service.post(malformed).await, StatusCode::BAD_REQUEST).await;
    }
    for other in [
        json!([]),
        json!({"title": "a"}),
        json!({"title": 1, "deck": "b"}),
        json!({"title": "a", "deck": "b", "more": 1}),
    ] {
        refused(
            service.post(other.to_string()).await,
            StatusCode::UNPROCESSABLE_ENTITY,
        )
        .await;
    }
    let response = service.request(Method::POST, "/api/presentations").await;
    refused(response, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    assert!(service.state.registry.is_empty(), "nothing was registered");
}

#[tokio::test]
async fn decks_that_cannot_be_drawn_are_refused() {
    let limits = DeckLimits {
        title_chars: 10,
        slides: 2,
        slide_bytes: 50,
    };
    let service = Service::with(quick(), |config| config.deck = limits).await;
    for (title, deck, about) in [
        (" ", "# a", "title is empty"),
        ("eleven char", "# a", "11 characters"),
        ("a", " \n---\n ", "no slide"),
        ("a", "a\n\n---\n\nb\n\n---\n\nc", "3 slides"),
        ("a", &"a".repeat(51), "slide 1 has 51 bytes"),
    ] {
        let response = service.post_deck(title, deck).await;
        let error = refused(response, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert!(error.contains(about), "{error}");
    }
    assert!(service.state.registry.is_empty(), "nothing was registered");
}

#[tokio::test]
async fn a_full_service_says_when_to_retry() {
    let (studio, mut gate) = gated();
    let service = Service::with(studio, |config| config.capacity = 1).await;
    let path = service.submit(1).await;
    gate.arrived().await;
    let response = service.post_deck("a", "# b").await;
    let seconds = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse::<u64>();
    assert!((1..=300).contains(&seconds.unwrap()));
    refused(response, StatusCode::TOO_MANY_REQUESTS).await;

    // The presentation occupies its slot until it is removed, not until it ends.
    gate.pass();
    service.ended(&path).await;
    assert_eq!(
        service.post_deck("a", "# b").await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    service.clock.advance(common::RETENTION);
    service.gone(&path).await;
    // Clients get 410 shortly before the payload is dropped and the slot is free.
    let deadline = Instant::now() + common::PATIENCE;
    while service.post_deck("a", "# b").await.status() != StatusCode::ACCEPTED {
        assert!(Instant::now() < deadline, "the place is never free again");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn there_is_no_file_before_the_presentation_is_completed() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(1).await;
    let file = format!("{path}/file");
    gate.arrived().await;
    let error = refused(service.get(&file).await, StatusCode::CONFLICT).await;
    assert!(error.contains("running"), "{error}");
    let slide = format!("{path}/slides/1");
    refused(service.get(&slide).await, StatusCode::CONFLICT).await;
    assert_eq!(service.view(&path).await.payload.file, None);
    gate.pass();
    service.ended(&path).await;
    assert_eq!(service.get(&file).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_list_counts_what_it_lists() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let completed = service.submit(1).await;
    gate.arrived().await;
    gate.pass();
    service.ended(&completed).await;
    let cancelled = service.submit(1).await;
    gate.arrived().await;
    let forced = service.delete(&format!("{cancelled}?force")).await;
    assert_eq!(forced.status(), StatusCode::OK);
    let running = service.submit(1).await;

    let listing: Listing = service
        .get("/api/presentations")
        .await
        .json()
        .await
        .unwrap();
    let counts = listing.counts;
    assert_eq!(
        (counts.completed, counts.cancelled, counts.failed),
        (1, 1, 0)
    );
    assert_eq!(counts.pending + counts.running, 1);
    let mut listed: Vec<&str> = listing.jobs.iter().map(|line| &*line.id).collect();
    let mut expected =
        [&completed, &cancelled, &running].map(|path| path.rsplit('/').next().unwrap());
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
}
