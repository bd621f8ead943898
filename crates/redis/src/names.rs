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
    shared: [String; 4],
}

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
        let shared = ["count", "run", "due", "all"].map(|name| format!("{prefix}{name}"));
        Ok(Self { prefix, shared })
    }

    /// Returns the keys that every script gets, and three for each job.
    pub(crate) fn of_jobs(&self, ids: &[JobId]) -> Vec<String> {
        let mut keys = self.shared.to_vec();
        keys.extend(ids.iter().flat_map(|id| self.of_job(*id)));
        keys
    }

    /// Returns the keys that every script gets, and the hash of each job.
    pub(crate) fn of_hashes(&self, ids: &[JobId]) -> Vec<String> {
        let mut keys = self.shared.to_vec();
        keys.extend(ids.iter().map(|id| format!("{}j:{id}", self.prefix)));
        keys
    }

    /// Returns the keys of one job.
    pub(crate) fn of_job(&self, id: JobId) -> [String; 3] {
        ["j", "p", "f"].map(|kind| format!("{}{kind}:{id}", self.prefix))
    }

    /// Returns the key for a client's key with this digest.
    pub(crate) fn of_client(&self, digest: &str) -> String {
        format!("{}k:{digest}", self.prefix)
    }

    pub(crate) fn meta(&self) -> String {
        format!("{}meta", self.prefix)
    }

    /// Returns the channel of a job's hints.
    pub(crate) fn channel(&self, id: JobId) -> String {
        format!("{}c:{id}", self.prefix)
    }

    /// Returns the job of a channel.
    pub(crate) fn job_of_channel(&self, channel: &str) -> Option<JobId> {
        let id = channel.strip_prefix(&self.prefix)?.strip_prefix("c:")?;
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
        assert_eq!(keys.job_of_channel("jr1:{other/0}:c:0"), None);
    }
}
