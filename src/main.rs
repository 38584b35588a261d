//! `token`: the Lambda function.

use std::{process::ExitCode, sync::Arc};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use mintlet::{
    config::Config,
    edge::{
        apigw::{Event, Reply},
        handler::Handler,
        telemetry,
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
    let vars =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    match Config::from_vars(vars) {
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

async fn run(config: &Config) -> Result<(), Error> {
    let handler = Arc::new(Handler::new(config)?);
    handler.warm_up().await;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| {
        let handler = Arc::clone(&handler);
        async move {
            let response = handler.handle(&event.payload.call, &event.context.request_id).await;
            Ok::<Reply, Error>(event.payload.reply(response))
        }
    }))
    .await
}
