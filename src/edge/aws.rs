//! The AWS clients: configured by hand, so that the function carries no credential chain and no region look-up.

use std::time::Duration;

use ::http::header;
use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_dynamodb::{
    config::{
        BehaviorVersion, Credentials, IdentityCache, Region, SharedCredentialsProvider, StalledStreamProtectionConfig,
        http::HttpResponse, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::SharedHttpConnector,
        interceptors::{
            Intercept,
            context::{BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut},
            disable_interceptor, dyn_dispatch_hint,
        },
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::SdkConfig;

use super::{hook::ClaimsHook, http, roots};
use crate::config::{self, Aws, HookPlace};

// A token endpoint that waits is worse than one that says 503: callers retry, and API Gateway gives up after 30 s anyway.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_ATTEMPTS: u32 = 3;

/// What the clients of all services share, down to one TLS configuration and one pool of connections.
#[derive(Debug)]
pub struct Connection {
    shared: SdkConfig,
    connector: SharedHttpConnector,
    aws: Aws,
}

impl Connection {
    /// Prepares to reach AWS. Nothing is contacted yet.
    ///
    /// # Errors
    /// What is wrong with `AWS_CA_BUNDLE`.
    pub fn new(aws: &Aws) -> Result<Self, String> {
        let connector = http::connector(roots::of(aws.ca_bundle.as_deref())?, http::anywhere)?;
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(aws.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials(aws)))
            // The credentials are at hand, and an answer is waited for as a whole.
            .identity_cache(IdentityCache::no_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts())
            .retry_config(retries())
            .http_client(http::client(connector.clone()))
            .build();
        Ok(Self { shared, connector, aws: aws.clone() })
    }

    /// A client of DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.shared).interceptor(UserAgent);
        config.set_endpoint_url(self.aws.dynamodb_endpoint.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A client of Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.shared).interceptor(UserAgent);
        config.set_endpoint_url(self.aws.secrets_manager_endpoint.clone());
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// The claims hook of a configuration.
    #[must_use]
    pub fn claims_hook(&self, hook: &config::ClaimsHook) -> ClaimsHook {
        let connector = self.connector.clone();
        match &hook.place {
            HookPlace::Url(url) => ClaimsHook::stand_in(connector, url, hook.timeout),
            HookPlace::Function(name) => {
                let endpoint = self.aws.lambda_endpoint.clone().unwrap_or_else(|| lambda_endpoint(&self.aws.region));
                let place = (endpoint.as_str(), self.aws.region.as_str());
                ClaimsHook::function(connector, place, credentials(&self.aws), name, hook.timeout)
            }
        }
    }
}

// Says who asks, where CloudTrail shows it. The SDK's own says what features of it are in use, anew for each request, which takes
// a third of what signing takes.
#[derive(Debug)]
struct UserAgent;

#[dyn_dispatch_hint]
impl Intercept for UserAgent {
    fn name(&self) -> &'static str {
        "UserAgent"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let disabled = disable_interceptor::<UserAgentInterceptor>("there is another");
        state.interceptor_state().store_put(disabled);
        Ok(())
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().headers_mut().insert(header::USER_AGENT.as_str(), http::USER_AGENT);
        Ok(())
    }
}

// As AWS's own endpoint rules have it: another suffix in China alone.
fn lambda_endpoint(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://lambda.{region}.amazonaws.com{suffix}")
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

/// An error and what caused it, each in its own words.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
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
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(Duration::from_millis(50))
}
