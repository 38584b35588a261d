//! Authorization server metadata (RFC 8414 section 2): only what is really on.

use http::StatusCode;
use serde::Serialize;

use super::{INTROSPECTION_PATH, JWKS_PATH, REVOCATION_PATH};
use crate::{
    dialect::{DIALECTS, Dialect, Response, answer},
    oauth::{
        assertion::CLIENT_AUTHENTICATION,
        dpop,
        vocabulary::{ClientAuthMethod, GrantType},
    },
};

#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(flatten)]
    issued_tokens: Option<IssuedTokens>,
    // Required by RFC 8414 even of a server without an authorization endpoint.
    response_types_supported: [&'static str; 0],
    grant_types_supported: Vec<&'static str>,
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    authorization_details_types_supported: &'a [String],
    // Required by OpenID Connect Discovery section 3; `sub` is the same for every audience.
    subject_types_supported: [&'static str; 1],
    // RFC 9449 section 5.1; left out where no proof is read.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    dpop_signing_alg_values_supported: &'static [&'static str],
    // RFC 8705 section 3.3.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_endpoint_aliases: Option<Aliases>,
}

// What can be asked of tokens that were issued: at the endpoints of the plain OAuth 2.0 dialect, and with its methods.
#[derive(Serialize)]
struct IssuedTokens {
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    introspection_endpoint_auth_signing_alg_values_supported: Option<Vec<&'static str>>,
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_endpoint_auth_signing_alg_values_supported: Option<Vec<&'static str>>,
}

// RFC 8705 section 5.
#[derive(Serialize)]
struct Aliases {
    #[serde(rename = "token_endpoint")]
    token: String,
    #[serde(rename = "introspection_endpoint", skip_serializing_if = "Option::is_none")]
    introspection: Option<String>,
    #[serde(rename = "revocation_endpoint", skip_serializing_if = "Option::is_none")]
    revocation: Option<String>,
}

/// What a deployment has switched on.
#[derive(Clone, Copy)]
pub struct SwitchedOn<'a> {
    /// The dialects.
    pub dialects: &'a [&'static str],
    /// The types of `authorization_details` to announce (RFC 9396 section 10); which a client may ask for is its record's.
    pub authorization_details_types: &'a [String],
    /// Whether client certificates are taken.
    pub mutual_tls: bool,
    /// The base URL of the endpoints that ask for one, if it is another than the issuer's.
    pub mtls_base_url: Option<&'a str>,
}

/// The metadata of an issuer.
///
/// It describes the plain OAuth 2.0 endpoint, or if that is off, the first that is on.
#[must_use]
pub fn metadata(issuer: &str, on: SwitchedOn<'_>) -> Response {
    let described = DIALECTS.iter().find(|dialect| on.dialects.contains(&dialect.name)).unwrap_or(Dialect::oauth2());
    let base = issuer.trim_end_matches('/');
    let oauth2 = Dialect::oauth2();
    let has_oauth2 = on.dialects.contains(&oauth2.name);
    let issued_tokens = has_oauth2.then(|| IssuedTokens {
        introspection_endpoint: format!("{base}{INTROSPECTION_PATH}"),
        introspection_endpoint_auth_methods_supported: auth_methods(oauth2, on),
        introspection_endpoint_auth_signing_alg_values_supported: auth_signing_algs(oauth2),
        revocation_endpoint: format!("{base}{REVOCATION_PATH}"),
        revocation_endpoint_auth_methods_supported: auth_methods(oauth2, on),
        revocation_endpoint_auth_signing_alg_values_supported: auth_signing_algs(oauth2),
    });
    let metadata = Metadata {
        issuer,
        token_endpoint: format!("{base}{}", described.path),
        jwks_uri: format!("{base}{JWKS_PATH}"),
        issued_tokens,
        response_types_supported: [],
        grant_types_supported: described.policy.grant_types.iter().copied().map(GrantType::as_str).collect(),
        token_endpoint_auth_methods_supported: auth_methods(described, on),
        token_endpoint_auth_signing_alg_values_supported: auth_signing_algs(described),
        authorization_details_types_supported: on.authorization_details_types,
        subject_types_supported: ["public"],
        dpop_signing_alg_values_supported: if described.policy.dpop { dpop::ALGS } else { &[] },
        tls_client_certificate_bound_access_tokens: on.mutual_tls,
        mtls_endpoint_aliases: on.mtls_base_url.map(|base| {
            let alias = |path| format!("{}{path}", base.trim_end_matches('/'));
            Aliases {
                token: alias(described.path),
                introspection: has_oauth2.then(|| alias(INTROSPECTION_PATH)),
                revocation: has_oauth2.then(|| alias(REVOCATION_PATH)),
            }
        }),
    };
    answer(StatusCode::OK, serde_json::to_vec(&metadata).unwrap_or_default())
}

fn auth_methods(dialect: &Dialect, on: SwitchedOn<'_>) -> Vec<&'static str> {
    let auth = dialect.policy.auth;
    let by_certificate = auth.certificate && on.mutual_tls;
    let methods = [
        auth.basic.map(|_| ClientAuthMethod::ClientSecretBasic),
        auth.post.then_some(ClientAuthMethod::ClientSecretPost),
        auth.private_key_jwt.then_some(ClientAuthMethod::PrivateKeyJwt),
        by_certificate.then_some(ClientAuthMethod::TlsClientAuth),
        by_certificate.then_some(ClientAuthMethod::SelfSignedTlsClientAuth),
    ];
    methods.into_iter().flatten().map(ClientAuthMethod::as_str).collect()
}

// Required by RFC 8414 if assertions are among the methods. `Ed25519` is RFC 9864's name for what `EdDSA` is here.
fn auth_signing_algs(dialect: &Dialect) -> Option<Vec<&'static str>> {
    let algs = || CLIENT_AUTHENTICATION.algs.iter().map(|alg| alg.as_str()).chain(["Ed25519"]).collect();
    dialect.policy.auth.private_key_jwt.then(algs)
}
