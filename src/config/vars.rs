//! Reading the variables: each is taken once, and its fault noted.

use std::{collections::HashMap, net::IpAddr, path::PathBuf, time::Duration};

use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use super::{Aws, ClaimsHook, HookPlace, PublishedKeys, SigningKeys};
use crate::{
    dialect::DIALECTS,
    keyring::MAX_CACHE_TTL,
    oauth::jwks_uri::AllowedUris,
    service::{MutualTls, OriginSecret},
};

/// What is left to read, and what was wrong with what was.
pub(super) struct Vars {
    values: HashMap<String, String>,
    pub(super) faults: Vec<String>,
}

impl Vars {
    pub(super) fn new(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: vars.into_iter().filter(|(_, value)| !value.is_empty()).collect(), faults: Vec::new() }
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    pub(super) fn required(&mut self, name: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.faults.push(format!("{name} is missing"));
            String::new()
        })
    }

    pub(super) fn read<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<T> {
        match parse(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.push(format!("{name} {fault}"));
                None
            }
        }
    }

    pub(super) fn seconds(&mut self, name: &str, least: u64, default: u64) -> u64 {
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

    pub(super) fn log_level(&mut self) -> LevelFilter {
        self.read("LOG_LEVEL", |text| parse_level(text).ok_or("is not error, warn, info or debug"))
            .unwrap_or(LevelFilter::INFO)
    }

    pub(super) fn signing_keys(&mut self) -> SigningKeys {
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

    pub(super) fn mutual_tls(&mut self) -> Option<MutualTls> {
        let base_url = self
            .read("MTLS_BASE_URL", |text| parse_issuer(text).ok_or("is not an https URL without query and fragment"));
        let origin_secret = self.read("CLOUDFRONT_ORIGIN_SECRET", |text| {
            OriginSecret::new(text).ok_or("is not 32 visible ASCII characters or more")
        });
        (base_url.is_some() || origin_secret.is_some()).then_some(MutualTls { base_url, origin_secret })
    }

    pub(super) fn claims_hook(&mut self) -> Option<ClaimsHook> {
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

    pub(super) fn published_keys(&mut self) -> Option<PublishedKeys> {
        let roots = self.text("SSL_CERT_FILE").map(PathBuf::from);
        let parse = |list: &str| AllowedUris::parse(list).ok_or("is not a list of host names");
        self.read("JWKS_URI_HOSTS", parse).map(|allowed| PublishedKeys { allowed, roots })
    }

    pub(super) fn aws(&mut self) -> Aws {
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

pub(super) fn base_path(issuer: &str) -> &str {
    let after_scheme = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    after_scheme.find('/').and_then(|start| after_scheme.get(start..)).unwrap_or_default().trim_end_matches('/')
}

pub(super) fn parse_dialects(text: &str) -> Option<Vec<&'static str>> {
    text.split(',')
        .map(|name| DIALECTS.iter().map(|dialect| dialect.name).find(|known| *known == name.trim()))
        .collect()
}

pub(super) fn parse_switch(text: &str, on: &str) -> Option<bool> {
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
