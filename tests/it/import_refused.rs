//! `mintlet client import`: what is not imported, what is never overwritten, and the command on the real binary.

use std::os::unix::fs::PermissionsExt as _;

use http::{Request, StatusCode};
use mintlet::{
    cli::{
        import::{Mode, Report, import},
        registration,
    },
    oauth::secret::Secret,
};
use serde_json::{Value, json};

use crate::{
    import::{CRYPTO_KEY, EXPORTS, WRITE, empty, export, read, run, system, table},
    server::{Desk, run_with, said, send},
};

const DRY_RUN: Mode = Mode { dry_run: true, partial: false };
const PARTIAL: Mode = Mode { dry_run: false, partial: true };

const HYDRA_ID: &str = "f6cbdb74-5d1c-4e5d-9c32-1f8d0f5f0a11";

// What became of each client, in order.
fn results(report: &Report) -> Vec<String> {
    report.to_string().lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

// The documents of an export.
fn documents(name: &str) -> Value {
    let stream = serde_json::Deserializer::from_str(export(name)).into_iter::<Value>();
    let flat = stream.flat_map(|document| match document.unwrap() {
        Value::Array(items) => items,
        document => vec![document],
    });
    flat.collect()
}

// An export, one document after another, with one member changed: `/<document>/<path>`.
fn changed(name: &str, member: &str, value: &Value) -> String {
    let mut documents = documents(name);
    let (parent, member) = member.rsplit_once('/').unwrap();
    documents.pointer_mut(parent).unwrap()[member] = value.clone();
    documents.as_array().unwrap().iter().map(Value::to_string).collect()
}

#[tokio::test]
async fn the_same_import_again_finds_everything_unchanged() {
    for (name, text) in EXPORTS {
        let world = empty().await;
        let first = results(&run(&world, name, text, WRITE).await);
        let written = table(&world).await;
        assert!(!written.is_empty());
        let expected: Vec<_> = first.iter().map(|result| result.replace("imported", "unchanged")).collect();
        assert_eq!(results(&run(&world, name, text, WRITE).await), expected, "{name}");
        assert_eq!(table(&world).await, written, "{name}");
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_imported_and_writes_nothing() {
    for (name, text) in EXPORTS {
        let world = empty().await;
        let report = run(&world, name, text, DRY_RUN).await;
        assert!(!report.written && table(&world).await.is_empty(), "{name}");
        let written = run(&world, name, text, WRITE).await.to_string();
        assert_eq!(report.to_string(), written.replace("imported\t", "would import\t"), "{name}");
    }
}

#[tokio::test]
async fn one_client_that_cannot_be_imported_keeps_all_from_being_written() {
    let world = empty().await;
    let text = changed("hydra", "/1/client_secret", &json!(""));
    for mode in [WRITE, DRY_RUN, Mode { dry_run: true, partial: true }] {
        let report = run(&world, "hydra", &text, mode).await;
        assert_eq!(results(&report), ["would import", "fault", "skipped", "skipped"], "{mode:?}");
        assert!(!report.written && table(&world).await.is_empty(), "{mode:?}");
    }
    let report = run(&world, "hydra", &text, PARTIAL).await;
    assert_eq!(results(&report), ["imported", "fault", "skipped", "skipped"]);
    let ids: Value = table(&world).await.iter().map(|client| client["client_id"].clone()).collect();
    assert_eq!(ids, json!([HYDRA_ID]));
}

#[tokio::test]
async fn a_client_that_is_there_and_differs_is_never_overwritten() {
    for differs in
        [json!({"scope": "other", "default_scope": ""}), json!({"disabled": true}), json!({"client_secrets": []})]
    {
        let world = empty().await;
        run(&world, "hydra", &documents("hydra")[0].to_string(), WRITE).await;
        let mut entry = table(&world).await.remove(0);
        entry.as_object_mut().unwrap().extend(differs.as_object().unwrap().clone());
        let file = json!({"clients": [entry]}).to_string();
        world.clients.apply(registration::read_file(&file).unwrap()).await.unwrap();
        let before = table(&world).await;

        let report = run(&world, "hydra", export("hydra"), WRITE).await;
        assert_eq!(results(&report), ["conflict", "would import", "skipped", "skipped"], "{differs}");
        assert_eq!(table(&world).await, before, "{differs}");
        let report = run(&world, "hydra", export("hydra"), PARTIAL).await;
        assert_eq!(results(&report), ["conflict", "imported", "skipped", "skipped"], "{differs}");
        let after = table(&world).await;
        assert_eq!((after.len(), &after[0]), (2, &before[0]), "{differs}");
    }
}

#[tokio::test]
async fn what_cannot_be_carried_over_is_a_fault_that_says_so_and_never_a_secret() {
    let costly = json!("$2a$15$6SrzGhyJKsoRBFZX./ZmjO3oJ7TDIB9vuX3f4xjGOxJAWB0ZBKT7K");
    let slow = "$2a$04$6SrzGhyJKsoRBFZX./ZmjO3oJ7TDIB9vuX3f4xjGOxJAWB0ZBKT7K";
    let in_clear = json!("hunter2hunter2hunter2");
    let noise = format!("{}|.|{}", "0f".repeat(16), "5e".repeat(32));
    let lifespan = "/0/client_credentials_grant_access_token_lifespan";
    let faults = [
        ("hydra", "/0/client_secret", json!(null), "client_secret is missing: the admin API leaves the hash out"),
        ("hydra", "/0/client_secret", in_clear.clone(), "client_secret is no hash"),
        ("hydra", "/0/client_secret", costly, "client_secrets[0].hash: verifying it would cost more than the bound"),
        ("hydra", "/0/client_secret", json!([in_clear]), "client_secret is not of the type that it has in an export"),
        (
            "hydra",
            "/0/rotated_secrets",
            json!([slow, slow.replace("04", "05")]),
            "more than 2 secrets with a slow hash",
        ),
        ("hydra", "/0/scope", json!("invoices.*"), "its scope has a pattern (*)"),
        ("hydra", "/0/scope", json!("\"quoted\""), "scope: not a list of scope tokens"),
        ("hydra", lifespan, json!("soon"), "its lifespan of access tokens is no duration"),
        ("hydra", "/0/token_endpoint_auth_method", json!("private_key_jwt"), "its keys are not in the file"),
        (
            "hydra",
            "/0/token_endpoint_auth_method",
            json!("magic"),
            "token_endpoint_auth_method: unknown variant `magic`",
        ),
        ("hydra", "/0/id", json!("é"), "\"é\"\tclient_id: not 1 to 255 printable ASCII characters"),
        ("hydra", "/0/id", json!(null), "(client 1 of the file)\tclient_id is not of the type"),
        ("hydra", "/0/id", json!("reporting"), "reporting\tits id stands twice in the file"),
        ("frontier", "/0/secret_hash", json!(null), "secret_hash is missing"),
        ("frontier", "/0/secret_hash", in_clear.clone(), "client_secrets[0].hash: not a hash of a supported scheme"),
        ("frontier", "/1/secret_hash", in_clear.clone(), "client_secrets[0].hash: not a hash of a supported scheme"),
        ("frontier", "/0/type", json!("certificate"), "its type is none that Frontier has for a secret"),
        ("frontier", "/2/secret_hash", json!(null), "the row has neither secret_hash nor public_key"),
        (
            "eventhos",
            "/0/client_secret",
            in_clear.clone(),
            "its secret does not decrypt to 16 or more visible characters",
        ),
        ("eventhos", "/0/client_secret", json!("00|.|61"), "its secret does not decrypt"),
        ("eventhos", "/0/client_secret", json!(noise), "its secret does not decrypt"),
        // "fifteen-chars-x" and "sixteen chars xy", by Node.js.
        (
            "eventhos",
            "/0/client_secret",
            json!("07070707070707070707070707070707|.|5945eced96a8c1f2d87f8e734a818a"),
            "its secret does not decrypt",
        ),
        (
            "eventhos",
            "/0/client_secret",
            json!("07070707070707070707070707070707|.|4c45f2ed96a8c1ffd87f8e734a8c8aba"),
            "its secret does not decrypt",
        ),
        ("eventhos", "/0/client_secret", json!(5), "client_secret is not of the type"),
        ("eventhos", "/0/id", json!([]), "eventhos.id: neither a number nor a string"),
        ("cognito", "/0/UserPoolClient/ClientSecret", json!(null), "ClientSecret is missing"),
        (
            "cognito",
            "/0/UserPoolClient/TokenValidityUnits/AccessToken",
            json!("weeks"),
            "TokenValidityUnits.AccessToken is not of the type",
        ),
        ("auth0", "/0/client_secret", json!(null), "client_secret is missing: the export needs --reveal-secrets"),
        ("auth0", "/0/client_authentication_methods", json!({"private_key_jwt": {}}), "with a key or a certificate"),
        (
            "auth0",
            "/7/scope",
            json!(["write"]),
            "its client grants permit other scopes for one audience than for another",
        ),
        ("auth0", "/7/allow_all_scopes", json!(true), "a client grant of it permits all scopes of an API"),
        ("auth0", "/7/client_id", json!(null), "(a client grant)\tclient_id is not of the type"),
        ("keycloak", "/0/clients/1/secret", json!(null), "secret is missing"),
        ("keycloak", "/0/clients/1/secret", json!("**********"), "its secret is masked with asterisks"),
        ("keycloak", "/0/clients/1/clientAuthenticatorType", json!("client-jwt"), "with a key or a certificate"),
        ("keycloak", "/0/clients/1/attributes/x", json!([in_clear]), "attributes.x is not of the type"),
    ];
    let world = empty().await;
    for (name, member, value, fault) in faults {
        let report = run(&world, name, &changed(name, member, &value), WRITE).await;
        let text = report.to_string();
        let found = text.lines().any(|line| line.starts_with("fault\t") && line.contains(fault));
        assert!(found, "{name} {member} {value}: {text}");
        assert!(!format!("{text} {}", report.json()).contains("hunter2"), "{text}");
        assert!(!report.written && table(&world).await.is_empty(), "{name} {member} {value}");
    }
}

#[tokio::test]
async fn what_stands_in_an_export_cannot_make_a_line_of_the_report_or_steer_the_terminal() {
    let world = empty().await;
    let forged = "x\u{1b}[2J\nimported\tadmin";
    let grants = json!(["client_credentials", forged]);
    for (name, member, value) in [
        ("hydra", "/0/grant_types", grants.clone()),
        ("hydra", "/0/token_endpoint_auth_method", json!(forged)),
        ("hydra", "/0/id", json!(forged)),
        ("auth0", "/0/grant_types", grants.clone()),
        ("cognito", "/0/UserPoolClient/AllowedOAuthFlows", grants),
    ] {
        let text = run(&world, name, &changed(name, member, &value), DRY_RUN).await.to_string();
        assert!(text.contains("x\\u{1b}[2J\\nimported\\tadmin"), "{name} {member}: {text}");
        assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.starts_with("imported")), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_crypto_key_imports_nothing_even_in_part() {
    let world = empty().await;
    for key in ["The crypto key of an eventhos", "the crypto key of an eventhos ", "key"] {
        let imported = system("eventhos").read(export("eventhos"), Some(&Secret::new(key))).unwrap();
        let report = import(&world.clients, imported, PARTIAL).await.unwrap();
        assert_eq!(results(&report), ["fault", "fault", "fault", "skipped"], "{key}");
        assert!(table(&world).await.is_empty(), "{key}");
    }
}

#[test]
fn a_file_that_holds_no_clients_is_refused_as_a_whole() {
    let key = Secret::new(CRYPTO_KEY);
    let fault = |name: &str, text: &str, key| system(name).read(text, key).unwrap_err();
    assert!(fault("hydra", "[{\"id\":", None).starts_with("not JSON: EOF while parsing"));
    assert!(fault("hydra", "[] hunter2", None).starts_with("not JSON: expected value"));
    for nothing in ["", "[]", "{\"items\":[]}"] {
        assert_eq!(fault("hydra", nothing, None), "there is no client in it");
    }
    assert!(fault("hydra", export("hydra"), Some(&key)).starts_with("hydra encrypts no secrets"));
    assert!(fault("eventhos", export("eventhos"), None).starts_with("the secrets of eventhos are encrypted"));
}

#[tokio::test]
async fn an_export_of_another_system_is_unclean_and_imports_nothing() {
    for (name, _) in EXPORTS {
        let world = empty().await;
        for (other, text) in EXPORTS.iter().filter(|(other, _)| *other != name) {
            let report = run(&world, name, text, WRITE).await;
            let results = results(&report);
            assert!(results.iter().any(|result| result == "fault"), "{other} as {name}: {report}");
            assert!(results.iter().all(|result| !result.contains("import")), "{other} as {name}: {report}");
        }
    }
}

#[tokio::test]
async fn a_lifetime_that_there_is_not_becomes_the_nearest_one_and_the_report_says_so() {
    for (validity, lifetime, note) in [
        (59, 60, Some("its tokens were good for 59 s; here for 60 s")),
        (60, 60, None),
        (86_400, 86_400, None),
        (86_401, 86_400, Some("its tokens were good for 86401 s; here for 86400 s")),
    ] {
        let world = empty().await;
        let mut client = documents("cognito")[0]["UserPoolClient"].take();
        client["TokenValidityUnits"]["AccessToken"] = json!("seconds");
        client["AccessTokenValidity"] = json!(validity);
        let report = run(&world, "cognito", &client.to_string(), WRITE).await;
        assert_eq!(report.lines[0].notes, note.into_iter().collect::<Vec<_>>());
        assert_eq!(table(&world).await[0]["access_token_lifetime"], lifetime);
    }
}

#[tokio::test]
async fn clients_without_what_stands_around_them_come_over_with_a_note() {
    let world = empty().await;
    let report = run(&world, "auth0", &documents("auth0")[0].to_string(), WRITE).await;
    assert_eq!(report.lines[0].notes, ["the file has no client grants, so it has no scope and no audience here"]);
    let report = run(&world, "keycloak", &documents("keycloak")[0]["clients"][2].to_string(), WRITE).await;
    assert_eq!(
        report.lines[0].notes[1],
        "the file does not say how long its tokens were good; here they are as the deployment says"
    );
    let clients = table(&world).await;
    assert_eq!(
        (&clients[0]["scope"], &clients[1]["scope"]),
        (&Value::Null, &json!("web-origins roles invoices offline_access audit"))
    );
    let mut row = documents("frontier")[0].take();
    row.as_object_mut().unwrap().remove("org_id");
    let report = run(&world, "frontier", &row.to_string(), WRITE).await;
    assert_eq!(report.lines[0].notes, ["the row has no org_id, so its tokens have no org_ids"]);
}

#[tokio::test]
async fn an_export_is_read_in_every_shape_that_its_system_gives_it() {
    let of = |name: &str, documents: &[Value]| {
        let text: String = documents.iter().map(Value::to_string).collect();
        let name = name.to_owned();
        async move {
            let world = empty().await;
            let report = run(&world, &name, &text, WRITE).await.to_string();
            let mut clients = table(&world).await;
            for client in &mut clients {
                for secret in client["client_secrets"].as_array_mut().unwrap() {
                    secret["hash"].take();
                    secret["created_at"].take();
                }
                client["created_at"].take();
                client["updated_at"].take();
            }
            (report, clients)
        }
    };
    let flat = |name: &str| documents(name).as_array().unwrap().clone();
    let (hydra, auth0, cognito) = (flat("hydra"), flat("auth0"), flat("cognito"));
    let (clients, grants) = auth0.split_at(5);
    let inner: Vec<_> = cognito.iter().map(|document| document["UserPoolClient"].clone()).collect();
    let renamed = hydra.iter().map(|row| {
        let mut client = row.clone();
        let id = client["id"].take();
        client["client_id"] = id;
        client
    });
    let mut realm = documents("keycloak")[0].take();
    let users = json!({"realm": "example", "users": realm["users"].take()});
    let other = json!({"realm": "other", "accessTokenLifespan": 900, "clients": [], "clientScopes": []});
    for (name, documents) in [
        ("hydra", vec![json!({"items": hydra, "next_page_token": ""})]),
        ("hydra", renamed.collect()),
        ("cognito", vec![Value::Array(inner)]),
        ("auth0", vec![json!({"total": 5, "clients": clients}), json!({"total": 3, "client_grants": grants})]),
        ("keycloak", vec![realm, users, other]),
    ] {
        assert_eq!(of(name, &documents).await, of(name, &flat(name)).await, "{name}");
    }
}

#[tokio::test]
async fn what_a_client_may_not_have_there_it_does_not_get_here() {
    let world = empty().await;
    // What users let an application do.
    let text = changed("auth0", "/5/subject_type", &json!("user"));
    let report = run(&world, "auth0", &text, WRITE).await;
    assert_eq!(results(&report)[0], "skipped", "{report}");
    // An audience of ID tokens.
    let text = changed("keycloak", "/0/clients/1/protocolMappers/1/config/access.token.claim", &json!("false"));
    run(&world, "keycloak", &text, WRITE).await;
    let clients = table(&world).await;
    let billing = clients.iter().find(|client| client["client_id"] == "billing").unwrap();
    assert_eq!(billing["audience"], json!(["invoices"]));
    let text = changed("cognito", "/0/UserPoolClient/AllowedOAuthFlowsUserPoolClient", &json!(false));
    assert_eq!(results(&run(&world, "cognito", &text, WRITE).await)[0], "skipped");
}

#[test]
fn no_debug_output_holds_a_secret() {
    let text = format!("{:?}", read("cognito", export("cognito")));
    assert!(text.contains("5l1s9mqk3v7d2t8b4c6n0prxwy") && !text.contains("1q9d8f7g6h5j4k3l2m1n"), "{text}");
}

#[test]
fn a_key_of_frontier_comes_over_with_the_grant_that_it_is_for() {
    let mut row = documents("frontier")[0].take();
    let keys = json!({"keys": [{"kty": "RSA", "kid": row["id"], "alg": "RS256", "n": "AQAB", "e": "AQAB"}]});
    for (name, value) in [("type", json!("jwt_bearer")), ("secret_hash", json!(null)), ("public_key", keys.clone())] {
        row[name] = value;
    }
    let imported = read("frontier", &row.to_string()).remove(0);
    let entry = imported.entry.unwrap();
    assert_eq!((&entry["client_id"], &entry["jwks"]), (&row["id"], &keys));
    assert_eq!(entry["grant_types"], json!(["urn:ietf:params:oauth:grant-type:jwt-bearer"]));
    assert!(entry.get("client_secrets").is_none());
}

#[tokio::test]
async fn the_command_reports_writes_and_fails_as_it_says() {
    let desk = Desk::open().await;
    let file = desk.file("export.json", export("eventhos"));
    let key = desk.file("crypto-key", &format!("{CRYPTO_KEY}\n"));
    let from = ["import", "--from", "eventhos", &file];
    let with_key = [from.as_slice(), &["--crypto-key-file", &key]].concat();

    assert!(desk.fails(&from).await.contains("give its key with --crypto-key-file"));
    assert!(desk.fails(&with_key).await.contains("its mode 0644 lets others read it; run chmod 600 on it"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();

    let dry_run = said(&desk.run(&[with_key.as_slice(), &["--dry-run"]].concat()).await);
    assert!(dry_run.starts_with("would import\tvT4kQ9mZpX2rLb8cNw1d::client.app\n"), "{dry_run}");
    assert_eq!(desk.json(&["list"]).await, json!({"clients": []}));

    let broken = desk.file("broken.json", &changed("eventhos", "/1/client_secret", &json!("")));
    let partly = ["import", "--from", "eventhos", &broken, "--crypto-key-file", &key];
    for more in [&[][..], &["--dry-run"]] {
        let output = desk.run(&[partly.as_slice(), more].concat()).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("\nfault\taB1cD2eF3gH4iJ5kL6mN::client.app\t"));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "mintlet: nothing was written: 1 of 4 clients cannot be imported; mend the file, or import the others with --partial\n"
        );
    }
    assert_eq!(desk.json(&["list"]).await, json!({"clients": []}));
    let report = desk.json(&[partly.as_slice(), &["--partial"]].concat()).await;
    assert_eq!((&report["written"], &report["clean"]), (&json!(true), &json!(false)));
    assert_eq!(
        report["clients"][1],
        json!({
            "client_id": "aB1cD2eF3gH4iJ5kL6mN::client.app", "result": "fault", "notes": [],
            "reason": "its secret does not decrypt to 16 or more visible characters: is the key file that of this eventhos?"
        })
    );

    let text = said(&desk.run(&with_key).await);
    let results: Vec<_> = text.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(results, ["unchanged", "imported", "unchanged", "skipped"]);
    let request = Request::post(format!("{}/auth/token", desk.server.url)).header("content-type", "application/json");
    let body = json!({
        "grant_type": "client_credentials", "client_id": "vT4kQ9mZpX2rLb8cNw1d::client.app",
        "client_secret": "Hk3vWq9ZpT1rLx7BnM5cDf2Gs8JaYu4E"
    });
    let answer = send(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn the_command_reads_standard_input_and_knows_its_systems() {
    let desk = Desk::open().await;
    let data = desk.data();
    let args = ["client", "import", "--local", "--data-dir", &data, "--from", "cognito", "-"];
    assert!(said(&run_with(&args, export("cognito")).await).starts_with("imported\t5l1s9mqk3v7d2t8b4c6n0prxwy\n"));
    let output = desk.run(&["import", "--from", "okta", "x.json"]).await;
    let usage = String::from_utf8(output.stderr).unwrap();
    assert!(usage.contains("one of hydra, frontier, eventhos, cognito, auth0, keycloak"), "{usage}");
    assert!(desk.fails(&["import", "--from", "hydra", &desk.file("x.json", "{")]).await.contains("not JSON"));
}
