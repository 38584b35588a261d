//! Raystack Frontier: JSON over the gateway of a gRPC service, errors as `google.rpc.Status`.

use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::{Dialect, Issued, Stamp, is_form, json, write_claims};
use crate::{
    grant::{Issue, Policy, jwt_bearer::JwtBearer},
    oauth::{
        assertion::{AUTHORIZATION_GRANT, AssertionRules, NamedBy},
        client_auth::{AcceptedAuth, BasicEncoding},
        error::{ErrorCode, Reason},
        jwt::{Alg, Typ},
        params::Params,
        vocabulary::{AssertionProfile, GrantType},
    },
};

pub(super) const DIALECT: Dialect = Dialect {
    name: "frontier",
    path: "/v1beta1/auth/token",
    policy: Policy {
        grant_types: &[GrantType::ClientCredentials, GrantType::JwtBearer],
        auth: AcceptedAuth { basic: Some(BasicEncoding::Raw), post: true, private_key_jwt: false, certificate: false },
        jwt_bearer: Some(JwtBearer { rules: &ASSERTIONS, in_header: true }),
        refuses_long_lived: false,
        dpop: false,
    },
    typ: Typ::Jwt,
    read,
    claims,
    issued,
    refused,
};

// As its SDK makes them: for twelve hours, without an audience, and sent again until they expire.
const ASSERTIONS: AssertionRules = AssertionRules {
    algs: &[Alg::RS256],
    named_by: NamedBy::KeyId,
    profile: AssertionProfile::Frontier,
    sole_audience: false,
    max_lifetime: 24 * 60 * 60,
    single_use: false,
    ..AUTHORIZATION_GRANT
};

#[derive(Serialize)]
struct Own<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    kid: &'a str,
    r#gen: &'static str,
    sub_type: &'static str,
}

#[derive(Serialize)]
struct Success<'a> {
    access_token: &'a str,
    token_type: &'static str,
}

#[derive(Serialize)]
struct Failure {
    code: u8,
    message: &'static str,
    details: [(); 0],
}

// Its gateway takes JSON whatever the content type says; a form only where the content type says so.
fn read(headers: &HeaderMap, body: &[u8]) -> Result<Params, Reason> {
    if is_form(headers) && !body.trim_ascii_start().starts_with(b"{") {
        Params::from_form(body)
    } else {
        Params::from_json(body)
    }
}

fn claims(issue: &Issue, stamp: &Stamp<'_>) -> serde_json::Result<Vec<u8>> {
    let own = Own { scope: issue.scope.as_str(), kid: stamp.kid, r#gen: "system", sub_type: "app/serviceuser" };
    write_claims(issue, stamp, own, &["kid", "gen", "sub_type"])
}

fn issued(_: &Issue, issued: &Issued<'_>) -> (StatusCode, Vec<u8>) {
    (StatusCode::OK, json(&Success { access_token: issued.access_token, token_type: "Bearer" }))
}

fn refused(code: ErrorCode, reason: Reason) -> (StatusCode, Vec<u8>) {
    // The numbers are google.rpc.Code.
    let (status, code) = match code {
        ErrorCode::InvalidRequest
        | ErrorCode::UnsupportedGrantType
        | ErrorCode::MalformedScope
        | ErrorCode::ScopeNotGranted
        | ErrorCode::InvalidTarget
        | ErrorCode::InvalidDpopProof
        | ErrorCode::UseDpopNonce
        | ErrorCode::InvalidAuthorizationDetails => (StatusCode::BAD_REQUEST, 3),
        ErrorCode::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, 12),
        ErrorCode::ContentTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3),
        ErrorCode::NotFound => (StatusCode::NOT_FOUND, 5),
        ErrorCode::InvalidClient
        | ErrorCode::UnknownClient
        | ErrorCode::DisabledClient
        | ErrorCode::InvalidGrant
        | ErrorCode::UnknownUser => (StatusCode::UNAUTHORIZED, 16),
        ErrorCode::UnauthorizedClient | ErrorCode::LongLivedClient => (StatusCode::FORBIDDEN, 7),
        ErrorCode::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, 8),
        ErrorCode::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 14),
        ErrorCode::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, 13),
    };
    let message = if status == StatusCode::UNAUTHORIZED { "not authenticated" } else { reason.description() };
    (status, json(&Failure { code, message, details: [] }))
}
