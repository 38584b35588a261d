//! `mintlet client` on the real binary, against a real server.

use aws_sdk_dynamodb::types::AttributeValue;
use http::StatusCode;
use mintlet::{config::STATE_TABLE, oauth::jwt::Alg};
use serde_json::{Value, json};

use crate::{
    server::{Desk, run_with, said},
    signer::Signer,
    support::SECRET,
};

#[tokio::test]
async fn a_client_that_is_created_gets_tokens_and_its_secret_is_shown_this_once() {
    let desk = Desk::open().await;
    let created = desk.json(&["create", "--client-id", "billing", "--scope", "read write"]).await;
    let secret = created["client_secret"].as_str().unwrap();
    assert_eq!(created, json!({"client_id": "billing", "client_secret": secret}));
    assert!(secret.starts_with("mintlet_cs_") && secret.len() == 54, "{secret}");
    assert_eq!(desk.token("billing", secret).await, StatusCode::OK);
    for args in [&["show", "--client-id", "billing"][..], &["list"]] {
        for more in [&[][..], &["--json"]] {
            let text = said(&desk.run(&[args, more].concat()).await);
            assert!(text.contains("billing"), "{text}");
            assert!(!text.contains(secret) && !text.contains("$hmac") && !text.contains("\"hash\""), "{text}");
        }
    }
    let failure = desk.fails(&["create", "--client-id", "billing"]).await;
    assert_eq!(failure, "mintlet: there is a client billing already\n");
}

#[tokio::test]
async fn a_client_without_a_chosen_id_gets_a_random_one() {
    let desk = Desk::open().await;
    let first = desk.json(&["create"]).await["client_id"].clone();
    let second = desk.json(&["create"]).await["client_id"].clone();
    assert_ne!(first, second);
    assert!(first.as_str().unwrap().starts_with("client-"), "{first}");
    let text = said(&desk.run(&["create", "--client-id", "third"]).await);
    let secret = text.lines().find_map(|line| line.strip_prefix("client_secret: ")).unwrap();
    assert_eq!(desk.token("third", secret).await, StatusCode::OK);
}

#[tokio::test]
async fn show_has_every_attribute_that_create_was_given() {
    let desk = Desk::open().await;
    let args = [
        "create",
        "--client-id",
        "billing",
        "--client-name",
        "Billing",
        "--description",
        "Sends invoices",
        "--grant-type",
        "client_credentials",
        "--scope",
        "read write",
        "--default-scope",
        "read",
        "--audience",
        "https://a.example",
        "--audience",
        "urn:b",
        "--subject",
        "s",
        "--token-endpoint-auth-method",
        "client_secret_post",
        "--access-token-lifetime",
        "60",
        "--access-token-signed-response-alg",
        "RS256",
        "--scope-claim",
        "array",
        "--claims",
        r#"{"org_ids":"o"}"#,
        "--role",
        "a",
        "--role",
        "b",
        "--eventhos",
        r#"{"id":7,"identifier":"i"}"#,
    ];
    desk.json(&args).await;
    let mut shown = desk.json(&["show", "--client-id", "billing"]).await;
    let members = shown.as_object_mut().unwrap();
    for name in ["created_at", "updated_at"] {
        assert!(members.remove(name).unwrap().is_u64());
    }
    let secret = members.remove("client_secrets").unwrap();
    assert_eq!(
        (&secret[0]["id"], &secret[0]["scheme"], secret.as_array().unwrap().len()),
        (&json!("s1"), &json!("hmac-sha256"), 1)
    );
    assert_eq!(
        shown,
        json!({
            "client_id": "billing", "client_name": "Billing", "description": "Sends invoices", "disabled": false,
            "grant_types": ["client_credentials"], "scope": "read write", "default_scope": "read",
            "audience": ["https://a.example", "urn:b"], "subject": "s", "version": 1, "scope_claim": "array",
            "token_endpoint_auth_method": "client_secret_post", "access_token_lifetime": 60,
            "access_token_signed_response_alg": "RS256", "claims": {"org_ids": "o"}, "roles": ["a", "b"],
            "eventhos": {"id": 7, "identifier": "i", "roles": [], "long_lived": false}
        })
    );
}

#[tokio::test]
async fn every_other_attribute_has_a_flag_of_its_name() {
    let desk = Desk::open().await;
    let jwks = json!({"keys": [Signer::new(Alg::ES256).jwk()]});
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let args = [
        "create",
        "--client-id=payroll",
        "--grant-type=client_credentials",
        &format!("--grant-type={exchange}"),
        "--scope=read",
        "--token-endpoint-auth-method=tls_client_auth",
        "--tls-client-auth-subject-dn=CN=payroll,O=Example",
        "--tls-client-certificate-bound-access-tokens=false",
        "--dpop-bound-access-tokens",
        "--allowed-resource=https://a.example",
        r#"--allowed-resource={"resource":"urn:b","scope":"read","access_token_lifetime":60}"#,
        "--authorization-details-type=payment",
        "--authorization-details-type=account",
        "--subject-token-client=web",
        "--resource-identifier=https://payroll.example",
        "--introspection-signed-response-alg=ES256",
        &format!("--jwks={jwks}"),
        "--assertion-lifetime=600",
        "--assertion-profile=rfc7523",
        "--legacy-assertion-audience",
    ];
    // What its method does not take it does not get.
    assert_eq!(desk.json(&args).await, json!({"client_id": "payroll"}));
    let mut shown = desk.json(&["show", "--client-id", "payroll"]).await;
    let members = shown.as_object_mut().unwrap();
    members.retain(|name, _| !["created_at", "updated_at", "version", "disabled", "scope_claim"].contains(&&**name));
    assert_eq!(
        shown,
        json!({
            "client_id": "payroll", "client_secrets": [], "grant_types": ["client_credentials", exchange], "scope": "read",
            "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=payroll,O=Example",
            "tls_client_certificate_bound_access_tokens": false, "dpop_bound_access_tokens": true,
            "allowed_resources": [
                {"resource": "https://a.example"}, {"resource": "urn:b", "scope": "read", "access_token_lifetime": 60}
            ],
            "authorization_details_types": ["payment", "account"], "subject_token_clients": ["web"],
            "resource_identifiers": ["https://payroll.example"], "introspection_signed_response_alg": "ES256", "jwks": jwks,
            "assertion_lifetime": 600, "legacy_assertion_audience": true
        })
    );
    for (name, value) in [("dns", "a.example"), ("uri", "urn:a"), ("ip", "192.0.2.1"), ("email", "a@a.example")] {
        let (id, flag) = (format!("by-{name}"), format!("--tls-client-auth-san-{name}"));
        let method = "--token-endpoint-auth-method=tls_client_auth";
        let bound = "--tls-client-certificate-bound-access-tokens";
        let text = said(&desk.run(&["create", "--client-id", &id, method, &flag, value, bound]).await);
        assert_eq!(text, format!("registered {id}; it authenticates by tls_client_auth and has no secret\n"));
        let shown = desk.json(&["show", "--client-id", &id]).await;
        assert_eq!(shown[format!("tls_client_auth_san_{name}")], value);
        assert_eq!(shown["tls_client_certificate_bound_access_tokens"], true);
    }
    let failure = desk.fails(&["create", "--token-endpoint-auth-method=tls_client_auth"]).await;
    assert!(failure.contains("token_endpoint_auth_method: tls_client_auth needs exactly one of"), "{failure}");
    let failure = desk.fails(&["create", "--allowed-resource={"]).await;
    assert!(failure.starts_with("mintlet: --allowed-resource is not JSON: "), "{failure}");
}

#[tokio::test]
async fn a_faulty_create_names_every_fault_and_writes_nothing() {
    let desk = Desk::open().await;
    let failure = desk
        .fails(&[
            "create",
            "--client-id",
            "a",
            "--scope",
            "a  b",
            "--access-token-lifetime",
            "5",
            "--claims",
            r#"{"iss":1}"#,
        ])
        .await;
    for fault in
        ["scope: ", "access_token_lifetime: not 60 to 86400 seconds", "claims.iss: only the server sets this claim"]
    {
        assert!(failure.contains(fault), "{failure}");
    }
    assert!(desk.fails(&["create", "--claims", "{"]).await.starts_with("mintlet: --claims is not JSON: "));
    assert_eq!(desk.json(&["list"]).await, json!({"clients": []}));
}

#[tokio::test]
async fn a_disabled_client_gets_no_token_until_it_is_enabled() {
    let desk = Desk::open().await;
    let secret = desk.json(&["create", "--client-id", "billing"]).await["client_secret"].as_str().unwrap().to_owned();
    for (command, disabled, status) in [
        ("disable", true, StatusCode::UNAUTHORIZED),
        ("disable", true, StatusCode::UNAUTHORIZED),
        ("enable", false, StatusCode::OK),
    ] {
        let answer = desk.json(&[command, "--client-id", "billing"]).await;
        assert_eq!(answer, json!({"client_id": "billing", "disabled": disabled}));
        assert_eq!(desk.json(&["show", "--client-id", "billing"]).await["disabled"], disabled);
        assert_eq!(desk.token("billing", &secret).await, status);
    }
}

#[tokio::test]
async fn a_deleted_client_is_gone() {
    let desk = Desk::open().await;
    let secret = desk.json(&["create", "--client-id", "billing"]).await["client_secret"].as_str().unwrap().to_owned();
    assert_eq!(desk.json(&["delete", "--client-id", "billing"]).await, json!({"client_id": "billing"}));
    assert_eq!(desk.token("billing", &secret).await, StatusCode::UNAUTHORIZED);
    // Nor do its tokens come back with another client of its id.
    let row = AttributeValue::S("revoked-client#billing".to_owned());
    let found = desk.sdk().get_item().table_name(STATE_TABLE).key("pk", row).send().await.unwrap();
    assert!(found.item.is_some());
    for command in ["show", "delete", "disable", "enable", "rotate-secret"] {
        let failure = desk.fails(&[command, "--client-id", "billing"]).await;
        assert_eq!(failure, "mintlet: there is no client billing\n", "{command}");
        let failure = desk.fails(&[command, "--client-id", "é"]).await;
        assert!(failure.starts_with("mintlet: --client-id: "), "{command}: {failure}");
    }
}

#[tokio::test]
async fn a_rotated_secret_works_beside_the_old_one_or_at_once_instead_of_it() {
    let desk = Desk::open().await;
    let secret = |answer: Value| answer["client_secret"].as_str().unwrap().to_owned();
    let first = secret(desk.json(&["create", "--client-id", "billing"]).await);
    let second = secret(desk.json(&["rotate-secret", "--client-id", "billing", "--label", "2027"]).await);
    assert_eq!(desk.token("billing", &first).await, StatusCode::OK);
    assert_eq!(desk.token("billing", &second).await, StatusCode::OK);
    let shown = desk.json(&["show", "--client-id", "billing"]).await;
    let secrets = &shown["client_secrets"];
    let overlap = secrets[0]["expires_at"].as_u64().unwrap() - shown["updated_at"].as_u64().unwrap();
    assert_eq!((overlap, &secrets[1]["id"], &secrets[1]["label"]), (24 * 60 * 60, &json!("s2"), &json!("2027")));
    assert!(secrets[1].get("expires_at").is_none());

    let third = secret(desk.json(&["rotate-secret", "--client-id", "billing", "--overlap", "0"]).await);
    assert_eq!(desk.token("billing", &first).await, StatusCode::UNAUTHORIZED);
    assert_eq!(desk.token("billing", &second).await, StatusCode::UNAUTHORIZED);
    assert_eq!(desk.token("billing", &third).await, StatusCode::OK);
}

#[tokio::test]
async fn apply_says_what_it_did_with_each_client() {
    let desk = Desk::open().await;
    let file = |scope: &str| {
        desk.file(
            "clients.json",
            &json!({"clients": [{"client_id": "a", "client_secret": SECRET, "scope": scope}, {"client_id": "b"}]})
                .to_string(),
        )
    };
    let result =
        |a: &str, b: &str| json!({"clients": [{"client_id": "a", "result": a}, {"client_id": "b", "result": b}]});
    assert_eq!(desk.json(&["apply", "-f", &file("read")]).await, result("created", "created"));
    assert_eq!(desk.json(&["apply", "-f", &file("read")]).await, result("unchanged", "unchanged"));
    assert_eq!(desk.json(&["apply", "-f", &file("write")]).await, result("updated", "unchanged"));
    assert_eq!(said(&desk.run(&["apply", "-f", &file("write")]).await), "a\tunchanged\nb\tunchanged\n");
    assert_eq!(desk.token("a", SECRET).await, StatusCode::OK);
    let list = desk.json(&["list"]).await;
    desk.json(&["apply", "-f", &desk.file("clients.json", &list.to_string())]).await;
    assert_eq!(desk.json(&["list"]).await, list, "what list prints cannot be applied again");
}

#[tokio::test]
async fn apply_reads_standard_input() {
    let desk = Desk::open().await;
    let data = desk.data();
    let args = ["client", "apply", "--local", "--data-dir", &data, "-f", "-"];
    assert_eq!(said(&run_with(&args, r#"{"clients":[{"client_id":"a"}]}"#).await), "a\tcreated\n");
}

#[tokio::test]
async fn a_faulty_file_is_refused_as_a_whole_with_every_fault_and_no_secret() {
    let desk = Desk::open().await;
    let file = desk.file(
        "clients.json",
        &json!({"clients": [
            {"client_id": "good", "client_secret": SECRET},
            {"client_id": "bad", "client_secret": ["hunter2"], "colour": "red", "default_scope": "read"},
            {"client_id": "good"}
        ]})
        .to_string(),
    );
    let failure = desk.fails(&["apply", "-f", &file]).await;
    assert_eq!(
        failure,
        format!(
            "mintlet: {file}: nothing was written:\n  \
             clients[1] (\"bad\"): client_secret: not a string\n  \
             clients[1] (\"bad\"): colour: no such attribute\n  \
             clients[1] (\"bad\"): default_scope: not within scope\n  \
             clients[2] (\"good\"): client_id stands twice in the file\n"
        )
    );
    assert_eq!(desk.json(&["list"]).await, json!({"clients": []}));
    assert!(desk.fails(&["apply", "-f", &desk.file("clients.json", "{")]).await.contains("not JSON"));
    assert!(desk.fails(&["apply", "-f", "/nonexistent.json"]).await.starts_with("mintlet: /nonexistent.json: "));
}

#[tokio::test]
async fn the_tokens_that_a_client_has_so_far_are_revoked_all_at_once() {
    let desk = Desk::open().await;
    let created = desk.json(&["create", "--client-id", "billing"]).await;
    let basic = ("billing", created["client_secret"].as_str().unwrap());
    let ask = async |path, form: &str| -> Value {
        serde_json::from_slice(desk.server.post(path, basic, form).await.body()).unwrap()
    };
    let token =
        ask("/oauth2/token", "grant_type=client_credentials").await["access_token"].as_str().unwrap().to_owned();
    let introspect = format!("token={token}");
    assert_eq!(ask("/oauth2/introspect", &introspect).await["active"], true);
    let failure = desk.fails(&["revoke-tokens", "--client-id", "biling"]).await;
    assert_eq!(failure, "mintlet: there is no client biling\n");
    assert_eq!(ask("/oauth2/introspect", &introspect).await["active"], true);
    let revoked = desk.json(&["revoke-tokens", "--client-id", "billing"]).await;
    assert_eq!(revoked["client_id"], "billing");
    assert_eq!(ask("/oauth2/introspect", &introspect).await, json!({"active": false}));
    let failure = desk.fails(&["revoke-tokens", "--client-id", "billing", "--state-table", "elsewhere"]).await;
    assert!(failure.starts_with("mintlet: table elsewhere: "), "{failure}");
}
