//! Client authentication that is refused: each the accepted request with one thing changed.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use http::header;
use mintlet::{
    config::CLIENTS_TABLE,
    dialect::{DIALECTS, Dialect},
    oauth::{error::Reason, jwt::Alg},
};
use serde_json::json;

use crate::support::{Ask, SECRET, World, encode, whole};

const OTHERS_SECRET: &str = "another-secret-of-more-than-32-characters";

async fn world() -> World {
    let clients = json!([
        {"client_id": "billing", "client_secret": SECRET},
        {"client_id": "other", "client_secret": OTHERS_SECRET},
        {"client_id": "basic-only", "client_secret": SECRET, "token_endpoint_auth_method": "client_secret_basic"},
        {"client_id": "post-only", "client_secret": SECRET, "token_endpoint_auth_method": "client_secret_post"},
        {"client_id": "without-secret"}
    ]);
    World::new(clients, &[Alg::ES256]).await
}

fn takes_basic() -> impl Iterator<Item = &'static Dialect> {
    DIALECTS.iter().filter(|dialect| dialect.policy.auth.basic.is_some())
}

fn takes_post() -> impl Iterator<Item = &'static Dialect> {
    DIALECTS.iter().filter(|dialect| dialect.policy.auth.post)
}

fn form(dialect: &Dialect, more: &str) -> Ask {
    Ask::form(dialect.path, &format!("grant_type=client_credentials{more}"))
}

fn basic(dialect: &Dialect, value: &str) -> Ask {
    form(dialect, "").header(header::AUTHORIZATION, value)
}

fn post(dialect: &Dialect, id: &str, secret: &str) -> Ask {
    form(dialect, &format!("&client_id={}&client_secret={}", encode(id), encode(secret)))
}

#[tokio::test]
async fn a_basic_that_holds_no_pair_is_invalid_client() {
    let world = world().await;
    let good = STANDARD.encode(format!("billing:{SECRET}"));
    let of = |pair: &[u8]| format!("Basic {}", STANDARD.encode(pair));
    // `-` and `_` of base64url stand for `+` and `/`.
    let url_safe = URL_SAFE.encode(b"\xc3\xbb\xc3\xbf:\xc3\xbb\xc3\xbf?>?>");
    assert!(url_safe.contains(['-', '_']));
    let malformed = [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic =".to_owned(),
        format!("Basic {}", &good[..good.len() / 2]),
        format!("Basic {} {}", &good[..8], &good[8..]),
        format!("Basic {good} x"),
        format!("Basic {good}!"),
        format!("Basic {good}="),
        format!("Basic ={good}"),
        format!("Basic \"{good}\""),
        format!("Basic {good},"),
        format!("Basic {url_safe}"),
        of(b"billing"),
        of(b""),
        of(b":"),
        of(format!(":{SECRET}").as_bytes()),
        of(format!("billing:{SECRET}\0").as_bytes()),
        of(format!("\0billing:{SECRET}").as_bytes()),
        of(format!("billing:{SECRET}\n").as_bytes()),
        of(b"billing:\xff\xfe"),
        of(b"bill\xc0\xafing:x"),
    ];
    let other_scheme = [
        format!("Bearer {good}"),
        format!("Basic\t{good}"),
        format!("Basic:{good}"),
        good.clone(),
        String::new(),
        format!("Digest {good}"),
        r#"Digest username="billing", realm="two words""#.to_owned(),
    ];
    for dialect in takes_basic() {
        world.takes(dialect, "good", basic(dialect, &format!("Basic {good}"))).await;
        for value in &malformed {
            world.refuses(dialect, value, basic(dialect, value), Reason::MalformedBasic).await;
        }
        for value in &other_scheme {
            world.refuses(dialect, value, basic(dialect, value), Reason::UnsupportedScheme).await;
        }
    }
}

#[tokio::test]
async fn basic_says_nothing_of_which_fault_it_had() {
    let world = world().await;
    for dialect in takes_basic() {
        let wrong = whole(&world.send(form(dialect, "").basic("billing", "wrong")).await.response);
        for value in ["Basic", "Basic !", "Basic YQ==", "Bearer x", ""] {
            assert_eq!(whole(&world.send(basic(dialect, value)).await.response), wrong, "{} {value}", dialect.name);
        }
        assert_eq!(whole(&world.send(form(dialect, "")).await.response), wrong, "{}", dialect.name);
    }
}

#[tokio::test]
async fn two_authorization_headers_are_invalid_request_however_they_arrive() {
    let world = world().await;
    let good = format!("Basic {}", STANDARD.encode(format!("billing:{SECRET}")));
    for dialect in &DIALECTS {
        for second in [good.as_str(), "Basic x", "Bearer x"] {
            let repeated = basic(dialect, &good).header(header::AUTHORIZATION, second);
            world.refuses(dialect, second, repeated, Reason::RepeatedAuthorization).await;
            for joined in [format!("{good},{second}"), format!("{good}, {second}"), format!("{second} , {good}")] {
                world.refuses(dialect, &joined, basic(dialect, &joined), Reason::RepeatedAuthorization).await;
            }
        }
    }
}

#[tokio::test]
async fn two_authentication_methods_are_invalid_request_even_if_equal() {
    let world = world().await;
    for dialect in &DIALECTS {
        for more in [
            format!("&client_id=billing&client_secret={SECRET}"),
            format!("&client_secret={SECRET}"),
            "&client_assertion=x".to_owned(),
            "&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
        ] {
            let ask = form(dialect, &more).basic("billing", SECRET);
            world.refuses(dialect, &more, ask, Reason::TwoAuthMethods).await;
        }
        let ask = form(dialect, &format!("&client_id=billing&client_secret={SECRET}&client_assertion=x"));
        world.refuses(dialect, "secret and assertion", ask, Reason::TwoAuthMethods).await;
    }
}

#[tokio::test]
async fn a_body_client_id_beside_basic_has_to_be_the_same() {
    let world = world().await;
    for dialect in takes_basic() {
        world.takes(dialect, "same", form(dialect, "&client_id=billing").basic("billing", SECRET)).await;
        for id in ["other", "Billing", "billing+", "nobody"] {
            let ask = form(dialect, &format!("&client_id={id}")).basic("billing", SECRET);
            world.refuses(dialect, id, ask, Reason::ClientIdMismatch).await;
        }
    }
}

#[tokio::test]
async fn each_dialect_refuses_the_methods_that_it_does_not_take() {
    let world = world().await;
    let eagle = Dialect::named("screening-eagle").unwrap();
    world.refuses(eagle, "body", post(eagle, "billing", SECRET), Reason::AuthMethodNotTaken).await;
    let eventhos = Dialect::named("eventhos").unwrap();
    world.refuses(eventhos, "basic", form(eventhos, "").basic("billing", SECRET), Reason::AuthMethodNotTaken).await;
    for dialect in DIALECTS.iter().filter(|dialect| !dialect.policy.auth.private_key_jwt) {
        let ask = form(dialect, "&client_id=billing&client_assertion=x");
        world.refuses(dialect, "assertion", ask, Reason::AuthMethodNotTaken).await;
    }
}

#[tokio::test]
async fn what_does_not_prove_a_client_is_refused() {
    let world = world().await;
    for dialect in &DIALECTS {
        let ask = |id, secret: &str| Ask::token(dialect, id, secret);
        world.takes(dialect, "right", ask("billing", SECRET)).await;
        for (id, secret, reason) in [
            ("billing", OTHERS_SECRET, Reason::SecretMismatch),
            ("billing", &SECRET[1..], Reason::SecretMismatch),
            ("billing", &SECRET[..SECRET.len() - 1], Reason::SecretMismatch),
            ("billing", &SECRET.to_uppercase(), Reason::SecretMismatch),
            ("billing", &format!("{SECRET} "), Reason::SecretMismatch),
            ("billing", &"x".repeat(4096), Reason::SecretMismatch),
            ("billing", &"x".repeat(4097), Reason::CredentialTooLong),
            ("without-secret", SECRET, Reason::SecretMismatch),
            ("Billing", SECRET, Reason::UnknownClient),
            ("billing ", SECRET, Reason::UnknownClient),
            ("bílling", SECRET, Reason::UnknownClient),
            (&"x".repeat(256), SECRET, Reason::UnknownClient),
            (&"x".repeat(4097), SECRET, Reason::CredentialTooLong),
        ] {
            world.refuses(dialect, &format!("{id}:{secret}"), ask(id, secret), reason).await;
        }
    }
    for dialect in takes_basic() {
        let empty = form(dialect, "").basic("billing", "");
        world.refuses(dialect, "empty secret", empty, Reason::SecretMismatch).await;
        let none = form(dialect, "&client_id=billing");
        world.refuses(dialect, "no secret", none, Reason::NoCredentials).await;
    }
    for dialect in takes_post() {
        let empty = post(dialect, "billing", "");
        world.refuses(dialect, "empty secret", empty, Reason::NoCredentials).await;
        world.refuses(dialect, "no id", post(dialect, "", SECRET), Reason::MissingClientId).await;
        for id in ["bill\ning", "billing\r\nx", "é"] {
            world.refuses(dialect, id, post(dialect, id, SECRET), Reason::UnknownClient).await;
        }
    }
}

#[tokio::test]
async fn a_secret_of_4_kib_works() {
    let secret = "x".repeat(4096);
    let world = World::new(json!([{"client_id": "billing", "client_secret": secret}]), &[Alg::ES256]).await;
    for dialect in &DIALECTS {
        world.takes(dialect, "4 KiB", Ask::token(dialect, "billing", &secret)).await;
    }
}

#[tokio::test]
async fn a_method_that_the_client_is_not_registered_for_is_refused() {
    let world = world().await;
    for dialect in takes_basic() {
        world.takes(dialect, "basic", form(dialect, "").basic("basic-only", SECRET)).await;
        let ask = form(dialect, "").basic("post-only", SECRET);
        world.refuses(dialect, "basic", ask, Reason::AuthMethodNotRegistered).await;
        let wrong = form(dialect, "").basic("post-only", "wrong");
        world.refuses(dialect, "basic with a wrong secret", wrong, Reason::SecretMismatch).await;
    }
    for dialect in takes_post() {
        world.takes(dialect, "post", post(dialect, "post-only", SECRET)).await;
        let ask = post(dialect, "basic-only", SECRET);
        world.refuses(dialect, "post", ask, Reason::AuthMethodNotRegistered).await;
    }
}

#[tokio::test]
async fn a_bcrypt_secret_over_72_bytes_is_refused_though_its_beginning_is_right() {
    let hash = bcrypt::hash("x".repeat(72), 4).unwrap();
    let clients = json!([{"client_id": "imported", "client_secrets": [{"hash": hash}]}]);
    let world = World::new(clients, &[Alg::ES256]).await;
    for dialect in &DIALECTS {
        world.takes(dialect, "72", Ask::token(dialect, "imported", &"x".repeat(72))).await;
        let longer = Ask::token(dialect, "imported", &"x".repeat(73));
        world.refuses(dialect, "73", longer, Reason::SecretMismatch).await;
    }
}

#[tokio::test]
async fn a_hash_in_the_table_that_is_malformed_or_too_costly_gives_no_token() {
    for hash in ["", "plain", "$1$x", "$2b$15$6SrzGhyJKsoRBFZX./ZmjO3oJ7TDIB9vuX3f4xjGOxJAWB0ZBKT7K"] {
        let world = world().await;
        let sdk = world.engine.sdk();
        let key = HashMap::from([("client_id".to_owned(), AttributeValue::S("billing".to_owned()))]);
        sdk.update_item()
            .table_name(CLIENTS_TABLE)
            .set_key(Some(key))
            .update_expression("SET client_secrets[0].#hash = :hash")
            .expression_attribute_names("#hash", "hash")
            .expression_attribute_values(":hash", AttributeValue::S(hash.to_owned()))
            .send()
            .await
            .unwrap();
        for dialect in &DIALECTS {
            let ask = Ask::token(dialect, "billing", SECRET);
            world.refuses(dialect, hash, ask, Reason::MalformedClientItem).await;
            world.takes(dialect, "another client", Ask::token(dialect, "other", OTHERS_SECRET)).await;
        }
    }
}
