//! The scripts that a call or a task has sent, and what their replies say.

use super::call::{ABANDONED, Lease, PANICKED, Verb, text_number};
use super::client::{bytes, failed};
use super::log::{Nonce, nonce};
use crate::Error;
use crate::store::refusal;

/// A script that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) time: u64,
    pub(super) nonce: Nonce,
    script: String,
    pub(super) ids: Vec<String>,
    pub(super) fence: Option<(u32, Nonce)>,
    arguments: Vec<Vec<u8>>,
    /// The time of the reply, and its words.
    pub(super) reply: Option<(u64, Vec<String>)>,
}

impl Sent {
    pub(super) fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let attempt = words[5].parse().ok();
        Self {
            time: words[1].parse().expect("a time"),
            nonce: nonce(words[2]),
            script: words[3].to_owned(),
            ids: words[4].split(',').map(str::to_owned).collect(),
            fence: attempt.map(|attempt| (attempt, nonce(words[6]))),
            arguments: words[7].split(',').map(bytes).collect(),
            reply: None,
        }
    }

    /// Adds the reply that a line has to the script that it is for, which is one of the latest.
    pub(super) fn add_reply<'a>(line: &str, sent: impl Iterator<Item = &'a mut Self>) {
        let words: Vec<&str> = line.split(' ').collect();
        let (time, of) = (words[1].parse().expect("a time"), nonce(words[2]));
        let mut sent = sent.filter(|sent| sent.nonce == of);
        let sent = sent.next().expect("a script for the reply");
        sent.reply = Some((time, words[3].split(',').map(str::to_owned).collect()));
    }

    pub(super) fn argument(&self, at: usize) -> &[u8] {
        self.arguments.get(at).map_or(&[], Vec::as_slice)
    }

    fn code(&self) -> Option<&str> {
        let (_, words) = self.reply.as_ref()?;
        words.first().map(String::as_str)
    }

    /// Whether the job was leased.
    pub(super) fn has_met_a_lease(&self) -> bool {
        self.code() == Some("leased")
    }

    /// Whether the script was one of an update that has to be tried again.
    pub(super) fn is_tried_again(&self) -> bool {
        self.has_met_a_lease() || self.code() == Some("conflict")
    }

    pub(super) fn is_start(&self) -> bool {
        self.script == "Start"
    }

    pub(super) fn is_ending(&self) -> bool {
        self.script == "End"
    }

    /// Returns the text of the answer to a step, by the reply.
    pub(super) fn answer(&self) -> Option<String> {
        let (_, words) = self.reply.as_ref()?;
        let status = words.get(1).and_then(|word| word.parse().ok());
        match words[0].as_str() {
            "ok" => Some("Done".to_owned()),
            "unknown" => None,
            "conflict" => Some("Conflict".to_owned()),
            code => {
                let error = refusal(code, status).map_or_else(|error| error, Error::Refused);
                Some(failed(&error))
            }
        }
    }

    /// Returns the call that a task makes by this script, and the lease that it gives up.
    pub(super) fn of_task(&self) -> Option<(Verb, Option<Lease>)> {
        let [first, is_held] = [self.argument(0), self.argument(2)];
        let is_failure = first == b"5" && !self.argument(1).is_empty();
        let verb = match self.script.as_str() {
            "Start" => Verb::Start,
            "Heartbeat" => Verb::Heartbeat,
            "Update" if first.is_empty() => Verb::Note(text_number(self.argument(4))?),
            "End" if first == b"4" => Verb::Complete,
            "End" if is_failure && self.argument(3) == b"1" => {
                Verb::FailOrCancel(text_number(self.argument(2))?)
            }
            "End" if is_failure && self.argument(2) == PANICKED.as_bytes() => Verb::FailForPanic,
            "End" if is_failure && self.argument(2) == ABANDONED.as_bytes() => Verb::Abandon,
            "Lease" if self.argument(1).is_empty() && is_held == b"1" => {
                let token = first.try_into().ok()?;
                let payload = None;
                return Some((Verb::Release, Some(Lease { token, payload })));
            }
            _ => return None,
        };
        Some((verb, None))
    }
}
