//! The calls of the histories, as words of a line.

use super::log::Nonce;
use crate::tests::api::Progress;
use crate::tests::spec::{Call, Who};
use std::fmt;
use std::time::Duration;

/// Texts of notes and reasons, by number.
const TEXTS: [&str; 4] = ["", "a", "ä b", "the user left"];
/// Message of the panic of a work, and the reason of the failure that follows.
pub(super) const PANIC: &str = "boom";
pub(super) const PANICKED: &str = "panicked: boom";
pub(super) const ABANDONED: &str = "abandoned";

/// The lease of a call through a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) token: Nonce,
    /// The payload that the call stores.
    pub(super) payload: Option<u64>,
}

/// How a work returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// An error with a text.
    Error(u8),
    Panic,
}

impl Outcome {
    /// Returns the ending that the work's task makes.
    pub(super) fn ending(self) -> Verb {
        match self {
            Self::Done => Verb::Complete,
            Self::Error(why) => Verb::FailOrCancel(why),
            Self::Panic => Verb::FailForPanic,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Done => 100,
            Self::Error(why) => why,
            Self::Panic => 101,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            100 => Self::Done,
            101 => Self::Panic,
            why => Self::Error(why),
        }
    }
}

/// A call on a job, without its subject. Numbers of texts are those of [`TEXTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// With a payload, and a deadline in milliseconds.
    Register(u64, Option<u64>),
    /// For the key of this number, with a payload, and a fingerprint; 0 is none.
    RegisterKey(u64, u64, u8),
    Start,
    Advance(u32),
    Report(u32, u8),
    Note(u8),
    Update(u8),
    Heartbeat,
    Complete,
    Fail(u8),
    Cancel,
    CancelBecause(u8),
    RequestStop(u8),
    /// Takes the lease for a time in milliseconds, once.
    TryLock(u64),
    /// Takes the lease, and tries again while another caller has it.
    Lock(u64),
    Save,
    /// For a time in milliseconds.
    Renew(u64),
    Release,
    /// Works on the job: starts it, replaces its note, and ends it as the work returns.
    Run(Outcome, u8),
    /// Begins a task that does the same.
    Spawn(Outcome, u8),
    Retry,
    Remove,
    /// In milliseconds; `None` is never.
    RemoveAfter(Option<u64>),
    Snapshot,
    Details,
    Get,
    FailStalled,
    Sweep,
    Stalled,
    /// The part of a `fail_stalled` that concerns one job.
    Verdict,
    /// The part of a sweep that concerns one job, and the time at which the sweep began.
    Collect(u64),
    /// The job of a list that `stalled` returned.
    Listed,
    /// A task fails the job, because the owner was dropped.
    Abandon,
    /// The failure of a work, which cancels the job if a stop was requested.
    FailOrCancel(u8),
    FailForPanic,
    /// An update found the job leased, or its payload changed.
    Tried,
    /// A guard reads the payload once it has the lease.
    Payload,
}

impl Verb {
    /// Whether it concerns all jobs.
    pub(super) fn is_of_all(self) -> bool {
        matches!(self, Self::FailStalled | Self::Sweep | Self::Stalled)
    }

    pub(super) fn is_work(self) -> bool {
        matches!(self, Self::Run(..) | Self::Spawn(..))
    }

    /// Whether it is an ending that a guard can make.
    pub(super) fn is_ending(self) -> bool {
        let is_cancellation = matches!(self, Self::Cancel | Self::CancelBecause(_));
        is_cancellation || matches!(self, Self::Complete | Self::Fail(_))
    }

    /// Whether it sends several scripts, each of which takes effect for itself.
    pub(super) fn is_of_scripts(self) -> bool {
        self.is_work() || matches!(self, Self::TryLock(_) | Self::Lock(_))
    }

    pub(super) fn is_registration(self) -> bool {
        matches!(self, Self::Register(..) | Self::RegisterKey(..))
    }

    /// Returns the call of the specification, of the verbs that are exactly one.
    pub(super) fn call(self, who: Who) -> Option<Call> {
        let ppm = |ppm| Progress::from_ppm(ppm).expect("in range");
        Some(match self {
            Self::Start => Call::Start(who),
            Self::Advance(to) => Call::Advance(who, ppm(to)),
            Self::Report(to, note) => Call::Report(who, ppm(to), text(note)),
            Self::Note(note) => Call::Note(who, text(note)),
            Self::Update(digit) => Call::Update(who, digit),
            Self::Heartbeat => Call::Heartbeat(who),
            Self::Complete => Call::Complete(who),
            Self::Fail(why) => Call::Fail(who, text(why)),
            Self::Abandon => Call::Fail(who, ABANDONED),
            Self::FailForPanic => Call::Fail(who, PANICKED),
            Self::Cancel => Call::Cancel(who),
            Self::CancelBecause(why) => Call::CancelBecause(who, text(why)),
            Self::RequestStop(why) => Call::RequestStop(who, text(why)),
            Self::Remove => Call::Remove(who),
            Self::RemoveAfter(delay) => Call::RemoveAfter(who, millis(delay)),
            _ => return None,
        })
    }

    pub(super) fn parse(words: &str) -> Self {
        let (name, numbers) = words.split_once(' ').unwrap_or((words, ""));
        let numbers: Vec<Option<u64>> = numbers.split(' ').map(|word| word.parse().ok()).collect();
        let at = |i: usize| numbers.get(i).copied().flatten();
        let n = |i| at(i).expect("a number");
        let byte = |i| u8::try_from(n(i)).expect("a small number");
        let ppm = |i| u32::try_from(n(i)).expect("parts per million");
        match name {
            "register" => Self::Register(n(0), at(1)),
            "register_key" => Self::RegisterKey(n(0), n(1), byte(2)),
            "start" => Self::Start,
            "advance" => Self::Advance(ppm(0)),
            "report" => Self::Report(ppm(0), byte(1)),
            "note" => Self::Note(byte(0)),
            "update" => Self::Update(byte(0)),
            "heartbeat" => Self::Heartbeat,
            "complete" => Self::Complete,
            "fail" => Self::Fail(byte(0)),
            "cancel" => Self::Cancel,
            "cancel_because" => Self::CancelBecause(byte(0)),
            "request_stop" => Self::RequestStop(byte(0)),
            "try_lock" => Self::TryLock(n(0)),
            "lock" => Self::Lock(n(0)),
            "save" => Self::Save,
            "renew" => Self::Renew(n(0)),
            "release" => Self::Release,
            "run" => Self::Run(Outcome::of(byte(0)), byte(1)),
            "spawn" => Self::Spawn(Outcome::of(byte(0)), byte(1)),
            "retry" => Self::Retry,
            "remove" => Self::Remove,
            "remove_after" => Self::RemoveAfter(at(0)),
            "snapshot" => Self::Snapshot,
            "details" => Self::Details,
            "get" => Self::Get,
            "fail_stalled" => Self::FailStalled,
            "sweep" => Self::Sweep,
            "stalled" => Self::Stalled,
            other => panic!("{other:?} is no call"),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |of: Option<u64>| of.map_or_else(|| "never".to_owned(), |of| of.to_string());
        match *self {
            Self::Register(payload, deadline) => {
                write!(f, "register {payload} {}", number(deadline))
            }
            Self::RegisterKey(key, payload, print) => {
                write!(f, "register_key {key} {payload} {print}")
            }
            Self::Start => f.write_str("start"),
            Self::Advance(to) => write!(f, "advance {to}"),
            Self::Report(to, note) => write!(f, "report {to} {note}"),
            Self::Note(note) => write!(f, "note {note}"),
            Self::Update(digit) => write!(f, "update {digit}"),
            Self::Heartbeat => f.write_str("heartbeat"),
            Self::Complete => f.write_str("complete"),
            Self::Fail(why) => write!(f, "fail {why}"),
            Self::Cancel => f.write_str("cancel"),
            Self::CancelBecause(why) => write!(f, "cancel_because {why}"),
            Self::RequestStop(why) => write!(f, "request_stop {why}"),
            Self::TryLock(lease) => write!(f, "try_lock {lease}"),
            Self::Lock(lease) => write!(f, "lock {lease}"),
            Self::Save => f.write_str("save"),
            Self::Renew(lease) => write!(f, "renew {lease}"),
            Self::Release => f.write_str("release"),
            Self::Run(outcome, note) => write!(f, "run {} {note}", outcome.number()),
            Self::Spawn(outcome, note) => write!(f, "spawn {} {note}", outcome.number()),
            Self::Retry => f.write_str("retry"),
            Self::Remove => f.write_str("remove"),
            Self::RemoveAfter(delay) => write!(f, "remove_after {}", number(delay)),
            Self::Snapshot => f.write_str("snapshot"),
            Self::Details => f.write_str("details"),
            Self::Get => f.write_str("get"),
            Self::FailStalled => f.write_str("fail_stalled"),
            Self::Sweep => f.write_str("sweep"),
            Self::Stalled => f.write_str("stalled"),
            Self::Verdict => f.write_str("verdict"),
            Self::Collect(began) => write!(f, "collect {began}"),
            Self::Listed => f.write_str("listed"),
            Self::Abandon => f.write_str("abandon"),
            Self::FailOrCancel(why) => write!(f, "fail_or_cancel {why}"),
            Self::FailForPanic => f.write_str("fail_for_panic"),
            Self::Tried => f.write_str("tried"),
            Self::Payload => f.write_str("payload"),
        }
    }
}

pub(super) fn text(number: u8) -> &'static str {
    TEXTS[usize::from(number) % TEXTS.len()]
}

/// Returns the number of a text.
pub(super) fn text_number(of: &[u8]) -> Option<u8> {
    let at = TEXTS.iter().position(|text| text.as_bytes() == of)?;
    u8::try_from(at).ok()
}

pub(super) fn millis(millis: Option<u64>) -> Duration {
    millis.map_or(Duration::MAX, Duration::from_millis)
}

/// Random numbers that a seed repeats, by the algorithm `splitmix64`.
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Returns dice for another purpose.
    pub(super) fn split(&mut self) -> Self {
        Self(self.next())
    }

    pub(super) fn shuffle<T>(&mut self, of: &mut [T]) {
        for last in (1..of.len()).rev() {
            let other = self.below(last as u64 + 1);
            of.swap(last, usize::try_from(other).expect("an index"));
        }
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.below(of.len() as u64);
        &of[usize::try_from(at).expect("an index")]
    }
}
