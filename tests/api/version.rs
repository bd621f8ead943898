//! Versions: a number that grows with every change that a client can see.

use crate::near_texts;
use crate::wakers::{wait, waker};
use job_registry::{
    Job, JobGuard, JobRegistry, ManualClock, ParseVersionError, Progress, Snapshot, Version, Watch,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

type Step = (&'static str, fn(&Job<u32>));

fn half() -> Progress {
    Progress::of(1, 2)
}

/// Steps of one job, in an order in which each of them changes it.
const STEPS: [Step; 17] = [
    ("note", |job| job.note("waiting").unwrap()),
    ("update", |job| job.update(|n| *n += 1).unwrap()),
    ("remove_after", |job| {
        job.remove_after(Duration::ZERO).unwrap();
    }),
    ("start", |job| job.start().unwrap()),
    ("advance", |job| assert!(job.advance(half()).is_ok())),
    ("report that advances", |job| {
        assert!(job.report(Progress::of(3, 4), "almost").is_ok());
    }),
    ("report that does not advance", |job| {
        assert!(job.report(half(), "almost").is_ok());
    }),
    ("the same note", |job| job.note("almost").unwrap()),
    ("update that changes nothing", |job| {
        job.update(|_| ()).unwrap();
    }),
    ("written guard", |job| *job.lock().unwrap() += 1),
    ("written guard by try_lock", |job| {
        *job.try_lock().unwrap() += 1;
    }),
    ("note by guard", |job| {
        job.lock().unwrap().note("in it").unwrap();
    }),
    ("report by guard", |job| {
        assert!(job.lock().unwrap().report(half(), "in it").is_ok());
    }),
    ("request_stop", |job| {
        assert!(job.request_stop("now").is_ok());
    }),
    ("update of a stopping job", |job| {
        job.update(|n| *n += 1).unwrap();
    }),
    ("cancel", |job| job.cancel().unwrap()),
    ("remove_after of an ended job", |job| {
        job.remove_after(Duration::MAX).unwrap();
    }),
];

/// P9: each step, each change of the payload, each note and each new time of removal makes the
/// version grow. A waiting watch is woken by it, and its next item has that version.
#[test]
fn every_visible_change_makes_the_version_grow_and_wakes() {
    let jobs = JobRegistry::new();
    let job = jobs.register(0).unwrap();
    let mut watch = job.watch().unwrap();
    let mut before = job.snapshot().unwrap();
    for (name, step) in STEPS {
        let was_live = !before.status().is_ended();
        let woken = Arc::new(AtomicBool::new(false));
        if was_live {
            watch = job.watch().unwrap();
            let woken = woken.clone();
            wait(
                &mut watch,
                &waker(move || woken.store(true, Ordering::SeqCst)),
            );
        }
        step(&job);
        let after = job.snapshot().unwrap();
        assert!(after.version() > before.version(), "{name}");
        assert_eq!(woken.load(Ordering::SeqCst), was_live, "{name}");
        if was_live {
            assert_eq!(next(&mut watch), Some(after), "{name}");
        }
        before = after;
    }
    let second = job.retry().unwrap();
    let retried = second.snapshot().unwrap();
    assert!(retried.version() > before.version());
    second.start().unwrap();
    second.complete().unwrap();
    assert!(second.snapshot().unwrap().version() > retried.version());
}

/// Returns the item that is ready.
fn next(watch: &mut Watch<u32>) -> Option<Snapshot> {
    match pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(item) => item,
        Poll::Pending => panic!("the watch waits"),
    }
}

/// P9: heartbeats, reads, a guard that was only read, and refused calls leave the version as it is
/// and wake nobody.
#[test]
fn what_clients_cannot_see_changes_no_version() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder().clock(clock.clone()).build();
    let job = jobs.register(7).unwrap();
    job.start().unwrap();
    job.report(half(), "half").unwrap();
    let read: fn(&JobGuard<'_, u32>) -> u32 = |guard| **guard;
    let mut watch = job.watch().unwrap();
    wait(&mut watch, &waker(|| panic!("a watcher was woken")));
    let before = job.snapshot().unwrap();
    clock.advance(Duration::from_secs(1));
    job.heartbeat().unwrap();
    jobs.heartbeat(job.id()).unwrap();
    job.lock().unwrap().heartbeat().unwrap();
    assert_eq!(read(&job.lock().unwrap()), 7);
    jobs.read(job.id(), |record| *record.payload).unwrap();
    jobs.get(job.id()).unwrap();
    job.details().unwrap();
    assert_eq!(job.advance(Progress::of(1, 4)), Ok(half()));
    assert!(job.start().is_err() && job.retry().is_err() && job.remove().is_err());
    jobs.sweep();
    jobs.fail_stalled();
    let after = job.snapshot().unwrap();
    assert_eq!(after.version(), before.version());
    assert!(after.last_heartbeat() > before.last_heartbeat());
    watch = job.watch().unwrap();
    drop(watch);
}

/// P3 and P9: a written guard that ends its job counts the change before the end. The end is
/// therefore the last version.
#[test]
fn the_end_is_the_last_version_of_a_written_guard() {
    let jobs = JobRegistry::new();
    #[allow(clippy::redundant_closure_for_method_calls)]
    // the method is no function for every lifetime
    let endings: [fn(JobGuard<'_, u32>); 4] = [
        |guard| guard.complete().unwrap(),
        |guard| guard.fail("no ink"),
        |guard| guard.cancel(),
        |guard| guard.cancel_because("the user left"),
    ];
    for end in endings {
        let job = jobs.register(0).unwrap();
        job.start().unwrap();
        let mut watch = job.watch().unwrap();
        let mut guard = job.lock().unwrap();
        *guard += 1;
        end(guard);
        let last = job.snapshot().unwrap();
        assert_eq!(next(&mut watch), Some(last));
        assert_eq!(next(&mut watch), None);
        assert_eq!(job.details().unwrap().snapshot, last);
    }
}

/// P12: a client that asks with `If-None-Match` and keeps its payload while the version is the same
/// never keeps a stale one: an update that returned before it asked has changed the version.
#[test]
fn a_poller_that_compares_versions_keeps_no_stale_payload() {
    const UPDATES: u64 = if cfg!(miri) { 20 } else { 2_000 };
    let jobs = JobRegistry::new();
    let id = jobs.register(0_u64).unwrap().detach();
    let returned = AtomicU64::new(0);
    let polls = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=UPDATES {
                if n % 2 == 0 {
                    jobs.update(id, |payload| *payload = n).unwrap();
                } else {
                    *jobs.lock(id).unwrap() = n;
                }
                returned.store(n, Ordering::SeqCst);
                // Each state of the payload is polled.
                while polls.load(Ordering::SeqCst) < n {
                    thread::yield_now();
                }
            }
        });
        let pollers = (0..2).map(|_| {
            scope.spawn(|| {
                let fetch = || jobs.read(id, |it| (it.snapshot.version(), *it.payload));
                let mut kept = BTreeMap::from([fetch().unwrap()]);
                loop {
                    let updated = returned.load(Ordering::SeqCst);
                    let asked = jobs.snapshot(id).unwrap().version();
                    if let Some(payload) = kept.get(&asked) {
                        assert!(*payload >= updated, "{payload} is older than {updated}");
                    } else {
                        let (version, payload) = fetch().unwrap();
                        let other = kept.insert(version, payload);
                        assert!(other.is_none_or(|other| other == payload));
                    }
                    polls.fetch_max(updated, Ordering::SeqCst);
                    if updated == UPDATES {
                        return kept;
                    }
                }
            })
        });
        let kept: Vec<_> = pollers.collect();
        let [one, other] = [0, 1].map({
            let mut kept = kept.into_iter();
            move |_| kept.next().unwrap().join().unwrap()
        });
        // Both have seen the same payload under one version.
        for (version, payload) in &one {
            assert!(other.get(version).is_none_or(|other| other == payload));
        }
        // Payloads and versions have the same order.
        assert!(one.values().is_sorted() && other.values().is_sorted());
    });
}

/// P4: the text of a version leads back to it, and is the only text that does.
#[test]
fn versions_have_one_text() {
    let jobs = JobRegistry::new();
    let job = jobs.register(0).unwrap();
    let mut versions = vec![job.snapshot().unwrap().version()];
    for (_, step) in STEPS {
        step(&job);
        versions.push(job.snapshot().unwrap().version());
    }
    assert!(versions.is_sorted());
    for version in versions {
        let text = version.to_string();
        let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '-';
        assert!(text.chars().all(is_safe), "{text}");
        assert_eq!(text.parse(), Ok(version));
        for near in near_texts::near(&text) {
            if let Ok(other) = near.parse::<Version>() {
                assert_ne!(other, version, "{near:?}");
                assert_eq!(other.to_string(), near);
            }
        }
    }
}

/// Texts of other kinds are refused.
#[test]
fn other_texts_are_no_versions() {
    let id = JobRegistry::new().register(()).unwrap().detach();
    for text in [
        "",
        "-",
        "0-0",
        "1",
        "W/\"1-1\"",
        &id.to_string(),
        "é-1",
        "\0",
    ] {
        let error = text.parse::<Version>().unwrap_err();
        assert_eq!(error.name(), "not_a_version", "{text:?}");
        assert_eq!(error.to_string(), "not a version of a job");
    }
    let huge = "1".repeat(1 << 20);
    assert!(huge.parse::<Version>().is_err());
    assert!(format!("{huge}-{huge}").parse::<Version>().is_err());
    let _: &dyn std::error::Error = &"".parse::<Version>().unwrap_err();
    let refused: Result<Version, ParseVersionError> = "1-1".parse();
    assert_eq!(refused, "0-0".parse());
}

proptest! {
    /// A text is refused, or is the text of the version that it parses to.
    #[test]
    fn a_text_is_that_of_its_version(text in "[0-9a-f]{1,12}-[0-9a-f]{1,8}|[0-9a-zA-Z+ -]{0,9}|.*") {
        if let Ok(version) = text.parse::<Version>() {
            prop_assert_eq!(version.to_string(), text);
        }
    }
}
