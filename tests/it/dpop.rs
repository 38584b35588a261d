//! `DPoP` (RFC 9449) at the token endpoint: what binds a token to a key, and every proof that does not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use futures_util::future::join_all;
use http::{HeaderName, StatusCode};
use mintlet::{
    config::STATE_TABLE,
    dialect::{DIALECTS, Dialect},
    edge::apigw::Event,
    grant::StateRow,
    keyring::dpop_nonce::SPAN_SECONDS,
    oauth::{assertion::AssertionFault, error::Reason, jwt::Alg},
    service::Settings,
};
use serde_json::{Map, Value, json};

use crate::{
    proofs::{ProofKey, ask, claims, encode},
    signer::Signer,
    support::{Ask, ISSUER, NOW, SECRET, World, body, parts, readable, token_in, whole},
};

fn clients() -> Value {
    json!([
        {"client_id": "billing", "client_secret": SECRET, "scope": "read"},
        {"client_id": "bound", "client_secret": SECRET, "dpop_bound_access_tokens": true},
        {"client_id": "without-key", "client_secret": SECRET, "access_token_signed_response_alg": "EdDSA"}
    ])
}

async fn world() -> World {
    World::new(clients(), &[Alg::ES256]).await
}

async fn with_nonces() -> World {
    World::with(clients(), &[Alg::ES256], |settings| settings.requires_dpop_nonce = true, 0).await
}

async fn with(change: impl FnOnce(&mut Settings)) -> World {
    World::with(clients(), &[Alg::ES256], change, 0).await
}

fn oauth2() -> &'static Dialect {
    Dialect::oauth2()
}

async fn reason(world: &World, ask: Ask) -> Option<Reason> {
    world.send(ask).await.record.reason
}

#[tokio::test]
async fn the_answer_to_a_proof_is_as_recorded() {
    let world = world().await;
    let answer = world.send(ask("bound", &[&ProofKey::fixed().proof()])).await;
    assert_eq!(answer.record.jkt, Some(ProofKey::fixed().thumbprint()));
    insta::assert_snapshot!("issued", readable(&answer.response));
}

#[tokio::test]
async fn a_token_is_bound_to_the_key_of_its_proof_whatever_the_algorithm() {
    let world = world().await;
    for alg in Alg::ASYMMETRIC {
        let key = ProofKey::generate(alg);
        let response = world.send(ask("billing", &[&key.proof()])).await.response;
        let body = body(&response);
        assert_eq!(body["token_type"], "DPoP", "{alg:?} {body}");
        assert_eq!(parts(token_in(&body)).1["cnf"], json!({"jkt": key.thumbprint()}), "{alg:?}");
    }
}

#[tokio::test]
async fn ed25519_is_eddsa_under_its_other_name() {
    let proof = ProofKey::fixed().proof_with(|header, _| drop(header.insert("alg".to_owned(), json!("Ed25519"))));
    world().await.takes(oauth2(), "Ed25519", ask("billing", &[&proof])).await;
}

#[tokio::test]
async fn without_a_proof_the_token_is_bound_to_nothing() {
    let world = world().await;
    let answer = world.send(ask("billing", &[])).await;
    let body = body(&answer.response);
    assert_eq!((&body["token_type"], answer.record.jkt), (&json!("Bearer"), None));
    assert_eq!(parts(token_in(&body)).1.get("cnf"), None);
}

#[tokio::test]
async fn a_client_whose_tokens_are_to_be_bound_gets_none_without_a_proof_in_any_dialect() {
    let world = world().await;
    for dialect in &DIALECTS {
        let without = Ask::token(dialect, "bound", SECRET);
        world.refuses(dialect, "no proof", without, Reason::MissingDpopProof).await;
        // Nothing is said of it before the secret is proven.
        let wrong = Ask::token(dialect, "bound", "wrong");
        world.refuses(dialect, "wrong secret", wrong, Reason::SecretMismatch).await;
    }
    world.takes(oauth2(), "proof", ask("bound", &[&ProofKey::fixed().proof()])).await;
}

#[tokio::test]
async fn a_dialect_that_reads_no_proofs_takes_the_header_for_any_other() {
    let world = with_nonces().await;
    for dialect in DIALECTS.iter().filter(|dialect| dialect.name != "oauth2") {
        assert!(!dialect.policy.dpop);
        for proof in [ProofKey::fixed().proof().as_str(), "nonsense"] {
            let answer = world.send(Ask::token(dialect, "billing", SECRET).header(dpop(), proof)).await;
            assert!(answer.response.status().is_success(), "{}", dialect.name);
            assert_eq!(parts(token_in(&body(&answer.response))).1.get("cnf"), None, "{}", dialect.name);
            assert_eq!(answer.response.headers().get("dpop-nonce"), None, "{}", dialect.name);
            let bound = Ask::token(dialect, "bound", SECRET).header(dpop(), proof);
            world.refuses(dialect, "bound", bound, Reason::MissingDpopProof).await;
        }
    }
}

#[tokio::test]
async fn two_proofs_are_none_whether_in_two_headers_or_joined_in_one() {
    let world = world().await;
    let key = ProofKey::fixed();
    let (one, other) = (key.proof(), key.proof_with(|_, claims| drop(claims.insert("jti".to_owned(), json!("b")))));
    for (title, proofs) in [
        ("twice the same", vec![one.as_str(), &one]),
        ("two", vec![&one, &other]),
        ("one and an empty one", vec![&one, ""]),
        ("joined", vec![&format!("{one},{other}")]),
        ("joined with a space", vec![&format!("{one}, {other}")]),
    ] {
        world.refuses(oauth2(), title, ask("billing", &proofs), Reason::RepeatedDpopProof).await;
    }
    world.takes(oauth2(), "one", ask("billing", &[&one])).await;
}

type Change = fn(&mut Map<String, Value>, &mut Map<String, Value>);

fn set(members: &mut Map<String, Value>, name: &str, value: Value) {
    members.insert(name.to_owned(), value);
}

#[tokio::test]
async fn a_proof_with_one_thing_changed_is_no_proof() {
    let world = world().await;
    let changes: &[(&str, Change, Reason)] = &[
        ("typ JWT", |header, _| set(header, "typ", json!("JWT")), Reason::MalformedDpopProof),
        ("typ with more", |header, _| set(header, "typ", json!("dpop+jwt;x")), Reason::MalformedDpopProof),
        ("typ a number", |header, _| set(header, "typ", json!(1)), Reason::MalformedDpopProof),
        ("no typ", |header, _| drop(header.remove("typ")), Reason::MalformedDpopProof),
        ("crit", |header, _| set(header, "crit", json!(["exp"])), Reason::MalformedDpopProof),
        ("empty crit", |header, _| set(header, "crit", json!([])), Reason::MalformedDpopProof),
        ("b64 false", |header, _| set(header, "b64", json!(false)), Reason::MalformedDpopProof),
        ("jku", |header, _| set(header, "jku", json!("https://a.example")), Reason::MalformedDpopProof),
        ("x5u", |header, _| set(header, "x5u", json!("https://a.example")), Reason::MalformedDpopProof),
        ("x5c", |header, _| set(header, "x5c", json!(["AA=="])), Reason::MalformedDpopProof),
        ("no alg", |header, _| drop(header.remove("alg")), Reason::UnsupportedDpopAlg),
        ("alg a number", |header, _| set(header, "alg", json!(256)), Reason::UnsupportedDpopAlg),
        ("alg none", |header, _| set(header, "alg", json!("none")), Reason::UnsupportedDpopAlg),
        ("HS256", |header, _| set(header, "alg", json!("HS256")), Reason::UnsupportedDpopAlg),
        ("alg in small letters", |header, _| set(header, "alg", json!("es256")), Reason::UnsupportedDpopAlg),
        ("ES512", |header, _| set(header, "alg", json!("ES512")), Reason::UnsupportedDpopAlg),
        ("another key's alg", |header, _| set(header, "alg", json!("RS256")), Reason::UnusableDpopKey),
        ("another curve's alg", |header, _| set(header, "alg", json!("ES384")), Reason::UnusableDpopKey),
        ("no jwk", |header, _| drop(header.remove("jwk")), Reason::MalformedDpopProof),
        ("jwk a string", |header, _| set(header, "jwk", json!("key")), Reason::MalformedDpopProof),
        ("jwk null", |header, _| set(header, "jwk", json!(null)), Reason::MalformedDpopProof),
        ("no jti", |_, claims| drop(claims.remove("jti")), Reason::MalformedDpopProof),
        ("empty jti", |_, claims| set(claims, "jti", json!("")), Reason::MalformedDpopProof),
        ("jti a number", |_, claims| set(claims, "jti", json!(1)), Reason::MalformedDpopProof),
        ("jti over 256", |_, claims| set(claims, "jti", json!("x".repeat(257))), Reason::MalformedDpopProof),
        ("no htm", |_, claims| drop(claims.remove("htm")), Reason::MalformedDpopProof),
        ("htm an array", |_, claims| set(claims, "htm", json!(["POST"])), Reason::MalformedDpopProof),
        ("htm GET", |_, claims| set(claims, "htm", json!("GET")), Reason::DpopMethodMismatch),
        ("htm in small letters", |_, claims| set(claims, "htm", json!("post")), Reason::DpopMethodMismatch),
        ("no htu", |_, claims| drop(claims.remove("htu")), Reason::MalformedDpopProof),
        ("htu null", |_, claims| set(claims, "htu", json!(null)), Reason::MalformedDpopProof),
        ("no iat", |_, claims| drop(claims.remove("iat")), Reason::MalformedDpopProof),
        ("iat a string", |_, claims| set(claims, "iat", json!(NOW.to_string())), Reason::MalformedDpopProof),
        ("iat a fraction", |_, claims| set(claims, "iat", json!(1_800_000_000.5)), Reason::MalformedDpopProof),
        ("iat 1e300", |_, claims| set(claims, "iat", json!(1e300)), Reason::MalformedDpopProof),
        ("iat negative", |_, claims| set(claims, "iat", json!(-1)), Reason::MalformedDpopProof),
        ("nonce a number", |_, claims| set(claims, "nonce", json!(1)), Reason::MalformedDpopProof),
        ("iat 301 ago", |_, claims| set(claims, "iat", json!(NOW - 301)), Reason::StaleDpopProof),
        ("iat 11 ahead", |_, claims| set(claims, "iat", json!(NOW + 11)), Reason::StaleDpopProof),
        ("iat in the year 5e11", |_, claims| set(claims, "iat", json!(u64::MAX)), Reason::StaleDpopProof),
    ];
    let key = ProofKey::generate(Alg::ES256);
    for (title, change, reason) in changes {
        world.refuses(oauth2(), title, ask("billing", &[&key.proof_with(change)]), *reason).await;
    }
    world.takes(oauth2(), "unchanged", ask("billing", &[&key.proof()])).await;
}

#[tokio::test]
async fn what_a_proof_does_not_need_does_not_matter() {
    let world = world().await;
    let key = ProofKey::generate(Alg::ES256);
    let changes: &[(&str, Change)] = &[
        ("typ in capitals and in full", |header, _| set(header, "typ", json!("application/DPOP+JWT"))),
        ("iat 300 ago", |_, claims| set(claims, "iat", json!(NOW - 300))),
        ("iat 10 ahead", |_, claims| set(claims, "iat", json!(NOW + 10))),
        ("jti of 256", |_, claims| set(claims, "jti", json!("x".repeat(256)))),
        ("a nonce that nobody asked for", |_, claims| set(claims, "nonce", json!("x"))),
        ("ath", |_, claims| set(claims, "ath", json!("x"))),
        ("a kid, and a key with use", |header, claims| {
            set(header, "kid", json!("x"));
            header["jwk"]["use"] = json!("sig");
            header["jwk"]["kid"] = json!("x");
            set(claims, "jti", json!("with a kid"));
        }),
    ];
    for (title, change) in changes {
        let proof = key.proof_with(|header, claims| {
            set(claims, "jti", json!(title));
            change(header, claims);
        });
        world.takes(oauth2(), title, ask("billing", &[&proof])).await;
    }
}

#[tokio::test]
async fn a_key_that_is_none_for_its_algorithm_proves_nothing() {
    let world = world().await;
    let member = |alg: Alg, name: &str, value: Value| {
        ProofKey::generate(alg).proof_with(|header, _| header["jwk"][name] = value)
    };
    let without = |alg: Alg, name: &str| {
        ProofKey::generate(alg).proof_with(|header, _| drop(header["jwk"].as_object_mut().unwrap().remove(name)))
    };
    let zeroes = encode(&[0; 32]);
    for (title, proof) in [
        ("d", member(Alg::ES256, "d", json!(zeroes))),
        ("d of RSA", member(Alg::RS256, "d", json!(zeroes))),
        ("p", member(Alg::RS256, "p", json!("AQ"))),
        ("k", member(Alg::ES256, "k", json!("AQ"))),
        ("d of Ed25519", member(Alg::EdDSA, "d", json!(zeroes))),
        (
            "oct",
            ProofKey::generate(Alg::ES256)
                .proof_with(|header, _| set(header, "jwk", json!({"kty": "oct", "k": zeroes}))),
        ),
        ("empty", ProofKey::generate(Alg::ES256).proof_with(|header, _| set(header, "jwk", json!({})))),
        ("no kty", without(Alg::ES256, "kty")),
        ("kty in small letters", member(Alg::ES256, "kty", json!("ec"))),
        ("no y", without(Alg::ES256, "y")),
        ("no crv", without(Alg::EdDSA, "crv")),
        ("another crv", member(Alg::ES256, "crv", json!("P-384"))),
        ("secp256k1", member(Alg::ES256, "crv", json!("secp256k1"))),
        ("X25519", member(Alg::EdDSA, "crv", json!("X25519"))),
        ("off the curve", member(Alg::ES256, "x", json!(zeroes))),
        ("x padded", member(Alg::ES256, "x", json!(URL_SAFE.encode([1; 32])))),
        ("x a number", member(Alg::ES256, "x", json!(1))),
        ("x too short", member(Alg::ES256, "x", json!("AQ"))),
        ("e = 1", member(Alg::RS256, "e", json!("AQ"))),
        ("e even", member(Alg::RS256, "e", json!("Ag"))),
        ("no n", without(Alg::RS256, "n")),
        ("RSA of 1024 bits", member(Alg::RS256, "n", json!(encode(&[0xff; 128])))),
        ("use enc", member(Alg::ES256, "use", json!("enc"))),
        ("alg of another", member(Alg::ES256, "alg", json!("ES384"))),
    ] {
        world.refuses(oauth2(), title, ask("billing", &[&proof]), Reason::UnusableDpopKey).await;
    }
}

#[tokio::test]
async fn a_signature_holds_for_its_key_and_its_words_alone() {
    let world = world().await;
    for alg in Alg::ASYMMETRIC {
        let (key, other) = (ProofKey::generate(alg), ProofKey::generate(alg));
        let proof = key.proof();
        let (message, signature) = proof.rsplit_once('.').unwrap();
        let length = key.signature(b"").len();
        let claims =
            |jti: &str| json!({"jti": jti, "htm": "POST", "htu": format!("{ISSUER}/oauth2/token"), "iat": NOW});
        let elsewhere = key.sign(&json!(key.header()).to_string(), &claims("another").to_string());
        for (title, proof) in [
            ("another key", other.proof_with(|header, _| set(header, "jwk", key.jwk.clone()))),
            ("another proof's", format!("{message}.{}", elsewhere.rsplit_once('.').unwrap().1)),
            ("zeroes", format!("{message}.{}", encode(&vec![0; length]))),
            ("nothing", format!("{message}.")),
            ("cut off", format!("{message}.{}", encode(&vec![1; length - 1]))),
            ("longer", format!("{message}.{signature}{}", encode(&[0; 3]))),
        ] {
            let answer = world.send(ask("billing", &[&proof])).await;
            let refused =
                matches!(answer.record.reason, Some(Reason::DpopSignatureMismatch | Reason::MalformedDpopProof));
            assert!(refused, "{alg:?} {title} {:?}", answer.record.reason);
            assert_eq!(answer.response.status(), StatusCode::BAD_REQUEST);
        }
    }
}

#[tokio::test]
async fn a_signature_in_der_is_none() {
    let key = ProofKey::generate(Alg::ES256);
    let proof = key.proof();
    let (message, _) = proof.rsplit_once('.').unwrap();
    let raw = key.signature(message.as_bytes());
    let integer = |half: &[u8]| {
        let digits = &half[half.iter().position(|byte| *byte != 0).unwrap()..];
        let sign = if digits[0] < 0x80 { &[][..] } else { &[0] };
        [&[2, u8::try_from(sign.len() + digits.len()).unwrap()], sign, digits].concat()
    };
    let sequence = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let der = [&[0x30, u8::try_from(sequence.len()).unwrap()], &sequence[..]].concat();
    let world = world().await;
    let ask = |signature: &[u8]| ask("billing", &[&format!("{message}.{}", encode(signature))]);
    world.refuses(oauth2(), "DER", ask(&der), Reason::DpopSignatureMismatch).await;
    world.takes(oauth2(), "raw", ask(&raw)).await;
}

#[tokio::test]
async fn a_text_that_is_no_strict_compact_jws_is_refused() {
    let world = world().await;
    let key = ProofKey::generate(Alg::ES256);
    let good = key.proof();
    let (header, claims) = (json!(key.header()).to_string(), json!(claims()).to_string());
    let [first, second, third] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    for (title, proof) in [
        ("empty", String::new()),
        ("one dot", format!("{first}.{second}")),
        ("three dots", format!("{good}.")),
        ("a JWE's four dots", format!("{first}.{second}.{third}.{second}.{third}")),
        ("padding", format!("{first}=.{second}.{third}")),
        ("a blank inside", format!("{first}. {second}.{third}")),
        (
            "standard base64",
            key.sign(&header, &claims.replace("proof-1", "\u{3ff}\u{3ff}")).replace('-', "+").replace('_', "/") + "+",
        ),
        ("bits that mean nothing", {
            // The 64 bytes of a signature end in two bits of the last character, whose other four are zero.
            let last = third.chars().last().unwrap();
            let next = char::from(u8::try_from(last).unwrap() + 1);
            format!("{first}.{second}.{}{next}", &third[..third.len() - 1])
        }),
        ("header not JSON", key.sign("{", &claims)),
        ("header an array", key.sign("[]", &claims)),
        ("header twice", key.sign(&format!("{header}{header}"), &claims)),
        ("claims not JSON", key.sign(&header, "x")),
        ("claims null", key.sign(&header, "null")),
        ("a member twice", key.sign(&header.replacen('{', r#"{"typ":"dpop+jwt","#, 1), &claims)),
        ("a member of the key twice", key.sign(&header.replacen(r#""jwk":{"#, r#""jwk":{"kty":"EC","#, 1), &claims)),
        ("a claim twice", key.sign(&header, &claims.replacen('{', r#"{"htm":"GET","#, 1))),
        ("a depth bomb in the header", key.sign(&header.replacen('{', &format!(r#"{{"x":{deep},"#), 1), &claims)),
        ("a depth bomb in the claims", key.sign(&header, &claims.replacen('{', &format!(r#"{{"x":{deep},"#), 1))),
        ("over 8 KiB", key.sign(&header, &claims.replacen('{', &format!(r#"{{"x":"{}","#, "x".repeat(7_000)), 1))),
    ] {
        world.refuses(oauth2(), title, ask("billing", &[&proof]), Reason::MalformedDpopProof).await;
    }
    let not_utf8 = {
        let mut ask = ask("billing", &[]);
        ask.0.headers.append(dpop(), http::HeaderValue::from_bytes(b"\xff").unwrap());
        ask
    };
    world.refuses(oauth2(), "not ASCII", not_utf8, Reason::MalformedDpopProof).await;
    world.takes(oauth2(), "good", ask("billing", &[&good])).await;
}

#[tokio::test]
async fn a_proof_is_good_once_per_key() {
    let world = world().await;
    let (key, other) = (ProofKey::generate(Alg::ES256), ProofKey::generate(Alg::ES256));
    let sent = |key: &ProofKey| ask("billing", &[&key.proof()]);
    world.takes(oauth2(), "first", sent(&key)).await;
    world.refuses(oauth2(), "again", sent(&key), Reason::ReplayedDpopProof).await;
    world.refuses(oauth2(), "by another client", ask("bound", &[&key.proof()]), Reason::ReplayedDpopProof).await;
    let later = key.proof_with(|_, claims| set(claims, "iat", json!(NOW + 1)));
    world.refuses(oauth2(), "signed anew", ask("billing", &[&later]), Reason::ReplayedDpopProof).await;
    world.takes(oauth2(), "the same jti of another key", sent(&other)).await;
}

#[tokio::test]
async fn of_fifty_that_send_a_proof_at_once_one_gets_a_token() {
    let world = world().await;
    let proof = ProofKey::generate(Alg::ES256).proof();
    let answers = join_all((0..50).map(|_| world.send(ask("billing", &[&proof])))).await;
    let reasons: Vec<_> = answers.iter().filter_map(|answer| answer.record.reason).collect();
    assert_eq!(reasons, [Reason::ReplayedDpopProof; 49]);
}

#[tokio::test]
async fn a_used_proof_is_remembered_for_as_long_as_it_would_be_good() {
    let world = world().await;
    let key = ProofKey::generate(Alg::ES256);
    let at = |iat: u64| key.proof_with(|_, claims| set(claims, "iat", json!(iat)));
    world.takes(oauth2(), "first", ask("billing", &[&at(NOW + 10)])).await;
    let again = async |iat, now| world.send_at(ask("billing", &[&at(iat)]), now).await.record.reason;
    assert_eq!(again(NOW + 10, NOW + 310).await, Some(Reason::ReplayedDpopProof));
    assert_eq!(again(NOW + 10, NOW + 311).await, Some(Reason::StaleDpopProof));
    assert_eq!(again(NOW + 311, NOW + 311).await, None);
    let row = StateRow::DpopJti { jkt: key.thumbprint(), jti: "proof-1".to_owned() };
    let item = world.engine.sdk().get_item().table_name(STATE_TABLE);
    let item = item.key("pk", aws_sdk_dynamodb::types::AttributeValue::S(row.pk())).send().await.unwrap().item.unwrap();
    assert_eq!(item["expires_at"].as_n().unwrap(), &(NOW + 311 + 301).to_string());
}

#[tokio::test]
async fn what_fails_for_another_reason_uses_no_proof_up() {
    let world = world().await;
    let key = ProofKey::generate(Alg::ES256);
    let proof = key.proof();
    let token = |id, secret, more: &[(&str, &str)]| Ask::token_with(oauth2(), id, secret, more).header(dpop(), &proof);
    for (title, ask, reason) in [
        ("wrong secret", token("billing", "wrong", &[]), Reason::SecretMismatch),
        ("unknown client", token("nobody", SECRET, &[]), Reason::UnknownClient),
        ("scope", token("billing", SECRET, &[("scope", "admin")]), Reason::ScopeNotGranted),
        ("resource", token("billing", SECRET, &[("resource", "b:b")]), Reason::TargetNotAllowed),
        ("no key to sign with", token("without-key", SECRET, &[]), Reason::NoKeyForAlg),
    ] {
        world.refuses(oauth2(), title, ask, reason).await;
    }
    world.takes(oauth2(), "after all that", token("billing", SECRET, &[])).await;
}

#[tokio::test]
async fn a_state_table_that_is_out_is_503_and_no_token() {
    let world = world().await;
    world.engine.sdk().delete_table().table_name(STATE_TABLE).send().await.unwrap();
    let proof = ProofKey::fixed().proof();
    world.refuses(oauth2(), "out", ask("billing", &[&proof]), Reason::StoreUnavailable).await;
    world.takes(oauth2(), "no proof", ask("billing", &[])).await;
}

fn dpop() -> HeaderName {
    HeaderName::from_static("dpop")
}

// What a proof for that URL gets from a service that is called there.
async fn htu(world: &World, htu: &str, origin: Option<&str>) -> Option<Reason> {
    let key = ProofKey::generate(Alg::EdDSA);
    let mut ask = ask("billing", &[&key.proof_with(|_, claims| set(claims, "htu", json!(htu)))]);
    ask.0.origin = origin.map(str::to_owned);
    reason(world, ask).await
}

#[tokio::test]
async fn a_proof_is_for_this_endpoint_and_no_other() {
    let world = world().await;
    for url in [
        "https://auth.example.com/oauth2/token",
        "HTTPS://AUTH.example.com:443/oauth2/token?a=b#c",
        "https://auth.example.com/x/../oauth2/%74oken",
    ] {
        assert_eq!(htu(&world, url, None).await, None, "{url}");
    }
    for url in [
        "",
        "/oauth2/token",
        "https://auth.example.com",
        "https://auth.example.com/",
        "https://auth.example.com/oauth2",
        "https://auth.example.com/oauth2/token/",
        "https://auth.example.com/OAuth2/token",
        "https://auth.example.com/auth/token",
        "https://auth.example.com/prod/oauth2/token",
        "https://auth.example.com//oauth2/token",
        "https://auth.example.com/oauth2%2Ftoken",
        "https://auth.example.com:8443/oauth2/token",
        "http://auth.example.com/oauth2/token",
        "https://auth.example.com.evil.example/oauth2/token",
        "https://auth.example.com@evil.example/oauth2/token",
        "https://evil.example/oauth2/token",
        "https://evil.example/https://auth.example.com/oauth2/token",
    ] {
        assert_eq!(htu(&world, url, None).await, Some(Reason::DpopUrlMismatch), "{url}");
        // Nor does a header say what the endpoint is.
        let proof = ProofKey::fixed().proof_with(|_, claims| set(claims, "htu", json!(url)));
        let ask = ask("billing", &[&proof]).header(http::header::HOST, "evil.example");
        assert_eq!(reason(&world, ask).await, Some(Reason::DpopUrlMismatch), "{url}");
    }
}

#[tokio::test]
async fn the_endpoint_is_where_the_issuer_is_or_where_the_api_was_called() {
    let origin = Some("https://abc.execute-api.eu-central-1.amazonaws.com/prod");
    let called = "https://abc.execute-api.eu-central-1.amazonaws.com/prod/oauth2/token";
    let (set, unset) = (world().await, with(|settings| settings.issuer = None).await);
    assert_eq!(htu(&set, "https://auth.example.com/oauth2/token", origin).await, None);
    for world in [&set, &unset] {
        assert_eq!(htu(world, called, origin).await, None);
        for url in ["https://abc.execute-api.eu-central-1.amazonaws.com/oauth2/token", "https://a.example/oauth2/token"]
        {
            assert_eq!(htu(world, url, origin).await, Some(Reason::DpopUrlMismatch), "{url}");
        }
    }
    assert_eq!(htu(&set, called, None).await, Some(Reason::DpopUrlMismatch));
    assert_eq!(htu(&unset, called, None).await, Some(Reason::UnknownIssuer));
}

#[tokio::test]
async fn the_path_of_the_issuer_belongs_to_the_endpoint() {
    let world = with(|settings| {
        settings.issuer = Some("https://auth.example.com/identity/".to_owned());
        settings.base_path = "/identity".to_owned();
    })
    .await;
    assert_eq!(htu(&world, "https://auth.example.com/identity/oauth2/token", None).await, None);
    for url in ["https://auth.example.com/oauth2/token", "https://auth.example.com/identity//oauth2/token"] {
        assert_eq!(htu(&world, url, None).await, Some(Reason::DpopUrlMismatch), "{url}");
    }
}

type EventWith = Box<dyn Fn(&str) -> Value>;

const FORM: &str = "application/x-www-form-urlencoded";

fn credentials() -> String {
    format!("client_id=billing&client_secret={SECRET}&grant_type=client_credentials")
}

fn v2(raw_path: &str, domain: &str, stage: &str, proof: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": raw_path, "rawQueryString": "",
        "headers": {"content-type": FORM, "dpop": proof},
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": domain, "stage": stage, "requestId": "r", "time": "t",
            "timeEpoch": 1, "http": {"method": "POST", "path": raw_path, "protocol": "HTTP/1.1", "sourceIp": "::1"}
        },
        "body": credentials(), "isBase64Encoded": false
    })
}

fn v1(path: &str, called: &str, domain: &str, stage: &str, proof: &str) -> Value {
    json!({
        "resource": "/{proxy+}", "httpMethod": "POST", "path": path,
        "headers": {"Content-Type": FORM, "DPoP": proof},
        "multiValueHeaders": {"Content-Type": [FORM], "DPoP": [proof]},
        "requestContext": {"path": called, "domainName": domain, "stage": stage, "httpMethod": "POST"},
        "body": credentials(), "isBase64Encoded": false
    })
}

// An event of a stage or of a custom domain that maps the API to a path, with a proof for where it was called.
#[tokio::test]
async fn an_event_with_a_stage_or_a_base_path_takes_the_url_that_the_client_called() {
    let world = with(|settings| settings.issuer = None).await;
    let proof = |url: &str| ProofKey::generate(Alg::EdDSA).proof_with(|_, claims| set(claims, "htu", json!(url)));
    let (api, own) = ("abc.execute-api.eu-central-1.amazonaws.com", "login.example.com");
    let events: [(&str, &str, EventWith); 6] = [
        (
            "v2, default stage",
            "https://abc.execute-api.eu-central-1.amazonaws.com/oauth2/token",
            Box::new(move |proof| v2("/oauth2/token", api, "$default", proof)),
        ),
        (
            "v2, stage",
            "https://abc.execute-api.eu-central-1.amazonaws.com/prod/oauth2/token",
            Box::new(move |proof| v2("/prod/oauth2/token", api, "prod", proof)),
        ),
        (
            "v2, custom domain",
            "https://login.example.com/oauth2/token",
            Box::new(move |proof| v2("/oauth2/token", own, "$default", proof)),
        ),
        (
            "v1, stage",
            "https://abc.execute-api.eu-central-1.amazonaws.com/prod/oauth2/token",
            Box::new(move |proof| v1("/oauth2/token", "/prod/oauth2/token", api, "prod", proof)),
        ),
        (
            "v1, custom domain",
            "https://login.example.com/oauth2/token",
            Box::new(move |proof| v1("/oauth2/token", "/oauth2/token", own, "prod", proof)),
        ),
        (
            "v1, base path",
            "https://login.example.com/prod/oauth2/token",
            Box::new(move |proof| v1("/prod/oauth2/token", "/prod/oauth2/token", own, "prod", proof)),
        ),
    ];
    for (title, url, event) in events {
        let call = |url: &str| Ask(serde_json::from_str::<Event>(&event(&proof(url)).to_string()).unwrap().call);
        assert_eq!(reason(&world, call(url)).await, None, "{title}");
        let other = url.replacen("/oauth2", "/other/oauth2", 1);
        assert_eq!(reason(&world, call(&other)).await, Some(Reason::DpopUrlMismatch), "{title}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_nonce_names_it_and_takes_it() {
    let world = with_nonces().await;
    let key = ProofKey::fixed();
    let without = world.send(ask("billing", &[&key.proof()])).await;
    assert_eq!(without.record.reason, Some(Reason::UseDpopNonce));
    let nonce = without.response.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    insta::assert_snapshot!("nonce", whole(&without.response).replace(&nonce, "NONCE"));

    let with = |nonce: &str| ask("billing", &[&key.proof_with(|_, claims| set(claims, "nonce", json!(nonce)))]);
    for bad in ["", "x", &nonce[1..]] {
        let answer = world.send(with(bad)).await;
        assert_eq!(answer.record.reason, Some(Reason::UseDpopNonce), "{bad}");
        assert_eq!(answer.response.headers()["dpop-nonce"], nonce);
    }
    let issued = world.send(with(&nonce)).await;
    assert_eq!((issued.record.reason, &issued.response.headers()["dpop-nonce"]), (None, &nonce.parse().unwrap()));
    assert_eq!(body(&issued.response)["token_type"], "DPoP");

    // A nonce does not make a proof good more than once.
    assert_eq!(reason(&world, with(&nonce)).await, Some(Reason::ReplayedDpopProof));
}

#[tokio::test]
async fn a_nonce_of_long_ago_is_answered_with_the_next() {
    let world = with_nonces().await;
    let key = ProofKey::generate(Alg::EdDSA);
    let sent = |nonce: &str, now: u64| {
        ask(
            "billing",
            &[&key.proof_with(|_, claims| {
                set(claims, "nonce", json!(nonce));
                set(claims, "iat", json!(now));
                set(claims, "jti", json!(now.to_string()));
            })],
        )
    };
    let first = world.send(sent("", NOW)).await.response.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    let late = NOW + 2 * SPAN_SECONDS;
    let answer = world.send_at(sent(&first, late), late).await;
    assert_eq!(answer.record.reason, Some(Reason::UseDpopNonce));
    let next = answer.response.headers()["dpop-nonce"].to_str().unwrap();
    assert_ne!(next, first);
    assert_eq!(world.send_at(sent(next, late), late).await.record.reason, None);
}

#[tokio::test]
async fn nonces_are_for_those_that_send_proofs() {
    let world = with_nonces().await;
    let answer = world.send(ask("billing", &[])).await;
    assert_eq!((answer.record.reason, answer.response.headers().get("dpop-nonce")), (None, None));
    world.refuses(oauth2(), "no proof", ask("bound", &[]), Reason::MissingDpopProof).await;
    let off = self::world().await.send(ask("billing", &[&ProofKey::fixed().proof()])).await;
    assert_eq!(off.response.headers().get("dpop-nonce"), None);
}

#[tokio::test]
async fn without_a_key_that_only_the_server_holds_there_is_no_nonce_and_no_token() {
    let world = World::with(clients(), &[Alg::HS256], |settings| settings.requires_dpop_nonce = true, 0).await;
    world.refuses(oauth2(), "HS256 alone", ask("billing", &[&ProofKey::fixed().proof()]), Reason::NoKeyForAlg).await;
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

// A request of a client that authenticates by an assertion, or whose grant is one.
fn assertion(grant_type: &str, assertion: &str, proof: &str) -> Ask {
    let body = if grant_type == JWT_BEARER {
        format!("grant_type={grant_type}&assertion={assertion}")
    } else {
        let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        format!("grant_type={grant_type}&client_assertion_type={assertion_type}&client_assertion={assertion}")
    };
    Ask::form("/oauth2/token", &body).header(dpop(), proof)
}

#[tokio::test]
async fn an_assertion_and_a_proof_are_used_up_together_or_not_at_all() {
    let signer = Signer::new(Alg::ES256);
    let client = json!({
        "client_id": "svc", "jwks": {"keys": [signer.jwk()]}, "grant_types": ["client_credentials", JWT_BEARER],
        "dpop_bound_access_tokens": true
    });
    let world = World::with(json!([client]), &[Alg::ES256], |settings| settings.requires_dpop_nonce = true, 0).await;
    let jwt = |jti: &str| signer.jwt(&json!({"iss": "svc", "sub": "svc", "aud": ISSUER, "exp": NOW + 60, "jti": jti}));
    let key = ProofKey::fixed();
    let proof = |jti: &str, nonce: &str| {
        key.proof_with(|_, claims| {
            set(claims, "jti", json!(jti));
            set(claims, "nonce", json!(nonce));
        })
    };
    for (grant_type, replayed, first, second, third) in [
        ("client_credentials", Reason::ClientAssertion(AssertionFault::Replayed), "a", "b", "c"),
        (JWT_BEARER, Reason::AssertionGrant(AssertionFault::Replayed), "d", "e", "f"),
    ] {
        let sent = |one: &str, proof: &str| assertion(grant_type, &jwt(one), proof);
        let answer = world.send(sent(first, &proof(first, ""))).await;
        assert_eq!(answer.record.reason, Some(Reason::UseDpopNonce));
        let nonce = answer.response.headers()["dpop-nonce"].to_str().unwrap();
        let issued = world.send(sent(first, &proof(first, nonce))).await;
        assert_eq!(issued.record.reason, None, "{grant_type}: the nonce that was missing used the assertion up");
        assert_eq!(parts(token_in(&body(&issued.response))).1["cnf"], json!({"jkt": key.thumbprint()}));
        for (jwt, jti, expected) in [
            (second, first, Some(Reason::ReplayedDpopProof)),
            (first, second, Some(replayed)),
            (second, second, None),
            (third, third, None),
        ] {
            assert_eq!(reason(&world, sent(jwt, &proof(jti, nonce))).await, expected, "{grant_type} {jwt} {jti}");
        }
    }
}
