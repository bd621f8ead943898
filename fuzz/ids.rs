//! Texts as ids: what parses is the one text of what it parsed to, and opens no job that is there.
#![no_main]

use job_registry::{JobId, JobRegistry, LookupError, Progress, RemoveError};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// With a job that is there and one that was.
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
    // A guess of 64 bits is not going to be right.
    assert_eq!(jobs.snapshot(id), Err(LookupError::NotFound));
    assert!(jobs.advance(id, Progress::DONE).is_err());
    assert!(jobs.update(id, |payload| *payload = 3).is_err());
    assert_eq!(jobs.remove(id), Err(RemoveError::NotFound));
    assert_eq!(jobs.get(*here).unwrap().payload, 2);
});
