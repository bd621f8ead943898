//! Costs of the registry on Redis, as tables of Markdown. It starts its own servers, with an
//! append-only file. What is compared runs in turn on the same server.
//!
//! `cargo bench -p job-registry-redis`; with `-- peers` also beside job queues, and with `-- large`
//! also with 1,000,000 jobs. The names of parts, such as `-- steps`, print these alone.

mod bare;
mod growth;
mod heartbeats;
mod memory;
mod pairs;
mod server;
mod steps;

use job_registry_redis::JobRegistry;
use server::Server;
use std::error::Error;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Calls in flight where throughput is measured.
const IN_FLIGHT: usize = 64;
/// A payload as it is stored: 16 bytes of JSON.
const PAYLOAD: &str = "\"16 bytes, JSON\"";

fn main() -> Result<()> {
    // The server has the other core.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let parts = ["steps", "heartbeats", "memory", "growth"];
    let has = |word: &str| words.iter().any(|given| given == word);
    let is_chosen = |part: &str| has(part) || !parts.iter().any(|part| has(part));
    runtime.block_on(async {
        let server = Server::start()?;
        if is_chosen("steps") {
            steps::print(&server).await?;
        }
        if is_chosen("heartbeats") {
            heartbeats::print(&server).await?;
        }
        if is_chosen("memory") {
            memory::print().await?;
        }
        if is_chosen("growth") {
            growth::print(has("large")).await?;
        }
        Ok(())
    })
}

/// Returns a registry whose jobs have the limits of the benchmark.
async fn registry(server: &Server, namespace: &str) -> Result<JobRegistry<String>> {
    let builder = JobRegistry::builder(server.url(), namespace);
    Ok(builder
        .stall_after(Duration::from_secs(30))
        .connect()
        .await?)
}
