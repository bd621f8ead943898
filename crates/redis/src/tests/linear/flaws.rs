//! Wrong clients and wrong scripts, which the judges have to detect.

use super::log::logged;
use crate::script::Parts;
use crate::{Error, Unavailable};

/// A mistake of the clients or the scripts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Nothing,
    /// A resend does not say that it is one.
    UnmarkedResend,
    /// A resend does not compare the witness: it is executed after its own effect was overwritten.
    NoWitness,
    /// A lost answer is told as an error that says that nothing has happened.
    UnknownIsNotSent,
    /// The fence compares the number of the attempt alone.
    FenceByAttempt,
    /// Reads are answered from earlier reads of the process.
    CachedReads,
    /// The clock is that of the client, and the clients' clocks differ.
    ClientClock,
    /// An update does not compare the revision of the payload.
    BlindUpdate,
    /// A progress may fall.
    FallingProgress,
    /// A verdict trusts the sorted set, and not the heartbeat.
    HintedVerdict,
    /// A job can be ended twice.
    SecondEnding,
    /// A key leads to a second job.
    ForgetfulKey,
}

impl Flaw {
    /// Those that a history of one primary shows.
    pub(super) const IN_ONE_HISTORY: [Self; 10] = [
        Self::UnmarkedResend,
        Self::NoWitness,
        Self::UnknownIsNotSent,
        Self::CachedReads,
        Self::ClientClock,
        Self::BlindUpdate,
        Self::FallingProgress,
        Self::HintedVerdict,
        Self::SecondEnding,
        Self::ForgetfulKey,
    ];

    pub(super) fn named(name: &str) -> Self {
        let mut all = Self::IN_ONE_HISTORY.to_vec();
        all.extend([Self::Nothing, Self::FenceByAttempt]);
        let found = all.into_iter().find(|flaw| flaw.name() == name);
        found.unwrap_or_else(|| panic!("{name:?} is no flaw"))
    }

    pub(super) fn name(self) -> String {
        format!("{self:?}")
    }

    /// Returns the scripts of a client process, with the log.
    pub(super) fn parts(self, process: u32) -> Parts {
        let mut parts = Parts::default();
        let change = match self {
            Self::Nothing | Self::UnknownIsNotSent | Self::CachedReads | Self::ClientClock => None,
            Self::UnmarkedResend => Some(("prelude", "ARGV[1] == '1'", "false")),
            Self::NoWitness => Some(("prelude", "tonumber(job.e) > WITNESS", "false")),
            Self::FenceByAttempt => Some(("prelude", " or job.n ~= nonce)", ")")),
            Self::BlindUpdate => Some(("update", "job.u ~= ARGV[6]", "false")),
            Self::FallingProgress => Some(("advance", "math.max(ppm, job.ppm)", "ppm")),
            Self::HintedVerdict => Some((
                "verdict",
                "elseif is_stalled(job, now, trusted) then",
                "elseif is_live(job) then",
            )),
            Self::SecondEnding => Some(("end", "not is_live(job)", "false")),
            Self::ForgetfulKey => Some(("register", "if leads then", "if false then")),
        };
        if let Some((name, from, to)) = change {
            let text = if name == "prelude" {
                &mut parts.prelude
            } else {
                let own = parts.own.iter_mut().find(|(own, _)| *own == name);
                &mut own.expect("a script").1
            };
            assert!(text.contains(from), "{name}.lua has no {from:?}");
            *text = text.replace(from, to);
        }
        let mut parts = logged(parts);
        if self == Self::ClientClock {
            let skew = format!("return millis + {}", process % 10 * 40);
            parts.clock = parts.clock.replace("return millis", &skew);
        }
        parts
    }

    /// Returns the error that the caller is told.
    pub(super) fn told(self, error: Error) -> Error {
        let unknown = Error::Unavailable(Unavailable::Unknown);
        if self == Self::UnknownIsNotSent && error == unknown {
            return Error::Unavailable(Unavailable::NotSent);
        }
        error
    }
}
