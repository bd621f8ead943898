//! [`Builder`]: the limits of a registry, and its connection.

use crate::codec::{Codec, Json};
use crate::error::Error;
use crate::names::KeyNames;
use crate::place::Place;
use crate::registry::JobRegistry;
use crate::script::Parts;
use crate::state::{Hook, Limits, State};
use crate::store::{Patience, Store};
use job_registry::Record;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for a call. The final state of a removed job is kept for longer, so that a resend
/// finds it.
const LONGEST_CALL: Duration = Duration::from_secs(30);
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

/// Builds a [`JobRegistry`]. Returned by [`JobRegistry::builder`].
///
/// Limits are those of the jobs that this process registers. They are stored with each job, and
/// hold in every process.
#[must_use = "a builder does nothing until `connect`"]
pub struct Builder<T> {
    url: String,
    namespace: String,
    codec: Arc<dyn Codec<T>>,
    limits: Limits,
    patience: Patience,
    payload_limit: usize,
    hook: Option<Hook<T>>,
    pub(crate) parts: Parts,
    #[cfg(test)]
    pub(crate) network: Option<Arc<crate::tests::sim::network::Network>>,
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Builder<T> {
    pub(crate) fn new(url: String, namespace: String) -> Self {
        Self {
            url,
            namespace,
            codec: Arc::new(Json),
            limits: Limits {
                capacity: 1 << 20,
                retention: Duration::from_secs(3600),
                stall_after: Duration::MAX,
                stop_grace: Duration::from_secs(30),
            },
            patience: Patience {
                answer: Duration::from_secs(2),
                call: Duration::from_secs(10),
            },
            payload_limit: 1 << 20,
            hook: None,
            parts: Parts::default(),
            #[cfg(test)]
            network: None,
        }
    }
}

impl<T: Send + 'static> Builder<T> {
    /// Maximum number of jobs in the namespace, including ended jobs not yet removed. Default
    /// 1,048,576. It is checked when this process registers a job.
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.limits.capacity = jobs;
        self
    }

    /// Time from a job's end to its removal. Default one hour. Rounded up to milliseconds;
    /// `Duration::MAX` means for ever.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.limits.retention = retention;
        self
    }

    /// Age of the last heartbeat above which a running or stopping job counts as stalled. By
    /// default no job does.
    pub fn stall_after(mut self, silence: Duration) -> Self {
        self.limits.stall_after = silence;
        self
    }

    /// Time that a job has to stop after `request_stop`. Default 30 seconds.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.limits.stop_grace = grace;
        self
    }

    /// Maximum size of an encoded payload, in bytes. Default 1 MiB. A larger payload is refused
    /// before it is sent.
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.payload_limit = bytes;
        self
    }

    /// Time for one answer of the server. Default 2 seconds; at most 10. After it, the connection
    /// is replaced and the call is sent again.
    pub fn answer_within(mut self, time: Duration) -> Self {
        self.patience.answer = time.min(LONGEST_ANSWER);
        self
    }

    /// Time for a call with all its resends. Default 10 seconds; at most 30. A call may take up
    /// to three answers longer, if the server has lost its scripts.
    pub fn call_within(mut self, time: Duration) -> Self {
        self.patience.call = time.min(LONGEST_CALL);
        self
    }

    /// Form of the payloads in the store. By default [`Json`].
    pub fn codec(mut self, codec: impl Codec<T>) -> Self {
        self.codec = Arc::new(codec);
        self
    }

    /// Callback for every job that a sweep of this process removes, before it is removed. The
    /// payload is `None` if it does not decode.
    ///
    /// It runs at least once for each job that is swept by a process with a hook. It runs again if
    /// the process dies, or loses its connection, between the callback and the removal. It runs on
    /// the task that sweeps, and must not block. A panic in it is reported in
    /// [`Swept`](job_registry::Swept), and the job is removed.
    pub fn on_remove(mut self, hook: impl Fn(&Record<Option<T>>) + Send + Sync + 'static) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Connects, checks the server and the permissions, and opens the namespace, which the first
    /// process creates.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Unusable`] for a namespace or a URL of another form, a server before Redis
    /// 7.0, an eviction policy that may remove jobs, a node of a cluster, another layout of the
    /// keys, a missing permission, and a server that is not reached in time.
    ///
    /// # Panics
    ///
    /// If it is not called on a tokio runtime, or if the operating system's random generator fails.
    pub async fn connect(self) -> Result<JobRegistry<T>, Error> {
        let keys = KeyNames::new(&self.namespace)?;
        let place = Place::parse(&self.url)?;
        #[cfg(not(test))]
        let scripts = Arc::new(crate::script::Scripts::new(&self.parts));
        #[cfg(test)]
        let scripts = crate::tests::sim::scripts(&self.parts);
        let store = Store::connect(
            place,
            keys,
            scripts,
            self.patience,
            #[cfg(test)]
            self.network,
        );
        let store = store.await?;
        let state = State::new(
            store,
            self.codec,
            self.limits,
            self.payload_limit,
            self.hook,
        );
        Ok(JobRegistry {
            state: Arc::new(state),
        })
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("namespace", &self.namespace)
            .field("limits", &self.limits)
            .field("patience", &self.patience)
            .field("payload_limit", &self.payload_limit)
            .finish_non_exhaustive()
    }
}
