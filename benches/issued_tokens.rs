//! What introspection, revocation and token exchange cost in CPU, beside a plain token: `TokenService::respond` with all that it
//! reads at hand. `cargo bench --bench issued_tokens`; medians of several rounds, in microseconds of one thread. Compare
//! ratios, not machines.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, and stops if it cannot"
)]

mod support;

use std::{hint::black_box, sync::Arc, time::Instant};

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, header};
use mintlet::{
    cli::merge::new_client,
    dialect::DIALECTS,
    edge::keys::{HeldKeys, Source},
    grant::Moment,
    keyring::{KeyRecord, RingDocument},
    oauth::{client::Lifetime, jwt::Alg},
    service::{Call, Settings, TokenService},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use support::{AtHand, median};

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 9;
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

fn main() {
    println!(
        "{:<8}{:>12}{:>14}{:>12}{:>12}{:>12}",
        "alg", "token us", "introspect us", "as JWT us", "revoke us", "exchange us"
    );
    for alg in [Alg::RS256, Alg::ES256, Alg::EdDSA] {
        let entry = json!({
            "client_id": "bench", "scope": "read write", "audience": ["https://api.example.com"],
            "grant_types": ["client_credentials", EXCHANGE]
        });
        let (client, secret) = new_client(entry).unwrap();
        let ring = RingDocument { keys: vec![KeyRecord::generate(alg, 1).unwrap()], ..RingDocument::default() };
        let ring = Arc::new(Zeroizing::new(serde_json::to_vec(&ring).unwrap()));
        let settings = Settings {
            issuer: Some("https://auth.example.com".to_owned()),
            base_path: String::new(),
            dialects: DIALECTS.iter().map(|dialect| dialect.name).collect(),
            access_token_lifetime: Lifetime::default(),
            authorization_details_types: Vec::new(),
            requires_dpop_nonce: false,
            mutual_tls: None,
        };
        let service = TokenService::new(settings, AtHand(Arc::new(client)), HeldKeys::new(Source::Inline(ring), 300));
        let moment = Moment { now: NOW, jti: "AAAAAAAAAAAAAAAAAAAAAA".to_owned() };
        let call = |path: &str, form: &str, accept: &'static str| Call {
            method: Method::POST,
            path: path.to_owned(),
            query: String::new(),
            headers: HeaderMap::from_iter([
                (header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
                (header::ACCEPT, HeaderValue::from_static(accept)),
            ]),
            body: Ok(format!("{form}&client_id=bench&client_secret={}", secret.expose()).into()),
            origin: None,
            client_certificate: None,
        };
        let respond = |call: &Call| {
            let answer = service.respond(call, &moment).now_or_never().unwrap();
            assert_eq!(answer.response.status(), 200);
            answer.response
        };
        let plain = call("/oauth2/token", "grant_type=client_credentials&scope=read", "*/*");
        let token = serde_json::from_slice::<Value>(respond(&plain).body()).unwrap();
        let token = token["access_token"].as_str().unwrap();
        let about = format!("token={token}");
        let subject = format!(
            "grant_type={EXCHANGE}&scope=read&subject_token={token}&\
             subject_token_type=urn:ietf:params:oauth:token-type:access_token"
        );
        let calls = [
            plain,
            call("/oauth2/introspect", &about, "*/*"),
            call("/oauth2/introspect", &about, "application/token-introspection+jwt"),
            call("/oauth2/revoke", &about, "*/*"),
            call("/oauth2/token", &subject, "*/*"),
        ];
        // Side by side, so that a busy machine is busy for all.
        let mut rounds = calls.each_ref().map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (call, round) in calls.iter().zip(&mut rounds) {
                let start = Instant::now();
                for _ in 0..300 {
                    black_box(respond(call));
                }
                round.push(start.elapsed().as_secs_f64() * 1e6 / 300.0);
            }
        }
        let [token, introspect, as_jwt, revoke, exchange] = rounds.map(median);
        println!("{:<8}{token:>12.1}{introspect:>14.1}{as_jwt:>12.1}{revoke:>12.1}{exchange:>12.1}", alg.as_str());
    }
}
