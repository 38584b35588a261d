//! Tokens: who signs them, whom they are for, how long they are good, what they say; and scope and resource.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::JwkSet};
use mintlet::{
    cli::{clients_table::ClientsTable, registration},
    config::{CLIENTS_TABLE, STATE_TABLE},
    dialect::{DIALECTS, Dialect},
    edge::{
        client_cache::CachedClients,
        dynamodb::DynamoDb,
        keys::{HeldKeys, Source},
    },
    grant::Moment,
    oauth::{
        client::Lifetime,
        error::Reason,
        jwt::{Alg, REGISTERED_CLAIMS},
    },
    service::{Settings, TokenService},
};
use serde_json::{Value, json};

use crate::support::{Ask, ISSUER, JTI, NOW, SECRET, World, body, parts, ring, token_in};

fn client(attributes: &Value) -> Value {
    let mut client = json!({"client_id": "billing", "client_secret": SECRET});
    client.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    client
}

async fn world(attributes: Value) -> World {
    World::new(json!([client(&attributes)]), &[Alg::ES256]).await
}

// The claims of a token that is asked for with `more` parameters.
async fn claims(world: &World, dialect: &Dialect, more: &[(&str, &str)]) -> Result<Value, Reason> {
    let answer = world.send(Ask::token_with(dialect, "billing", SECRET, more)).await;
    match answer.record.reason {
        Some(reason) => Err(reason),
        None => Ok(parts(token_in(&body(&answer.response))).1),
    }
}

fn oauth2() -> &'static Dialect {
    Dialect::oauth2()
}

#[tokio::test]
async fn a_token_of_each_algorithm_verifies_with_the_published_key_or_the_shared_one() {
    let clients: Value = Alg::ALL
        .iter()
        .map(|alg| {
            json!({"client_id": alg.as_str(), "client_secret": SECRET, "access_token_signed_response_alg": alg.as_str()})
        })
        .collect();
    let base = World::new(clients, &[]).await;
    let keys = ring(&Alg::ALL);
    let document: Value = serde_json::from_slice(&keys).unwrap();
    let settings = Settings {
        issuer: Some(ISSUER.to_owned()),
        base_path: String::new(),
        dialects: DIALECTS.iter().map(|dialect| dialect.name).collect(),
        access_token_lifetime: Lifetime::default(),
        requires_dpop_nonce: false,
        mutual_tls: None,
        authorization_details_types: Vec::new(),
    };
    let store = CachedClients::new(DynamoDb::new(base.engine.sdk(), CLIENTS_TABLE, STATE_TABLE), 0);
    let service = TokenService::new(settings, store, HeldKeys::new(Source::Inline(keys), 300));
    let moment = Moment { now: NOW, jti: JTI.to_owned() };
    let jwks = service.respond(&Ask::get("/oauth2/jwks").0, &moment).await;
    let jwks: JwkSet = serde_json::from_slice(jwks.response.body()).unwrap();

    for alg in Alg::ALL {
        for dialect in &DIALECTS {
            let ask = Ask::token(dialect, alg.as_str(), SECRET);
            let answer = service.respond(&ask.0, &moment).await;
            let body = body(&answer.response);
            let token = token_in(&body);
            let (header, _) = parts(token);
            let kid = header["kid"].as_str().unwrap();
            let typ = if dialect.name == "oauth2" { "at+jwt" } else { "JWT" };
            assert_eq!(header, json!({"alg": alg.as_str(), "kid": kid, "typ": typ}));
            let key = if alg == Alg::HS256 {
                assert!(jwks.find(kid).is_none(), "an HMAC key is published");
                let record = document["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap();
                DecodingKey::from_secret(&STANDARD.decode(record["k"].as_str().unwrap()).unwrap())
            } else {
                DecodingKey::from_jwk(jwks.find(kid).unwrap()).unwrap()
            };
            let algorithm: Algorithm = alg.as_str().parse().unwrap();
            let mut validation = Validation::new(algorithm);
            validation.set_issuer(&[ISSUER]);
            validation.set_audience(&[alg.as_str()]);
            let verified = decode::<Value>(token, &key, &validation).unwrap();
            assert_eq!(verified.claims["client_id"], alg.as_str());
            // The same token with one character of its signature changed is no token.
            let end = token.len() - 10;
            let changed = if token.as_bytes()[end] == b'A' { "B" } else { "A" };
            let forged = format!("{}{changed}{}", &token[..end], &token[end + 1..]);
            assert!(decode::<Value>(&forged, &key, &validation).is_err());
        }
    }
}

#[tokio::test]
async fn a_client_that_names_no_algorithm_gets_the_deployments() {
    for (ring, expected) in [
        (&[Alg::HS256, Alg::EdDSA, Alg::ES256, Alg::RS256][..], "RS256"),
        (&[Alg::HS256, Alg::EdDSA, Alg::ES256], "ES256"),
        (&[Alg::HS256], "HS256"),
    ] {
        let world = World::new(json!([client(&json!({}))]), ring).await;
        let answer = world.send(Ask::token(oauth2(), "billing", SECRET)).await;
        assert_eq!(parts(token_in(&body(&answer.response))).0["alg"], expected);
    }
}

#[tokio::test]
async fn a_client_whose_algorithm_has_no_key_is_never_given_another() {
    let world = World::new(json!([client(&json!({"access_token_signed_response_alg": "ES384"}))]), &[Alg::ES256]).await;
    for dialect in &DIALECTS {
        let answer = world.send(Ask::token(dialect, "billing", SECRET)).await;
        assert_eq!(answer.record.reason, Some(Reason::NoKeyForAlg));
        assert_eq!(answer.response.status(), 503);
    }
}

#[tokio::test]
async fn the_lifetime_is_the_clients_or_else_the_deployments() {
    for (own, deployment, expected) in [(None, None, 3600), (None, Some(600), 600), (Some(60), Some(600), 60)] {
        let attributes = own.map_or(json!({}), |seconds: u64| json!({"access_token_lifetime": seconds}));
        let change = |settings: &mut Settings| {
            if let Some(seconds) = deployment {
                settings.access_token_lifetime = Lifetime::from_seconds(seconds).unwrap();
            }
        };
        let world = World::with(json!([client(&attributes)]), &[Alg::ES256], change, 0).await;
        for dialect in &DIALECTS {
            let answer = world.send(Ask::token(dialect, "billing", SECRET)).await;
            let body = body(&answer.response);
            let (_, claims) = parts(token_in(&body));
            assert_eq!(
                (&claims["iat"], &claims["nbf"], &claims["exp"], &claims["jti"]),
                (&json!(NOW), &json!(NOW), &json!(NOW + expected), &json!(JTI))
            );
            if matches!(dialect.name, "oauth2" | "screening-eagle") {
                assert_eq!(body["expires_in"], expected);
            }
        }
    }
}

#[tokio::test]
async fn the_audience_is_what_was_asked_or_else_the_clients_or_else_its_id() {
    let several = world(json!({"audience": ["https://a.example", "urn:b", "plain"]})).await;
    let one = world(json!({"audience": ["https://a.example"]})).await;
    let none = world(json!({})).await;
    for dialect in &DIALECTS {
        assert_eq!(
            claims(&several, dialect, &[]).await.unwrap()["aud"],
            json!(["https://a.example", "urn:b", "plain"])
        );
        assert_eq!(claims(&one, dialect, &[]).await.unwrap()["aud"], "https://a.example");
        assert_eq!(claims(&none, dialect, &[]).await.unwrap()["aud"], "billing");
        assert_eq!(claims(&several, dialect, &[("resource", "urn:b")]).await.unwrap()["aud"], "urn:b");
        assert_eq!(claims(&several, dialect, &[("audience", "plain")]).await.unwrap()["aud"], "plain");
        let both = claims(&several, dialect, &[("resource", "urn:b"), ("audience", "plain")]).await.unwrap();
        assert_eq!(both["aud"], json!(["urn:b", "plain"]));
    }
    for dialect in DIALECTS.iter().filter(|dialect| dialect.name != "frontier") {
        let twice = [("resource", "urn:b"), ("resource", "https://a.example"), ("audience", "urn:b")];
        assert_eq!(claims(&several, dialect, &twice).await.unwrap()["aud"], json!(["urn:b", "https://a.example"]));
    }
}

#[tokio::test]
async fn a_target_that_is_not_the_clients_is_refused_even_beside_one_that_is() {
    let world = world(json!({"audience": ["https://a.example", "https://a.example/#f"]})).await;
    for (name, value, reason) in [
        ("resource", "https://a.example/", Reason::TargetNotAllowed),
        ("resource", "https://A.example", Reason::TargetNotAllowed),
        ("resource", "https://b.example", Reason::TargetNotAllowed),
        ("audience", "b", Reason::TargetNotAllowed),
        ("audience", "billing", Reason::TargetNotAllowed),
        ("resource", "a.example", Reason::MalformedResource),
        ("resource", "/a", Reason::MalformedResource),
        ("resource", "//a.example", Reason::MalformedResource),
        ("resource", "https://a.example/#f", Reason::MalformedResource),
        ("resource", "https://a.example/ b", Reason::MalformedResource),
    ] {
        for dialect in &DIALECTS {
            assert_eq!(claims(&world, dialect, &[(name, value)]).await, Err(reason), "{} {name}={value}", dialect.name);
            let beside = if name == "resource" { "audience" } else { "resource" };
            let more = [(name, value), (beside, "https://a.example")];
            assert_eq!(claims(&world, dialect, &more).await, Err(reason), "{} {name}={value}", dialect.name);
        }
    }
}

#[tokio::test]
async fn the_scope_is_what_was_asked_or_else_the_default_or_else_all_of_the_registration() {
    for (attributes, asked, granted) in [
        (json!({"scope": "read write", "default_scope": "read"}), None, "read"),
        (json!({"scope": "read write"}), None, "read write"),
        (json!({"scope": "read write", "default_scope": "read"}), Some("write"), "write"),
        (json!({"scope": "read write"}), Some("write read"), "write read"),
        (json!({"scope": "read write"}), Some("read read"), "read"),
        (json!({"scope": "read", "default_scope": ""}), None, ""),
        (json!({}), None, ""),
    ] {
        let world = world(attributes.clone()).await;
        let more: Vec<_> = asked.map(|asked| ("scope", asked)).into_iter().collect();
        let claim = |claims: &Value, name| claims.get(name).cloned();
        let string = Some(json!(granted));
        let if_any = (!granted.is_empty()).then(|| json!(granted));
        let of = async |name| claims(&world, Dialect::named(name).unwrap(), &more).await.unwrap();
        assert_eq!(claim(&of("oauth2").await, "scope"), if_any, "{attributes}");
        assert_eq!(claim(&of("screening-eagle").await, "scp"), string, "{attributes}");
        assert_eq!(claim(&of("frontier").await, "scope"), if_any, "{attributes}");
        assert_eq!(claim(&of("eventhos").await, "scope"), None);
        for dialect in ["oauth2", "screening-eagle"] {
            let ask = Ask::token_with(Dialect::named(dialect).unwrap(), "billing", SECRET, &more);
            assert_eq!(body(&world.send(ask).await.response)["scope"], granted, "{dialect} always sends scope");
        }
    }
}

#[tokio::test]
async fn a_scope_outside_the_registration_or_the_grammar_is_refused_and_never_narrowed() {
    let world = world(json!({"scope": "read write openid"})).await;
    for (asked, reason) in [
        ("admin", Reason::ScopeNotGranted),
        ("read admin", Reason::ScopeNotGranted),
        ("Read", Reason::ScopeNotGranted),
        ("read:all", Reason::ScopeNotGranted),
        ("rea", Reason::ScopeNotGranted),
        ("read openid", Reason::ScopeNotGranted),
        ("openid", Reason::ScopeNotGranted),
        (" read", Reason::MalformedScope),
        ("read ", Reason::MalformedScope),
        ("read  write", Reason::MalformedScope),
        ("read\twrite", Reason::MalformedScope),
        ("read\nwrite", Reason::MalformedScope),
        ("read,\"write\"", Reason::MalformedScope),
        ("read\\", Reason::MalformedScope),
        ("réad", Reason::MalformedScope),
        (" ", Reason::MalformedScope),
    ] {
        for dialect in DIALECTS.iter().filter(|dialect| dialect.name != "eventhos") {
            let found = claims(&world, dialect, &[("scope", asked)]).await;
            assert_eq!(found, Err(reason), "{} {asked:?}", dialect.name);
        }
    }
    // Nor is what nobody is granted part of what is given unasked.
    assert_eq!(claims(&world, oauth2(), &[]).await.unwrap()["scope"], "read write");
}

#[tokio::test]
async fn only_oauth2_writes_the_scope_claim_as_an_array_if_the_client_says_so() {
    let world = world(json!({"scope": "read write", "scope_claim": "array"})).await;
    assert_eq!(claims(&world, oauth2(), &[]).await.unwrap()["scope"], json!(["read", "write"]));
    assert_eq!(claims(&world, oauth2(), &[("scope", "read")]).await.unwrap()["scope"], json!(["read"]));
    assert_eq!(claims(&world, Dialect::named("frontier").unwrap(), &[]).await.unwrap()["scope"], "read write");
    assert_eq!(claims(&world, Dialect::named("screening-eagle").unwrap(), &[]).await.unwrap()["scp"], "read write");
}

#[tokio::test]
async fn a_claim_that_only_the_server_sets_is_refused_at_registration() {
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp", "cnf"] {
        assert!(REGISTERED_CLAIMS.contains(&name));
        let file = json!({"clients": [client(&json!({"claims": {name: "forged"}}))]}).to_string();
        let faults = registration::read_file(&file).unwrap_err();
        assert_eq!(faults, [format!(r#"clients[0] ("billing"): claims.{name}: only the server sets this claim"#)]);
    }
}

#[tokio::test]
async fn a_claim_that_got_into_the_table_never_stands_over_one_of_the_server_or_the_dialect() {
    let world = world(json!({"scope": "read", "roles": ["clerk"]})).await;
    let before = world.clients.existing(&mintlet::oauth::client::ClientId::parse("billing").unwrap()).await.unwrap();
    let mut clean = Vec::new();
    for dialect in &DIALECTS {
        clean.push(claims(&world, dialect, &[]).await.unwrap());
    }
    let mut forged = before.clone();
    for name in REGISTERED_CLAIMS.iter().chain(&["scopes", "kid", "gen", "sub_type", "data", "own"]) {
        forged.claims.insert((*name).to_owned(), json!("forged"));
    }
    ClientsTable::new(world.engine.sdk(), CLIENTS_TABLE).replace(&before, &forged).await.unwrap();
    for (dialect, clean) in DIALECTS.iter().zip(clean) {
        let answer = world.send(Ask::token(dialect, "billing", SECRET)).await;
        let body = body(&answer.response);
        let (_, claims) = parts(token_in(&body));
        assert_eq!(claims["own"], "forged", "a claim of the client's own is missing");
        for (name, value) in clean.as_object().unwrap() {
            assert_eq!(&claims[name], value, "{} {name}", dialect.name);
        }
        let foreign: &[&str] = match dialect.name {
            "screening-eagle" => &["kid", "gen", "sub_type", "data"],
            "frontier" => &["scopes", "data"],
            "eventhos" => &["scopes", "kid", "gen", "sub_type"],
            _ => &["scopes", "kid", "gen", "sub_type", "data"],
        };
        for name in REGISTERED_CLAIMS.iter().filter(|name| clean.get(**name).is_none()) {
            assert!(claims.get(name).is_none(), "{} {name}", dialect.name);
        }
        assert!(foreign.iter().all(|name| claims[*name] == "forged"), "{}: {claims}", dialect.name);
    }
}

#[tokio::test]
async fn a_claim_named_scp_that_got_into_the_table_is_not_the_scope_of_a_token() {
    let world = world(json!({})).await;
    let before = world.clients.existing(&mintlet::oauth::client::ClientId::parse("billing").unwrap()).await.unwrap();
    let mut forged = before.clone();
    forged.claims.insert("scp".to_owned(), json!("admin"));
    ClientsTable::new(world.engine.sdk(), CLIENTS_TABLE).replace(&before, &forged).await.unwrap();
    for dialect in &DIALECTS {
        let answer = world.send(Ask::token(dialect, "billing", SECRET)).await;
        let token = token_in(&body(&answer.response)).to_owned();
        let ask = Ask::form("/oauth2/introspect", &format!("token={token}")).basic("billing", SECRET);
        let shown = body(&world.send(ask).await.response);
        assert_eq!(shown["active"], true, "{}", dialect.name);
        assert!(!shown.to_string().contains("admin"), "{}: {shown}", dialect.name);
    }
}
