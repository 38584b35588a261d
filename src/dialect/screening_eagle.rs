//! Screening Eagle ID: a form with Basic, camel-case errors named after their status, scope as `scp` and roles as `scopes`.

use http::StatusCode;
use serde::Serialize;

use super::{Dialect, Issued, Stamp, json, read_form, write_claims};
use crate::{
    grant::{Issue, Policy},
    oauth::{
        client_auth::{AcceptedAuth, BasicEncoding},
        error::{ErrorCode, Reason},
        jwt::Typ,
        vocabulary::GrantType,
    },
};

pub(super) const DIALECT: Dialect = Dialect {
    name: "screening-eagle",
    path: "/api/id/v1/auth/token",
    policy: Policy {
        grant_types: &[GrantType::ClientCredentials],
        auth: AcceptedAuth {
            basic: Some(BasicEncoding::Form),
            post: false,
            private_key_jwt: false,
            certificate: false,
        },
        jwt_bearer: None,
        refuses_long_lived: false,
        dpop: false,
    },
    typ: Typ::Jwt,
    read: read_form,
    claims,
    issued,
    refused,
};

#[derive(Serialize)]
struct Own<'a> {
    scp: &'a str,
    scopes: &'a [String],
}

#[derive(Serialize)]
struct Success<'a> {
    scope: &'a str,
    token_type: &'static str,
    access_token: &'a str,
    expires_in: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    error: &'static str,
    error_description: &'static str,
}

fn claims(issue: &Issue, stamp: &Stamp<'_>) -> serde_json::Result<Vec<u8>> {
    let own = Own { scp: issue.scope.as_str(), scopes: &issue.client.roles };
    write_claims(issue, stamp, own, &["scopes"])
}

fn issued(issue: &Issue, issued: &Issued<'_>) -> (StatusCode, Vec<u8>) {
    let body = Success {
        scope: issue.scope.as_str(),
        token_type: "Bearer",
        access_token: issued.access_token,
        expires_in: issued.expires_in,
    };
    (StatusCode::OK, json(&body))
}

fn refused(code: ErrorCode, reason: Reason) -> (StatusCode, Vec<u8>) {
    let status = match code {
        ErrorCode::InvalidRequest
        | ErrorCode::UnsupportedGrantType
        | ErrorCode::MalformedScope
        | ErrorCode::InvalidDpopProof
        | ErrorCode::UseDpopNonce => StatusCode::BAD_REQUEST,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::InvalidClient
        | ErrorCode::UnknownClient
        | ErrorCode::DisabledClient
        | ErrorCode::InvalidGrant
        | ErrorCode::UnknownUser => StatusCode::UNAUTHORIZED,
        ErrorCode::UnauthorizedClient
        | ErrorCode::LongLivedClient
        | ErrorCode::ScopeNotGranted
        | ErrorCode::InvalidTarget
        | ErrorCode::InvalidAuthorizationDetails => StatusCode::FORBIDDEN,
        ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let error_description = if status == StatusCode::FORBIDDEN { "permission denied" } else { reason.description() };
    let body = Failure { error: status.canonical_reason().unwrap_or_default(), error_description };
    (status, json(&body))
}
