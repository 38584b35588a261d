//! A public key as people have it, as a JWK.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pem::Pem;
use serde_json::{Map, Value, json};
use simple_asn1::{ASN1Block, from_der};

use crate::oauth::jwk::VerifyingKey;

/// The JWKs in a text: one JWK, a JWK set, or PEM. `kid` names the key of a PEM text.
///
/// # Errors
/// What the text is instead.
pub(super) fn read(text: &str, kid: Option<&str>) -> Result<Vec<Value>, String> {
    if text.trim_start().starts_with('{') {
        if kid.is_some() {
            return Err("a JWK has its kid in itself: --kid is for PEM".to_owned());
        }
        let json: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        return match json.get("keys").and_then(Value::as_array) {
            Some(keys) => Ok(keys.clone()),
            None => Ok(vec![json]),
        };
    }
    let pems = pem::parse_many(text).map_err(|_| "neither a JWK nor PEM".to_owned())?;
    let mut keys = pems.iter().map(of_pem);
    match (keys.next(), keys.next()) {
        (Some(key), None) => named(key?, kid).map(|key| vec![key]),
        (None, _) => Err("neither a JWK nor PEM".to_owned()),
        (Some(_), Some(_)) => Err("more than one PEM block: give one public key".to_owned()),
    }
}

fn named(mut jwk: Map<String, Value>, kid: Option<&str>) -> Result<Value, String> {
    let key = VerifyingKey::from_jwk(&jwk).map_err(|fault| fault.to_string())?;
    jwk.insert("kid".to_owned(), json!(kid.unwrap_or(key.thumbprint())));
    jwk.insert("alg".to_owned(), json!(key.alg()));
    jwk.insert("use".to_owned(), json!("sig"));
    Ok(jwk.into())
}

fn of_pem(pem: &Pem) -> Result<Map<String, Value>, String> {
    match pem.tag() {
        "PUBLIC KEY" => of_spki(pem.contents()).ok_or_else(|| "not an RSA, P-256, P-384 or Ed25519 key".to_owned()),
        "RSA PUBLIC KEY" => of_rsa(pem.contents()).ok_or_else(|| "not an RSA key".to_owned()),
        tag if tag.ends_with("PRIVATE KEY") => {
            Err("a private key; give its public half: openssl pkey -in FILE -pubout".to_owned())
        }
        "CERTIFICATE" => Err("a certificate; give its public key: openssl x509 -in FILE -noout -pubkey".to_owned()),
        _ => Err("PEM of something else than a public key".to_owned()),
    }
}

// RFC 5280 section 4.1: SubjectPublicKeyInfo is an algorithm and the key as a bit string.
fn of_spki(der: &[u8]) -> Option<Map<String, Value>> {
    let blocks = from_der(der).ok()?;
    let [ASN1Block::Sequence(_, fields)] = blocks.as_slice() else { return None };
    let [ASN1Block::Sequence(_, algorithm), ASN1Block::BitString(_, _, key)] = fields.as_slice() else { return None };
    let oids: Vec<_> = algorithm
        .iter()
        .filter_map(|block| match block {
            ASN1Block::ObjectIdentifier(_, oid) => Some(oid.as_vec::<u64>().ok()?),
            _ => None,
        })
        .collect();
    let oids: Vec<&[u64]> = oids.iter().map(Vec::as_slice).collect();
    match oids.as_slice() {
        [RSA_ENCRYPTION] => of_rsa(key),
        [EC_PUBLIC_KEY, P_256] => of_point(key, "P-256"),
        [EC_PUBLIC_KEY, P_384] => of_point(key, "P-384"),
        [ED_25519] => members(json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(key)})),
        _ => None,
    }
}

const RSA_ENCRYPTION: &[u64] = &[1, 2, 840, 113_549, 1, 1, 1];
const EC_PUBLIC_KEY: &[u64] = &[1, 2, 840, 10045, 2, 1];
const P_256: &[u64] = &[1, 2, 840, 10045, 3, 1, 7];
const P_384: &[u64] = &[1, 3, 132, 0, 34];
const ED_25519: &[u64] = &[1, 3, 101, 112];

// RFC 8017 appendix A.1.1.
fn of_rsa(der: &[u8]) -> Option<Map<String, Value>> {
    let blocks = from_der(der).ok()?;
    let [ASN1Block::Sequence(_, numbers)] = blocks.as_slice() else { return None };
    let [ASN1Block::Integer(_, n), ASN1Block::Integer(_, e)] = numbers.as_slice() else { return None };
    let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    members(json!({"kty": "RSA", "n": encode(n.to_bytes_be().1), "e": encode(e.to_bytes_be().1)}))
}

// SEC 1 section 2.3.3, uncompressed.
fn of_point(point: &[u8], crv: &str) -> Option<Map<String, Value>> {
    let (4, coordinates) = point.split_first()? else { return None };
    let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    members(json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)}))
}

fn members(jwk: Value) -> Option<Map<String, Value>> {
    match jwk {
        Value::Object(members) => Some(members),
        _ => None,
    }
}
