//! Authorization server metadata (RFC 8414 section 2): only what is really on.

use http::StatusCode;
use serde::Serialize;

use super::JWKS_PATH;
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
    // Required by RFC 8414 even of a server without an authorization endpoint.
    response_types_supported: [&'static str; 0],
    grant_types_supported: Vec<&'static str>,
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    // Required by RFC 8414 if assertions are among the methods. `Ed25519` is RFC 9864's name for what `EdDSA` is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<&'static str>>,
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

// RFC 8705 section 5.
#[derive(Serialize)]
struct Aliases {
    token_endpoint: String,
}

/// What a deployment has switched on.
#[derive(Clone, Copy)]
pub struct SwitchedOn<'a> {
    /// The dialects.
    pub dialects: &'a [&'static str],
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
    let auth = described.policy.auth;
    let by_certificate = auth.certificate && on.mutual_tls;
    let methods = [
        auth.basic.map(|_| ClientAuthMethod::ClientSecretBasic),
        auth.post.then_some(ClientAuthMethod::ClientSecretPost),
        auth.private_key_jwt.then_some(ClientAuthMethod::PrivateKeyJwt),
        by_certificate.then_some(ClientAuthMethod::TlsClientAuth),
        by_certificate.then_some(ClientAuthMethod::SelfSignedTlsClientAuth),
    ];
    let metadata = Metadata {
        issuer,
        token_endpoint: format!("{base}{}", described.path),
        jwks_uri: format!("{base}{JWKS_PATH}"),
        response_types_supported: [],
        grant_types_supported: described.policy.grant_types.iter().copied().map(GrantType::as_str).collect(),
        token_endpoint_auth_methods_supported: methods.into_iter().flatten().map(ClientAuthMethod::as_str).collect(),
        token_endpoint_auth_signing_alg_values_supported: auth
            .private_key_jwt
            .then(|| CLIENT_AUTHENTICATION.algs.iter().map(|alg| alg.as_str()).chain(["Ed25519"]).collect()),
        subject_types_supported: ["public"],
        dpop_signing_alg_values_supported: if described.policy.dpop { dpop::ALGS } else { &[] },
        tls_client_certificate_bound_access_tokens: on.mutual_tls,
        mtls_endpoint_aliases: on
            .mtls_base_url
            .map(|base| Aliases { token_endpoint: format!("{}{}", base.trim_end_matches('/'), described.path) }),
    };
    answer(StatusCode::OK, serde_json::to_vec(&metadata).unwrap_or_default())
}
