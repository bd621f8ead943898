//! Costs of the registry on Redis, as tables of Markdown. It starts its own servers, with an
//! append-only file. What is compared runs in turn on the same server.
//!
//! `cargo bench -p job-registry-redis -- [PART…] [all] [large]`. The parts are `steps`,
//! `heartbeats`, `memory`, `growth` and `peers`. By default all run but `peers`, which needs
//! Node.js, npm and a registry of crates; with `all` that runs, too. `large` adds 1,000,000 jobs to
//! `growth`.

mod bare;
mod growth;
mod heartbeats;
mod memory;
mod pairs;
mod peers;
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
    let parts = ["steps", "heartbeats", "memory", "growth", "peers"];
    let has = |word: &str| words.iter().any(|given| given == word);
    let is_named = parts.iter().any(|part| has(part));
    // Job queues need other programs.
    let is_chosen = |part: &str| has(part) || has("all") || !is_named && part != "peers";
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
        if is_chosen("peers") {
            peers::print(&server).await?;
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
