//! Texts as ids: a text that parses is the only text of its id, and finds no existing job.
#![no_main]

use job_registry::{JobId, JobRegistry, LookupError, Progress, RemoveError};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// A registry with one job, and the id of a removed one.
static JOBS: LazyLock<(JobRegistry<u32>, JobId)> = LazyLock::new(|| {
    let jobs = JobRegistry::new();
    let gone = jobs.register(1).unwrap().detach();
    jobs.cancel(gone).unwrap();
    jobs.remove(gone).unwrap();
    let here = jobs.register(2).unwrap().detach();
    jobs.start(here).unwrap();
    (jobs, here)
});

fuzz_target!(|text: &str| {
    let Ok(id) = text.parse::<JobId>() else {
        return;
    };
    assert_eq!(id.to_string(), text);
    let (jobs, here) = &*JOBS;
    // A random guess of 64 bits never succeeds.
    assert_eq!(jobs.snapshot(id), Err(LookupError::NotFound));
    assert!(jobs.advance(id, Progress::DONE).is_err());
    assert!(jobs.update(id, |payload| *payload = 3).is_err());
    assert_eq!(jobs.remove(id), Err(RemoveError::NotFound));
    assert_eq!(jobs.get(*here).unwrap().payload, 2);
});
