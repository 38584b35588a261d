//! What stands around the token endpoint, whole; which routes there are; who the issuer is.

use http::{Method, StatusCode, header};
use mintlet::{
    dialect::{DIALECTS, Dialect},
    oauth::{error::Reason, jwt::Alg},
};
use serde_json::{Value, json};

use crate::support::{Ask, ISSUER, SECRET, World, body, parts, token_in, whole};

const JWKS: [&str; 3] = ["/.well-known/jwks.json", "/oauth2/jwks", "/v1beta1/auth/jwks"];
const METADATA: [&str; 2] = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

const CACHEABLE: &str = "200\ncache-control: public, max-age=300\ncontent-type: application/json\n\
                         x-content-type-options: nosniff\n\n";
const NOT_STORED: &str = "cache-control: no-store\ncontent-type: application/json\npragma: no-cache\n\
                          x-content-type-options: nosniff\n\n";

async fn world(algs: &[Alg]) -> World {
    World::new(json!([{"client_id": "billing", "client_secret": SECRET}]), algs).await
}

#[tokio::test]
async fn health_answers_though_no_backend_does() {
    let world = world(&[]).await;
    let World { engine, service, .. } = world;
    engine.stop().await;
    let moment = mintlet::grant::Moment { now: 0, jti: String::new() };
    let answer = service.respond(&Ask::get("/health").0, &moment).await;
    assert_eq!(whole(&answer.response), format!("200\n{NOT_STORED}{{\"status\":\"ok\"}}"));
}

#[tokio::test]
async fn the_metadata_is_only_what_is_on() {
    let world = world(&[Alg::ES256]).await;
    let head = format!("200\n{NOT_STORED}");
    let expected = format!(
        r#"{head}{{"issuer":"{ISSUER}","token_endpoint":"{ISSUER}/oauth2/token","jwks_uri":"{ISSUER}/.well-known/jwks.json","introspection_endpoint":"{ISSUER}/oauth2/introspect","introspection_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","private_key_jwt"],"introspection_endpoint_auth_signing_alg_values_supported":["RS256","PS256","ES256","ES384","EdDSA","Ed25519"],"revocation_endpoint":"{ISSUER}/oauth2/revoke","revocation_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","private_key_jwt"],"revocation_endpoint_auth_signing_alg_values_supported":["RS256","PS256","ES256","ES384","EdDSA","Ed25519"],"response_types_supported":[],"grant_types_supported":["client_credentials","urn:ietf:params:oauth:grant-type:jwt-bearer","urn:ietf:params:oauth:grant-type:token-exchange"],"token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","private_key_jwt"],"token_endpoint_auth_signing_alg_values_supported":["RS256","PS256","ES256","ES384","EdDSA","Ed25519"],"subject_types_supported":["public"],"dpop_signing_alg_values_supported":["RS256","PS256","ES256","ES384","EdDSA","Ed25519"]}}"#
    );
    for path in METADATA {
        assert_eq!(whole(&world.send(Ask::get(path)).await.response), expected);
        assert_eq!(whole(&world.send(Ask::get(path).method(Method::HEAD)).await.response), expected);
    }
}

#[tokio::test]
async fn the_metadata_announces_the_types_of_authorization_details_that_are_configured() {
    let types = |settings: &mut mintlet::service::Settings| {
        settings.authorization_details_types = vec!["payment".to_owned(), "account".to_owned()];
    };
    let world = World::with(json!([]), &[Alg::ES256], types, 0).await;
    let metadata = body(&world.send(Ask::get(METADATA[0])).await.response);
    assert_eq!(metadata["authorization_details_types_supported"], json!(["payment", "account"]));
}

#[tokio::test]
async fn the_metadata_describes_a_dialect_that_is_on() {
    for (on, path, methods) in [
        ("screening-eagle", "/api/id/v1/auth/token", json!(["client_secret_basic"])),
        ("frontier", "/v1beta1/auth/token", json!(["client_secret_basic", "client_secret_post"])),
        ("eventhos", "/auth/token", json!(["client_secret_post"])),
    ] {
        let only = |settings: &mut mintlet::service::Settings| settings.dialects = vec![on];
        let world = World::with(json!([]), &[Alg::ES256], only, 0).await;
        let metadata = body(&world.send(Ask::get(METADATA[0])).await.response);
        assert_eq!(metadata["token_endpoint"], format!("{ISSUER}{path}"));
        assert_eq!(metadata["token_endpoint_auth_methods_supported"], methods);
        assert_eq!(metadata.get("dpop_signing_alg_values_supported"), None, "it reads no proofs");
    }
}

#[tokio::test]
async fn the_published_keys_are_public_and_the_same_at_every_path() {
    let world = world(&Alg::ALL).await;
    let first = world.send(Ask::get(JWKS[0])).await.response;
    assert!(whole(&first).starts_with(CACHEABLE), "{}", whole(&first));
    for path in JWKS {
        assert_eq!(whole(&world.send(Ask::get(path)).await.response), whole(&first));
    }
    let published = body(&first);
    let keys = published["keys"].as_array().unwrap();
    let members = |key: &Value| {
        let mut names: Vec<_> = key.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    let mut found: Vec<_> =
        keys.iter().map(|key| format!("{} {}", key["alg"].as_str().unwrap(), members(key))).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "ES256 alg crv kid kty use x y",
            "ES384 alg crv kid kty use x y",
            "EdDSA alg crv kid kty use x",
            "PS256 alg e kid kty n use",
            "RS256 alg e kid kty n use",
        ]
    );
    assert!(keys.iter().all(|key| key["use"] == "sig"));
    let mut kids: Vec<_> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    kids.sort_unstable();
    kids.dedup();
    assert_eq!(kids.len(), 5);
}

#[tokio::test]
async fn a_path_that_is_none_of_ours_is_404_whatever_the_method() {
    let world = world(&[Alg::ES256]).await;
    let expected =
        format!("404\n{NOT_STORED}{{\"error\":\"not_found\",\"error_description\":\"There is nothing at this path\"}}");
    for path in
        ["/", "", "/oauth2/token/", "/OAuth2/token", "//oauth2/token", "/oauth2/token/x", "/health/", "/../health"]
    {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            assert_eq!(whole(&world.send(Ask::get(path).method(method)).await.response), expected, "{path}");
        }
    }
}

#[tokio::test]
async fn another_method_is_405_and_allow_names_the_right_one() {
    let world = world(&[Alg::ES256]).await;
    let token = DIALECTS.iter().map(|dialect| (dialect.path, "POST", Method::GET));
    let rest = JWKS.iter().chain(&METADATA).chain(&["/health"]).map(|path| (*path, "GET, HEAD", Method::POST));
    for (path, allow, method) in token.chain(rest) {
        for method in [method, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = world.send(Ask::get(path).method(method)).await;
            assert_eq!(answer.response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(answer.response.headers()[header::ALLOW], allow, "{path}");
            assert_eq!(answer.response.headers()[header::CACHE_CONTROL], "no-store", "{path}");
            assert_eq!(answer.record.reason, Some(Reason::WrongMethod));
        }
    }
}

#[tokio::test]
async fn a_dialect_that_is_off_is_a_path_that_is_none_of_ours() {
    for on in &DIALECTS {
        let only = |settings: &mut mintlet::service::Settings| settings.dialects = vec![on.name];
        let world =
            World::with(json!([{"client_id": "billing", "client_secret": SECRET}]), &[Alg::ES256], only, 0).await;
        let unknown = whole(&world.send(Ask::get("/unknown")).await.response);
        for dialect in &DIALECTS {
            let response = world.send(Ask::token(dialect, "billing", SECRET)).await.response;
            if dialect.name == on.name {
                assert!(response.status().is_success(), "{}", dialect.name);
            } else {
                assert_eq!(whole(&response), unknown, "{}", dialect.name);
            }
        }
    }
}

#[tokio::test]
async fn the_issuer_is_where_the_api_was_called_if_none_is_set_and_never_the_host_header() {
    let none = |settings: &mut mintlet::service::Settings| settings.issuer = None;
    let world = World::with(json!([{"client_id": "billing", "client_secret": SECRET}]), &[Alg::ES256], none, 0).await;
    let called = "https://abc.execute-api.eu-central-1.amazonaws.com/prod";
    let ask = |secret| {
        let mut ask = Ask::token(Dialect::oauth2(), "billing", secret)
            .header(header::HOST, "evil.example")
            .header("x-forwarded-host".parse().unwrap(), "evil.example")
            .header(header::FORWARDED, "host=evil.example");
        ask.0.origin = Some(called.to_owned());
        ask
    };
    let issued = world.send(ask(SECRET)).await.response;
    assert_eq!(parts(token_in(&body(&issued))).1["iss"], called);
    let refused = world.send(ask("wrong")).await.response;
    assert_eq!(refused.headers()[header::WWW_AUTHENTICATE], format!(r#"Basic realm="{called}", charset="UTF-8""#));
    let mut metadata = Ask::get(METADATA[0]);
    metadata.0.origin = Some(called.to_owned());
    let metadata = body(&world.send(metadata).await.response);
    assert_eq!(metadata["token_endpoint"], format!("{called}/oauth2/token"));
}

#[tokio::test]
async fn a_set_issuer_goes_before_where_the_api_was_called() {
    let world = world(&[Alg::ES256]).await;
    let mut ask = Ask::token(Dialect::oauth2(), "billing", SECRET);
    ask.0.origin = Some("https://abc.execute-api.eu-central-1.amazonaws.com".to_owned());
    assert_eq!(parts(token_in(&body(&world.send(ask).await.response))).1["iss"], ISSUER);
}

#[tokio::test]
async fn without_any_issuer_there_is_no_token_and_no_metadata() {
    let none = |settings: &mut mintlet::service::Settings| settings.issuer = None;
    let world = World::with(json!([{"client_id": "billing", "client_secret": SECRET}]), &[Alg::ES256], none, 0).await;
    for ask in [Ask::token(Dialect::oauth2(), "billing", SECRET), Ask::get(METADATA[0])] {
        let answer = world.send(ask).await;
        assert_eq!(answer.record.reason, Some(Reason::UnknownIssuer));
        assert_eq!(answer.response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn the_path_of_the_issuer_may_precede_every_route() {
    let under = |settings: &mut mintlet::service::Settings| {
        settings.issuer = Some(format!("{ISSUER}/identity"));
        settings.base_path = "/identity".to_owned();
    };
    let world = World::with(json!([{"client_id": "billing", "client_secret": SECRET}]), &[Alg::ES256], under, 0).await;
    for dialect in &DIALECTS {
        let mut ask = Ask::token(dialect, "billing", SECRET);
        assert!(world.send(Ask::token(dialect, "billing", SECRET)).await.response.status().is_success());
        ask.0.path = format!("/identity{}", dialect.path);
        let response = world.send(ask).await.response;
        assert_eq!(parts(token_in(&body(&response))).1["iss"], format!("{ISSUER}/identity"));
    }
    let metadata = body(&world.send(Ask::get(&format!("/identity{}", METADATA[0]))).await.response);
    assert_eq!(metadata["token_endpoint"], format!("{ISSUER}/identity/oauth2/token"));
    for path in ["/identity", "/identity2/oauth2/token", "/identityoauth2/token"] {
        assert_eq!(world.send(Ask::get(path)).await.record.reason, Some(Reason::UnknownPath), "{path}");
    }
}

#[tokio::test]
async fn a_base_path_that_a_route_begins_with_does_not_hide_the_route() {
    let under = |settings: &mut mintlet::service::Settings| settings.base_path = "/api".to_owned();
    let world = World::with(json!([{"client_id": "billing", "client_secret": SECRET}]), &[Alg::ES256], under, 0).await;
    let dialect = Dialect::named("screening-eagle").unwrap();
    assert_eq!(world.send(Ask::token(dialect, "billing", SECRET)).await.response.status(), StatusCode::OK);
}
