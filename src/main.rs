//! `token`: the Lambda function.

use std::{process::ExitCode, sync::Arc};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use mintlet::{
    config::Config,
    edge::{
        apigw::{Event, Reply},
        function,
        handler::Handler,
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    function::start(Config::from_vars(function::environment()), |config| config.log_level, run).await
}

async fn run(config: Config) -> Result<(), Error> {
    let handler = Arc::new(Handler::new(&config)?);
    handler.warm_up(&config.settings).await;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| {
        let handler = Arc::clone(&handler);
        async move {
            let response = handler.handle(&event.payload.call, &event.context.request_id).await;
            Ok::<Reply, Error>(event.payload.reply(response))
        }
    }))
    .await
}
