//! [`Keys`]: registration once for each key of a client.

use crate::error::Error;
use crate::job::Job;
use crate::registry::{JobRegistry, Registration};
use crate::script::Script;
use crate::store::{Registered, rest};
use job_registry::{Error as Refusal, JobId, Key, KeyLife, Options};
use std::time::Duration;

/// Maximum number of times that a registration looks its key up.
const TRIES: u32 = 20;

/// Result of [`Keys::register`].
#[derive(Debug)]
pub enum Once<T: Send + 'static> {
    /// The key led to no job. The payload is registered, and this owns the job.
    New(Job<T>),
    /// The key leads to a job. Nothing is registered.
    Existing {
        /// The job of the key.
        id: JobId,
    },
    /// The key leads to a job that was registered with another fingerprint. Nothing is registered.
    /// For HTTP: 422.
    Mismatch,
}

/// Registers at most one job for each key, in all processes, so that a client may repeat a request
/// at any replica.
///
/// The keys belong to the namespace: two `Keys` of one namespace have the same ones. The store has a
/// digest of a key under the namespace's secret, which is deleted with its job.
///
/// ```no_run
/// use job_registry::{Key, KeyLife};
/// use job_registry_redis::{Error, JobRegistry, Keys, Once};
///
/// # async fn f(jobs: JobRegistry<String>) -> Result<(), Error> {
/// let keys = Keys::new(jobs, KeyLife::UntilRemoved);
/// match keys.register(&Key::new("order 66"), &"deck".to_owned()).await? {
///     Once::New(job) => job.start().await?,
///     Once::Existing { id } => println!("it is {id}"),
///     Once::Mismatch => println!("the key stands for something else"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Keys<T> {
    jobs: JobRegistry<T>,
    life: KeyLife,
}

impl<T> Clone for Keys<T> {
    fn clone(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
            life: self.life,
        }
    }
}

impl<T: Send + 'static> Keys<T> {
    /// Returns the keys of a registry.
    #[must_use]
    pub fn new(jobs: JobRegistry<T>, life: KeyLife) -> Self {
        Self { jobs, life }
    }

    /// Returns the registry of the keys.
    #[must_use]
    pub fn registry(&self) -> &JobRegistry<T> {
        &self.jobs
    }

    /// Registers a pending job, as [`JobRegistry::register`] does, unless the key leads to a job
    /// whose [`KeyLife`] goes on. A known key leads to its job also while the registry is full or
    /// closed.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::register`], and [`Busy`](Refusal::Busy) if the key led to other jobs each
    /// time that it was looked up.
    pub async fn register(&self, key: &Key, payload: &T) -> Result<Once<T>, Error> {
        self.register_with(key, payload, Options::new()).await
    }

    /// Registers a pending job with limits of its own, as [`register`](Self::register) does. An
    /// existing job keeps its limits.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    pub async fn register_with(
        &self,
        key: &Key,
        payload: &T,
        options: Options,
    ) -> Result<Once<T>, Error> {
        let store = &self.jobs.state.store;
        let outlives = if self.life == KeyLife::UntilRemoved {
            "1"
        } else {
            ""
        };
        let mut pause = Duration::from_millis(1);
        for _ in 0..TRIES {
            // A store that has been emptied meanwhile has another secret.
            let digest = store.digest(key.as_bytes());
            let print = key.as_fingerprint().map(|bytes| store.digest(bytes));
            let print = print.unwrap_or_default();
            let name = store.keys.of_client(&digest);
            let known = self.look_up(&name).await?;
            let mut registration = Registration::new(&self.jobs, payload, options)?;
            let mut keys = store.keys_of_one(Script::Register, registration.id);
            keys.push(name.clone());
            // The script reads only keys that it is given.
            keys.extend(known.map(|id| store.keys.of_job("j", id)));
            let known_text = known.map_or_else(String::new, |id| id.to_string());
            let of_key = [&digest, &print, outlives, &known_text];
            registration
                .arguments
                .extend(of_key.map(|text| text.as_bytes().to_vec()));
            let arguments = std::mem::take(&mut registration.arguments);
            let job = registration.into_job(&self.jobs);
            let registered = store.register(&keys, &arguments).await;
            let registered = match registered {
                Ok(Registered::New) => return Ok(Once::New(job)),
                Ok(registered) => registered,
                Err(error) => {
                    let full = Error::Refused(Refusal::Full);
                    return Err(match job.not_registered(error) {
                        error if error == full && self.jobs.is_closed() => Refusal::Closed.into(),
                        error => error,
                    });
                }
            };
            let _ = job.detach();
            match (registered, known) {
                (Registered::Existing, Some(id)) => return Ok(Once::Existing { id }),
                (Registered::Mismatch, _) => return Ok(Once::Mismatch),
                _ => rest(&mut pause).await,
            }
        }
        Err(Refusal::Busy.into())
    }

    /// Returns the job to which a key leads, whatever its status.
    async fn look_up(&self, name: &str) -> Result<Option<JobId>, Error> {
        let store = &self.jobs.state.store;
        let mut reply = store.ask(Script::Lookup, &[name.to_owned()], &[]).await?;
        Ok(reply.text()?.map(|id| id.parse()).transpose()?)
    }
}
