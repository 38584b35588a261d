//! `DPoP` proofs, and anything that looks like one.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use mintlet::{dialect::Dialect, keyring::KeyRecord, oauth::jwt::Alg};
use serde_json::{Map, Value, json};

use crate::{
    signer::Signer,
    support::{Ask, ISSUER, NOW, SECRET},
};

/// A key that signs proofs.
pub struct ProofKey {
    signer: Signer,
    pub jwk: Value,
}

impl ProofKey {
    /// The same key in every run, so that answers can be recorded.
    pub fn fixed() -> Self {
        // PKCS#8 of an Ed25519 key (RFC 8410 section 7).
        let pkcs8 = [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".as_slice(), &[7; 32]].concat();
        let record = json!({
            "kid": "fixed", "alg": "EdDSA", "private_key_pkcs8": STANDARD.encode(pkcs8), "created_at": 1, "activate_at": 1
        });
        Self::of(Signer::of(&serde_json::from_value::<KeyRecord>(record).unwrap()))
    }

    /// A new key.
    pub fn generate(alg: Alg) -> Self {
        Self::of(Signer::new(alg))
    }

    fn of(signer: Signer) -> Self {
        let mut jwk = signer.jwk();
        let members = jwk.as_object_mut().unwrap();
        members.retain(|name, _| !["kid", "alg", "use"].contains(&name.as_str()));
        Self { signer, jwk }
    }

    /// Its RFC 7638 thumbprint, by somebody else's code.
    pub fn thumbprint(&self) -> String {
        serde_json::from_value::<Jwk>(self.jwk.clone()).unwrap().thumbprint(ThumbprintHash::SHA256).unwrap()
    }

    /// The header of a good proof.
    pub fn header(&self) -> Map<String, Value> {
        members(json!({"typ": "dpop+jwt", "alg": self.signer.alg, "jwk": self.jwk}))
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
        self.signer.jws(header, payload)
    }

    /// The bare signature of a message.
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.signer.sign(message)
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
