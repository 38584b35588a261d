//! What it adds to a token that it is bound to a key: `TokenService::respond` with and without a `DPoP` proof, with nonces and
//! without, and with a client certificate; the client at hand and the `jti` stored nowhere.
//!
//! `cargo bench --bench bound_tokens`. Figures are medians of several rounds, in microseconds of one thread; compare ratios, not machines.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, and stops if it cannot"
)]

mod support;

use std::{hint::black_box, sync::Arc, time::Instant};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mintlet::{
    cli::merge::new_client,
    edge::keys::{HeldKeys, Source},
    grant::Moment,
    keyring::{KeyRecord, KeyRing, RingDocument, SigningKey},
    oauth::{
        client::{Client, Lifetime},
        jwt::Alg,
    },
    service::{Call, MutualTls, Settings, TokenService},
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use zeroize::Zeroizing;

use support::{AtHand, median};

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 9;
const ITERATIONS: u32 = 1000;

fn main() {
    println!("{:<10}{:>16}{:>16}{:>20}", "proof", "without us", "with us", "with a nonce us");
    for alg in Alg::ASYMMETRIC {
        let ring = RingDocument { keys: vec![KeyRecord::generate(Alg::ES256, 1).unwrap()], ..RingDocument::default() };
        let nonce = KeyRing::try_from(&ring).unwrap().dpop_nonce(NOW).unwrap();
        let (client, secret) = new_client(json!({"client_id": "bench", "scope": "read write"})).unwrap();
        let client = Arc::new(client);
        let call = |proof: Option<String>| call(secret.expose(), proof);
        let key = KeyRecord::generate(alg, 1).unwrap();
        let cases = [
            (service(&ring, &client, false), call(None)),
            (service(&ring, &client, false), call(Some(proof(alg, &key, None)))),
            (service(&ring, &client, true), call(Some(proof(alg, &key, Some(&nonce))))),
        ];
        let [without, with, with_nonce] = side_by_side(&cases);
        println!("{:<10}{without:>16.2}{with:>16.2}{with_nonce:>20.2}", alg.as_str());
    }
    certificates();
}

fn certificates() {
    let ring = RingDocument { keys: vec![KeyRecord::generate(Alg::ES256, 1).unwrap()], ..RingDocument::default() };
    let certificate = CertificateParams::new(["bench.example.com".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let by_secret = json!({"client_id": "bench", "scope": "read write"});
    let (by_secret, secret) = new_client(by_secret).unwrap();
    let (by_certificate, _) = new_client(json!({
        "client_id": "bench", "scope": "read write", "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "bench.example.com", "tls_client_certificate_bound_access_tokens": true
    }))
    .unwrap();
    let body = Ok(Bytes::from_static(b"grant_type=client_credentials&client_id=bench&scope=read"));
    let cases = [
        (service(&ring, &Arc::new(by_secret), false), call(secret.expose(), None)),
        (
            service(&ring, &Arc::new(by_certificate), false),
            Call { client_certificate: Some(certificate), body, ..call("", None) },
        ),
    ];
    let [secret, certificate] = side_by_side(&cases);
    println!("\nby secret {secret:.2} us, by certificate, and bound to it, {certificate:.2} us");
}

// So that a busy machine is busy for all.
fn side_by_side<const N: usize>(cases: &[(TokenService<AtHand, HeldKeys>, Call); N]) -> [f64; N] {
    let mut figures = cases.each_ref().map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((service, call), figures) in cases.iter().zip(&mut figures) {
            figures.push(microseconds(service, call));
        }
    }
    figures.map(median)
}

fn service(ring: &RingDocument, client: &Arc<Client>, requires_dpop_nonce: bool) -> TokenService<AtHand, HeldKeys> {
    let settings = Settings {
        issuer: Some("https://auth.example.com".to_owned()),
        base_path: String::new(),
        dialects: vec!["oauth2"],
        access_token_lifetime: Lifetime::default(),
        authorization_details_types: Vec::new(),
        requires_dpop_nonce,
        mutual_tls: Some(MutualTls { base_url: None, origin_secret: None }),
    };
    let ring = Arc::new(Zeroizing::new(serde_json::to_vec(ring).unwrap()));
    TokenService::new(settings, AtHand(Arc::clone(client)), HeldKeys::new(Source::Inline(ring), 300))
}

fn call(secret: &str, proof: Option<String>) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    if let Some(proof) = proof {
        headers.insert("dpop", HeaderValue::try_from(proof).unwrap());
    }
    let body = format!("grant_type=client_credentials&client_id=bench&client_secret={secret}&scope=read");
    Call {
        method: Method::POST,
        path: "/oauth2/token".to_owned(),
        query: String::new(),
        headers,
        body: Ok(Bytes::from(body)),
        origin: None,
        client_certificate: None,
    }
}

fn proof(alg: Alg, key: &KeyRecord, nonce: Option<&str>) -> String {
    let pkcs8 = key.material().unwrap();
    let (algorithm, encoding): (Algorithm, EncodingKey) = match alg {
        Alg::RS256 | Alg::PS256 | Alg::HS256 => {
            (alg.as_str().parse().unwrap(), EncodingKey::from_rsa_pem(pem(&pkcs8).as_bytes()).unwrap())
        }
        Alg::ES256 | Alg::ES384 => (alg.as_str().parse().unwrap(), EncodingKey::from_ec_der(&pkcs8)),
        Alg::EdDSA => (Algorithm::EdDSA, EncodingKey::from_ed_der(&pkcs8)),
    };
    let mut jwk = SigningKey::from_record(key).unwrap().public_jwk().unwrap().clone();
    jwk.common = jsonwebtoken::jwk::CommonParameters::default();
    let header = Header { typ: Some("dpop+jwt".to_owned()), jwk: Some(jwk), ..Header::new(algorithm) };
    let jti = URL_SAFE_NO_PAD.encode([7; 16]);
    let mut claims = json!({"jti": jti, "htm": "POST", "htu": "https://auth.example.com/oauth2/token", "iat": NOW});
    if let (Some(claims), Some(nonce)) = (claims.as_object_mut(), nonce) {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    jsonwebtoken::encode(&header, &claims, &encoding).unwrap()
}

fn pem(pkcs8: &[u8]) -> String {
    let text = STANDARD.encode(pkcs8);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

fn microseconds(service: &TokenService<AtHand, HeldKeys>, call: &Call) -> f64 {
    let moment = Moment { now: NOW, jti: "AAAAAAAAAAAAAAAAAAAAAA".to_owned() };
    let start = Instant::now();
    for _ in 0..ITERATIONS {
        let answer = service.respond(call, &moment).now_or_never().unwrap();
        assert_eq!(answer.response.status(), 200);
        black_box(answer);
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(ITERATIONS)
}
