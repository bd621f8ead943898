// `?` converts each error of the crate to its `Error`, to a box, and to the error of spawned work.
use job_registry::{
    Error, Failure, Job, JobId, JobRegistry, LockError, LookupError, ParseIdError, Progress,
    ProgressError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
use std::cell::Cell;
use std::sync::Arc;

/// Has a call for each error of the crate.
macro_rules! every_error {
    ($jobs:expr, $job:expr) => {{
        let id: JobId = $job.id().to_string().parse()?; // ParseIdError
        $jobs.snapshot(id)?; // LookupError
        $job.advance(Progress::percent(50.0)?)?; // StepError, ProgressError
        $job.update(|pages| *pages += 1)?; // LockError
        $jobs.read(id, |record| *record.payload)?; // ReadError
        let other = $jobs.register(0)?; // RegisterError<T>
        other.cancel()?;
        let other = other.retry()?; // RetryError
        other.cancel()?;
        other.remove()?; // RemoveError
    }};
}

fn to_error(jobs: &JobRegistry<u32>, job: &Job<u32>) -> Result<(), Error> {
    every_error!(jobs, job);
    Ok(())
}

fn to_box(jobs: &JobRegistry<u32>, job: &Job<u32>) -> Result<(), Box<dyn std::error::Error>> {
    every_error!(jobs, job);
    to_error(jobs, job)?;
    Ok(())
}

fn to_failure(jobs: &JobRegistry<u32>, job: &Job<u32>) -> Result<(), Failure> {
    every_error!(jobs, job);
    to_error(jobs, job)?;
    Ok(())
}

async fn task(job: Arc<Job<u32>>) -> Result<(), Failure> {
    to_failure(&JobRegistry::new(), &job)
}

fn spawned(jobs: &JobRegistry<u32>) -> Result<(), Error> {
    let all = jobs.clone();
    jobs.spawn(0, async move |job| {
        every_error!(all, job);
        tokio::task::yield_now().await;
        Ok(())
    })?;
    let all = jobs.clone();
    jobs.spawn(0, |job| async move {
        every_error!(all, job);
        task(job).await?;
        Ok(())
    })?;
    let all = jobs.clone();
    jobs.spawn_blocking(0, move |job| {
        every_error!(all, job);
        to_failure(&all, job)
    })?;
    Ok(())
}

/// A payload that is not `Sync` does not prevent `?` with `Error`.
fn with_any_payload(jobs: &JobRegistry<Cell<u32>>) -> Result<(), Error> {
    let all = jobs.clone();
    jobs.spawn_blocking(Cell::new(0), move |job| {
        job.update(|pages| pages.set(1))?;
        let other = all.register(Cell::new(1)).map_err(Error::from)?;
        other.start()?;
        Ok(())
    })?;
    Ok(())
}

/// Names each type, because a call may come to return another one.
fn each_type() {
    fn converts<E>()
    where
        Error: From<E>,
        Failure: From<E>,
        Box<dyn std::error::Error>: From<E>,
    {
    }
    converts::<StepError>();
    converts::<LockError>();
    converts::<LookupError>();
    converts::<ReadError>();
    converts::<RemoveError>();
    converts::<RetryError>();
    converts::<RegisterError<u32>>();
    converts::<ProgressError>();
    converts::<ParseIdError>();
    converts::<Error>();
}

fn main() {
    let jobs = JobRegistry::new();
    let job = jobs.register(0).unwrap();
    job.start().unwrap();
    to_error(&jobs, &job).unwrap();
    to_box(&jobs, &job).unwrap();
    to_failure(&jobs, &job).unwrap();
    each_type();
    let _ = (spawned, with_any_payload);
}
