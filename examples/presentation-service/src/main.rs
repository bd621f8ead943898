//! The program; see `--help`.

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
    // Work that is still busy after the deadline does not delay the exit.
    runtime.shutdown_background();
    code.unwrap_or_else(|error| failed(&*error))
}

fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
