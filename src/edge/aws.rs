//! The AWS clients: configured by hand, so that the function carries no credential chain and no region look-up.

use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig};

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
