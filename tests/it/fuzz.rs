//! Whatever is sent, the answer is one of the contract's.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Method, header};
use mintlet::{
    dialect::DIALECTS,
    oauth::{
        jwk::{Jwks, VerifyingKey},
        jws::{HeaderKey, UnverifiedJwt},
        jwt::Alg,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    signer::Signer,
    support::{Ask, ISSUER, NOW, SECRET, World, body, encode},
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static KEY: LazyLock<Signer> = LazyLock::new(|| Signer::new(Alg::ES256));
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let client = json!({
        "client_id": "billing", "client_secret": SECRET, "scope": "read write", "audience": ["a:a"],
        "jwks": {"keys": [KEY.jwk()]}, "grant_types": ["client_credentials", JWT_BEARER]
    });
    RUNTIME.block_on(World::new(json!([client]), &[Alg::ES256]))
});

const NAMES: &[&str] = &[
    "grant_type",
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "resource",
    "audience",
    "client_assertion",
    "assertion",
    "code",
    "username",
    "authorization_details",
    "subject_token",
    "subject_token_type",
    "token",
    "password",
    "x",
    "__proto__",
    "%67rant_type",
    "",
];
const VALUES: &[&str] = &[
    "client_credentials",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:token-type:jwt",
    "%5B%7B%22type%22:%22a%22%7D%5D",
    "billing",
    SECRET,
    "read",
    "read+write",
    "a:a",
    "",
    "%zz",
    "%00",
    "%C3",
    "a%20b",
    "\"",
    "\\",
    "\u{0}",
    "é",
    "<script>",
    "../../",
    "password",
];
const TYPES: &[&str] = &[
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8",
    "application/json",
    "text/plain",
    "",
    ";",
    "application/json;",
];

// A request that is nearly right: nothing of it, its grant, or its grant and its credentials, and a few parameters more.
const BEGINNINGS: &[&[(&str, &str)]] = &[
    &[],
    &[("grant_type", "client_credentials")],
    &[("grant_type", "client_credentials"), ("client_id", "billing"), ("client_secret", SECRET)],
];

fn form() -> impl Strategy<Value = Vec<u8>> {
    (select(BEGINNINGS), vec((select(NAMES), select(VALUES)), 0..3)).prop_map(|(beginning, more)| {
        let pairs: Vec<_> = beginning.iter().chain(&more).map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&").into_bytes()
    })
}

fn json_object() -> impl Strategy<Value = Vec<u8>> {
    (select(BEGINNINGS), vec((select(NAMES), select(VALUES), 0..16_u8), 0..3)).prop_map(|(beginning, more)| {
        let beginning = beginning.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value)));
        let more = more.into_iter().map(|(name, value, form)| match form {
            0 => format!("{}:[{}]", json!(name), json!(value)),
            1 => format!("{}:null", json!(name)),
            _ => format!("{}:{}", json!(name), json!(value)),
        });
        format!("{{{}}}", beginning.chain(more).collect::<Vec<_>>().join(",")).into_bytes()
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => form(), 4 => json_object(), 1 => vec(any::<u8>(), 0..64), 1 => vec(any::<u8>(), 16_380..16_390)]
}

fn authorization() -> impl Strategy<Value = Vec<u8>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let basic = |pair: Vec<u8>| format!("Basic {}", STANDARD.encode(pair)).into_bytes();
    prop_oneof![
        3 => Just(basic(format!("billing:{SECRET}").into_bytes())),
        2 => vec(any::<u8>(), 0..32).prop_map(basic),
        1 => (select(VALUES), select(VALUES)).prop_map(move |(id, secret)| basic(format!("{id}:{secret}").into_bytes())),
        1 => vec(any::<u8>(), 0..32),
    ]
}

#[derive(Clone, Debug)]
struct Sent {
    dialect: usize,
    method: Method,
    content_type: Option<Vec<u8>>,
    authorizations: Vec<Vec<u8>>,
    query: Vec<u8>,
    body: Vec<u8>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let method = prop_oneof![9 => Just(Method::POST), 1 => Just(Method::GET)];
    let known_type = select(TYPES).prop_map(|text| text.as_bytes().to_vec());
    let content_type = option::weighted(0.9, prop_oneof![4 => known_type, 1 => vec(any::<u8>(), 0..24)]);
    let authorizations = prop_oneof![5 => Just(Vec::new()), 4 => vec(authorization(), 1), 1 => vec(authorization(), 2)];
    let query = prop_oneof![8 => Just(Vec::new()), 1 => form(), 1 => vec(any::<u8>(), 0..16)];
    (0..DIALECTS.len(), method, content_type, authorizations, query, any_body()).prop_map(
        |(dialect, method, content_type, authorizations, query, body)| Sent {
            dialect,
            method,
            content_type,
            authorizations,
            query,
            body,
        },
    )
}

impl From<Sent> for Ask {
    fn from(sent: Sent) -> Self {
        let mut ask = Self::get(DIALECTS[sent.dialect].path).method(sent.method);
        let content_type = sent.content_type.into_iter().map(|value| (header::CONTENT_TYPE, value));
        let authorizations = sent.authorizations.into_iter().map(|value| (header::AUTHORIZATION, value));
        for (name, value) in content_type.chain(authorizations) {
            // What no HTTP server lets through is not sent.
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                ask.0.headers.append(name, value);
            }
        }
        ask.0.query = String::from_utf8_lossy(&sent.query).into_owned();
        ask.0.body = Ok(sent.body.into());
        ask
    }
}

fn is_of_rfc_6749(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

fn check(sent: Sent) -> Result<(), TestCaseError> {
    let dialect = &DIALECTS[sent.dialect];
    let answer = RUNTIME.block_on(WORLD.send(sent.into()));
    let response = &answer.response;
    let status = response.status().as_u16();
    let issued = if dialect.name == "eventhos" { 201 } else { 200 };
    prop_assert!([issued, 400, 401, 403, 404, 405, 413].contains(&status), "{status}");
    prop_assert_eq!(answer.record.reason.is_none(), status == issued);
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
    prop_assert_eq!(header("content-type"), Some("application/json"));
    prop_assert_eq!(header("cache-control"), Some("no-store"));
    prop_assert_eq!(header("pragma"), Some("no-cache"));
    prop_assert_eq!(header("x-content-type-options"), Some("nosniff"));
    prop_assert_eq!(header("www-authenticate").is_some(), status == 401);
    prop_assert_eq!(header("allow").is_some(), status == 405);
    prop_assert_eq!(header("retry-after"), None);
    let body = body(response);
    if let Some(reason) = answer.record.reason {
        let text = ["error_description", "errorDescription", "message"].iter().find_map(|name| body[*name].as_str());
        prop_assert!(text.is_some_and(is_of_rfc_6749), "{body}");
        prop_assert!(reason.code().retry_after().is_none());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_the_answer_is_one_of_the_contracts(sent in sent()) {
        check(sent)?;
    }
}

// Members that mean something to the readers of JWTs and JWKs, and values that one of them could stumble on.
const MEMBERS: &[&str] = &[
    "alg",
    "kid",
    "typ",
    "jwk",
    "crit",
    "b64",
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "kty",
    "crv",
    "x",
    "y",
    "n",
    "e",
    "d",
    "use",
    "key_ops",
    "keys",
    "",
    "é",
    "__proto__",
];

fn json_value() -> impl Strategy<Value = Value> {
    let texts = select(vec![
        "ES256", "none", "JWT", "billing", ISSUER, "EC", "RSA", "OKP", "P-256", "P-384", "Ed25519", "AQAB", "sig", "",
        "é",
    ]);
    let leaf = prop_oneof![
        4 => texts.prop_map(Value::from),
        2 => any::<u64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => (0..200_u64).prop_map(|seconds| Value::from(NOW - 100 + seconds)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        2 => vec(any::<u8>(), 0..600).prop_map(|bytes| Value::from(URL_SAFE_NO_PAD.encode(bytes))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((select(MEMBERS), inner), 0..4).prop_map(object),
        ]
    })
}

fn object(members: Vec<(&'static str, Value)>) -> Value {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>().into()
}

fn changed(good: Value) -> impl Strategy<Value = Value> {
    vec((select(MEMBERS), json_value()), 0..3).prop_map(move |changes| {
        let mut changed = good.clone();
        for (name, value) in changes {
            changed[name] = value;
        }
        changed
    })
}

// A JWT that is nearly right, rightly signed; or one with bytes changed; or anything.
fn jwt() -> impl Strategy<Value = String> {
    let header = changed(json!({"alg": "ES256", "kid": KEY.kid, "typ": "JWT"}));
    let claims = (changed(json!({"iss": "billing", "sub": "billing", "aud": ISSUER, "exp": NOW + 60})), any::<u64>());
    let claims = claims.prop_map(|(mut claims, jti)| {
        claims["jti"] = json!(jti.to_string());
        claims
    });
    let signed = (header, claims).prop_map(|(header, claims)| KEY.jwt_with(&header, &claims)).boxed();
    let damaged = (signed.clone(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(text, place, with)| {
        let mut letters: Vec<_> = text.chars().collect();
        let place = place.index(letters.len());
        letters[place] = with;
        letters.into_iter().collect()
    });
    prop_oneof![6 => signed.clone(), 3 => damaged, 1 => "[A-Za-z0-9_.=-]{0,64}", 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_assertion_is_sent_the_answer_is_one_of_the_contracts(jwt in jwt(), dialect in 0..DIALECTS.len(), grant: bool) {
        let assertion = encode(&jwt);
        let body = if grant {
            format!("grant_type={}&assertion={assertion}", encode(JWT_BEARER))
        } else {
            let kind = encode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            format!("grant_type=client_credentials&client_assertion={assertion}&client_assertion_type={kind}")
        };
        check(Sent {
            dialect,
            method: Method::POST,
            content_type: Some(TYPES[0].as_bytes().to_vec()),
            authorizations: Vec::new(),
            query: Vec::new(),
            body: body.into_bytes(),
        })?;
    }

    #[test]
    fn whatever_is_said_to_be_a_key_it_verifies_nothing_that_it_did_not_sign(jwk in prop_oneof![changed(KEY.jwk()), json_value()]) {
        let jwt = UnverifiedJwt::parse(&KEY.jwt(&json!({})), HeaderKey::Refused).ok().unwrap();
        for alg in Alg::ASYMMETRIC {
            let Some(jwk) = jwk.as_object() else { continue };
            if let Ok(key) = VerifyingKey::from_jwk_for(jwk, alg) {
                prop_assert_eq!(key.alg(), alg);
                prop_assert_eq!(jwt.verify(&key), key.thumbprint() == KEY.kid);
            }
        }
        drop(Jwks::try_from(json!({"keys": [jwk]})));
    }
}

#[test]
fn what_the_generator_signs_gets_tokens_too() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let issued = (0..500).filter(|_| {
        let assertion = encode(&jwt().new_tree(&mut runner).unwrap().current());
        let body = format!("grant_type={}&assertion={assertion}", encode(JWT_BEARER));
        RUNTIME.block_on(WORLD.send(Ask::form("/oauth2/token", &body))).record.reason.is_none()
    });
    let issued = issued.count();
    assert!(issued > 50, "only {issued} of 500: the property is checked on refusals alone");
}

#[test]
fn what_the_generator_sends_gets_tokens_too() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let issued = (0..3_000).filter(|_| {
        let sent = sent().new_tree(&mut runner).unwrap().current();
        RUNTIME.block_on(WORLD.send(sent.into())).record.reason.is_none()
    });
    let issued = issued.count();
    assert!(issued > 50, "only {issued} of 3000: the property is checked on refusals alone");
}
