//! `mintlet`: the command line.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = mintlet::cli::Cli::parse();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(mintlet::cli::run(cli));
            // What still looks up a host name is not waited for: it can take half a minute.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("mintlet: {error}");
            ExitCode::FAILURE
        }
    }
}
