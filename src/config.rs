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
//! | `LOG_LEVEL` | `error`, `warn`, `info` or `debug` | `info` |
//! | `AWS_REGION` | the region (AWS Lambda sets it) | required |
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | the credentials (AWS Lambda sets them) | the first two are required |
//! | `AWS_CA_BUNDLE` | a PEM file of the roots to trust instead, for endpoints whose certificates are not Amazon's | Amazon's own roots |
//! | `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_ENDPOINT_URL_LAMBDA`, `AWS_ENDPOINT_URL` | other endpoints than AWS's own, the specific one first | AWS's own |
//!
//! A variable that is empty counts as not set.

mod rotation;

use std::{collections::HashMap, fmt, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

pub use self::rotation::RotationConfig;
use crate::{
    dialect::DIALECTS,
    keyring::MAX_CACHE_TTL,
    oauth::{client::Lifetime, jwks_uri::AllowedUris},
    service::{MutualTls, OriginSecret, Settings},
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

struct Vars {
    values: HashMap<String, String>,
    faults: Vec<String>,
}

impl Vars {
    fn new(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: vars.into_iter().filter(|(_, value)| !value.is_empty()).collect(), faults: Vec::new() }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    fn required(&mut self, name: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.faults.push(format!("{name} is missing"));
            String::new()
        })
    }

    fn read<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<T> {
        match parse(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.push(format!("{name} {fault}"));
                None
            }
        }
    }

    fn seconds(&mut self, name: &str, least: u64, default: u64) -> u64 {
        let parse = |text: &str| text.parse().ok().filter(|seconds| (least..=MAX_CACHE_TTL).contains(seconds));
        match self.text(name).map(|text| parse(&text)) {
            None => default,
            Some(Some(seconds)) => seconds,
            Some(None) => {
                self.faults.push(format!("{name} is not {least}..={MAX_CACHE_TTL} seconds"));
                default
            }
        }
    }

    fn log_level(&mut self) -> LevelFilter {
        self.read("LOG_LEVEL", |text| parse_level(text).ok_or("is not error, warn, info or debug"))
            .unwrap_or(LevelFilter::INFO)
    }

    fn signing_keys(&mut self) -> SigningKeys {
        match (self.text("SIGNING_KEYS_SECRET_ID"), self.text("SIGNING_KEYS_FILE")) {
            (Some(id), None) => SigningKeys::Secret(id),
            (None, Some(path)) => SigningKeys::File(path.into()),
            (id, _) => {
                let fault =
                    if id.is_some() { "are both set; one is enough" } else { "are both missing; one is needed" };
                self.faults.push(format!("SIGNING_KEYS_SECRET_ID and SIGNING_KEYS_FILE {fault}"));
                SigningKeys::File(PathBuf::new())
            }
        }
    }

    fn mutual_tls(&mut self) -> Option<MutualTls> {
        let base_url = self
            .read("MTLS_BASE_URL", |text| parse_issuer(text).ok_or("is not an https URL without query and fragment"));
        let origin_secret = self.read("CLOUDFRONT_ORIGIN_SECRET", |text| {
            OriginSecret::new(text).ok_or("is not 32 visible ASCII characters or more")
        });
        (base_url.is_some() || origin_secret.is_some()).then_some(MutualTls { base_url, origin_secret })
    }

    fn claims_hook(&mut self) -> Option<ClaimsHook> {
        let function = self.read("CLAIMS_HOOK_FUNCTION", |text| {
            is_function_name(text).then(|| text.to_owned()).ok_or("is not the name or ARN of a Lambda function")
        });
        let url = self.read("CLAIMS_HOOK_URL", |text| {
            is_on_this_machine(text).then(|| text.to_owned()).ok_or("is not an http URL on a loopback address")
        });
        let parse = |text: &str| text.parse().ok().filter(|seconds| (1..=5).contains(seconds));
        let timeout = self.read("CLAIMS_HOOK_TIMEOUT", |text| parse(text).ok_or("is not 1..=5 seconds")).unwrap_or(1);
        let place = match (function, url) {
            (None, None) => return None,
            (Some(name), None) => HookPlace::Function(name),
            (None, Some(url)) => HookPlace::Url(url),
            (Some(name), Some(_)) => {
                self.faults.push("CLAIMS_HOOK_FUNCTION and CLAIMS_HOOK_URL are both set; one is enough".to_owned());
                HookPlace::Function(name)
            }
        };
        Some(ClaimsHook { place, timeout: Duration::from_secs(timeout) })
    }

    fn published_keys(&mut self) -> Option<PublishedKeys> {
        let roots = self.text("SSL_CERT_FILE").map(PathBuf::from);
        let parse = |list: &str| AllowedUris::parse(list).ok_or("is not a list of host names");
        self.read("JWKS_URI_HOSTS", parse).map(|allowed| PublishedKeys { allowed, roots })
    }

    fn aws(&mut self) -> Aws {
        let endpoint = self.text("AWS_ENDPOINT_URL");
        Aws {
            region: self.required("AWS_REGION"),
            access_key_id: self.required("AWS_ACCESS_KEY_ID"),
            secret_access_key: Zeroizing::new(self.required("AWS_SECRET_ACCESS_KEY")),
            session_token: self.text("AWS_SESSION_TOKEN").map(Zeroizing::new),
            ca_bundle: self.text("AWS_CA_BUNDLE").map(PathBuf::from),
            dynamodb_endpoint: self.text("AWS_ENDPOINT_URL_DYNAMODB").or(endpoint.clone()),
            secrets_manager_endpoint: self.text("AWS_ENDPOINT_URL_SECRETS_MANAGER").or(endpoint.clone()),
            lambda_endpoint: self.text("AWS_ENDPOINT_URL_LAMBDA").or(endpoint),
        }
    }
}

// RFC 8414 section 2: https, no query, no fragment. Plain http is for a developer's own machine.
pub(crate) fn parse_issuer(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let loopback = is_loopback(uri.host()?);
    let allowed = uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && loopback);
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (allowed && plain && uri.query().is_none() && !text.contains(['#', '"', '\\'])).then(|| text.to_owned())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn is_on_this_machine(text: &str) -> bool {
    let uri = text.parse::<http::Uri>().ok().filter(|uri| uri.scheme_str() == Some("http"));
    uri.as_ref().and_then(http::Uri::host).is_some_and(is_loopback)
}

// A name, a partial or a whole ARN, each with or without a version or alias.
fn is_function_name(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:$".contains(&byte))
}

fn base_path(issuer: &str) -> &str {
    let after_scheme = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    after_scheme.find('/').and_then(|start| after_scheme.get(start..)).unwrap_or_default().trim_end_matches('/')
}

fn parse_dialects(text: &str) -> Option<Vec<&'static str>> {
    text.split(',')
        .map(|name| DIALECTS.iter().map(|dialect| dialect.name).find(|known| *known == name.trim()))
        .collect()
}

fn parse_switch(text: &str, on: &str) -> Option<bool> {
    if text == on { Some(true) } else { (text == "off").then_some(false) }
}

// Nothing finer than debug: at trace, libraries log whole requests.
fn parse_level(text: &str) -> Option<LevelFilter> {
    match text.to_ascii_lowercase().as_str() {
        "error" => Some(LevelFilter::ERROR),
        "warn" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        _ => None,
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
mod tests {
    use super::*;

    const GOOD: &[(&str, &str)] = &[
        ("ISSUER", "https://auth.example.com"),
        ("SIGNING_KEYS_SECRET_ID", "keys"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("LOG_LEVEL", ""),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigFaults> {
        Config::from_vars(GOOD.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let config = read(&[]).unwrap();
        assert_eq!(config.clients_table, "mintlet-clients");
        assert_eq!(config.state_table, "mintlet-state");
        assert_eq!(config.signing_keys, SigningKeys::Secret("keys".to_owned()));
        assert_eq!((config.client_cache_ttl, config.keys_cache_ttl, config.secret_expiry_warning), (30, 300, 604_800));
        assert_eq!(config.settings.access_token_lifetime.as_seconds(), 3600);
        assert!(!config.settings.requires_dpop_nonce);
        assert!(read(&[("DPOP_NONCE", "required")]).unwrap().settings.requires_dpop_nonce);
        assert!(!read(&[("DPOP_NONCE", "off")]).unwrap().settings.requires_dpop_nonce);
        assert_eq!(config.settings.dialects, ["oauth2", "screening-eagle", "frontier", "eventhos"]);
        assert_eq!(config.log_level, LevelFilter::INFO);
        assert_eq!(config.settings.authorization_details_types, [""; 0]);
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let faults = read(&[
            ("ISSUER", "http://auth.example.com"),
            ("DIALECTS", "oauth2,klingon"),
            ("ACCESS_TOKEN_LIFETIME", "59"),
            ("DPOP_NONCE", "on"),
            ("MTLS_BASE_URL", "http://mtls.example.com"),
            ("CLOUDFRONT_ORIGIN_SECRET", "hunter2"),
            ("JWKS_URI_HOSTS", "https://keys.example.com"),
            ("CLIENT_CACHE_TTL", "-1"),
            ("KEYS_CACHE_TTL", "0"),
            ("SECRET_EXPIRY_WARNING", "7776001"),
            ("LOG_LEVEL", "trace"),
            ("SIGNING_KEYS_FILE", "keys.json"),
        ])
        .unwrap_err();
        assert_eq!(
            faults.0,
            [
                "ISSUER is not an https URL without query and fragment",
                "DIALECTS names a dialect that there is not",
                "ACCESS_TOKEN_LIFETIME is not 60..=86400 seconds",
                "DPOP_NONCE is not required or off",
                "MTLS_BASE_URL is not an https URL without query and fragment",
                "CLOUDFRONT_ORIGIN_SECRET is not 32 visible ASCII characters or more",
                "SIGNING_KEYS_SECRET_ID and SIGNING_KEYS_FILE are both set; one is enough",
                "JWKS_URI_HOSTS is not a list of host names",
                "CLIENT_CACHE_TTL is not 0..=3600 seconds",
                "KEYS_CACHE_TTL is not 1..=3600 seconds",
                "SECRET_EXPIRY_WARNING is not 0..=7776000 seconds",
                "LOG_LEVEL is not error, warn, info or debug",
            ]
        );
    }

    #[test]
    fn what_is_required_is_named() {
        let faults = Config::from_vars([]).unwrap_err();
        assert_eq!(
            faults.0,
            [
                "SIGNING_KEYS_SECRET_ID and SIGNING_KEYS_FILE are both missing; one is needed",
                "AWS_REGION is missing",
                "AWS_ACCESS_KEY_ID is missing",
                "AWS_SECRET_ACCESS_KEY is missing",
            ]
        );
    }

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for good in ["https://a.example/base/", "http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
            assert_eq!(parse_issuer(good).as_deref(), Some(good));
        }
        for bad in [
            "",
            "a.example",
            "/a",
            "http://a.example",
            "ftp://a",
            "https://a/?b",
            "https://a/#b",
            "https://u@a/",
            "https://a/\"b",
        ] {
            assert_eq!(parse_issuer(bad), None, "{bad}");
        }
        assert_eq!(base_path("https://a.example/base/"), "/base");
        assert_eq!(base_path("https://a.example"), "");
    }

    #[test]
    fn a_specific_endpoint_goes_before_the_general_one() {
        let config = read(&[("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_DYNAMODB", "http://db")]).unwrap();
        assert_eq!(config.aws.dynamodb_endpoint.as_deref(), Some("http://db"));
        assert_eq!(config.aws.secrets_manager_endpoint.as_deref(), Some("http://all"));
    }

    #[test]
    fn a_claims_hook_is_a_function_or_on_this_machine() {
        let hook = |place, seconds| Some(ClaimsHook { place, timeout: Duration::from_secs(seconds) });
        let arn = "arn:aws:lambda:eu-central-1:123456789012:function:claims:$LATEST";
        assert_eq!(read(&[]).unwrap().claims_hook, None);
        assert_eq!(
            read(&[("CLAIMS_HOOK_FUNCTION", arn), ("CLAIMS_HOOK_TIMEOUT", "5")]).unwrap().claims_hook,
            hook(HookPlace::Function(arn.to_owned()), 5)
        );
        for good in ["http://127.0.0.1:9300/claims", "http://localhost:9300", "http://[::1]:9300/"] {
            assert_eq!(
                read(&[("CLAIMS_HOOK_URL", good)]).unwrap().claims_hook,
                hook(HookPlace::Url(good.to_owned()), 1)
            );
        }
        for (name, value, fault) in [
            ("CLAIMS_HOOK_FUNCTION", "a/b", "CLAIMS_HOOK_FUNCTION is not the name or ARN of a Lambda function"),
            ("CLAIMS_HOOK_URL", "http://192.0.2.1/", "CLAIMS_HOOK_URL is not an http URL on a loopback address"),
            ("CLAIMS_HOOK_URL", "https://127.0.0.1/", "CLAIMS_HOOK_URL is not an http URL on a loopback address"),
            ("CLAIMS_HOOK_URL", "127.0.0.1", "CLAIMS_HOOK_URL is not an http URL on a loopback address"),
            ("CLAIMS_HOOK_TIMEOUT", "0", "CLAIMS_HOOK_TIMEOUT is not 1..=5 seconds"),
            ("CLAIMS_HOOK_TIMEOUT", "6", "CLAIMS_HOOK_TIMEOUT is not 1..=5 seconds"),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err().0, [fault], "{value}");
        }
        let both = [("CLAIMS_HOOK_FUNCTION", "a"), ("CLAIMS_HOOK_URL", "http://[::1]/")];
        assert_eq!(
            read(&both).unwrap_err().0,
            ["CLAIMS_HOOK_FUNCTION and CLAIMS_HOOK_URL are both set; one is enough"]
        );
    }

    #[test]
    fn a_jwks_uri_is_read_only_where_hosts_are_listed_and_never_from_this_machine() {
        assert_eq!(read(&[("SSL_CERT_FILE", "roots.pem")]).unwrap().published_keys, None);
        let config = read(&[("JWKS_URI_HOSTS", "keys.example.com,localhost"), ("SSL_CERT_FILE", "roots.pem")]);
        let published = config.unwrap().published_keys.unwrap();
        assert_eq!(published.roots, Some(PathBuf::from("roots.pem")));
        assert!(published.allowed.lists("keys.example.com") && !published.allowed.on_this_machine);
        for bad in ["*", "keys.example.com:443", "169.254.169.254", "keys.example.com,"] {
            let fault = "JWKS_URI_HOSTS is not a list of host names";
            assert_eq!(read(&[("JWKS_URI_HOSTS", bad)]).unwrap_err().0, [fault], "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_credential() {
        let secret = "hunter2-hunter2-hunter2-hunter2-hunter2";
        assert!(!format!("{:?}", read(&[("CLOUDFRONT_ORIGIN_SECRET", secret)]).unwrap()).contains("hunter2"));
    }
}
