//! The program; `--help` tells what it can do.

use clap::Parser;
use presentation_service::cli::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(cli::run(cli));
    // What is still busy after the deadline does not keep the process.
    runtime.shutdown_background();
    code.unwrap_or_else(|error| failed(&*error))
}

fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
