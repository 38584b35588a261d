//! Public keys as JWKs (RFC 7517, RFC 7518 section 6, RFC 8037 section 2), each for one algorithm alone.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA256, RsaParameters, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{jws::Jws, jwt::Alg};

/// A public key that verifies signatures of one algorithm.
pub struct PublicKey {
    material: Material,
    thumbprint: String,
}

enum Material {
    Rsa(PublicKeyComponents<Vec<u8>>, &'static RsaParameters),
    Other(ParsedPublicKey),
}

/// A JWK is no public key, too small a one, or none of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFault;

// RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
// More makes the verification long, fewer makes the key weak (RFC 7518 section 3.3).
const RSA_MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const MAX_RSA_EXPONENT_BYTES: usize = 4;

impl PublicKey {
    /// The key of a JWK, for signatures of `alg` and no other.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub fn from_jwk(jwk: &Map<String, Value>, alg: Alg) -> Result<Self, KeyFault> {
        let says = |name: &str, one_of: &[&str]| {
            jwk.get(name).is_none_or(|value| value.as_str().is_some_and(|value| one_of.contains(&value)))
        };
        let names = if alg == Alg::EdDSA { &["EdDSA", "Ed25519"][..] } else { &[alg.as_str()] };
        let may_verify =
            jwk.get("key_ops").is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")));
        if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name))
            || !says("use", &["sig"])
            || !says("alg", names)
            || !may_verify
        {
            return Err(KeyFault);
        }
        match alg {
            Alg::RS256 => Self::rsa(jwk, &RSA_PKCS1_2048_8192_SHA256),
            Alg::PS256 => Self::rsa(jwk, &RSA_PSS_2048_8192_SHA256),
            Alg::ES256 => Self::ec(jwk, "P-256", 32, &ECDSA_P256_SHA256_FIXED),
            Alg::ES384 => Self::ec(jwk, "P-384", 48, &ECDSA_P384_SHA384_FIXED),
            Alg::EdDSA => Self::ed25519(jwk),
            // A key that both sides hold is no public key.
            Alg::HS256 => Err(KeyFault),
        }
    }

    fn rsa(jwk: &Map<String, Value>, parameters: &'static RsaParameters) -> Result<Self, KeyFault> {
        let (n, e) = (member(jwk, "n")?, member(jwk, "e")?);
        let (modulus, exponent) = (unsigned(n)?, unsigned(e)?);
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte % 2 == 1);
        if kty(jwk)? != "RSA"
            || !RSA_MODULUS_BITS.contains(&bits)
            || !odd(&modulus)
            || !odd(&exponent)
            || exponent == [1]
            || exponent.len() > MAX_RSA_EXPONENT_BYTES
        {
            return Err(KeyFault);
        }
        let thumbprint = thumbprint(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
        Ok(Self { material: Material::Rsa(PublicKeyComponents { n: modulus, e: exponent }, parameters), thumbprint })
    }

    fn ec(
        jwk: &Map<String, Value>,
        crv: &str,
        length: usize,
        alg: &'static dyn VerificationAlgorithm,
    ) -> Result<Self, KeyFault> {
        let (x, y) = (member(jwk, "x")?, member(jwk, "y")?);
        if kty(jwk)? != "EC" || member(jwk, "crv")? != crv {
            return Err(KeyFault);
        }
        // SEC 1 section 2.3.3, uncompressed: 04, x, y. Parsing it checks that the point is on the curve.
        let point = [&[4], &*sized(x, length)?, &*sized(y, length)?].concat();
        let key = ParsedPublicKey::new(alg, point).map_err(|_| KeyFault)?;
        let thumbprint = thumbprint(&format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#));
        Ok(Self { material: Material::Other(key), thumbprint })
    }

    fn ed25519(jwk: &Map<String, Value>) -> Result<Self, KeyFault> {
        let x = member(jwk, "x")?;
        if kty(jwk)? != "OKP" || member(jwk, "crv")? != "Ed25519" {
            return Err(KeyFault);
        }
        let key = ParsedPublicKey::new(&ED25519, sized(x, 32)?).map_err(|_| KeyFault)?;
        let thumbprint = thumbprint(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Ok(Self { material: Material::Other(key), thumbprint })
    }

    /// Whether a JWS was signed with the private half of the key.
    #[must_use]
    pub fn verifies(&self, jws: &Jws<'_>) -> bool {
        match &self.material {
            Material::Rsa(key, parameters) => key.verify(*parameters, jws.signed(), jws.signature()).is_ok(),
            Material::Other(key) => key.verify_sig(jws.signed(), jws.signature()).is_ok(),
        }
    }

    /// Its RFC 7638 thumbprint, SHA-256 in base64url. There is one way only to write a key, so that no key has two.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

fn thumbprint(canonical: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

fn member<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<&'a str, KeyFault> {
    jwk.get(name).and_then(Value::as_str).ok_or(KeyFault)
}

fn kty(jwk: &Map<String, Value>) -> Result<&str, KeyFault> {
    member(jwk, "kty")
}

fn sized(text: &str, length: usize) -> Result<Vec<u8>, KeyFault> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == length).ok_or(KeyFault)
}

// RFC 7518 section 2, Base64urlUInt: no zero octets in front.
fn unsigned(text: &str) -> Result<Vec<u8>, KeyFault> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.first().is_some_and(|first| *first != 0)).ok_or(KeyFault)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(jwk: &Value, alg: Alg) -> Result<String, KeyFault> {
        PublicKey::from_jwk(jwk.as_object().unwrap(), alg).map(|key| key.thumbprint().to_owned())
    }

    // RFC 7638 section 3.1 and RFC 8037 appendix A.3 have these keys with their thumbprints.
    fn rfc_7638() -> Value {
        json!({
            "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        })
    }

    fn rfc_8037() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    #[test]
    fn a_thumbprint_is_that_of_the_rfcs() {
        assert_eq!(read(&rfc_7638(), Alg::RS256).as_deref(), Ok("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"));
        assert_eq!(read(&rfc_8037(), Alg::EdDSA).as_deref(), Ok("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
    }

    #[test]
    fn a_key_is_written_in_one_way_and_for_one_algorithm() {
        let with = |mut jwk: Value, name: &str, value: Value| {
            jwk[name] = value;
            jwk
        };
        let n = rfc_7638()["n"].as_str().unwrap().to_owned();
        // The same number with a zero octet in front.
        let longer = URL_SAFE_NO_PAD.encode([&[0], &*URL_SAFE_NO_PAD.decode(&n).unwrap()].concat());
        for (jwk, alg) in [
            (rfc_7638(), Alg::PS256),
            (rfc_7638(), Alg::ES256),
            (rfc_7638(), Alg::HS256),
            (with(rfc_7638(), "n", json!(longer)), Alg::RS256),
            (with(rfc_7638(), "n", json!(n + "=")), Alg::RS256),
            (with(rfc_7638(), "e", json!("AAEAAQ")), Alg::RS256),
            (with(rfc_7638(), "e", json!("AQ")), Alg::RS256),
            (with(rfc_7638(), "e", json!("AQAC")), Alg::RS256),
            (with(rfc_7638(), "e", json!("AQAAAAE")), Alg::RS256),
            (with(rfc_7638(), "e", json!("")), Alg::RS256),
            (with(rfc_7638(), "key_ops", json!(["sign"])), Alg::RS256),
            (with(rfc_7638(), "key_ops", json!("verify")), Alg::RS256),
            (with(rfc_7638(), "use", json!("enc")), Alg::RS256),
            (with(rfc_7638(), "oth", json!([])), Alg::RS256),
            (with(rfc_8037(), "alg", json!("ES256")), Alg::EdDSA),
            (with(rfc_8037(), "crv", json!("Ed448")), Alg::EdDSA),
            (with(rfc_8037(), "d", json!("")), Alg::EdDSA),
        ] {
            assert_eq!(read(&jwk, alg), Err(KeyFault), "{jwk} {alg:?}");
        }
        for jwk in [
            with(rfc_8037(), "alg", json!("Ed25519")),
            with(rfc_8037(), "alg", json!("EdDSA")),
            with(rfc_8037(), "use", json!("sig")),
            with(rfc_8037(), "key_ops", json!(["verify"])),
        ] {
            assert!(read(&jwk, Alg::EdDSA).is_ok(), "{jwk}");
        }
    }
}
