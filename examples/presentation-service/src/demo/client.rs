//! A client of the service's API.

use super::Failure;
use super::sources::Source;
use crate::views::View;
use reqwest::{StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use std::net::SocketAddr;

/// A client of one service.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

/// The result of a poll.
#[derive(Debug)]
pub(super) enum Polled {
    /// The presentation.
    There(Box<View>),
    /// 304: the client's version is current.
    Unchanged,
    /// 410.
    Gone,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: format!("http://{address}/api/presentations"),
        }
    }

    /// Submits a deck, and returns its id.
    pub(super) async fn submit(&self, deck: &Source) -> Result<String, Failure> {
        let body = json!({"title": deck.title, "deck": deck.markdown});
        let response = self.http.post(&self.base).json(&body).send().await?;
        if response.status() != StatusCode::ACCEPTED {
            let (status, text) = (response.status(), response.text().await?);
            return Err(format!("{} was answered {status}: {text}", deck.title).into());
        }
        Ok(response.json::<Accepted>().await?.id)
    }

    /// Reads a presentation, unless its version is still `known`.
    pub(super) async fn poll(&self, id: &str, known: Option<&str>) -> Result<Polled, Failure> {
        let mut request = self.http.get(format!("{}/{id}", self.base));
        if let Some(version) = known {
            request = request.header(header::IF_NONE_MATCH, format!("W/\"{version}\""));
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => Ok(Polled::There(Box::new(response.json().await?))),
            StatusCode::NOT_MODIFIED => Ok(Polled::Unchanged),
            StatusCode::GONE => Ok(Polled::Gone),
            status => {
                Err(format!("a poll was answered {status}: {}", response.text().await?).into())
            }
        }
    }

    /// Reads a presentation's file.
    pub(super) async fn download(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let root = self.base.trim_end_matches("/api/presentations");
        let response = self.http.get(format!("{root}{path}")).send().await?;
        Ok(response.error_for_status()?.bytes().await?.into())
    }

    /// Returns the status code for a presentation.
    pub(super) async fn status_of(&self, id: &str) -> Result<u16, Failure> {
        let response = self.http.get(format!("{}/{id}", self.base)).send().await?;
        Ok(response.status().as_u16())
    }
}
