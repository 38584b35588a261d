//! JWT assertions, as client authentication and as a grant: each refusal is the accepted request with one thing changed.

use std::{fmt::Write as _, sync::LazyLock};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use futures_util::future::join_all;
use http::{StatusCode, header};
use mintlet::{
    dialect::Dialect,
    oauth::{
        assertion::AssertionFault::{self, *},
        error::Reason,
        jwk::VerifyingKey,
        jws::{HeaderKey, UnverifiedJwt},
        jwt::Alg,
    },
};
use serde_json::{Value, json};

use crate::{
    signer::Signer,
    support::{Ask, ISSUER, NOW, SECRET, World, body, encode, parts, readable, token_in},
};

static KEYS: LazyLock<Vec<Signer>> = LazyLock::new(|| Alg::ASYMMETRIC.into_iter().map(Signer::new).collect());
static OTHER: LazyLock<Signer> = LazyLock::new(|| Signer::new(Alg::ES256));

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const USES: [Use; 2] = [Use::ClientAuthentication, Use::Grant];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Use {
    ClientAuthentication,
    Grant,
}

impl Use {
    fn ask(self, assertion: &str) -> Ask {
        self.ask_with(assertion, "")
    }

    fn ask_with(self, assertion: &str, more: &str) -> Ask {
        let assertion = encode(assertion);
        let body = match self {
            Self::ClientAuthentication => format!(
                "grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}{more}",
                encode(ASSERTION_TYPE)
            ),
            Self::Grant => format!("grant_type={}&assertion={assertion}{more}", encode(JWT_BEARER)),
        };
        Ask::form("/oauth2/token", &body)
    }

    fn reason(self, fault: AssertionFault) -> Reason {
        match self {
            Self::ClientAuthentication => Reason::ClientAssertion(fault),
            Self::Grant => Reason::AssertionGrant(fault),
        }
    }
}

fn signer(alg: Alg) -> &'static Signer {
    KEYS.iter().find(|key| key.alg == alg).unwrap()
}

fn jwks() -> Value {
    json!({"keys": KEYS.iter().map(Signer::jwk).collect::<Vec<_>>()})
}

fn client(id: &str) -> Value {
    json!({"client_id": id, "jwks": jwks(), "scope": "read write", "grant_types": ["client_credentials", JWT_BEARER]})
}

fn client_with(id: &str, name: &str, value: Value) -> Value {
    let mut client = client(id);
    client[name] = value;
    client
}

async fn world() -> World {
    let clients = json!([
        client("svc"),
        client("twin"),
        client_with("other", "jwks", json!({"keys": [OTHER.jwk()]})),
        client_with("disabled", "disabled", json!(true)),
        client_with("legacy", "legacy_assertion_audience", json!(true)),
        client_with("patient", "assertion_lifetime", json!(3600)),
        client_with("without-grants", "grant_types", json!([])),
        client_with("by-secret", "token_endpoint_auth_method", json!("client_secret_basic")),
        client_with("by-key", "token_endpoint_auth_method", json!("private_key_jwt")),
        client_with("both", "client_secret", json!(SECRET)),
        {"client_id": "without-keys", "client_secret": SECRET, "grant_types": ["client_credentials", JWT_BEARER]},
    ]);
    World::new(clients, &[Alg::ES256]).await
}

fn claims(id: &str, jti: &str) -> Value {
    json!({"iss": id, "sub": id, "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": jti})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims("svc", "a");
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims("svc", "a");
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn es256() -> &'static Signer {
    signer(Alg::ES256)
}

fn oauth2() -> &'static Dialect {
    Dialect::named("oauth2").unwrap()
}

// Every one of them is refused for that reason, and none of them has used the `jti` up that they all have.
async fn all_are_refused(world: &World, cases: Vec<(&str, String, AssertionFault)>) {
    for used_as in USES {
        for (title, assertion, fault) in &cases {
            let title = format!("{title} as {used_as:?}");
            world.refuses(oauth2(), &title, used_as.ask(assertion), used_as.reason(*fault)).await;
        }
    }
    for used_as in USES {
        let jti = if used_as == Use::Grant { "a" } else { "b" };
        world.takes(oauth2(), "after all", used_as.ask(&es256().jwt(&claims("svc", jti)))).await;
    }
}

#[tokio::test]
async fn an_assertion_of_every_algorithm_gets_a_token_with_and_without_kid() {
    let world = world().await;
    for used_as in USES {
        for key in KEYS.iter() {
            let alg = if key.alg == Alg::EdDSA { "Ed25519" } else { key.alg.as_str() };
            for (title, header) in [
                ("kid", json!({"alg": key.alg, "kid": key.kid})),
                ("no kid", json!({"alg": alg})),
                ("typ", json!({"alg": key.alg, "typ": "application/jwt", "x5t": "ignored"})),
            ] {
                let assertion = key.jwt_with(&header, &claims("svc", &format!("{used_as:?}{:?}{title}", key.alg)));
                let answer = world.send(used_as.ask_with(&assertion, "&scope=read")).await;
                assert_eq!(answer.record.reason, None, "{title} {:?} {used_as:?}", key.alg);
                let token = body(&answer.response);
                assert_eq!((&token["scope"], &token["token_type"]), (&json!("read"), &json!("Bearer")));
                let (_, claims) = parts(token_in(&token));
                assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("svc"), &json!("svc")));
                assert_eq!(answer.record.credential_id.as_deref(), Some(key.kid.as_str()));
                assert_eq!(answer.record.client_id.as_deref(), Some("svc"));
                let method = (used_as == Use::ClientAuthentication).then_some("private_key_jwt");
                assert_eq!(answer.record.auth_method, method);
            }
        }
    }
}

#[tokio::test]
async fn each_use_takes_its_own_typ_and_not_the_others() {
    let world = world().await;
    let typed = |typ: &str, jti: &str| {
        es256().jwt_with(&json!({"alg": "ES256", "kid": es256().kid, "typ": typ}), &claims("svc", jti))
    };
    let (client, grant) = ("client-authentication+jwt", "authorization-grant+jwt");
    for (used_as, own, others) in [(Use::ClientAuthentication, client, grant), (Use::Grant, grant, client)] {
        world.takes(oauth2(), own, used_as.ask(&typed(own, own))).await;
        let spelt = format!("Application/{}", own.to_uppercase());
        world.takes(oauth2(), &spelt, used_as.ask(&typed(&spelt, &spelt))).await;
        for typ in [others, "at+jwt", "dpop+jwt", "logout+jwt", "", "JWT "] {
            world.refuses(oauth2(), typ, used_as.ask(&typed(typ, "c")), used_as.reason(TypNotTaken)).await;
        }
    }
}

#[tokio::test]
async fn a_header_that_brings_a_key_or_has_to_be_understood_is_refused() {
    let world = world().await;
    let header = |name: &str, value: Value| {
        let mut header = json!({"alg": "ES256", "kid": es256().kid, "typ": "JWT"});
        header[name] = value;
        es256().jwt_with(&header, &claims("svc", "a"))
    };
    let mut cases = Vec::new();
    for (name, value, fault) in [
        ("jwk", es256().jwk(), HeaderNotTaken),
        ("jwk", json!("text"), HeaderNotTaken),
        ("jku", json!("https://auth.example.com/keys"), HeaderNotTaken),
        ("x5u", json!("https://auth.example.com/keys"), HeaderNotTaken),
        ("x5c", json!([]), HeaderNotTaken),
        ("crit", json!(["exp"]), HeaderNotTaken),
        ("crit", json!([]), HeaderNotTaken),
        ("b64", json!(false), HeaderNotTaken),
        ("b64", json!(true), HeaderNotTaken),
        ("zip", json!("DEF"), HeaderNotTaken),
        ("enc", json!("A256GCM"), HeaderNotTaken),
        ("kid", json!(1), Malformed),
        ("kid", json!(null), Malformed),
        ("typ", json!(["JWT"]), Malformed),
    ] {
        cases.push((name, header(name, value), fault));
    }
    all_are_refused(&world, cases).await;
}

#[tokio::test]
async fn the_algorithm_is_the_registered_keys_and_never_the_callers_choice() {
    let world = world().await;
    let with_alg = |alg: Value| es256().jwt_with(&json!({"alg": alg, "kid": es256().kid}), &claims("svc", "a"));
    let mut cases = vec![("no alg", es256().jwt_with(&json!({"kid": es256().kid}), &claims("svc", "a")), AlgNotTaken)];
    for alg in
        ["none", "None", "NONE", "nOnE", "HS256", "HS384", "RS512", "RS384", "ES512", "ES256K", "es256", "RSA-OAEP", ""]
    {
        cases.push(("alg", with_alg(json!(alg)), AlgNotTaken));
    }
    cases.push(("alg as array", with_alg(json!(["ES256"])), AlgNotTaken));
    for alg in ["RS256", "PS256", "ES384", "EdDSA"] {
        cases.push(("alg of another key", with_alg(json!(alg)), UnknownKey));
    }
    // Signed by RS256, and said to be PS256 by a key that is for PS256, and the other way round.
    for (signs, says) in [(Alg::RS256, Alg::PS256), (Alg::PS256, Alg::RS256)] {
        let header = json!({"alg": says, "kid": signer(says).kid});
        cases.push(("padding", signer(signs).jwt_with(&header, &claims("svc", "a")), SignatureMismatch));
    }
    // An unsigned JWT, and one under HMAC with the public key as its key.
    let unsigned = |header: Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&header), part(&claims("svc", "a")))
    };
    cases.push(("unsigned", unsigned(json!({"alg": "none"})), AlgNotTaken));
    cases.push(("no signature", unsigned(json!({"alg": "ES256", "kid": es256().kid})), SignatureMismatch));
    let input = unsigned(json!({"alg": "HS256", "kid": signer(Alg::RS256).kid}));
    let key = signer(Alg::RS256).jwk()["n"].as_str().unwrap().to_owned();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes());
    let mac = aws_lc_rs::hmac::sign(&key, input.trim_end_matches('.').as_bytes());
    cases.push(("public key as HMAC key", format!("{input}{}", URL_SAFE_NO_PAD.encode(mac)), AlgNotTaken));
    all_are_refused(&world, cases).await;
}

#[test]
fn a_key_verifies_nothing_of_another_algorithm_whoever_asks() {
    let rsa = signer(Alg::RS256);
    let key = VerifyingKey::from_jwk(rsa.jwk().as_object().unwrap()).unwrap();
    for (says, good) in [("RS256", true), ("PS256", false)] {
        let jwt = rsa.jwt_with(&json!({"alg": says}), &claims("svc", "a"));
        assert_eq!(UnverifiedJwt::parse(&jwt, HeaderKey::Refused).unwrap().verify(&key), good, "{says}");
    }
}

#[tokio::test]
async fn a_signature_is_the_named_keys_over_these_very_bytes() {
    let world = world().await;
    let good = es256().jwt(&claims("svc", "a"));
    let (input, signature) = good.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signed = |signature: &[u8]| format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
    let mut flipped = signature.clone();
    flipped[40] ^= 1;
    let (r, s) = signature.split_at(32);
    let integer = |bytes: &[u8]| {
        let mut der = vec![2, u8::try_from(bytes.len() + 1).unwrap(), 0];
        der.extend(bytes);
        der
    };
    let der = [integer(r), integer(s)].concat();
    let der = [vec![0x30, u8::try_from(der.len()).unwrap()], der].concat();
    let other_payload = es256().jwt(&claims("svc", "z"));
    let swapped = format!("{}.{}", other_payload.rsplit_once('.').unwrap().0, URL_SAFE_NO_PAD.encode(&signature));
    let kid = |kid: &str| es256().jwt_with(&json!({"alg": "ES256", "kid": kid}), &claims("svc", "a"));
    let header = json!({"alg": "ES256", "kid": es256().kid});
    all_are_refused(
        &world,
        vec![
            ("a flipped bit", signed(&flipped), SignatureMismatch),
            ("DER", signed(&der), SignatureMismatch),
            ("r = 0", signed(&[[0; 32].as_slice(), s].concat()), SignatureMismatch),
            ("s = 0", signed(&[r, [0; 32].as_slice()].concat()), SignatureMismatch),
            ("both 0", signed(&[0; 64]), SignatureMismatch),
            ("too short", signed(&signature[..63]), SignatureMismatch),
            ("too long", signed(&[signature.as_slice(), &[0]].concat()), SignatureMismatch),
            ("empty", signed(&[]), SignatureMismatch),
            ("of other claims", swapped, SignatureMismatch),
            ("another client's key under this kid", OTHER.jwt_with(&header, &claims("svc", "a")), SignatureMismatch),
            ("another client's key", OTHER.jwt(&claims("svc", "a")), UnknownKey),
            ("unknown kid", kid("nobody"), UnknownKey),
            ("empty kid", kid(""), UnknownKey),
            ("kid of another alg", kid(&signer(Alg::RS256).kid), UnknownKey),
            ("unknown client", es256().jwt(&claims("nobody", "a")), UnknownClient),
            ("a client id that nobody can have", es256().jwt(&claims("a\nb", "a")), UnknownClient),
            ("a client without keys", es256().jwt(&claims("without-keys", "a")), UnknownKey),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_not_one_well_formed_jwt_is_refused() {
    let world = world().await;
    let good = es256().jwt(&claims("svc", "a"));
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
    let padded = |part: &str| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(part).unwrap());
    // The last character of a 64-byte signature has four bits that are no data.
    let last = if signature.ends_with('A') { 'B' } else { 'A' };
    let (signature_head, tail) = signature.split_at(signature.len() - 1);
    let noncanonical: Vec<_> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        .chars()
        .filter(|c| !matches!(c, 'A' | 'Q' | 'g' | 'w'))
        .take(3)
        .map(|c| format!("{header}.{payload}.{signature_head}{c}"))
        .collect();
    assert!(!tail.contains(last));
    let head = json!({"alg": "ES256", "kid": es256().kid}).to_string();
    let text = claims("svc", "a").to_string();
    let jws = |header: &str, payload: &str| es256().jws(header, payload);
    let deep = |depth: usize| format!(r#"{{"x":{}{},{}"#, "[".repeat(depth), "]".repeat(depth), &text[1..]);
    let mut cases = vec![
        ("one part", header.to_owned(), Malformed),
        ("two parts", format!("{header}.{payload}"), Malformed),
        ("four parts", format!("{good}.x"), Malformed),
        ("five parts", format!("{good}.x.y"), Encrypted),
        ("six parts", format!("{good}.x.y.z"), Malformed),
        ("empty parts", "..".to_owned(), Malformed),
        ("padded header", format!("{}.{payload}.{signature}", padded(header)), Malformed),
        ("padded signature", format!("{header}.{payload}.{}", padded(signature)), Malformed),
        ("white space before", format!(" {good}"), Malformed),
        ("white space after", format!("{good}\n"), Malformed),
        ("white space inside", format!("{header}.\n{payload}.{signature}"), Malformed),
        ("standard alphabet", format!("{header}.{payload}.{}", STANDARD.encode([0xfb; 64])), Malformed),
        ("not ASCII", format!("{header}.{payload}.é"), Malformed),
        (
            "JSON serialization",
            json!({"payload": payload, "protected": header, "signature": signature}).to_string(),
            Malformed,
        ),
        ("an array as header", jws("[]", &text), Malformed),
        ("an array as claims", jws(&head, "[]"), Malformed),
        ("text as claims", jws(&head, "\"a\""), Malformed),
        ("no JSON", jws(&head, "a"), Malformed),
        ("trailing JSON", jws(&head, &format!("{text}{text}")), Malformed),
        ("alg twice", jws(&format!(r#"{{"alg":"ES256",{}"#, &head[1..]), &text), Malformed),
        ("alg twice, one escaped", jws(&format!(r#"{{"\u0061lg":"ES256",{}"#, &head[1..]), &text), Malformed),
        ("sub twice", jws(&head, &format!(r#"{{"sub":"svc",{}"#, &text[1..])), Malformed),
        ("a member twice, deep", jws(&head, &format!(r#"{{"x":[{{"y":1,"y":1}}],{}"#, &text[1..])), Malformed),
        ("200 deep", jws(&head, &deep(200)), Malformed),
        ("1000 deep", jws(&head, &deep(1000)), Malformed),
        ("over 4 KiB", jws(&head, &format!(r#"{{"x":"{}",{}"#, "x".repeat(4096), &text[1..])), TooLong),
    ];
    cases.extend(noncanonical.into_iter().map(|text| ("bits beyond the last byte", text, Malformed)));
    all_are_refused(&world, cases).await;
}

#[tokio::test]
async fn every_claim_is_there_and_of_its_type() {
    let world = world().await;
    let mut cases = Vec::new();
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        cases.push((name, es256().jwt(&without(name)), MalformedClaims));
        for value in [json!(null), json!({}), json!(true), json!(""), json!([])] {
            // An array without an element is an audience, though nobody's.
            let fault = if name == "aud" && value == json!([]) { WrongAudience } else { MalformedClaims };
            cases.push((name, es256().jwt(&with(name, value)), fault));
        }
    }
    for name in ["iss", "sub", "jti"] {
        cases.push((name, es256().jwt(&with(name, json!(7))), MalformedClaims));
        cases.push((name, es256().jwt(&with(name, json!(["svc"]))), MalformedClaims));
    }
    for name in ["exp", "iat", "nbf"] {
        for value in
            [json!((NOW + 1).to_string()), json!(1.5), json!(-1), json!(1e300), json!([NOW]), json!(1_800_000_030.5)]
        {
            cases.push((name, es256().jwt(&with(name, value)), MalformedClaims));
        }
    }
    for value in [json!(7), json!([7]), json!([ISSUER, null]), json!([[ISSUER]]), json!({ISSUER: 1})] {
        cases.push(("aud", es256().jwt(&with("aud", value)), MalformedClaims));
    }
    all_are_refused(&world, cases).await;
}

#[tokio::test]
async fn the_issuer_is_the_only_audience() {
    let world = world().await;
    let endpoint = format!("{ISSUER}/oauth2/token");
    let mut cases = Vec::new();
    for aud in [
        json!(endpoint),
        json!([endpoint]),
        json!("https://other.example.com"),
        json!([ISSUER, "https://other.example.com"]),
        json!([ISSUER, ISSUER]),
        json!([ISSUER, endpoint]),
        json!(format!("{ISSUER}/")),
        json!(ISSUER.to_uppercase()),
        json!(format!("{ISSUER}:443")),
        json!("auth.example.com"),
        json!("svc"),
    ] {
        cases.push(("aud", es256().jwt(&with("aud", aud)), WrongAudience));
    }
    all_are_refused(&world, cases).await;
    world
        .takes(oauth2(), "one in an array", Use::Grant.ask(&es256().jwt(&with_jti("aud", json!([ISSUER]), "c"))))
        .await;
}

fn with_jti(name: &str, value: Value, jti: &str) -> Value {
    let mut claims = claims("svc", jti);
    claims[name] = value;
    claims
}

#[tokio::test]
async fn a_client_that_is_registered_so_may_name_the_token_endpoint_alone() {
    let world = world().await;
    let endpoint = format!("{ISSUER}/oauth2/token");
    let jwt = |aud: Value, jti: &str| {
        let mut claims = claims("legacy", jti);
        claims["aud"] = aud;
        es256().jwt(&claims)
    };
    for used_as in USES {
        for (aud, jti) in [(json!(endpoint), "a"), (json!([endpoint]), "b"), (json!(ISSUER), "c")] {
            world.takes(oauth2(), jti, used_as.ask(&jwt(aud, &format!("{used_as:?}{jti}")))).await;
        }
        for aud in
            [json!([endpoint, ISSUER]), json!(format!("{endpoint}/")), json!("https://other.example.com/oauth2/token")]
        {
            world.refuses(oauth2(), "aud", used_as.ask(&jwt(aud, "d")), used_as.reason(WrongAudience)).await;
        }
    }
}

#[tokio::test]
async fn an_assertion_is_good_for_five_minutes_and_ten_seconds_of_skew() {
    let world = world().await;
    let cases = vec![
        ("expired", es256().jwt(&with("exp", json!(NOW - 10))), Expired),
        ("expired long ago", es256().jwt(&with("exp", json!(0))), Expired),
        ("too far ahead", es256().jwt(&with("exp", json!(NOW + 311))), LongLived),
        ("never", es256().jwt(&with("exp", json!(u64::MAX))), LongLived),
        ("issued to come", es256().jwt(&with("iat", json!(NOW + 11))), NotYetValid),
        ("not yet", es256().jwt(&with("nbf", json!(NOW + 11))), NotYetValid),
    ];
    all_are_refused(&world, cases).await;
    for (name, value) in [("exp", NOW - 9), ("exp", NOW + 310), ("iat", NOW + 10), ("nbf", NOW + 10), ("iat", 0)] {
        let assertion = es256().jwt(&with_jti(name, json!(value), &format!("{name}{value}")));
        world.takes(oauth2(), name, Use::Grant.ask(&assertion)).await;
    }
    let mut bare = claims("svc", "no iat");
    bare.as_object_mut().unwrap().remove("iat");
    world.takes(oauth2(), "no iat", Use::Grant.ask(&es256().jwt(&bare))).await;
}

#[tokio::test]
async fn a_clients_registration_may_allow_an_hour() {
    let world = world().await;
    for used_as in USES {
        let jwt = |exp: u64| {
            let mut claims = claims("patient", &format!("{used_as:?}"));
            claims["exp"] = json!(exp);
            used_as.ask(&es256().jwt(&claims))
        };
        world.refuses(oauth2(), "over an hour", jwt(NOW + 3611), used_as.reason(LongLived)).await;
        world.takes(oauth2(), "an hour", jwt(NOW + 3610)).await;
        let again = jwt(NOW + 3610);
        let answer = world.send_at(again, NOW + 3600).await;
        assert_eq!(answer.record.reason, Some(used_as.reason(Replayed)), "remembered to its end");
    }
}

#[tokio::test]
async fn iss_and_sub_are_the_client_that_signed() {
    let world = world().await;
    all_are_refused(
        &world,
        vec![
            ("iss of another", es256().jwt(&with("iss", json!("twin"))), WrongSubject),
            ("iss that is not", es256().jwt(&with("iss", json!("nobody"))), WrongSubject),
            ("sub of another with other keys", es256().jwt(&with("sub", json!("other"))), UnknownKey),
            ("sub of another with the same keys", es256().jwt(&with("sub", json!("twin"))), WrongSubject),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_jti_is_good_once_for_each_client() {
    let world = world().await;
    for used_as in USES {
        let ask = |id: &str| used_as.ask(&es256().jwt(&claims(id, &format!("{used_as:?}"))));
        world.takes(oauth2(), "first", ask("svc")).await;
        world.refuses(oauth2(), "again", ask("svc"), used_as.reason(Replayed)).await;
        world.takes(oauth2(), "another client's", ask("twin")).await;
        // Nor does another use of it help.
        let other = USES[usize::from(used_as == USES[0])];
        let assertion = es256().jwt(&claims("svc", &format!("{used_as:?}")));
        world.refuses(oauth2(), "as the other", other.ask(&assertion), other.reason(Replayed)).await;
        // Until its assertion has expired by every clock, and then it is expired.
        for (now, fault) in [(NOW + 69, Replayed), (NOW + 70, Expired)] {
            assert_eq!(world.send_at(ask("svc"), now).await.record.reason, Some(used_as.reason(fault)));
        }
    }
}

#[tokio::test]
async fn an_assertion_introspects_and_revokes_once() {
    let world = world().await;
    let issued = world.send(Use::ClientAuthentication.ask(&es256().jwt(&claims("svc", "issue")))).await;
    let token = token_in(&body(&issued.response)).to_owned();
    let ask = |path: &str, jti: &str| {
        let (kind, assertion) = (encode(ASSERTION_TYPE), es256().jwt(&claims("svc", jti)));
        Ask::form(path, &format!("token={token}&client_assertion_type={kind}&client_assertion={}", encode(&assertion)))
    };
    for (path, jti, active) in [
        ("/oauth2/introspect", "a", Some(true)),
        ("/oauth2/revoke", "b", None),
        ("/oauth2/introspect", "c", Some(false)),
    ] {
        let answer = world.send(ask(path, jti)).await;
        assert_eq!(answer.response.status(), StatusCode::OK, "{path}");
        assert_eq!(body(&answer.response).get("active").and_then(Value::as_bool), active, "{path}");
        assert_eq!(answer.record.auth_method, Some("private_key_jwt"));
        let again = world.send(ask(path, jti)).await;
        assert_eq!(again.record.reason, Some(Reason::ClientAssertion(Replayed)), "{path}");
        assert_eq!(again.response.status(), StatusCode::UNAUTHORIZED);
    }
    world
        .refuses(
            oauth2(),
            "used up by introspection",
            Use::ClientAuthentication.ask(&es256().jwt(&claims("svc", "a"))),
            Reason::ClientAssertion(Replayed),
        )
        .await;
}

#[tokio::test]
async fn of_fifty_that_send_one_assertion_at_once_one_wins() {
    let world = world().await;
    for used_as in USES {
        let assertion = es256().jwt(&claims("svc", &format!("{used_as:?}")));
        let answers = join_all((0..50).map(|_| world.send(used_as.ask(&assertion)))).await;
        let won = answers.iter().filter(|answer| answer.response.status() == StatusCode::OK).count();
        let lost = answers.iter().filter(|answer| answer.record.reason == Some(used_as.reason(Replayed))).count();
        assert_eq!((won, lost), (1, 49));
    }
}

#[tokio::test]
async fn what_is_refused_for_another_reason_uses_no_jti_up() {
    let world = world().await;
    for used_as in USES {
        let assertion = es256().jwt(&claims("svc", &format!("{used_as:?}")));
        for (more, reason) in [
            ("&scope=admin", Reason::ScopeNotGranted),
            ("&scope=a%00", Reason::MalformedForm),
            ("&resource=https://other.example.com", Reason::TargetNotAllowed),
        ] {
            world.refuses(oauth2(), more, used_as.ask_with(&assertion, more), reason).await;
        }
        world.takes(oauth2(), "after all", used_as.ask(&assertion)).await;
    }
}

#[tokio::test]
async fn a_state_table_that_is_out_gives_no_token_and_blames_nobody() {
    let world = world().await;
    world.engine.sdk().delete_table().table_name(mintlet::config::STATE_TABLE).send().await.unwrap();
    for used_as in USES {
        let ask = used_as.ask(&es256().jwt(&claims("svc", "a")));
        world.refuses(oauth2(), "out", ask, Reason::StoreUnavailable).await;
    }
}

#[tokio::test]
async fn what_the_registration_says_holds_for_assertions_too() {
    let world = world().await;
    let ask = |used_as: Use, id: &str| used_as.ask(&es256().jwt(&claims(id, &format!("{used_as:?}"))));
    let (client, grant) = (Use::ClientAuthentication, Use::Grant);
    world.refuses(oauth2(), "disabled", ask(client, "disabled"), Reason::ClientDisabled).await;
    world.refuses(oauth2(), "disabled", ask(grant, "disabled"), Reason::AssertionGrant(ClientDisabled)).await;
    for used_as in USES {
        world.refuses(oauth2(), "no grants", ask(used_as, "without-grants"), Reason::GrantNotRegistered).await;
        world.takes(oauth2(), "by key", ask(used_as, "by-key")).await;
    }
    world.refuses(oauth2(), "by secret", ask(client, "by-secret"), Reason::AuthMethodNotRegistered).await;
    world.takes(oauth2(), "the method is for authentication", ask(grant, "by-secret")).await;
}

#[tokio::test]
async fn one_method_and_one_client_in_a_request() {
    let world = world().await;
    let jwt = |id: &str, jti: &str| es256().jwt(&claims(id, jti));
    let client = Use::ClientAuthentication;
    let basic = |ask: Ask| ask.basic("both", SECRET);
    world.refuses(oauth2(), "Basic too", basic(client.ask(&jwt("both", "a"))), Reason::TwoAuthMethods).await;
    let ask = client.ask_with(&jwt("both", "a"), &format!("&client_id=both&client_secret={SECRET}"));
    world.refuses(oauth2(), "a secret too", ask, Reason::TwoAuthMethods).await;
    let ask = client.ask_with(&jwt("svc", "a"), "&client_id=twin");
    world.refuses(oauth2(), "another client_id", ask, Reason::ClientIdMismatch).await;
    world.takes(oauth2(), "its client_id", client.ask_with(&jwt("svc", "a"), "&client_id=svc")).await;

    // RFC 7521 section 4.1: the grant may come with client authentication, and that has to be right as well.
    world.takes(oauth2(), "the same client", basic(Use::Grant.ask(&jwt("both", "a")))).await;
    let ask = basic(Use::Grant.ask(&jwt("svc", "b")));
    world.refuses(oauth2(), "another client", ask, Reason::AssertionGrant(AnotherClient)).await;
    let ask = Use::Grant.ask(&jwt("both", "b")).basic("both", "wrong");
    world.refuses(oauth2(), "a wrong secret", ask, Reason::SecretMismatch).await;
    let ask = Use::Grant.ask(&jwt("both", "b")).header(header::AUTHORIZATION, "Basic !");
    world.refuses(oauth2(), "a malformed Basic", ask, Reason::MalformedBasic).await;
    let ask = basic(Use::Grant.ask_with(&jwt("both", "b"), &format!("&client_secret={SECRET}")));
    world.refuses(oauth2(), "two methods beside it", ask, Reason::TwoAuthMethods).await;
    let both = |grant: &str, client: &str| {
        let (client, kind) = (encode(client), encode(ASSERTION_TYPE));
        Use::Grant.ask_with(grant, &format!("&client_assertion={client}&client_assertion_type={kind}"))
    };
    let ask = both(&jwt("svc", "b"), &jwt("svc", "b"));
    world.refuses(oauth2(), "one assertion as both", ask, Reason::AssertionGrant(Replayed)).await;
    world.takes(oauth2(), "two assertions", both(&jwt("svc", "b"), &jwt("svc", "c"))).await;
    let ask = both(&jwt("svc", "d"), &jwt("svc", "c"));
    world.refuses(oauth2(), "one of them used", ask, Reason::ClientAssertion(Replayed)).await;
    world.takes(oauth2(), "and the other not used up", Use::Grant.ask(&jwt("svc", "d"))).await;
}

#[tokio::test]
async fn the_assertion_and_its_type_are_both_there() {
    let world = world().await;
    let assertion = encode(&es256().jwt(&claims("svc", "a")));
    let kind = encode(ASSERTION_TYPE);
    for (title, more) in [
        ("no type", format!("&client_assertion={assertion}")),
        ("no assertion", format!("&client_assertion_type={kind}")),
        ("another type", format!("&client_assertion={assertion}&client_assertion_type=urn%3Asaml2-bearer")),
        ("the grant's name", format!("&client_assertion={assertion}&client_assertion_type={}", encode(JWT_BEARER))),
    ] {
        let ask = Ask::form("/oauth2/token", &format!("grant_type=client_credentials{more}"));
        world.refuses(oauth2(), title, ask, Reason::ClientAssertion(TypeNotTaken)).await;
    }
    let grant = format!("grant_type={}", encode(JWT_BEARER));
    world.refuses(oauth2(), "no assertion", Ask::form("/oauth2/token", &grant), Reason::MissingAssertion).await;
    // Only frontier takes it there.
    let ask = Ask::form("/oauth2/token", &grant).header(header::AUTHORIZATION, "Bearer x");
    world.refuses(oauth2(), "as a bearer", ask, Reason::MissingAssertion).await;
    let ask = Use::ClientAuthentication.ask("x").query(&format!("client_assertion={assertion}"));
    world.refuses(oauth2(), "in the query", ask, Reason::CredentialInQuery).await;
}

#[tokio::test]
async fn where_a_route_does_not_take_assertions_they_are_no_method() {
    let world = world().await;
    let assertion = encode(&es256().jwt(&claims("svc", "a")));
    let body = format!(
        "grant_type=client_credentials&client_assertion={assertion}&client_assertion_type={}",
        encode(ASSERTION_TYPE)
    );
    for name in ["screening-eagle", "frontier", "eventhos"] {
        let dialect = Dialect::named(name).unwrap();
        world.refuses(dialect, "client_assertion", Ask::form(dialect.path, &body), Reason::AuthMethodNotTaken).await;
    }
    for name in ["screening-eagle", "eventhos"] {
        let dialect = Dialect::named(name).unwrap();
        let ask = Ask::form(dialect.path, &format!("grant_type={}&assertion={assertion}", encode(JWT_BEARER)));
        world.refuses(dialect, "the grant", ask, Reason::UnsupportedGrantType).await;
    }
}

#[tokio::test]
async fn a_new_key_works_within_five_seconds_though_the_client_is_cached() {
    let clients = json!([client_with("svc", "jwks", json!({"keys": [OTHER.jwk()]}))]);
    let world = World::with(clients, &[Alg::ES256], |_| {}, 30).await;
    let at = async |key: &Signer, jti: &str, now: u64| {
        world.send_at(Use::Grant.ask(&key.jwt(&claims("svc", jti))), now).await.record.reason
    };
    assert_eq!(at(&OTHER, "a", NOW).await, None);
    let file = json!({"clients": [client("svc")]}).to_string();
    world.clients.apply(mintlet::cli::registration::read_file(&file).unwrap()).await.unwrap();
    assert_eq!(at(es256(), "b", NOW + 4).await, Some(Reason::AssertionGrant(UnknownKey)));
    assert_eq!(at(es256(), "b", NOW + 5).await, None);
}

#[tokio::test]
async fn what_an_assertion_gets_and_its_refusals_are_as_recorded() {
    let world = world().await;
    let mut text = String::new();
    let expired = |id: &str| {
        let mut claims = claims(id, "old");
        claims["exp"] = json!(NOW - 60);
        es256().jwt(&claims)
    };
    for used_as in USES {
        let titled = [
            ("issued", es256().jwt(&claims("svc", &format!("{used_as:?}")))),
            ("replayed", es256().jwt(&claims("svc", &format!("{used_as:?}")))),
            ("expired", expired("svc")),
            ("unknown client", es256().jwt(&claims("nobody", "a"))),
            ("unknown key", OTHER.jwt(&claims("svc", "a"))),
            ("disabled client", es256().jwt(&claims("disabled", "a"))),
            ("not a JWT", "x".to_owned()),
        ];
        for (title, assertion) in titled {
            let answer = world.send(used_as.ask(&assertion)).await;
            write!(text, "== {used_as:?}, {title}\n{}\n\n", readable(&answer.response)).unwrap();
        }
    }
    insta::assert_snapshot!("assertions", text);
}
