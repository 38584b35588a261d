//! What a token costs beyond its signature: `TokenService::respond` with the client at hand, beside the bare signature of
//! the same kind of key, and how often it allocates.
//!
//! `cargo bench --bench hot_path`. Figures are medians of several rounds, in microseconds of one thread; compare ratios, not
//! machines. `hot_path --part NAME` carries out one part of the way once, for `bench/instructions` to count its instructions.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, and stops if it cannot"
)]

mod support;

use std::{cell::RefCell, hint::black_box, sync::Arc, time::Instant};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair},
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, header};
use jsonwebtoken::jwk::Jwk;
use mintlet::{
    cli::merge::new_client,
    dialect::{DIALECTS, Dialect, Issued, Stamp},
    edge::{
        dynamodb::{from_item, to_item},
        keys::{HeldKeys, Source},
    },
    grant::{Facts, Moment, TokenRequest, decide},
    keyring::{KeyRecord, RingDocument, SigningKey},
    oauth::{
        client::{Client, Lifetime},
        jwt::{Alg, Typ},
        vocabulary::Server,
    },
    service::{Call, Settings, TokenService},
};
use serde_json::json;
use zeroize::Zeroizing;

use support::{AtHand, median};

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 9;

fn main() {
    match std::env::args().skip_while(|argument| argument != "--part").nth(1) {
        Some(part) => count(&part),
        None => time(),
    }
}

fn time() {
    println!(
        "{:<8}{:>14}{:>14}{:>10}{:>10}{:>14}",
        "alg", "respond us", "signature us", "ratio", "rest us", "allocations"
    );
    for alg in [Alg::RS256, Alg::ES256, Alg::EdDSA, Alg::HS256] {
        let (service, call, _) = service(alg);
        let moment = moment();
        let respond = || {
            let answer = service.respond(&call, &moment).now_or_never().unwrap();
            assert_eq!(answer.response.status(), 200);
            black_box(answer);
        };
        let sign = bare(alg);
        let iterations = if alg == Alg::RS256 { 300 } else { 3000 };
        // Side by side, so that a busy machine is busy for both.
        let (mut whole, mut signature) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            whole.push(microseconds(iterations, &respond));
            signature.push(microseconds(iterations, &sign));
        }
        let (whole, signature) = (median(whole), median(signature));
        let allocations = allocation_counter::measure(respond).count_total;
        println!(
            "{:<8}{whole:>14.2}{signature:>14.2}{:>10.3}{:>10.2}{allocations:>14}",
            alg.as_str(),
            whole / signature,
            whole - signature,
        );
    }
    println!("\nthe RS256 signature alone: {}", spread(&bare(Alg::RS256)));
    by_assertion();
    println!("\nOf a look-up, what is not the SDK's: a client of its item, {:.2} us", client_of_item());
    println!(
        "\nto the decision: {:.2} us with a secret, {:.2} us with a certificate",
        to_the_decision(false),
        to_the_decision(true)
    );
}

// How long single calls take: the library renews the blinding of an RSA key every 32nd time.
fn spread(act: &impl Fn()) -> String {
    let mut figures: Vec<_> = (0..3200).map(|_| microseconds(1, act)).collect();
    figures.sort_by(f64::total_cmp);
    let [half, most] = [50, 99].map(|percent| figures.get(figures.len() * percent / 100).copied().unwrap_or_default());
    format!("p50 {half:.0} us, p99 {most:.0} us")
}

// From a form body to a decision, in microseconds.
fn to_the_decision(by_certificate: bool) -> f64 {
    let certificate = rcgen::generate_simple_self_signed(["billing.example.com".to_owned()]).unwrap().cert.pem();
    let entry = if by_certificate {
        json!({
            "client_id": "billing", "scope": "read write", "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_san_dns": "billing.example.com"
        })
    } else {
        json!({"client_id": "billing", "scope": "read write"})
    };
    let (client, secret) = new_client(entry).unwrap();
    let credential = if by_certificate { String::new() } else { format!("&client_secret={}", secret.expose()) };
    let body = format!("grant_type=client_credentials&client_id=billing{credential}");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let facts = Facts { clients: vec![Arc::new(client)], ..Facts::default() };
    let (dialect, moment) = (Dialect::oauth2(), moment());
    let here = Server { issuer: "https://auth.example.com", token_path: dialect.path };
    let work = || {
        let params = dialect.read(&headers, body.as_bytes()).unwrap();
        let certificate = by_certificate.then_some(certificate.as_str());
        let request = TokenRequest::parse(&params, std::iter::empty(), certificate, &dialect.policy).unwrap();
        let decision = decide(&request, &facts, &here, &moment);
        assert!(decision.outcome.is_ok());
        black_box(decision);
    };
    median((0..ROUNDS).map(|_| microseconds(10_000, &work)).collect())
}

fn client_of_item() -> f64 {
    const TIMES: u32 = 1000;
    let (_, _, client) = service(Alg::HS256);
    let item = to_item(&client).unwrap();
    let figures = (0..ROUNDS).map(|_| {
        let items = RefCell::new(vec![item.clone(); TIMES as usize]);
        let read = || black_box(from_item(items.borrow_mut().pop().unwrap()).unwrap());
        microseconds(TIMES, &|| drop(read()))
    });
    median(figures.collect())
}

fn moment() -> Moment {
    Moment { now: NOW, jti: "AAAAAAAAAAAAAAAAAAAAAA".to_owned() }
}

// Carries a part out twice, so that what is made once is made, and lets only the second time be counted.
fn count(part: &str) {
    let (service, call, client) = service(Alg::HS256);
    let moment = moment();
    let dialect = Dialect::oauth2();
    let record = KeyRecord::generate(Alg::HS256, 1).unwrap();
    let key = SigningKey::from_record(&record).unwrap();
    let bare = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);

    let read = || {
        let params = dialect.read(&call.headers, call.body.as_ref().unwrap()).unwrap();
        TokenRequest::parse(&params, std::iter::empty(), None, &dialect.policy).unwrap()
    };
    let request = read();
    let facts = Facts { clients: vec![client], ..Facts::default() };
    let here = Server { issuer: "https://auth.example.com", token_path: dialect.path };
    let rule = || decide(&request, &facts, &here, &moment);
    let issue = rule().outcome.unwrap();
    let stamp = Stamp {
        issuer: "https://auth.example.com",
        issued_at: NOW,
        expires_at: NOW + 3600,
        jti: &moment.jti,
        kid: key.kid(),
    };
    let sign = || key.sign(dialect.typ, &dialect.claims(&issue, &stamp).unwrap()).unwrap();
    let token = sign();
    let signed = token.rsplit_once('.').unwrap().0.as_bytes();
    let signature = || hmac::sign(&bare, signed);
    let render = || dialect.issued(&issue, &Issued { access_token: &token, expires_in: 3600 });
    let respond = || service.respond(&call, &moment).now_or_never().unwrap();
    match part {
        "decode" => twice(read),
        "decide" => twice(rule),
        "sign" => twice(sign),
        "signature" => twice(signature),
        "render" => twice(render),
        "respond" => twice(respond),
        unknown => panic!("there is no part {unknown}"),
    }
}

fn twice<R>(work: impl Fn() -> R) {
    black_box(work());
    black_box(counted(&work));
}

// Its name is what the counting of instructions is switched on and off by.
#[inline(never)]
fn counted<R>(work: &dyn Fn() -> R) -> R {
    work()
}

/// What a client that signs costs beside one that has a secret: the same token, signed with ES256. Its row is not counted.
fn by_assertion() {
    let (service, call, _) = service(Alg::ES256);
    let plain = measure(&service, &call);
    println!("\n{:<40}{:>14}{:>14}", "ES256 token, client proven by", "respond us", "allocations");
    println!("{:<40}{:>14.2}{:>14}", "client_secret_post", plain.0, plain.1);
    for alg in Alg::ASYMMETRIC {
        let record = KeyRecord::generate(alg, 1).unwrap();
        let key = SigningKey::from_record(&record).unwrap();
        let claims = json!({
            "iss": "bench", "sub": "bench", "aud": "https://auth.example.com", "exp": NOW + 60, "iat": NOW, "jti": "a"
        });
        let assertion = key.sign(Typ::Jwt, claims.to_string().as_bytes()).unwrap();
        let authentication = format!(
            "grant_type=client_credentials&scope=read&client_assertion={assertion}\
             &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        let grant = format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&scope=read&assertion={assertion}");
        for (title, body) in [("private_key_jwt", authentication), ("jwt-bearer", grant)] {
            let (service, mut call, _) = service_for(Alg::ES256, key.public_jwk());
            call.body = Ok(Bytes::from(body));
            let (took, allocations) = measure(&service, &call);
            println!("{:<40}{took:>14.2}{allocations:>14}", format!("{title}, {}", alg.as_str()));
        }
    }
}

fn measure(service: &TokenService<AtHand, HeldKeys>, call: &Call) -> (f64, u64) {
    let moment = moment();
    let respond = || {
        let answer = service.respond(call, &moment).now_or_never().unwrap();
        assert_eq!(answer.response.status(), 200);
        black_box(answer);
    };
    let took = median((0..ROUNDS).map(|_| microseconds(1000, &respond)).collect());
    (took, allocation_counter::measure(respond).count_total)
}

fn service(alg: Alg) -> (TokenService<AtHand, HeldKeys>, Call, Arc<Client>) {
    service_for(alg, None)
}

fn service_for(alg: Alg, key: Option<&Jwk>) -> (TokenService<AtHand, HeldKeys>, Call, Arc<Client>) {
    let mut entry = json!({"client_id": "bench", "scope": "read write", "audience": ["https://api.example.com"]});
    if let (Some(key), Some(entry)) = (key, entry.as_object_mut()) {
        entry.insert("jwks".to_owned(), json!({"keys": [key]}));
        let grants = json!(["client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"]);
        entry.insert("grant_types".to_owned(), grants);
    }
    let (client, secret) = new_client(entry).unwrap();
    let ring = RingDocument { keys: vec![KeyRecord::generate(alg, 1).unwrap()], ..RingDocument::default() };
    let ring = Arc::new(Zeroizing::new(serde_json::to_vec(&ring).unwrap()));
    let settings = Settings {
        issuer: Some("https://auth.example.com".to_owned()),
        base_path: String::new(),
        dialects: DIALECTS.iter().map(|dialect| dialect.name).collect(),
        access_token_lifetime: Lifetime::default(),
        requires_dpop_nonce: false,
        mutual_tls: None,
        authorization_details_types: Vec::new(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let body = format!("grant_type=client_credentials&client_id=bench&client_secret={}&scope=read", secret.expose());
    let call = Call {
        method: Method::POST,
        path: "/oauth2/token".to_owned(),
        query: String::new(),
        headers,
        body: Ok(Bytes::from(body)),
        origin: None,
        client_certificate: None,
    };
    let client = Arc::new(client);
    (TokenService::new(settings, AtHand(Arc::clone(&client)), HeldKeys::new(Source::Inline(ring), 300)), call, client)
}

/// The signature alone, over as many bytes as a token has.
fn bare(alg: Alg) -> Box<dyn Fn()> {
    let message = [b'x'; 500];
    let random = SystemRandom::new();
    match alg {
        Alg::RS256 | Alg::PS256 => {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            Box::new(move || {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, &message, &mut signature).unwrap();
                black_box(signature);
            })
        }
        Alg::ES256 | Alg::ES384 => {
            let key = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            Box::new(move || {
                black_box(key.sign(&random, &message).unwrap());
            })
        }
        Alg::EdDSA => {
            let key = Ed25519KeyPair::generate().unwrap();
            Box::new(move || {
                black_box(key.sign(&message));
            })
        }
        Alg::HS256 => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
            Box::new(move || {
                black_box(hmac::sign(&key, &message));
            })
        }
    }
}

fn microseconds(iterations: u32, work: &dyn Fn()) -> f64 {
    let start = Instant::now();
    for _ in 0..iterations {
        work();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(iterations)
}
