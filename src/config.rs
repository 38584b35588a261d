//! The configuration: environment variables, read once, every fault reported at once.
//!
//! | variable | what it says | default |
//! |---|---|---|
//! | `ISSUER` | the issuer's URL: `https`, or `http` on a loopback address; a path is allowed, query and fragment are not | what API Gateway says it was called as |
//! | `CLIENTS_TABLE` | the DynamoDB table of clients | `mintlet-clients` |
//! | `STATE_TABLE` | the DynamoDB table of short-lived state | `mintlet-state` |
//! | `SIGNING_KEYS_SECRET_ID` | the Secrets Manager secret that holds the key ring: name or ARN | one of the two is required |
//! | `SIGNING_KEYS_FILE` | a file that holds the key ring, of mode 0600 | |
//! | `DIALECTS` | which dialects are on: `oauth2`, `screening-eagle`, `frontier`, `eventhos`, separated by commas | all four |
//! | `ACCESS_TOKEN_LIFETIME` | seconds for which a token is good, where its client says nothing else: 60 to 86400 | `3600` |
//! | `DPOP_NONCE` | `required` or `off`: whether a `DPoP` proof needs a nonce of the server's | `off` |
//! | `MTLS_BASE_URL` | the base URL at which API Gateway asks for a client certificate (RFC 8705): `https`; a path is allowed; turns mutual TLS on | mutual TLS is off |
//! | `CLOUDFRONT_ORIGIN_SECRET` | what CloudFront sends as `X-Origin-Verify`, so that its client certificate header is believed: 32 characters or more; turns mutual TLS on | that header is ignored |
//! | `CLAIMS_HOOK_FUNCTION` | a Lambda function to ask before a token is signed: name or ARN | no function is asked |
//! | `CLAIMS_HOOK_URL` | a stand-in for it on this machine: `http`, on a loopback address | |
//! | `CLAIMS_HOOK_TIMEOUT` | seconds for which its answer is waited for: 1 to 5 | `1` |
//! | `JWKS_URI_HOSTS` | the hosts that a client's `jwks_uri` may have, separated by commas: names alone, each as it stands in the URL | no `jwks_uri` is read |
//! | `SSL_CERT_FILE` | a PEM file of the roots to trust where a `jwks_uri` is read | the system's own |
//! | `AUTHORIZATION_DETAILS_TYPES` | the types of `authorization_details` that the metadata announces (RFC 9396), separated by commas; which a client may ask for is in its record | none |
//! | `CLIENT_CACHE_TTL` | seconds for which an instance may use a client it has read: 0 (off) to 3600 | `30` |
//! | `KEYS_CACHE_TTL` | seconds after which an instance reads the key ring again: 1 to 3600 | `300` |
//! | `SECRET_EXPIRY_WARNING` | seconds before its expiry from which the use of a client secret is warned of: 0 (off) to 7776000 | `604800` |
//! | `ROTATION_LEAD` | of the rotation function: seconds for which a new key is published before it signs: 14700 to 604800 | `86400` |
//! | `LOG_LEVEL` | `error`, `warn`, `info` or `debug`; a release build has nothing finer than `info` | `info` |
//! | `AWS_REGION` | the region (AWS Lambda sets it) | required |
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | the credentials (AWS Lambda sets them) | the first two are required |
//! | `AWS_CA_BUNDLE` | a PEM file of the roots to trust instead, for endpoints whose certificates are not Amazon's | Amazon's own roots |
//! | `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_ENDPOINT_URL_LAMBDA`, `AWS_ENDPOINT_URL` | other endpoints than AWS's own, the specific one first | AWS's own |
//!
//! A variable that is empty counts as not set.

mod rotation;
mod vars;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

pub use self::rotation::RotationConfig;
pub(crate) use self::vars::parse_issuer;
use self::vars::{Vars, base_path, parse_dialects, parse_switch};
use crate::{
    dialect::DIALECTS,
    oauth::{client::Lifetime, jwks_uri::AllowedUris},
    service::Settings,
};

/// Everything that a deployment can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the service itself needs.
    pub settings: Settings,
    /// `CLIENTS_TABLE`.
    pub clients_table: String,
    /// `STATE_TABLE`.
    pub state_table: String,
    /// `SIGNING_KEYS_SECRET_ID` or `SIGNING_KEYS_FILE`.
    pub signing_keys: SigningKeys,
    /// `CLAIMS_HOOK_FUNCTION` or `CLAIMS_HOOK_URL`.
    pub claims_hook: Option<ClaimsHook>,
    /// `JWKS_URI_HOSTS`, if a `jwks_uri` is read at all.
    pub published_keys: Option<PublishedKeys>,
    /// `CLIENT_CACHE_TTL`, seconds.
    pub client_cache_ttl: u64,
    /// `KEYS_CACHE_TTL`, seconds.
    pub keys_cache_ttl: u64,
    /// `SECRET_EXPIRY_WARNING`, seconds; 0: no warning.
    pub secret_expiry_warning: u64,
    /// `LOG_LEVEL`.
    pub log_level: LevelFilter,
    /// How AWS is reached.
    pub aws: Aws,
}

/// Where the key ring is.
/// `Debug` names the place only.
#[derive(Clone, PartialEq, Eq)]
pub enum SigningKeys {
    /// A secret in Secrets Manager: its name or ARN.
    Secret(String),
    /// A file of mode 0600.
    File(PathBuf),
    /// The ring itself, for a server that keeps nothing (`mintlet serve --in-memory`).
    Inline(Arc<Zeroizing<Vec<u8>>>),
}

/// Who is asked before a token is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimsHook {
    /// Where it is.
    pub place: HookPlace,
    /// `CLAIMS_HOOK_TIMEOUT`.
    pub timeout: Duration,
}

/// Where a claims hook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookPlace {
    /// A Lambda function: its name or ARN.
    Function(String),
    /// A URL on this machine.
    Url(String),
}

/// How the keys are reached that clients publish themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKeys {
    /// `JWKS_URI_HOSTS`.
    pub allowed: AllowedUris,
    /// `SSL_CERT_FILE`.
    pub roots: Option<PathBuf>,
}

/// How AWS is reached. `Debug` leaves the credentials out.
#[derive(Clone)]
pub struct Aws {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Zeroizing<String>,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<Zeroizing<String>>,
    /// `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, or else `AWS_ENDPOINT_URL`.
    pub dynamodb_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`, or else `AWS_ENDPOINT_URL`.
    pub secrets_manager_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_LAMBDA`, or else `AWS_ENDPOINT_URL`.
    pub lambda_endpoint: Option<String>,
}

/// Every fault of a configuration, one text each. No text repeats a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFaults(pub Vec<String>);

/// The default of `CLIENTS_TABLE`.
pub const CLIENTS_TABLE: &str = "mintlet-clients";
/// The default of `STATE_TABLE`.
pub const STATE_TABLE: &str = "mintlet-state";

impl Config {
    /// Reads the configuration from environment variables.
    ///
    /// # Errors
    /// [`ConfigFaults`] with every fault there is.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigFaults> {
        let mut vars = Vars::new(vars);
        let issuer =
            vars.read("ISSUER", |text| parse_issuer(text).ok_or("is not an https URL without query and fragment"));
        let config = Self {
            settings: Settings {
                base_path: issuer.as_deref().map(base_path).unwrap_or_default().to_owned(),
                issuer,
                dialects: vars
                    .read("DIALECTS", |text| parse_dialects(text).ok_or("names a dialect that there is not"))
                    .unwrap_or_else(|| DIALECTS.iter().map(|dialect| dialect.name).collect()),
                access_token_lifetime: vars
                    .read("ACCESS_TOKEN_LIFETIME", |text| {
                        text.parse()
                            .ok()
                            .and_then(|seconds| Lifetime::from_seconds(seconds).ok())
                            .ok_or("is not 60..=86400 seconds")
                    })
                    .unwrap_or_default(),
                requires_dpop_nonce: vars
                    .read("DPOP_NONCE", |text| parse_switch(text, "required").ok_or("is not required or off"))
                    .unwrap_or_default(),
                mutual_tls: vars.mutual_tls(),
                authorization_details_types: vars
                    .text("AUTHORIZATION_DETAILS_TYPES")
                    .map(|text| text.split(',').map(|name| name.trim().to_owned()).collect())
                    .unwrap_or_default(),
            },
            clients_table: vars.text("CLIENTS_TABLE").unwrap_or_else(|| CLIENTS_TABLE.to_owned()),
            state_table: vars.text("STATE_TABLE").unwrap_or_else(|| STATE_TABLE.to_owned()),
            signing_keys: vars.signing_keys(),
            claims_hook: vars.claims_hook(),
            published_keys: vars.published_keys(),
            client_cache_ttl: vars.seconds("CLIENT_CACHE_TTL", 0, 30),
            keys_cache_ttl: vars.seconds("KEYS_CACHE_TTL", 1, 300),
            secret_expiry_warning: vars
                .read("SECRET_EXPIRY_WARNING", |text| {
                    let seconds = text.parse().ok().filter(|seconds| *seconds <= 90 * 24 * 60 * 60);
                    seconds.ok_or("is not 0..=7776000 seconds")
                })
                .unwrap_or(7 * 24 * 60 * 60),
            log_level: vars.log_level(),
            aws: vars.aws(),
        };
        if vars.faults.is_empty() { Ok(config) } else { Err(ConfigFaults(vars.faults)) }
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(id) => write!(f, "Secret({id:?})"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Inline(_) => f.write_str("Inline(..)"),
        }
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.region)
            .field("dynamodb_endpoint", &self.dynamodb_endpoint)
            .field("secrets_manager_endpoint", &self.secrets_manager_endpoint)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not usable: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigFaults {}

#[cfg(test)]
mod tests;
