//! `rotate`: the Lambda function that Secrets Manager calls to rotate the signing keys.

use std::{process::ExitCode, sync::Arc};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use mintlet::{
    config::RotationConfig,
    edge::{
        aws::Connection,
        function, moment,
        rotation::{Event, RotationFault, Rotator},
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    function::start(RotationConfig::from_vars(function::environment()), |config| config.log_level, run).await
}

async fn run(config: RotationConfig) -> Result<(), Error> {
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
