//! [`Link`]: one connection to the server, after the checks of a namespace.

use crate::error::Error;
use crate::id::Secret;
use crate::names::{ACL_RULES, KeyNames};
use crate::place::Place;
use crate::reply::Reply;
use crate::script::{Script, Scripts};
use job_registry::JobId;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisError, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Layout of the keys. Another layout has another prefix.
const LAYOUT: &str = "1";

/// How long a change that the server has acknowledged survives.
///
/// No setting makes an acknowledged change survive a failover: replication is asynchronous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// `appendfsync always`: an acknowledged change survives when the server is killed.
    Always,
    /// `appendfsync everysec`: the changes of about the last second may be lost.
    EverySecond,
    /// No append-only file, or one that is never flushed: all since the last snapshot may be lost.
    None,
    /// The server does not say.
    Unknown,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum NoLink {
    /// Another try may succeed.
    Transient(String),
    /// The server or the namespace cannot be used.
    Fatal(Error),
}

/// Why a command has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The answer is lost. The command may be executed, also later.
    Lost,
    /// The server did not execute the command, and may do so soon, or after a reconnect.
    Later { reconnect: bool },
    /// The server did not execute the command.
    Rejected(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.code() {
            Some("LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN") => {
                Self::Later { reconnect: false }
            }
            // The node has been demoted: another connection may lead to its successor.
            Some("READONLY" | "MASTERDOWN") => Self::Later { reconnect: true },
            Some(code) => {
                let detail = error.detail().unwrap_or_default();
                Self::Rejected(format!("{code} {detail}"))
            }
            None => Self::Lost,
        }
    }
}

impl From<Failure> for NoLink {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost => Self::Transient("the connection broke".to_owned()),
            Failure::Later { .. } => Self::Transient("the server is not ready".to_owned()),
            Failure::Rejected(message) if message.starts_with("NOPERM") => {
                let message = format!("{message}; the user needs the ACL rules {ACL_RULES}");
                Self::Fatal(Error::Unusable(message))
            }
            Failure::Rejected(message) => Self::Fatal(Error::Rejected(message)),
        }
    }
}

/// A connection to a server, or to a store that a test simulates.
enum Connection {
    Server(MultiplexedConnection),
    #[cfg(test)]
    Simulated(crate::tests::sim::network::Connection),
}

pub(crate) struct Link {
    connection: Connection,
    /// Largest number of changes that this connection has shown. A command that is sent later gets
    /// a larger one.
    witness: AtomicU64,
    broken: AtomicBool,
    pub(crate) secret: Secret,
    /// Name of the store, which ends when the store is emptied.
    pub(crate) store: String,
    pub(crate) durability: Durability,
    pub(crate) origin: Origin,
}

/// The server process and its name for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) run_id: String,
    pub(crate) client_id: u64,
}

impl Link {
    /// Connects and checks. `previous` is the last connection: commands that were sent by it and
    /// not answered are not executed any more once this returns.
    pub(crate) async fn connect(
        place: &Place,
        keys: &KeyNames,
        scripts: &Scripts,
        previous: Option<&Origin>,
        timeout: Duration,
    ) -> Result<Self, NoLink> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let client = place.primary(timeout).await.map_err(NoLink::Transient)?;
        let connected = client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        let connection = connected.map_err(|error| {
            let is_lasting = match error.code() {
                Some(code) => !matches!(code, "LOADING" | "BUSY" | "MASTERDOWN"),
                None => matches!(
                    error.kind(),
                    ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig
                ),
            };
            if is_lasting {
                return NoLink::Fatal(Error::Unusable(format!("the server refused: {error}")));
            }
            NoLink::Transient(error.to_string())
        })?;
        let mut link = Self::new(Connection::Server(connection));
        let facts = link.facts().await?;
        check_server(&facts).map_err(|message| NoLink::Fatal(Error::Unusable(message)))?;
        // It may accept writes, which its primary never gets.
        if facts.get("role").is_some_and(|role| role == "slave") {
            return Err(NoLink::Transient("the server is a replica".to_owned()));
        }
        link.durability = link.durability(&facts).await?;
        let client_id = link.command(redis::cmd("CLIENT").arg("ID")).await?;
        let Value::Int(client_id) = client_id else {
            return Err(NoLink::Fatal(Error::strange(client_id)));
        };
        link.origin = Origin {
            run_id: fact(&facts, "run_id").to_owned(),
            client_id: client_id.unsigned_abs(),
        };
        link.open(keys, scripts).await?;
        link.kill(previous).await?;
        Ok(link)
    }

    /// Connects to a store that a test simulates.
    #[cfg(test)]
    pub(crate) async fn simulate(
        network: &std::sync::Arc<crate::tests::sim::network::Network>,
        keys: &KeyNames,
        scripts: &Scripts,
        previous: Option<&Origin>,
    ) -> Result<Self, NoLink> {
        let (connection, origin) = network.connect();
        let mut link = Self::new(Connection::Simulated(connection));
        link.origin = origin;
        link.open(keys, scripts).await?;
        link.kill(previous).await?;
        Ok(link)
    }

    /// Returns a connection that has not been checked.
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            witness: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            secret: Secret::random(),
            store: String::new(),
            durability: Durability::Unknown,
            origin: Origin {
                run_id: String::new(),
                client_id: 0,
            },
        }
    }

    /// Closes the last connection at the server. What was sent by it is not executed any more.
    async fn kill(&self, previous: Option<&Origin>) -> Result<(), Failure> {
        if let Some(previous) = previous.filter(|previous| previous.run_id == self.origin.run_id) {
            let id = previous.client_id.to_string();
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("ID").arg(id);
            self.command(&kill).await?;
        }
        Ok(())
    }

    /// Returns the fields of `INFO`.
    async fn facts(&self) -> Result<HashMap<String, String>, Failure> {
        let mut facts = HashMap::new();
        for section in ["server", "memory", "persistence", "replication"] {
            if let Value::BulkString(text) = self.command(redis::cmd("INFO").arg(section)).await? {
                let text = String::from_utf8_lossy(&text).into_owned();
                let fields = text.lines().filter_map(|line| line.trim().split_once(':'));
                facts.extend(fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
        }
        Ok(facts)
    }

    /// Asks how the server flushes. Services that are hosted often refuse to say.
    async fn durability(&self, facts: &HashMap<String, String>) -> Result<Durability, Failure> {
        if facts
            .get("aof_enabled")
            .is_some_and(|enabled| enabled == "0")
        {
            return Ok(Durability::None);
        }
        let policy = self
            .command(redis::cmd("CONFIG").arg("GET").arg("appendfsync"))
            .await;
        let policy = match policy {
            Ok(policy) => format!("{policy:?}"),
            Err(Failure::Rejected(_)) => return Ok(Durability::Unknown),
            Err(other) => return Err(other),
        };
        let known = [
            ("'always'", Durability::Always),
            ("'everysec'", Durability::EverySecond),
            ("'no'", Durability::None),
        ];
        let policy = policy.replace('"', "'");
        let found = known.iter().find(|(name, _)| policy.contains(name));
        Ok(found.map_or(Durability::Unknown, |(_, durability)| *durability))
    }

    /// Checks the permissions and reads the namespace's secret.
    async fn open(&mut self, keys: &KeyNames, scripts: &Scripts) -> Result<(), NoLink> {
        let mut names = keys.of_all(&["j", "p", "f"], &[JobId::from_bits(0)]);
        names.push(keys.meta());
        let new = || Secret::random().to_text().into_bytes();
        let arguments = [new(), LAYOUT.into(), new()];
        let value = self
            .evaluate(scripts, Script::Open, &names, &[], &arguments)
            .await?;
        let mut reply = Reply::new(value).map_err(NoLink::Fatal)?;
        let unusable = |message: String| NoLink::Fatal(Error::Unusable(message));
        let code = reply.word().map_err(NoLink::Fatal)?;
        if code != "ok" {
            let mut denied = Vec::new();
            while !reply.is_empty() {
                denied.push(reply.word().map_err(NoLink::Fatal)?);
            }
            let denied = denied.join(", ");
            let message =
                format!("the user may not run {denied}; it needs the ACL rules {ACL_RULES}");
            return Err(unusable(message));
        }
        self.witness = AtomicU64::new(reply.required().map_err(NoLink::Fatal)?);
        let secret = reply.word().map_err(NoLink::Fatal)?;
        let layout = reply.text().map_err(NoLink::Fatal)?.unwrap_or_default();
        if layout != LAYOUT {
            let message = format!("the namespace has the layout {layout:?}, and not {LAYOUT:?}");
            return Err(unusable(message));
        }
        self.store = reply.word().map_err(NoLink::Fatal)?;
        let secret = Secret::parse(&secret);
        self.secret = secret.ok_or_else(|| unusable("the namespace has no secret".to_owned()))?;
        Ok(())
    }

    /// Calls a script with the arguments of `head` and then the others. Loads it first if the
    /// server does not have it.
    pub(crate) async fn evaluate(
        &self,
        scripts: &Scripts,
        script: Script,
        keys: &[String],
        head: &[&[u8]],
        arguments: &[Vec<u8>],
    ) -> Result<Value, Failure> {
        let assembled = scripts.get(script);
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(&assembled.hash)
            .arg(keys.len())
            .arg(keys)
            .arg(head)
            .arg(arguments);
        match self.command(&command).await {
            // The script was not executed: this call is not a resend.
            Err(Failure::Rejected(message)) if message.starts_with("NOSCRIPT") => {
                let load = self
                    .command(redis::cmd("SCRIPT").arg("LOAD").arg(&assembled.text))
                    .await;
                match load {
                    Err(Failure::Lost) => return Err(Failure::Later { reconnect: true }),
                    load => load?,
                };
                // Flushed again in between: the caller tries again.
                let again = self.command(&command).await;
                again.map_err(|failure| match failure {
                    Failure::Rejected(message) if message.starts_with("NOSCRIPT") => {
                        Failure::Later { reconnect: false }
                    }
                    other => other,
                })
            }
            other => other,
        }
    }

    /// Returns all keys that match a pattern.
    pub(crate) async fn scan(&self, pattern: &str) -> Result<Vec<String>, Failure> {
        let (mut found, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(1000);
            let reply = self.command(&scan).await?;
            let (next, keys): (String, Vec<String>) = redis::from_redis_value(reply)
                .map_err(|error| Failure::Rejected(error.to_string()))?;
            found.extend(keys);
            if next == "0" {
                return Ok(found);
            }
            cursor = next;
        }
    }

    async fn command(&self, command: &Cmd) -> Result<Value, Failure> {
        let mut connection = match &self.connection {
            Connection::Server(connection) => connection.clone(),
            #[cfg(test)]
            Connection::Simulated(connection) => return connection.send(command).await,
        };
        let value = connection.send_packed_command(command).await?;
        Ok(value.extract_error()?)
    }

    pub(crate) fn witness(&self) -> u64 {
        // ORDERING: Relaxed. A lower bound.
        self.witness.load(Ordering::Relaxed)
    }

    pub(crate) fn see(&self, changes: u64) {
        // ORDERING: Relaxed. A lower bound.
        self.witness.fetch_max(changes, Ordering::Relaxed);
    }

    pub(crate) fn give_up(&self) {
        // ORDERING: Relaxed. A later call that misses it fails on the connection.
        self.broken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_broken(&self) -> bool {
        // ORDERING: Relaxed. As in `give_up`.
        self.broken.load(Ordering::Relaxed)
    }
}

/// Returns a field of `INFO`, or an empty text.
fn fact<'a>(facts: &'a HashMap<String, String>, name: &str) -> &'a str {
    facts.get(name).map_or("", String::as_str)
}

/// Returns the reason why a server that says this of itself cannot be used.
fn check_server(facts: &HashMap<String, String>) -> Result<(), String> {
    // Valkey has the version of Redis from which it comes in this field.
    let version = fact(facts, "redis_version");
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 7) {
        return Err(format!(
            "the server has the version {version:?}, and 7.0 is needed"
        ));
    }
    // Without it, a restart and another server are not noticed.
    if fact(facts, "run_id").is_empty() {
        return Err("the server does not tell its run_id by INFO".to_owned());
    }
    let policy = fact(facts, "maxmemory_policy");
    if policy.starts_with("allkeys") {
        return Err(format!(
            "the server's maxmemory-policy is {policy}, by which jobs are lost: use noeviction"
        ));
    }
    let mode = fact(facts, "redis_mode");
    if mode == "cluster" {
        return Err("the server is a node of a cluster, which is not supported".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_server;
    use std::collections::HashMap;

    fn facts(version: &str, policy: &str, mode: &str) -> HashMap<String, String> {
        let facts = [
            ("redis_version", version),
            ("maxmemory_policy", policy),
            ("redis_mode", mode),
            ("run_id", "1f"),
        ];
        facts
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn old_evicting_and_clustered_servers_are_refused() {
        let check = |version, policy, mode| check_server(&facts(version, policy, mode));
        assert_eq!(check("7.0.15", "noeviction", "standalone"), Ok(()));
        assert_eq!(check("10.1.0", "volatile-lru", "standalone"), Ok(()));
        for (version, policy, mode, word) in [
            ("6.2.14", "noeviction", "standalone", "6.2.14"),
            ("", "noeviction", "standalone", "version"),
            ("7.0.15", "allkeys-lru", "standalone", "allkeys-lru"),
            ("7.0.15", "noeviction", "cluster", "cluster"),
        ] {
            assert!(check(version, policy, mode).unwrap_err().contains(word));
        }
        let mut nameless = facts("7.0.15", "noeviction", "standalone");
        nameless.remove("run_id");
        assert!(check_server(&nameless).unwrap_err().contains("run_id"));
    }
}
