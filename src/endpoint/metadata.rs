//! Authorization server metadata (RFC 8414 section 2): only what is really on.

use http::StatusCode;
use serde::Serialize;

use super::{INTROSPECTION_PATH, JWKS_PATH, REVOCATION_PATH};
use crate::{
    dialect::{DIALECTS, Dialect, Response, answer},
    oauth::vocabulary::{ClientAuthMethod, GrantType},
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
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    authorization_details_types_supported: &'a [String],
    // Required by OpenID Connect Discovery section 3; `sub` is the same for every audience.
    subject_types_supported: [&'static str; 1],
}

// What can be asked of tokens that were issued: at the endpoints of the plain OAuth 2.0 dialect, and with its methods.
#[derive(Serialize)]
struct IssuedTokens {
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
}

/// The metadata of an issuer, of whose dialects those in `dialects` are on.
///
/// `authorization_details_types` is what to announce of RFC 9396 (section 10); which a client may ask for is its record's.
/// It describes the plain OAuth 2.0 endpoint, or if that is off, the first that is on.
#[must_use]
pub fn metadata(issuer: &str, dialects: &[&'static str], authorization_details_types: &[String]) -> Response {
    let described = DIALECTS.iter().find(|dialect| dialects.contains(&dialect.name)).unwrap_or(Dialect::oauth2());
    let base = issuer.trim_end_matches('/');
    let oauth2 = Dialect::oauth2();
    let issued_tokens = dialects.contains(&oauth2.name).then(|| IssuedTokens {
        introspection_endpoint: format!("{base}{INTROSPECTION_PATH}"),
        introspection_endpoint_auth_methods_supported: auth_methods(oauth2),
        revocation_endpoint: format!("{base}{REVOCATION_PATH}"),
        revocation_endpoint_auth_methods_supported: auth_methods(oauth2),
    });
    let metadata = Metadata {
        issuer,
        token_endpoint: format!("{base}{}", described.path),
        jwks_uri: format!("{base}{JWKS_PATH}"),
        issued_tokens,
        response_types_supported: [],
        grant_types_supported: described.policy.grant_types.iter().copied().map(GrantType::as_str).collect(),
        token_endpoint_auth_methods_supported: auth_methods(described),
        authorization_details_types_supported: authorization_details_types,
        subject_types_supported: ["public"],
    };
    answer(StatusCode::OK, serde_json::to_vec(&metadata).unwrap_or_default())
}

fn auth_methods(dialect: &Dialect) -> Vec<&'static str> {
    let auth = dialect.policy.auth;
    let methods = [
        auth.basic.map(|_| ClientAuthMethod::ClientSecretBasic),
        auth.post.then_some(ClientAuthMethod::ClientSecretPost),
    ];
    methods.into_iter().flatten().map(ClientAuthMethod::as_str).collect()
}
