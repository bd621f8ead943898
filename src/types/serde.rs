//! The serde forms of ids, versions, statuses, progress, snapshots and errors. They are part of the API:
//! `docs/guide/observability.md` documents them, and `tests/api/serde.rs` checks them.

use crate::types::cursor::{Cursor, ParseCursorError};
use crate::types::error::{
    Error, LockError, LookupError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
use crate::types::id::{JobId, ParseIdError};
use crate::types::progress::{Progress, ProgressError};
use crate::types::snapshot::{Counts, Details, Record, Snapshot, Times};
use crate::types::status::Status;
use crate::types::version::{ParseVersionError, Version};
use serde_core::de::{Deserialize, Deserializer, Error as _, Unexpected, Visitor};
use serde_core::ser::{Serialize, SerializeStruct, Serializer};
use std::fmt;
use std::time::Duration;

/// Implements both traits by `Display` and `FromStr`.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $expected:literal;)*) => {$(
        $(#[$doc])*
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde_core::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse()
                            .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    )*};
}

texts! {
    /// Serializes as the id's 22 letters and digits.
    JobId: "a job id of 22 letters and digits";
    /// Serializes as the cursor's text.
    Cursor: "the text of a cursor";
    /// Serializes as the version's text.
    Version: "a version of a job";
}

/// Serializes as [`Status::as_str`].
impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Status;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("pending, running, stopping, completed, failed or cancelled")
            }

            fn visit_str<E: serde_core::de::Error>(self, name: &str) -> Result<Status, E> {
                let all = [
                    Status::Pending,
                    Status::Running,
                    Status::Stopping,
                    Status::Completed,
                    Status::Failed,
                    Status::Cancelled,
                ];
                let parsed = all.into_iter().find(|status| status.as_str() == name);
                parsed.ok_or_else(|| E::invalid_value(Unexpected::Str(name), &self))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// Serializes as [`Progress::as_percent`], a number from 0.0 to 100.0.
impl Serialize for Progress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_percent())
    }
}

/// Deserializes by [`Progress::percent`], with its errors.
impl<'de> Deserialize<'de> for Progress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        Self::percent(percent).map_err(D::Error::custom)
    }
}

/// Serializes `id`, `status`, `progress`, `attempt`, `version`, and `last_heartbeat_ms` in the
/// registry's time.
impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Snapshot", 6)?;
        fields.serialize_field("id", &self.id())?;
        fields.serialize_field("status", &self.status())?;
        fields.serialize_field("progress", &self.progress())?;
        fields.serialize_field("attempt", &self.attempt())?;
        fields.serialize_field("version", &self.version())?;
        fields.serialize_field("last_heartbeat_ms", &millis(self.last_heartbeat()))?;
        fields.end()
    }
}

/// Serializes `registered_ms`, `started_ms`, `ended_ms` and `removal_ms` in the registry's time. A
/// missing time is null.
impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Times", 4)?;
        fields.serialize_field("registered_ms", &millis(self.registered))?;
        fields.serialize_field("started_ms", &self.started.map(millis))?;
        fields.serialize_field("ended_ms", &self.ended.map(millis))?;
        fields.serialize_field("removal_ms", &self.removal.map(millis))?;
        fields.end()
    }
}

/// Serializes `snapshot`, `times`, `note` and `reason`.
impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Details", 4)?;
        fields.serialize_field("snapshot", &self.snapshot)?;
        fields.serialize_field("times", &self.times)?;
        fields.serialize_field("note", &self.note.as_deref())?;
        fields.serialize_field("reason", &self.reason.as_deref())?;
        fields.end()
    }
}

/// Serializes `snapshot`, `times`, `note`, `reason` and `payload`.
impl<P: Serialize> Serialize for Record<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Record", 5)?;
        fields.serialize_field("snapshot", &self.snapshot)?;
        fields.serialize_field("times", &self.times)?;
        fields.serialize_field("note", &self.note.as_deref())?;
        fields.serialize_field("reason", &self.reason.as_deref())?;
        fields.serialize_field("payload", &self.payload)?;
        fields.end()
    }
}

/// Serializes the number of jobs of each status.
impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Counts", 6)?;
        fields.serialize_field("pending", &self.pending)?;
        fields.serialize_field("running", &self.running)?;
        fields.serialize_field("stopping", &self.stopping)?;
        fields.serialize_field("completed", &self.completed)?;
        fields.serialize_field("failed", &self.failed)?;
        fields.serialize_field("cancelled", &self.cancelled)?;
        fields.end()
    }
}

/// Serializes an error: its name as `error`, the job's `status` if the error has one, and a text
/// for humans as `message`.
fn error<S: Serializer>(
    serializer: S,
    name: &'static str,
    status: Option<Status>,
    message: &dyn fmt::Display,
) -> Result<S::Ok, S::Error> {
    let count = if status.is_some() { 3 } else { 2 };
    let mut fields = serializer.serialize_struct("Error", count)?;
    fields.serialize_field("error", name)?;
    match status {
        Some(status) => fields.serialize_field("status", &status)?,
        None => fields.skip_field("status")?,
    }
    fields.serialize_field("message", &*message.to_string())?;
    fields.end()
}

macro_rules! errors {
    ($($error:ident: |$this:ident| $name:expr, $status:expr;)*) => {$(
        impl Serialize for $error {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $this = self;
                error(serializer, $name, $status, self)
            }
        }
    )*};
}

errors! {
    LookupError: |this| this.name(), None;
    StepError: |this| this.name(), this.status();
    LockError: |this| this.name(), this.status();
    ReadError: |this| this.name(), this.status();
    RemoveError: |this| this.name(), this.status();
    RetryError: |this| this.name(), this.status();
    Error: |this| this.name(), this.status();
    ProgressError: |this| this.name(), None;
    ParseIdError: |this| this.name(), None;
    ParseVersionError: |this| this.name(), None;
    ParseCursorError: |this| this.name(), None;
}

/// Serializes like the other errors, without the payload, which belongs to the caller.
impl<T> Serialize for RegisterError<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        error(serializer, self.name(), None, self)
    }
}

/// Returns whole milliseconds, which overflow after 584 million years.
fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
