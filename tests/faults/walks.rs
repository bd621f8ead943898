//! Walks over all jobs while jobs come and go.

use job_registry::JobRegistry;

/// P12: a walk shows every job that is there the whole time, however many come after it has begun.
#[test]
fn walk_shows_whatever_stays() {
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
