//! Queries: the jobs and counts that `iter`, `counts` and `get` show.

use job_registry::{JobRegistry, Status};

/// P12: an iteration yields every job that is present throughout, however many jobs are registered
/// meanwhile.
#[test]
fn iteration_yields_every_job_that_stays() {
    let jobs = JobRegistry::new();
    let mut ids: Vec<_> = (0..50)
        .map(|payload| jobs.register(payload).unwrap().detach())
        .collect();
    for gone in ids.drain(..25) {
        jobs.cancel(gone).unwrap();
        jobs.remove(gone).unwrap();
    }
    let walk = jobs.iter();
    let newcomers = (50..75).map(|payload| jobs.register(payload).unwrap().detach());
    let newcomers: Vec<_> = newcomers.collect();
    let shown: Vec<_> = walk.map(|seen| seen.id()).collect();
    assert!(
        ids.iter().all(|id| shown.contains(id)),
        "a job was left out"
    );
    assert!(
        shown
            .iter()
            .all(|id| ids.contains(id) || newcomers.contains(id))
    );
}

/// Every job is counted under its status alone.
#[test]
fn counts_add_up() {
    let jobs = JobRegistry::new();
    for n in 0..7 {
        let job = jobs.register(()).unwrap();
        if n > 0 {
            job.start().unwrap();
        }
        match n {
            0 => {}
            1 => job.complete().unwrap(),
            2 => job.fail("no ink").unwrap(),
            3 => job.cancel().unwrap(),
            _ => assert_eq!(job.snapshot().unwrap().status(), Status::Running),
        }
        let _ = job.detach();
    }
    let counts = jobs.counts();
    assert_eq!((counts.pending, counts.running, counts.total()), (1, 3, 7));
}

/// P10: a very long reason and an empty one are kept as they are.
#[test]
fn reasons_of_any_length_are_kept() {
    let jobs = JobRegistry::new();
    for reason in [String::new(), "é".repeat(1 << 20)] {
        let job = jobs.register(()).unwrap();
        job.fail(reason.clone()).unwrap();
        assert_eq!(
            jobs.get(job.id()).unwrap().reason.as_deref(),
            Some(&*reason)
        );
    }
}
