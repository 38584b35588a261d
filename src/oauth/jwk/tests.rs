use serde_json::json;

use super::*;

fn parse(jwk: &Value) -> Result<VerifyingKey, JwkFault> {
    VerifyingKey::from_jwk(jwk.as_object().unwrap())
}

// RFC 7517 appendix A.1, and RFC 8037 appendix A.2.
fn ec() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
    })
}

fn okp() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

// A modulus of that many bits: odd, and a product of whatever.
fn rsa(bits: usize) -> Value {
    let mut n = vec![0xA5; bits / 8];
    n[0] = 0x80;
    json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB"})
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

#[test]
fn a_key_is_bound_to_one_algorithm() {
    for (jwk, alg) in [(ec(), Alg::ES256), (okp(), Alg::EdDSA), (rsa(2048), Alg::RS256)] {
        assert_eq!(parse(&jwk).unwrap().alg(), alg);
        assert_eq!(parse(&with(jwk.clone(), "alg", json!(alg))).unwrap().alg(), alg);
        assert_eq!(VerifyingKey::from_jwk_for(jwk.as_object().unwrap(), alg).unwrap().alg(), alg);
    }
    assert_eq!(parse(&with(rsa(2048), "alg", json!("PS256"))).unwrap().alg(), Alg::PS256);
    assert_eq!(VerifyingKey::from_jwk_for(rsa(2048).as_object().unwrap(), Alg::PS256).unwrap().alg(), Alg::PS256);
    assert_eq!(parse(&with(okp(), "alg", json!("Ed25519"))).unwrap().alg(), Alg::EdDSA);
    let named = with(rsa(2048), "alg", json!("RS256"));
    assert_eq!(VerifyingKey::from_jwk_for(named.as_object().unwrap(), Alg::PS256).unwrap_err(), JwkFault::WrongAlg);
}

#[test]
fn the_thumbprint_is_rfc_7638s() {
    // RFC 8037 appendix A.3.
    assert_eq!(parse(&okp()).unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let named = with(with(okp(), "kid", json!("a")), "use", json!("sig"));
    assert_eq!(parse(&named).unwrap().thumbprint(), parse(&okp()).unwrap().thumbprint());
}

#[test]
fn a_key_that_is_weak_or_is_not_one_is_refused() {
    let even = {
        let mut n = vec![0xA5; 256];
        n[255] = 0xA4;
        URL_SAFE_NO_PAD.encode(n)
    };
    let zero_first = URL_SAFE_NO_PAD.encode([&[0], vec![0xA5; 256].as_slice()].concat());
    let x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    let point = [x, ec()["y"].as_str().unwrap()].map(|text| URL_SAFE_NO_PAD.decode(text).unwrap()).concat();
    let (x_and_a_byte, y_less_a_byte) = point.split_at(33);
    let [x_and_a_byte, y_less_a_byte] = [x_and_a_byte, y_less_a_byte].map(|part| URL_SAFE_NO_PAD.encode(part));
    for (jwk, fault) in [
        (rsa(1024), JwkFault::RsaModulus),
        (rsa(2040), JwkFault::RsaModulus),
        (rsa(8200), JwkFault::RsaModulus),
        (with(rsa(2048), "n", json!(even)), JwkFault::RsaModulus),
        (with(rsa(2048), "n", json!(zero_first)), JwkFault::Malformed),
        (with(rsa(2048), "e", json!("AQ")), JwkFault::RsaExponent),
        (with(rsa(2048), "e", json!("Aw")), JwkFault::RsaExponent),
        (with(rsa(2048), "e", json!("AQAA")), JwkFault::RsaExponent),
        (with(rsa(2048), "e", json!("AQAC")), JwkFault::RsaExponent),
        (with(rsa(2048), "e", json!("AQAAAAE")), JwkFault::RsaExponent),
        (with(rsa(2048), "e", json!("AAEAAQ")), JwkFault::Malformed),
        (with(rsa(2048), "e", json!("")), JwkFault::Malformed),
        (with(rsa(2048), "e", json!(65537)), JwkFault::Malformed),
        (with(rsa(2048), "alg", json!("ES256")), JwkFault::WrongAlg),
        (with(rsa(2048), "alg", json!("RSA-OAEP")), JwkFault::WrongAlg),
        (with(rsa(2048), "alg", json!("RS512")), JwkFault::WrongAlg),
        (with(ec(), "y", json!(x)), JwkFault::NotOnCurve),
        (with(ec(), "y", json!("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4I")), JwkFault::NotOnCurve),
        (with(ec(), "y", json!("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM=")), JwkFault::Malformed),
        (with(ec(), "y", json!(null)), JwkFault::Malformed),
        (with(with(ec(), "x", json!("A".repeat(43))), "y", json!("A".repeat(43))), JwkFault::NotOnCurve),
        // The same point, cut elsewhere: it would have another thumbprint.
        (with(with(ec(), "x", json!(x_and_a_byte)), "y", json!(y_less_a_byte)), JwkFault::NotOnCurve),
        (with(ec(), "alg", json!("ES384")), JwkFault::WrongAlg),
        (with(ec(), "crv", json!("P-384")), JwkFault::NotOnCurve),
        (with(ec(), "crv", json!("P-521")), JwkFault::UnknownKind),
        (with(ec(), "crv", json!("secp256k1")), JwkFault::UnknownKind),
        (with(okp(), "crv", json!("X25519")), JwkFault::UnknownKind),
        (with(okp(), "x", json!("AAAA")), JwkFault::NotOnCurve),
        (with(okp(), "alg", json!("ES256")), JwkFault::WrongAlg),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), JwkFault::Private),
        (json!({"kty": "oct"}), JwkFault::UnknownKind),
        (json!({}), JwkFault::UnknownKind),
    ] {
        assert_eq!(parse(&jwk).unwrap_err(), fault, "{jwk}");
    }
    for private in PRIVATE {
        assert_eq!(parse(&with(ec(), private, json!("x"))).unwrap_err(), JwkFault::Private, "{private}");
    }
}

#[test]
fn a_key_that_is_for_something_else_is_refused() {
    for (name, value, good) in [
        ("use", json!("sig"), true),
        ("use", json!("enc"), false),
        ("use", json!(null), false),
        ("key_ops", json!(["verify"]), true),
        ("key_ops", json!(["sign", "verify"]), true),
        ("key_ops", json!(["encrypt"]), false),
        ("key_ops", json!([]), false),
        ("key_ops", json!("verify"), false),
    ] {
        assert_eq!(parse(&with(ec(), name, value.clone())).is_ok(), good, "{name} {value}");
    }
}

#[test]
fn the_keys_of_a_set_are_all_right_and_have_ids_of_their_own() {
    let set = |keys: Value| Jwks::try_from(json!({"keys": keys}));
    let named = |kid: Value| with(ec(), "kid", kid);
    let jwks = set(json!([named(json!("a")), okp()])).unwrap();
    let listed: Vec<_> = jwks.list().collect();
    assert_eq!(listed, [("a", Alg::ES256), ("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", Alg::EdDSA)]);
    assert_eq!(set(json!([])).unwrap().list().count(), 0);
    for (keys, fault) in [
        (json!([named(json!("a")), with(okp(), "kid", json!("a"))]), JwksFault::Kid(1)),
        (json!([ec(), ec()]), JwksFault::Kid(1)),
        (json!([named(json!(""))]), JwksFault::Kid(0)),
        (json!([named(json!(7))]), JwksFault::Kid(0)),
        (json!([named(json!("x".repeat(256)))]), JwksFault::Kid(0)),
        (json!([ec(), rsa(1024)]), JwksFault::Key(1, JwkFault::RsaModulus)),
        (json!(["a"]), JwksFault::Malformed),
        (json!({}), JwksFault::Malformed),
        (json!((0..11).map(|n| named(json!(n.to_string()))).collect::<Vec<_>>()), JwksFault::TooMany),
    ] {
        assert_eq!(set(keys.clone()).unwrap_err(), fault, "{keys}");
    }
    assert_eq!(Jwks::try_from(json!([])).unwrap_err(), JwksFault::Malformed);
}
