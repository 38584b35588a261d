//! The store's contract, through the real SDK against the embedded engine.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use http::StatusCode;
use mintlet::{
    cli::{clients_table::Applied, merge::later_than, registration},
    config::CLIENTS_TABLE,
    oauth::{client::ClientId, error::Reason, jwt::Alg},
    service::StoreFault,
};
use serde_json::{Value, json};

use crate::support::{Ask, NOW, World, body};

fn billing() -> Value {
    json!({
        "client_id": "billing", "client_name": "Billing", "description": "d", "client_secret": "secret",
        "token_endpoint_auth_method": "client_secret_basic", "grant_types": ["client_credentials"], "scope": "read write",
        "default_scope": "read", "audience": ["https://a.example"], "subject": "s", "access_token_lifetime": 60,
        "access_token_signed_response_alg": "ES256", "scope_claim": "array",
        "claims": {"org_ids": ["o"], "n": 1, "f": 1.5, "deep": {"a": [null, true]}}, "roles": ["r"],
        "eventhos": {"id": 7, "identifier": "i", "roles": [{"id": 1}], "long_lived": false},
        "jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "own": [1]}]},
        "assertion_lifetime": 600, "legacy_assertion_audience": true, "assertion_profile": "frontier", "redirect_uris": ["https://b.example"], "disabled": false
    })
}

fn token(secret: &str) -> Ask {
    Ask::form("/oauth2/token", "grant_type=client_credentials").basic("billing", secret)
}

fn billing_id() -> ClientId {
    ClientId::parse("billing").unwrap()
}

#[tokio::test]
async fn a_client_reads_back_as_it_was_written() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    let mut read = json!(world.clients.existing(&billing_id()).await.unwrap());
    let secret = read["client_secrets"][0].take();
    assert_eq!(secret["id"], "s1");
    let mut written = billing();
    written.as_object_mut().unwrap().remove("client_secret");
    for kept in ["client_secrets", "version", "created_at", "updated_at"] {
        read.as_object_mut().unwrap().remove(kept);
    }
    assert_eq!(read, written);
}

#[tokio::test]
async fn applying_the_same_file_again_changes_nothing() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    let before = json!(world.clients.existing(&billing_id()).await.unwrap());
    let again = || registration::read_file(&json!({"clients": [billing()]}).to_string()).unwrap();
    assert_eq!(world.clients.apply(again()).await.unwrap(), [(billing_id(), Applied::Unchanged)]);
    assert_eq!(json!(world.clients.existing(&billing_id()).await.unwrap()), before);
}

#[tokio::test]
async fn applying_without_secrets_keeps_those_that_are_there() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    let mut changed = billing();
    changed["scope"] = json!("read write admin");
    changed.as_object_mut().unwrap().remove("client_secret");
    let changed = registration::read_file(&json!({"clients": [changed]}).to_string()).unwrap();
    assert_eq!(world.clients.apply(changed).await.unwrap(), [(billing_id(), Applied::Updated)]);
    assert_eq!(world.send(token("secret")).await.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_is_written_unless_every_entry_can_be() {
    let world = World::new(json!([]), &[Alg::ES256]).await;
    // Well-formed, but the second refers to a secret that is not there.
    let file = json!({"clients": [billing(), {"client_id": "other", "client_secrets": [{"id": "s9"}]}]});
    let failure = world.clients.apply(registration::read_file(&file.to_string()).unwrap()).await.unwrap_err();
    assert_eq!(failure.to_string(), r#"client other has no secret "s9""#);
    assert!(world.clients.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_written_if_the_table_refuses_one_of_the_clients() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    let mut changed = billing();
    changed["scope"] = json!("read write more");
    // A client that somebody else makes between the look and the write: here, one that cannot be read any more.
    let sdk = world.engine.sdk();
    let broken = HashMap::from([("client_id".to_owned(), AttributeValue::S("other".to_owned()))]);
    sdk.put_item().table_name(CLIENTS_TABLE).set_item(Some(broken)).send().await.unwrap();
    let file = json!({"clients": [changed, {"client_id": "other"}]});
    let failure = world.clients.apply(registration::read_file(&file.to_string()).unwrap()).await.unwrap_err();
    assert!(failure.to_string().starts_with("the item of client other is malformed"), "{failure}");
    assert_eq!(world.clients.existing(&billing_id()).await.unwrap().scope.as_str(), "read write");
}

#[tokio::test]
async fn a_disabled_client_stays_so_until_a_file_says_otherwise() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    let mut entry = billing();
    for (disabled, expected) in [(json!(true), true), (json!(null), true), (json!(false), false)] {
        if disabled.is_null() {
            entry.as_object_mut().unwrap().remove("disabled");
        } else {
            entry["disabled"] = disabled;
        }
        let file = json!({"clients": [entry]}).to_string();
        world.clients.apply(registration::read_file(&file).unwrap()).await.unwrap();
        assert_eq!(world.clients.existing(&billing_id()).await.unwrap().disabled, expected);
    }
}

#[tokio::test]
async fn a_kept_secret_keeps_its_expiry_and_no_id_is_given_twice() {
    let mut entry = billing();
    entry.as_object_mut().unwrap().remove("client_secret");
    entry["client_secrets"] = json!([{"secret": "first", "expires_at": NOW + 9}, {"id": "s1", "secret": "second"}]);
    let world = World::new(json!([entry]), &[Alg::ES256]).await;
    let secrets = async || {
        let client = world.clients.existing(&billing_id()).await.unwrap();
        client.client_secrets.iter().map(|secret| (secret.id.clone(), secret.expires_at)).collect::<Vec<_>>()
    };
    assert_eq!(secrets().await, [("s2".to_owned(), Some(NOW + 9)), ("s1".to_owned(), None)]);
    let apply = async |secrets: Value| {
        let mut entry = entry.clone();
        entry["client_secrets"] = secrets;
        world.clients.apply(registration::read_file(&json!({"clients": [entry]}).to_string()).unwrap()).await
    };
    apply(json!([{"id": "s2"}])).await.unwrap();
    assert_eq!(secrets().await, [("s2".to_owned(), Some(NOW + 9))]);
    let failure = apply(json!([{"secret": "first"}, {"secret": "first"}])).await.unwrap_err();
    assert_eq!(failure.to_string(), "client billing: a secret stands twice");
    let failure = apply(json!([{"secret": "1"}, {"secret": "2"}, {"secret": "3"}])).await.unwrap_err();
    assert!(failure.to_string().starts_with("client billing: more than 2 secrets with a slow hash"), "{failure}");
}

#[tokio::test]
async fn a_change_leaves_attributes_alone_that_this_release_does_not_know() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    let sdk = world.engine.sdk();
    let key = || AttributeValue::S("billing".to_owned());
    let update =
        sdk.update_item().table_name(CLIENTS_TABLE).key("client_id", key()).update_expression("SET cost_centre = :x");
    update.expression_attribute_values(":x", AttributeValue::S("7".to_owned())).send().await.unwrap();
    let before = world.clients.existing(&billing_id()).await.unwrap();
    let mut after = before.clone();
    after.disabled = true;
    after.description = None;
    after.updated_at = later_than(&before);
    world.clients.replace(&before, &after).await.unwrap();
    let item = sdk.get_item().table_name(CLIENTS_TABLE).key("client_id", key()).send().await.unwrap().item.unwrap();
    assert_eq!(item["cost_centre"], AttributeValue::S("7".to_owned()));
    assert!(!item.contains_key("description"));
    assert!(world.clients.existing(&billing_id()).await.unwrap().disabled);
}

#[tokio::test]
async fn two_changes_in_the_same_second_are_told_apart() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    let before = world.clients.existing(&billing_id()).await.unwrap();
    let changed = |disabled| {
        let mut after = before.clone();
        after.disabled = disabled;
        after.updated_at = later_than(&before);
        after
    };
    world.clients.replace(&before, &changed(true)).await.unwrap();
    assert!(world.clients.replace(&before, &changed(false)).await.is_err());
    assert!(world.clients.existing(&billing_id()).await.unwrap().disabled);
}

#[tokio::test]
async fn a_write_over_a_client_that_changed_meanwhile_is_refused() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    let before = world.clients.existing(&billing_id()).await.unwrap();
    let mut first = before.clone();
    first.updated_at = NOW;
    world.clients.replace(&before, &first).await.unwrap();
    let failure = world.clients.replace(&before, &first).await.unwrap_err();
    assert_eq!(failure.to_string(), "client billing changed meanwhile; try again");
    let failure = world.clients.create(&first).await.unwrap_err();
    assert_eq!(failure.to_string(), "there is a client billing already");
}

#[tokio::test]
async fn a_malformed_item_is_a_500_for_its_client_alone_and_names_the_attribute() {
    let mut other = billing();
    other["client_id"] = json!("other");
    let world = World::new(json!([billing(), other]), &[Alg::ES256]).await;
    let bad = [
        ("version", AttributeValue::N("2".to_owned())),
        ("disabled", AttributeValue::S("yes".to_owned())),
        ("scope", AttributeValue::S("a  b".to_owned())),
        ("client_secrets", AttributeValue::L(vec![AttributeValue::S("hunter2".to_owned())])),
        ("access_token_lifetime", AttributeValue::N("59".to_owned())),
        ("updated_at", AttributeValue::Null(true)),
        ("default_scope", AttributeValue::S("admin".to_owned())),
        ("audience", AttributeValue::L(vec![AttributeValue::S(String::new())])),
    ];
    for (name, value) in bad {
        let sdk = world.engine.sdk();
        let key = HashMap::from([("client_id".to_owned(), AttributeValue::S("billing".to_owned()))]);
        let item = sdk.get_item().table_name(CLIENTS_TABLE).set_key(Some(key)).send().await.unwrap().item.unwrap();
        let mut broken = item.clone();
        broken.insert(name.to_owned(), value);
        sdk.put_item().table_name(CLIENTS_TABLE).set_item(Some(broken)).send().await.unwrap();
        let answer = world.send(token("secret")).await;
        assert_eq!(answer.response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{name}");
        assert_eq!(body(&answer.response)["error"], "server_error");
        assert_eq!(answer.record.reason, Some(Reason::MalformedClientItem));
        let detail = answer.record.detail.unwrap();
        assert!(detail.starts_with("client billing: ") && detail.contains(name), "{detail}");
        assert!(!detail.contains("hunter2"), "{detail}");
        let other = Ask::form("/oauth2/token", "grant_type=client_credentials").basic("other", "secret");
        assert_eq!(world.send(other).await.response.status(), StatusCode::OK);
        sdk.put_item().table_name(CLIENTS_TABLE).set_item(Some(item)).send().await.unwrap();
    }
    assert_eq!(world.send(token("secret")).await.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_attribute_of_a_later_release_does_no_harm() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    world
        .engine
        .sdk()
        .update_item()
        .table_name(CLIENTS_TABLE)
        .key("client_id", AttributeValue::S("billing".to_owned()))
        .update_expression("SET from_the_future = :x")
        .expression_attribute_values(":x", AttributeValue::Bool(true))
        .send()
        .await
        .unwrap();
    assert_eq!(world.send(token("secret")).await.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_missing_table_is_an_outage_and_no_wrong_secret() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    world.engine.sdk().delete_table().table_name(CLIENTS_TABLE).send().await.unwrap();
    let answer = world.send(token("wrong")).await;
    assert_eq!(answer.response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.response.headers()["retry-after"], "2");
    assert_eq!(answer.record.reason, Some(Reason::StoreUnavailable));
}

#[tokio::test]
async fn a_cached_client_is_used_for_its_ttl_and_no_longer() {
    let world = World::with(json!([billing()]), &[Alg::ES256], |_| {}, 30).await;
    assert_eq!(world.send_at(token("secret"), NOW).await.response.status(), StatusCode::OK);
    let before = world.clients.existing(&billing_id()).await.unwrap();
    let mut disabled = before.clone();
    disabled.disabled = true;
    world.clients.replace(&before, &disabled).await.unwrap();
    assert_eq!(world.send_at(token("secret"), NOW + 29).await.response.status(), StatusCode::OK);
    assert_eq!(world.send_at(token("secret"), NOW + 30).await.record.reason, Some(Reason::ClientDisabled));
}

#[tokio::test]
async fn a_half_written_item_is_malformed() {
    let world = World::new(json!([billing()]), &[Alg::ES256]).await;
    for name in ["client_secrets", "grant_types", "disabled", "version"] {
        let sdk = world.engine.sdk();
        let key = || AttributeValue::S("billing".to_owned());
        let read = sdk.get_item().table_name(CLIENTS_TABLE).key("client_id", key()).send().await.unwrap();
        let removal = format!("REMOVE {name}");
        let update = sdk.update_item().table_name(CLIENTS_TABLE).key("client_id", key()).update_expression(removal);
        update.send().await.unwrap();
        let answer = world.send(token("secret")).await;
        assert_eq!(answer.record.reason, Some(Reason::MalformedClientItem), "{name}");
        assert!(answer.record.detail.unwrap().contains(name));
        sdk.put_item().table_name(CLIENTS_TABLE).set_item(read.item).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_new_secret_works_within_five_seconds_though_the_client_is_cached() {
    let world = World::with(json!([billing()]), &[Alg::ES256], |_| {}, 30).await;
    assert_eq!(world.send_at(token("secret"), NOW).await.response.status(), StatusCode::OK);
    let mut entry = billing();
    entry.as_object_mut().unwrap().remove("client_secret");
    entry["client_secrets"] = json!([{"secret": "secret"}, {"secret": "new"}]);
    let file = json!({"clients": [entry]}).to_string();
    world.clients.apply(registration::read_file(&file).unwrap()).await.unwrap();
    assert_eq!(world.send_at(token("new"), NOW + 4).await.record.reason, Some(Reason::SecretMismatch));
    assert_eq!(world.send_at(token("new"), NOW + 5).await.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_outage_is_never_a_wrong_secret_and_costs_the_right_one_nothing() {
    let world = World::with(json!([billing()]), &[Alg::ES256], |_| {}, 30).await;
    assert_eq!(world.send_at(token("secret"), NOW).await.response.status(), StatusCode::OK);
    world.engine.sdk().delete_table().table_name(CLIENTS_TABLE).send().await.unwrap();
    // One that may have been added since, and that of a client that may exist.
    let unknown = Ask::form("/oauth2/token", "grant_type=client_credentials").basic("unknown", "secret");
    for ask in [token("new"), unknown] {
        assert_eq!(world.send_at(ask, NOW + 10).await.record.reason, Some(Reason::StoreUnavailable));
    }
    assert_eq!(world.send_at(token("secret"), NOW + 10).await.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_clock_that_is_set_back_ends_what_is_cached() {
    let world = World::with(json!([billing()]), &[Alg::ES256], |_| {}, 30).await;
    assert_eq!(world.send_at(token("secret"), NOW).await.response.status(), StatusCode::OK);
    world.clients.delete(&billing_id()).await.unwrap();
    assert_eq!(world.send_at(token("secret"), NOW - 1).await.record.reason, Some(Reason::UnknownClient));
}

#[tokio::test]
async fn that_a_client_does_not_exist_is_remembered_for_five_seconds() {
    let world = World::with(json!([]), &[Alg::ES256], |_| {}, 30).await;
    assert_eq!(world.send_at(token("secret"), NOW).await.record.reason, Some(Reason::UnknownClient));
    world.clients.apply(registration::read_file(&json!({"clients": [billing()]}).to_string()).unwrap()).await.unwrap();
    assert_eq!(world.send_at(token("secret"), NOW + 4).await.record.reason, Some(Reason::UnknownClient));
    assert_eq!(world.send_at(token("secret"), NOW + 5).await.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_expiring_secret_works_to_its_last_second_on_a_warm_instance() {
    let mut client = billing();
    client.as_object_mut().unwrap().remove("client_secret");
    client["client_secrets"] = json!([{"secret": "old", "expires_at": NOW + 10}, {"secret": "new"}]);
    let world = World::with(json!([client]), &[Alg::ES256], |_| {}, 300).await;
    assert_eq!(world.send_at(token("old"), NOW + 9).await.record.credential_id.as_deref(), Some("s1"));
    assert_eq!(world.send_at(token("new"), NOW + 9).await.record.credential_id.as_deref(), Some("s2"));
    assert_eq!(world.send_at(token("old"), NOW + 10).await.record.reason, Some(Reason::SecretExpired));
    assert_eq!(world.send_at(token("new"), NOW + 10).await.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_malformed_item_is_reported_by_its_path() {
    let item = HashMap::from([("client_id".to_owned(), AttributeValue::S(String::new()))]);
    assert_eq!(
        mintlet::edge::dynamodb::from_item(item).unwrap_err(),
        StoreFault::MalformedItem("at client_id".to_owned())
    );
}
