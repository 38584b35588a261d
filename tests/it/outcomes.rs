//! Every outcome of every dialect: whole, as requests get it, and in one table, as the contract has it.

use std::fmt::Write as _;

use http::{Method, StatusCode};
use mintlet::{
    dialect::{DIALECTS, Dialect},
    oauth::{
        error::{ErrorCode, Reason},
        jwt::Alg,
    },
};
use serde_json::{Value, json};

use crate::support::{Ask, ISSUER, NOW, SECRET, World, body, readable, whole};

fn clients() -> Value {
    json!([
        {
            "client_id": "billing", "client_name": "Billing", "description": "Sends invoices", "client_secret": SECRET,
            "scope": "read write", "audience": ["https://api.example.com"], "roles": ["clerk"],
            "eventhos": {"id": 7, "identifier": "billing-producer", "roles": [{"id": 3, "name": "producer"}]}
        },
        {"client_id": "disabled", "client_secret": SECRET, "disabled": true},
        {"client_id": "expired", "client_secrets": [{"secret": SECRET, "expires_at": NOW}]},
        {"client_id": "without-grant", "client_secret": SECRET, "grant_types": []},
        {"client_id": "without-key", "client_secret": SECRET, "access_token_signed_response_alg": "EdDSA"},
        {"client_id": "bound", "client_secret": SECRET, "dpop_bound_access_tokens": true},
        {"client_id": "long-lived", "client_secret": SECRET,
            "eventhos": {"id": 8, "identifier": "door", "long_lived": true}}
    ])
}

// Requests for every outcome that client_credentials can have; each is the first with one thing changed.
fn asks(dialect: &Dialect) -> Vec<(&'static str, Ask)> {
    let ask = |id, more: &[(&str, &str)]| Ask::token_with(dialect, id, SECRET, more);
    let changed = |from: &str, to: &str| {
        let mut ask = ask("billing", &[]);
        ask.0.body = ask.0.body.map(|body| std::str::from_utf8(&body).unwrap().replacen(from, to, 1).into());
        ask
    };
    let with_body = |body: Vec<u8>| {
        let mut ask = ask("billing", &[]);
        ask.0.body = Ok(body.into());
        ask
    };
    vec![
        ("issued", ask("billing", &[])),
        ("malformed body", changed("grant_type", "%\"zz")),
        ("no grant_type", changed("grant_type", "other")),
        ("unknown grant_type", changed("client_credentials", "implicit")),
        ("wrong secret", Ask::token(dialect, "billing", "wrong")),
        ("unknown client", ask("nobody", &[])),
        ("expired secret", ask("expired", &[])),
        ("disabled client", ask("disabled", &[])),
        ("grant not registered", ask("without-grant", &[])),
        ("malformed scope", ask("billing", &[("scope", "read  write")])),
        ("scope not granted", ask("billing", &[("scope", "read admin")])),
        ("malformed resource", ask("billing", &[("resource", "/relative")])),
        ("resource not allowed", ask("billing", &[("resource", "https://other.example.com")])),
        (
            "authorization_details of another type",
            ask("billing", &[("authorization_details", r#"[{"type":"payment"}]"#)]),
        ),
        ("long-lived client", ask("long-lived", &[])),
        ("no DPoP proof", ask("bound", &[])),
        ("no key for the client's alg", ask("without-key", &[])),
        ("GET", ask("billing", &[]).method(Method::GET)),
        ("body over 16 KiB", with_body(vec![b'a'; 16 * 1024 + 1])),
    ]
}

async fn every_outcome(name: &str) -> String {
    let world = World::new(clients(), &[Alg::ES256]).await;
    let mut text = String::new();
    for (title, ask) in asks(Dialect::named(name).unwrap()) {
        let answer = world.send(ask).await;
        write!(text, "== {title}\n{}\n\n", readable(&answer.response)).unwrap();
    }
    text
}

#[tokio::test]
async fn the_outcomes_of_oauth2_are_as_recorded() {
    insta::assert_snapshot!("oauth2", every_outcome("oauth2").await);
}

#[tokio::test]
async fn the_outcomes_of_screening_eagle_are_as_recorded() {
    insta::assert_snapshot!("screening-eagle", every_outcome("screening-eagle").await);
}

#[tokio::test]
async fn the_outcomes_of_frontier_are_as_recorded() {
    insta::assert_snapshot!("frontier", every_outcome("frontier").await);
}

#[tokio::test]
async fn the_outcomes_of_eventhos_are_as_recorded() {
    insta::assert_snapshot!("eventhos", every_outcome("eventhos").await);
}

#[tokio::test]
async fn what_is_wrong_with_a_client_shows_in_eventhos_alone() {
    let world = World::new(clients(), &[Alg::ES256]).await;
    for dialect in &DIALECTS {
        let mut answers = Vec::new();
        for (id, secret) in [("billing", "wrong"), ("nobody", SECRET), ("expired", SECRET), ("disabled", SECRET)] {
            answers.push(whole(&world.send(Ask::token(dialect, id, secret)).await.response));
        }
        let [wrong, unknown, expired, disabled] = &answers[..] else { unreachable!() };
        assert_eq!(wrong, expired, "{}", dialect.name);
        assert_eq!(unknown, disabled, "{}", dialect.name);
        assert_eq!(wrong == unknown, dialect.name != "eventhos", "{}", dialect.name);
    }
}

#[tokio::test]
async fn a_disabled_client_with_a_wrong_secret_is_a_wrong_secret() {
    let world = World::new(clients(), &[Alg::ES256]).await;
    for dialect in &DIALECTS {
        let answer = world.send(Ask::token(dialect, "disabled", "wrong")).await;
        assert_eq!(answer.record.reason, Some(Reason::SecretMismatch), "{}", dialect.name);
        assert_eq!(answer.response.status(), StatusCode::UNAUTHORIZED, "{}", dialect.name);
    }
}

// As the contract's table has it, read off by hand: oauth2 and Screening Eagle by their words, Frontier and eventhos by their
// numbers. The order is that of ErrorCode::ALL.
type Row = (ErrorCode, (u16, &'static str), (u16, &'static str), (u16, u32), (u16, u32));

const CONTRACT: [Row; 21] = [
    (ErrorCode::InvalidRequest, (400, "invalid_request"), (400, "Bad Request"), (400, 3), (400, 400_400)),
    (ErrorCode::MethodNotAllowed, (405, "invalid_request"), (405, "Method Not Allowed"), (405, 12), (405, 400_405)),
    (ErrorCode::ContentTooLarge, (413, "invalid_request"), (413, "Payload Too Large"), (413, 3), (413, 400_413)),
    (ErrorCode::NotFound, (404, "not_found"), (404, "Not Found"), (404, 5), (404, 400_404)),
    (ErrorCode::UnsupportedGrantType, (400, "unsupported_grant_type"), (400, "Bad Request"), (400, 3), (400, 400_400)),
    (ErrorCode::InvalidClient, (401, "invalid_client"), (401, "Unauthorized"), (401, 16), (401, 400_001)),
    (ErrorCode::UnknownClient, (401, "invalid_client"), (401, "Unauthorized"), (401, 16), (404, 400_004)),
    (ErrorCode::DisabledClient, (401, "invalid_client"), (401, "Unauthorized"), (401, 16), (404, 400_004)),
    (ErrorCode::UnauthorizedClient, (400, "unauthorized_client"), (403, "Forbidden"), (403, 7), (403, 400_403)),
    (ErrorCode::MalformedScope, (400, "invalid_scope"), (400, "Bad Request"), (400, 3), (400, 400_400)),
    (ErrorCode::ScopeNotGranted, (400, "invalid_scope"), (403, "Forbidden"), (400, 3), (400, 400_400)),
    (ErrorCode::InvalidTarget, (400, "invalid_target"), (403, "Forbidden"), (400, 3), (400, 400_400)),
    (
        ErrorCode::InvalidAuthorizationDetails,
        (400, "invalid_authorization_details"),
        (403, "Forbidden"),
        (400, 3),
        (400, 400_400),
    ),
    (ErrorCode::InvalidGrant, (400, "invalid_grant"), (401, "Unauthorized"), (401, 16), (401, 400_001)),
    (ErrorCode::UnknownUser, (400, "invalid_grant"), (401, "Unauthorized"), (401, 16), (404, 400_004)),
    (ErrorCode::LongLivedClient, (400, "unauthorized_client"), (403, "Forbidden"), (403, 7), (401, 400_011)),
    (ErrorCode::InvalidDpopProof, (400, "invalid_dpop_proof"), (400, "Bad Request"), (400, 3), (400, 400_400)),
    (ErrorCode::UseDpopNonce, (400, "use_dpop_nonce"), (400, "Bad Request"), (400, 3), (400, 400_400)),
    (
        ErrorCode::TooManyRequests,
        (429, "temporarily_unavailable"),
        (429, "Too Many Requests"),
        (429, 8),
        (429, 429_000),
    ),
    (ErrorCode::Unavailable, (503, "temporarily_unavailable"), (503, "Service Unavailable"), (503, 14), (503, 500_000)),
    (ErrorCode::ServerError, (500, "server_error"), (500, "Internal Server Error"), (500, 13), (500, 500_000)),
];

#[test]
fn every_reason_is_rendered_as_the_contract_says_of_its_code() {
    assert!(CONTRACT.iter().map(|row| row.0).eq(ErrorCode::ALL), "a code has no row");
    for reason in Reason::all() {
        let (_, oauth2, screening_eagle, frontier, eventhos) =
            CONTRACT.into_iter().find(|row| row.0 == reason.code()).unwrap();
        let rendered = |name: &str| {
            let response = Dialect::named(name).unwrap().refused(reason, Some(ISSUER));
            (response.status().as_u16(), body(&response))
        };
        let text = reason.description();

        let expected = json!({"error": oauth2.1, "error_description": text});
        assert_eq!(rendered("oauth2"), (oauth2.0, expected), "{reason:?}");

        let text = if screening_eagle.0 == 403 { "permission denied" } else { text };
        let expected = json!({"error": screening_eagle.1, "errorDescription": text});
        assert_eq!(rendered("screening-eagle"), (screening_eagle.0, expected), "{reason:?}");

        let text = if frontier.0 == 401 { "not authenticated" } else { reason.description() };
        let expected = json!({"code": frontier.1, "message": text, "details": []});
        assert_eq!(rendered("frontier"), (frontier.0, expected), "{reason:?}");

        let text = match eventhos.1 {
            400_001 if reason.code() == ErrorCode::InvalidGrant => "Incorrect password",
            400_001 => "Incorrect client secret",
            400_004 if reason.code() == ErrorCode::UnknownUser => "User not found",
            400_004 => "Client not found",
            400_011 => "Client is not able to generate tokens, use your long live token",
            _ if reason.code() == ErrorCode::UnsupportedGrantType => "Unsupported grant type",
            _ => reason.description(),
        };
        assert_eq!(rendered("eventhos"), (eventhos.0, json!({"code": eventhos.1, "message": text})), "{reason:?}");
    }
}

#[test]
fn every_refusal_has_the_headers_of_its_status() {
    for dialect in &DIALECTS {
        for reason in Reason::all() {
            let response = dialect.refused(reason, Some(ISSUER));
            let mut expected = vec![
                ("cache-control", "no-store".to_owned()),
                ("content-type", "application/json".to_owned()),
                ("pragma", "no-cache".to_owned()),
                ("x-content-type-options", "nosniff".to_owned()),
            ];
            match response.status().as_u16() {
                401 => expected.push(("www-authenticate", format!(r#"Basic realm="{ISSUER}", charset="UTF-8""#))),
                429 => expected.push(("retry-after", "60".to_owned())),
                503 => expected.push(("retry-after", "2".to_owned())),
                _ => {}
            }
            expected.sort();
            let mut found: Vec<_> = response
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap().to_owned()))
                .collect();
            found.sort();
            assert_eq!(found, expected, "{} {reason:?}", dialect.name);
        }
    }
}
