//! When secrets were last used, and the warning before they expire: over the embedded engine, and on the real server.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use http::StatusCode;
use mintlet::{
    cli::local::{Engine, create_tables},
    config::{CLIENTS_TABLE, STATE_TABLE},
    edge::secret_use::{self, COARSENESS, EXPIRES_SOON, KEPT, SecretKey, SecretUses},
    service::Record,
};
use serde_json::{Value, json};

use crate::{
    server::{Desk, Server},
    support::{NOW, SECRET},
};

async fn engine() -> Engine {
    let engine = Engine::start(0, None).await.unwrap();
    create_tables(&engine.sdk(), CLIENTS_TABLE, STATE_TABLE).await.unwrap();
    engine
}

fn instance(engine: &Engine) -> SecretUses {
    SecretUses::new(engine.sdk(), STATE_TABLE, 600)
}

fn used(client_id: &str, secret_id: &str) -> Record {
    Record {
        client_id: Some(client_id.to_owned()),
        credential_id: Some(secret_id.to_owned()),
        auth_method: Some("client_secret_basic"),
        ..Record::default()
    }
}

// What one instance does after a request, waited for.
async fn note(instance: &SecretUses, record: &Record, now: u64) -> bool {
    match instance.due(record, now) {
        Some(used) => instance.write(&used, now).await.unwrap(),
        None => false,
    }
}

async fn row(engine: &Engine, client_id: &str) -> HashMap<String, AttributeValue> {
    let key = AttributeValue::S(format!("last-used#{client_id}"));
    let read = engine.sdk().get_item().table_name(STATE_TABLE).key("pk", key).send().await.unwrap();
    read.item.unwrap_or_default()
}

fn last_used(row: &HashMap<String, AttributeValue>) -> Vec<(String, u64)> {
    let mut used: Vec<_> = secret_use::read(row).into_iter().collect();
    used.sort();
    used
}

fn s(id: &str, at: u64) -> (String, u64) {
    (id.to_owned(), at)
}

#[tokio::test]
async fn of_two_instances_one_notes_a_use_and_again_only_after_an_hour() {
    let engine = engine().await;
    let (first, second) = (instance(&engine), instance(&engine));
    let record = used("billing", "s1");
    assert!(note(&first, &record, NOW).await);
    assert!(!note(&first, &record, NOW + 1).await, "the same instance");
    assert!(!note(&second, &record, NOW + COARSENESS - 1).await, "another instance, within the hour");
    let written = row(&engine, "billing").await;
    assert_eq!(last_used(&written), [s("s1", NOW)]);
    assert_eq!(written["expires_at"], AttributeValue::N((NOW + KEPT).to_string()));
    assert!(note(&first, &record, NOW + COARSENESS).await);
    let written = row(&engine, "billing").await;
    assert_eq!(last_used(&written), [s("s1", NOW + COARSENESS)]);
    assert_eq!(written["expires_at"], AttributeValue::N((NOW + COARSENESS + KEPT).to_string()));
}

#[tokio::test]
async fn an_instance_does_not_even_ask_within_the_hour_and_an_answer_costs_it_nothing() {
    let engine = engine().await;
    let instance = instance(&engine);
    let record = used("billing", "s1");
    let first = SecretKey { client_id: "billing".to_owned(), secret_id: "s1".to_owned() };
    assert_eq!(instance.due(&record, NOW), Some(first.clone()));
    let work = || assert_eq!(instance.due(&record, NOW + COARSENESS - 1), None);
    assert_eq!(allocation_counter::measure(work).count_total, 0);
    assert_eq!(instance.due(&record, NOW + COARSENESS), Some(first.clone()));
    // A clock that was set back must not end it for good.
    assert_eq!(instance.due(&record, NOW), Some(first));
    let later = NOW + 2 * COARSENESS;
    assert_eq!(instance.due(&Record { auth_method: Some("private_key_jwt"), ..record.clone() }, later), None);
    assert_eq!(instance.due(&Record { credential_id: None, ..record }, later), None, "nothing was proven");
}

#[tokio::test]
async fn a_busy_secret_does_not_hide_a_quiet_one_of_the_same_client() {
    let engine = engine().await;
    let instance = instance(&engine);
    assert!(note(&instance, &used("billing", "s1"), NOW).await);
    assert!(note(&instance, &used("billing", "s2"), NOW + 1).await);
    assert!(note(&instance, &used("other", "s1"), NOW + 2).await);
    assert_eq!(last_used(&row(&engine, "billing").await), [s("s1", NOW), s("s2", NOW + 1)]);
    assert_eq!(last_used(&row(&engine, "other").await), [s("s1", NOW + 2)]);
}

#[tokio::test]
async fn a_secret_may_be_called_as_an_attribute_of_the_row_is() {
    let engine = engine().await;
    let instance = instance(&engine);
    for id in ["pk", "expires_at", "#", "a.b c"] {
        assert!(note(&instance, &used("billing#s1", id), NOW).await, "{id}");
    }
    let used = last_used(&row(&engine, "billing#s1").await);
    assert_eq!(used, [s("#", NOW), s("a.b c", NOW), s("expires_at", NOW), s("pk", NOW)]);
}

#[tokio::test]
async fn many_at_once_write_once() {
    let engine = engine().await;
    let record = used("billing", "s1");
    let instances: Vec<_> = (0..20).map(|_| instance(&engine)).collect();
    let written = futures_util::future::join_all(instances.iter().map(|instance| note(instance, &record, NOW))).await;
    assert_eq!(written.iter().filter(|written| **written).count(), 1);
}

#[test]
fn a_secret_that_expires_within_the_threshold_is_warned_of_and_no_other() {
    let sdk = mintlet::cli::local::sdk("http://127.0.0.1:1");
    let expires_in = |warning, expires_at| {
        let record = Record { secret_expires_at: expires_at, ..used("billing", "s1") };
        SecretUses::new(sdk.clone(), STATE_TABLE, warning).expires_in(&record, NOW)
    };
    assert_eq!(expires_in(600, Some(NOW + 600)), Some(600));
    assert_eq!(expires_in(600, Some(NOW + 1)), Some(1));
    assert_eq!(expires_in(600, Some(NOW + 601)), None);
    assert_eq!(expires_in(600, None), None);
    assert_eq!(expires_in(0, Some(NOW + 1)), None, "it is off");
}

#[tokio::test]
async fn a_use_is_noted_after_its_answer_and_a_table_that_fails_changes_no_answer() {
    let desk = Desk::open().await;
    let secret = desk.json(&["create", "--client-id", "billing"]).await["client_secret"].as_str().unwrap().to_owned();
    assert_eq!(desk.token("billing", "wrong").await, StatusCode::UNAUTHORIZED);
    assert_eq!(desk.token("billing", &secret).await, StatusCode::OK);
    // It is written in the background: asked for until it is there.
    let noted = loop {
        let listed = desk.json(&["secrets", "list", "--client-id", "billing"]).await;
        if let Some(at) = listed["secrets"][0]["last_used_at"].as_u64() {
            break (at, listed["secrets"][0]["created_at"].as_u64().unwrap());
        }
    };
    assert!(noted.0 >= noted.1 && noted.0 <= noted.1 + 60, "{noted:?}");

    let other = desk.json(&["create", "--client-id", "other"]).await["client_secret"].as_str().unwrap().to_owned();
    desk.sdk().delete_table().table_name(STATE_TABLE).send().await.unwrap();
    assert_eq!(desk.token("other", &other).await, StatusCode::OK);
    assert_eq!(desk.token("billing", &secret).await, StatusCode::OK);
    let failure = desk.fails(&["secrets", "list", "--client-id", "billing"]).await;
    assert!(failure.starts_with("mintlet: table mintlet-state: ResourceNotFoundException"), "{failure}");
}

#[tokio::test]
async fn the_use_of_a_secret_that_expires_soon_is_in_its_requests_line_and_in_one_warning_an_hour() {
    let file = |days: u64| {
        let expires_at = mintlet::edge::moment::now() + days * 86_400;
        json!({"client_id": format!("in-{days}-days"), "client_secrets": [{"secret": SECRET, "expires_at": expires_at}]})
    };
    let server = Server::with_clients(&json!({"clients": [file(6), file(8)]})).await;
    for id in ["in-6-days", "in-8-days", "in-6-days", "in-8-days"] {
        let answer = server.post("/oauth2/token", (id, SECRET), "grant_type=client_credentials").await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let (_, log) = server.stop("TERM").await;
    let lines = |words: &[&str]| log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    assert_eq!(lines(&["request", "in-6-days", "secret_expires_in="]), 2, "{log}");
    assert_eq!(lines(&["request", "in-8-days"]), 2, "{log}");
    assert_eq!(lines(&["request", "in-8-days", "secret_expires_in="]), 0, "{log}");
    assert_eq!(lines(&["WARN", EXPIRES_SOON, "in-6-days", "credential_id=\"s1\"", "expires_in=5"]), 1, "{log}");
    assert_eq!(lines(&[EXPIRES_SOON]), 1, "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn the_metric_of_the_template_counts_the_warnings_that_are_written() {
    let template = include_str!("../../template.yaml");
    assert!(template.contains(&format!(r#"$.message = "{EXPIRES_SOON}""#)));
    let names: Value = json!(EXPIRES_SOON);
    assert_eq!(names.to_string().len(), EXPIRES_SOON.len() + 2, "nothing in it that JSON would escape");
}
