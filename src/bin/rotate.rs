//! `rotate`: the Lambda function that Secrets Manager calls to rotate the signing keys.

use std::{process::ExitCode, sync::Arc};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use mintlet::{
    config::RotationConfig,
    edge::{
        aws::Connection,
        moment,
        rotation::{Event, RotationFault, Rotator},
        telemetry,
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
    let vars =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    match RotationConfig::from_vars(vars) {
        Ok(config) => {
            telemetry::start_json(config.log_level);
            match run(&config).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(error, "the Lambda runtime ended");
                    ExitCode::FAILURE
                }
            }
        }
        Err(faults) => {
            telemetry::start_json(tracing::level_filters::LevelFilter::ERROR);
            tracing::error!("{faults}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: &RotationConfig) -> Result<(), Error> {
    let sdk = Connection::new(&config.aws)?.secrets_manager();
    let rotator = Arc::new(Rotator::new(sdk, &config.secret_id, config.lead));
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| {
        let rotator = Arc::clone(&rotator);
        async move {
            let done = rotator.handle(&event.payload, moment::now()).await;
            done.inspect_err(|fault: &RotationFault| tracing::error!(step = ?event.payload.step, "{fault}"))
        }
    }))
    .await
}
