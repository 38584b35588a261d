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
use mintlet::{
    cli::merge::new_client,
    dialect::{DIALECTS, Dialect, Issued, Stamp},
    edge::{
        dynamodb::{from_item, to_item},
        keys::{HeldKeys, Source},
    },
    grant::{Facts, Lookups, Moment, TokenRequest, Write, decide},
    keyring::{KeyRecord, RingDocument, SigningKey},
    oauth::{
        client::{Client, Lifetime},
        jwt::Alg,
    },
    service::{Call, Loaded, Settings, Store, StoreFault, TokenService, WriteFault},
};
use serde_json::json;
use zeroize::Zeroizing;

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 9;

/// A store that has the client in memory, as the cache has.
struct AtHand(Arc<Client>);

impl Store for AtHand {
    async fn load(&self, _: &Lookups, _: u64) -> Result<Loaded, StoreFault> {
        Ok(Loaded { facts: Facts { clients: vec![Arc::clone(&self.0)], ..Facts::default() }, ..Loaded::default() })
    }

    async fn commit(&self, _: &[Write], _: u64) -> Result<(), WriteFault> {
        Ok(())
    }
}

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
    println!("\nOf a look-up, what is not the SDK's: a client of its item, {:.2} us", client_of_item());
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

    let decode = || {
        let params = dialect.read(&call.headers, call.body.as_ref().unwrap()).unwrap();
        TokenRequest::parse(&params, std::iter::empty(), &dialect.policy).unwrap()
    };
    let request = decode();
    let facts = Facts { clients: vec![client], ..Facts::default() };
    let decide = || decide(&request, &facts, &moment);
    let issue = decide().outcome.unwrap();
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
        "decode" => twice(decode),
        "decide" => twice(decide),
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

fn service(alg: Alg) -> (TokenService<AtHand, HeldKeys>, Call, Arc<Client>) {
    let entry = json!({"client_id": "bench", "scope": "read write", "audience": ["https://api.example.com"]});
    let (client, secret) = new_client(entry).unwrap();
    let ring = RingDocument { keys: vec![KeyRecord::generate(alg, 1).unwrap()], ..RingDocument::default() };
    let ring = Arc::new(Zeroizing::new(serde_json::to_vec(&ring).unwrap()));
    let settings = Settings {
        issuer: Some("https://auth.example.com".to_owned()),
        base_path: String::new(),
        dialects: DIALECTS.iter().map(|dialect| dialect.name).collect(),
        access_token_lifetime: Lifetime::default(),
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

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
