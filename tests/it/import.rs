//! `mintlet client import`: from a file as another system exports it to a token for the secret that the client had there.
//!
//! The hashes and ciphers in `exports/` were made by hashlib and bcrypt of Python, and by Node.js as eventhos makes them.

use mintlet::{
    cli::import::{Mode, Report, SYSTEMS, System, entry::Imported, import},
    dialect::{DIALECTS, Dialect},
    oauth::{assertion::AssertionFault, error::Reason, jwt::Alg, secret::Secret},
};
use serde_json::{Value, json};

use crate::{
    signer::Signer,
    support::{Ask, NOW, World, body, parts, token_in},
};

/// What the secrets of `exports/eventhos.json` are encrypted under.
pub const CRYPTO_KEY: &str = "the crypto key of an eventhos";
/// Without any flag.
pub const WRITE: Mode = Mode { dry_run: false, partial: false };

/// An export of each system.
pub const EXPORTS: [(&str, &str); 6] = [
    ("hydra", include_str!("exports/hydra.json")),
    ("frontier", include_str!("exports/frontier.json")),
    ("eventhos", include_str!("exports/eventhos.json")),
    ("cognito", include_str!("exports/cognito.json")),
    ("auth0", include_str!("exports/auth0.json")),
    ("keycloak", include_str!("exports/keycloak.json")),
];

/// The export of one.
pub fn export(name: &str) -> &'static str {
    EXPORTS.iter().find(|(system, _)| *system == name).unwrap().1
}

/// A system by its name.
pub fn system(name: &str) -> System {
    SYSTEMS.into_iter().find(|system| system.name == name).unwrap()
}

/// What is in an export, with the key of eventhos where one is needed.
pub fn read(name: &str, text: &str) -> Vec<Imported> {
    let key = Secret::new(CRYPTO_KEY);
    system(name).read(text, (name == "eventhos").then_some(&key)).unwrap()
}

/// A service without clients.
pub async fn empty() -> World {
    World::new(json!([]), &[Alg::ES256]).await
}

/// Imports a text.
pub async fn run(world: &World, name: &str, text: &str, mode: Mode) -> Report {
    import(&world.clients, read(name, text), mode).await.unwrap()
}

/// All clients as they stand in the table.
pub async fn table(world: &World) -> Vec<Value> {
    world.clients.list().await.unwrap().iter().map(|client| json!(client)).collect()
}

async fn imported(name: &str) -> World {
    let world = empty().await;
    let report = run(&world, name, export(name), WRITE).await;
    insta::assert_snapshot!(format!("import-{name}"), report.to_string());
    world
}

fn dialect(name: &str) -> &'static Dialect {
    DIALECTS.iter().find(|dialect| dialect.name == name).unwrap()
}

// The answer to a client that asks with the secret that it had, and the claims of its token; with a character more it is
// refused.
async fn token(world: &World, dialect: &Dialect, id: &str, secret: &str, more: &[(&str, &str)]) -> (Value, Value) {
    let wrong = Ask::token_with(dialect, id, &format!("{secret}x"), more);
    world.refuses(dialect, id, wrong, Reason::SecretMismatch).await;
    let answer = world.send(Ask::token_with(dialect, id, secret, more)).await;
    assert_eq!(answer.record.reason, None, "{id}");
    let body = body(&answer.response);
    let (_, claims) = parts(token_in(&body));
    (body, claims)
}

fn lifetime(claims: &Value) -> u64 {
    claims["exp"].as_u64().unwrap() - NOW
}

#[tokio::test]
async fn clients_of_hydra_get_tokens_for_secrets_under_pbkdf2_and_bcrypt() {
    let world = imported("hydra").await;
    let oauth2 = dialect("oauth2");
    let (id, secret) = ("f6cbdb74-5d1c-4e5d-9c32-1f8d0f5f0a11", "gTh8~Kq1.vB-hydra-billing");
    let (_, claims) = token(&world, oauth2, id, secret, &[("scope", "invoices.read")]).await;
    assert_eq!((&claims["client_id"], &claims["sub"]), (&json!(id), &json!(id)));
    assert_eq!((&claims["scope"], &claims["aud"]), (&json!("invoices.read"), &json!("https://api.example.com")));
    assert_eq!(lifetime(&claims), 1800);
    // No scope asked for, none granted, as in Hydra.
    assert_eq!(token(&world, oauth2, id, secret, &[]).await.1.get("scope"), None);

    // Registered for credentials in the body, and just rotated.
    for secret in ["reporting+secret/of%hydra", "reporting-secret-before-the-rotation"] {
        let form = |secret: &str| {
            let secret = crate::support::encode(secret);
            Ask::form(oauth2.path, &format!("grant_type=client_credentials&client_id=reporting&client_secret={secret}"))
        };
        world.takes(oauth2, secret, form(secret)).await;
        world.refuses(oauth2, secret, form("wrong"), Reason::SecretMismatch).await;
        world.refuses(oauth2, secret, Ask::token(oauth2, "reporting", secret), Reason::AuthMethodNotRegistered).await;
    }
}

#[tokio::test]
async fn credentials_of_frontier_get_tokens_for_their_service_user() {
    let world = imported("frontier").await;
    let frontier = dialect("frontier");
    for (id, secret) in [
        ("0c8b1f7e-52a1-4b3c-8a60-9f1f0b8f4d21", "xEK5mWNXaS/VwpqsS1v++kjTlfQpa2D7OvRyV1oDEbU"),
        // Opaque: the hash is of the bytes that this spells.
        (OPAQUE_ID, OPAQUE),
    ] {
        let (_, claims) = token(&world, frontier, id, secret, &[]).await;
        assert_eq!(claims["client_id"], id);
        assert_eq!(claims["sub"], "7d3c5a90-0d2f-4a17-b8a4-5d1f1c0e6b32");
        assert_eq!(claims["org_ids"], "2f9a6d5e-70c4-4b0e-9d2b-0f4a3d6b7c81");
    }
    world.takes(frontier, "in upper case", Ask::token(frontier, OPAQUE_ID, &OPAQUE.to_uppercase())).await;
    let disabled = Ask::token(frontier, "5e2a9c81-7b64-4d0f-a3c8-1d2e3f405162", "a-secret-of-an-older-frontier");
    world.refuses(frontier, "disabled", disabled, Reason::ClientDisabled).await;
}

const OPAQUE_ID: &str = "a4d0c2b6-1e93-4f7d-bb52-6c0d8e9f1a43";
const OPAQUE: &str = "9a076b615361c3d5f1f61bac2bac4b4abd1b4ca4b3b80c3ffa7e4409b64110a6";

#[tokio::test]
async fn clients_of_eventhos_get_tokens_for_secrets_that_were_encrypted_there() {
    let world = imported("eventhos").await;
    let eventhos = dialect("eventhos");
    let (id, secret) = ("vT4kQ9mZpX2rLb8cNw1d::client.app", "Hk3vWq9ZpT1rLx7BnM5cDf2Gs8JaYu4E");
    let (body, claims) = token(&world, eventhos, id, secret, &[]).await;
    let mut content = body["content"].clone();
    content.as_object_mut().unwrap().remove("jwt_token");
    assert_eq!(
        content,
        json!({
            "name": "ERP", "description": "ERP of the plant", "client_id": 7, "identifier": "erp-producer",
            "roles": ["producer", "viewer"]
        })
    );
    assert_eq!(claims["data"], json!({"id": 7, "subjectType": "client", "identifier": "erp-producer"}));
    let long_lived = Ask::token(eventhos, "aB1cD2eF3gH4iJ5kL6mN::client.app", "Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Qw9Er0Ty");
    world.refuses(eventhos, "long-lived", long_lived, Reason::LongLivedClient).await;
    let revoked = Ask::token(eventhos, "zY9xW8vU7tS6rQ5pO4nM::client.app", "Qa1Ws2Ed3Rf4Tg5Yh6Uj7Ik8Ol9Pp0Zz");
    world.refuses(eventhos, "revoked", revoked, Reason::ClientDisabled).await;
}

#[tokio::test]
async fn clients_of_cognito_get_tokens_for_their_secret() {
    let world = imported("cognito").await;
    let (id, secret) = ("5l1s9mqk3v7d2t8b4c6n0prxwy", "1q9d8f7g6h5j4k3l2m1n0b9v8c7x6z5a4s3d2f1g0h9j8k7l6m5");
    let (_, claims) = token(&world, dialect("oauth2"), id, secret, &[]).await;
    assert_eq!((&claims["scope"], lifetime(&claims)), (&json!("invoices/read invoices/write"), 1800));
    let (id, secret) = ("7h3j5k9l1m2n4b6v8c0xzasdfg", "0z9x8c7v6b5n4m3a2s1d0f9g8h7j6k5l4q3w2e1r0t9y8u7i6o5");
    let (_, claims) = token(&world, dialect("oauth2"), id, secret, &[("scope", "reports/read")]).await;
    assert_eq!((&claims["scope"], lifetime(&claims)), (&json!("reports/read"), 3600));
}

#[tokio::test]
async fn clients_of_auth0_get_tokens_for_the_audiences_of_their_client_grants() {
    let world = imported("auth0").await;
    let oauth2 = dialect("oauth2");
    let (id, secret) =
        ("Xb7kT2mQ9vLr4WcZpN1dF8hJs5GyUeA3", "pK7_wQ2-xV9mZ4tB8nR1cL6yH3dF0gJ5sA-eU7iO9qW2rT4yP6kM8vX1zN3bC5hL");
    let audience = ("audience", "https://invoices.example.com/");
    let (_, claims) = token(&world, oauth2, id, secret, &[audience]).await;
    assert_eq!((&claims["aud"], &claims["scope"]), (&json!(audience.1), &json!("read:invoices write:invoices")));
    let (id, secret) =
        ("Rq3Wt5Yu7Io9Pa1Sd2Fg4Hj6Kl8Zx0Cv", "aB3_dE5-gH7jK9mN1pQ2rS4tU6vW8xY0zA-bC2dE4fG6hJ8kL1mN3pQ5rS7tU9v");
    let (_, claims) = token(&world, oauth2, id, secret, &[("audience", "https://archive.example.com/")]).await;
    assert_eq!((&claims["aud"], &claims["scope"]), (&json!("https://archive.example.com/"), &json!("read")));
    let other = Ask::token_with(oauth2, id, secret, &[audience]);
    world.refuses(oauth2, "another's audience", other, Reason::TargetNotAllowed).await;
}

#[tokio::test]
async fn clients_of_a_realm_of_keycloak_get_tokens_as_their_service_account() {
    let world = imported("keycloak").await;
    let oauth2 = dialect("oauth2");
    let (_, claims) = token(&world, oauth2, "billing", "Vh2kLq8Xw4Rt6Yu0Ip3As5Df7Gj9Zx1C", &[]).await;
    assert_eq!(claims["sub"], "b8a7c6d5-e4f3-4211-9a0b-8c7d6e5f4a3b");
    assert_eq!(claims["aud"], json!(["https://api.example.com", "invoices"]));
    assert_eq!((&claims["scope"], lifetime(&claims)), (&json!("invoices"), 600));

    let rotated = "Bn6mQ1we3Rt5yU7iO9pA2sD4fG6hJ8kL";
    token(&world, oauth2, "billing", rotated, &[("scope", "audit")]).await;
    let late = world.send_at(Ask::token(oauth2, "billing", rotated), NOW + 100).await;
    assert_eq!(late.record.reason, Some(Reason::SecretExpired));

    // Short, so kept under a slow hash; and the lifetime of the realm.
    let (_, claims) = token(&world, oauth2, "reports", "very-secret", &[]).await;
    assert_eq!((&claims["sub"], lifetime(&claims)), (&json!("reports"), 300));
    let disabled = Ask::token(oauth2, "old-batch", "Aq1Sw2De3Fr4Gt5Hy6Ju7Ki8Lo9Pz0Xc");
    world.refuses(oauth2, "disabled", disabled, Reason::ClientDisabled).await;
}

#[tokio::test]
async fn a_key_of_frontier_gets_a_token_by_what_its_sdk_signs() {
    let (held, other) = (Signer::new(Alg::RS256), Signer::new(Alg::RS256));
    let rows: Value = serde_json::from_str(export("frontier")).unwrap();
    let (mut row, id) = (rows[0].clone(), rows[0]["id"].as_str().unwrap());
    row["type"] = json!("jwt_bearer");
    row["secret_hash"].take();
    let mut jwk = held.jwk();
    jwk["kid"] = json!(id);
    row["public_key"] = json!({"keys": [jwk]});
    let world = empty().await;
    let report = run(&world, "frontier", &row.to_string(), WRITE).await;
    assert_eq!(report.to_string(), format!("imported\t{id}\n"));

    let ask = |signer: &Signer| {
        let claims = json!({"iss": "//frontier-go-sdk", "sub": row["serviceuser_id"], "iat": NOW, "exp": NOW + 3600});
        let assertion = signer.jwt_with(&json!({"alg": "RS256", "kid": id, "typ": "JWT"}), &claims);
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        Ask::json(dialect("frontier").path, &json!({"grant_type": grant, "assertion": assertion}))
    };
    let answer = world.send(ask(&held)).await;
    assert_eq!(answer.record.reason, None);
    let (_, claims) = parts(token_in(&body(&answer.response)));
    assert_eq!((&claims["sub"], &claims["org_ids"]), (&row["serviceuser_id"], &row["org_id"]));
    let stranger = world.send(ask(&other)).await;
    assert_eq!(stranger.record.reason, Some(Reason::AssertionGrant(AssertionFault::SignatureMismatch)));
}
