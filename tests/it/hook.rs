//! The claims hook: a stand-in that is asked before a token is signed.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use mintlet::{
    cli::registration,
    config::{CLIENTS_TABLE, ClaimsHook, Config, HookPlace, STATE_TABLE},
    dialect::{DIALECTS, Dialect},
    edge::{
        aws::Connection,
        client_cache::CachedClients,
        dynamodb::DynamoDb,
        hook,
        keys::{HeldKeys, Source},
    },
    grant::Moment,
    oauth::{assertion::AssertionFault, client::Lifetime, error::Reason, jwt::Alg},
    service::{Answer, Settings, TokenService},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    events::Function,
    runtime_api::RuntimeApi,
    server::Server,
    signer::Signer,
    support::{Ask, ISSUER, JTI, NOW, SECRET, World, body, encode, parts, ring, token_in, whole},
};

const AUDIENCE: &str = "https://api.example.com";
const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:claims:live";

fn clients() -> Value {
    json!([{
        "client_id": "billing", "client_secret": SECRET, "scope": "read write", "audience": [AUDIENCE],
        "subject": "the-subject", "claims": {"tier": "tin", "team": "a"}, "eventhos": {"id": 1, "identifier": "billing"}
    }])
}

/// What a stand-in answers.
#[derive(Clone)]
enum Reply {
    /// A status, whether the function has failed, and a body.
    Now(u16, bool, Vec<u8>),
    /// Nothing, ever.
    Never,
}

fn says(answer: &Value) -> Reply {
    Reply::Now(200, false, answer.to_string().into_bytes())
}

/// What it was asked: the request's head, and its body.
type Asked = Arc<Mutex<Vec<(http::request::Parts, String)>>>;

async fn stand_in(reply: Reply) -> (SocketAddr, Asked) {
    stand_in_in_turn(vec![reply]).await
}

// Gives the first question the first reply, and so on; all further ones the last.
async fn stand_in_in_turn(replies: Vec<Reply>) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (replies, seen) = (replies.clone(), Arc::clone(&seen));
            let answer = service_fn(move |request: Request<Incoming>| {
                let (replies, seen) = (replies.clone(), Arc::clone(&seen));
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes().to_vec();
                    let reply = {
                        let mut seen = seen.lock().unwrap();
                        seen.push((head, String::from_utf8(body).unwrap()));
                        replies.get(seen.len() - 1).or(replies.last()).unwrap().clone()
                    };
                    let Reply::Now(status, failed, body) = reply else { return std::future::pending().await };
                    let mut response = Response::new(Full::new(Bytes::from(body)));
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    if failed {
                        response.headers_mut().insert("x-amz-function-error", "Unhandled".parse().unwrap());
                    }
                    Ok::<_, std::convert::Infallible>(response)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    (address, asked)
}

type Service = TokenService<CachedClients<DynamoDb>, HeldKeys, hook::ClaimsHook>;

/// A service with a hook; the engine goes with it.
struct Hooked {
    service: Service,
    world: World,
}

impl Hooked {
    async fn new(place: HookPlace, lambda: &str, timeout: Duration) -> Self {
        let world = World::new(clients(), &[]).await;
        let settings = Settings {
            issuer: Some(ISSUER.to_owned()),
            base_path: String::new(),
            dialects: DIALECTS.iter().map(|dialect| dialect.name).collect(),
            access_token_lifetime: Lifetime::default(),
            authorization_details_types: Vec::new(),
            requires_dpop_nonce: false,
            mutual_tls: None,
        };
        let vars = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "the-secret-access-key"),
            ("AWS_SESSION_TOKEN", "the-session-token"),
            ("AWS_ENDPOINT_URL_LAMBDA", lambda),
            ("SIGNING_KEYS_SECRET_ID", "keys"),
        ];
        let config = Config::from_vars(vars.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        let hook = Connection::new(&config.aws).unwrap().claims_hook(&ClaimsHook { place, timeout });
        let store = CachedClients::new(DynamoDb::new(world.engine.sdk(), CLIENTS_TABLE, STATE_TABLE), 0);
        let keys = HeldKeys::new(Source::Inline(ring(&[Alg::ES256])), 300);
        Self { service: TokenService::new(settings, store, keys).with_hook(Some(hook)), world }
    }

    async fn that(reply: Reply) -> (Self, Asked) {
        Self::in_turn(vec![reply]).await
    }

    async fn in_turn(replies: Vec<Reply>) -> (Self, Asked) {
        let (address, asked) = stand_in_in_turn(replies).await;
        let place = HookPlace::Url(format!("http://{address}/claims"));
        (Self::new(place, "", Duration::from_secs(5)).await, asked)
    }

    async fn send(&self, ask: Ask) -> Answer {
        self.service.respond(&ask.0, &Moment { now: NOW, jti: JTI.to_owned() }).await
    }
}

fn ask(dialect: &Dialect) -> Ask {
    Ask::token(dialect, "billing", SECRET)
}

#[tokio::test]
async fn what_the_hook_adds_is_in_the_token_and_it_is_told_no_secret() {
    let claims = json!({"tier": "gold", "limits": {"daily": 3}});
    let (hooked, asked) = Hooked::that(says(&json!({"claims": claims}))).await;
    let answer = hooked.send(Ask::token_with(Dialect::oauth2(), "billing", SECRET, &[("scope", "read")])).await;
    assert_eq!(
        parts(token_in(&body(&answer.response))).1,
        json!({
            "iss": ISSUER, "sub": "the-subject", "aud": AUDIENCE, "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "jti": JTI,
            "client_id": "billing", "scope": "read", "tier": "gold", "limits": {"daily": 3}, "team": "a"
        })
    );
    assert!(!answer.record.hook.is_zero());
    let asked = asked.lock().unwrap();
    let [(head, question)] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/claims"));
    assert_eq!(head.headers["content-type"], "application/json");
    assert!(!head.headers.contains_key("authorization"));
    assert_eq!(
        serde_json::from_str::<Value>(question).unwrap(),
        json!({
            "client_id": "billing", "grant_type": "client_credentials", "subject": "the-subject", "scope": "read",
            "audience": [AUDIENCE], "issuer": ISSUER
        })
    );
}

#[tokio::test]
async fn every_dialects_tokens_carry_what_is_added_but_never_over_its_own_claims() {
    let added = json!({"tier": "gold", "kid": "forged", "gen": "forged", "data": "forged", "scopes": "forged"});
    let (hooked, _) = Hooked::that(says(&json!({"claims": added}))).await;
    for dialect in &DIALECTS {
        let own: &[&str] = match dialect.name {
            "screening-eagle" => &["scopes"],
            "frontier" => &["kid", "gen"],
            "eventhos" => &["data"],
            _ => &[],
        };
        let answer = hooked.send(ask(dialect)).await;
        let claims = parts(token_in(&body(&answer.response))).1;
        assert_eq!((&claims["tier"], &claims["team"]), (&json!("gold"), &json!("a")), "{}", dialect.name);
        for name in own {
            assert_ne!(claims[*name], "forged", "{} {name}", dialect.name);
        }
    }
}

#[tokio::test]
async fn what_the_hook_denies_is_refused_and_why_is_in_the_log_alone() {
    let why = "over\nquota";
    let (hooked, _) = Hooked::that(says(&json!({"deny": true, "reason": why, "claims": {"tier": "gold"}}))).await;
    for dialect in &DIALECTS {
        let answer = hooked.send(ask(dialect)).await;
        assert_eq!(answer.record.reason, Some(Reason::DeniedByHook), "{}", dialect.name);
        assert_eq!(answer.record.detail.as_deref(), Some("over quota"));
        assert_eq!(answer.record.jti, None);
        assert_eq!(whole(&answer.response), whole(&dialect.refused(Reason::DeniedByHook, Some(ISSUER))));
    }
    let answer = hooked.send(ask(Dialect::oauth2())).await;
    assert_eq!(answer.response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(body(&answer.response)["error"], "unauthorized_client");
}

#[tokio::test]
async fn a_hook_that_fails_in_any_way_is_a_503_and_no_token() {
    let good = json!({"claims": {"tier": "gold"}}).to_string().into_bytes();
    let claims = |claims: Value| says(&json!({ "claims": claims }));
    let cases = [
        ("500", Reply::Now(500, false, good.clone()), "an answer of HTTP status 500"),
        ("a redirect", Reply::Now(302, false, good.clone()), "an answer of HTTP status 302"),
        ("throttled", Reply::Now(429, false, good.clone()), "an answer of HTTP status 429"),
        ("a function that failed", Reply::Now(200, true, good.clone()), "the function has failed"),
        ("too large", Reply::Now(200, false, vec![b' '; 17 * 1024]), "an answer over 16 KiB, or cut short"),
        (
            "null",
            says(&json!(null)),
            "its answer is not an object of claims, or of deny and reason, or has a repeated member",
        ),
        (
            "no JSON",
            Reply::Now(200, false, b"{".to_vec()),
            "its answer is not an object of claims, or of deny and reason, or has a repeated member",
        ),
        ("empty", says(&json!({})), "its answer neither has claims nor denies"),
        (
            "a registered claim",
            claims(json!({"tier": "gold", "scope": "all"})),
            "it adds a claim that only the server sets",
        ),
        ("many claims", claims(json!({"tier": "x".repeat(4096)})), "it adds more than 4 KiB of claims"),
    ];
    for (title, reply, detail) in cases {
        let (hooked, asked) = Hooked::that(reply).await;
        let answer = hooked.send(ask(Dialect::oauth2())).await;
        assert_eq!(answer.record.reason, Some(Reason::HookFailed), "{title}");
        assert_eq!(answer.record.detail, Some(format!("the claims hook: {detail}")), "{title}");
        assert_eq!(
            whole(&answer.response),
            whole(&Dialect::oauth2().refused(Reason::HookFailed, Some(ISSUER))),
            "{title}"
        );
        assert_eq!(answer.response.status(), StatusCode::SERVICE_UNAVAILABLE, "{title}");
        assert_eq!(asked.lock().unwrap().len(), 1, "{title}");
    }
    let (hooked, _) = Hooked::that(Reply::Now(200, false, good)).await;
    assert_eq!(hooked.send(ask(Dialect::oauth2())).await.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_assertion_is_used_up_by_a_token_and_not_by_a_hook_that_fails_or_denies() {
    let (fails, denies, adds) =
        (Reply::Now(500, false, Vec::new()), says(&json!({"deny": true})), says(&json!({"claims": {"tier": "gold"}})));
    let (hooked, asked) = Hooked::in_turn(vec![fails, denies, adds]).await;
    let signer = Signer::new(Alg::ES256);
    let holder = json!({
        "client_id": "holder", "jwks": {"keys": [signer.jwk()]}, "token_endpoint_auth_method": "private_key_jwt"
    });
    let file = registration::read_file(&json!({"clients": [holder]}).to_string()).unwrap();
    hooked.world.clients.apply(file).await.unwrap();
    let assertion =
        signer.jwt(&json!({"iss": "holder", "sub": "holder", "aud": ISSUER, "exp": NOW + 60, "jti": "the-only-one"}));
    let form = format!(
        "grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}",
        encode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    for (status, reason) in [
        (503, Some(Reason::HookFailed)),
        (400, Some(Reason::DeniedByHook)),
        (200, None),
        (401, Some(Reason::ClientAssertion(AssertionFault::Replayed))),
    ] {
        let answer = hooked.send(Ask::form("/oauth2/token", &form)).await;
        assert_eq!((answer.response.status().as_u16(), answer.record.reason), (status, reason));
    }
    assert_eq!(asked.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_hook_that_does_not_answer_or_is_not_there_is_a_503() {
    let (silent, _) = stand_in(Reply::Never).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, timeout) in [(silent, Duration::from_millis(50)), (closed, Duration::from_secs(5))] {
        let hooked = Hooked::new(HookPlace::Url(format!("http://{address}/")), "", timeout).await;
        let answer = hooked.send(ask(Dialect::oauth2())).await;
        assert_eq!(answer.record.reason, Some(Reason::HookFailed));
        assert_eq!(answer.response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn only_a_token_that_would_be_issued_is_asked_about() {
    let (hooked, asked) = Hooked::that(says(&json!({"claims": {}}))).await;
    let oauth2 = Dialect::oauth2();
    for (refused, reason) in [
        (Ask::token(oauth2, "billing", "wrong"), Reason::SecretMismatch),
        (Ask::token(oauth2, "nobody", SECRET), Reason::UnknownClient),
        (Ask::token_with(oauth2, "billing", SECRET, &[("scope", "admin")]), Reason::ScopeNotGranted),
        (
            Ask::token_with(oauth2, "billing", SECRET, &[("resource", "https://other.example")]),
            Reason::TargetNotAllowed,
        ),
    ] {
        assert_eq!(hooked.send(refused).await.record.reason, Some(reason));
    }
    assert_eq!(asked.lock().unwrap().len(), 0);
    assert_eq!(hooked.send(ask(oauth2)).await.record.reason, None);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_lambda_function_is_invoked_with_a_signed_request() {
    let (address, asked) = stand_in(says(&json!({"claims": {"tier": "gold"}}))).await;
    let place = HookPlace::Function(FUNCTION.to_owned());
    let hooked = Hooked::new(place, &format!("http://{address}"), Duration::from_secs(5)).await;
    let answer = hooked.send(ask(Dialect::oauth2())).await;
    assert_eq!(parts(token_in(&body(&answer.response))).1["tier"], "gold");
    let asked = asked.lock().unwrap();
    let head = &asked[0].0;
    let name = FUNCTION.replace(':', "%3A");
    assert_eq!(head.uri.path(), format!("/2015-03-31/functions/{name}/invocations"));
    let header = |name: &str| head.headers[name].to_str().unwrap();
    assert_eq!(header("x-amz-invocation-type"), "RequestResponse");
    assert_eq!(header("x-amz-security-token"), "the-session-token");
    // 1800000000 seconds after the epoch.
    assert_eq!(header("x-amz-date"), "20270115T080000Z");
    let authorization = header("authorization");
    let begins = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20270115/eu-central-1/lambda/aws4_request, SignedHeaders=\
                  content-type;host;x-amz-date;x-amz-invocation-type;x-amz-security-token, Signature=";
    assert!(authorization.starts_with(begins), "{authorization}");
    assert_eq!(authorization.strip_prefix(begins).unwrap(), signature(head, &asked[0].1));
}

// AWS Signature Version 4 by its definition, over the bytes that arrived.
fn signature(head: &http::request::Parts, body: &str) -> String {
    use std::fmt::Write as _;

    use aws_lc_rs::{
        digest::{SHA256, digest},
        hmac,
    };
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    };
    let hashed = |text: &str| hex(digest(&SHA256, text.as_bytes()).as_ref());
    let mac =
        |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec();
    let names = ["content-type", "host", "x-amz-date", "x-amz-invocation-type", "x-amz-security-token"];
    let headers = names.iter().fold(String::new(), |mut headers, name| {
        writeln!(headers, "{name}:{}", head.headers[*name].to_str().unwrap()).unwrap();
        headers
    });
    // A path that is encoded is encoded once more.
    let path = head.uri.path().replace('%', "%25");
    let canonical = format!("POST\n{path}\n\n{headers}\n{}\n{}", names.join(";"), hashed(body));
    let scope = "20270115/eu-central-1/lambda/aws4_request";
    let text = format!("AWS4-HMAC-SHA256\n20270115T080000Z\n{scope}\n{}", hashed(&canonical));
    let parts = ["20270115", "eu-central-1", "lambda", "aws4_request"];
    let key = parts.iter().fold(b"AWS4the-secret-access-key".to_vec(), |key, part| mac(&key, part));
    hex(&mac(&key, &text))
}

#[tokio::test]
async fn the_function_and_the_local_server_ask_the_hook_that_they_are_configured_with() {
    let (address, asked) = stand_in(says(&json!({"claims": {"tier": "gold"}}))).await;
    let url = format!("http://{address}");

    let world = World::new(
        json!([{"client_id": "billing-worker", "client_secret": "example-secret-of-the-billing-worker"}]),
        &[],
    )
    .await;
    let api = RuntimeApi::start().await;
    let vars = [("CLAIMS_HOOK_FUNCTION", "claims"), ("AWS_ENDPOINT_URL_LAMBDA", url.as_str())];
    let function = Function::start(&api, world.engine.endpoint(), &vars);
    let event = format!("{}/events/http-api-oauth2-basic.json", env!("CARGO_MANIFEST_DIR"));
    let reply = api.invoke(std::fs::read(event).unwrap()).await.unwrap();
    assert_eq!(reply["statusCode"], 200, "{reply}");
    let answer: Value = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
    assert_eq!(parts(token_in(&answer)).1["tier"], "gold");
    let log = function.stop().await;
    let line =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|line| line["hook_us"].is_number());
    assert_eq!(line.unwrap()["outcome"], "ok", "{log}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({"clients": clients()}).to_string()).unwrap();
    let server = Server::start(
        &["--in-memory", "--clients", file.path().to_str().unwrap()],
        &[("CLAIMS_HOOK_URL", url.as_str())],
    )
    .await;
    let answer = server.post("/oauth2/token", ("billing", SECRET), "grant_type=client_credentials").await;
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(parts(token_in(&answer)).1["tier"], "gold");
    assert_eq!(asked.lock().unwrap().len(), 2);
}
