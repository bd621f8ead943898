//! Processor time of the heartbeats of many jobs.

use crate::pairs::whole;
use crate::server::{Server, processor_time};
use crate::steps::{Lane, Step, run};
use crate::{IN_FLIGHT, Result, registry};
use std::time::{Duration, Instant};

/// Jobs of each of the calls in flight: 10,048 in all.
const JOBS: usize = 157;
const EVERY: Duration = Duration::from_secs(5);
/// Time after which the first heartbeats have been sent.
const SETTLED: Duration = Duration::from_secs(8);
const MEASURED: Duration = Duration::from_secs(30);

pub(crate) async fn print(server: &Server) -> Result<()> {
    let jobs = registry(server, "heartbeats").await?;
    let lanes = (0..IN_FLIGHT).map(|_| Lane::Registry(jobs.clone(), Vec::new()));
    let mut lanes: Vec<Lane> = lanes.collect();
    run(&mut lanes, Step::Register, JOBS).await?;
    run(&mut lanes, Step::Start, JOBS).await?;
    let mut heartbeats = Vec::new();
    for lane in &lanes {
        if let Lane::Registry(_, jobs) = lane {
            heartbeats.extend(jobs.iter().map(|job| job.heartbeat_every(EVERY)));
        }
    }
    tokio::time::sleep(SETTLED).await;
    let processes = [std::process::id(), server.process()];
    let [client, at_server] = processes.map(processor_time);
    let (client, at_server, began) = (client?, at_server?, Instant::now());
    let scripts = server.scripts()?;
    tokio::time::sleep(MEASURED).await;
    let calls = server.scripts()?.calls - scripts.calls;
    let seconds = began.elapsed().as_secs_f64();
    let [client_now, server_now] = processes.map(processor_time);
    let part = |now: f64, before: f64| 100.0 * (now - before) / seconds;
    println!(
        "## Heartbeats\n\n\
         {} jobs, a heartbeat of each every {EVERY:?}, for {seconds:.0} seconds in {calls} calls.\n\n\
         | process | part of one core |\n|---|---:|\n\
         | client | {:.1} % |\n| server | {:.1} % |\n",
        whole(f64::from(u32::try_from(heartbeats.len())?)),
        part(client_now?, client),
        part(server_now?, at_server),
    );
    drop(heartbeats);
    run(&mut lanes, Step::Complete, JOBS).await?;
    Ok(())
}
