//! `page`: a walk over all jobs in parts.

use job_registry::{Cursor, Error, JobId, JobRegistry, LookupError, Snapshot};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeSet;

fn ids<T: Send + 'static>(
    jobs: &JobRegistry<T>,
    cursor: Cursor,
    n: usize,
) -> (Vec<JobId>, Option<Cursor>) {
    let page = jobs.page(cursor, n);
    (page.jobs.iter().map(Snapshot::id).collect(), page.next)
}

/// P12: pages of every size give all jobs once, over several chunks of the table.
#[test]
fn pages_of_every_size_give_all_jobs_once() {
    let jobs = JobRegistry::new();
    let registered = (0..2_500).map(|n| (n, jobs.register(n).unwrap().detach()));
    let (gone, all): (Vec<_>, Vec<_>) = registered.partition(|(n, _)| n % 5 == 2);
    for (n, id) in gone {
        jobs.cancel(id).unwrap();
        assert_eq!(jobs.remove(id), Ok(n));
    }
    let mut all: Vec<_> = all.into_iter().map(|(_, id)| id).collect();
    all.sort_unstable();
    for n in [1, 7, 1_999, 2_000, 2_001, usize::MAX] {
        let (mut seen, mut next) = (Vec::new(), Some(Cursor::default()));
        while let Some(cursor) = next {
            let (some, after) = ids(&jobs, cursor, n);
            assert!(some.len() == n || after.is_none(), "a short page of {n}");
            seen.extend(some);
            next = after;
        }
        seen.sort_unstable();
        assert_eq!(seen, all, "in pages of {n}");
    }
}

/// An empty page has the cursor that it was given, wherever it is.
#[test]
fn page_of_no_jobs_stays_where_it_is() {
    let jobs = JobRegistry::new();
    for _ in 0..3 {
        let _ = jobs.register(()).unwrap().detach();
    }
    let (_, second) = ids(&jobs, Cursor::default(), 1);
    for cursor in [Cursor::default(), second.unwrap()] {
        assert_eq!(ids(&jobs, cursor, 0), (vec![], Some(cursor)));
    }
}

/// P4: a registry without jobs, and a cursor that no page has given, have an empty last page.
#[test]
fn forged_cursors_give_an_empty_last_page() {
    let none = JobRegistry::<()>::builder().capacity(0).build();
    assert_eq!(ids(&none, Cursor::default(), 5), (vec![], None));
    let jobs = JobRegistry::new();
    let _ = jobs.register(()).unwrap().detach();
    for text in ["1", "1023", "1024", "536870912", "4294967294", "4294967295"] {
        let cursor: Cursor = text.parse().unwrap();
        assert_eq!(ids(&jobs, cursor, usize::MAX), (vec![], None), "{text}");
        assert_eq!(ids(&jobs, cursor, 0), (vec![], Some(cursor)), "{text}");
    }
}

/// A cursor has one text, and no other text is a cursor.
#[test]
fn cursors_have_one_text() {
    for text in [
        "",
        "-1",
        "+1",
        "01",
        "00",
        " 1",
        "1 ",
        "1.0",
        "0x1",
        "a",
        "4294967296",
        "٣",
    ] {
        let error = text.parse::<Cursor>().unwrap_err();
        assert_eq!(error.name(), "not_a_cursor", "{text:?}");
        let any = Error::from(error.clone());
        assert_eq!((any, any.name()), (Error::NotACursor, error.name()));
        assert_eq!(any.to_string(), error.to_string());
    }
    assert_eq!(format!("{:>3}", Cursor::default()), "  0");
}

#[derive(Clone, Debug)]
enum Step {
    Register,
    Remove(Index),
    Page(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Register),
        3 => any::<Index>().prop_map(Step::Remove),
        2 => (0usize..9).prop_map(Step::Page),
    ]
}

proptest! {
    #[test]
    fn cursors_round_trip(text in "[0-9]{0,11}|\\PC{0,4}") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string(), text);
        }
    }

    /// P12: beside any registrations and removals, a walk gives every job that stays exactly once,
    /// and no job twice or after its removal.
    #[test]
    fn walk_gives_every_job_that_stays_once(
        before in 0usize..40,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let jobs = JobRegistry::new();
        let register = || jobs.register(()).unwrap().detach();
        let mut there: Vec<_> = (0..before).map(|_| register()).collect();
        let mut stay: BTreeSet<_> = there.iter().copied().collect();
        let (mut seen, mut next) = (BTreeSet::new(), Some(Cursor::default()));
        let rest = [Step::Page(usize::MAX)];
        for step in steps.into_iter().chain(rest) {
            match step {
                Step::Register => there.push(register()),
                Step::Remove(which) => if !there.is_empty() {
                    let id = there.swap_remove(which.index(there.len()));
                    stay.remove(&id);
                    jobs.cancel(id).unwrap();
                    jobs.remove(id).unwrap();
                    prop_assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
                }
                Step::Page(n) => if let Some(cursor) = next {
                    let (some, after) = ids(&jobs, cursor, n);
                    prop_assert!(some.len() == n || after.is_none());
                    for id in some {
                        prop_assert!(there.contains(&id) && seen.insert(id), "{}", id);
                    }
                    next = after;
                }
            }
        }
        prop_assert_eq!(next, None);
        prop_assert!(seen.is_superset(&stay));
    }
}

/// P12: the same, while other threads register and remove.
#[test]
fn walk_beside_other_threads_gives_every_job_that_stays_once() {
    let jobs = JobRegistry::new();
    let mut stay = BTreeSet::new();
    for n in 0..3_000 {
        let id = jobs.register(n).unwrap().detach();
        if n % 3 == 0 {
            stay.insert(id);
        } else {
            jobs.cancel(id).unwrap();
            jobs.remove(id).unwrap();
        }
    }
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    let some: Vec<_> = (0..50).map(|n| jobs.register(n).unwrap()).collect();
                    for job in some {
                        job.cancel().unwrap();
                        job.remove().unwrap();
                    }
                }
            });
        }
        for n in [1, 10, 100] {
            let (mut seen, mut next) = (BTreeSet::new(), Some(Cursor::default()));
            while let Some(cursor) = next {
                let (some, after) = ids(&jobs, cursor, n);
                assert!(some.into_iter().all(|id| seen.insert(id)));
                next = after;
            }
            assert!(seen.is_superset(&stay));
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
