//! Memory of the server for each job.

use crate::pairs::whole;
use crate::server::Server;
use crate::steps::{Lane, Step, run};
use crate::{IN_FLIGHT, PAYLOAD, Result, registry};

/// Jobs of each of the calls in flight: 10,048 in all.
const JOBS: usize = 157;

pub(crate) async fn print() -> Result<()> {
    // A server of its own: memory that has been freed is used again.
    let server = Server::start()?;
    let jobs = registry(&server, "memory").await?;
    let lanes = (0..IN_FLIGHT).map(|_| Lane::Registry(jobs.clone(), Vec::new()));
    let mut lanes: Vec<Lane> = lanes.collect();
    let count = IN_FLIGHT * JOBS;
    println!(
        "## Memory of the server\n\n\
         {} jobs with a payload of {} bytes: the growth of `used_memory`.\n\n\
         | jobs | bytes for a job |\n|---|---:|",
        whole(f64::from(u32::try_from(count)?)),
        PAYLOAD.len()
    );
    let before = server.memory()?;
    for (step, state) in [
        (Step::Register, "pending"),
        (Step::Start, "running, with a limit of silence"),
        (Step::Complete, "completed, with a time of removal"),
    ] {
        run(&mut lanes, step, JOBS).await?;
        let grown = server.memory()?.saturating_sub(before);
        println!("| {state} | {} |", grown / u64::try_from(count)?);
    }
    println!();
    Ok(())
}
