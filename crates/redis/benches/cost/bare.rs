//! [`Bare`]: the bare script beside each step.
//!
//! A bare script gets the keys that the step reads or writes, and no others. It reads the job as
//! the step does, writes the same fields with values of the same lengths, moves the job in the same
//! sorted sets, counts it, and publishes a hint. It decides nothing: no check of a status, a fence,
//! a resend or a type. Where the step stores a time, the script reads the server's clock. The
//! client makes the names of a job's keys once, and not for each call.

use crate::Result;
use crate::steps::Step;
use job_registry::JobId;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Cmd, Script};
use std::collections::HashMap;

/// Returns the server's time in milliseconds as a text.
const CLOCK: &str = "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = string.format('%.0f', now)
";

/// The scripts' texts without their first line. A script with `stamp` reads the clock.
///
/// KEYS: those of [`keys`]. ARGV: 1 channel, 2 id, 3 nonce of the call, 4 `v`, and what the step
/// stores.
const TEXTS: &[(Step, &str)] = &[
    (
        Step::Register,
        "local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[1], 'n', ARGV[5], 'h', stamp, 'a', stamp, 'r', '0', 'u', '0', 't', ARGV[6],
  'l', ARGV[7], 'g', ARGV[8], 'v', ARGV[4], 'e', '0', 'q', seq, 'o', ARGV[3])
redis.call('HSET', KEYS[3], 'd', ARGV[9], 'c', ARGV[10])
redis.call('HINCRBY', KEYS[2], '1', 1)
redis.call('PUBLISH', ARGV[1], ARGV[4])
redis.call('ZADD', KEYS[4], seq, ARGV[2])
return { 'ok', seq, ARGV[4], stamp, '0' }",
    ),
    (
        Step::Start,
        "redis.call('HGETALL', KEYS[1])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[1], 's', stamp, 'h', stamp, 'v', ARGV[4], 'e', seq - 1, 'q', seq, 'o', ARGV[3])
redis.call('ZADD', KEYS[3], now + 30000, ARGV[2])
redis.call('HINCRBY', KEYS[2], '1', -1)
redis.call('HINCRBY', KEYS[2], '2', 1)
redis.call('PUBLISH', ARGV[1], ARGV[4])
return { 'ok', seq, ARGV[4], stamp, '0' }",
    ),
    (
        Step::Heartbeat,
        "redis.call('HGETALL', KEYS[1])
redis.call('HSET', KEYS[1], 'h', stamp)
redis.call('ZADD', KEYS[2], now + 30000, ARGV[2])
return { 'ok', '', 'ok', '' }",
    ),
    (
        Step::Advance,
        "local job = redis.call('HGETALL', KEYS[1])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[1], 'v', ARGV[4], 'e', seq - 1, 'q', seq, 'o', ARGV[3])
redis.call('PUBLISH', ARGV[1], ARGV[4])
return { 'ok', seq, ARGV[4], job[4], '0' }",
    ),
    (
        Step::Note,
        "local job = redis.call('HGETALL', KEYS[1])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[1], 'r', '1', 'e', seq - 1, 'q', seq, 'o', ARGV[3])
redis.call('HSET', KEYS[3], 'n', ARGV[5])
redis.call('PUBLISH', ARGV[1], ARGV[4])
return { 'ok', seq, ARGV[4], job[4], '1' }",
    ),
    (
        Step::Update,
        "local job = redis.call('HGETALL', KEYS[1])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[1], 'u', '1', 'r', '2', 'e', seq - 1, 'q', seq, 'o', ARGV[3])
redis.call('HSET', KEYS[3], 'd', ARGV[5], 'c', ARGV[6])
redis.call('PUBLISH', ARGV[1], ARGV[4])
return { 'ok', seq, ARGV[4], job[4], '2' }",
    ),
    (
        Step::Snapshot,
        "return redis.call('HMGET', KEYS[1], 'v', 'h', 'r')",
    ),
    (
        Step::Get,
        "local job = redis.call('HMGET', KEYS[1], 'v', 'h', 'r', 'a', 's', 'z', 'd', 'u')
return { job, redis.call('HMGET', KEYS[2], 'n', 'r', 'd', 'c') }",
    ),
    (
        Step::RequestStop,
        "local job = redis.call('HGETALL', KEYS[1])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[1], 'w', stamp, 'v', ARGV[4], 'e', seq - 1, 'q', seq, 'o', ARGV[3])
redis.call('HSET', KEYS[3], 'r', ARGV[5])
redis.call('ZADD', KEYS[4], now + 30000, ARGV[2])
redis.call('HINCRBY', KEYS[2], '2', -1)
redis.call('HINCRBY', KEYS[2], '3', 1)
redis.call('PUBLISH', ARGV[1], ARGV[4])
return { 'ok', seq, ARGV[4], job[4], '2' }",
    ),
    (
        Step::Cancel,
        "local job = redis.call('HGETALL', KEYS[1])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[1], 'z', stamp, 'd', stamp, 'v', ARGV[4], 'e', seq - 1, 'q', seq, 'o', ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[4], now + 3600000, ARGV[2])
redis.call('HINCRBY', KEYS[2], '3', -1)
redis.call('HINCRBY', KEYS[2], '6', 1)
redis.call('PUBLISH', ARGV[1], ARGV[4])
return { 'ok', seq, ARGV[4], job[4], '2' }",
    ),
    (
        Step::Retry,
        "redis.call('HGETALL', KEYS[1])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[1], 'n', ARGV[5], 'h', stamp, 'v', ARGV[4], 'e', seq - 1, 'q', seq, 'o', ARGV[3])
redis.call('HDEL', KEYS[1], 's', 'z', 'd', 'w')
redis.call('HDEL', KEYS[3], 'n', 'r')
redis.call('ZREM', KEYS[4], ARGV[2])
redis.call('HINCRBY', KEYS[2], '6', -1)
redis.call('HINCRBY', KEYS[2], '1', 1)
redis.call('PUBLISH', ARGV[1], ARGV[4])
return { 'ok', seq, ARGV[4], stamp, '2' }",
    ),
    (
        Step::Complete,
        "local job = redis.call('HGETALL', KEYS[1])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[1], 'z', stamp, 'd', stamp, 'v', ARGV[4], 'e', seq - 1, 'q', seq, 'o', ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[4], now + 3600000, ARGV[2])
redis.call('HINCRBY', KEYS[2], '2', -1)
redis.call('HINCRBY', KEYS[2], '4', 1)
redis.call('PUBLISH', ARGV[1], ARGV[4])
return { 'ok', seq, ARGV[4], job[4], '2' }",
    ),
    (
        Step::Remove,
        "local job = redis.call('HGETALL', KEYS[1])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[2])
redis.call('ZREM', KEYS[5], ARGV[2])
redis.call('HINCRBY', KEYS[2], '4', -1)
redis.call('HSET', KEYS[6], 'o', ARGV[3], 'v', ARGV[4], 'h', job[4], 'r', '2')
redis.call('EXPIRE', KEYS[6], 60)
redis.call('PUBLISH', ARGV[1], ARGV[4])
return { 'ok', seq, ARGV[4], job[4], '2' }",
    ),
];

/// Returns the letters of the keys that a step's bare script gets: of the job, or of the namespace.
fn keys(step: Step) -> &'static [&'static str] {
    match step {
        Step::Register => &["j", "count", "p", "all"],
        Step::Start => &["j", "count", "run"],
        Step::Heartbeat => &["j", "run"],
        Step::Advance => &["j", "count"],
        Step::Note | Step::Update => &["j", "count", "p"],
        Step::Snapshot => &["j"],
        Step::Get => &["j", "p"],
        Step::RequestStop | Step::Retry => &["j", "count", "p", "due"],
        Step::Cancel | Step::Complete => &["j", "count", "run", "due"],
        Step::Remove => &["j", "count", "p", "all", "due", "f"],
    }
}

/// A connection that calls the bare scripts.
#[derive(Clone, Debug)]
pub(crate) struct Bare {
    connection: MultiplexedConnection,
    prefix: String,
    hashes: HashMap<Step, String>,
    nonce: [u8; 12],
}

/// The names of a job.
#[derive(Debug)]
pub(crate) struct Names {
    id: String,
    channel: String,
    keys: HashMap<&'static str, String>,
    attempt: u64,
}

impl Bare {
    pub(crate) async fn connect(url: &str, namespace: &str) -> Result<Self> {
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut hashes = HashMap::new();
        for (step, text) in TEXTS {
            let clock = if text.contains("stamp") { CLOCK } else { "" };
            let text = format!("#!lua flags=allow-oom\n{clock}{text}");
            let load = redis::cmd("SCRIPT").arg("LOAD").arg(&text).to_owned();
            let hash: String = load.query_async(&mut connection).await?;
            assert_eq!(hash, Script::new(&text).get_hash());
            hashes.insert(*step, hash);
        }
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).map_err(|error| error.to_string())?;
        Ok(Self {
            connection,
            prefix: format!("jr1:{{{namespace}/0}}:"),
            hashes,
            nonce,
        })
    }

    /// Returns the names of a new job.
    pub(crate) fn names(&self) -> Result<Names> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| error.to_string())?;
        let id = JobId::from_bits(u128::from_be_bytes(bits)).to_string();
        let shared = ["count", "run", "due", "all"].map(|name| (name, name.to_owned()));
        let own = ["j", "p", "f"].map(|kind| (kind, format!("{kind}:{id}")));
        let keys = shared.into_iter().chain(own);
        Ok(Names {
            channel: format!("{}c:{id}", self.prefix),
            keys: keys
                .map(|(key, name)| (key, format!("{}{name}", self.prefix)))
                .collect(),
            id,
            attempt: 1,
        })
    }

    pub(crate) async fn call(&self, step: Step, job: &mut Names, payload: &str) -> Result<()> {
        let status = match step {
            Step::Register | Step::Retry => 1,
            Step::RequestStop => 3,
            Step::Complete | Step::Remove => 4,
            Step::Cancel => 6,
            _ => 2,
        };
        if step == Step::Retry {
            job.attempt += 1;
        }
        let version = ((job.attempt << 23 | status << 20) + 500_000).to_string();
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hashes[&step]).arg(keys(step).len());
        for key in keys(step) {
            command.arg(&job.keys[key]);
        }
        let stored: &[&[u8]] = match step {
            Step::Register => &[
                &self.nonce,
                b"3600000",
                b"30000",
                b"30000",
                payload.as_bytes(),
                b"json",
            ],
            Step::Note => &[NOTE.as_bytes()],
            Step::Update => &[payload.as_bytes(), b"json"],
            Step::RequestStop => &[REASON.as_bytes()],
            Step::Retry => &[&self.nonce],
            _ => &[],
        };
        if !matches!(step, Step::Snapshot | Step::Get) {
            command.arg(&job.channel).arg(&job.id).arg(&self.nonce);
            command.arg(&version).arg(stored);
        }
        if step == Step::Update {
            // An update reads the payload first.
            Box::pin(self.call(Step::Get, job, payload)).await?;
        }
        self.send(&command).await
    }

    async fn send(&self, command: &Cmd) -> Result<()> {
        let reply = self.connection.clone().send_packed_command(command).await?;
        reply.extract_error()?;
        Ok(())
    }

    /// Returns the lengths of everything that is stored for a job, and the sizes of what the jobs
    /// share.
    pub(crate) async fn shape(&self, id: &str) -> Result<Vec<String>> {
        let mut connection = self.connection.clone();
        let mut shape = Vec::new();
        for kind in ["j", "p", "f"] {
            let key = format!("{}{kind}:{id}", self.prefix);
            let fields: HashMap<String, Vec<u8>> = connection.hgetall(key).await?;
            let fields = fields.iter();
            shape.extend(fields.map(|(field, value)| format!("{kind}.{field}: {}", value.len())));
        }
        for set in ["run", "due", "all"] {
            let size: usize = connection.zcard(format!("{}{set}", self.prefix)).await?;
            shape.push(format!("{set}: {size}"));
        }
        let mut counts: HashMap<String, String> =
            connection.hgetall(format!("{}count", self.prefix)).await?;
        // The name of the store is written once.
        counts.remove("store");
        let counts = counts.iter();
        shape.extend(counts.map(|(field, count)| format!("{field}: {count}")));
        shape.sort();
        Ok(shape)
    }
}

impl Names {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

pub(crate) const NOTE: &str = "slide 6 of 12";
pub(crate) const REASON: &str = "by the client";
