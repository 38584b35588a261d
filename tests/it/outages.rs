//! Backends that answer nonsense: a stand-in that gives the answers it is told to.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use mintlet::{
    config::{Config, SigningKeys},
    edge::{
        aws::Connection,
        dynamodb::DynamoDb,
        keys::{HeldKeys, Source},
    },
    grant::{Lookups, Moment, StateRow, Write},
    oauth::{client::ClientId, error::Reason, jwt::Alg},
    service::{Keys as _, KeysUnavailable, Loaded, Store, StoreFault, TokenService, WriteFault},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Ask, JTI, NOW, body, ring};

const HASH: &str = "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$EEqYVo55l7MGfPvwVPSRCq7RN6JXw+TBbKyW9De5Grw";

// Answers every request alike.
async fn backend(status: u16, body: String) -> SocketAddr {
    backend_in_turn(vec![(status, body)]).await.0
}

type Requests = Arc<Mutex<Vec<Value>>>;

// Gives the first request the first answer, and so on; all further ones the last. Keeps what was asked.
async fn backend_in_turn(answers: Vec<(u16, String)>) -> (SocketAddr, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::default();
    let (kept, answers) = (Arc::clone(&requests), Arc::new(answers));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (kept, answers) = (Arc::clone(&kept), Arc::clone(&answers));
            let answer = service_fn(move |request: Request<Incoming>| {
                let (kept, answers) = (Arc::clone(&kept), Arc::clone(&answers));
                async move {
                    let asked = request.into_body().collect().await.unwrap().to_bytes();
                    let mut kept = kept.lock().unwrap();
                    let (status, body) = answers.get(kept.len()).or(answers.last()).unwrap().clone();
                    kept.push(serde_json::from_slice(&asked).unwrap_or_default());
                    let mut response = Response::new(Full::new(Bytes::from(body)));
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    Ok::<_, std::convert::Infallible>(response)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    (address, requests)
}

fn config(endpoint: &str) -> Config {
    let vars = [
        ("ISSUER", "https://auth.example.com"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("SIGNING_KEYS_SECRET_ID", "keys"),
    ];
    Config::from_vars(vars.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap()
}

async fn keys_from(status: u16, body: String) -> Result<(), String> {
    let config = config(&format!("http://{}", backend(status, body).await));
    let SigningKeys::Secret(id) = &config.signing_keys else { panic!("a secret is configured") };
    let source = Source::Secret { sdk: Connection::new(&config.aws).unwrap().secrets_manager(), id: id.clone() };
    HeldKeys::new(source, 300).ring(None, NOW).await.map(|_| ()).map_err(|KeysUnavailable(detail)| detail)
}

#[tokio::test]
async fn keys_that_come_garbled_are_not_repeated_in_the_log() {
    let ring = String::from_utf8(ring(&[Alg::RS256]).to_vec()).unwrap();
    let answer = json!({"Name": "keys", "SecretString": ring}).to_string();
    assert_eq!(keys_from(200, answer.clone()).await, Ok(()));
    let whole: serde_json::Value = serde_json::from_str(&ring).unwrap();
    let cases = [
        (200, answer[..answer.len() - 10].to_owned(), "an answer of HTTP status 200 that cannot be read"),
        (200, json!({"SecretString": whole}).to_string(), "an answer of HTTP status 200 that cannot be read"),
        (
            200,
            json!({"SecretString": &ring[..ring.len() / 2]}).to_string(),
            "not a key ring of version 1: malformed at keys[0]",
        ),
        (400, answer.clone(), "an answer of HTTP status 400 that cannot be read"),
        (400, "garbage".to_owned(), "an answer of HTTP status 400 that cannot be read"),
        (200, json!({"Name": "keys"}).to_string(), "the secret has no value"),
        (
            400,
            json!({"__type": "ResourceNotFoundException", "Message": "no such secret"}).to_string(),
            "ResourceNotFoundException: no such secret",
        ),
    ];
    for (status, body, expected) in cases {
        let detail = keys_from(status, body).await.unwrap_err();
        assert!(detail.starts_with(expected), "{expected}: {detail}");
        assert!(!detail.contains("MII"), "{detail}");
    }
}

#[tokio::test]
async fn a_client_that_comes_garbled_is_not_repeated_in_the_log() {
    let item =
        json!({"Item": {"client_id": {"S": "a"}, "client_secrets": {"L": [{"M": {"hash": {"S": HASH}}}]}}}).to_string();
    let config = config(&format!("http://{}", backend(200, item[..item.len() - 10].to_owned()).await));
    let store = DynamoDb::new(Connection::new(&config.aws).unwrap().dynamodb(), "clients", "state");
    let fault = store.client(&ClientId::parse("a").unwrap()).await.unwrap_err();
    assert_eq!(fault, StoreFault::Unavailable("an answer of HTTP status 200 that cannot be read".to_owned()));
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_said_to_be_so() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = config(&format!("http://{closed}"));
    let store = DynamoDb::new(Connection::new(&config.aws).unwrap().dynamodb(), "clients", "state");
    let Err(StoreFault::Unavailable(detail)) = store.client(&ClientId::parse("a").unwrap()).await else {
        panic!("nothing listens there")
    };
    assert!(detail.contains("Connection refused"), "{detail}");
}

// What DynamoDB says of a transaction over two rows that it has cancelled, and why for each.
fn canceled(reasons: [&str; 2]) -> (u16, String) {
    let reasons = reasons.map(|code| json!({"Code": code}));
    let body = json!({"__type": "TransactionCanceledException", "Message": "canceled", "CancellationReasons": reasons});
    (400, body.to_string())
}

fn twice() -> [Write; 2] {
    [("a", Reason::SecretExpired), ("b", Reason::SecretMismatch)].map(|(jti, lost)| Write::UseOnce {
        row: StateRow::RevokedToken { client_id: ClientId::parse("a").unwrap(), jti: jti.to_owned() },
        expires_at: NOW + 60,
        lost,
    })
}

async fn commit(writes: &[Write], answers: Vec<(u16, String)>) -> (Result<(), WriteFault>, Vec<Value>) {
    let (address, requests) = backend_in_turn(answers).await;
    let config = config(&format!("http://{address}"));
    let store = DynamoDb::new(Connection::new(&config.aws).unwrap().dynamodb(), "clients", "state");
    let outcome = store.commit(writes, NOW).await;
    let requests = requests.lock().unwrap().clone();
    (outcome, requests)
}

#[tokio::test]
async fn a_transaction_that_met_another_one_is_tried_again_until_it_has_won_or_lost() {
    let met = || canceled(["TransactionConflict", "None"]);
    let (outcome, requests) = commit(&twice(), vec![met(), met(), (200, "{}".to_owned())]).await;
    assert_eq!((outcome, requests.len()), (Ok(()), 3));
    // Another transaction each time, with the same rows: what an earlier try has stored after all counts as this one's.
    let tokens: HashSet<_> = requests.iter().map(|request| request["ClientRequestToken"].as_str().unwrap()).collect();
    assert_eq!(tokens.len(), 3);
    assert!(requests.iter().all(|request| request["TransactItems"] == requests[0]["TransactItems"]));

    let lost = canceled(["None", "ConditionalCheckFailed"]);
    let (outcome, requests) = commit(&twice(), vec![met(), lost]).await;
    assert_eq!((outcome, requests.len()), (Err(WriteFault::Lost(Reason::SecretMismatch)), 2));
    // Beside a condition that does not hold it says nothing.
    let both = canceled(["TransactionConflict", "ConditionalCheckFailed"]);
    let (outcome, requests) = commit(&twice(), vec![both]).await;
    assert_eq!((outcome, requests.len()), (Err(WriteFault::Lost(Reason::SecretMismatch)), 1));

    // A single write meets a transaction too.
    let met_by_one = (400, json!({"__type": "TransactionConflictException", "Message": "met"}).to_string());
    let lost = (400, json!({"__type": "ConditionalCheckFailedException", "Message": "lost"}).to_string());
    let (outcome, requests) = commit(&twice()[..1], vec![met_by_one, lost]).await;
    assert_eq!((outcome, requests.len()), (Err(WriteFault::Lost(Reason::SecretExpired)), 2));
}

#[tokio::test]
async fn a_transaction_that_meets_others_again_and_again_is_an_outage() {
    let unavailable = |text: &str| Err(WriteFault::Unavailable(text.to_owned()));
    let (outcome, requests) = commit(&twice(), vec![canceled(["TransactionConflict", "None"])]).await;
    assert_eq!((outcome, requests.len()), (unavailable("TransactionCanceledException: canceled"), 5));
    // One that was cancelled for something else is not tried again.
    let (outcome, requests) = commit(&twice(), vec![canceled(["None", "ValidationError"])]).await;
    assert_eq!((outcome, requests.len()), (unavailable("TransactionCanceledException: canceled"), 1));
}

struct Defective;

impl Store for Defective {
    async fn load(&self, _: &Lookups, _: u64) -> Result<Loaded, StoreFault> {
        panic!("hunter2")
    }

    async fn commit(&self, _: &[Write], _: u64) -> Result<(), WriteFault> {
        Ok(())
    }
}

#[tokio::test]
async fn a_defect_is_an_answer_in_the_dialect_that_asked() {
    let config = config("http://127.0.0.1:1");
    let keys = HeldKeys::new(Source::Inline(ring(&[Alg::ES256])), 300);
    let service = TokenService::new(config.settings, Defective, keys);
    let moment = Moment { now: NOW, jti: JTI.to_owned() };
    for (path, code) in
        [("/oauth2/token", json!("server_error")), ("/v1beta1/auth/token", json!(13)), ("/auth/token", json!(500_000))]
    {
        let ask = Ask::form(path, "grant_type=client_credentials&client_id=a&client_secret=b");
        let answer = service.respond(&ask.0, &moment).await;
        assert_eq!(answer.response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = body(&answer.response);
        assert!(body["error"] == code || body["code"] == code, "{body}");
        assert_eq!((answer.record.reason, answer.record.client_id.as_deref()), (Some(Reason::Panicked), None));
    }
}
