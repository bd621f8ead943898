//! P12, linearizable: a snapshot reads two words and must be of one instant.
//!
//! The smallest program that could violate it: one thread reads, one sends a heartbeat and ends the
//! job, or fails and retries it. A violation looks like the progress of one instant with the
//! heartbeat of another.

use super::harness::{Claim, call, check, claim, percent, race, registry, running};
use crate::{Job, JobRegistry, ReadError, Snapshot, Status};
use std::time::Duration;

#[test]
fn a_snapshot_is_of_one_instant() {
    let claim = claim!(a_snapshot_is_of_one_instant, [P12], [5, 42]);
    snapshot_during_a_lifecycle(&claim, |jobs, job| call!(jobs.snapshot(job.id())).unwrap());
}

#[test]
fn a_snapshot_by_handle_is_of_one_instant() {
    let claim = claim!(a_snapshot_by_handle_is_of_one_instant, [P12], [5, 42]);
    snapshot_during_a_lifecycle(&claim, |_, job| call!(job.snapshot()).unwrap());
}

fn snapshot_during_a_lifecycle(
    claim: &Claim,
    snapshot: fn(&JobRegistry<()>, &Job<()>) -> Snapshot,
) {
    let seen = |percent, heartbeat| (percent, heartbeat, Status::Running);
    let outcomes = [
        seen(0, 0),
        seen(10, 0),
        seen(10, 5),
        seen(20, 5),
        (20, 5, Status::Failed),
    ];
    check(claim, &outcomes, &[], move || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
        let job = jobs.register(()).unwrap();
        let id = job.id();
        call!(jobs.start(id)).unwrap();
        let ((seen, _job), ()) = race(
            {
                let jobs = jobs.clone();
                // The owner is dropped later.
                move || (snapshot(&jobs, &job), job)
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.advance(id, percent(10.0))).unwrap();
                    clock.advance(Duration::from_millis(5));
                    call!(jobs.heartbeat(id)).unwrap();
                    call!(jobs.advance(id, percent(20.0))).unwrap();
                    call!(jobs.fail(id, "disk full")).unwrap();
                }
            },
        );
        (
            seen.progress().ppm() / 10_000,
            seen.last_heartbeat().as_millis(),
            seen.status(),
        )
    });
}

/// A step and a heartbeat change one word each. If one observer sees only the first change, no
/// observer sees only the second.
#[test]
fn two_observers_agree_on_a_step_and_a_heartbeat() {
    let claim = claim!(two_observers_agree_on_a_step_and_a_heartbeat, [P12], [5]);
    let outcomes = [(true, true), (true, false), (false, true)];
    check(&claim, &outcomes, &[], || {
        let (jobs, clock) = registry(|builder| builder);
        let id = jobs.register(()).unwrap().detach();
        call!(jobs.start(id)).unwrap();
        clock.advance(Duration::from_millis(5));
        race(
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.advance(id, percent(10.0))).unwrap();
                    let seen = call!(jobs.snapshot(id)).unwrap();
                    seen.last_heartbeat() > Duration::ZERO
                }
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.heartbeat(id)).unwrap();
                    let seen = call!(jobs.snapshot(id)).unwrap();
                    seen.progress() > percent(0.0)
                }
            },
        )
    });
}

/// A retry changes both words, and is one step for every observer.
#[test]
fn a_retry_is_one_step() {
    let claim = claim!(a_retry_is_one_step, [P2, P12], [5]);
    let outcomes = [
        (1, 0, Status::Failed),
        (2, 5, Status::Pending),
        (2, 9, Status::Running),
    ];
    check(&claim, &outcomes, &[], || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
        let first = jobs.register(()).unwrap();
        let id = first.id();
        call!(first.fail("disk full")).unwrap();
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.snapshot(id)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || {
                    clock.advance(Duration::from_millis(5));
                    let id = call!(jobs.retry(id)).unwrap().detach();
                    clock.advance(Duration::from_millis(4));
                    call!(jobs.start(id)).unwrap();
                }
            },
        );
        (
            seen.attempt(),
            seen.last_heartbeat().as_millis(),
            seen.status(),
        )
    });
}

/// The text of a failure is visible as soon as the failure is.
#[test]
fn a_failure_comes_with_its_text() {
    let claim = claim!(a_failure_comes_with_its_text, [P12, P2], [5]);
    check(&claim, &[None, Some("disk full".to_owned())], &[], || {
        let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.get(id)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.fail(id, "disk full")).unwrap()
            },
        );
        assert_eq!(
            seen.reason.is_some(),
            seen.snapshot.status() == Status::Failed
        );
        assert_eq!(seen.times.ended.is_some(), seen.reason.is_some());
        seen.reason.map(|text| text.to_string())
    });
}

/// A job is published together with its payload.
#[test]
fn a_job_that_is_seen_has_its_payload() {
    let claim = claim!(a_job_that_is_seen_has_its_payload, [P12], []);
    check(&claim, &[None, Some("deck")], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1));
        let (_, seen) = race(
            {
                let jobs = jobs.clone();
                move || jobs.register("deck").unwrap().detach()
            },
            {
                let jobs = jobs.clone();
                move || {
                    let seen = jobs.iter().next()?;
                    Some(jobs.get(seen.id()).unwrap().payload)
                }
            },
        );
        seen
    });
}

/// The table gets its second chunk during a walk, and during a look-up of the id that is being
/// issued.
#[test]
fn a_table_that_grows_shows_every_job_it_has() {
    let claim = claim!(a_table_that_grows_shows_every_job_it_has, [P4, P12], []);
    let outcomes = [(false, false), (false, true), (true, true)];
    check(&claim, &outcomes, &[], || {
        let (jobs, _) = registry(|builder| builder);
        let known = [(); 2].map(|()| jobs.register("known").unwrap().detach());
        let next = jobs.state.id_key.id(2, known[0].generation);
        let (registered, seen) = race(
            {
                let jobs = jobs.clone();
                move || jobs.register("next").unwrap().detach()
            },
            {
                let jobs = jobs.clone();
                move || {
                    let walked: Vec<_> = jobs.iter().map(|seen| seen.id()).collect();
                    assert_eq!(walked[..2], known);
                    let payload = match call!(jobs.get(next)) {
                        Ok(record) => Some(record.payload),
                        Err(refused) => {
                            assert_eq!(refused, ReadError::NotFound);
                            None
                        }
                    };
                    assert!(payload.is_none_or(|payload| payload == "next"));
                    (walked.contains(&next), payload.is_some())
                }
            },
        );
        assert_eq!(registered, next);
        seen
    });
}

/// Two registrations that both find the first chunk full add one new chunk, and get a slot each.
#[test]
fn two_jobs_grow_the_table_once() {
    let claim = claim!(two_jobs_grow_the_table_once, [P4, P12], []);
    check(&claim, &[(2, 3), (3, 2)], &[], || {
        let (jobs, _) = registry(|builder| builder);
        let _ = [(); 2].map(|()| jobs.register(0).unwrap().detach());
        let register = |jobs: JobRegistry<i32>, payload| {
            move || {
                let id = jobs.register(payload).unwrap().detach();
                assert_eq!(call!(jobs.get(id)).unwrap().payload, payload);
                id
            }
        };
        let (first, second) = race(register(jobs.clone(), 1), register(jobs.clone(), 2));
        assert_eq!(call!(jobs.get(first)).unwrap().payload, 1);
        assert_eq!(call!(jobs.get(second)).unwrap().payload, 2);
        (first.slot, second.slot)
    });
}

/// A client that polls with its last version keeps no stale picture: equal versions have equal
/// payloads.
#[test]
fn equal_versions_have_equal_payloads() {
    let claim = claim!(equal_versions_have_equal_payloads, [P12], []);
    check(&claim, &[0, 1], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let version = call!(jobs.snapshot(id)).unwrap().version();
                    let record = call!(jobs.get(id)).unwrap();
                    assert!(version <= record.snapshot.version(), "the version fell");
                    (version, record)
                }
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.update(id, |number| *number += 1)).unwrap();
                }
            },
        );
        let (polled, read) = seen;
        let now = call!(jobs.get(id)).unwrap();
        if read.snapshot.version() == now.snapshot.version() {
            assert_eq!(read.payload, now.payload, "a stale payload");
        }
        assert!(polled < now.snapshot.version() || read.payload == 1);
        read.payload
    });
}

/// Two writers: each write is a version of its own, also beside a step that takes no lock.
#[test]
fn every_write_is_a_version() {
    let claim = claim!(every_write_is_a_version, [P3, P12], []);
    check(&claim, &[()], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let write = |jobs: JobRegistry<i32>| {
            move || {
                let before = call!(jobs.snapshot(id)).unwrap().version();
                call!(jobs.update(id, |number| *number += 1)).unwrap();
                assert!(before < call!(jobs.snapshot(id)).unwrap().version());
            }
        };
        let before = call!(jobs.snapshot(id)).unwrap().version().to_string();
        race(write(jobs.clone()), write(jobs.clone()));
        let now = call!(jobs.snapshot(id)).unwrap().version().to_string();
        let count = |text: &str| u64::from_str_radix(text.split_once('-').unwrap().1, 16);
        assert_eq!(count(&now).unwrap(), count(&before).unwrap() + 2);
    });
}

/// Progress and note of one report are seen together.
#[test]
fn a_report_is_one_change() {
    let claim = claim!(a_report_is_one_change, [P12], []);
    check(&claim, &[false, true], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.details(id)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.report(id, percent(40.0), "half done")).unwrap();
                }
            },
        );
        let has_advanced = seen.snapshot.progress() == percent(40.0);
        assert_eq!(seen.note.is_some(), has_advanced, "a report in two parts");
        has_advanced
    });
}

/// Details show the reason and the time of an ending exactly when they show the ending, and nothing
/// of the attempt before once a retry has begun.
#[test]
fn details_are_of_one_instant() {
    let claim = claim!(details_are_of_one_instant, [P12, P10], []);
    let outcomes = [
        (1, Status::Running, false),
        (1, Status::Failed, true),
        (2, Status::Pending, false),
    ];
    check(&claim, &outcomes, &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.details(id)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.fail(id, "disk full")).unwrap();
                    let _ = jobs.retry(id).unwrap().detach();
                }
            },
        );
        let status = seen.snapshot.status();
        assert_eq!(seen.times.ended.is_some(), status.is_ended());
        assert_eq!(seen.times.started.is_some(), status != Status::Pending);
        (seen.snapshot.attempt(), status, seen.reason.is_some())
    });
}

/// Details in the slot of a job that is removed, beside the registration of the next job.
#[test]
fn details_never_mix_two_jobs() {
    let claim = claim!(details_never_mix_two_jobs, [P4, P12], []);
    check(&claim, &[Some("first".to_owned()), None], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        call!(jobs.fail(id, "first")).unwrap();
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.details(id))
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.remove(id)).unwrap();
                    let next = jobs.register(()).unwrap().detach();
                    call!(jobs.fail(next, "second")).unwrap();
                }
            },
        );
        match seen {
            Ok(seen) => seen.reason.map(|reason| reason.to_string()),
            Err(gone) => {
                assert_eq!(gone, crate::LookupError::Gone);
                None
            }
        }
    });
}
