//! eventhos and other nodeboot-oauth2-starter servers: body credentials, 201 for a token, numeric codes in every body.

use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::{Dialect, Issued, Stamp, is_form, json, media_type, write_claims};
use crate::{
    grant::{Issue, Policy},
    oauth::{
        client::{Client, Eventhos},
        client_auth::AcceptedAuth,
        error::{ErrorCode, Reason},
        jwt::Typ,
        params::{Param, Params},
        vocabulary::GrantType,
    },
};

pub(super) const DIALECT: Dialect = Dialect {
    name: "eventhos",
    path: "/auth/token",
    policy: Policy {
        grant_types: &[GrantType::ClientCredentials],
        auth: AcceptedAuth { basic: None, post: true, private_key_jwt: false, certificate: false },
        jwt_bearer: None,
        refuses_long_lived: true,
        dpop: false,
    },
    typ: Typ::Jwt,
    read,
    claims,
    issued,
    refused,
};

#[derive(Serialize)]
struct Own<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    id: Value,
    subject_type: &'static str,
    identifier: &'a str,
}

#[derive(Serialize)]
struct Success<'a> {
    code: u32,
    message: String,
    content: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    jwt_token: &'a str,
    name: &'a str,
    description: &'a str,
    client_id: Value,
    identifier: &'a str,
    roles: &'a [Value],
}

#[derive(Serialize)]
struct Failure {
    code: u32,
    message: &'static str,
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Params, Reason> {
    // It has no scope parameter, so one that is sent is like any other unknown name.
    let without = Some(Param::Scope);
    if is_form(headers) {
        Params::from_form_without(body, without)
    } else if media_type(headers).eq_ignore_ascii_case(b"application/json") {
        Params::from_json_without(body, without)
    } else {
        Err(Reason::WrongContentTypeForJson)
    }
}

fn claims(issue: &Issue, stamp: &Stamp<'_>) -> serde_json::Result<Vec<u8>> {
    let (id, identifier) = identity(&issue.client);
    write_claims(issue, stamp, Own { data: Data { id, subject_type: "client", identifier } }, &["data"])
}

fn issued(issue: &Issue, issued: &Issued<'_>) -> (StatusCode, Vec<u8>) {
    let client = &*issue.client;
    let (id, identifier) = identity(client);
    let body = Success {
        code: 200_000,
        message: format!("Token generated for client {}", client.client_id),
        content: Content {
            jwt_token: issued.access_token,
            name: client.client_name.as_deref().unwrap_or(client.client_id.as_str()),
            description: client.description.as_deref().unwrap_or_default(),
            client_id: id,
            identifier,
            roles: client.eventhos.as_ref().map_or(&[], |eventhos| &eventhos.roles),
        },
    };
    (StatusCode::CREATED, json(&body))
}

// A client that was never in eventhos is known by its client id there.
fn identity(client: &Client) -> (Value, &str) {
    match &client.eventhos {
        Some(Eventhos { id, identifier, .. }) => (id.clone(), identifier),
        None => (Value::from(client.client_id.as_str()), client.client_id.as_str()),
    }
}

fn refused(code: ErrorCode, reason: Reason) -> (StatusCode, Vec<u8>) {
    let (status, code, message) = match code {
        ErrorCode::InvalidRequest
        | ErrorCode::MalformedScope
        | ErrorCode::ScopeNotGranted
        | ErrorCode::InvalidTarget
        | ErrorCode::InvalidDpopProof
        | ErrorCode::UseDpopNonce => (StatusCode::BAD_REQUEST, 400_400, reason.description()),
        ErrorCode::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, 400_405, reason.description()),
        ErrorCode::ContentTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 400_413, reason.description()),
        ErrorCode::NotFound => (StatusCode::NOT_FOUND, 400_404, reason.description()),
        ErrorCode::UnsupportedGrantType => (StatusCode::BAD_REQUEST, 400_400, "Unsupported grant type"),
        ErrorCode::InvalidClient => (StatusCode::UNAUTHORIZED, 400_001, "Incorrect client secret"),
        ErrorCode::UnknownClient | ErrorCode::DisabledClient => (StatusCode::NOT_FOUND, 400_004, "Client not found"),
        ErrorCode::UnauthorizedClient => (StatusCode::FORBIDDEN, 400_403, reason.description()),
        ErrorCode::InvalidGrant => (StatusCode::UNAUTHORIZED, 400_001, "Incorrect password"),
        ErrorCode::UnknownUser => (StatusCode::NOT_FOUND, 400_004, "User not found"),
        ErrorCode::LongLivedClient => {
            (StatusCode::UNAUTHORIZED, 400_011, "Client is not able to generate tokens, use your long live token")
        }
        ErrorCode::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, 429_000, reason.description()),
        ErrorCode::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 500_000, reason.description()),
        ErrorCode::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, 500_000, reason.description()),
    };
    (status, json(&Failure { code, message }))
}
