//! The model of the runtime itself: each outcome of small programs on it occurs.

use super::{check_timed, ms};
use crate::loom_tests::harness::{Effort, claim, depth_first, outcomes};
use crate::sync::facade::runtime::start_clock;
use crate::sync::facade::runtime::{Notify, timeout};
use crate::sync::rt::thread::{self, Instant, Thread};
use crate::sync::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// Parks a thread for 10 ms and then for 5 ms, and unparks it once after `delay`. Returns the times
/// at which it left the two parks.
fn parks(delay: u64) -> (u128, u128) {
    let start = Instant::now();
    let parked = thread::spawn("parked", move || {
        thread::park_timeout(ms(10));
        let first = start.elapsed().as_millis();
        thread::park_timeout(ms(5));
        (first, start.elapsed().as_millis())
    })
    .unwrap();
    let handle = parked.thread().clone();
    let other = thread::spawn("other", move || {
        thread::park_timeout(ms(delay));
        handle.unpark();
    })
    .unwrap();
    other.join().unwrap();
    parked.join().unwrap()
}

#[test]
fn parked_thread_wakes_when_it_is_unparked() {
    let claim = claim!(parked_thread_wakes_when_it_is_unparked, [], []);
    check_timed(&claim, &[(5, 10)], &[], || parks(5));
}

/// The unpark precedes the end of the first park, or ends the second one.
#[test]
fn parked_thread_wakes_at_its_deadline() {
    let claim = claim!(parked_thread_wakes_at_its_deadline, [], []);
    check_timed(&claim, &[(10, 10), (10, 15)], &[], || parks(10));
}

/// The unpark is later than the park and does not count for it.
#[test]
fn parked_thread_does_not_wait_for_a_later_unpark() {
    let claim = claim!(parked_thread_does_not_wait_for_a_later_unpark, [], []);
    check_timed(&claim, &[(10, 12)], &[], || parks(12));
}

/// One operation of a thread in the programs below.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Add,
    /// Parks for a millisecond.
    Park,
    /// Waits for a notification for a millisecond.
    Wait,
    /// The second thread unparks the first one, which notifies.
    Wake,
}

const ALL: [Operation; 4] = [
    Operation::Add,
    Operation::Park,
    Operation::Wait,
    Operation::Wake,
];

struct Shared {
    sum: AtomicU64,
    notify: Notify,
    first: OnceLock<Thread>,
}

impl Operation {
    /// Returns what the thread observes.
    fn perform(self, shared: &Shared, by: u64) -> u64 {
        match self {
            Self::Add => return shared.sum.fetch_add(by, Ordering::SeqCst),
            Self::Park => thread::park_timeout(ms(1)),
            Self::Wait => {
                let notified = shared.notify.notified();
                let in_time = shuttle::future::block_on(timeout(ms(1), notified));
                return u64::from(in_time.is_ok());
            }
            Self::Wake => match shared.first.get() {
                Some(first) if by > 1 => first.unpark(),
                _ => shared.notify.notify_waiters(),
            },
        }
        0
    }
}

/// Runs a program. Returns what each operation observed, and when it ended.
fn execute(program: &(Vec<Operation>, Vec<Operation>)) -> Vec<(u64, u128)> {
    start_clock();
    let shared = Arc::new(Shared {
        sum: AtomicU64::new(0),
        notify: Notify::new(),
        first: OnceLock::new(),
    });
    let start = Instant::now();
    let threads = [(1, &program.0), (10, &program.1)].map(|(by, operations)| {
        let (own, operations) = (shared.clone(), operations.clone());
        let work = move || {
            let perform = |operation: Operation| {
                let seen = operation.perform(&own, by);
                (seen, start.elapsed().as_millis())
            };
            operations.into_iter().map(perform).collect::<Vec<_>>()
        };
        let spawned = thread::spawn("thread", work).unwrap();
        let _ = shared.first.set(spawned.thread().clone());
        spawned
    });
    threads.map(|thread| thread.join().unwrap()).concat()
}

/// The reduction has the same outcomes as shuttle's own search, which takes every interleaving.
#[test]
fn programs_with_time_show_the_same_in_every_interleaving() {
    /// Maximum number of interleavings of a program that is compared.
    const MOST: usize = 20_000;
    let programs = ALL
        .into_iter()
        .flat_map(|first| ALL.map(|second| (vec![first], vec![second])));
    let (mut reduced, mut whole, mut compared) = (0, 0, 0);
    for program in programs {
        let run = program.clone();
        let explored = outcomes(Effort::USUAL, move || execute(&run));
        assert!(explored.within.is_some(), "{program:?} did not finish");
        let seen = Arc::new(Mutex::new((Vec::new(), 0)));
        let all = seen.clone();
        let run = program.clone();
        let is_whole = depth_first(MOST, move || {
            let outcome = execute(&run);
            let mut seen = all.lock().unwrap();
            seen.1 += 1;
            if !seen.0.contains(&outcome) {
                seen.0.push(outcome);
            }
        });
        if !is_whole {
            continue;
        }
        compared += 1;
        let (mut seen, executions) = std::mem::take(&mut *seen.lock().unwrap());
        let mut expected = explored.outcomes;
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!(expected, seen, "{program:?}");
        reduced += explored.executions;
        whole += executions;
    }
    println!("{compared} programs: {reduced} executions for {whole}");
    assert!(compared >= 5 && reduced < whole);
}
