//! What the Lambda functions have in common: how they start, and how they say why they cannot.

use std::process::ExitCode;

use lambda_runtime::Error;
use tracing::level_filters::LevelFilter;

use super::telemetry;
use crate::config::ConfigFaults;

/// The environment variables that are text.
#[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Starts logging and runs a function until its execution environment ends. All that is wrong with the configuration is said at once.
pub async fn start<C>(
    config: Result<C, ConfigFaults>,
    log_level: impl FnOnce(&C) -> LevelFilter,
    run: impl AsyncFnOnce(C) -> Result<(), Error>,
) -> ExitCode {
    let ended = match config {
        Ok(config) => {
            telemetry::start_json(log_level(&config));
            Box::pin(run(config)).await.inspect_err(|error| tracing::error!(error, "the Lambda runtime ended")).is_ok()
        }
        Err(faults) => {
            telemetry::start_json(LevelFilter::ERROR);
            tracing::error!("{faults}");
            false
        }
    };
    if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
