//! [`KeyNames`]: the names of a namespace's keys.

use crate::error::Error;
use job_registry::JobId;

/// Rules of the server's access control that a user needs.
pub(crate) const ACL_RULES: &str = "~jr1:* &jr1:* +@read +@write +@scripting +@pubsub +info \
    +config|get +client|id +client|kill +time";

/// The names of a namespace's keys. They all have one hash slot.
#[derive(Clone, Debug)]
pub(crate) struct KeyNames {
    prefix: String,
}

/// The keys of a script of one job, in the order of the call, each with its name in the scripts.
pub(crate) const OF_ONE: [(&str, &str); 7] = [
    ("COUNT", "count"),
    ("JOB", "j"),
    ("TEXTS", "p"),
    ("RUN", "run"),
    ("DUE", "due"),
    ("FINAL", "f"),
    ("ALL", "all"),
];

/// The keys that other scripts get first, in the same form.
pub(crate) const SHARED: [(&str, &str); 4] = [
    ("COUNT", "count"),
    ("RUN", "run"),
    ("DUE", "due"),
    ("ALL", "all"),
];

impl KeyNames {
    /// Returns the names for a namespace of 1 to 64 letters, digits, hyphens and underscores.
    /// Braces would change the hash slot.
    pub(crate) fn new(namespace: &str) -> Result<Self, Error> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=64).contains(&namespace.len()) || !namespace.bytes().all(is_allowed) {
            let message = format!(
                "the namespace {namespace:?} is not 1 to 64 letters, digits, hyphens and underscores"
            );
            return Err(Error::Unusable(message));
        }
        // The number is that of the shard. There is one.
        let prefix = format!("jr1:{{{namespace}/0}}:");
        Ok(Self { prefix })
    }

    /// Returns the first keys of [`OF_ONE`].
    pub(crate) fn of_one(&self, id: JobId, number: usize) -> Vec<String> {
        let id = id.to_string();
        let names = OF_ONE.iter().take(number);
        let key = |(_, name): &(&str, &str)| match *name {
            "j" | "p" | "f" => self.named(name, &id),
            name => self.shared(name),
        };
        names.map(key).collect()
    }

    /// Returns the keys that the jobs share, and those of these kinds for each job.
    pub(crate) fn of_all(&self, kinds: &[&str], ids: &[JobId]) -> Vec<String> {
        let mut keys = SHARED.map(|(_, name)| self.shared(name)).to_vec();
        keys.extend(self.of_jobs(kinds, ids));
        keys
    }

    /// Returns the keys of these kinds for each job.
    pub(crate) fn of_jobs(&self, kinds: &[&str], ids: &[JobId]) -> Vec<String> {
        let mut keys = Vec::with_capacity(ids.len() * kinds.len());
        for id in ids {
            let id = id.to_string();
            keys.extend(kinds.iter().map(|kind| self.named(kind, &id)));
        }
        keys
    }

    /// Returns a key of a job: its hash `j`, its texts `p`, or its final state `f`.
    pub(crate) fn of_job(&self, kind: &str, id: JobId) -> String {
        self.named(kind, &id.to_string())
    }

    fn named(&self, kind: &str, id: &str) -> String {
        [&self.prefix, kind, ":", id].concat()
    }

    /// Returns a key that the jobs share.
    fn shared(&self, name: &str) -> String {
        [&self.prefix, name].concat()
    }

    /// Returns the key for a client's key with this digest.
    pub(crate) fn of_client(&self, digest: &str) -> String {
        format!("{}k:{digest}", self.prefix)
    }

    pub(crate) fn meta(&self) -> String {
        format!("{}meta", self.prefix)
    }

    /// Returns the channel of a job's hints, which has the name of its hash.
    pub(crate) fn channel(&self, id: JobId) -> String {
        self.of_job("j", id)
    }

    /// Returns the job of a channel.
    pub(crate) fn job_of_channel(&self, channel: &str) -> Option<JobId> {
        let id = channel.strip_prefix(&self.prefix)?.strip_prefix("j:")?;
        id.parse().ok()
    }

    /// Returns a pattern of all keys.
    pub(crate) fn pattern(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// Returns the kind of a key, and its job if it is one of a job. Returns `None` for a key of no
    /// known kind.
    pub(crate) fn kind<'a>(&self, key: &'a str) -> Option<(&'a str, Option<JobId>)> {
        let name = key.strip_prefix(&self.prefix)?;
        match name.split_once(':') {
            Some((kind @ "k", _)) => Some((kind, None)),
            Some((kind @ ("j" | "p" | "f"), id)) => Some((kind, Some(id.parse().ok()?))),
            Some(_) => None,
            None => ["count", "run", "due", "all", "meta"]
                .contains(&name)
                .then_some((name, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenarios 56 and 78.
    #[test]
    fn names_that_would_change_the_hash_slot_are_refused() {
        for name in ["", "a b", "{a}", "a/b", "ä", "a:b", "a*", &"a".repeat(65)] {
            assert_eq!(
                KeyNames::new(name).unwrap_err().name(),
                "unusable",
                "{name:?}"
            );
        }
        let keys = KeyNames::new(&"aZ9_-".repeat(12)).unwrap();
        let id = JobId::from_bits(62);
        assert_eq!(keys.job_of_channel(&keys.channel(id)), Some(id));
        assert_eq!(keys.job_of_channel("jr1:{other/0}:j:0"), None);
    }
}
