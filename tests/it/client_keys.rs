//! `mintlet client key` on the real binary, against a real server.

use std::os::unix::fs::PermissionsExt as _;

use mintlet::{edge::moment, oauth::jwt::Alg};
use serde_json::{Value, json};

use crate::{
    server::{Desk, said},
    signer::Signer,
    support::encode,
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

// What the owner of a PEM file signs with it.
fn sign(pem: &str, alg: Alg, header: &Value, claims: &Value) -> String {
    Signer::from_pem(alg, pem).jwt_with(header, claims)
}

async fn ask(desk: &Desk, path: &str, assertion: &str) -> u16 {
    let form = format!("grant_type={}&assertion={assertion}", encode(JWT_BEARER));
    let request = http::Request::post(format!("{}{path}", desk.server.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.into_bytes())
        .unwrap();
    crate::server::send(request).await.unwrap().status().as_u16()
}

async fn desk() -> Desk {
    let desk = Desk::open().await;
    let args = ["create", "--client-id", "svc", "--subject", "user-7", "--grant-type", JWT_BEARER];
    desk.json(&args).await;
    desk
}

#[tokio::test]
async fn a_generated_key_gets_tokens_and_its_private_half_is_shown_this_once() {
    let desk = desk().await;
    for alg in Alg::ASYMMETRIC {
        let made = desk.json(&["key", "generate", "--client-id", "svc", "--alg", alg.as_str()]).await;
        let (kid, pem) = (made["kid"].as_str().unwrap(), made["private_key"].as_str().unwrap());
        assert_eq!(made, json!({"client_id": "svc", "kid": kid, "alg": alg, "private_key": pem}));
        let claims = json!({
            "iss": "svc", "sub": "svc", "aud": desk.server.url, "exp": moment::now() + 60, "jti": alg.as_str()
        });
        let assertion = sign(pem, alg, &json!({"alg": alg, "kid": kid}), &claims);
        assert_eq!(ask(&desk, "/oauth2/token", &assertion).await, 200, "{alg:?}");
        for args in [&["show", "--client-id", "svc"][..], &["key", "list", "--client-id", "svc"]] {
            for more in [&[][..], &["--json"]] {
                let text = said(&desk.run(&[args, more].concat()).await);
                assert!(text.contains(kid), "{text}");
                assert!(!text.contains("PRIVATE") && !text.contains("\"d\""), "{text}");
            }
        }
    }
    let listed = desk.json(&["key", "list", "--client-id", "svc"]).await;
    let algs: Vec<_> = listed["keys"].as_array().unwrap().iter().map(|key| key["alg"].clone()).collect();
    assert_eq!(json!(algs), json!(Alg::ASYMMETRIC));
}

#[tokio::test]
async fn a_file_for_frontier_is_the_owners_alone_and_what_its_sdk_sends_gets_tokens() {
    let desk = desk().await;
    let out = format!("{}/svc.json", desk.data());
    let args = ["key", "generate", "--client-id", "svc", "--format", "frontier", "--out", &out];
    let made = desk.run(&args).await;
    assert!(made.status.success());
    assert!(!said(&made).contains("PRIVATE"));
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    let pem = file["private_key"].as_str().unwrap();
    assert_eq!(file, json!({"type": "sv_rsa", "kid": "svc", "principal_id": "user-7", "private_key": pem}));
    let now = moment::now();
    let claims = json!({
        "iss": "//frontier-go-sdk", "sub": file["principal_id"], "iat": now, "nbf": now, "exp": now + 12 * 60 * 60, "jti": "a",
        "kid": file["kid"]
    });
    let assertion = sign(pem, Alg::RS256, &json!({"alg": "RS256", "kid": file["kid"], "typ": "JWT"}), &claims);
    for _ in 0..2 {
        assert_eq!(ask(&desk, "/v1beta1/auth/token", &assertion).await, 200);
    }
    let failure = desk.fails(&args).await;
    assert_eq!(failure, "mintlet: the file is there already: name another one with --out\n");
    let failure =
        desk.fails(&["key", "generate", "--client-id", "svc", "--format", "frontier", "--alg", "ES256"]).await;
    assert_eq!(failure, "mintlet: Frontier's SDK signs with RS256 alone\n");
    assert_eq!(desk.json(&["key", "list", "--client-id", "svc"]).await["keys"].as_array().unwrap().len(), 1);
    // The next one, for rotation.
    desk.json(&["key", "generate", "--client-id", "svc", "--format", "frontier"]).await;
    assert_eq!(desk.json(&["show", "--client-id", "svc"]).await["assertion_profile"], "frontier");
}

#[tokio::test]
async fn a_client_whose_assertions_are_good_once_is_not_made_one_of_frontiers_by_a_key() {
    let desk = desk().await;
    let frontier = ["key", "generate", "--client-id", "svc", "--format", "frontier"];
    desk.json(&["key", "generate", "--client-id", "svc"]).await;
    let failure = desk.fails(&frontier).await;
    assert_eq!(
        failure,
        "mintlet: client svc has keys whose assertions are good once, and would be no more: create another one for Frontier's SDK\n"
    );
    let file = json!({"clients": [{"client_id": "svc", "token_endpoint_auth_method": "private_key_jwt"}]});
    desk.json(&["apply", "--file", &desk.file("clients.json", &file.to_string())]).await;
    let failure = desk.fails(&frontier).await;
    assert_eq!(
        failure,
        "mintlet: client svc authenticates by private_key_jwt: create another one for Frontier's SDK\n"
    );
    assert_eq!(desk.json(&["show", "--client-id", "svc"]).await.get("assertion_profile"), None);
}

#[tokio::test]
async fn a_key_that_the_client_made_is_added_as_jwk_as_set_and_as_pem() {
    let desk = desk().await;
    let key = Signer::new(Alg::ES256);
    let jwk = desk.file("key.jwk", &key.jwk().to_string());
    assert_eq!(
        desk.json(&["key", "add", "--client-id", "svc", "--file", &jwk]).await,
        json!({"client_id": "svc", "kids": [key.kid]})
    );
    let failure = desk.fails(&["key", "add", "--client-id", "svc", "--file", &jwk]).await;
    assert_eq!(failure, "mintlet: keys[1]: its kid stands twice, or is not 1 to 255 characters\n");
    let set = json!({"keys": [Signer::new(Alg::RS256).jwk(), Signer::new(Alg::EdDSA).jwk()]});
    let set = desk.file("keys.json", &set.to_string());
    let added = desk.json(&["key", "add", "--client-id", "svc", "--file", &set]).await;
    assert_eq!(added["kids"].as_array().unwrap().len(), 2);

    // Made by OpenSSL: RSA of 2048 bits, P-256, P-384 and Ed25519.
    for (name, pem, alg) in PEMS {
        let file = desk.file("key.pem", pem);
        let kid = format!("from-{name}");
        let args = ["key", "add", "--client-id", "svc", "--file", &file, "--kid", &kid];
        assert_eq!(desk.json(&args).await, json!({"client_id": "svc", "kids": [kid]}));
        let listed = desk.json(&["key", "list", "--client-id", "svc"]).await;
        assert!(listed["keys"].as_array().unwrap().contains(&json!({"kid": kid, "alg": alg})), "{listed}");
    }
}

#[tokio::test]
async fn what_is_no_public_key_is_refused_with_what_to_do() {
    let desk = desk().await;
    let mut private = Signer::new(Alg::ES256).jwk();
    private["d"] = json!("hunter2");
    for (text, fault) in [
        (
            "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n",
            "a private key; give its public half: openssl pkey -in FILE -pubout",
        ),
        (
            "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n",
            "a certificate; give its public key: openssl x509 -in FILE -noout -pubkey",
        ),
        (
            "-----BEGIN PUBLIC KEY-----\naHVudGVyMg==\n-----END PUBLIC KEY-----\n",
            "not an RSA, P-256, P-384 or Ed25519 key",
        ),
        ("hunter2", "neither a JWK nor PEM"),
        ("", "neither a JWK nor PEM"),
    ] {
        let file = desk.file("key", text);
        let failure = desk.fails(&["key", "add", "--client-id", "svc", "--file", &file]).await;
        assert_eq!(failure, format!("mintlet: {file}: {fault}\n"));
    }
    let file = desk.file("key", &private.to_string());
    let failure = desk.fails(&["key", "add", "--client-id", "svc", "--file", &file]).await;
    assert_eq!(failure, "mintlet: keys[0]: has a member of a private or symmetric key: register the public key only\n");
    assert_eq!(desk.json(&["key", "list", "--client-id", "svc"]).await["keys"], json!([]));
}

#[tokio::test]
async fn a_removed_key_is_gone_and_the_others_stay() {
    let desk = desk().await;
    let made = |answer: Value| answer["kid"].as_str().unwrap().to_owned();
    let first = made(desk.json(&["key", "generate", "--client-id", "svc"]).await);
    let second = made(desk.json(&["key", "generate", "--client-id", "svc"]).await);
    desk.json(&["key", "remove", "--client-id", "svc", "--kid", &first]).await;
    let listed = desk.json(&["key", "list", "--client-id", "svc"]).await;
    assert_eq!(listed["keys"], json!([{"kid": second, "alg": "ES256"}]));
    let failure = desk.fails(&["key", "remove", "--client-id", "svc", "--kid", &first]).await;
    assert_eq!(failure, format!("mintlet: client svc has no key {first:?}\n"));
    desk.json(&["key", "remove", "--client-id", "svc", "--kid", &second]).await;
    assert_eq!(desk.json(&["show", "--client-id", "svc"]).await.get("jwks"), None);
}

const PEMS: [(&str, &str, &str); 4] = [
    (
        "rsa",
        "-----BEGIN PUBLIC KEY-----\n\
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAn4RSRCjMxat7qHuGJhBp\n\
        o+C6ZE3QBVlPcSgz6dtn3Q3BJsp5u4pGY/TqETSSvGDruyunOqdOalpsR/9oTdDS\n\
        q69ylHjzNo1TUA/o6Q1EC/SP3OSOiFs+BtU3YW2fApKwUl/GjqzuZ1USsYY0NVt9\n\
        nWM/P9hTy87PME9eaOqU35wcGhgpc0t/vhAER0sB7g7BLGLW1wxNpua8prZikNSf\n\
        1gnFC7jDgwdKimyQLgkePTzxnR6hE8+fmy+XR40DkLSa6Ym9FZGXKakL5UcRe5YR\n\
        9pPvgRSk8OQjtsn0zS44hu/iinOsmxTHRRv4rqVHuKkrCrZ1GlDiOonfFuTbDYf6\n\
        QQIDAQAB\n\
        -----END PUBLIC KEY-----\n\
        ",
        "RS256",
    ),
    (
        "p256",
        "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdi+zXMQb/wkvQxUwHqkx+XPT19KZ\n\
        fevjrnBtlu3Y8t4u2SVgVZn9Qx6+w3/LiGmdgXZLiVEuhz1yiNjMFvSPoA==\n\
        -----END PUBLIC KEY-----\n\
        ",
        "ES256",
    ),
    (
        "p384",
        "-----BEGIN PUBLIC KEY-----\n\
        MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE7AInztm2Z9dqcI8h9oWO6o8Y1ystzjit\n\
        4rlSAMv7l5j0nIUA3yyVyx6GJtZHlDSaWu5KTBeZecPHMNu/3uXzZ+DoFg4N7fsd\n\
        WaZgqOhm3ccwWHsXMqftghWBGVUpH+5f\n\
        -----END PUBLIC KEY-----\n\
        ",
        "ES384",
    ),
    (
        "ed25519",
        "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA/UOhFfFHcXwcEPqkLUSRJHPG5spt7zoyq1F3IlJ4Vxw=\n\
        -----END PUBLIC KEY-----\n\
        ",
        "EdDSA",
    ),
];
