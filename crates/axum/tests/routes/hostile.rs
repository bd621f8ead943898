//! Requests that no honest client sends.

use crate::common::Service;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request};
use job_registry::Status;
use job_registry_axum::Form;
use proptest::prelude::*;
use std::time::Duration;

const HEADERS: [&str; 5] = [
    "if-none-match",
    "prefer",
    "last-event-id",
    "idempotency-key",
    "accept",
];

/// Bytes that a header may have, among them halves of what the routes look for.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        "[ -~]{0,8}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            "wait=",
            "respond-async",
            ",",
            ";",
            "\"",
            "\\",
            "W/",
            "*",
            "9999999999999999999",
            "-",
            "=",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(0x80..=0xffu8, 0..4),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    /// Whatever is sent, the answer is a status of the documentation, no refusal of the service
    /// itself, and no job is changed by a request that is refused.
    #[test]
    fn every_request_has_an_answer_that_is_documented(
        form in prop::sample::select(vec![Form::Plain, Form::Operation, Form::McpTask]),
        method in prop::sample::select(vec![Method::GET, Method::HEAD, Method::DELETE, Method::POST, Method::PUT]),
        rest in prop::sample::select(vec!["", "/events", "/retry", "/x", "/"]),
        query in "[ -!$-~]{0,24}".prop_map(|query| query.replace(['<', '>', '"', ' ', '`', '{', '}', '|', '\\', '^'], "%")),
        known in any::<bool>(),
        headers in prop::collection::vec((prop::sample::select(&HEADERS[..]), value()), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let service = Service::with(
                |builder| builder,
                |routes| routes.form(form).retry(drop).max_wait(Duration::from_secs(2)),
            );
            let job = service.register("");
            job.start().unwrap();
            let id = if known { job.id().to_string() } else { "AAAAAAAAAAAAAAAAAAAAAA".to_owned() };
            let mut request = Request::builder()
                .method(method.clone())
                .uri(format!("/jobs/{id}{rest}?{query}"))
                .body(Body::empty())
                .unwrap();
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    request.headers_mut().append(HeaderName::from_static(name), value);
                }
            }
            let status = service.send(request).await.status();
            assert!(
                [200, 202, 304, 400, 404, 405, 409].contains(&status.as_u16()),
                "{status}"
            );
            let now = job.snapshot().unwrap().status();
            let changed = method == Method::DELETE && known && rest.is_empty() && status.is_success();
            assert_eq!(now != Status::Running, changed);
        });
    }
}
