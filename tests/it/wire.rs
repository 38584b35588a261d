//! What each dialect takes, and the whole of what it gives.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use mintlet::{
    dialect::{DIALECTS, Dialect},
    oauth::{error::Reason, jwt::Alg},
};
use serde_json::{Value, json};

use crate::support::{Ask, SECRET, World, encode, readable};

// One with every attribute that shows on the wire, one with none of them.
fn clients() -> Value {
    json!([
        {
            "client_id": "full", "client_name": "Full \"name\"", "description": "Has everything", "client_secret": SECRET,
            "scope": "read write admin", "default_scope": "read write",
            "audience": ["https://api.example.com", "urn:example:ledger"], "subject": "subject-1",
            "access_token_lifetime": 120, "scope_claim": "array", "roles": ["clerk", "auditor"],
            "claims": {"org_ids": "org-1,org-2", "nested": {"n": [1, null, true]}},
            "eventhos": {"id": 7, "identifier": "producer-7", "roles": [{"id": 3, "name": "producer"}, "plain"]}
        },
        {"client_id": "bare", "client_secret": SECRET}
    ])
}

async fn world() -> World {
    World::new(clients(), &[Alg::ES256]).await
}

async fn issued(dialect: &str) -> String {
    let world = world().await;
    let dialect = Dialect::named(dialect).unwrap();
    let mut text = String::new();
    for id in ["full", "bare"] {
        let answer = world.send(Ask::token(dialect, id, SECRET)).await;
        write!(text, "== {id}\n{}\n\n", readable(&answer.response)).unwrap();
    }
    text
}

#[tokio::test]
async fn what_oauth2_gives_is_as_recorded() {
    insta::assert_snapshot!("issued-oauth2", issued("oauth2").await);
}

#[tokio::test]
async fn what_screening_eagle_gives_is_as_recorded() {
    insta::assert_snapshot!("issued-screening-eagle", issued("screening-eagle").await);
}

#[tokio::test]
async fn what_frontier_gives_is_as_recorded() {
    insta::assert_snapshot!("issued-frontier", issued("frontier").await);
}

#[tokio::test]
async fn what_eventhos_gives_is_as_recorded() {
    insta::assert_snapshot!("issued-eventhos", issued("eventhos").await);
}

// Sends an ask that the dialect takes and one that it does not differ in the content type alone.
async fn takes(world: &World, dialect: &Dialect, content_type: Option<&str>, body: &str) -> Option<Reason> {
    let mut ask = Ask::post(dialect.path, "", body.to_owned());
    ask.0.headers = HeaderMap::new();
    if let Some(content_type) = content_type {
        ask = ask.header(header::CONTENT_TYPE, content_type);
    }
    if dialect.name == "screening-eagle" {
        ask = ask.basic("bare", SECRET);
    }
    let answer = world.send(ask).await;
    assert_eq!(answer.record.reason.is_none(), answer.response.status().is_success());
    answer.record.reason
}

const FORM: [&str; 5] = [
    "application/x-www-form-urlencoded",
    "APPLICATION/X-WWW-Form-Urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8",
    "application/x-www-form-urlencoded;charset=\"UTF-8\"; x=y",
    " application/x-www-form-urlencoded ;",
];
const JSON: [&str; 3] = ["application/json", "Application/JSON", "application/json; charset=utf-8"];
const OTHER: [Option<&str>; 7] = [
    None,
    Some(""),
    Some("text/plain"),
    Some("multipart/form-data; boundary=x"),
    Some("application/x-www-form-urlencoded-x"),
    Some("application/xml;application/x-www-form-urlencoded"),
    Some("application/json+x"),
];

#[tokio::test]
async fn each_dialect_takes_the_content_types_of_its_clients_and_no_others() {
    let world = world().await;
    let form = format!("grant_type=client_credentials&client_id=bare&client_secret={SECRET}");
    let json = json!({"grant_type": "client_credentials", "client_id": "bare", "client_secret": SECRET}).to_string();
    for dialect in &DIALECTS {
        let basic_only = dialect.name == "screening-eagle";
        let form = if basic_only { "grant_type=client_credentials" } else { form.as_str() };
        let (form_only, wrong) = match dialect.name {
            "eventhos" => (false, Reason::WrongContentTypeForJson),
            "frontier" => (false, Reason::MalformedJson),
            _ => (true, Reason::WrongContentType),
        };
        for content_type in FORM {
            assert_eq!(takes(&world, dialect, Some(content_type), form).await, None, "{} {content_type}", dialect.name);
        }
        for content_type in JSON {
            let expected = form_only.then_some(wrong);
            let found = takes(&world, dialect, Some(content_type), &json).await;
            assert_eq!(found, expected, "{} {content_type}", dialect.name);
        }
        for content_type in OTHER {
            let found = takes(&world, dialect, content_type, form).await;
            assert_eq!(found, Some(wrong), "{} {content_type:?}", dialect.name);
        }
    }
}

#[tokio::test]
async fn frontier_takes_json_whatever_the_content_type_says() {
    let world = world().await;
    let dialect = Dialect::named("frontier").unwrap();
    let json = json!({"grant_type": "client_credentials", "client_id": "bare", "client_secret": SECRET}).to_string();
    let types = OTHER.into_iter().chain(FORM.map(Some)).chain(JSON.map(Some));
    for content_type in types {
        assert_eq!(takes(&world, dialect, content_type, &json).await, None, "{content_type:?}");
        assert_eq!(takes(&world, dialect, content_type, &format!(" \r\n{json}\n")).await, None, "{content_type:?}");
    }
}

#[tokio::test]
async fn what_a_dialect_does_not_know_it_ignores() {
    let world = world().await;
    for dialect in &DIALECTS {
        let more =
            [("response_type", "token"), ("__proto__", "x"), ("scope[]", "a"), ("constructor", ""), ("SCOPE", "b")];
        let plain = readable(&world.send(Ask::token(dialect, "full", SECRET)).await.response);
        let ask =
            Ask::token_with(dialect, "full", SECRET, &more).query("foo=bar&grant_type=x&scope=nope&client_id=other");
        assert_eq!(readable(&world.send(ask).await.response), plain, "{}", dialect.name);
    }
}

#[tokio::test]
async fn an_empty_parameter_counts_as_absent() {
    let world = world().await;
    for dialect in &DIALECTS {
        let plain = readable(&world.send(Ask::token(dialect, "full", SECRET)).await.response);
        let ask = Ask::token_with(dialect, "full", SECRET, &[("scope", ""), ("resource", ""), ("audience", "")]);
        assert_eq!(readable(&world.send(ask).await.response), plain, "{}", dialect.name);
    }
    let ask =
        Ask::form("/oauth2/token", "client_secret=&client_assertion=&grant_type=client_credentials&scope=&scope=read");
    assert_eq!(world.send(ask.basic("full", SECRET)).await.record.reason, None);
}

#[tokio::test]
async fn eventhos_has_no_scope_parameter() {
    let world = world().await;
    let dialect = Dialect::named("eventhos").unwrap();
    let plain = readable(&world.send(Ask::token(dialect, "bare", SECRET)).await.response);
    let ask = Ask::token_with(dialect, "bare", SECRET, &[("scope", "not  granted")]);
    assert_eq!(readable(&world.send(ask).await.response), plain);
}

#[tokio::test]
async fn basic_is_read_in_every_form_that_clients_send() {
    let world = world().await;
    let pair = STANDARD.encode(format!("bare:{SECRET}"));
    let unpadded = pair.trim_end_matches('=');
    assert_ne!(pair, unpadded);
    for dialect in DIALECTS.iter().filter(|dialect| dialect.policy.auth.basic.is_some()) {
        for value in [
            format!("Basic {pair}"),
            format!("basic {pair}"),
            format!("BASIC {pair}"),
            format!("Basic   {pair}"),
            format!("Basic {unpadded}"),
        ] {
            let ask = match dialect.name {
                "frontier" => Ask::json(dialect.path, &json!({"grant_type": "client_credentials"})),
                _ => Ask::form(dialect.path, "grant_type=client_credentials"),
            };
            let answer = world.send(ask.header(header::AUTHORIZATION, &value)).await;
            assert_eq!(answer.record.reason, None, "{} {value}", dialect.name);
            assert_eq!(answer.record.auth_method, Some("client_secret_basic"));
        }
    }
}

#[tokio::test]
async fn a_body_client_id_may_stand_beside_basic_if_it_is_the_same() {
    let world = world().await;
    for dialect in DIALECTS.iter().filter(|dialect| dialect.policy.auth.basic.is_some()) {
        let ask = |id| Ask::form(dialect.path, &format!("grant_type=client_credentials&client_id={id}"));
        assert_eq!(world.send(ask("bare").basic("bare", SECRET)).await.record.reason, None, "{}", dialect.name);
        let other = world.send(ask("full").basic("bare", SECRET)).await;
        assert_eq!(other.record.reason, Some(Reason::ClientIdMismatch), "{}", dialect.name);
    }
}

// Secrets as they are found in imported clients; none has fewer than 32 characters, to be quick.
const ODD_SECRETS: [&str; 9] = [
    "percent-%-percent-100%-percent-%zz-",
    "plus+plus+plus+plus+plus+plus+plus+",
    "colon:colon::colon:colon:colon:colon",
    "slash/slash//slash/slash/slash/slash",
    "equals=equals==equals=equals=equals=",
    "space space  space space space space",
    "ampersand&ampersand?ampersand#amper&",
    "non-ascii-é-ß-漢-🔑-non-ascii-é-ß-漢-🔑",
    "encoded-%2B%2F-looking-secret-%41-%20",
];

#[tokio::test]
async fn a_secret_of_any_characters_works_encoded_and_raw_and_raw_alone_in_frontier() {
    let clients = ODD_SECRETS
        .iter()
        .enumerate()
        .map(|(n, secret)| json!({"client_id": format!("c {n}"), "client_secret": secret}));
    let world = World::new(clients.collect(), &[Alg::ES256]).await;
    for (n, secret) in ODD_SECRETS.iter().enumerate() {
        let id = format!("c {n}");
        for dialect in &DIALECTS {
            assert_eq!(
                world.send(Ask::token(dialect, &id, secret)).await.record.reason,
                None,
                "{} {secret}",
                dialect.name
            );
        }
        for path in ["/oauth2/token", "/api/id/v1/auth/token", "/v1beta1/auth/token"] {
            let ask = Ask::form(path, "grant_type=client_credentials");
            // The id has a space, so that raw and encoded differ in it as well.
            let raw = world.send(ask.basic(&id, secret)).await;
            assert_eq!(raw.record.reason, None, "{path} {secret}");
            let ask = Ask::form(path, "grant_type=client_credentials");
            let encoded = world.send(ask.basic(&encode(&id), &encode(secret))).await;
            let expected = (path == "/v1beta1/auth/token").then_some(Reason::UnknownClient);
            assert_eq!(encoded.record.reason, expected, "{path} {secret}");
        }
    }
}

#[tokio::test]
async fn the_pair_of_basic_is_split_at_its_first_colon() {
    let secret = format!("{SECRET}:with:colons");
    let world = World::new(json!([{"client_id": "billing", "client_secret": secret}]), &[Alg::ES256]).await;
    let ask = Ask::form("/oauth2/token", "grant_type=client_credentials").basic("billing", &secret);
    let answer = world.send(ask).await;
    assert_eq!((answer.record.reason, answer.record.client_id.as_deref()), (None, Some("billing")));
}
