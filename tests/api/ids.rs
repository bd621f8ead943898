//! P4, scenarios 7, 11 and 19: old and forged ids, and ids of another registry, read and change
//! nothing.

use crate::near_texts::near;
use job_registry::{Job, JobId, JobRegistry, LookupError, Progress, Status, StepError};
use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Duration;

/// Returns the answer of every call by id.
fn answers(jobs: &JobRegistry<u32>, id: JobId) -> Vec<(&'static str, String)> {
    fn text<R, E: Debug>(result: Result<R, E>) -> String {
        result.map_or_else(|error| format!("{error:?}"), |_| "Ok".to_owned())
    }
    vec![
        ("snapshot", text(jobs.snapshot(id))),
        ("get", text(jobs.get(id))),
        ("read", text(jobs.read(id, |_| ()))),
        ("watch", text(jobs.watch(id))),
        ("lock", text(jobs.lock(id))),
        ("try_lock", text(jobs.try_lock(id))),
        ("update", text(jobs.update(id, |_| panic!("ran")))),
        ("start", text(jobs.start(id))),
        ("advance", text(jobs.advance(id, Progress::DONE))),
        ("heartbeat", text(jobs.heartbeat(id))),
        ("complete", text(jobs.complete(id))),
        ("fail", text(jobs.fail(id, "reason"))),
        ("cancel", text(jobs.cancel(id))),
        ("retry", text(jobs.retry(id))),
        ("remove_after", text(jobs.remove_after(id, Duration::ZERO))),
        ("remove", text(jobs.remove(id))),
    ]
}

fn assert_all_say(jobs: &JobRegistry<u32>, id: JobId, expected: &str) {
    for (call, answer) in answers(jobs, id) {
        assert_eq!(answer, expected, "{call}");
    }
}

/// Removes the job of `id`. In a full registry, the next `register` reuses its slot.
fn end_and_remove(jobs: &JobRegistry<u32>, id: JobId) {
    jobs.cancel(id).unwrap();
    jobs.remove(id).unwrap();
}

/// P4, scenarios 7, 11 and 19: the slot is empty, then holds another job, and then is empty again.
#[test]
fn id_of_a_removed_job_is_gone_for_every_call() {
    let jobs = JobRegistry::builder().capacity(1).build();
    let old = jobs.register(1).unwrap().detach();
    end_and_remove(&jobs, old);
    assert_all_say(&jobs, old, "Gone");

    let new = jobs.register(2).unwrap();
    new.start().unwrap();
    let before = new.snapshot().unwrap();
    assert_all_say(&jobs, old, "Gone");
    assert_eq!(
        new.snapshot(),
        Ok(before),
        "the slot's new job is untouched"
    );
    assert_eq!(*new.lock().unwrap(), 2);

    new.fail("reason").unwrap();
    assert_all_say(&jobs, old, "Gone");
    assert_eq!(
        jobs.get(new.id()).unwrap().reason.as_deref(),
        Some("reason")
    );
    new.remove().unwrap();
    assert_all_say(&jobs, old, "Gone");
    assert!(jobs.is_empty());
}

/// P4 and P10: the owner's handle is gone as well, and dropping it does not fail the slot's next
/// job.
#[test]
fn handle_of_a_removed_job_is_gone_and_harmless() {
    fn steps(job: &Job<u32>) -> [Result<(), StepError>; 6] {
        [
            job.start(),
            job.advance(Progress::DONE).map(drop),
            job.heartbeat(),
            job.complete(),
            job.fail("reason"),
            job.cancel(),
        ]
    }

    let jobs = JobRegistry::builder().capacity(1).build();
    let old = jobs.register(1).unwrap();
    end_and_remove(&jobs, old.id());
    let new = jobs.register(2).unwrap();
    let before = new.snapshot();
    assert_eq!(steps(&old), [Err(StepError::Gone); 6]);
    assert!(old.lock().is_err() && old.retry().is_err() && old.remove().is_err());
    assert_eq!(old.snapshot(), Err(LookupError::Gone));
    drop(old);
    assert_eq!(new.snapshot(), before);
    assert_eq!(new.start(), Ok(()));
}

/// P4, scenario 19: a reused slot never issues an id that it has issued before.
#[test]
fn no_id_is_issued_twice() {
    let jobs = JobRegistry::builder().capacity(2).build();
    let mut issued = HashSet::new();
    for n in 0..5_000 {
        let id = jobs.register(n).unwrap().detach();
        assert!(issued.insert(id), "{id} was issued before, number {n}");
        end_and_remove(&jobs, id);
    }
    for id in issued {
        assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
    }
}

/// P4: an id of one registry is unknown to another, even if the slot is in use there.
#[test]
fn id_of_another_registry_is_not_found() {
    let here = JobRegistry::new();
    let there = JobRegistry::new();
    let mine = here.register(1).unwrap();
    let theirs = there.register(2).unwrap();
    let before = mine.snapshot();
    assert_all_say(&here, theirs.id(), "NotFound");
    assert_eq!(mine.snapshot(), before);
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns the number that an id's text spells.
fn number(id: JobId) -> u128 {
    id.to_string().bytes().fold(0, |value, byte| {
        let digit = DIGITS.iter().position(|digit| *digit == byte).unwrap();
        value * 62 + u128::try_from(digit).unwrap()
    })
}

/// Returns the id whose text spells `number`.
fn forge(mut number: u128) -> JobId {
    let mut text = [0; 22];
    for place in text.iter_mut().rev() {
        *place = DIGITS[usize::try_from(number % 62).unwrap()];
        number /= 62;
    }
    std::str::from_utf8(&text).unwrap().parse().unwrap()
}

/// P4: an id with any one bit flipped was never issued, and neither were the adjacent ids.
#[test]
fn forged_ids_are_not_found() {
    let jobs = JobRegistry::new();
    let old = jobs.register(0).unwrap().detach();
    for n in 1..64 {
        let _ = jobs.register(n).unwrap().detach();
    }
    let real = old;
    jobs.start(real).unwrap();
    let number = number(real);
    assert_eq!(
        forge(number),
        real,
        "the test reads ids as they are written"
    );
    let before = jobs.snapshot(real);
    for bit in 0..128 {
        let forged = forge(number ^ 1 << bit);
        assert_eq!(
            jobs.snapshot(forged),
            Err(LookupError::NotFound),
            "bit {bit}"
        );
    }
    assert_all_say(&jobs, forge(number + 1), "NotFound");
    assert_all_say(&jobs, forge(0), "NotFound");
    assert_all_say(&jobs, forge(u128::MAX), "NotFound");
    assert_eq!(jobs.snapshot(real), before);
}

/// P4: a live job's nonce with an earlier generation is not an id that was issued.
#[test]
fn forged_generation_of_the_past_is_not_found() {
    let jobs = JobRegistry::builder().capacity(1).build();
    let old = jobs.register(0).unwrap().detach();
    end_and_remove(&jobs, old);
    let new = jobs.register(1).unwrap();
    let forged = forge(number(new.id()) ^ 1 << 32);
    assert_ne!(forged, old);
    assert_all_say(&jobs, forged, "NotFound");
    assert_eq!(new.snapshot().unwrap().status(), Status::Pending);
}

/// P4: invalid texts are refused before they reach a registry.
#[test]
fn invalid_texts_do_not_parse_as_ids() {
    let jobs = JobRegistry::new();
    let id = jobs.register(0).unwrap().detach();
    let text = id.to_string();
    assert_eq!(text.parse(), Ok(id));
    let long = format!("{text}0");
    let spaced = format!(" {}", &text[1..]);
    let dashed = format!("-{}", &text[1..]);
    let wide = format!("é{}", &text[2..]);
    for bad in [
        "",
        "0",
        &text[1..],
        &long,
        &spaced,
        &dashed,
        &wide,
        "zzzzzzzzzzzzzzzzzzzzzz",
    ] {
        assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
    }
}

/// P4: one changed, swapped, missing or additional character makes another id or none. The registry
/// answers that it never issued that id.
#[test]
fn text_near_the_text_of_an_id_names_no_job() {
    let jobs = JobRegistry::builder().capacity(40).build();
    // An id near that of a removed job would be `Gone`.
    for n in 0..200 {
        let id = jobs.register(n).unwrap().detach();
        jobs.cancel(id).unwrap();
        jobs.remove(id).unwrap();
    }
    let ids: Vec<_> = (0..20)
        .map(|n| jobs.register(n).unwrap().detach())
        .collect();
    for id in ids {
        let text = id.to_string();
        let (mut refused, mut others) = (0, 0);
        for other in near(&text) {
            match other.parse::<JobId>() {
                Err(_) => refused += 1,
                Ok(parsed) => {
                    others += 1;
                    assert_ne!(parsed, id, "{other:?} for {text}");
                    assert_eq!(parsed.to_string(), other, "a second text");
                    assert_eq!(jobs.snapshot(parsed), Err(LookupError::NotFound), "{other}");
                }
            }
        }
        assert!(refused > 1_000 && others > 1_000, "{refused} and {others}");
        assert_eq!(text.parse(), Ok(id));
    }
}

/// P4: an id printed with a width and fill is its text with spaces around it, which does not parse.
#[test]
fn padded_id_is_its_text_with_spaces() {
    let id = JobRegistry::new().register(()).unwrap().id();
    let text = id.to_string();
    let padded = format!("{id:>30}|{id:<30}|{id:22}|{id:1}");
    assert!(
        padded.split('|').all(|part| part.trim() == text),
        "{padded}"
    );
    assert!(format!("{id:>30}").parse::<JobId>().is_err());
}
