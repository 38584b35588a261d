//! Whatever stands in a `DPoP` header, the answer is one of the contract's, and no other text than the signed one is a proof.

use std::sync::LazyLock;

use mintlet::oauth::{
    dpop::{Expected, Proof},
    error::{ErrorCode, Reason},
    jwt::Alg,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::{
    proofs::{ProofKey, claims, encode},
    support::{ISSUER, NOW},
};

const ALGS: [Alg; 4] = [Alg::PS256, Alg::ES256, Alg::ES384, Alg::EdDSA];
static KEYS: LazyLock<Vec<ProofKey>> = LazyLock::new(|| ALGS.map(ProofKey::generate).into());

fn read(value: &[u8]) -> Result<Proof, Reason> {
    let url = format!("{ISSUER}/oauth2/token");
    let expected = Expected { urls: &[Some(url.as_str()), None], now: NOW, takes_nonce: &|_| true };
    Proof::read(std::iter::once(value), &expected)
}

// JSON of any kind, also of the kinds that a proof has.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec![
            "null",
            "true",
            "0",
            "-1",
            "1e300",
            "1800000000",
            "\"POST\"",
            "\"dpop+jwt\"",
            "\"\"",
            "\"ES256\"",
            "{",
            "x"
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| json!(text).to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        (0..ALGS.len()).prop_map(|key| KEYS[key].jwk.to_string()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec((member_name(), inner), 0..4).prop_map(|members| object(&members)),
        ]
    })
}

fn member_name() -> impl Strategy<Value = String> {
    const NAMES: &[&str] = &[
        "typ", "alg", "jwk", "kty", "crv", "x", "y", "n", "e", "d", "jti", "htm", "htu", "iat", "nonce", "crit", "b64",
        "use", "kid", "",
    ];
    prop_oneof![9 => select(NAMES).prop_map(str::to_owned), 1 => any::<String>()]
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", members.join(","))
}

// The members of a good header or of good claims, some of which are left out, doubled or have another value; and others.
fn mutated(good: &Value) -> impl Strategy<Value = String> + use<> {
    let good: Vec<_> =
        good.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    let kept = good.into_iter().map(|(name, value)| {
        let same = (name.clone(), value.clone());
        prop_oneof![
            12 => Just(vec![same.clone()]),
            1 => Just(vec![]),
            1 => Just(vec![same.clone(), same]),
            1 => any_json().prop_map(move |other| vec![(name.clone(), other)]),
        ]
    });
    let more = option::weighted(0.2, (member_name(), any_json()));
    (kept.collect::<Vec<_>>(), more)
        .prop_map(|(kept, more)| object(&kept.into_iter().flatten().chain(more).collect::<Vec<_>>()))
}

// Signed as it should be, whatever is signed.
fn signed() -> impl Strategy<Value = String> {
    (0..ALGS.len())
        .prop_flat_map(|key| {
            let header = json!(KEYS[key].header());
            (
                Just(key),
                prop_oneof![8 => mutated(&header), 1 => any_json()],
                prop_oneof![8 => mutated(&json!(claims())), 1 => any_json()],
            )
        })
        .prop_map(|(key, header, claims)| KEYS[key].sign(&header, &claims))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => signed().prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..200),
        1 => "[A-Za-z0-9_.=, -]{0,200}".prop_map(String::into_bytes),
        2 => (vec(any::<u8>(), 0..60), vec(any::<u8>(), 0..60), vec(any::<u8>(), 0..80))
            .prop_map(|(a, b, c)| format!("{}.{}.{}", encode(&a), encode(&b), encode(&c)).into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_in_the_header_is_a_proof_or_is_refused_as_one(value in bytes()) {
        if let Err(reason) = read(&value) {
            prop_assert_eq!(reason.code(), ErrorCode::InvalidDpopProof);
        }
    }

    #[test]
    fn a_proof_with_any_character_changed_is_none(key in 0..ALGS.len(), at in any::<prop::sample::Index>(), other in any::<u8>()) {
        let good = KEYS[key].proof().into_bytes();
        prop_assert!(read(&good).is_ok());
        let mut changed = good.clone();
        let at = at.index(changed.len());
        changed[at] = other;
        // The signature is over the text, so that another text of the same meaning is none either.
        prop_assert_eq!(read(&changed).is_ok(), changed == good);
    }
}

#[test]
fn what_the_generator_makes_holds_proofs_too() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let proofs = (0..1_000).filter(|_| read(&bytes().new_tree(&mut runner).unwrap().current()).is_ok()).count();
    assert!(proofs > 50, "only {proofs} of 1000: the property is checked on refusals alone");
}
