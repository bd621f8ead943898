//! [`Steps`]: the calls on one job, by id or fenced to an attempt.

use crate::codec::Codec;
use crate::error::{Error, PayloadError};
use crate::id::Nonce;
use crate::reply::{Reply, status_number};
use crate::script::Script;
use crate::state::State;
use crate::store::{Fence, Store, rest};
use job_registry::{Error as Refusal, JobId, Progress, Snapshot, Status};
use std::time::Duration;

/// Maximum number of times that an update reads the payload.
const UPDATE_TRIES: u32 = 20;
/// Maximum length of a note, in bytes: that of a registry in memory.
const LONGEST_NOTE: usize = 1024;
/// Milliseconds from which on a time is never. A Lua number holds the sum of two such exactly.
const NEVER: u64 = 1 << 52;

/// One job, by id or fenced to an attempt.
#[derive(Debug)]
pub(crate) struct Steps<'a, T> {
    pub(crate) state: &'a State<T>,
    pub(crate) id: JobId,
    pub(crate) fence: Option<Fence>,
}

impl<T: Send + 'static> Steps<'_, T> {
    pub(crate) async fn start(&self) -> Result<(), Error> {
        self.change(Script::Start, &[]).await.map(drop)
    }

    pub(crate) async fn advance(&self, progress: Progress) -> Result<Progress, Error> {
        let ppm = progress.ppm().to_string().into_bytes();
        let seen = self.change(Script::Advance, &[ppm]).await?;
        Ok(seen.progress())
    }

    pub(crate) async fn report(&self, progress: Progress, text: String) -> Result<(), Error> {
        let ppm = progress.ppm().to_string().into_bytes();
        let arguments = [ppm, b"1".to_vec(), note(text).into_bytes()];
        self.change(Script::Advance, &arguments).await.map(drop)
    }

    pub(crate) async fn note(&self, text: String) -> Result<(), Error> {
        let none = Vec::new;
        let arguments = [
            none(),
            none(),
            none(),
            b"1".to_vec(),
            note(text).into_bytes(),
        ];
        self.change(Script::Update, &arguments).await.map(drop)
    }

    pub(crate) async fn end(&self, status: Status, reason: Option<String>) -> Result<(), Error> {
        self.end_with(&ending(status, reason)).await
    }

    /// Fails a live job for an error of its work. If a stop was requested, the job is cancelled
    /// instead, and keeps the reason of the stop.
    pub(crate) async fn end_for_error(&self, reason: String) -> Result<(), Error> {
        let mut arguments = ending(Status::Failed, Some(reason));
        arguments.push(b"1".to_vec());
        self.end_with(&arguments).await
    }

    /// Ends a job under a lease, with a last payload if it has been written.
    pub(crate) async fn end_under_lease(
        &self,
        status: Status,
        reason: Option<String>,
        token: Nonce,
        payload: Option<&T>,
    ) -> Result<(), Error> {
        let mut arguments = ending(status, reason);
        arguments.extend([Vec::new(), token.0.to_vec()]);
        if let Some(payload) = payload {
            arguments.push(b"1".to_vec());
            arguments.extend(self.encoded(payload)?);
        }
        self.end_with(&arguments).await
    }

    async fn end_with(&self, arguments: &[Vec<u8>]) -> Result<(), Error> {
        self.change(Script::End, arguments).await.map(drop)
    }

    /// Takes the lease on the payload, renews it, or gives it up with a zero duration.
    pub(crate) async fn lease(
        &self,
        token: Nonce,
        lease: Duration,
        is_held: bool,
    ) -> Result<(), Error> {
        let lease = if lease.is_zero() {
            Vec::new()
        } else {
            millis(lease)
        };
        let is_held = if is_held { "1" } else { "" };
        let arguments = [token.0.to_vec(), lease, is_held.into()];
        self.change(Script::Lease, &arguments).await.map(drop)
    }

    /// Stores the payload under a lease, and gives the lease up if `is_last`.
    pub(crate) async fn store_under_lease(
        &self,
        token: Nonce,
        payload: &T,
        is_last: bool,
    ) -> Result<(), Error> {
        let [bytes, codec] = self.encoded(payload)?;
        let (none, is_last) = (Vec::new, if is_last { "1" } else { "" });
        let token = token.0.to_vec();
        // The revision is not compared.
        let revision = b"0".to_vec();
        let arguments = [
            revision,
            bytes,
            codec,
            none(),
            none(),
            token,
            is_last.into(),
        ];
        self.change(Script::Update, &arguments).await.map(drop)
    }

    /// Returns the form of a payload in the store, and the name of the form.
    fn encoded(&self, payload: &T) -> Result<[Vec<u8>; 2], PayloadError> {
        let codec = &*self.state.codec;
        let bytes = encode(codec, payload, self.state.payload_limit)?;
        Ok([bytes, codec.name().into()])
    }

    pub(crate) async fn request_stop(&self, reason: String) -> Result<Status, Error> {
        let seen = self.change(Script::Stop, &[reason.into_bytes()]).await?;
        Ok(seen.status())
    }

    pub(crate) async fn remove_after(&self, delay: Duration) -> Result<(), Error> {
        self.change(Script::Keep, &[millis(delay)]).await.map(drop)
    }

    pub(crate) async fn remove(&self) -> Result<(), Error> {
        self.change(Script::Remove, &[]).await.map(drop)
    }

    /// Begins the next attempt and returns its fence.
    pub(crate) async fn retry(&self) -> Result<Fence, Error> {
        if self.state.is_closed() {
            return Err(Refusal::Closed.into());
        }
        let nonce = Nonce::random();
        let seen = self.change(Script::Retry, &[nonce.0.to_vec()]).await?;
        Ok(Fence {
            attempt: seen.attempt(),
            nonce,
        })
    }

    /// Reads the payload, applies `f` and writes it, again if another writer came in between.
    pub(crate) async fn update<R>(&self, mut f: impl FnMut(&mut T) -> R) -> Result<R, Error> {
        let mut pause = Duration::from_millis(1);
        for _ in 0..UPDATE_TRIES {
            let (details, payload, payload_revision) = self.state.record(self.id).await?;
            if details.snapshot.status().is_ended() {
                // The script says which refusal comes first.
                self.refuse_ended().await?;
            }
            let mut payload = payload?;
            let result = f(&mut payload);
            let [bytes, codec] = self.encoded(&payload)?;
            let revision = payload_revision.to_string().into_bytes();
            let arguments = [revision, bytes, codec];
            match self.change(Script::Update, &arguments).await {
                Ok(_) => return Ok(result),
                Err(Error::Refused(Refusal::Busy)) => rest(&mut pause).await,
                Err(error) => return Err(error),
            }
        }
        Err(Refusal::Busy.into())
    }

    /// Returns the refusal of an update of an ended job, by a script that would change nothing.
    async fn refuse_ended(&self) -> Result<(), Error> {
        let none = Vec::new;
        // No payload has this revision.
        let arguments = [b"-1".to_vec(), none(), none()];
        match self.change(Script::Update, &arguments).await {
            // Retried in between: it is read again.
            Ok(_) | Err(Error::Refused(Refusal::Busy)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn heartbeat(&self) -> Result<(), Error> {
        self.state.store.admit(self.id)?;
        let results = heartbeats(&self.state.store, &[(self.id, self.fence)]).await?;
        results.into_iter().next().unwrap_or(Ok(()))
    }

    async fn change(&self, script: Script, arguments: &[Vec<u8>]) -> Result<Snapshot, Error> {
        self.state.store.admit(self.id)?;
        let reply = self
            .state
            .store
            .change(script, self.id, self.fence, arguments);
        let mut reply: Reply = reply.await?;
        reply.snapshot(self.id)
    }
}

/// Records heartbeats of up to a batch of jobs.
pub(crate) async fn heartbeats(
    store: &Store,
    jobs: &[(JobId, Option<Fence>)],
) -> Result<Vec<Result<(), Error>>, Error> {
    let ids: Vec<JobId> = jobs.iter().map(|(id, _)| *id).collect();
    // A heartbeat may be repeated, so that the head is empty.
    let mut arguments = vec![Vec::new(); 5];
    for (_, fence) in jobs {
        let fence = fence.map(|fence| (fence.attempt.to_string(), fence.nonce.0.to_vec()));
        let (attempt, nonce) = fence.unwrap_or_default();
        arguments.extend([attempt.into_bytes(), nonce]);
    }
    #[cfg(test)]
    crate::tests::trace::mark(jobs, &mut arguments);
    let keys = store.keys.of_all(&["j"], &ids);
    let mut reply = store.ask(Script::Heartbeat, &keys, &arguments).await?;
    let (_, _) = (reply.word()?, reply.text()?);
    let mut results = Vec::with_capacity(jobs.len());
    for (id, _) in jobs {
        let (code, status) = (reply.word()?, reply.text()?);
        let status = status.and_then(|status| status.parse().ok());
        results.push(match code.as_str() {
            "ok" => Ok(()),
            "unreadable" => Err(Error::unreadable(*id)),
            code => Err(crate::store::refusal(code, status)?.into()),
        });
    }
    Ok(results)
}

/// Returns the first arguments of an ending.
fn ending(status: Status, reason: Option<String>) -> Vec<Vec<u8>> {
    let has_reason = if reason.is_some() { "1" } else { "" };
    vec![
        status_number(status).to_string().into_bytes(),
        has_reason.into(),
        reason.unwrap_or_default().into_bytes(),
    ]
}

/// Returns the bytes of a payload that is not larger than the limit.
pub(crate) fn encode<T: 'static>(
    codec: &dyn Codec<T>,
    payload: &T,
    limit: usize,
) -> Result<Vec<u8>, PayloadError> {
    let bytes = codec.encode(payload);
    let bytes = bytes.map_err(|error| PayloadError::Encode(error.to_string()))?;
    if bytes.len() > limit {
        let size = bytes.len();
        return Err(PayloadError::TooLarge { size, limit });
    }
    Ok(bytes)
}

/// Returns the argument for a duration: whole milliseconds, rounded up, or nothing for one that is
/// never over.
pub(crate) fn millis(duration: Duration) -> Vec<u8> {
    let millis = u64::try_from(duration.as_nanos().div_ceil(1_000_000));
    let millis = millis.ok().filter(|millis| *millis < NEVER);
    millis.map_or_else(Vec::new, |millis| millis.to_string().into_bytes())
}

/// Cuts a note that is too long at a character, and ends it in `…`.
fn note(mut text: String) -> String {
    if text.len() > LONGEST_NOTE {
        let last = LONGEST_NOTE - '…'.len_utf8();
        let end = (0..=last).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}
