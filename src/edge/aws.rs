//! The AWS clients: configured by hand, so that the function carries no credential chain and no region look-up.

use std::time::Duration;

use aws_sdk_dynamodb::{
    config::{BehaviorVersion, Credentials, Region, http::HttpResponse, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};

use crate::config::Aws;

// A token endpoint that waits is worse than one that says 503: callers retry, and API Gateway gives up after 30 s anyway.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_ATTEMPTS: u32 = 3;

/// The DynamoDB client of the function.
#[must_use]
pub fn dynamodb(aws: &Aws) -> aws_sdk_dynamodb::Client {
    let mut config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws.region.clone()))
        .credentials_provider(credentials(aws))
        .timeout_config(timeouts())
        .retry_config(retries());
    config.set_endpoint_url(aws.dynamodb_endpoint.clone());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

/// The Secrets Manager client of the function.
#[must_use]
pub fn secrets_manager(aws: &Aws) -> aws_sdk_secretsmanager::Client {
    let mut config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws.region.clone()))
        .credentials_provider(credentials(aws))
        .timeout_config(timeouts())
        .retry_config(retries());
    config.set_endpoint_url(aws.secrets_manager_endpoint.clone());
    aws_sdk_secretsmanager::Client::from_conf(config.build())
}

/// Why a call failed, for logs and terminals. Nothing of an answer's body is in it but the service's own code and message:
/// a body that could not be read may hold a key or a hash.
#[must_use]
pub fn fault<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata,
{
    match error {
        SdkError::ServiceError(context) => match (context.err().code(), context.err().message()) {
            // What is wrong with a signature is told by repeating what was signed, a session token included.
            (Some(code), Some(message)) if !code.contains("Signature") && !code.contains("Token") => {
                format!("{code}: {}", message.chars().take(300).collect::<String>())
            }
            (Some(code), _) => code.to_owned(),
            (None, _) => unreadable(context.raw()),
        },
        SdkError::ResponseError(context) => unreadable(context.raw()),
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) => {
            failure.as_connector_error().map_or_else(|| "no connection".to_owned(), |error| chain(error))
        }
        _ => "the request could not be made".to_owned(),
    }
}

fn unreadable(response: &HttpResponse) -> String {
    format!("an answer of HTTP status {} that cannot be read", response.status().as_u16())
}

// An error and what caused it, each in its own words.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn credentials(aws: &Aws) -> Credentials {
    Credentials::new(
        aws.access_key_id.as_str(),
        aws.secret_access_key.as_str(),
        aws.session_token.as_ref().map(|token| token.to_string()),
        None,
        "environment",
    )
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(Duration::from_millis(50))
}
