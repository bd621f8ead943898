//! Calls of apalis-redis for the benchmark of the registry on Redis. The argument is the URL of the
//! server.
//!
//! Each line of the input is a call, a number of jobs and a number of calls in flight. The answer
//! is the time that the calls took, in microseconds.

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use std::error::Error;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    // As many threads as the benchmark's own side has.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    runtime.block_on(async { tokio::spawn(answer()).await? })
}

async fn answer() -> Result<()> {
    let url = std::env::args().nth(1).ok_or("no URL")?;
    let connection = apalis_redis::connect(url.as_str()).await?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split(' ').collect();
        let (count, in_flight) = (words[1].parse()?, words[2].parse()?);
        let config = Config::default().batch_size(in_flight);
        let storage = RedisStorage::new(connection.clone()).with_config(config);
        let took = match words[0] {
            "add" => add(&storage, count, in_flight).await?,
            "work" => work(storage, count, in_flight).await?,
            other => return Err(format!("unknown call {other}").into()),
        };
        println!("{}", took.as_micros());
    }
    Ok(())
}

async fn add(storage: &RedisStorage<String>, count: usize, in_flight: usize) -> Result<Duration> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for lane in 0..in_flight {
        let mut storage = storage.clone();
        tasks.push(tokio::spawn(async move {
            for _ in (lane..count).step_by(in_flight) {
                storage.push("16 bytes, JSON".to_owned()).await?;
            }
            Result::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(began.elapsed())
}

/// Completes all jobs by a worker that does nothing.
async fn work(storage: RedisStorage<String>, count: usize, in_flight: usize) -> Result<Duration> {
    let mut connection = storage.clone().get_connection().clone();
    let done = storage.get_config().done_jobs_set();
    let size = redis::cmd("SCARD").arg(&done).to_owned();
    let before: usize = size.query_async(&mut connection).await?;
    let began = Instant::now();
    // A worker of a name that has been used waits until the earlier one is forgotten.
    let worker = WorkerBuilder::new(format!("benchmark {before}"))
        .backend(storage)
        .concurrency(in_flight)
        .build(async |_: String| Ok::<_, BoxDynError>(()));
    let worker = tokio::spawn(worker.run());
    loop {
        let now: usize = size.query_async(&mut connection).await?;
        if now >= before + count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    worker.abort();
    let _ = worker.await;
    Ok(took)
}
