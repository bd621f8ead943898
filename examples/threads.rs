//! Two threads work on one job, and a third polls it, without a runtime or an explicit lock. No
//! update is lost.
//!
//! `cargo run --example threads`

use job_registry::{Error, JobRegistry, Progress, Status};
use std::thread;
use std::time::Duration;

const PAGES: u64 = 20;

fn main() -> Result<(), Error> {
    let jobs = JobRegistry::new();
    let job = jobs.register(Vec::new())?;
    job.start()?;

    thread::scope(|s| {
        // Each draws every other page, and the second is slower, so that its reports come late.
        let workers = [0, 1].map(|first| {
            let job = &job;
            s.spawn(move || -> Result<(), Error> {
                for page in (first..PAGES).step_by(2) {
                    thread::sleep(Duration::from_millis(2 + 3 * first)); // renders it
                    job.update(|pages| pages.push(page))?;
                    job.advance(Progress::ratio(page + 1, PAGES)?)?;
                }
                Ok(())
            })
        });
        // A poller takes no lock, and needs the id alone.
        let (jobs, id) = (&jobs, job.id());
        let poller = s.spawn(move || -> Result<(), Error> {
            let mut seen = jobs.snapshot(id)?;
            while seen.status() == Status::Running {
                let next = jobs.snapshot(id)?;
                assert!(next.progress() >= seen.progress(), "it never goes backward");
                if next.progress() > seen.progress() {
                    println!("{}", next.progress());
                }
                seen = next;
            }
            println!("{}", seen.status());
            Ok(())
        });
        for worker in workers {
            worker.join().expect("a worker does not panic")?;
        }
        job.complete()?;
        poller.join().expect("the poller does not panic")
    })?;

    let mut pages = jobs.remove(job.id())?;
    pages.sort_unstable();
    assert!(pages.into_iter().eq(0..PAGES), "each page is there once");
    Ok(())
}
