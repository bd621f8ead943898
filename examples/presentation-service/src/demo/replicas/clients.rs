//! The clients of one replica. They tell the ledger everything that they see.

use super::ledger::Ledger;
use crate::demo::Failure;
use crate::demo::sources::Source;
use crate::views::View;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const POLL: Duration = Duration::from_millis(200);
/// Time for an answer. It is longer than a replica is paused.
const ANSWER: Duration = Duration::from_secs(60);
/// Time limit for a request that is repeated until it is accepted.
const PATIENCE: Duration = Duration::from_secs(120);

/// One replica, as clients see it.
#[derive(Debug, Clone)]
pub(super) struct Face {
    /// Number of the replica, from 1 on.
    pub(super) number: usize,
    url: String,
    http: Client,
    ledger: Arc<Ledger>,
    /// Cancelled when the replica is told to end, or killed: it need not answer any more.
    pub(super) left: CancellationToken,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

impl Face {
    pub(super) fn new(number: usize, url: &str, ledger: &Arc<Ledger>) -> Self {
        Self {
            number,
            url: format!("{url}/api/presentations"),
            http: Client::new(),
            ledger: Arc::clone(ledger),
            left: CancellationToken::new(),
        }
    }

    /// Submits a deck with a key, until the service accepts it. Returns the id.
    pub(super) async fn submit(&self, deck: &Source, key: &str) -> Result<String, Failure> {
        let body = json!({"title": deck.title, "deck": deck.markdown});
        let request = || self.http.post(&self.url).header("idempotency-key", key);
        let accepted = self
            .answered(&[StatusCode::ACCEPTED], || request().json(&body))
            .await?;
        Ok(accepted.json::<Accepted>().await?.id)
    }

    /// Retries a presentation, until the service accepts it.
    pub(super) async fn retry(&self, id: &str) -> Result<(), Failure> {
        let path = format!("{}/{id}/retry", self.url);
        self.answered(&[StatusCode::ACCEPTED], || self.http.post(&path))
            .await?;
        Ok(())
    }

    /// Repeats a request while the store is away.
    async fn answered(
        &self,
        expected: &[StatusCode],
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<Response, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = request().timeout(ANSWER).send().await?;
            match response.status() {
                status if expected.contains(&status) => return Ok(response),
                StatusCode::SERVICE_UNAVAILABLE if Instant::now() < deadline => sleep(POLL).await,
                status => {
                    let text = response.text().await?;
                    return Err(format!("replica {} answered {status}: {text}", self.number).into());
                }
            }
        }
    }

    /// Reads a presentation once. Returns whether it is gone.
    pub(super) async fn look(&self, id: &str) -> Result<bool, reqwest::Error> {
        let asked = self.ledger.ask(id);
        let request = self.http.get(format!("{}/{id}", self.url));
        let response = request.timeout(ANSWER).send().await?;
        let status = response.status();
        match status {
            StatusCode::OK => {
                let view = response.json().await?;
                self.ledger.view(self.number, &asked, view, false);
            }
            StatusCode::GONE => self.ledger.gone(self.number, id),
            status => {
                let text = response.text().await?;
                self.ledger
                    .refusal(self.number, "a poll", status.as_u16(), &text);
            }
        }
        Ok(status == StatusCode::GONE)
    }

    /// Polls a presentation until it is gone, or the replica is.
    pub(super) async fn poll(self, id: String) {
        let polling = async {
            loop {
                match self.look(&id).await {
                    Ok(true) => return,
                    Ok(false) => sleep(POLL).await,
                    Err(error) => return self.lost(&error),
                }
            }
        };
        tokio::select! {
            () = polling => {}
            () = self.left.cancelled() => {}
        }
    }

    /// Follows the events of a presentation until it is gone, or the replica is.
    pub(super) async fn follow(self, id: String) {
        let following = async {
            let mut last = None;
            loop {
                match self.stream(&id, &mut last).await {
                    Ok(true) => return,
                    Ok(false) => sleep(POLL).await,
                    Err(error) => return self.lost(&error),
                }
            }
        };
        tokio::select! {
            () = following => {}
            () = self.left.cancelled() => {}
        }
    }

    /// Reads one stream to its end. Returns whether the presentation is gone.
    async fn stream(&self, id: &str, last: &mut Option<String>) -> Result<bool, reqwest::Error> {
        let mut asked = self.ledger.ask(id);
        let mut request = self.http.get(format!("{}/{id}/events", self.url));
        if let Some(last) = last {
            request = request.header("last-event-id", &*last);
        }
        let mut response = request.send().await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => return Ok(false),
            StatusCode::GONE => {
                self.ledger.gone(self.number, id);
                return Ok(true);
            }
            status => {
                let text = response.text().await?;
                self.ledger
                    .refusal(self.number, "a stream", status.as_u16(), &text);
                return Ok(false);
            }
        }
        let mut text = String::new();
        while let Some(chunk) = response.chunk().await? {
            text.push_str(&String::from_utf8_lossy(&chunk));
            while let Some(end) = text.find("\n\n") {
                let event: String = text.drain(..end + 2).collect();
                let field = |name| event.lines().find_map(|line| line.strip_prefix(name));
                let view = field("data: ").map(serde_json::from_str::<View>);
                if field("event: ") != Some("state") {
                    continue;
                }
                let Some(Ok(view)) = view else {
                    let text = format!("replica {} sent an event: {event}", self.number);
                    self.ledger.violation(text);
                    continue;
                };
                *last = Some(view.version.clone());
                let own = view.version.parse().ok();
                self.ledger.view(self.number, &asked, view, true);
                // Within a stream, each state is later than the one before.
                asked.raise(own);
            }
        }
        Ok(false)
    }

    /// Downloads the animation of a presentation, again while the store is away. Returns `None` if
    /// the presentation is gone, because the replica was paused for longer than the retention.
    pub(super) async fn download(&self, id: &str) -> Result<Option<Vec<u8>>, Failure> {
        let path = format!("{}/{id}/file", self.url);
        let expected = [StatusCode::OK, StatusCode::GONE];
        let response = self.answered(&expected, || self.http.get(&path)).await?;
        if response.status() == StatusCode::GONE {
            self.ledger.gone(self.number, id);
            return Ok(None);
        }
        Ok(Some(response.bytes().await?.into()))
    }

    /// Returns the ids of the list.
    pub(super) async fn list(&self) -> Result<Vec<String>, Failure> {
        #[derive(Deserialize)]
        struct Listing {
            jobs: Vec<Accepted>,
        }
        let response = self.http.get(&self.url).timeout(ANSWER).send().await?;
        let listing: Listing = response.error_for_status()?.json().await?;
        Ok(listing.jobs.into_iter().map(|job| job.id).collect())
    }

    /// Notes that the replica is about to end.
    pub(super) fn leave(&self) {
        self.left.cancel();
    }

    /// A connection breaks only if its replica is about to end.
    fn lost(&self, error: &reqwest::Error) {
        if !self.left.is_cancelled() {
            let text = format!("replica {} is not reached: {error:?}", self.number);
            self.ledger.violation(text);
        }
    }
}
