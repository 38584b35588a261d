//! Long-lived tokens of eventhos clients: issued, verified, listed, revoked, on the real binary.

use http::{Request, StatusCode};
use mintlet::{
    config::{CLIENTS_TABLE, STATE_TABLE},
    edge::{
        client_cache::CachedClients,
        dynamodb::DynamoDb,
        keys::{HeldKeys, Source},
        moment,
    },
    oauth::client::Lifetime,
    service::{Settings, TokenService},
};
use serde_json::{Value, json};

use crate::{
    server::{Desk, failed, run, run_with, said, send},
    support::{Ask, SECRET, body, parts},
};

const DAY: u64 = 86_400;

async fn desk() -> Desk {
    let desk = Desk::open().await;
    let clients = json!({"clients": [
        {"client_id": "door", "client_name": "Door", "client_secret": SECRET, "claims": {"site": "north"},
            "eventhos": {"id": 8, "identifier": "front-door", "long_lived": true}},
        {"client_id": "billing", "client_secret": SECRET, "eventhos": {"id": 9, "identifier": "billing"}},
        {"client_id": "disabled", "client_secret": SECRET, "disabled": true,
            "eventhos": {"id": 10, "identifier": "d", "long_lived": true}}
    ]});
    desk.json(&["apply", "-f", &desk.file("clients.json", &clients.to_string())]).await;
    desk
}

fn issue<'a>(desk: &'a Desk, id: &'a str, expires: &'a str) -> [&'a str; 7] {
    ["long-lived-token", "--client-id", id, "--expires", expires, "--issuer", &desk.server.url]
}

async fn key(desk: &Desk, args: &[&str]) -> String {
    let file = format!("{}/signing-keys.json", desk.data());
    said(&run(&[&["key", "--file", &file], args].concat()).await)
}

// Whether a token verifies with the keys that are published now.
async fn verifies(desk: &Desk, token: &str) -> bool {
    let jwks = desk.file("jwks.json", &key(desk, &["jwks"]).await);
    let output = run_with(&["token", "inspect", "--json", "--jwks", &jwks], token).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["valid"] == json!(true)
}

#[tokio::test]
async fn a_long_lived_token_has_the_claims_of_its_dialect_and_outlives_the_rotation_of_all_other_keys() {
    let desk = desk().await;
    let issued = desk.json(&issue(&desk, "door", "365d")).await;
    let token = issued["access_token"].as_str().unwrap();
    let (header, claims) = parts(token);
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": issued["kid"]}));
    let at = claims["iat"].as_u64().unwrap();
    assert_eq!(
        claims,
        json!({
            "iss": desk.server.url, "sub": "door", "aud": "door", "client_id": "door", "iat": at, "nbf": at,
            "exp": at + 365 * DAY, "jti": issued["jti"], "site": "north",
            "data": {"id": 8, "subjectType": "client", "identifier": "front-door"}
        })
    );
    assert_eq!((&issued["client_id"], &issued["expires_at"]), (&json!("door"), &json!(at + 365 * DAY)));
    assert!(verifies(&desk, token).await);

    // Its key signs nothing else, and stays when every other one is gone.
    let listed: Value = serde_json::from_str(&key(&desk, &["list", "--json"]).await).unwrap();
    let keys = listed["keys"].as_array().unwrap();
    let of = |state: &str| keys.iter().filter(|key| key["state"] == state).map(|key| &key["kid"]).collect::<Vec<_>>();
    assert_eq!(of("long-lived"), [&issued["kid"]]);
    let [ordinary] = of("signs")[..] else { panic!("{listed}") };
    let answer = desk.server.post("/oauth2/token", ("door", SECRET), "grant_type=client_credentials").await;
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(parts(body["access_token"].as_str().unwrap()).0["kid"], *ordinary);
    let file = format!("{}/signing-keys.json", desk.data());
    let mut ring: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    ring["keys"].as_array_mut().unwrap().iter_mut().filter(|key| key["kid"] == *ordinary).for_each(|key| {
        key["retire_at"] = json!(at - 2 * DAY);
    });
    std::fs::write(&file, ring.to_string()).unwrap();
    let published: Value = serde_json::from_str(&key(&desk, &["jwks"]).await).unwrap();
    let published = published["keys"].as_array().unwrap();
    assert_eq!(published.iter().map(|key| &key["kid"]).collect::<Vec<_>>(), [&issued["kid"]]);
    assert!(verifies(&desk, token).await);
}

#[tokio::test]
async fn tokens_share_a_key_which_is_published_for_the_longest_of_them() {
    let desk = desk().await;
    let first = desk.json(&issue(&desk, "door", "30d")).await;
    let second = desk.json(&issue(&desk, "door", "60d")).await;
    let third = desk.json(&issue(&desk, "door", "1d")).await;
    assert!(first["kid"] == second["kid"] && first["kid"] == third["kid"]);
    assert_ne!(first["jti"], second["jti"]);
    let listed: Value = serde_json::from_str(&key(&desk, &["list", "--json"]).await).unwrap();
    let until: Vec<_> =
        listed["keys"].as_array().unwrap().iter().filter_map(|key| key["long_lived_until"].as_u64()).collect();
    assert_eq!(until, [second["expires_at"].as_u64().unwrap()]);
    // The first of a key says that verifiers have to learn it, the others do not.
    assert!(said(&desk.run(&issue(&desk, "door", "1d")).await).ends_with("It is shown this once: store it now.\n"));
}

#[tokio::test]
async fn a_retired_key_of_long_lived_tokens_is_shown_as_such_and_another_takes_its_place() {
    let desk = desk().await;
    let first = desk.json(&issue(&desk, "door", "30d")).await["kid"].as_str().unwrap().to_owned();
    key(&desk, &["retire", "--kid", &first]).await;
    let second = desk.json(&issue(&desk, "door", "30d")).await["kid"].as_str().unwrap().to_owned();
    let listed = key(&desk, &["list"]).await;
    let state = |kid: &str| listed.lines().find(|line| line.starts_with(kid)).unwrap().split('\t').nth(2).unwrap();
    assert_eq!((state(&first), state(&second)), ("retired", "long-lived"));
}

#[tokio::test]
async fn the_first_token_of_a_symmetric_key_says_that_it_has_to_be_taken_to_verifiers() {
    let desk = desk().await;
    let door = json!({"clients": [{"client_id": "door", "access_token_signed_response_alg": "HS256",
        "eventhos": {"id": 8, "identifier": "front-door", "long_lived": true}}]});
    desk.json(&["apply", "-f", &desk.file("door.json", &door.to_string())]).await;
    let text = said(&desk.run(&issue(&desk, "door", "30d")).await);
    assert!(text.ends_with(", which is never published: verifiers need its `k` of the key ring.\n"), "{text}");
}

#[tokio::test]
async fn a_client_whose_tokens_are_to_be_bound_gets_no_long_lived_one() {
    let desk = desk().await;
    for member in ["dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"] {
        for (bound, issued) in [(false, true), (true, false)] {
            let door = json!({"clients": [{"client_id": "door", member: bound,
                "eventhos": {"id": 8, "identifier": "front-door", "long_lived": true}}]});
            desk.json(&["apply", "-f", &desk.file("door.json", &door.to_string())]).await;
            if issued {
                desk.json(&issue(&desk, "door", "30d")).await;
            } else {
                assert_eq!(
                    desk.fails(&issue(&desk, "door", "30d")).await,
                    "mintlet: client door is registered for tokens that are bound to a key or a certificate, and a long-lived \
                     one is bound to nothing\n"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_client_of_long_lived_tokens_still_gets_no_short_one() {
    let desk = desk().await;
    desk.json(&issue(&desk, "door", "365d")).await;
    let body = json!({"grant_type": "client_credentials", "client_id": "door", "client_secret": SECRET}).to_string();
    let request = Request::post(format!("{}/auth/token", desk.server.url)).header("content-type", "application/json");
    let answer = send(request.body(body.into_bytes()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        serde_json::from_slice::<Value>(answer.body()).unwrap(),
        json!({"code": 400_011, "message": "Client is not able to generate tokens, use your long live token"})
    );
}

#[tokio::test]
async fn a_long_lived_token_is_listed_without_itself_and_can_be_revoked() {
    let desk = desk().await;
    let list = ["long-lived-tokens", "list", "--client-id", "door"];
    assert_eq!(desk.json(&list).await, json!({"client_id": "door", "tokens": []}));
    let first = desk.json(&[&issue(&desk, "door", "30d")[..], &["--label", "lobby"]].concat()).await;
    let second = desk.json(&issue(&desk, "door", "60d")).await;
    let listed = desk.json(&list).await;
    let tokens = listed["tokens"].as_array().unwrap();
    let jtis: Vec<_> = tokens.iter().map(|token| &token["jti"]).collect();
    assert_eq!(jtis, [&first["jti"], &second["jti"]]);
    assert_eq!((&tokens[0]["label"], &tokens[0]["state"]), (&json!("lobby"), &json!("good")));
    assert_eq!((&tokens[0]["kid"], &tokens[0]["expires_at"]), (&first["kid"], &first["expires_at"]));
    assert!(!listed.to_string().contains(first["access_token"].as_str().unwrap()));

    let jti = first["jti"].as_str().unwrap();
    let revoke = ["long-lived-tokens", "revoke", "--client-id", "door", "--jti", jti];
    assert_eq!(said(&desk.run(&revoke).await), format!("revoked {jti} of door\n"));
    assert_eq!(said(&desk.run(&revoke).await), format!("was revoked already: {jti} of door\n"));
    let states = |listed: &Value| {
        listed["tokens"].as_array().unwrap().iter().map(|token| token["state"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(states(&desk.json(&list).await), ["revoked", "good"]);
    let text = said(&desk.run(&list).await);
    assert!(
        text.starts_with(&format!("{jti}\trevoked\tissued 20")) && text.lines().next().unwrap().ends_with("\tlobby"),
        "{text}"
    );
    let failure = desk.fails(&["long-lived-tokens", "revoke", "--client-id", "door", "--jti", "none"]).await;
    assert_eq!(failure, "mintlet: client door has no long-lived token \"none\" that has not expired\n");
    let of_another =
        ["long-lived-tokens", "revoke", "--client-id", "billing", "--jti", second["jti"].as_str().unwrap()];
    assert!(desk.fails(&of_another).await.contains("client billing has no long-lived token"));
}

#[tokio::test]
async fn introspection_knows_a_long_lived_token_until_it_is_revoked() {
    let desk = desk().await;
    let issued = [desk.json(&issue(&desk, "door", "30d")).await, desk.json(&issue(&desk, "door", "30d")).await];
    // An instance that has read the keys since.
    let settings = Settings {
        issuer: Some(desk.server.url.clone()),
        base_path: String::new(),
        dialects: vec!["oauth2"],
        access_token_lifetime: Lifetime::default(),
        authorization_details_types: Vec::new(),
        requires_dpop_nonce: false,
        mutual_tls: None,
    };
    let store = CachedClients::new(DynamoDb::new(desk.sdk(), CLIENTS_TABLE, STATE_TABLE), 0);
    let keys = HeldKeys::new(Source::File(format!("{}/signing-keys.json", desk.data()).into()), 300);
    let service = TokenService::new(settings, store, keys);
    let introspect = async |index: usize| {
        let token = issued[index]["access_token"].as_str().unwrap();
        let ask = Ask::form("/oauth2/introspect", &format!("client_id=door&client_secret={SECRET}&token={token}"));
        let answer = service.respond(&ask.0, &moment::draw().unwrap()).await;
        assert_eq!(answer.record.reason, None);
        body(&answer.response)
    };
    let shown = introspect(0).await;
    assert_eq!((&shown["active"], &shown["jti"]), (&json!(true), &issued[0]["jti"]));
    let jti = issued[0]["jti"].as_str().unwrap();
    said(&desk.run(&["long-lived-tokens", "revoke", "--client-id", "door", "--jti", jti]).await);
    assert_eq!(introspect(0).await, json!({"active": false}));
    assert_eq!(introspect(1).await["active"], true);
    said(&desk.run(&["revoke-tokens", "--client-id", "door"]).await);
    assert_eq!(introspect(1).await, json!({"active": false}));
}

#[tokio::test]
async fn what_cannot_be_issued_says_why_and_leaves_the_keys_as_they_are() {
    let desk = desk().await;
    let file = format!("{}/signing-keys.json", desk.data());
    let before = std::fs::read_to_string(&file).unwrap();
    for (id, expires, fault) in [
        ("billing", "365d", "client billing is not one for long-lived tokens"),
        ("disabled", "365d", "client disabled is disabled"),
        ("nobody", "365d", "there is no client nobody"),
        ("door", "59s", "--expires: a minute at least, and ten years at most"),
        ("door", "3661d", "--expires: a minute at least, and ten years at most"),
    ] {
        let failure = desk.fails(&issue(&desk, id, expires)).await;
        assert!(failure.contains(fault), "{failure}");
    }
    let failure = desk.fails(&["long-lived-token", "--client-id", "door", "--expires", "1d"]).await;
    assert_eq!(failure, "mintlet: say who issues the token: --issuer URL, as the service has it\n");
    let issuer = ["long-lived-token", "--client-id", "door", "--expires", "1d", "--issuer", "http://auth.example.com"];
    assert_eq!(desk.fails(&issuer).await, "mintlet: --issuer is not an https URL without query and fragment\n");
    let usage = desk.run(&["long-lived-token", "--client-id", "door", "--issuer", &desk.server.url]).await;
    assert_eq!(usage.status.code(), Some(2), "a token without an end");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    let elsewhere =
        ["client", "long-lived-token", "--client-id", "door", "--expires", "1d", "--issuer", &desk.server.url];
    let output = run(&elsewhere).await;
    assert!(failed(&output).contains("say where the key ring is: --file PATH or --secret-id ID"), "{output:?}");
}
