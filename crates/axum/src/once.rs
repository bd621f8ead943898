//! [`IdempotencyKey`]: a submission that is repeated is carried out once.

use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use job_registry::{Job, JobId, Key, Keys, Once};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Largest number of bytes of a key.
const LONGEST: usize = 255;

/// The header `Idempotency-Key` of a request, as an extractor.
///
/// The value is a string in quotation marks, as the
/// [draft standard](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/)
/// asks for, or a bare text without a comma, as many clients send it. It has 1 to 255 visible ASCII
/// characters and spaces. A request with an empty, longer or malformed value, or with several, is
/// answered with 400.
///
/// Every client that sends a key gets the job of the key. In a service for several tenants, limit
/// the key to its tenant by [`scope`](Self::scope).
///
/// ```
/// use axum::extract::State;
/// use axum::http::HeaderMap;
/// use axum::response::Response;
/// use job_registry::{JobRegistry, Keys};
/// use job_registry_axum::{IdempotencyKey, JobRoutes, Problem};
///
/// #[derive(Clone)]
/// struct App {
///     keys: Keys<String>,
///     routes: JobRoutes<JobRegistry<String>>,
/// }
///
/// async fn submit(
///     State(app): State<App>,
///     key: IdempotencyKey,
///     headers: HeaderMap,
///     deck: String,
/// ) -> Result<Response, Problem> {
///     let work = async |job: std::sync::Arc<job_registry::Job<String>>| Ok(job.note("drawing")?);
///     let id = key.submit(&app.keys, deck.as_bytes(), deck.clone(), |job| {
///         job.spawn(work);
///     })?;
///     Ok(app.routes.accepted(&headers, id).await)
/// }
/// # let _: axum::Router<App> = axum::Router::new().route("/", axum::routing::post(submit));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: Option<String>,
    scope: String,
}

impl IdempotencyKey {
    /// Returns the key that the request has, without quotation marks.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Limits the key to a scope, such as a tenant: equal keys of different scopes are different.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// Returns the key for a registry, with the request's body as its fingerprint. Returns `None`
    /// if the request has no key.
    ///
    /// [`submit`](Self::submit) uses it for a registry in memory. Another registry answers a key
    /// that was sent before with another body by [`Problem::reused_key`].
    #[must_use]
    pub fn to_key(&self, body: &[u8]) -> Option<Key> {
        let key = self.key.as_ref()?;
        // The length keeps a scope and a key apart.
        let key = Key::new(format!("{}:{}{key}", self.scope.len(), self.scope));
        Some(key.fingerprint(body))
    }

    /// Registers a job and gives its owner to `begin`, which begins its work without waiting for
    /// it. If the key has been submitted before with the same body, nothing is registered, and the
    /// id is that of the key's job. A request without a key always registers a job.
    ///
    /// # Errors
    ///
    /// Returns a problem with the status 422 for a known key with another body, 429 if the registry
    /// is full, and 503 if it is closed. `begin` is not called then.
    pub fn submit<T: Send + 'static>(
        &self,
        keys: &Keys<T>,
        body: &[u8],
        payload: T,
        begin: impl FnOnce(Job<T>),
    ) -> Result<JobId, Problem> {
        let job = match self.to_key(body) {
            None => keys.registry().register(payload)?,
            Some(key) => match keys.register(key, payload)? {
                Once::New(job) => job,
                Once::Existing { id, .. } => return Ok(id),
                Once::Mismatch { .. } => return Err(Problem::reused_key()),
            },
        };
        let id = job.id();
        begin(job);
        Ok(id)
    }

    fn parse(value: &HeaderValue) -> Result<String, Problem> {
        let text = value.to_str().map(str::trim);
        let text = text.map_err(|_| Problem::bad_key("the key has characters other than ASCII"))?;
        let key = match text.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)
                .ok_or_else(|| Problem::bad_key("the key is not a string in quotation marks"))?,
            // A list of several headers, which a proxy has joined.
            None if text.contains(',') => {
                return Err(Problem::bad_key("the request has several keys"));
            }
            None => text.to_owned(),
        };
        if !(1..=LONGEST).contains(&key.len()) {
            return Err(Problem::bad_key("a key has 1 to 255 characters"));
        }
        if key.bytes().any(|byte| !matches!(byte, b' '..=b'~')) {
            return Err(Problem::bad_key(
                "the key has characters that are not visible",
            ));
        }
        Ok(key)
    }
}

/// The content of a string of RFC 8941 after its first quotation mark. Parameters may follow it.
fn unquoted(text: &str) -> Option<String> {
    let mut content = String::new();
    let mut letters = text.chars();
    loop {
        match letters.next()? {
            '"' => break,
            '\\' => content.push(
                letters
                    .next()
                    .filter(|letter| matches!(letter, '"' | '\\'))?,
            ),
            letter => content.push(letter),
        }
    }
    let rest = letters.as_str().trim_start();
    (rest.is_empty() || rest.starts_with(';')).then_some(content)
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = values.next().map(Self::parse).transpose()?;
        if values.next().is_some() {
            return Err(Problem::bad_key("the request has several keys"));
        }
        Ok(Self {
            key,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Result<String, String> {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        IdempotencyKey::parse(&value).map_err(|problem| problem.name().to_owned())
    }

    #[test]
    fn a_key_is_quoted_or_bare() {
        for (value, key) in [
            ("\"8e03978e\"", "8e03978e"),
            ("8e03978e", "8e03978e"),
            ("  \"a b\"  ", "a b"),
            ("\"a\\\"b\\\\\"", "a\"b\\"),
            ("\"a\"; draft=7", "a"),
            ("a\"b", "a\"b"),
            (&"k".repeat(255), &"k".repeat(255)),
        ] {
            assert_eq!(parsed(value).as_deref(), Ok(key), "{value}");
        }
        let long = "k".repeat(256);
        let values = [
            "", "\"\"", "\"", "\"a", "\"a\"b", "\"a\\b\"", "\"a\\", "\u{e9}", "a\tb", "a, b", &long,
        ];
        for value in values {
            assert_eq!(
                parsed(value),
                Err("bad_idempotency_key".to_owned()),
                "{value:?}"
            );
        }
    }
}
