//! `DPoP` proofs, and anything that looks like one: made here, by none of the code under test.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use mintlet::dialect::Dialect;
use serde_json::{Map, Value, json};

use crate::support::{Ask, ISSUER, NOW, SECRET};

/// A key that signs proofs.
pub struct ProofKey {
    pub alg: &'static str,
    pub jwk: Value,
    sign: Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>,
}

impl ProofKey {
    /// The same key in every run, so that answers can be recorded.
    pub fn fixed() -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref())});
        Self { alg: "EdDSA", jwk, sign: Box::new(move |message| key.sign(message).as_ref().to_vec()) }
    }

    /// A new key.
    pub fn generate(alg: &'static str) -> Self {
        match alg {
            "RS256" => Self::rsa(alg, &RSA_PKCS1_SHA256, KeySize::Rsa2048),
            "PS256" => Self::rsa(alg, &RSA_PSS_SHA256, KeySize::Rsa2048),
            "ES256" => Self::ec(alg, EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), "P-256"),
            "ES384" => Self::ec(alg, EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(), "P-384"),
            "EdDSA" => {
                let key = Ed25519KeyPair::generate().unwrap();
                let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref())});
                Self { alg, jwk, sign: Box::new(move |message| key.sign(message).as_ref().to_vec()) }
            }
            other => panic!("no such alg {other}"),
        }
    }

    fn ec(alg: &'static str, key: EcdsaKeyPair, crv: &str) -> Self {
        let point = key.public_key().as_ref()[1..].to_vec();
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)});
        let sign = move |message: &[u8]| key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
        Self { alg, jwk, sign: Box::new(sign) }
    }

    fn rsa(alg: &'static str, padding: &'static dyn RsaEncoding, size: KeySize) -> Self {
        let key = aws_lc_rs::rsa::KeyPair::generate(size).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let key = RsaKeyPair::from_pkcs8(der.as_ref()).unwrap();
        let jwk = {
            let public = key.public_key();
            let (n, e) = (public.modulus(), public.exponent());
            json!({"kty": "RSA", "n": encode(n.big_endian_without_leading_zero()), "e": encode(e.big_endian_without_leading_zero())})
        };
        let sign = move |message: &[u8]| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        };
        Self { alg, jwk, sign: Box::new(sign) }
    }

    /// Its RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> String {
        serde_json::from_value::<Jwk>(self.jwk.clone()).unwrap().thumbprint(ThumbprintHash::SHA256).unwrap()
    }

    /// The header of a good proof.
    pub fn header(&self) -> Map<String, Value> {
        members(json!({"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk}))
    }

    /// A good proof for the `oauth2` endpoint.
    pub fn proof(&self) -> String {
        self.proof_with(|_, _| {})
    }

    /// The same with another header or other claims.
    pub fn proof_with(&self, change: impl FnOnce(&mut Map<String, Value>, &mut Map<String, Value>)) -> String {
        let (mut header, mut claims) = (self.header(), claims());
        change(&mut header, &mut claims);
        self.sign(&json!(header).to_string(), &json!(claims).to_string())
    }

    /// A compact JWS over any two texts.
    pub fn sign(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
        let signature = (self.sign)(message.as_bytes());
        format!("{message}.{}", encode(&signature))
    }

    /// The bare signature of a message.
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        (self.sign)(message)
    }
}

/// The claims of a good proof.
pub fn claims() -> Map<String, Value> {
    members(json!({"jti": "proof-1", "htm": "POST", "htu": format!("{ISSUER}/oauth2/token"), "iat": NOW}))
}

/// A request for a token, with proofs.
pub fn ask(client: &str, proofs: &[&str]) -> Ask {
    let ask = Ask::token(Dialect::oauth2(), client, SECRET);
    proofs.iter().fold(ask, |ask, proof| ask.header("dpop".parse().unwrap(), proof))
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn members(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("not an object") };
    members
}
