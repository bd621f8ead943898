//! Recorded histories that are corrupted in known ways, which the judges have to detect.

use super::call::{Dice, Verb};
use super::history::{Group, NEVER, Op};
use super::judges::Verdict;
use super::model::State;

/// A way to corrupt a history. Returns whether the history has a place for it.
type Corruption = fn(&mut Group, &mut Dice) -> bool;

/// The judges that have to detect a corruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    All,
    /// The order of the effects is corrupted, which the searches do not see.
    Replay,
}

const CORRUPTIONS: [(&str, By, Corruption); 25] = [
    ("two answers are swapped", By::All, swap_answers),
    ("a write is dropped", By::All, drop_write),
    (
        "an effect comes after its call has ended",
        By::All,
        late_effect,
    ),
    (
        "an effect comes before its call has begun",
        By::All,
        early_effect,
    ),
    ("an effect happens twice", By::All, effect_twice),
    ("the progress falls", By::All, falling_progress),
    ("an old state is read", By::All, stale_read),
    ("a refused call is accepted", By::All, accepted),
    ("an accepted call is refused", By::All, refused),
    ("a superseded owner is accepted", By::All, superseded),
    ("a heartbeat is lost", By::All, lost_heartbeat),
    ("a time is wrong", By::All, wrong_time),
    (
        "a call is refused for a lease that nobody has",
        By::All,
        busy_without_lease,
    ),
    (
        "a call of another caller passes a lease",
        By::All,
        accepted_under_lease,
    ),
    ("a lease that is over is held", By::All, held_too_long),
    ("a lease that is held is over", By::All, lost_too_early),
    (
        "a guard stores another payload",
        By::All,
        other_payload_of_guard,
    ),
    ("a key leads to a second job", By::All, second_job_of_key),
    ("a key leads to another job", By::All, other_job_of_key),
    ("a fingerprint is not compared", By::All, any_fingerprint),
    ("the ending of a work is lost", By::All, lost_ending_of_work),
    (
        "a work ends its job after others have seen the end",
        By::All,
        late_ending_of_work,
    ),
    ("the log misses an effect", By::Replay, missing_in_log),
    ("the log has an effect twice", By::Replay, twice_in_log),
    (
        "the log has effects in another order",
        By::Replay,
        order_in_log,
    ),
];

/// Corrupts each of the histories in each way, and requires that the judges detect it.
pub(super) fn check(groups: &[Group], mut dice: Dice) {
    println!("corruption: histories, detected by search, porcupine, replay");
    for (name, by, corrupt) in CORRUPTIONS {
        let (mut tried, mut search, mut opinion, mut replay) = (0, 0, 0, 0);
        for group in groups {
            let mut corrupted = group.clone();
            if !corrupt(&mut corrupted, &mut dice) {
                continue;
            }
            tried += 1;
            let verdict = Verdict::of(&State::default(), &corrupted);
            let text = || format!("{name}: {}", verdict.text(&corrupted));
            assert_eq!(
                verdict.opinion,
                Some(verdict.search.is_none()),
                "{}",
                text()
            );
            // A history that no order explains is not explained by the order of the store.
            assert!(
                verdict.search.is_none() || verdict.replay.is_some(),
                "{}",
                text()
            );
            if verdict.replay.is_some() && replay == 0 {
                check_timeline(&verdict, &corrupted);
            }
            search += u32::from(verdict.search.is_some());
            opinion += u32::from(verdict.opinion == Some(false));
            replay += u32::from(verdict.replay.is_some());
        }
        println!("{name}: {tried}, {search}, {opinion}, {replay}");
        assert!(
            tried >= 3,
            "{name}: only {tried} histories have a place for it"
        );
        // Some corrupted histories have another explanation.
        assert!(
            2 * replay >= tried,
            "{name}: the replay detects {replay} of {tried}"
        );
        if by == By::All {
            assert!(
                2 * search >= tried,
                "{name}: the search detects {search} of {tried}"
            );
        }
    }
}

/// The timeline has a line for each call, and marks the one that is not explained.
fn check_timeline(verdict: &Verdict, group: &Group) {
    let text = verdict.text(group);
    let marked: Vec<&str> = text.lines().filter(|line| line.starts_with(">>")).collect();
    assert_eq!(marked.len(), 1, "{text}");
    assert!(
        marked[0].contains("->") && marked[0].contains('|'),
        "{text}"
    );
}

/// Returns the indices of some calls, in a random order.
fn find(group: &Group, dice: &mut Dice, which: impl Fn(&Op) -> bool) -> Vec<usize> {
    let all = 0..group.ops.len();
    let mut found: Vec<usize> = all.filter(|at| which(&group.ops[*at])).collect();
    dice.shuffle(&mut found);
    found
}

fn is_answered(op: &Op) -> bool {
    op.ended != NEVER && op.answer.is_some()
}

fn answer(op: &Op) -> &str {
    op.answer.as_deref().unwrap_or_default()
}

fn is_accepted(op: &Op) -> bool {
    is_answered(op) && !answer(op).starts_with("Refused") && answer(op) != "none"
}

/// Whether it shows the state of the job.
fn is_read(op: &Op) -> bool {
    is_answered(op) && answer(op).contains("revision: ")
}

fn has_effect(group: &Group, at: usize) -> bool {
    group.effects.iter().any(|effect| effect.op == at)
}

/// Returns an acknowledged change that some call meets later.
fn write(group: &Group, dice: &mut Dice) -> Option<usize> {
    let found = find(group, dice, |op| {
        is_accepted(op) && op.verb != Verb::Heartbeat
    });
    found.into_iter().find(|at| {
        let op = &group.ops[*at];
        let is_later = |other: &Op| is_read(other) && other.job == op.job && other.begun > op.ended;
        has_effect(group, *at) && group.ops.iter().any(is_later)
    })
}

fn swap_answers(group: &mut Group, dice: &mut Dice) -> bool {
    let found = find(group, dice, is_read);
    for first in &found {
        for second in &found {
            let (one, other) = (&group.ops[*first], &group.ops[*second]);
            if one.verb == other.verb && one.ended < other.begun && one.answer != other.answer {
                let (one, other) = (one.answer.clone(), other.answer.clone());
                (group.ops[*first].answer, group.ops[*second].answer) = (other, one);
                return true;
            }
        }
    }
    false
}

/// Removes a call, and its effects.
fn remove(group: &mut Group, at: usize) {
    group.ops.remove(at);
    group.effects.retain(|effect| effect.op != at);
    for effect in &mut group.effects {
        effect.op -= usize::from(effect.op > at);
    }
}

fn drop_write(group: &mut Group, dice: &mut Dice) -> bool {
    let found = write(group, dice);
    found.inspect(|at| remove(group, *at)).is_some()
}

/// Returns two effects on one job, where the call of the second one began after the end of the
/// first one and needs its effect.
fn two_steps(group: &Group, dice: &mut Dice) -> Option<(usize, usize)> {
    let is_step = |op: &Op| is_accepted(op) && matches!(op.verb, Verb::Start | Verb::Retry);
    let found = find(group, dice, is_step);
    found.into_iter().find_map(|second| {
        let at = group
            .effects
            .iter()
            .position(|effect| effect.op == second)?;
        let op = &group.ops[second];
        // The effect before it makes the job one that can be started or retried.
        let before = group.effects[..at].iter().rev().find(|effect| {
            let other = &group.ops[effect.op];
            let changes = other.verb.is_registration()
                || matches!(other.verb, Verb::Retry | Verb::Fail(_) | Verb::Cancel);
            other.job == op.job && changes && is_answered(other) && other.ended < op.begun
        })?;
        Some((before.op, second))
    })
}

fn late_effect(group: &mut Group, dice: &mut Dice) -> bool {
    let Some((first, second)) = two_steps(group, dice) else {
        return false;
    };
    // The first call is recorded as one that came after the second one.
    let ended = group.ops[second].ended;
    let first = &mut group.ops[first];
    (first.begun, first.ended, first.until) = (ended + 1, ended + 2, ended + 2);
    true
}

fn early_effect(group: &mut Group, dice: &mut Dice) -> bool {
    let Some((first, second)) = two_steps(group, dice) else {
        return false;
    };
    let begun = group.ops[first].begun;
    let second = &mut group.ops[second];
    (second.begun, second.ended, second.until) = (begun - 2, begun - 1, begun - 1);
    true
}

/// Replaces the number after a word of an answer.
fn renumber(answer: &mut Option<String>, word: &str, to: impl Fn(u64) -> u64) {
    let Some(text) = answer else {
        return;
    };
    let Some((head, tail)) = text.split_once(word) else {
        return;
    };
    let end = tail
        .find(|digit: char| !digit.is_ascii_digit())
        .unwrap_or(tail.len());
    let number: u64 = tail[..end].parse().expect("a number");
    *answer = Some(format!("{head}{word}{}{}", to(number), &tail[end..]));
}

fn effect_twice(group: &mut Group, dice: &mut Dice) -> bool {
    let Some(at) = find(group, dice, |op| {
        is_accepted(op) && matches!(op.verb, Verb::Note(_))
    })
    .into_iter()
    .find(|at| {
        let op = &group.ops[*at];
        let later = |other: &Op| other.job == op.job && is_read(other) && other.begun > op.ended;
        group.ops.iter().any(later)
    }) else {
        return false;
    };
    let (job, ended) = (group.ops[at].job, group.ops[at].ended);
    for op in group
        .ops
        .iter_mut()
        .filter(|op| op.job == job && op.begun > ended)
    {
        renumber(&mut op.answer, "revision: ", |revision| revision + 1);
    }
    true
}

fn falling_progress(group: &mut Group, dice: &mut Dice) -> bool {
    let found = find(group, dice, |op| {
        is_read(op) && !answer(op).contains("Progress(0)")
    });
    let Some(at) = found.first() else {
        return false;
    };
    renumber(&mut group.ops[*at].answer, "Progress(", |_| 0);
    true
}

fn stale_read(group: &mut Group, dice: &mut Dice) -> bool {
    for second in find(group, dice, is_read) {
        let op = &group.ops[second];
        let is_old = |old: &Op| old.verb == op.verb && old.job == op.job && old.ended < op.begun;
        // Only attempt, status and progress are compared: they do not come back.
        let version = |op: &Op| answer(op).split("revision").next().map(str::to_owned);
        let old = find(group, dice, is_read).into_iter().find(|old| {
            let old = &group.ops[*old];
            is_old(old) && version(old) != version(op)
        });
        if let Some(old) = old {
            group.ops[second].answer = group.ops[old].answer.clone();
            return true;
        }
    }
    false
}

fn accepted(group: &mut Group, dice: &mut Dice) -> bool {
    let is_refused = |op: &Op| is_answered(op) && answer(op).starts_with("Refused(Ended");
    let can = |op: &Op| {
        matches!(
            op.verb,
            Verb::Start | Verb::Note(_) | Verb::Cancel | Verb::Fail(_)
        )
    };
    let found = find(group, dice, |op| is_refused(op) && can(op));
    let Some(at) = found.first() else {
        return false;
    };
    group.ops[*at].answer = Some("Done".to_owned());
    true
}

fn refused(group: &mut Group, dice: &mut Dice) -> bool {
    let Some(at) = write(group, dice) else {
        return false;
    };
    group.ops[at].answer = Some("Refused(Gone)".to_owned());
    true
}

fn superseded(group: &mut Group, dice: &mut Dice) -> bool {
    let is_superseded = |op: &Op| answer(op) == "Refused(Superseded)" && op.verb != Verb::Retry;
    let valued = |op: &Op| {
        matches!(
            op.verb,
            Verb::Advance(_) | Verb::Update(_) | Verb::RequestStop(_)
        )
    };
    let found = find(group, dice, |op| is_superseded(op) && !valued(op));
    let Some(at) = found.first() else {
        return false;
    };
    group.ops[*at].answer = Some("Done".to_owned());
    true
}

fn lost_heartbeat(group: &mut Group, dice: &mut Dice) -> bool {
    let found = find(group, dice, is_read);
    let Some(at) = found.first() else {
        return false;
    };
    renumber(&mut group.ops[*at].answer, "beat: ", |beat| beat - 1);
    true
}

fn wrong_time(group: &mut Group, dice: &mut Dice) -> bool {
    let found = find(group, dice, |op| {
        op.verb == Verb::Details && answer(op).contains("registered: ")
    });
    let Some(at) = found.first() else {
        return false;
    };
    renumber(&mut group.ops[*at].answer, "registered: ", |time| time + 1);
    true
}

/// Replaces the answer of a call by another one. Returns whether there is such a call.
fn answer_otherwise(
    group: &mut Group,
    dice: &mut Dice,
    which: impl Fn(&Op) -> bool,
    with: &str,
) -> bool {
    let found = find(group, dice, which);
    let Some(at) = found.first() else {
        return false;
    };
    group.ops[*at].answer = Some(with.to_owned());
    true
}

fn busy_without_lease(group: &mut Group, dice: &mut Dice) -> bool {
    let is_forbidden = |op: &Op| op.verb.is_ending() || matches!(op.verb, Verb::Update(_));
    let which = |op: &Op| is_forbidden(op) && is_accepted(op) && op.lease.is_none();
    answer_otherwise(group, dice, which, "Refused(Busy)")
}

fn accepted_under_lease(group: &mut Group, dice: &mut Dice) -> bool {
    let is_busy = |op: &Op| is_answered(op) && answer(op) == "Refused(Busy)";
    let is_done = |op: &Op| {
        let is_lock = matches!(op.verb, Verb::TryLock(_) | Verb::Lock(_));
        let is_of_work = matches!(op.verb, Verb::FailOrCancel(_) | Verb::FailForPanic);
        is_lock || is_of_work || op.verb.is_ending() || op.verb == Verb::Abandon
    };
    let is_swept = |op: &Op| is_answered(op) && answer(op) == "leased";
    answer_otherwise(group, dice, |op| is_busy(op) && is_done(op), "Done")
        || answer_otherwise(
            group,
            dice,
            |op| is_busy(op) && op.verb == Verb::Tried,
            "Conflict",
        )
        || answer_otherwise(group, dice, is_swept, "none")
}

fn held_too_long(group: &mut Group, dice: &mut Dice) -> bool {
    let which = |op: &Op| is_answered(op) && answer(op) == "LockLost";
    answer_otherwise(group, dice, which, "Done")
}

fn lost_too_early(group: &mut Group, dice: &mut Dice) -> bool {
    let is_kept = |op: &Op| matches!(op.verb, Verb::Save | Verb::Renew(_) | Verb::Release);
    let which = |op: &Op| is_kept(op) && is_answered(op) && answer(op) == "Done";
    answer_otherwise(group, dice, which, "LockLost")
}

fn other_payload_of_guard(group: &mut Group, dice: &mut Dice) -> bool {
    let payload = |op: &Op| op.lease.and_then(|lease| lease.payload);
    let found = find(group, dice, |op| payload(op).is_some() && is_accepted(op));
    let is_read_later = |at: &usize| {
        let op = &group.ops[*at];
        let payload = payload(op).unwrap_or_default();
        group.ops.iter().any(|other| {
            let answer = answer(other);
            let is_shown = match other.verb {
                Verb::Update(digit) => {
                    let next = payload.wrapping_mul(10).wrapping_add(digit.into());
                    answer == format!("Payload({next})")
                }
                Verb::Payload => answer == format!("Payload({payload})"),
                _ => answer.contains(&format!("payload: {payload} ")),
            };
            other.job == op.job && other.begun > op.ended && is_shown
        })
    };
    let Some(at) = found.into_iter().find(is_read_later) else {
        return false;
    };
    let lease = group.ops[at].lease.as_mut().expect("a lease");
    lease.payload = lease.payload.map(|payload| payload + 1);
    true
}

fn second_job_of_key(group: &mut Group, dice: &mut Dice) -> bool {
    let which = |op: &Op| is_answered(op) && answer(op).starts_with("Existing");
    answer_otherwise(group, dice, which, "Done")
}

fn other_job_of_key(group: &mut Group, dice: &mut Dice) -> bool {
    let found = find(group, dice, |op| {
        is_answered(op) && answer(op).starts_with("Existing")
    });
    let Some(at) = found.first() else {
        return false;
    };
    renumber(&mut group.ops[*at].answer, "Existing(", |name| name + 1);
    true
}

fn any_fingerprint(group: &mut Group, dice: &mut Dice) -> bool {
    let job = u64::from(group.ops.first().map_or(0, |op| op.job));
    let which = |op: &Op| is_answered(op) && answer(op) == "Mismatch";
    answer_otherwise(group, dice, which, &format!("Existing({job})"))
}

/// Returns an ending that a task or only a work makes, and a read of the job that began after it.
fn ending_of_work(group: &Group, dice: &mut Dice) -> Option<(usize, usize)> {
    let found = find(group, dice, |op| {
        let is_of_work = matches!(op.verb, Verb::FailOrCancel(_) | Verb::FailForPanic);
        is_accepted(op) && (is_of_work || op.is_of_task && op.verb == Verb::Complete)
    });
    found.into_iter().find_map(|ending| {
        let op = &group.ops[ending];
        let is_later = |read: &Op| is_read(read) && read.job == op.job && read.begun > op.ended;
        let read = group.ops.iter().position(is_later)?;
        Some((ending, read))
    })
}

fn lost_ending_of_work(group: &mut Group, dice: &mut Dice) -> bool {
    let found = ending_of_work(group, dice);
    found
        .inspect(|(ending, _)| remove(group, *ending))
        .is_some()
}

fn late_ending_of_work(group: &mut Group, dice: &mut Dice) -> bool {
    let Some((ending, read)) = ending_of_work(group, dice) else {
        return false;
    };
    let ended = group.ops[read].ended;
    let ending = &mut group.ops[ending];
    (ending.begun, ending.ended, ending.until) = (ended + 1, ended + 2, ended + 2);
    true
}

fn missing_in_log(group: &mut Group, dice: &mut Dice) -> bool {
    let Some(at) = write(group, dice) else {
        return false;
    };
    group.effects.retain(|effect| effect.op != at);
    true
}

fn twice_in_log(group: &mut Group, dice: &mut Dice) -> bool {
    let Some(at) = write(group, dice) else {
        return false;
    };
    let place = group
        .effects
        .iter()
        .position(|effect| effect.op == at)
        .expect("an effect");
    let effect = group.effects[place];
    group.effects.insert(place + 1, effect);
    true
}

fn order_in_log(group: &mut Group, dice: &mut Dice) -> bool {
    let Some((first, second)) = two_steps(group, dice) else {
        return false;
    };
    let place = |of: usize| group.effects.iter().position(|effect| effect.op == of);
    let (Some(first), Some(second)) = (place(first), place(second)) else {
        return false;
    };
    group.effects.swap(first, second);
    true
}
