//! Introspection (RFC 7662, RFC 9701) and revocation (RFC 7009), whole.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, header};
use mintlet::{
    config::{CLIENTS_TABLE, STATE_TABLE},
    dialect::{DIALECTS, Dialect},
    edge::{
        client_cache::CachedClients,
        dynamodb::DynamoDb,
        keys::{HeldKeys, Source},
    },
    grant::{Moment, StateRow, Write},
    keyring::{KeyRecord, KeyRing, RingDocument},
    oauth::{
        client::{ClientId, Lifetime},
        error::Reason,
        jwt::{Alg, Typ},
    },
    service::{Answer, Settings, Store as _, TokenService},
};
use serde_json::{Value, json};

use crate::support::{Ask, ISSUER, JTI, NOW, SECRET, World, body, encode, parts, token_in, whole};

const INTROSPECT: &str = "/oauth2/introspect";
const REVOKE: &str = "/oauth2/revoke";
const BOTH: [&str; 2] = [INTROSPECT, REVOKE];
const JWT: &str = "application/token-introspection+jwt";

const HEAD: &str = "200\ncache-control: no-store\ncontent-type: application/json\npragma: no-cache\n\
                    x-content-type-options: nosniff\n\n";

fn inactive() -> String {
    format!("{HEAD}{{\"active\":false}}")
}

fn revoked() -> String {
    format!("{HEAD}{{}}")
}

fn clients() -> Value {
    json!([
        {"client_id": "billing", "client_secret": SECRET, "scope": "read write",
            "audience": ["https://api.example.com", "ledger"], "claims": {"org": "acme", "active": false}},
        {"client_id": "api", "client_secret": SECRET, "resource_identifiers": ["https://api.example.com"]},
        {"client_id": "ledger", "client_secret": SECRET},
        {"client_id": "other", "client_secret": SECRET, "scope": "read", "resource_identifiers": ["https://api.example.com/"]},
        {"client_id": "array", "client_secret": SECRET, "scope": "read write", "scope_claim": "array"},
        {"client_id": "disabled", "client_secret": SECRET, "disabled": true}
    ])
}

async fn world() -> World {
    World::new(clients(), &[Alg::ES256]).await
}

// A token of its own `jti`, issued at `now`.
async fn issue_at(world: &World, dialect: &Dialect, id: &str, jti: &str, now: u64) -> String {
    let ask = Ask::token(dialect, id, SECRET);
    let answer = world.service.respond(&ask.0, &Moment { now, jti: jti.to_owned() }).await;
    token_in(&body(&answer.response)).to_owned()
}

async fn issue(world: &World, id: &str, jti: &str) -> String {
    issue_at(world, Dialect::oauth2(), id, jti, NOW).await
}

fn about(path: &str, token: &str, caller: &str) -> Ask {
    Ask::form(path, &format!("token={}", encode(token))).basic(caller, SECRET)
}

async fn introspect(world: &World, token: &str, caller: &str) -> Answer {
    world.send(about(INTROSPECT, token, caller)).await
}

async fn is_active(world: &World, token: &str, caller: &str) -> bool {
    let response = introspect(world, token, caller).await.response;
    let active = body(&response)["active"] == true;
    assert!(active || whole(&response) == inactive(), "{}", whole(&response));
    active
}

#[tokio::test]
async fn a_good_token_is_shown_whole_to_its_client_and_to_whom_it_is_meant_for() {
    let world = world().await;
    let token = issue(&world, "billing", "j1").await;
    let expected = format!(
        "{HEAD}{{\"active\":true,\"aud\":[\"https://api.example.com\",\"ledger\"],\"client_id\":\"billing\",\"exp\":{},\
         \"iat\":{NOW},\"iss\":\"{ISSUER}\",\"jti\":\"j1\",\"nbf\":{NOW},\"org\":\"acme\",\"scope\":\"read write\",\
         \"sub\":\"billing\",\"token_type\":\"Bearer\"}}",
        NOW + 3600
    );
    for caller in ["billing", "api", "ledger"] {
        let answer = introspect(&world, &token, caller).await;
        assert_eq!(whole(&answer.response), expected, "{caller}");
        assert_eq!(answer.record.jti.as_deref(), Some("j1"));
        assert_eq!(answer.record.client_id.as_deref(), Some(caller));
    }
    assert_eq!(whole(&introspect(&world, &token, "other").await.response), inactive());
}

#[tokio::test]
async fn a_token_of_every_dialect_and_every_algorithm_is_introspected() {
    let world = World::new(
        json!(
            Alg::ALL.map(|alg| json!({
                "client_id": alg.as_str(), "client_secret": SECRET, "scope": "read write", "access_token_signed_response_alg": alg
            }))
        ),
        &Alg::ALL,
    )
    .await;
    for alg in Alg::ALL {
        for dialect in &DIALECTS {
            let token = issue_at(&world, dialect, alg.as_str(), "j", NOW).await;
            let shown = body(&introspect(&world, &token, alg.as_str()).await.response);
            let scope = if dialect.name == "eventhos" { Value::Null } else { json!("read write") };
            assert_eq!((&shown["active"], &shown["scope"]), (&json!(true), &scope), "{} {alg:?}", dialect.name);
        }
    }
}

#[tokio::test]
async fn a_scope_that_is_an_array_in_the_token_is_one_string_in_the_answer() {
    let world = world().await;
    let token = issue(&world, "array", "j").await;
    assert_eq!(parts(&token).1["scope"], json!(["read", "write"]));
    assert_eq!(body(&introspect(&world, &token, "array").await.response)["scope"], "read write");
}

#[tokio::test]
async fn whatever_is_no_good_token_of_ours_is_exactly_inactive() {
    let world = world().await;
    let token = issue(&world, "billing", "j").await;
    assert!(is_active(&world, &token, "billing").await);
    let [header, claims, signature] = <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
    let encoded = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let kid = parts(&token).0["kid"].clone();
    let mut forged = parts(&token).1;
    forged["scope"] = json!("admin");
    let other_ring =
        RingDocument { keys: vec![KeyRecord::generate(Alg::ES256, 1).unwrap()], ..RingDocument::default() };
    let other_ring = KeyRing::try_from(&other_ring).unwrap();
    let other_key =
        other_ring.signer(None, NOW).unwrap().sign(Typ::AccessToken, parts(&token).1.to_string().as_bytes());
    let other_key = other_key.unwrap();
    let other_signature = other_key.rsplit('.').next().unwrap();
    let with_header = |header: Value| format!("{}.{claims}.{signature}", encoded(header));
    for (title, token) in [
        ("no JWT", "x".to_owned()),
        ("dots", "..".to_owned()),
        ("long", "x".repeat(16_000)),
        ("long, of ours", format!("{header}.{}.{signature}", "A".repeat(15_000))),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{token}.{signature}")),
        ("no signature", format!("{header}.{claims}.")),
        ("padded", format!("{token}==")),
        ("other claims", format!("{header}.{}.{signature}", encoded(forged))),
        ("other key", other_key.clone()),
        ("other key's signature", format!("{header}.{claims}.{other_signature}")),
        ("alg none", format!("{}.{claims}.", encoded(json!({"alg": "none", "kid": kid, "typ": "at+jwt"})))),
        ("alg HS256", with_header(json!({"alg": "HS256", "kid": kid, "typ": "at+jwt"}))),
        ("typ", with_header(json!({"alg": "ES256", "kid": kid, "typ": "token-introspection+jwt"}))),
        ("crit", with_header(json!({"alg": "ES256", "crit": ["x"], "kid": kid, "typ": "at+jwt"}))),
        ("not ASCII", "é\u{1F600}".to_owned()),
    ] {
        assert!(!is_active(&world, &token, "billing").await, "{title}");
    }
}

#[tokio::test]
async fn a_token_is_inactive_from_its_expiry_on_and_for_another_issuer() {
    let world = world().await;
    let token = issue(&world, "billing", "j").await;
    for (now, active) in [(NOW + 3599, true), (NOW + 3600, false)] {
        let answer = world.send_at(about(INTROSPECT, &token, "billing"), now).await;
        assert_eq!(body(&answer.response)["active"], active, "{now}");
    }
    let elsewhere = |settings: &mut mintlet::service::Settings| settings.issuer = None;
    let world = World::with(clients(), &[Alg::ES256], elsewhere, 0).await;
    let called = |mut ask: Ask, origin: &str| {
        ask.0.origin = Some(origin.to_owned());
        ask
    };
    let issued =
        world.send(called(Ask::token(Dialect::oauth2(), "billing", SECRET), "https://a.example")).await.response;
    let token = token_in(&body(&issued)).to_owned();
    for (origin, active) in [("https://a.example", true), ("https://b.example", false)] {
        let answer = world.send(called(about(INTROSPECT, &token, "billing"), origin)).await;
        assert_eq!(body(&answer.response)["active"], active, "{origin}");
    }
}

#[tokio::test]
async fn a_signed_introspection_is_no_access_token() {
    let world = world().await;
    let token = issue(&world, "billing", "j").await;
    let answer = world.send(about(INTROSPECT, &token, "billing").header(header::ACCEPT, JWT)).await;
    let jwt = String::from_utf8(answer.response.body().to_vec()).unwrap();
    assert!(!is_active(&world, &jwt, "billing").await);
}

#[tokio::test]
async fn a_token_of_a_client_that_is_disabled_or_deleted_is_inactive() {
    let world = world().await;
    let token = issue(&world, "billing", "j").await;
    assert!(is_active(&world, &token, "api").await);
    let id = ClientId::parse("billing").unwrap();
    let before = world.clients.existing(&id).await.unwrap();
    let mut after = before.clone();
    after.disabled = true;
    world.clients.replace(&before, &after).await.unwrap();
    assert!(!is_active(&world, &token, "api").await);
    world.clients.replace(&after, &before).await.unwrap();
    assert!(is_active(&world, &token, "api").await);
    world.clients.delete(&id).await.unwrap();
    assert!(!is_active(&world, &token, "api").await);
}

#[tokio::test]
async fn a_revoked_token_is_inactive_at_once_and_no_other_is() {
    // With a client cache: what was revoked is never remembered.
    let world = World::with(clients(), &[Alg::ES256], |_| {}, 300).await;
    let (one, two) = (issue(&world, "billing", "j1").await, issue(&world, "billing", "j2").await);
    for token in [&one, &two] {
        assert!(is_active(&world, token, "billing").await);
    }
    for _ in 0..2 {
        let answer = world.send(about(REVOKE, &one, "billing")).await;
        assert_eq!(whole(&answer.response), revoked());
        assert_eq!(answer.record.jti.as_deref(), Some("j1"));
    }
    for caller in ["billing", "api", "ledger"] {
        assert_eq!(whole(&introspect(&world, &one, caller).await.response), inactive(), "{caller}");
        assert!(is_active(&world, &two, caller).await, "{caller}");
    }
}

#[tokio::test]
async fn a_revocation_is_kept_until_its_token_expires() {
    let world = world().await;
    let token = issue(&world, "billing", "j1").await;
    world.send_at(about(REVOKE, &token, "billing"), NOW + 5).await;
    let row = StateRow::RevokedToken { client_id: ClientId::parse("billing").unwrap(), jti: "j1".to_owned() };
    let lookups = mintlet::grant::Lookups { rows: vec![row.clone()], ..Default::default() };
    let store = DynamoDb::new(world.engine.sdk(), CLIENTS_TABLE, STATE_TABLE);
    let found = store.load(&lookups, NOW + 3599).await.unwrap().facts.state;
    assert_eq!(found, [(row, mintlet::grant::Found { expires_at: NOW + 3600, at: NOW + 5 })]);
}

#[tokio::test]
async fn the_token_of_another_client_is_not_revoked() {
    let world = world().await;
    let token = issue(&world, "billing", "j").await;
    for caller in ["api", "other"] {
        let dialect = Dialect::oauth2();
        world.refuses(dialect, caller, about(REVOKE, &token, caller), Reason::TokenOfAnotherClient).await;
        assert!(is_active(&world, &token, "billing").await);
    }
}

#[tokio::test]
async fn what_is_no_good_token_is_revoked_without_a_write() {
    let world = world().await;
    let token = issue(&world, "billing", "j").await;
    world.engine.sdk().delete_table().table_name(STATE_TABLE).send().await.unwrap();
    for (title, ask, now) in [
        ("no token", about(REVOKE, "x", "billing"), NOW),
        ("expired", about(REVOKE, &token, "billing"), NOW + 3600),
        ("another client's, expired", about(REVOKE, &token, "other"), NOW + 3600),
    ] {
        assert_eq!(whole(&world.send_at(ask, now).await.response), revoked(), "{title}");
    }
    let dialect = Dialect::oauth2();
    world.refuses(dialect, "revoke", about(REVOKE, &token, "billing"), Reason::StoreUnavailable).await;
    world.refuses(dialect, "introspect", about(INTROSPECT, &token, "billing"), Reason::StoreUnavailable).await;
}

#[tokio::test]
async fn a_client_wide_revocation_ends_what_was_issued_until_then() {
    let world = world().await;
    let dialect = Dialect::oauth2();
    let before = issue_at(&world, dialect, "billing", "j1", NOW - 1).await;
    let same_second = issue_at(&world, dialect, "billing", "j2", NOW).await;
    let after = issue_at(&world, dialect, "billing", "j3", NOW + 1).await;
    let of_another = issue(&world, "other", "j4").await;
    let row = StateRow::RevokedClient { client_id: ClientId::parse("billing").unwrap() };
    let store = DynamoDb::new(world.engine.sdk(), CLIENTS_TABLE, STATE_TABLE);
    store.commit(&[Write::Put { row, expires_at: NOW + 86_400, at: NOW }], NOW).await.unwrap();
    for (token, caller, active) in [
        (&before, "billing", false),
        (&same_second, "billing", false),
        (&after, "billing", true),
        (&of_another, "other", true),
    ] {
        assert_eq!(is_active(&world, token, caller).await, active, "{:?}", parts(token).1["jti"]);
    }
}

#[tokio::test]
async fn an_introspection_is_signed_for_its_caller_when_a_jwt_is_accepted() {
    let mut clients = clients();
    clients[1]["introspection_signed_response_alg"] = json!("EdDSA");
    clients[2]["introspection_signed_response_alg"] = json!("RS256");
    let world = World::new(clients, &[Alg::ES256, Alg::EdDSA]).await;
    let token = issue(&world, "billing", "j").await;
    let jwks = body(&world.send(Ask::get("/oauth2/jwks")).await.response);
    for (caller, alg, token) in [
        ("billing", "ES256", token.as_str()),
        ("api", "EdDSA", &token),
        ("other", "ES256", &token),
        ("api", "EdDSA", "x"),
    ] {
        let ask = about(INTROSPECT, token, caller);
        let response = world.send(ask.header(header::ACCEPT, &format!("text/html, {JWT}"))).await.response;
        let jwt = String::from_utf8(response.body().to_vec()).unwrap();
        let head = HEAD.replace("application/json", JWT);
        assert_eq!(whole(&response), format!("{head}{jwt}"));
        let (header, claims) = parts(&jwt);
        let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["alg"] == alg).unwrap();
        assert_eq!(header, json!({"alg": alg, "kid": key["kid"], "typ": "token-introspection+jwt"}));
        let plain = body(&introspect(&world, token, caller).await.response);
        assert_eq!(claims, json!({"iss": ISSUER, "aud": caller, "iat": NOW, "token_introspection": plain}));

        let key = jsonwebtoken::DecodingKey::from_jwk(&serde_json::from_value(key.clone()).unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(alg.parse().unwrap());
        validation.set_audience(&[caller]);
        validation.required_spec_claims.clear();
        jsonwebtoken::decode::<Value>(&jwt, &key, &validation).unwrap();
    }
    let ask = about(INTROSPECT, &token, "ledger").header(header::ACCEPT, JWT);
    world.refuses(Dialect::oauth2(), "a key that there is not", ask, Reason::NoKeyForAlg).await;
}

#[tokio::test]
async fn a_client_authenticates_as_at_the_token_endpoint_and_in_the_same_order() {
    let world = world().await;
    let token = issue(&world, "billing", "j").await;
    let dialect = Dialect::oauth2();
    for path in BOTH {
        let form = |body: &str| Ask::form(path, body);
        let good = form(&format!("token={token}&client_id=billing&client_secret={SECRET}&token_type_hint=x&x=1"));
        world.takes(dialect, "body credentials", good).await;
        let with = |more: &str| form(&format!("token={token}{more}"));
        for (title, ask, reason) in [
            ("no token", form("token=").basic("billing", "wrong"), Reason::MissingToken),
            (
                "two tokens",
                form(&format!("token={token}&token={token}")).basic("billing", SECRET),
                Reason::RepeatedParameter,
            ),
            ("no credentials", with(""), Reason::NoCredentials),
            ("client id alone", with("&client_id=billing"), Reason::NoCredentials),
            ("wrong secret", with("").basic("billing", "wrong"), Reason::SecretMismatch),
            ("unknown client", with("").basic("nobody", SECRET), Reason::UnknownClient),
            ("disabled client", with("").basic("disabled", SECRET), Reason::ClientDisabled),
            ("two methods", with("&client_secret=x").basic("billing", SECRET), Reason::TwoAuthMethods),
            ("another client's id", with("&client_id=other").basic("billing", SECRET), Reason::ClientIdMismatch),
            ("bearer", with("").header(header::AUTHORIZATION, &format!("Bearer {token}")), Reason::UnsupportedScheme),
            (
                "token in the query",
                about(path, &token, "billing").query(&format!("token={token}")),
                Reason::CredentialInQuery,
            ),
            ("broken escape", with("&x=%").basic("billing", SECRET), Reason::MalformedForm),
            ("JSON", Ask::json(path, &json!({"token": token})).basic("billing", SECRET), Reason::WrongContentType),
            (
                "too long",
                form(&format!("token={}", "x".repeat(16 * 1024))).basic("billing", SECRET),
                Reason::BodyTooLarge,
            ),
        ] {
            world.refuses(dialect, &format!("{path} {title}"), ask, reason).await;
        }
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            let answer = world.send(about(path, &token, "billing").method(method)).await;
            assert_eq!(
                (answer.response.status().as_u16(), &answer.response.headers()[header::ALLOW]),
                (405, &"POST".parse().unwrap())
            );
        }
    }
    assert!(!is_active(&world, &token, "billing").await, "the good request did revoke");
}

#[tokio::test]
async fn a_secret_that_was_added_since_works_at_once_here_too() {
    let world = World::with(clients(), &[Alg::ES256], |_| {}, 300).await;
    let token = issue(&world, "billing", "j").await;
    let entry =
        json!({"clients": [{"client_id": "billing", "client_secret": "another-secret-of-more-than-32-characters"}]});
    world.clients.apply(mintlet::cli::registration::read_file(&entry.to_string()).unwrap()).await.unwrap();
    let ask = Ask::form(INTROSPECT, &format!("token={token}"));
    let answer = world.send_at(ask.basic("billing", "another-secret-of-more-than-32-characters"), NOW + 6).await;
    assert_eq!(body(&answer.response)["active"], true);
}

#[tokio::test]
async fn both_endpoints_are_off_with_their_dialect() {
    let only = |settings: &mut mintlet::service::Settings| settings.dialects = vec!["frontier"];
    let world = World::with(clients(), &[Alg::ES256], only, 0).await;
    for path in BOTH {
        let answer = world.send(about(path, "x", "billing")).await;
        assert_eq!(answer.record.reason, Some(Reason::UnknownPath));
    }
    let metadata = body(&world.send(Ask::get("/.well-known/oauth-authorization-server")).await.response);
    for name in metadata.as_object().unwrap().keys() {
        assert!(!name.starts_with("introspection") && !name.starts_with("revocation"), "{name}");
    }
}

#[tokio::test]
async fn a_token_of_a_key_that_was_made_since_is_known_and_can_be_revoked() {
    let world = World::new(json!([{"client_id": "billing", "client_secret": SECRET}]), &[]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let instance = || {
        let settings = Settings {
            issuer: Some(ISSUER.to_owned()),
            base_path: String::new(),
            dialects: vec!["oauth2"],
            access_token_lifetime: Lifetime::default(),
            authorization_details_types: Vec::new(),
            requires_dpop_nonce: false,
            mutual_tls: None,
        };
        let store = CachedClients::new(DynamoDb::new(world.engine.sdk(), CLIENTS_TABLE, STATE_TABLE), 0);
        TokenService::new(settings, store, HeldKeys::new(Source::File(file.path().to_owned()), 3600))
    };
    let keep = |keys: &[KeyRecord]| {
        let ring = RingDocument { keys: keys.to_vec(), ..RingDocument::default() };
        std::fs::write(file.path(), serde_json::to_vec(&ring).unwrap()).unwrap();
    };
    let [old, new] = [1, 2].map(|at| KeyRecord::generate(Alg::ES256, at).unwrap());
    let token = || Ask::token(Dialect::oauth2(), "billing", SECRET);
    let (warm, late) = (instance(), instance());
    keep(std::slice::from_ref(&old));
    let mut of_old = String::new();
    for instance in [&warm, &late] {
        let answer = instance.respond(&token().0, &Moment { now: NOW, jti: "first".to_owned() }).await;
        assert_eq!(answer.record.kid.as_deref(), Some(old.kid.as_str()));
        token_in(&body(&answer.response)).clone_into(&mut of_old);
    }
    keep(&[old, new.clone()]);
    let answer = instance().respond(&token().0, &Moment { now: NOW, jti: JTI.to_owned() }).await;
    assert_eq!(answer.record.kid.as_deref(), Some(new.kid.as_str()));
    let body = body(&answer.response);
    let about = |path: &str| about(path, token_in(&body), "billing");
    let moment = |now| Moment { now, jti: JTI.to_owned() };

    // A ring that was read just now is not read again.
    let early = warm.respond(&about(INTROSPECT).0, &moment(NOW + 9)).await;
    assert_eq!(whole(&early.response), inactive());
    let known = warm.respond(&about(INTROSPECT).0, &moment(NOW + 10)).await;
    assert_ne!(whole(&known.response), inactive());
    let gone = late.respond(&about(REVOKE).0, &moment(NOW + 10)).await;
    assert_eq!(whole(&gone.response), revoked());
    let after = warm.respond(&about(INTROSPECT).0, &moment(NOW + 11)).await;
    assert_eq!(whole(&after.response), inactive());
    // For a key that it has, it reads nothing.
    keep(&[new]);
    let held = warm.respond(&self::about(INTROSPECT, &of_old, "billing").0, &moment(NOW + 60)).await;
    assert_ne!(whole(&held.response), inactive());
}
