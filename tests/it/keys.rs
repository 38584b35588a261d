//! `mintlet key` and `mintlet token` on the real binary.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::server::{Desk, failed, run, run_with, said, text};

#[tokio::test]
async fn keys_are_made_listed_and_published_from_a_private_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let key = async |args: &[&str]| said(&run(&[&["key", "--file", text(&file)], args].concat()).await);
    let json = async |args: &[&str]| serde_json::from_str::<Value>(&key(&[args, &["--json"]].concat()).await).unwrap();
    let mut kids = Vec::new();
    for alg in ["RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256"] {
        let made = json(&["generate", "--alg", alg]).await;
        assert_eq!(made["alg"], alg);
        kids.push(made["kid"].clone());
    }
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let next = json(&["generate", "--alg", "ES256"]).await;
    let listed = json(&["list"]).await;
    let state = |kid: &Value| {
        let key = listed["keys"].as_array().unwrap().iter().find(|key| key["kid"] == *kid).unwrap();
        (key["state"].clone(), key["activate_at"].as_u64().unwrap() - key["created_at"].as_u64().unwrap())
    };
    assert!(kids.iter().all(|kid| state(kid) == (json!("signs"), 0)), "{listed}");
    assert_eq!(state(&next["kid"]), (json!("next"), 24 * 60 * 60));
    assert_eq!(key(&["list"]).await.lines().count(), 7);

    let published: Value = serde_json::from_str(&key(&["jwks"]).await).unwrap();
    let published = published["keys"].as_array().unwrap();
    assert_eq!(published.len(), 6, "all but the HMAC key");
    assert!(published.iter().any(|key| key["kid"] == next["kid"]), "the next key is seen before it signs");
    for key in published {
        assert!(["d", "p", "q", "dp", "dq", "qi", "k"].iter().all(|name| key.get(name).is_none()), "{key}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(failed(&run(&["key", "list", "--file", text(&file)]).await).contains("run chmod 600 on it"));
}

#[tokio::test]
async fn a_key_command_that_does_not_know_where_the_ring_is_says_how_to_tell_it() {
    let failure = failed(&run(&["key", "list"]).await);
    assert_eq!(failure, "mintlet: say where the key ring is: --file PATH or --secret-id ID, and not both\n");
}

#[tokio::test]
async fn a_flag_goes_before_the_variable_of_the_other_place() {
    let dir = tempfile::tempdir().unwrap();
    let (named, other) = (dir.path().join("named.json"), dir.path().join("other.json"));
    let generate = ["key", "generate", "--alg", "ES256", "--file", text(&named)];
    let command = |args: &[&str], file: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mintlet"));
        command.args(args).env("SIGNING_KEYS_FILE", file).env("SIGNING_KEYS_SECRET_ID", "a-secret").output().unwrap()
    };
    assert!(command(&generate, &other).status.success());
    assert!(named.exists() && !other.exists());
    assert!(!command(&["key", "list"], &named).status.success(), "two variables and no flag");
    assert!(!run(&[&generate[..], &["--secret-id", "x"]].concat()).await.status.success(), "two flags");
}

#[tokio::test]
async fn a_key_that_takes_anothers_place_is_published_a_day_before_and_a_retired_one_signs_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let json = async |args: &[&str]| {
        let args = [&["key", "--file", text(&file), "--json"], args].concat();
        serde_json::from_str::<Value>(&said(&run(&args).await)).unwrap()
    };
    let first = json(&["generate", "--alg", "ES256"]).await;
    // RS256 signs for every client that names no algorithm, so it would take over from ES256.
    let preferred = json(&["generate", "--alg", "RS256"]).await;
    json(&["generate", "--alg", "EdDSA"]).await;
    let states = async || {
        let listed = json(&["list"]).await;
        let keys = listed["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| (key["alg"].clone(), key["state"].clone())).collect::<Vec<_>>()
    };
    let pair = |alg: &str, state: &str| (json!(alg), json!(state));
    let mut found = states().await;
    assert_eq!(found.remove(0), pair("RS256", "next"));
    assert!(found.contains(&pair("ES256", "signs")) && found.contains(&pair("EdDSA", "signs")), "{found:?}");
    json(&["retire", "--kid", first["kid"].as_str().unwrap()]).await;
    assert!(states().await.contains(&pair("ES256", "retired")));
    assert!(failed(&run(&["key", "retire", "--file", text(&file), "--kid", "x"]).await).contains("there is no key x"));
    assert_ne!(first["kid"], preferred["kid"]);
}

#[tokio::test]
async fn rotate_by_hand_gives_every_algorithm_its_next_key_once_and_an_emergency_takes_a_bad_key_out_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let rotate = async |args: &[&str]| run(&[&["key", "rotate", "--file", text(&file)], args].concat()).await;
    let json = async |args: &[&str]| {
        serde_json::from_str::<Value>(&said(&rotate(&[args, &["--json"]].concat()).await)).unwrap()
    };
    let notes = |answer: &Value| {
        let notes = answer["notes"].as_array().unwrap();
        notes.iter().map(|note| note["note"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = json(&[]).await;
    assert_eq!((notes(&first), &first["unknown_until"]), (vec!["made".to_owned()], &Value::Null));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let first = first["notes"][0]["kid"].as_str().unwrap().to_owned();

    let second = json(&["--lead", "14700"]).await;
    assert_eq!(
        (notes(&second), &second["unknown_until"]),
        (vec!["retired".to_owned(), "made".to_owned()], &Value::Null)
    );
    assert_eq!(second["notes"][0]["retire_at"], second["notes"][1]["activate_at"]);
    let second = second["notes"][1]["kid"].as_str().unwrap().to_owned();
    let ring = std::fs::read(&file).unwrap();
    let again = said(&rotate(&[]).await);
    assert!(again.starts_with(&format!("{second} is the next key already, and signs from ")), "{again}");
    assert_eq!(std::fs::read(&file).unwrap(), ring);

    // The next key is known to few yet; it takes over all the same, since a new one would be known to nobody.
    let emergency = json(&["--emergency", "--kid", &first]).await;
    assert_eq!(notes(&emergency), ["dropped", "brought_forward"]);
    assert_eq!(emergency["unknown_until"], emergency["notes"][1]["created_at"].as_u64().unwrap() + 14_700);
    let listed: Value =
        serde_json::from_str(&said(&run(&["key", "list", "--json", "--file", text(&file)]).await)).unwrap();
    let states: Vec<_> = listed["keys"].as_array().unwrap().iter().map(|key| (&key["kid"], &key["state"])).collect();
    assert_eq!(states, [(&json!(second), &json!("signs"))]);

    let told = said(&rotate(&["--emergency", "--kid", &second]).await);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[0], format!("{second} is gone, and its tokens are good no more"));
    assert!(lines[1].starts_with("made RS256 key "), "{told}");
    assert_eq!(
        lines[2..],
        [
            "verifiers take the tokens of what is gone until they fetch the published keys again: within 14700 s",
            "verifiers that hold older keys, and do not fetch at an unknown kid, refuse new tokens for 14700 s at most",
        ]
    );
}

#[tokio::test]
async fn a_rotation_by_hand_that_makes_no_sense_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    said(&run(&["key", "generate", "--alg", "ES256", "--file", text(&file)]).await);
    let ring = std::fs::read(&file).unwrap();
    let rotate = async |args: &[&str]| run(&[&["key", "rotate", "--file", text(&file)], args].concat()).await;
    for args in [
        &["--lead", "14699"][..],
        &["--lead", "x"],
        &["--emergency"],
        &["--kid", "x"],
        &["--emergency", "--kid", "x", "--lead", "86400"],
    ] {
        assert_eq!(rotate(args).await.status.code(), Some(2), "{args:?}");
    }
    let unknown = failed(&rotate(&["--emergency", "--kid", "x"]).await);
    assert_eq!(unknown, "mintlet: there is no key x in the ring\n");
    assert_eq!(std::fs::read(&file).unwrap(), ring);
}

#[tokio::test]
async fn inspect_ends_well_only_for_a_token_that_is_verified_and_good_now() {
    let desk = Desk::open().await;
    let secret = desk.json(&["create", "--client-id", "billing"]).await["client_secret"].as_str().unwrap().to_owned();
    let answer = desk.server.post("/oauth2/token", ("billing", &secret), "grant_type=client_credentials").await;
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    let token = body["access_token"].as_str().unwrap();
    let jwks = desk.file("jwks.json", &desk.server.get("/oauth2/jwks").await.to_string());
    let inspect = ["token", "inspect", "--jwks", &jwks, "--json"];
    let verdict = async |args: &[&str], token: &str| {
        let output = run_with(args, token).await;
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["valid"], output.status.success());
        assert_eq!(answer["reason"].is_null(), output.status.success());
        answer
    };

    let good = verdict(&inspect, &format!("{token}\n")).await;
    assert_eq!((&good["valid"], &good["claims"]["client_id"]), (&json!(true), &json!("billing")));
    assert_eq!(good["header"]["typ"], "at+jwt");

    let (head, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let start = if signature.starts_with('A') { "B" } else { "A" };
    for (title, token) in [
        ("another signature", format!("{head}.{claims}.{start}{}", &signature[1..])),
        ("no signature", format!("{head}.{claims}.")),
        ("two parts", format!("{head}.{claims}")),
        ("alg none", format!("eyJhbGciOiJub25lIn0.{claims}.")),
    ] {
        assert_eq!(verdict(&inspect, &token).await["valid"], false, "{title}");
    }
    let unverified = run_with(&["token", "inspect", "--json"], token).await;
    assert_eq!(serde_json::from_str::<Value>(&said(&unverified)).unwrap()["valid"], Value::Null);
    std::fs::write(&jwks, r#"{"keys":[]}"#).unwrap();
    assert_eq!(verdict(&inspect, token).await["reason"], "invalid: the key that the header names is not published");
    for nothing in ["", "x", "a.b.c"] {
        assert!(failed(&run_with(&inspect, nothing).await).starts_with("mintlet: not a JWT: "));
    }
}
