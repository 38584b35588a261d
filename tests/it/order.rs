//! What is checked before what: a request with two faults is refused for the one that comes first in the contract.

use http::{Method, header};
use mintlet::{
    config::{CLIENTS_TABLE, STATE_TABLE},
    dialect::{DIALECTS, Dialect},
    edge::{
        client_cache::CachedClients,
        dynamodb::DynamoDb,
        keys::{HeldKeys, Source},
    },
    grant::Moment,
    oauth::{client::Lifetime, error::Reason, jwt::Alg},
    service::{Settings, TokenService},
};
use serde_json::json;

use crate::support::{Ask, ISSUER, JTI, NOW, SECRET, World, whole};

async fn world() -> World {
    let clients = json!([
        {"client_id": "billing", "client_secret": SECRET, "scope": "read", "audience": ["a:a"]},
        {"client_id": "disabled", "client_secret": SECRET, "disabled": true, "grant_types": []},
        {"client_id": "without-grant", "client_secret": SECRET, "grant_types": []}
    ]);
    World::new(clients, &[Alg::ES256]).await
}

const BAD_SCOPE: (&str, &str) = ("scope", "admin");
const BAD_RESOURCE: (&str, &str) = ("resource", "b:b");

#[tokio::test]
async fn the_client_is_proven_before_anything_is_said_of_what_it_asks_for() {
    let world = world().await;
    for dialect in &DIALECTS {
        let ask = |id, secret, more: &[(&str, &str)]| Ask::token_with(dialect, id, secret, more);
        let both = [BAD_SCOPE, BAD_RESOURCE];
        for (title, ask, reason) in [
            ("wrong secret", ask("billing", "wrong", &both), Reason::SecretMismatch),
            ("unknown client", ask("nobody", SECRET, &both), Reason::UnknownClient),
            ("disabled client", ask("disabled", SECRET, &both), Reason::ClientDisabled),
            ("disabled client, wrong secret", ask("disabled", "wrong", &both), Reason::SecretMismatch),
            ("grant not registered", ask("without-grant", SECRET, &both), Reason::GrantNotRegistered),
            ("wrong secret, grant not registered", ask("without-grant", "wrong", &[]), Reason::SecretMismatch),
            ("bad resource", ask("billing", SECRET, &[BAD_RESOURCE]), Reason::TargetNotAllowed),
        ] {
            world.refuses(dialect, title, ask, reason).await;
        }
        if dialect.name != "eventhos" {
            let ask = ask("billing", SECRET, &both);
            world.refuses(dialect, "scope before resource", ask, Reason::ScopeNotGranted).await;
        }
    }
}

#[tokio::test]
async fn the_request_is_read_before_its_client_is_looked_up() {
    let world = world().await;
    for dialect in &DIALECTS {
        let form = |body: &str| Ask::form(dialect.path, body).basic("billing", "wrong");
        world.refuses(dialect, "no grant", form("scope=read"), Reason::MissingGrantType).await;
        world.refuses(dialect, "unknown grant", form("grant_type=x"), Reason::UnsupportedGrantType).await;
        world.refuses(dialect, "malformed", form("grant_type=x&x=%"), Reason::MalformedForm).await;
        let ask = form("grant_type=x&x=%").query("client_secret=x");
        world.refuses(dialect, "query before body", ask, Reason::CredentialInQuery).await;
        let answer = world.send(form("").query("client_secret=x").method(Method::GET)).await;
        assert_eq!(answer.record.reason, Some(Reason::WrongMethod), "{}", dialect.name);
        let ask = Ask::post(dialect.path, "text/plain", vec![b'a'; 16 * 1024 + 1]).basic("billing", "wrong");
        world.refuses(dialect, "size before content type", ask, Reason::BodyTooLarge).await;
    }
}

#[tokio::test]
async fn a_store_that_is_out_is_503_in_every_dialect_and_never_says_that_a_secret_is_wrong() {
    let world = world().await;
    world.engine.sdk().delete_table().table_name(CLIENTS_TABLE).send().await.unwrap();
    for dialect in &DIALECTS {
        for secret in [SECRET, "wrong"] {
            let ask = Ask::token(dialect, "billing", secret);
            world.refuses(dialect, secret, ask, Reason::StoreUnavailable).await;
        }
        // What needs no store is answered as ever.
        let ask = Ask::form(dialect.path, "grant_type=x");
        world.refuses(dialect, "unknown grant", ask, Reason::UnsupportedGrantType).await;
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_503_for_a_right_secret_alone() {
    let world = world().await;
    let settings = Settings {
        issuer: Some(ISSUER.to_owned()),
        base_path: String::new(),
        dialects: DIALECTS.iter().map(|dialect| dialect.name).collect(),
        access_token_lifetime: Lifetime::default(),
        requires_dpop_nonce: false,
        mutual_tls: None,
    };
    let nowhere = tempfile::tempdir().unwrap().path().join("keys.json");
    let store = CachedClients::new(DynamoDb::new(world.engine.sdk(), CLIENTS_TABLE, STATE_TABLE), 0);
    let service = TokenService::new(settings, store, HeldKeys::new(Source::File(nowhere), 300));
    let moment = Moment { now: NOW, jti: JTI.to_owned() };
    for dialect in &DIALECTS {
        for (secret, reason) in [(SECRET, Reason::KeysUnavailable), ("wrong", Reason::SecretMismatch)] {
            let answer = service.respond(&Ask::token(dialect, "billing", secret).0, &moment).await;
            assert_eq!(whole(&answer.response), whole(&dialect.refused(reason, Some(ISSUER))), "{}", dialect.name);
        }
    }
    let jwks = service.respond(&Ask::get("/oauth2/jwks").0, &moment).await.response;
    assert_eq!(jwks.status(), 503);
    assert_eq!(
        (&jwks.headers()[header::RETRY_AFTER], &jwks.headers()[header::CACHE_CONTROL]),
        (&"2".parse().unwrap(), &"no-store".parse().unwrap())
    );
    assert_eq!(whole(&jwks), whole(&Dialect::oauth2().refused(Reason::KeysUnavailable, Some(ISSUER))));
}
