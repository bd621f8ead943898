//! P4, no use after cleanup: a call with the id of a removed job reads and changes nothing, also when its
//! slot lives again.
//!
//! The smallest program that could violate it: one thread removes a job and registers another into its
//! slot, one writes to the first by id. A violation looks like a second job that is not as it
//! was registered, or a payload of the second job read through the first one's id.

use super::harness::{call, check, claim, percent, race, registry};
use crate::{JobRegistry, Snapshot, Status};
use std::time::Duration;

/// One job that has ended, in a registry with room for one.
fn ended() -> (JobRegistry<&'static str>, crate::JobId) {
    let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
    let id = jobs.register("old").unwrap().detach();
    call!(jobs.start(id)).unwrap();
    (jobs, id)
}

/// Ends and removes the old job and registers a new one in its place.
fn replace(jobs: &JobRegistry<&'static str>, old: crate::JobId) -> Snapshot {
    call!(jobs.cancel(old)).unwrap();
    assert_eq!(call!(jobs.remove(old)).unwrap(), "old");
    let new = jobs.register("new").unwrap().detach();
    call!(jobs.start(new)).unwrap();
    call!(jobs.snapshot(new)).unwrap()
}

fn untouched(jobs: &JobRegistry<&'static str>, new: Snapshot) {
    let record = call!(jobs.get(new.id())).unwrap();
    assert_eq!(
        (record.payload, record.snapshot),
        ("new", new),
        "the new job was touched"
    );
    assert_eq!(new.status(), Status::Running);
}

#[test]
fn a_late_advance_never_touches_the_next_job() {
    let claim = claim!(a_late_advance_never_touches_the_next_job, [P4], [7, 11, 19]);
    check(&claim, &[true, false], &[], || {
        let (jobs, old) = ended();
        let (advanced, new) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.advance(old, percent(40.0))).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || replace(&jobs, old)
            },
        );
        untouched(&jobs, new);
        advanced
    });
}

#[test]
fn a_late_heartbeat_never_touches_the_next_job() {
    let claim = claim!(
        a_late_heartbeat_never_touches_the_next_job,
        [P4, P8],
        [7, 17]
    );
    check(&claim, &[true, false], &[], || {
        let clock = super::harness::ModelClock::new();
        let jobs = JobRegistry::builder()
            .capacity(1)
            .retention(Duration::MAX)
            .clock(clock.clone())
            .build();
        let old = jobs.register("old").unwrap().detach();
        call!(jobs.start(old)).unwrap();
        let (beat, new) = race(
            {
                let jobs = jobs.clone();
                move || {
                    clock.advance(Duration::from_millis(5));
                    call!(jobs.heartbeat(old)).is_ok()
                }
            },
            {
                let jobs = jobs.clone();
                move || replace(&jobs, old)
            },
        );
        untouched(&jobs, new);
        beat
    });
}

#[test]
fn a_late_lock_never_opens_the_next_job() {
    let claim = claim!(a_late_lock_never_opens_the_next_job, [P4], [7, 19]);
    check(&claim, &[Some("old"), None], &[], || {
        let (jobs, old) = ended();
        let (seen, new) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.update(old, |payload| *payload)).ok()
            },
            {
                let jobs = jobs.clone();
                move || replace(&jobs, old)
            },
        );
        untouched(&jobs, new);
        seen
    });
}

#[test]
fn a_late_look_never_shows_the_next_job() {
    let claim = claim!(a_late_look_never_shows_the_next_job, [P4], [7, 19]);
    let (running, cancelled) = (Status::Running, Status::Cancelled);
    check(&claim, &[Some(running), Some(cancelled), None], &[], || {
        let (jobs, old) = ended();
        let (seen, new) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let seen = jobs.read(old, |record| (*record.payload, record.snapshot));
                    if let Ok((payload, snapshot)) = seen {
                        assert_eq!((payload, snapshot.id()), ("old", old));
                    }
                    seen.ok().map(|(_, snapshot)| snapshot.status())
                }
            },
            {
                let jobs = jobs.clone();
                move || replace(&jobs, old)
            },
        );
        untouched(&jobs, new);
        seen
    });
}
