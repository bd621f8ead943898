//! P9, scenarios 28, 29 and 39: a watcher always learns the end, and never waits for a dropped
//! registry.

use crate::wakers::{wait, waker};
use crate::watchdog::in_time;
use job_registry::{JobRegistry, Progress, Snapshot, Status, Watch};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// Returns every item that the watch has left. All of them, the end included, must be ready.
fn rest<T>(watch: &mut Watch<T>) -> Vec<Snapshot> {
    let mut seen = Vec::new();
    let mut next = || {
        let poll = pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_ready(), "after {seen:?} the watch waits");
        let Poll::Ready(item) = poll else { return None };
        seen.extend(item);
        item
    };
    while next().is_some() {}
    seen
}

fn statuses(seen: &[Snapshot]) -> Vec<Status> {
    seen.iter().map(Snapshot::status).collect()
}

/// P9: the watch of a dropped registry finishes without an end, because the job has none.
#[test]
fn waiting_watcher_is_woken_when_the_registry_is_dropped() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let id = jobs.register(()).unwrap().detach();
        let mut watch = jobs.watch(id).unwrap();
        let woken = Arc::new(AtomicUsize::new(0));
        let waker = waker({
            let woken = woken.clone();
            move || {
                woken.fetch_add(1, Ordering::SeqCst);
            }
        });
        wait(&mut watch, &waker);
        let waiting = thread::spawn(move || pollster::block_on(watch.changed()));
        drop(jobs);
        assert_eq!(waiting.join().unwrap(), None);
    });
}

/// P9: the watches are dropped with a registered waker and without a poll under way.
#[test]
fn every_waker_is_woken_when_the_registry_is_dropped() {
    let jobs = JobRegistry::new();
    let woken = Arc::new(AtomicUsize::new(0));
    let mut watches = Vec::new();
    for _ in 0..50 {
        let id = jobs.register(()).unwrap().detach();
        for _ in 0..2 {
            let woken = woken.clone();
            let mut watch = jobs.watch(id).unwrap();
            wait(
                &mut watch,
                &waker(move || {
                    woken.fetch_add(1, Ordering::SeqCst);
                }),
            );
            watches.push(watch);
        }
    }
    drop(jobs);
    assert_eq!(woken.load(Ordering::SeqCst), 100);
    for watch in &mut watches {
        assert_eq!(rest(watch), []);
    }
}

/// P6 and P9: a watch keeps neither the registry nor the payload alive.
#[test]
fn watch_does_not_keep_the_registry_alive() {
    let jobs = JobRegistry::new();
    let payload = Arc::new(());
    let id = jobs.register(payload.clone()).unwrap().detach();
    let watch = jobs.watch(id).unwrap();
    drop(jobs);
    assert_eq!(Arc::strong_count(&payload), 1);
    drop(watch);
}

/// P9, scenario 28: a late watcher learns how the job ended, even if the job has been removed. It
/// learns it even if other jobs have used the slot since.
#[test]
fn slow_watcher_learns_the_end_after_the_removal() {
    for successors in 0..3 {
        in_time(move || {
            let jobs = JobRegistry::builder().capacity(1).build();
            let job = jobs.register(0).unwrap();
            let never_looked = job.watch().unwrap();
            let mut looked_once = job.watch().unwrap();
            let mut waited = job.watch().unwrap();
            assert!(pollster::block_on(looked_once.changed()).is_some());
            wait(&mut waited, &waker(|| ()));
            job.start().unwrap();
            job.advance(Progress::percent(30.0).unwrap()).unwrap();
            job.fail("reason").unwrap();
            let end = job.snapshot().unwrap();
            job.remove().unwrap();
            for n in 0..successors {
                let next = jobs.register(n).unwrap();
                next.start().unwrap();
                next.complete().unwrap();
                next.remove().unwrap();
            }
            for mut watch in [never_looked, looked_once, waited] {
                assert_eq!(
                    rest(&mut watch),
                    [end],
                    "the end, once, and no item of other jobs"
                );
                assert_eq!(pollster::block_on(watch.changed()), None);
            }
            drop(jobs);
        });
    }
}

/// P9: a sweep leaves the end for the watchers just as `remove` does.
#[test]
fn slow_watcher_learns_the_end_after_a_sweep() {
    let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
    let id = jobs.register(()).unwrap().detach();
    let mut watch = jobs.watch(id).unwrap();
    jobs.cancel(id).unwrap();
    thread::sleep(Duration::from_millis(2));
    assert_eq!(jobs.sweep().removed, 1);
    assert_eq!(statuses(&rest(&mut watch)), [Status::Cancelled]);
}

/// P9, scenario 39: a subscriber that comes after the end gets it at once.
#[test]
fn late_subscriber_gets_the_end_at_once() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    job.complete().unwrap();
    let mut watch = job.watch().unwrap();
    assert_eq!(rest(&mut watch), [job.snapshot().unwrap()]);
}

/// P1 and P9: a reader that is slower than the changes gets the latest of them. It gets the end
/// that follows the last progress at once (scenario 22).
#[test]
fn slow_reader_gets_the_latest() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    let mut watch = job.watch().unwrap();
    job.start().unwrap();
    for percent in 1..=99 {
        job.advance(Progress::ratio(percent, 100).unwrap()).unwrap();
    }
    let seen = pollster::block_on(watch.changed()).unwrap();
    assert_eq!(seen.progress(), Progress::ratio(99, 100).unwrap());
    job.complete().unwrap();
    let end = rest(&mut watch);
    assert_eq!(
        (statuses(&end), end[0].progress()),
        (vec![Status::Completed], Progress::DONE)
    );
}

/// P9: a watch that was opened before a retry continues with the next attempt.
#[test]
fn watch_continues_with_the_next_attempt() {
    let jobs = JobRegistry::new();
    let first = jobs.register(()).unwrap();
    let mut watch = first.watch().unwrap();
    first.fail("reason").unwrap();
    let second = first.retry().unwrap();
    let seen = pollster::block_on(watch.changed()).unwrap();
    assert_eq!((seen.attempt(), seen.status()), (2, Status::Pending));
    second.cancel().unwrap();
    assert_eq!(statuses(&rest(&mut watch)), [Status::Cancelled]);
}

/// P9: late, smaller progress changes nothing, and wakes no watcher.
#[test]
fn advance_that_changes_nothing_wakes_no_watcher() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    job.advance(Progress::DONE).unwrap();
    let mut watch = job.watch().unwrap();
    let woken = Arc::new(AtomicUsize::new(0));
    let waker = waker({
        let woken = woken.clone();
        move || {
            woken.fetch_add(1, Ordering::SeqCst);
        }
    });
    wait(&mut watch, &waker);
    assert_eq!(job.advance(Progress::ZERO), Ok(Progress::DONE));
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    job.complete().unwrap();
    assert_eq!(woken.load(Ordering::SeqCst), 1);
}

/// P9: watches of one job that come, wait and are dropped do not take each other's wakes.
#[test]
fn dropped_watch_leaves_the_other_watches_registered() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(()).unwrap();
        let mut stays = job.watch().unwrap();
        let mut goes = job.watch().unwrap();
        let woken = Arc::new(AtomicUsize::new(0));
        let waker_of = |woken: &Arc<AtomicUsize>| {
            let woken = woken.clone();
            waker(move || {
                woken.fetch_add(1, Ordering::SeqCst);
            })
        };
        wait(&mut goes, &waker_of(&woken));
        wait(&mut stays, &waker_of(&woken));
        drop(goes);
        job.start().unwrap();
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        job.complete().unwrap();
        assert_eq!(statuses(&rest(&mut stays)), [Status::Completed]);
    });
}

/// P9: watches of one job are dropped in varying order, and others are opened. Each change wakes
/// every watch that is there.
#[test]
fn change_wakes_every_watch_after_others_were_dropped() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    let woken = Arc::new(AtomicUsize::new(0));
    let open = || {
        let mut watch = job.watch().unwrap();
        let woken = woken.clone();
        let count = waker(move || {
            woken.fetch_add(1, Ordering::SeqCst);
        });
        wait(&mut watch, &count);
        watch
    };
    let mut watches: Vec<_> = (0..7).map(|_| open()).collect();
    for step in 1..=200 {
        for multiplier in [3, 5] {
            drop(watches.swap_remove(step * multiplier % watches.len()));
        }
        watches.insert(step % watches.len(), open());
        watches.push(open());
        let progress = Progress::ratio(step as u64, 1000).unwrap();
        job.advance(progress).unwrap();
        assert_eq!(woken.swap(0, Ordering::SeqCst), watches.len());
        for watch in &mut watches {
            *watch = open();
        }
    }
    job.complete().unwrap();
    for watch in &mut watches {
        assert_eq!(statuses(&rest(watch)), [Status::Completed]);
    }
}

/// P9: the watches of several jobs share a slot. Each learns the end of its own job.
#[test]
fn removal_reaches_the_watches_of_its_job_alone() {
    let jobs = JobRegistry::builder().capacity(1).build();
    let mut watches = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..3 {
        let job = jobs.register(()).unwrap();
        watches.push([(); 3].map(|()| job.watch().unwrap()));
        job.cancel().unwrap();
        ends.push(job.snapshot().unwrap());
        // A dropped watch moves the entry of another one.
        drop(job.watch().unwrap());
        job.remove().unwrap();
    }
    for (watches, end) in watches.into_iter().zip(ends) {
        let [first, dropped, third] = watches;
        drop(dropped);
        for mut watch in [first, third] {
            assert_eq!(rest(&mut watch), [end]);
        }
    }
}

/// P9 and P10: a watch through retries shows each attempt, and finishes when the job completes.
#[test]
fn watch_through_retries_ends_with_the_completion() {
    let jobs = JobRegistry::new();
    let first = jobs.register(()).unwrap();
    let id = first.id();
    let mut watch = jobs.watch(id).unwrap().through_retries();
    let mut seen = Vec::new();
    let mut next = |watch: &mut Watch<()>| {
        let snapshot = watch.wait().unwrap();
        seen.push((snapshot.attempt(), snapshot.status()));
    };
    next(&mut watch);
    first.fail("no paper").unwrap();
    next(&mut watch);
    let second = jobs.retry(id).unwrap();
    next(&mut watch);
    second.cancel().unwrap();
    next(&mut watch);
    let third = jobs.retry(id).unwrap();
    third.start().unwrap();
    third.complete().unwrap();
    next(&mut watch);
    assert_eq!(watch.wait(), None);
    assert_eq!(watch.wait(), None);
    let expected = [
        (1, Status::Pending),
        (1, Status::Failed),
        (2, Status::Pending),
        (2, Status::Cancelled),
        (3, Status::Completed),
    ];
    assert_eq!(seen, expected);
}

/// P9: a removal finishes a watch through retries. The last state is shown once, whether or not the
/// watch has seen it before.
#[test]
fn removal_finishes_a_watch_through_retries() {
    for seen_before in [false, true] {
        let jobs = JobRegistry::new();
        let job = jobs.register(()).unwrap();
        let mut watch = job.watch().unwrap().through_retries();
        assert_eq!(watch.wait().unwrap().status(), Status::Pending);
        job.fail("no paper").unwrap();
        if seen_before {
            assert_eq!(watch.wait().unwrap().status(), Status::Failed);
        }
        job.remove().unwrap();
        let rest: Vec<_> = std::iter::from_fn(|| watch.wait()).collect();
        assert_eq!(rest.len(), usize::from(!seen_before), "{rest:?}");
        assert!(rest.iter().all(|seen| seen.status() == Status::Failed));
    }
}

/// P9: a thread without an executor is woken by each kind of change, and by the end.
#[test]
fn waiting_thread_is_woken_by_each_change() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(0).unwrap();
        let mut watch = job.watch().unwrap();
        assert!(watch.wait().is_some());
        let waiting = thread::spawn(move || std::iter::from_fn(move || watch.wait()).last());
        job.start().unwrap();
        job.update(|number| *number += 1).unwrap();
        job.note("half done").unwrap();
        job.complete().unwrap();
        let last = waiting.join().unwrap();
        assert_eq!(last, Some(job.snapshot().unwrap()));
    });
}
