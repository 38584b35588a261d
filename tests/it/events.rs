//! Every file of events/, through the decoder and the service, and through the real `token` binary.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use mintlet::{
    config::CLIENTS_TABLE,
    edge::apigw::Event,
    oauth::jwt::Alg,
    service::{MutualTls, OriginSecret},
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
};

use crate::{
    runtime_api::RuntimeApi,
    support::{Ask, World, ring},
};

const MTLS: &str = "https://mtls.example.com";
// What the events of CloudFront have.
const ORIGIN_SECRET: &str = "example-origin-secret-of-the-distribution";

#[tokio::test]
async fn every_event_gets_its_answer_from_the_service() {
    let mutual_tls = MutualTls { base_url: Some(MTLS.to_owned()), origin_secret: OriginSecret::new(ORIGIN_SECRET) };
    let world = World::with(clients(), &[Alg::RS256], |settings| settings.mutual_tls = Some(mutual_tls), 0).await;
    for (name, expected) in expectations() {
        let answer = match serde_json::from_slice::<Event>(&fs::read(folder().join(&name)).unwrap()) {
            Ok(event) => {
                let answer = world.send(Ask(event.call)).await;
                let body: Value = serde_json::from_slice(answer.response.body()).unwrap();
                json!({"status": answer.response.status().as_u16(), "body": body})
            }
            Err(_) => json!({"invocation": "error"}),
        };
        assert!(contains(&answer, &expected), "{name}: {answer:#}");
    }
}

#[tokio::test]
async fn every_event_gets_its_answer_from_the_binary() {
    let world = World::new(clients(), &[Alg::RS256]).await;
    let api = RuntimeApi::start().await;
    let settings = [("MTLS_BASE_URL", MTLS), ("CLOUDFRONT_ORIGIN_SECRET", ORIGIN_SECRET)];
    let function = Function::start(&api, world.engine.endpoint(), &settings);
    let mut secrets = secrets(&clients());
    secrets.extend(assertions());
    secrets.push(ORIGIN_SECRET.to_owned());
    for (name, expected) in expectations() {
        let answer = match api.invoke(fs::read(folder().join(&name)).unwrap()).await {
            Ok(reply) => {
                check_headers(&name, &reply);
                let body: Value = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
                secrets.extend(tokens(&body));
                json!({"status": reply["statusCode"], "body": body})
            }
            Err(report) => {
                assert!(report["errorMessage"].as_str().unwrap().contains("API Gateway"), "{report}");
                json!({"invocation": "error"})
            }
        };
        assert!(contains(&answer, &expected), "{name}: {answer:#}");
    }
    let log = function.stop().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{log}");
    assert!(lines.len() >= expectations().len(), "{log}");
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_start_without_backends_answers_503_and_recovers() {
    let api = RuntimeApi::start().await;
    // A port that refuses: bound and closed again.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let function = Function::start(&api, &format!("http://{closed}"), &[]);
    let event = fs::read(folder().join("http-api-oauth2-basic.json")).unwrap();
    let reply = api.invoke(event).await.unwrap();
    assert_eq!(reply["statusCode"], 503, "{reply}");
    assert_eq!(reply["headers"]["retry-after"], "2");
    assert_eq!(
        serde_json::from_str::<Value>(reply["body"].as_str().unwrap()).unwrap()["error"],
        "temporarily_unavailable"
    );
    let health = api.invoke(fs::read(folder().join("http-api-any-health.json")).unwrap()).await.unwrap();
    assert_eq!(health["statusCode"], 200);
    drop(function);
}

#[tokio::test]
async fn the_age_of_the_newest_key_is_logged_whatever_the_level() {
    let world = World::new(json!([]), &[]).await;
    let api = RuntimeApi::start().await;
    let function = Function::start(&api, world.engine.endpoint(), &[("LOG_LEVEL", "error")]);
    api.invoke(fs::read(folder().join("http-api-any-jwks.json")).unwrap()).await.unwrap();
    let log = function.stop().await;
    let line: Value = serde_json::from_str(&log).unwrap();
    // The ring's key is of the first day of 1970.
    let days = mintlet::edge::moment::now() / (24 * 60 * 60);
    assert_eq!((&line["message"], &line["keys"]), (&json!("key ring read"), &json!(1)));
    assert!(line["newest_key_age_days"].as_u64().unwrap().abs_diff(days) <= 1, "{line}");
}

#[tokio::test]
async fn a_bad_configuration_stops_the_start_with_every_fault() {
    let output = Command::new(env!("CARGO_BIN_EXE_token"))
        .env_clear()
        .envs([("ACCESS_TOKEN_LIFETIME", "5"), ("DIALECTS", "x")])
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["level"], "ERROR");
    for fault in ["ACCESS_TOKEN_LIFETIME", "DIALECTS", "SIGNING_KEYS_SECRET_ID", "AWS_REGION", "AWS_ACCESS_KEY_ID"] {
        assert!(line["message"].as_str().unwrap().contains(fault), "{line}");
    }
}

/// The real `token` binary, talking to the Runtime API. Dropped, it is killed.
pub struct Function {
    child: Child,
    // Its file goes with it.
    _keys: tempfile::NamedTempFile,
}

impl Function {
    pub fn start(api: &RuntimeApi, dynamodb: &str, more: &[(&str, &str)]) -> Self {
        let keys = tempfile::NamedTempFile::new().unwrap();
        fs::write(keys.path(), &**ring(&[Alg::RS256])).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_token"))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", api.address().as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "token"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
                ("CLIENTS_TABLE", CLIENTS_TABLE),
                ("LOG_LEVEL", "debug"),
            ])
            .env("SIGNING_KEYS_FILE", keys.path())
            .envs(more.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, _keys: keys }
    }

    /// Ends it and returns all that it logged.
    pub async fn stop(mut self) -> String {
        self.child.start_kill().unwrap();
        let mut log = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut log).await.unwrap();
        log
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("events")
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(name)).unwrap()).unwrap()
}

fn clients() -> Value {
    read("clients.json")["clients"].clone()
}

// Of every event file there is, so that none goes without an expectation.
fn expectations() -> BTreeMap<String, Value> {
    let expected: BTreeMap<String, Value> = serde_json::from_value(read("expected.json")).unwrap();
    let mut events: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name).extension().is_some_and(|ending| ending == "json")
                && name != "clients.json"
                && name != "expected.json"
        })
        .collect();
    events.sort();
    assert!(events.iter().eq(expected.keys()), "events/ and expected.json differ");
    expected
}

// Whether `answer` has at least the members of `expected`.
fn contains(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| answer.get(name).is_some_and(|found| contains(found, value)))
        }
        (answer, expected) => answer == expected,
    }
}

// What holds for every answer, whatever the event.
fn check_headers(name: &str, reply: &Value) {
    let header = |header: &str| {
        let single = reply["headers"].get(header).cloned();
        single
            .or_else(|| reply["multiValueHeaders"][header].get(0).cloned())
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    assert_eq!(header("content-type").as_deref(), Some("application/json"), "{name}");
    assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{name}");
    let status = reply["statusCode"].as_u64().unwrap();
    assert_eq!(header("www-authenticate").is_some(), status == 401, "{name}");
    assert_eq!(header("allow").is_some(), status == 405, "{name}");
    assert_eq!(reply["isBase64Encoded"], false, "{name}");
}

fn secrets(clients: &Value) -> Vec<String> {
    let clients = clients.as_array().unwrap().iter();
    clients.filter_map(|client| client.get("client_secret")?.as_str()).map(str::to_owned).collect()
}

// The assertions that the events send, wherever they stand.
fn assertions() -> Vec<String> {
    let mut found = Vec::new();
    for name in expectations().keys() {
        if let Ok(event) = serde_json::from_slice::<Event>(&fs::read(folder().join(name)).unwrap()) {
            let headers =
                event.call.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let body = event.call.body.map(|body| String::from_utf8_lossy(&body).into_owned()).unwrap_or_default();
            for text in headers.chain([body]) {
                let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
                found.extend(words.filter(|word| word.starts_with("eyJ")).map(str::to_owned));
            }
        }
    }
    assert!(found.len() >= 6, "{found:?}");
    found
}

fn tokens(body: &Value) -> Option<String> {
    let token = body.get("access_token").or(body["content"].get("jwt_token"))?;
    Some(token.as_str().unwrap().to_owned())
}
