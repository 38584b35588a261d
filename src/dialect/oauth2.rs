//! Plain RFC 6749, with RFC 9068 tokens. Tencent Cloud CIAM's clients speak it unchanged.

use http::StatusCode;
use serde::Serialize;

use super::{Dialect, Issued, Stamp, json, read_form, write_claims};
use crate::{
    grant::{Issue, Policy, jwt_bearer::JwtBearer},
    oauth::{
        assertion::AUTHORIZATION_GRANT,
        client::ScopeClaim,
        client_auth::{AcceptedAuth, BasicEncoding},
        error::{ErrorCode, Reason},
        jwt::Typ,
        vocabulary::GrantType,
    },
};

pub(super) const DIALECT: Dialect = Dialect {
    name: "oauth2",
    path: "/oauth2/token",
    policy: Policy {
        grant_types: &[GrantType::ClientCredentials, GrantType::JwtBearer],
        auth: AcceptedAuth { basic: Some(BasicEncoding::Form), post: true, private_key_jwt: true, certificate: true },
        jwt_bearer: Some(JwtBearer { rules: &AUTHORIZATION_GRANT, in_header: false }),
        refuses_long_lived: false,
        dpop: true,
    },
    typ: Typ::AccessToken,
    read: read_form,
    claims,
    issued,
    refused,
};

#[derive(Serialize)]
struct Own<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Scope<'a> {
    String(&'a str),
    Array(Vec<&'a str>),
}

#[derive(Serialize)]
struct Success<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    scope: &'a str,
}

#[derive(Serialize)]
struct Failure {
    error: &'static str,
    error_description: &'static str,
}

fn claims(issue: &Issue, stamp: &Stamp<'_>) -> serde_json::Result<Vec<u8>> {
    // RFC 9068 section 2.2.3: only if scope was granted.
    let scope = (!issue.scope.is_empty()).then(|| match issue.client.scope_claim {
        ScopeClaim::String => Scope::String(issue.scope.as_str()),
        ScopeClaim::Array => Scope::Array(issue.scope.tokens().collect()),
    });
    write_claims(issue, stamp, Own { scope }, &[])
}

fn issued(issue: &Issue, issued: &Issued<'_>) -> (StatusCode, Vec<u8>) {
    let body = Success {
        access_token: issued.access_token,
        token_type: issue.token_type(),
        expires_in: issued.expires_in,
        scope: issue.scope.as_str(),
    };
    (StatusCode::OK, json(&body))
}

fn refused(code: ErrorCode, reason: Reason) -> (StatusCode, Vec<u8>) {
    let (status, error) = match code {
        ErrorCode::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
        ErrorCode::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request"),
        ErrorCode::ContentTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
        ErrorCode::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        ErrorCode::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        ErrorCode::InvalidClient | ErrorCode::UnknownClient | ErrorCode::DisabledClient => {
            (StatusCode::UNAUTHORIZED, "invalid_client")
        }
        ErrorCode::UnauthorizedClient | ErrorCode::LongLivedClient => (StatusCode::BAD_REQUEST, "unauthorized_client"),
        ErrorCode::MalformedScope | ErrorCode::ScopeNotGranted => (StatusCode::BAD_REQUEST, "invalid_scope"),
        ErrorCode::InvalidTarget => (StatusCode::BAD_REQUEST, "invalid_target"),
        ErrorCode::InvalidGrant | ErrorCode::UnknownUser => (StatusCode::BAD_REQUEST, "invalid_grant"),
        ErrorCode::InvalidDpopProof => (StatusCode::BAD_REQUEST, "invalid_dpop_proof"),
        ErrorCode::UseDpopNonce => (StatusCode::BAD_REQUEST, "use_dpop_nonce"),
        ErrorCode::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
        ErrorCode::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        ErrorCode::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    };
    (status, json(&Failure { error, error_description: reason.description() }))
}
