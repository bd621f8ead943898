//! [`Codec`]: the bytes of a payload in the store.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;

/// Error of a [`Codec`].
pub type CodecError = Box<dyn Error + Send + Sync>;

/// Converts payloads to bytes and back. [`Json`] is the default.
///
/// The name is stored with each payload. A payload that was stored under another name is not
/// decoded.
///
/// ```
/// use job_registry_redis::{Codec, CodecError};
///
/// struct Plain;
///
/// impl Codec<String> for Plain {
///     fn name(&self) -> &str {
///         "plain"
///     }
///     fn encode(&self, payload: &String) -> Result<Vec<u8>, CodecError> {
///         Ok(payload.clone().into_bytes())
///     }
///     fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
///         Ok(String::from_utf8(bytes.to_vec())?)
///     }
/// }
/// let bytes = Plain.encode(&"deck".to_owned())?;
/// assert_eq!(Plain.decode(&bytes)?, "deck");
/// # Ok::<(), CodecError>(())
/// ```
pub trait Codec<T>: Send + Sync + 'static {
    /// Returns the codec's name, which never changes.
    fn name(&self) -> &str;

    /// Returns the bytes of a payload.
    ///
    /// # Errors
    ///
    /// Returns the codec's error if the payload has no such form.
    fn encode(&self, payload: &T) -> Result<Vec<u8>, CodecError>;

    /// Returns the payload of these bytes.
    ///
    /// # Errors
    ///
    /// Returns the codec's error if the bytes are not those of a payload.
    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError>;
}

/// Stores payloads as JSON, under the name `json`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn encode(&self, payload: &T) -> Result<Vec<u8>, CodecError> {
        Ok(serde_json::to_vec(payload)?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
