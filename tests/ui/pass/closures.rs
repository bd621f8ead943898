// Each public function that takes a closure, without an annotation where none should be necessary.
use job_registry::{Error, Failure, Job, JobRegistry, Record};
use std::future::{Ready, pending, ready};
use std::sync::Arc;

fn push(pages: &mut Vec<u32>) -> usize {
    pages.push(7);
    pages.len()
}

fn count(record: Record<&Vec<u32>>) -> usize {
    record.payload.len()
}

fn print(record: &Record<Vec<u32>>) {
    println!("{}", record.payload.len());
}

fn update_and_read() -> Result<(), Error> {
    let jobs = JobRegistry::builder()
        .on_remove(|record: &Record<Vec<u32>>| print(record))
        .build();
    let same = JobRegistry::builder().on_remove(print).build();
    let _ = [&jobs, &same];
    let job = jobs.register(vec![1])?;
    let id = job.id();

    job.update(|pages| pages.push(2))?;
    jobs.update(id, |pages| pages.push(3))?;
    assert_eq!(job.update(push)?, 4);
    assert_eq!(jobs.update(id, push)?, 5);
    assert_eq!(jobs.read(id, |record| record.payload.len())?, 5);
    assert_eq!(jobs.read(id, count)?, 5);

    // The closure's own error needs its type, because nothing else names it.
    job.update(|pages| -> Result<(), Error> {
        pages.push("7".parse().map_err(|_| Error::OutOfRange)?);
        Ok(())
    })??;
    let text = jobs.read(id, |record| {
        String::from_utf8(vec![record.payload[0] as u8])
    })?;
    assert!(text.is_ok());
    Ok(())
}

async fn task(job: Arc<Job<Vec<u32>>>) -> Result<(), Failure> {
    job.update(|pages| pages.push(2))?;
    Ok(())
}

fn blocking(job: &Job<Vec<u32>>) -> Result<(), Failure> {
    job.update(|pages| pages.push(2))?;
    Ok(())
}

fn spawned(jobs: &JobRegistry<Vec<u32>>) -> Result<(), Error> {
    jobs.spawn(vec![1], async |_| Ok(()))?;
    jobs.spawn(vec![1], async |_| Err("a text".into()))?;
    jobs.spawn(vec![1], async |_| Err(format!("a {}", "text").into()))?;
    jobs.spawn(vec![1], async |_| Err("a text")?)?;
    jobs.spawn(vec![1], async |_| panic!("a text"))?;
    jobs.spawn(vec![1], async |_| pending().await)?;
    jobs.spawn(vec![1], async |job| Ok(job.update(|pages| pages.push(2))?))?;
    jobs.spawn(vec![1], |job| async move {
        job.update(|pages| pages.push(2))?;
        Ok(())
    })?;
    jobs.spawn(vec![1], |_| ready(Ok(())))?;
    jobs.spawn(vec![1], |_| -> Ready<_> { panic!("a text") })?;
    jobs.spawn(vec![1], |job| Box::pin(task(job)))?;
    jobs.spawn(vec![1], task)?;

    jobs.spawn_blocking(vec![1], |_| Ok(()))?;
    jobs.spawn_blocking(vec![1], |_| Err("a text".into()))?;
    jobs.spawn_blocking(vec![1], |_| Err("a text")?)?;
    jobs.spawn_blocking(vec![1], |_| panic!("a text"))?;
    jobs.spawn_blocking(vec![1], |job| Ok(job.update(|pages| pages.push(2))?))?;
    jobs.spawn_blocking(vec![1], |job| {
        let pages = std::fs::read_to_string("pages")?;
        let page = pages.trim().parse()?;
        job.update(|pages| pages.push(page))?;
        Ok(())
    })?;
    jobs.spawn_blocking(vec![1], blocking)?;
    Ok(())
}

fn main() {
    update_and_read().unwrap();
    let _ = spawned;
}
