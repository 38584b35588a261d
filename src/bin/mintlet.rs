//! `mintlet`: the command line.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    mintlet::cli::run(mintlet::cli::Cli::parse()).await
}
