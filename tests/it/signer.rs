//! Keys that clients hold, and what they sign with them: any header, any claims, any bytes.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use mintlet::{
    keyring::{KeyRecord, SigningKey},
    oauth::jwt::Alg,
};
use serde_json::{Value, json};

/// A private key of somebody else's.
pub struct Signer {
    pub alg: Alg,
    pub kid: String,
    pkcs8: Vec<u8>,
    jwk: Value,
}

impl Signer {
    /// A new key.
    pub fn new(alg: Alg) -> Self {
        Self::of(&KeyRecord::generate(alg, 1).unwrap())
    }

    /// That key.
    pub fn of(record: &KeyRecord) -> Self {
        let jwk = json!(SigningKey::from_record(record).unwrap().public_jwk().unwrap());
        Self { alg: record.alg, kid: record.kid.clone(), pkcs8: record.material().unwrap().to_vec(), jwk }
    }

    /// A key that somebody keeps as PKCS#8 in PEM.
    pub fn from_pem(alg: Alg, pem: &str) -> Self {
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "not PKCS#8");
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        Self { alg, kid: String::new(), pkcs8: STANDARD.decode(body).unwrap(), jwk: Value::Null }
    }

    /// Its public half, with `kid`, `alg` and `use`.
    pub fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// A JWT with the header that clients send.
    pub fn jwt(&self, claims: &Value) -> String {
        self.jwt_with(&json!({"alg": self.alg, "kid": self.kid, "typ": "JWT"}), claims)
    }

    /// A JWT with that header, whatever it says.
    pub fn jwt_with(&self, header: &Value, claims: &Value) -> String {
        self.jws(&header.to_string(), &claims.to_string())
    }

    /// A JWS over two texts, whatever they are.
    pub fn jws(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    /// The signature of RFC 7518 section 3 over a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let (pkcs8, random) = (&self.pkcs8, SystemRandom::new());
        let rsa = |padding| {
            let key = RsaKeyPair::from_pkcs8(pkcs8).unwrap();
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        let ec = |algorithm| {
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).unwrap().sign(&random, message).unwrap().as_ref().to_vec()
        };
        match self.alg {
            Alg::RS256 => rsa(&RSA_PKCS1_SHA256),
            Alg::PS256 => rsa(&RSA_PSS_SHA256),
            Alg::ES256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Alg::ES384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Alg::EdDSA => Ed25519KeyPair::from_pkcs8(pkcs8).unwrap().sign(message).as_ref().to_vec(),
            Alg::HS256 => unreachable!("its key is not public"),
        }
    }
}
