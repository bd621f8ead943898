//! A subscriber, and the events that it reads.

use crate::common::{PATIENCE, Service};
use presentation_service::views::View;
use reqwest::{Response, StatusCode};
use tokio::time::timeout;

/// One event of a stream.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn view(&self) -> View {
        assert_eq!(self.name, "state", "{self:?}");
        let view: View = serde_json::from_str(&self.data).unwrap();
        assert_eq!(self.id.as_deref(), Some(&*view.version));
        view
    }
}

/// A client's side of a stream.
pub(crate) struct Events {
    pub(crate) response: Response,
    pub(crate) read: String,
}

impl Events {
    pub(crate) async fn of(service: &Service, path: &str) -> Self {
        Self::from(subscribe(service, path, None).await)
    }

    pub(crate) fn from(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let kind = &response.headers()["content-type"];
        assert_eq!(kind, "text/event-stream");
        let read = String::new();
        Self { response, read }
    }

    /// Returns the next event, or `None` at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, _)) = self.read.split_once("\n\n") {
                let end = event.len() + 2;
                let mut seen = Event::default();
                for line in event.lines() {
                    match line.split_once(": ").unwrap_or((line, "")) {
                        ("event", name) => name.clone_into(&mut seen.name),
                        ("id", id) => seen.id = Some(id.to_owned()),
                        ("data", data) => seen.data.push_str(data),
                        (comment, _) => assert!(comment.is_empty() || comment == ":", "{line}"),
                    }
                }
                self.read.drain(..end);
                if seen != Event::default() {
                    return Some(seen);
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.response.chunk());
            let chunk = chunk.await.expect("an event comes").unwrap()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Returns the next event that is not a heartbeat.
    pub(crate) async fn next_step(&mut self) -> Option<Event> {
        loop {
            match self.next().await {
                Some(event) if event.name == "heartbeat" => {}
                other => return other,
            }
        }
    }

    /// Returns the last event before the end of the stream.
    pub(crate) async fn last(&mut self) -> Event {
        let mut last = None;
        while let Some(event) = self.next_step().await {
            last = Some(event);
        }
        last.expect("how it ended")
    }

    /// Returns all states until the end of the stream.
    pub(crate) async fn rest(&mut self) -> Vec<View> {
        let mut views = Vec::new();
        while let Some(event) = self.next_step().await {
            views.push(event.view());
        }
        views
    }
}

pub(crate) async fn subscribe(service: &Service, path: &str, last: Option<&str>) -> Response {
    let request = reqwest::Client::new().get(service.url(&format!("{path}/events")));
    let request = match last {
        Some(last) => request.header("last-event-id", last),
        None => request,
    };
    request.send().await.unwrap()
}
