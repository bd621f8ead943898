//! [`Store`]: calls of scripts, resent until they are answered.

use crate::error::{Error, Unavailable};
use crate::id::{Nonce, Secret, random};
use crate::link::{Durability, Failure, Link, NoLink, Origin};
use crate::names::KeyNames;
use crate::place::Place;
use crate::reply::{Reply, status};
use crate::script::{Script, Scripts};
use job_registry::{Error as Refusal, JobId};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

/// Pause before a call is sent again, which doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Maximum number of jobs in one call of a script.
pub(crate) const BATCH: usize = 100;

/// The owner's fence: the attempt and its nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) attempt: u32,
    pub(crate) nonce: Nonce,
}

/// Times of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Time for one answer.
    pub(crate) answer: Duration,
    /// Time for the call with all its resends.
    pub(crate) call: Duration,
}

pub(crate) struct Store {
    pub(crate) place: Place,
    pub(crate) keys: KeyNames,
    pub(crate) patience: Patience,
    scripts: Arc<Scripts>,
    link: RwLock<Option<Arc<Link>>>,
    /// The last connection that calls were sent by. Held while a new one is made.
    last: Mutex<Option<Origin>>,
    #[cfg(test)]
    pub(crate) seen: Seen,
    #[cfg(test)]
    pub(crate) faults: crate::tests::faults::Faults,
    #[cfg(test)]
    pub(crate) network: Option<Arc<crate::tests::sim::network::Network>>,
}

/// The end of a call without a reply.
struct NoReply {
    /// Whether the script may have been executed.
    sent: bool,
    error: Error,
}

/// A part of a job that a call reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    State,
    /// The state, also of a job that was removed less than a minute ago.
    LastState,
    Details,
    /// The details and the payload.
    Record,
    /// The state of a job that is stalled.
    Stalled,
}

/// Answer to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registered {
    New,
    /// The client's key leads to a job.
    Existing,
    /// The client's key leads to a job with another fingerprint.
    Mismatch,
    /// The client's key leads to another job than the caller has seen.
    Moved,
    /// The store has been emptied. An id that is minted from now on is one of its own.
    Emptied,
}

/// Events that tests require to have happened.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) resends: std::sync::atomic::AtomicU64,
    pub(crate) links: std::sync::atomic::AtomicU64,
    pub(crate) unknown: std::sync::atomic::AtomicU64,
}

impl Store {
    /// Makes the first connection.
    pub(crate) async fn connect(
        place: Place,
        keys: KeyNames,
        scripts: Arc<Scripts>,
        patience: Patience,
        #[cfg(test)] network: Option<Arc<crate::tests::sim::network::Network>>,
    ) -> Result<Self, Error> {
        let store = Self {
            place,
            keys,
            patience,
            scripts,
            link: RwLock::new(None),
            last: Mutex::new(None),
            #[cfg(test)]
            seen: Seen::default(),
            #[cfg(test)]
            faults: crate::tests::faults::Faults::default(),
            #[cfg(test)]
            network,
        };
        let deadline = Instant::now() + patience.call;
        let mut pause = FIRST_PAUSE;
        loop {
            match store.link().await {
                Ok(_) => return Ok(store),
                Err(NoLink::Fatal(error)) => return Err(error),
                Err(NoLink::Transient(message)) if Instant::now() >= deadline => {
                    return Err(Error::Unusable(format!("no connection: {message}")));
                }
                Err(NoLink::Transient(_)) => rest(&mut pause).await,
            }
        }
    }

    /// Calls a script that changes one job. The mark, the nonce of the call, the witness and the
    /// fence precede the arguments.
    pub(crate) async fn change(
        &self,
        script: Script,
        id: JobId,
        fence: Option<Fence>,
        arguments: &[Vec<u8>],
    ) -> Result<Reply, Error> {
        let keys = self.keys_of_one(script, id);
        let sent = self.send_change(script, &keys, fence, None, arguments);
        let (link, mut reply) = sent.await?;
        let code = reply.word()?;
        self.accepted(&link, &code, reply)
    }

    /// Calls a script that changes up to [`BATCH`] jobs, by the connection `on` alone if it is
    /// given.
    pub(crate) async fn change_all(
        &self,
        script: Script,
        ids: &[JobId],
        on: Option<&Origin>,
        arguments: &[Vec<u8>],
    ) -> Result<Reply, Error> {
        let keys = self.keys.of_all(&["j", "p", "f"], ids);
        let sent = self.send_change(script, &keys, None, on, arguments);
        let (link, mut reply) = sent.await?;
        let code = reply.word()?;
        self.accepted(&link, &code, reply)
    }

    /// Returns the keys of a script of one job.
    pub(crate) fn keys_of_one(&self, script: Script, id: JobId) -> Vec<String> {
        self.keys.of_one(id, self.scripts.get(script).keys)
    }

    /// Calls the script that registers a job.
    pub(crate) async fn register(
        &self,
        keys: &[String],
        arguments: &[Vec<u8>],
    ) -> Result<Registered, Error> {
        let (link, mut reply) = self
            .send_change(Script::Register, keys, None, None, arguments)
            .await?;
        let code = reply.word()?;
        Ok(match code.as_str() {
            "existing" => Registered::Existing,
            "mismatch" => Registered::Mismatch,
            "moved" => Registered::Moved,
            "emptied" => {
                // The next connection opens the namespace again. If there is none yet, the next
                // call says so.
                link.give_up();
                let _ = self.link().await;
                Registered::Emptied
            }
            code => self.accepted(&link, code, reply).map(|_| Registered::New)?,
        })
    }

    /// Sends a call that changes these keys.
    async fn send_change(
        &self,
        script: Script,
        keys: &[String],
        fence: Option<Fence>,
        on: Option<&Origin>,
        arguments: &[Vec<u8>],
    ) -> Result<(Arc<Link>, Reply), Error> {
        let call = Nonce::random();
        #[cfg(test)]
        crate::tests::trace::sent(script, keys, call, fence, arguments);
        let sent = self.send(script, keys, on, Some((call, fence)), arguments);
        // The futures of callers stay small, and the compiler can lay them out.
        match Box::pin(sent).await {
            Ok((link, reply)) => {
                #[cfg(test)]
                crate::tests::trace::answered(call, &reply);
                Ok((link, reply))
            }
            Err(NoReply { sent: true, .. }) => Err(self.unknown()),
            Err(NoReply { error, .. }) => {
                #[cfg(test)]
                crate::tests::trace::not_executed(call);
                Err(error)
            }
        }
    }

    /// Returns the rest of a reply whose code says that the call was accepted, after the number of
    /// changes. Otherwise returns the refusal.
    fn accepted(&self, link: &Link, code: &str, mut reply: Reply) -> Result<Reply, Error> {
        if code == "ok" {
            // The number is that of the connection: another one may lead to another history.
            let changes = reply.text()?.and_then(|text| text.parse().ok());
            link.see(changes.unwrap_or(0));
            return Ok(reply);
        }
        if code == "unknown" {
            return Err(self.unknown());
        }
        Err(refusal(code, reply.number()?)?.into())
    }

    #[cfg_attr(not(test), allow(clippy::unused_self))] // tests count
    fn unknown(&self) -> Error {
        #[cfg(test)]
        self.seen
            .unknown
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Unavailable::Unknown.into()
    }

    /// Reads a part of up to [`BATCH`] jobs, each a list, which is empty if there is none.
    pub(crate) async fn read(&self, part: Part, ids: &[JobId]) -> Result<Reply, Error> {
        let (letter, kinds): (_, &[_]) = match part {
            Part::State => ("s", &["j"]),
            Part::LastState => ("w", &["j", "f"]),
            Part::Details => ("d", &["j", "p"]),
            Part::Record => ("r", &["j", "p"]),
            Part::Stalled => {
                let keys = self.keys.of_all(&["j", "p", "f"], ids);
                return self.ask(Script::Stalled, &keys, &[]).await;
            }
        };
        let keys = self.keys.of_jobs(kinds, ids);
        self.ask(Script::Read, &keys, &[letter.into()]).await
    }

    /// Calls a script that changes nothing, or whose effect may be repeated.
    pub(crate) async fn ask(
        &self,
        script: Script,
        keys: &[String],
        arguments: &[Vec<u8>],
    ) -> Result<Reply, Error> {
        let sent = Box::pin(self.send(script, keys, None, None, arguments)).await;
        sent.map(|(_, reply)| reply).map_err(|none| {
            // A heartbeat may be repeated, and is no read.
            if none.sent && script == Script::Heartbeat {
                Unavailable::Unknown.into()
            } else {
                none.error
            }
        })
    }

    /// Returns all keys of the namespace, for an audit.
    pub(crate) async fn scan(&self) -> Result<Vec<String>, Error> {
        let link = self.link().await;
        let link = link.map_err(|_| Error::from(Unavailable::NotSent))?;
        let found = link.scan(&self.keys.pattern()).await;
        found.map_err(|failure| match failure {
            Failure::Rejected(message) => Error::Rejected(message),
            _ => Unavailable::NotSent.into(),
        })
    }

    /// Returns a digest of bytes under the namespace's secret.
    pub(crate) fn digest(&self, bytes: &[u8]) -> String {
        self.secret().unwrap_or_else(Secret::random).digest(bytes)
    }

    /// Returns the id of a new job, and the name of the store of which it is.
    pub(crate) fn mint(&self) -> (JobId, String) {
        // A registry has been connected before it exists.
        self.present_link().map_or_else(
            || (Secret::random().mint(), String::new()),
            |link| (link.secret.mint(), link.store.clone()),
        )
    }

    /// Sends until there is an answer or the time is over, by the connection `on` alone if it is
    /// given. The nonce and the fence are those of a change.
    async fn send(
        &self,
        script: Script,
        keys: &[String],
        on: Option<&Origin>,
        change: Option<(Nonce, Option<Fence>)>,
        arguments: &[Vec<u8>],
    ) -> Result<(Arc<Link>, Reply), NoReply> {
        let (call, fence) = change.unzip();
        let fence = fence.flatten();
        let attempt = fence.map_or_else(String::new, |fence| fence.attempt.to_string());
        let fence_nonce = fence.map(|fence| fence.nonce.0);
        let deadline = Instant::now() + self.patience.call;
        let mut pause = FIRST_PAUSE;
        // The number of changes that was seen before the first sending, once there is one.
        let mut witness = None;
        loop {
            let sent = witness.is_some();
            let failed = |error| NoReply { sent, error };
            let link = match self.sound_link() {
                Some(link) => Some(link),
                None => match timeout_at(deadline, self.link()).await {
                    Err(_) => return Err(failed(Unavailable::NotSent.into())),
                    Ok(Err(NoLink::Fatal(error))) => return Err(failed(error)),
                    Ok(Err(NoLink::Transient(_))) => None,
                    Ok(Ok(link)) => Some(link),
                },
            };
            if let Some(link) = link {
                if on.is_some_and(|on| *on != link.origin) {
                    return Err(failed(Unavailable::NotSent.into()));
                }
                // After a failover, this connection may lead to a history with fewer changes.
                let before = link.witness().min(witness.unwrap_or(u64::MAX));
                #[cfg(test)]
                if sent {
                    self.seen
                        .resends
                        .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
                let witness_text = before.to_string();
                let head = call.as_ref().map(|call| -> [&[u8]; 5] {
                    [
                        if sent { b"1" } else { b"" },
                        &call.0,
                        witness_text.as_bytes(),
                        attempt.as_bytes(),
                        fence_nonce.as_ref().map_or(&[], |nonce| nonce),
                    ]
                });
                let head = head.as_ref().map_or(&[][..], |head| head);
                match self.evaluate(&link, script, keys, head, arguments).await {
                    Ok(value) => {
                        return Reply::new(value).map(|reply| (link, reply)).map_err(failed);
                    }
                    Err(Failure::Rejected(message)) => {
                        return Err(failed(Error::Rejected(message)));
                    }
                    Err(Failure::Later { reconnect }) => {
                        if reconnect {
                            link.give_up();
                        }
                    }
                    Err(Failure::Lost) => {
                        link.give_up();
                        witness = Some(before);
                    }
                }
            }
            rest(&mut pause).await;
            if Instant::now() >= deadline {
                let sent = witness.is_some();
                let error = Unavailable::NotSent.into();
                return Err(NoReply { sent, error });
            }
        }
    }

    #[cfg(not(test))]
    async fn evaluate(
        &self,
        link: &Link,
        script: Script,
        keys: &[String],
        head: &[&[u8]],
        arguments: &[Vec<u8>],
    ) -> Result<redis::Value, Failure> {
        link.evaluate(&self.scripts, script, keys, head, arguments)
            .await
    }

    /// Calls a script, unless a test wants the call or its answer to be lost.
    #[cfg(test)]
    async fn evaluate(
        &self,
        link: &Link,
        script: Script,
        keys: &[String],
        head: &[&[u8]],
        arguments: &[Vec<u8>],
    ) -> Result<redis::Value, Failure> {
        let fault = self.faults.take();
        if fault.as_ref().is_none_or(|fault| !fault.before) {
            let value = link
                .evaluate(&self.scripts, script, keys, head, arguments)
                .await;
            let Some(fault) = fault else {
                return value;
            };
            fault.meanwhile().await;
        } else if let Some(fault) = fault {
            fault.meanwhile().await;
        }
        Err(Failure::Lost)
    }

    /// Returns the connection, and makes a new one if it is broken.
    pub(crate) async fn link(&self) -> Result<Arc<Link>, NoLink> {
        if let Some(link) = self.sound_link() {
            return Ok(link);
        }
        let mut last = self.last.lock().await;
        // Another call may have connected meanwhile.
        if let Some(link) = self.sound_link() {
            return Ok(link);
        }
        let link = self.new_link(last.as_ref()).await?;
        #[cfg(test)]
        self.seen
            .links
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        *last = Some(link.origin.clone());
        let link = Arc::new(link);
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = Some(link.clone());
        Ok(link)
    }

    async fn new_link(&self, last: Option<&Origin>) -> Result<Link, NoLink> {
        let (keys, scripts) = (&self.keys, &self.scripts);
        #[cfg(test)]
        if let Some(network) = &self.network {
            return Link::simulate(network, keys, scripts, last).await;
        }
        let answer = self.patience.answer;
        Link::connect(&self.place, keys, scripts, last, answer).await
    }

    fn sound_link(&self) -> Option<Arc<Link>> {
        self.present_link().filter(|link| !link.is_broken())
    }

    fn present_link(&self) -> Option<Arc<Link>> {
        self.link
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the secret of the present connection, also of a broken one.
    pub(crate) fn secret(&self) -> Option<Secret> {
        self.present_link().map(|link| link.secret)
    }

    /// Returns the server and the connection.
    pub(crate) fn origin(&self) -> Option<Origin> {
        self.present_link().map(|link| link.origin.clone())
    }

    pub(crate) fn durability(&self) -> Durability {
        self.present_link()
            .map_or(Durability::Unknown, |link| link.durability)
    }

    /// Returns an error unless the namespace has issued the id.
    pub(crate) fn admit(&self, id: JobId) -> Result<(), Error> {
        let is_own = self.secret().is_none_or(|secret| secret.has_issued(id));
        is_own.then_some(()).ok_or(Refusal::NotFound.into())
    }
}

/// Returns the refusal that a script's code stands for.
pub(crate) fn refusal(code: &str, number: Option<u64>) -> Result<Refusal, Error> {
    let status = number.and_then(status);
    Ok(match (code, status) {
        ("absent", _) => Refusal::Gone,
        ("superseded", _) => Refusal::Superseded,
        ("not_started", _) => Refusal::NotStarted,
        ("already_started", _) => Refusal::AlreadyStarted,
        ("stopping", _) => Refusal::Stopping,
        ("ended", Some(status)) => Refusal::Ended(status),
        ("conflict" | "leased", _) => Refusal::Busy,
        ("lost", _) => return Err(Error::LockLost),
        ("live", _) => Refusal::Live,
        ("not_retryable", Some(status)) => Refusal::NotRetryable(status),
        ("attempts_exhausted", _) => Refusal::AttemptsExhausted,
        ("full", _) => Refusal::Full,
        _ => return Err(Error::strange(code)),
    })
}

/// Waits, and doubles the next pause. Random parts keep clients from coming back all at once.
pub(crate) async fn rest(pause: &mut Duration) {
    sleep(jittered(*pause)).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}

/// Returns between half of a duration and one and a half.
pub(crate) fn jittered(duration: Duration) -> Duration {
    let [random] = random::<1>();
    duration / 2 + duration * u32::from(random) / 256
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
