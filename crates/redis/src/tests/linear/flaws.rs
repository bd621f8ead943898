//! Wrong clients and wrong scripts, which the judges have to detect.

use super::call::Verb;
use super::client::DONE;
use super::log::logged;
use crate::script::Parts;
use crate::{Error, Unavailable};
use job_registry::Error as Refusal;

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
    /// Every token holds the lease.
    SharedLease,
    /// A guard holds the lease after its time, until another takes it.
    LongLease,
    /// An ending does not look at the lease.
    EndingOfLeased,
    /// A retry does not look at the lease.
    RetryOfLeased,
    /// A verdict does not look at the lease.
    VerdictOnLeased,
    /// A sweep does not look at the lease.
    SweepOfLeased,
    /// The last payload of a guard is not stored.
    ForgottenPayload,
    /// The fingerprint of a key is not compared.
    AnyFingerprint,
    /// The failure of a work is told although a stop was requested.
    FailureOfStopped,
    /// A guard whose lease is over is told that its payload is stored.
    LostIsStored,
    /// A work whose job another caller has ended is told that it has ended the job.
    RefusedIsEnded,
}

impl Flaw {
    /// Those that a history of one primary shows.
    pub(super) const IN_ONE_HISTORY: [Self; 21] = [
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
        Self::SharedLease,
        Self::LongLease,
        Self::EndingOfLeased,
        Self::RetryOfLeased,
        Self::VerdictOnLeased,
        Self::SweepOfLeased,
        Self::ForgottenPayload,
        Self::AnyFingerprint,
        Self::FailureOfStopped,
        Self::LostIsStored,
        Self::RefusedIsEnded,
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
            Self::Nothing
            | Self::UnknownIsNotSent
            | Self::CachedReads
            | Self::ClientClock
            | Self::LostIsStored
            | Self::RefusedIsEnded => None,
            Self::UnmarkedResend => Some(("prelude", "ARGV[1] == '1'", "false")),
            Self::NoWitness => Some(("prelude", "tonumber(job.e) > tonumber(WITNESS)", "false")),
            Self::FenceByAttempt => Some(("prelude", " or job.n ~= nonce)", ")")),
            Self::BlindUpdate => Some(("update", "job.u ~= ARGV[6]", "false")),
            Self::FallingProgress => Some(("advance", "math.max(ppm, job.ppm)", "ppm")),
            Self::HintedVerdict => Some((
                "verdict",
                "elseif is_stalled(job, now, trusted) then",
                "elseif is_live(job) then",
            )),
            Self::SecondEnding => Some(("end", "admit_live", "admit")),
            Self::ForgetfulKey => Some(("register", "if leads then", "if false then")),
            Self::SharedLease => Some(("prelude", "(job.m) and job.f == token", "(job.m)")),
            Self::LongLease => Some((
                "prelude",
                "now < tonumber(job.m) and job.f == token",
                "job.f == token",
            )),
            Self::EndingOfLeased => Some(("end", "is_leased(job, now, token)", "false")),
            Self::RetryOfLeased => Some(("retry", "is_leased(job, now, '')", "false")),
            Self::VerdictOnLeased => Some(("verdict", "is_leased(job, now, '')", "false")),
            Self::SweepOfLeased => Some(("collect", "is_leased(job, now, '')", "false")),
            Self::ForgottenPayload => Some(("end", "set_text(job, 'd', ARGV[12])", "")),
            Self::AnyFingerprint => Some(("register", "there[2] ~= ARGV[17]", "false")),
            Self::FailureOfStopped => Some(("end", "ARGV[9] == '1'", "false")),
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

    /// Returns what the caller of a call is told.
    pub(super) fn told(self, verb: Verb, answer: Result<String, Error>) -> Result<String, Error> {
        let unknown = Error::Unavailable(Unavailable::Unknown);
        match answer {
            Err(error) if self == Self::UnknownIsNotSent && error == unknown => {
                Err(Error::Unavailable(Unavailable::NotSent))
            }
            Err(Error::LockLost) if self == Self::LostIsStored => Ok(DONE.to_owned()),
            Err(Error::Refused(Refusal::Ended(_)))
                if self == Self::RefusedIsEnded && verb.is_work() =>
            {
                Ok(DONE.to_owned())
            }
            answer => answer,
        }
    }
}
