//! The replies of the scripts, as Rust values.

use crate::error::Error;
use job_registry::{Details, JobId, Progress, Snapshot, Status, Times, Version};
use redis::Value;
use std::sync::Arc;
use std::time::Duration;

/// The elements of a reply, taken one by one.
#[derive(Clone, Debug)]
pub(crate) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    pub(crate) fn new(value: Value) -> Result<Self, Error> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            other => Err(Error::strange(other)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Returns whether the reply is this word alone.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.0.as_slice(), [Value::BulkString(bytes)] if bytes == word.as_bytes())
    }

    /// Returns the next element's bytes, or `None` for an absent one.
    pub(crate) fn bytes(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match self.0.next() {
            None | Some(Value::Nil) => Ok(None),
            Some(Value::BulkString(bytes)) => Ok(Some(bytes)),
            Some(Value::Int(number)) => Ok(Some(number.to_string().into_bytes())),
            Some(other) => Err(Error::strange(other)),
        }
    }

    pub(crate) fn text(&mut self) -> Result<Option<String>, Error> {
        let text = self.bytes()?.map(String::from_utf8).transpose();
        text.map_err(Error::strange)
    }

    pub(crate) fn word(&mut self) -> Result<String, Error> {
        self.text()?.ok_or_else(|| Error::strange("nothing"))
    }

    /// Returns the next element as a decimal number, or `None` for an absent one.
    pub(crate) fn number(&mut self) -> Result<Option<u64>, Error> {
        let text = self.text()?;
        let number = text.map(|text| text.parse().map_err(|_| Error::strange(text)));
        number.transpose()
    }

    pub(crate) fn required(&mut self) -> Result<u64, Error> {
        self.number()?.ok_or_else(|| Error::strange("nothing"))
    }

    fn millis(&mut self) -> Result<Option<Duration>, Error> {
        Ok(self.number()?.map(Duration::from_millis))
    }

    /// Returns the next element, which is an array.
    pub(crate) fn list(&mut self) -> Result<Self, Error> {
        Self::new(self.0.next().unwrap_or_default())
    }

    /// Returns the state of a job from its three next elements.
    pub(crate) fn snapshot(&mut self, id: JobId) -> Result<Snapshot, Error> {
        let (state, heartbeat, revision) = (self.required()?, self.required()?, self.required()?);
        // Each part is in range, or `from_parts` refuses it.
        #[allow(clippy::cast_possible_truncation)]
        let (attempt, ppm) = ((state >> 23) as u32, (state & 0xF_FFFF) as u32);
        let status = status(state >> 20 & 7).ok_or_else(|| Error::strange(state))?;
        let version = Version::from_parts(attempt, status, Progress::from_ppm(ppm)?, revision)?;
        Ok(Snapshot::from_parts(
            id,
            version,
            Duration::from_millis(heartbeat),
        ))
    }

    /// Returns the details of a job from its next nine elements.
    pub(crate) fn details(&mut self, id: JobId) -> Result<Details, Error> {
        let snapshot = self.snapshot(id)?;
        let registered = self.millis()?.unwrap_or_default();
        let (started, ended, removal) = (self.millis()?, self.millis()?, self.millis()?);
        let times = Times::from_parts(registered, started, ended, removal)?;
        let (note, reason) = (self.text()?.map(Arc::from), self.text()?.map(Arc::from));
        Ok(Details::from_parts(snapshot, times, note, reason)?)
    }
}

/// The numbers of the statuses in a job's state.
const STATUSES: [(u64, Status); 6] = [
    (1, Status::Pending),
    (2, Status::Running),
    (3, Status::Stopping),
    (4, Status::Completed),
    (5, Status::Failed),
    (6, Status::Cancelled),
];

/// Returns the status with this number in a job's state.
pub(crate) fn status(number: u64) -> Option<Status> {
    let found = STATUSES.iter().find(|(of, _)| *of == number);
    found.map(|(_, status)| *status)
}

/// Returns the number of a status in a job's state.
pub(crate) fn status_number(status: Status) -> u64 {
    let found = STATUSES.iter().find(|(_, of)| *of == status);
    // A status that a later library may add is refused by the scripts.
    found.map_or(0, |(number, _)| *number)
}

/// Returns attempt, status and progress as the one number that the scripts keep.
pub(crate) fn step_number(seen: &Snapshot) -> u64 {
    let status = status_number(seen.status());
    u64::from(seen.attempt()) << 23 | status << 20 | u64::from(seen.progress().ppm())
}
