//! Calls through a guard of a job.

// A call without a value answers with `Ret::from(())`.
#![allow(clippy::unit_arg)]

use super::api::JobGuard;
use super::payload::Payload;
use super::real::Real;
use super::spec::{Call, Refusal, Ret};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub(crate) type Guard<'a> = Option<JobGuard<'a, Payload>>;

/// Makes a call through the guard. An ending consumes the guard.
pub(crate) fn perform_guarded(real: &Real, guard: &mut Guard<'_>, call: &Call) -> Ret {
    if is_release(call) {
        return release(guard, call);
    }
    let Some(mut held) = guard.take() else {
        return Ret::Refused(Refusal::Impossible);
    };
    let answer = match *call {
        Call::Start(_) => held.start().map(Ret::from),
        Call::Advance(_, progress) => held.advance(progress).map(Ret::Progress),
        Call::Heartbeat(_) => held.heartbeat().map(Ret::from),
        Call::Snapshot(_) => Ok(Ret::View(real.view(&held.snapshot()))),
        Call::Update(_, digit) => Ok(held.push(digit)),
        Call::Note(_, note) => held.note(note).map(Ret::from),
        Call::Report(_, progress, note) => held.report(progress, note).map(Ret::from),
        _ => Ok(Ret::Refused(Refusal::Impossible)),
    };
    *guard = Some(held);
    answer.unwrap_or_else(|error| Ret::Refused(error.into()))
}

/// Whether the call consumes the guard.
pub(crate) fn is_release(call: &Call) -> bool {
    matches!(
        call,
        Call::Complete(_)
            | Call::Fail(..)
            | Call::Cancel(_)
            | Call::CancelBecause(..)
            | Call::Panic(_)
            | Call::Unlock
    )
}

/// Makes a call that consumes the guard.
pub(crate) fn release(guard: &mut Guard<'_>, call: &Call) -> Ret {
    let Some(held) = guard.take() else {
        return Ret::Refused(Refusal::Impossible);
    };
    match *call {
        Call::Complete(_) => held
            .complete()
            .map_or_else(|error| Ret::Refused(error.into()), Ret::from),
        Call::Fail(_, why) => held.fail(why).into(),
        Call::Cancel(_) => held.cancel().into(),
        Call::CancelBecause(_, why) => held.cancel_because(why).into(),
        Call::Unlock => drop(held).into(),
        Call::Panic(_) => {
            let holder = AssertUnwindSafe(move || {
                let _held = held;
                resume_unwind(Box::new("boom"))
            });
            catch_unwind(holder).map_or(Ret::Panicked, |()| Ret::Done)
        }
        _ => Ret::Refused(Refusal::Impossible),
    }
}
