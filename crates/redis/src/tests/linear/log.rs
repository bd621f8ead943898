//! The log that the scripts of these tests keep in the store: every execution, and every effect in
//! the order of the effects.

use super::client::bytes;
use crate::script::Parts;
use redis::{Commands, Connection};

pub(super) type Nonce = [u8; 12];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A script has read the clock.
    Time,
    /// A change of a job, its registration included.
    Change,
    /// A job was deleted.
    Removal,
    /// A heartbeat that was later than the one before.
    Heartbeat,
    /// A resend has found its own effect.
    Met,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// The store's number of the change, or 0.
    pub(super) seq: u64,
    pub(super) nonce: Nonce,
    pub(super) id: String,
    /// The clock as the script has read it, or 0.
    pub(super) now: u64,
}

impl Entry {
    pub(super) fn is_effect(&self) -> bool {
        matches!(self.kind, Kind::Change | Kind::Removal | Kind::Heartbeat)
    }
}

const CLOCK: &str = "local NOW = ''
local function LOG(kind, seq, id)
  local name = string.gsub(KEYS[1], 'count$', 'clock:log')
  redis.call('RPUSH', name, kind, seq, ARGV[2] or '', id, NOW)
end
local function clock()
  local time = redis.call('TIME')
  local millis = time[1] * 1000 + math.floor(time[2] / 1000)
  NOW = string.format('%.0f', millis)
  if #(ARGV[2] or '') == 12 then LOG('T', '0', '') end
  return millis
end
";

/// Adds the log to scripts.
pub(super) fn logged(mut parts: Parts) -> Parts {
    let replace = |text: &mut String, from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} is not there once");
        *text = text.replace(from, to);
    };
    CLOCK.clone_into(&mut parts.clock);
    let written = "local function write(job, seq)\n";
    let log = "  LOG('E', seq, id_in(job.key))\n";
    replace(&mut parts.prelude, written, &format!("{written}{log}"));
    let deleted = "  redis.call('HSET', COUNT, unpack(counted(job.status, nil)))\n";
    let log = "  LOG('D', redis.call('HGET', COUNT, 'seq'), job.id)\n";
    replace(&mut parts.prelude, deleted, &format!("{deleted}{log}"));
    let met = "if job.o == CALL then return nil, accepted(job) end";
    if parts.prelude.contains(met) {
        let log =
            "if job.o == CALL then LOG('M', '0', id_in(job.key)) return nil, accepted(job) end";
        replace(&mut parts.prelude, met, log);
    }
    for (name, text) in &mut parts.own {
        if *name == "heartbeat" {
            let set = "    redis.call('HSET', job.key, 'h', job.h)\n";
            replace(text, set, &format!("    LOG('H', '0', job.id)\n{set}"));
        }
    }
    parts
}

/// Returns the log.
pub(super) fn read(store: &mut Connection, namespace: &str) -> Vec<Entry> {
    let name = name(namespace);
    let mut words: Vec<Vec<u8>> = Vec::new();
    loop {
        let from = isize::try_from(words.len()).expect("a short log");
        let more: Vec<Vec<u8>> = store.lrange(&name, from, from + 99_999).expect("the log");
        if more.is_empty() {
            break;
        }
        words.extend(more);
    }
    let number = |word: &[u8]| {
        let word = std::str::from_utf8(word).expect("digits");
        word.parse().unwrap_or(0)
    };
    let entry = |words: &[Vec<u8>]| Entry {
        kind: match words[0][0] {
            b'T' => Kind::Time,
            b'E' => Kind::Change,
            b'D' => Kind::Removal,
            b'H' => Kind::Heartbeat,
            _ => Kind::Met,
        },
        seq: number(&words[1]),
        nonce: words[2].clone().try_into().unwrap_or_default(),
        id: String::from_utf8(words[3].clone()).expect("an id"),
        now: number(&words[4]),
    };
    words.chunks(5).map(entry).collect()
}

/// Deletes the log, which is no key of the namespace.
pub(super) fn delete(store: &mut Connection, namespace: &str) {
    let _: () = store.del(name(namespace)).expect("a deleted key");
}

fn name(namespace: &str) -> String {
    format!("jr1:{{{namespace}/0}}:clock:log")
}

pub(super) fn nonce(hex: &str) -> Nonce {
    bytes(hex).try_into().expect("a nonce")
}
