//! From event to request: what the sample events do not show.

use http::StatusCode;
use mintlet::{
    edge::apigw::Event,
    oauth::{error::Reason, jwt::Alg},
};
use serde_json::{Value, json};

use crate::support::{Ask, World, body, parts};

const DOMAIN: &str = "abcdef1234.execute-api.eu-central-1.amazonaws.com";

// The least that API Gateway sends of each kind.
fn v2(stage: &str, path: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "ANY /x", "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": DOMAIN, "domainPrefix": "a", "requestId": "r", "routeKey": "ANY /x",
            "stage": stage, "time": "t", "timeEpoch": 1,
            "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.1", "userAgent": "u"}
        },
        "body": "grant_type=client_credentials&client_id=a&client_secret=b", "isBase64Encoded": false
    })
}

fn v1(stage: &str, path: &str, called: &str) -> Value {
    json!({
        "resource": "/x", "path": path, "httpMethod": "POST",
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        "multiValueHeaders": {"Content-Type": ["application/x-www-form-urlencoded"]},
        "queryStringParameters": null, "multiValueQueryStringParameters": null, "pathParameters": null, "stageVariables": null,
        "requestContext": {"path": called, "stage": stage, "domainName": DOMAIN, "httpMethod": "POST", "identity": {"sourceIp": "203.0.113.1"}},
        "body": "grant_type=client_credentials&client_id=a&client_secret=b", "isBase64Encoded": false
    })
}

fn ask(event: &Value) -> Ask {
    Ask(serde_json::from_value::<Event>(event.clone()).unwrap_or_else(|error| panic!("{error}: {event}")).call)
}

async fn world() -> World {
    let clients = json!([{"client_id": "a", "client_secret": "b"}]);
    World::with(clients, &[Alg::ES256], |settings| settings.issuer = None, 0).await
}

#[tokio::test]
async fn the_stage_is_no_part_of_the_path_and_part_of_the_issuer() {
    let world = world().await;
    let own = format!("https://{DOMAIN}");
    let cases = [
        (v2("$default", "/oauth2/token"), own.clone()),
        (v2("prod", "/prod/oauth2/token"), format!("{own}/prod")),
        (v1("prod", "/oauth2/token", "/prod/oauth2/token"), format!("{own}/prod")),
        // A custom domain, mapped to its root and to a path.
        (v1("prod", "/oauth2/token", "/oauth2/token"), own.clone()),
        (v1("prod", "/prod/oauth2/token", "/prod/oauth2/token"), format!("{own}/prod")),
        // A stage that is called like the first part of a route.
        (v2("oauth2", "/oauth2/oauth2/token"), format!("{own}/oauth2")),
        (v2("oauth2", "/oauth2/token"), own.clone()),
        (v1("oauth2", "/oauth2/token", "/oauth2/oauth2/token"), format!("{own}/oauth2")),
    ];
    for (event, issuer) in cases {
        let answer = world.send(ask(&event)).await;
        assert_eq!(answer.response.status(), StatusCode::OK, "{event}");
        let (_, claims) = parts(body(&answer.response)["access_token"].as_str().unwrap());
        assert_eq!(claims["iss"], issuer, "{event}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_the_base64_that_it_is_said_to_be_is_never_taken_as_it_is() {
    let world = world().await;
    for mut event in [v2("$default", "/oauth2/token"), v1("prod", "/oauth2/token", "/prod/oauth2/token")] {
        assert_eq!(world.send(ask(&event)).await.record.reason, None);
        event["isBase64Encoded"] = json!(true);
        let answer = world.send(ask(&event)).await;
        assert_eq!(answer.record.reason, Some(Reason::MalformedBase64Body), "{event}");
        assert_eq!(answer.response.status(), StatusCode::BAD_REQUEST, "{event}");
    }
}

#[tokio::test]
async fn a_caller_cannot_make_up_an_issuer() {
    let world = world().await;
    for event in [v1("prod", "/prod/oauth2/token", "/prod/prod/oauth2/token"), v2("prod", "/prod/prod/oauth2/token")] {
        assert_eq!(world.send(ask(&event)).await.response.status(), StatusCode::NOT_FOUND, "{event}");
    }
}

#[tokio::test]
async fn an_http_event_that_cannot_be_read_still_gets_an_http_answer() {
    let world = world().await;
    let many: serde_json::Map<_, _> = (0..40_000).map(|n| (format!("x-{n}"), json!("1"))).collect();
    for (headers, status) in [(json!({"x": "a\nb"}), 400), (json!({"x y": "1"}), 400), (Value::Object(many), 400)] {
        for mut event in [v2("prod", "/prod/oauth2/token"), v1("prod", "/oauth2/token", "/prod/oauth2/token")] {
            event["headers"] = headers.clone();
            assert_eq!(world.send(ask(&event)).await.response.status().as_u16(), status);
        }
    }
    let mut event = v2("$default", "/health");
    event["headers"] = json!({"x": "a\nb"});
    event["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(world.send(ask(&event)).await.response.status(), StatusCode::OK);
    for event in [json!({"httpMethod": "GET", "path": "/health"}), json!({"rawPath": "/health", "httpMethod": "GET"})] {
        assert_eq!(world.send(ask(&event)).await.response.status(), StatusCode::OK, "{event}");
    }
}

#[test]
fn an_event_of_another_service_is_named_as_such() {
    for event in
        [json!({}), json!([]), json!(null), json!({"Records": [{"eventSource": "aws:sqs"}]}), json!({"path": "/a"})]
    {
        let Err(error) = serde_json::from_value::<Event>(event.clone()) else { panic!("{event}") };
        assert!(error.to_string().starts_with("this function answers proxy events of API Gateway"), "{error}");
    }
}
