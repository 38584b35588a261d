//! The real `rotate` binary under a Runtime API, against a Secrets Manager with versions and staging labels: the four steps,
//! cut off anywhere and run again, and what they refuse.

use std::{collections::BTreeSet, process::Stdio};

use mintlet::{
    edge::moment,
    keyring::{KeyRecord, RingDocument},
    oauth::jwt::Alg,
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
};

use crate::{
    runtime_api::{Answer, RuntimeApi},
    secrets_manager::{ARN, NAME, Secret, SecretsManager},
    server::{failed, mintlet, said},
};

const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];
const DAY: u64 = 24 * 60 * 60;

/// The function, and the secret that it rotates.
struct World {
    api: RuntimeApi,
    aws: SecretsManager,
    function: Option<Child>,
    log: String,
}

impl World {
    async fn new() -> Self {
        let (api, aws) = (RuntimeApi::start().await, SecretsManager::start().await);
        Self { api, aws, function: None, log: String::new() }
    }

    /// With a ring in the secret, as version `first`.
    async fn with(ring: &RingDocument) -> Self {
        let world = Self::new().await;
        let json = serde_json::to_string(ring).unwrap();
        world.aws.with(|secret| secret.put_current("first", &json));
        world
    }

    async fn invoke(&mut self, step: &str, secret: &str, token: &str) -> Answer {
        if self.function.is_none() {
            self.function = Some(start(&self.api.address(), &self.aws.endpoint()));
        }
        let event = json!({"Step": step, "SecretId": secret, "ClientRequestToken": token});
        self.api.invoke(event.to_string()).await
    }

    async fn step(&mut self, step: &str, token: &str) -> Result<(), String> {
        let answer = self.invoke(step, ARN, token).await;
        answer.map(|_| ()).map_err(|report| report["errorMessage"].as_str().unwrap().to_owned())
    }

    async fn all_steps(&mut self, token: &str) {
        for step in STEPS {
            self.step(step, token).await.unwrap();
        }
    }

    fn rotate_secret(&self, token: &str) {
        self.aws.with(|secret| secret.rotate(token)).unwrap();
    }

    async fn kill(&mut self) {
        if let Some(mut function) = self.function.take() {
            function.kill().await.unwrap();
            function.stdout.take().unwrap().read_to_string(&mut self.log).await.unwrap();
        }
    }

    fn holders(&self) -> [Option<String>; 3] {
        let holder = |secret: &mut Secret, stage| secret.holder(stage).map(str::to_owned);
        self.aws.with(|secret| ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"].map(|stage| holder(secret, stage)))
    }

    fn current(&self) -> Value {
        self.aws.with(|secret| secret.ring("AWSCURRENT"))
    }

    async fn mintlet(&self, args: &[&str]) -> std::process::Output {
        let mut command = mintlet(&[&["key", "--secret-id", NAME], args].concat());
        command.env("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.aws.endpoint()).envs(AWS).output().await.unwrap()
    }
}

const AWS: [(&str, &str); 3] =
    [("AWS_REGION", "eu-central-1"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];

fn start(api: &str, endpoint: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rotate"))
        .env_clear()
        .envs(AWS)
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", api),
            ("AWS_LAMBDA_FUNCTION_NAME", "rotate"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint),
            ("SIGNING_KEYS_SECRET_ID", ARN),
            ("LOG_LEVEL", "debug"),
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn ring_of(algs: &[Alg]) -> RingDocument {
    let keys = algs.iter().map(|alg| KeyRecord::generate(*alg, 1).unwrap()).collect();
    RingDocument { keys, ..RingDocument::default() }
}

fn keys(ring: &Value) -> &[Value] {
    ring["keys"].as_array().unwrap()
}

fn held(holders: [&str; 3]) -> [Option<String>; 3] {
    holders.map(|version| (!version.is_empty()).then(|| version.to_owned()))
}

#[tokio::test]
async fn an_empty_secret_gets_a_key_that_signs_at_once_and_the_next_rotation_one_that_signs_a_day_later() {
    for first_value_is_current in [false, true] {
        let mut world = World::new().await;
        world.aws.with(|secret| secret.first_value_is_current = first_value_is_current);
        world.rotate_secret("one");
        let before = moment::now();
        world.all_steps("one").await;
        assert_eq!(world.holders(), held(["one", "one", ""]));
        let ring = world.current();
        let [first] = keys(&ring) else { panic!("{ring}") };
        assert_eq!((&first["alg"], &first["retire_at"]), (&json!("RS256"), &Value::Null));
        assert_eq!(first["activate_at"], first["created_at"]);
        assert!(first["created_at"].as_u64().unwrap() >= before);

        world.rotate_secret("two");
        world.all_steps("two").await;
        assert_eq!(world.holders(), held(["two", "two", "one"]));
        let ring = world.current();
        let [next, old] = keys(&ring) else { panic!("{ring}") };
        assert_eq!(old["kid"], first["kid"]);
        assert_eq!(next["activate_at"].as_u64().unwrap(), next["created_at"].as_u64().unwrap() + DAY);
        assert_eq!(old["retire_at"], next["activate_at"]);
        assert_eq!(ring["made_from"], "one");

        // Within the lead there is a next key already.
        world.rotate_secret("three");
        world.all_steps("three").await;
        assert_eq!(world.holders(), held(["three", "three", "two"]));
        assert_eq!(keys(&world.current()), keys(&ring));
    }
}

#[tokio::test]
async fn a_rotation_that_is_cut_off_between_any_two_steps_goes_on_when_they_are_run_again() {
    let ring = ring_of(&[Alg::ES256]);
    for done in 0..=STEPS.len() {
        for again in 0..=done {
            let mut world = World::with(&ring).await;
            world.rotate_secret("token");
            for step in &STEPS[..done] {
                world.step(step, "token").await.unwrap();
            }
            let pending = world.aws.with(|secret| secret.versions["token"].value.clone());
            world.kill().await;
            for step in &STEPS[again..] {
                world.step(step, "token").await.unwrap();
            }
            assert_eq!(world.holders(), held(["token", "token", "first"]), "{done} {again}");
            assert_eq!(keys(&world.current()).len(), 2, "{done} {again}");
            let value = world.aws.with(|secret| secret.versions["token"].value.clone());
            assert!(pending.is_none() || pending == value, "{done} {again}: another ring than was tested");
        }
    }
}

#[tokio::test]
async fn a_rotation_that_is_killed_while_any_of_its_calls_is_under_way_goes_on_when_it_is_run_again() {
    let ring = ring_of(&[Alg::ES256, Alg::HS256]);
    let mut whole = World::with(&ring).await;
    whole.rotate_secret("token");
    whole.all_steps("token").await;
    whole.kill().await;
    let calls = whole.aws.with(|secret| secret.calls.clone());
    // What its role has to allow, and no more.
    let made: BTreeSet<_> = calls.iter().map(String::as_str).collect();
    assert_eq!(
        made.into_iter().collect::<Vec<_>>(),
        ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]
    );
    for (lost, call) in calls.iter().enumerate() {
        for is_carried_out in [false, true] {
            let mut world = World::with(&ring).await;
            world.rotate_secret("token");
            world.aws.with(|secret| secret.loses = Some((lost, is_carried_out)));
            for step in STEPS {
                let event = json!({"Step": step, "SecretId": ARN, "ClientRequestToken": "token"});
                let function = world.function.take();
                world.function = Some(function.unwrap_or_else(|| start(&world.api.address(), &world.aws.endpoint())));
                tokio::select! {
                    answer = world.api.invoke(event.to_string()) => { answer.unwrap(); }
                    () = world.aws.lost() => break,
                }
            }
            assert!(world.aws.with(|secret| secret.loses.is_none()), "{call} {lost} was not made");
            world.kill().await;
            world.all_steps("token").await;
            assert_eq!(world.holders(), held(["token", "token", "first"]), "{call} {lost}");
            assert_eq!(keys(&world.current()).len(), 4, "{call} {lost}");
        }
    }
}

#[tokio::test]
async fn what_is_no_rotation_of_this_secret_is_refused() {
    let mut world = World::with(&ring_of(&[Alg::ES256])).await;
    world.rotate_secret("token");
    let untouched = world.aws.with(|secret| secret.versions.clone());
    let fault = |answer: Answer| answer.unwrap_err()["errorMessage"].as_str().unwrap().to_owned();
    for step in STEPS {
        let refused = fault(world.invoke(step, ARN, "another").await);
        assert_eq!(refused, "the version another is not AWSPENDING in this secret", "{step}");
        let other =
            fault(world.invoke(step, "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x", "token").await);
        assert_eq!(other, "this function rotates another secret: SIGNING_KEYS_SECRET_ID names it", "{step}");
    }
    for step in ["testSecret", "finishSecret"] {
        let early = fault(world.invoke(step, ARN, "token").await);
        assert_eq!(early, "the version token has no value: createSecret has to come first");
    }
    let unknown = fault(world.invoke("deleteSecret", ARN, "token").await);
    assert!(unknown.contains("unknown variant `deleteSecret`, expected one of `createSecret`"), "{unknown}");
    let nothing = fault(world.api.invoke("{}").await);
    assert!(nothing.contains("missing field `Step`"), "{nothing}");
    world.aws.with(|secret| secret.rotation_enabled = false);
    for step in STEPS {
        assert_eq!(fault(world.invoke(step, ARN, "token").await), "rotation is not enabled for this secret");
    }
    assert_eq!(world.aws.with(|secret| secret.versions.clone()), untouched);

    world.aws.with(|secret| secret.rotation_enabled = true);
    for step in STEPS {
        world.invoke(step, NAME, "token").await.unwrap();
    }
}

#[tokio::test]
async fn a_ring_that_was_changed_meanwhile_is_not_overwritten_and_the_fault_says_what_to_do() {
    let mut world = World::with(&ring_of(&[Alg::ES256])).await;
    world.rotate_secret("token");
    world.step("createSecret", "token").await.unwrap();
    let by_hand = serde_json::to_string(&ring_of(&[Alg::EdDSA])).unwrap();
    world.aws.with(|secret| secret.put_current("by-hand", &by_hand));
    let clear = "--version-stage AWSPENDING --remove-from-version-id token`";
    for step in ["createSecret", "testSecret", "finishSecret"] {
        let fault = world.step(step, "token").await.unwrap_err();
        assert!(fault.starts_with("the ring was changed while the rotation was under way; give it up with"), "{fault}");
        assert!(fault.contains(clear), "{fault}");
    }
    assert_eq!(world.holders(), held(["by-hand", "token", "first"]));
    // As AWS does, until it is cleared.
    world.aws.with(|secret| secret.rotate("next")).unwrap_err();
    world.aws.with(|secret| secret.versions.get_mut("token").unwrap().stages.clear());
    world.rotate_secret("next");
    world.all_steps("next").await;
    assert_eq!(world.holders(), held(["next", "next", "by-hand"]));
}

#[tokio::test]
async fn a_ring_that_is_changed_in_the_last_moment_is_not_overwritten() {
    let mut world = World::with(&ring_of(&[Alg::ES256])).await;
    world.rotate_secret("token");
    for step in &STEPS[..3] {
        world.step(step, "token").await.unwrap();
    }
    let by_hand = serde_json::to_string(&ring_of(&[Alg::EdDSA])).unwrap();
    world.aws.with(|secret| secret.changes_before_move = Some(by_hand));
    let fault = world.step("finishSecret", "token").await.unwrap_err();
    assert!(fault.starts_with("InvalidParameterException"), "{fault}");
    assert_eq!(world.holders(), held(["by-hand", "token", "first"]));
}

#[tokio::test]
async fn a_pending_ring_that_cannot_be_used_is_refused_without_a_word_of_its_keys() {
    let ring = ring_of(&[Alg::ES256, Alg::EdDSA]);
    let good = serde_json::to_value(RingDocument { made_from: Some("first".to_owned()), ..ring.clone() }).unwrap();
    let mut lossy = good.clone();
    lossy["keys"].as_array_mut().unwrap().remove(0);
    let lost = format!("the published key {} would be lost; give it up with", ring.keys[0].kid);
    let mut broken = good.clone();
    broken["keys"][0]["private_key_pkcs8"] = json!("c2VjcmV0LWtleQ==");
    let mut foreign = good.clone();
    foreign["made_from"] = json!("another");
    for (pending, said) in [
        (lossy.to_string(), lost.as_str()),
        (
            broken.to_string(),
            "the version token is no key ring: keys[0]: not a PKCS#8 key of its algorithm; give it up with",
        ),
        (
            "secret-key".to_owned(),
            "the version token is no key ring: not a key ring of version 1: malformed at .; give it up",
        ),
        (foreign.to_string(), "the ring was changed while the rotation was under way; give it up with"),
    ] {
        let mut world = World::with(&ring).await;
        world.rotate_secret("token");
        world.aws.with(|secret| secret.versions.get_mut("token").unwrap().value = Some(pending));
        for step in ["createSecret", "testSecret", "finishSecret"] {
            let fault = world.step(step, "token").await.unwrap_err();
            assert!(fault.starts_with(said), "{fault}");
            assert!(!fault.contains("secret-key") && !fault.contains("c2VjcmV0"), "{fault}");
        }
        assert_eq!(world.holders(), held(["first", "token", ""]));
    }
    let mut world = World::with(&ring).await;
    world.rotate_secret("token");
    world.aws.with(|secret| secret.versions.get_mut("token").unwrap().value = Some(good.to_string()));
    world.all_steps("token").await;
}

#[tokio::test]
async fn a_current_version_that_is_no_ring_is_left_alone() {
    let mut world = World::new().await;
    world.aws.with(|secret| secret.put_current("first", "{\"password\":\"hunter2\"}"));
    world.rotate_secret("token");
    let fault = world.step("createSecret", "token").await.unwrap_err();
    assert_eq!(fault, "the current version is no key ring: not a key ring of version 1: malformed at .");
    assert_eq!(world.aws.with(|secret| secret.versions["token"].value.clone()), None);
}

#[tokio::test]
async fn the_test_step_alone_takes_a_copy_as_when_rotation_is_set_up_without_rotating() {
    let ring = ring_of(&[Alg::ES256]);
    let mut world = World::with(&ring).await;
    world.rotate_secret("token");
    let copy = serde_json::to_string(&ring).unwrap();
    world.aws.with(|secret| secret.versions.get_mut("token").unwrap().value = Some(copy));
    world.step("testSecret", "token").await.unwrap();
}

#[tokio::test]
async fn nothing_of_a_key_is_logged() {
    let mut world = World::with(&ring_of(&[Alg::ES256, Alg::HS256])).await;
    world.rotate_secret("token");
    world.all_steps("token").await;
    world.step("testSecret", "another").await.unwrap_err();
    world.kill().await;
    let lines: Vec<Value> = world.log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{}", world.log);
    for key in keys(&world.current()) {
        let material = key.get("private_key_pkcs8").or(key.get("k")).unwrap().as_str().unwrap();
        assert!(!world.log.contains(&material[40.min(material.len() / 2)..]), "{}", world.log);
    }
    let kid = world.current()["keys"][0]["kid"].as_str().unwrap().to_owned();
    assert!(lines.iter().any(|line| line["message"].as_str().unwrap().contains(&kid)), "{}", world.log);
}

#[tokio::test]
async fn a_bad_configuration_stops_the_start_with_every_fault() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_rotate")).env_clear().env("ROTATION_LEAD", "60").output().await.unwrap();
    assert!(!output.status.success());
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["level"], "ERROR");
    for fault in ["SIGNING_KEYS_SECRET_ID", "ROTATION_LEAD is not 14700..=604800 seconds", "AWS_REGION"] {
        assert!(line["message"].as_str().unwrap().contains(fault), "{line}");
    }
}

#[tokio::test]
async fn a_change_by_hand_gives_up_the_rotation_that_is_under_way_and_the_next_one_is_not_blocked() {
    let mut world = World::with(&ring_of(&[Alg::ES256])).await;
    world.rotate_secret("token");
    world.step("createSecret", "token").await.unwrap();
    let bad = world.current()["keys"][0]["kid"].as_str().unwrap().to_owned();
    said(&world.mintlet(&["rotate", "--emergency", "--kid", &bad]).await);
    let fault = world.step("finishSecret", "token").await.unwrap_err();
    assert_eq!(fault, "the version token is not AWSPENDING in this secret");
    let ring = world.current();
    let [key] = keys(&ring) else { panic!("{ring}") };
    assert_ne!(key["kid"], json!(bad));
    world.rotate_secret("next");
    world.all_steps("next").await;
    assert_eq!(keys(&world.current()).len(), 2);
    assert!(failed(&world.mintlet(&["rotate", "--emergency", "--kid", &bad]).await).contains("there is no key"));
}
