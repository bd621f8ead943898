//! The rules for the tasks of a process, beyond the steps that they make.

use super::call::{Outcome, Verb};
use super::history::Recorded;
use super::log::Nonce;
use super::sent::Sent;
use std::collections::{BTreeMap, BTreeSet};

/// A process, a job, and an attempt of it.
type Attempt = (String, String, Option<(u32, Nonce)>);

/// Returns what contradicts the outcome of a work in the scripts that it has sent.
pub(super) fn against_outcome(outcome: Outcome, note: u8, sent: &[Sent]) -> Option<String> {
    let is_one = |sent: &Sent| {
        let expected = [Verb::Start, Verb::Note(note), outcome.ending()];
        sent.of_task()
            .is_some_and(|(verb, _)| expected.contains(&verb))
    };
    let mut waits = false;
    for script in sent {
        // A work whose end waits for a lease says that it is alive.
        let is_beat = waits && script.of_task() == Some((Verb::Heartbeat, None));
        if !is_beat && !is_one(script) {
            return Some(format!("a work that returns {outcome:?} sends {script:?}"));
        }
        waits = is_beat || script.is_ending() && script.has_met_a_lease();
    }
    let first = sent.iter().position(|sent| !sent.is_start())?;
    let is_started = has_started(&sent[..first]);
    (!is_started).then(|| format!("a work goes on without a start: {sent:?}"))
}

/// Returns what contradicts the rules of `lock` and `try_lock` in the scripts that one has sent:
/// each has the same token, and all but the last one have found the lease of another.
pub(super) fn against_lock(verb: Verb, sent: &[Sent]) -> Option<String> {
    let (last, before) = sent.split_last()?;
    let is_once = matches!(verb, Verb::Lock(_)) || before.is_empty();
    let is_right = before
        .iter()
        .all(|sent| sent.has_met_a_lease() && sent.argument(0) == last.argument(0));
    (!is_once || !is_right).then(|| format!("{verb} sends {sent:?}"))
}

/// Whether the work may go on after these starts: one was accepted, or the last one found that an
/// earlier one may have been.
fn has_started(starts: &[Sent]) -> bool {
    let Some((last, before)) = starts.split_last() else {
        return false;
    };
    let may_be_own = before.iter().any(|sent| sent.answer().is_none());
    match last.answer().as_deref() {
        Some("Refused(AlreadyStarted)") => may_be_own,
        answer => answer == Some("Done"),
    }
}

/// Returns the answer of `run` after these scripts, if it may return then.
pub(super) fn answer(sent: &[Sent]) -> Option<String> {
    let (last, before) = sent.split_last()?;
    let answer = last.answer().filter(|answer| answer != "Refused(Busy)")?;
    let is_refused = answer.starts_with("Refused");
    if !last.is_ending() {
        return is_refused.then_some(answer);
    }
    let may_be_own = before
        .iter()
        .any(|sent| sent.is_ending() && sent.answer().is_none());
    let is_own = may_be_own && answer.starts_with("Refused(Ended");
    Some(if is_own { "Done".to_owned() } else { answer })
}

/// Returns the leases that tasks give up and that their processes have not taken.
fn foreign_leases(recorded: &[Recorded]) -> Vec<String> {
    let locks = recorded
        .iter()
        .filter(|call| matches!(call.verb, Verb::TryLock(_) | Verb::Lock(_)));
    let taken: BTreeSet<(&str, &[u8])> = locks
        .flat_map(|call| {
            call.sent
                .iter()
                .map(|sent| (call.process(), sent.argument(0)))
        })
        .collect();
    let given_up = recorded
        .iter()
        .filter(|call| call.is_of_task && call.verb == Verb::Release);
    let foreign = given_up.filter(|call| {
        let mut sent = call.sent.iter();
        sent.any(|sent| !taken.contains(&(call.process(), sent.argument(0))))
    });
    foreign
        .map(|call| format!("a task gives up the lease of another: {call:?}"))
        .collect()
}

/// Compares the tasks of the processes with the works that they were given. In the processes that
/// have become idle, each work that has started has ended its job or was refused.
pub(super) fn check(recorded: &[Recorded], idle: &BTreeSet<String>) -> Vec<String> {
    let mut given: BTreeMap<Attempt, Vec<(Outcome, u8)>> = BTreeMap::new();
    let mut sent: BTreeMap<Attempt, Vec<(Verb, &Sent)>> = BTreeMap::new();
    for call in recorded {
        let id = call.id.clone().unwrap_or_default();
        let of = (call.process().to_owned(), id, call.fence);
        if let Verb::Spawn(outcome, note) = call.verb {
            given.entry(of).or_default().push((outcome, note));
        } else if call.is_of_task && !matches!(call.verb, Verb::Release | Verb::Abandon) {
            let sent = sent.entry(of).or_default();
            sent.extend(call.sent.iter().map(|script| (call.verb, script)));
        }
    }
    let mut found = foreign_leases(recorded);
    for (of, scripts) in &sent {
        let given = given.get(of).map(Vec::as_slice).unwrap_or_default();
        let is_given = |verb: Verb| {
            let mut given = given.iter();
            given.any(|(outcome, note)| {
                let of_work = [Verb::Start, Verb::Note(*note), outcome.ending()];
                verb == Verb::Heartbeat || of_work.contains(&verb)
            })
        };
        for (verb, _) in scripts {
            if !is_given(*verb) {
                found.push(format!("no work of {of:?} does {verb}"));
            }
        }
        let is_start = |(_, sent): &(Verb, &Sent)| {
            sent.is_start() && sent.answer().is_none_or(|answer| answer == "Done")
        };
        let Some(start) = scripts.iter().position(is_start) else {
            if scripts.iter().any(|(_, sent)| !sent.is_start()) {
                found.push(format!("a work on {of:?} goes on without a start"));
            }
            continue;
        };
        let later = &scripts[start + 1..];
        // The replies to heartbeats are not traced.
        let mut steps = scripts[start..]
            .iter()
            .filter(|(verb, _)| *verb != Verb::Heartbeat);
        let is_known = steps.all(|(_, sent)| sent.answer().is_some());
        let is_over = later.iter().any(|(_, sent)| {
            let answer = sent.answer().unwrap_or_default();
            let is_refused = ["Refused(Ended", "Refused(Superseded", "Refused(Gone"]
                .iter()
                .any(|refusal| answer.starts_with(refusal));
            is_refused || sent.is_ending() && answer == "Done"
        });
        if idle.contains(&of.0) && is_known && !is_over {
            found.push(format!("the work on {of:?} has not ended"));
        }
    }
    found
}

/// Returns the number of spawned works that have ended their jobs.
pub(super) fn ended(recorded: &[Recorded]) -> u64 {
    let is_ending = |call: &&Recorded| {
        let mut sent = call.sent.iter();
        let is_task = call.is_of_task && call.verb != Verb::Abandon;
        is_task && sent.any(|sent| sent.is_ending() && sent.answer().as_deref() == Some("Done"))
    };
    recorded.iter().filter(is_ending).count() as u64
}
