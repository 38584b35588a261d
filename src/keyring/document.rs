//! The key ring as it is stored:
//! `{"version":1,"keys":[{"kid","alg","private_key_pkcs8"|"k","created_at","activate_at","retire_at"?,"long_lived_until"?}],"made_from"?}`.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyFault, SigningKey};
use crate::oauth::{client::OutOfRange, jwt::Alg};

/// The stored form of a key ring.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RingDocument {
    /// The format; 1.
    pub version: RingVersion,
    /// The keys, in any order.
    pub keys: Vec<KeyRecord>,
    /// Of a ring that a rotation made: the version of the secret that it takes the place of; empty if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<String>,
}

/// The version of a ring document; only 1 can be read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct RingVersion(u32);

/// One key as it is stored. Times are seconds since the epoch. `Debug` does not show the key.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key id; of a key made here, its RFC 7638 thumbprint.
    pub kid: String,
    /// The algorithm it signs with.
    pub alg: Alg,
    /// An asymmetric key: PKCS#8 DER in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) private_key_pkcs8: Option<Zeroizing<String>>,
    /// An HMAC key: at least 32 bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) k: Option<Zeroizing<String>>,
    /// When it was made.
    pub created_at: u64,
    /// The first second at which it signs.
    pub activate_at: u64,
    /// The first second at which it signs no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire_at: Option<u64>,
    /// Of a key that signs long-lived tokens and nothing else: the first second at which the last of them has expired, until
    /// which it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_lived_until: Option<u64>,
}

/// What is wrong with a ring document. Holds nothing of any key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingFault {
    /// Not JSON of the format; the path and the reason.
    Malformed(String),
    /// A key that cannot be used.
    Key {
        /// Where it stands in `keys`.
        index: usize,
        /// What is wrong with it.
        fault: KeyFault,
    },
}

impl RingDocument {
    /// Reads the stored form.
    ///
    /// # Errors
    /// [`RingFault::Malformed`].
    pub fn from_json(json: &[u8]) -> Result<Self, RingFault> {
        let mut json = serde_json::Deserializer::from_slice(json);
        // The path only: serde's own text can repeat the value that it stumbled on.
        let document = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| RingFault::Malformed(format!("at {}", error.path())))?;
        json.end().map_err(|_| RingFault::Malformed("after its end".to_owned()))?;
        Ok(document)
    }

    /// The id of the key for a long-lived token that expires at `until`: one per algorithm, which no rotation touches, made
    /// if there is none. It stays published until then; keys whose last long-lived token has expired are taken out.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub fn long_lived_key(&mut self, alg: Alg, now: u64, until: u64) -> Result<String, aws_lc_rs::error::Unspecified> {
        self.keys.retain(|key| key.long_lived_until.is_none_or(|until| now < until));
        let signs = |key: &&mut KeyRecord| {
            key.alg == alg && key.long_lived_until.is_some() && key.retire_at.is_none_or(|retire_at| now < retire_at)
        };
        if let Some(key) = self.keys.iter_mut().find(signs) {
            key.long_lived_until = key.long_lived_until.max(Some(until));
            return Ok(key.kid.clone());
        }
        let key = KeyRecord { long_lived_until: Some(until), ..KeyRecord::generate(alg, now)? };
        let kid = key.kid.clone();
        self.keys.push(key);
        Ok(kid)
    }
}

impl KeyRecord {
    /// Makes a key: RSA of 2048 bits, P-256, P-384, Ed25519, or 256 random bits for HMAC. It is active at once.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    #[expect(
        clippy::disallowed_methods,
        reason = "making a key is drawing randomness, as it is for the other algorithms"
    )]
    pub fn generate(alg: Alg, now: u64) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let pkcs8 = match alg {
            Alg::RS256 | Alg::PS256 => rsa_pkcs8()?,
            Alg::ES256 => {
                EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)?.to_pkcs8v1()?.as_ref().to_vec()
            }
            Alg::ES384 => {
                EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)?.to_pkcs8v1()?.as_ref().to_vec()
            }
            Alg::EdDSA => Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec(),
            Alg::HS256 => {
                let mut key = vec![0; 32];
                aws_lc_rs::rand::fill(&mut key)?;
                key
            }
        };
        let text = Some(Zeroizing::new(STANDARD.encode(Zeroizing::new(pkcs8))));
        let (private_key_pkcs8, k) = if alg == Alg::HS256 { (None, text) } else { (text, None) };
        let mut record = Self {
            kid: String::new(),
            alg,
            private_key_pkcs8,
            k,
            created_at: now,
            activate_at: now,
            retire_at: None,
            long_lived_until: None,
        };
        let key = SigningKey::from_record(&record).map_err(|_| aws_lc_rs::error::Unspecified)?;
        key.thumbprint().clone_into(&mut record.kid);
        Ok(record)
    }

    /// Whether verifiers may meet its signature and find it among the published keys.
    pub(super) fn is_published(&self, now: u64) -> bool {
        self.alg != Alg::HS256 && super::is_published(self.retire_at, self.long_lived_until, now)
    }

    /// The key itself: PKCS#8 DER, or the bytes of an HMAC key.
    ///
    /// # Errors
    /// [`KeyFault`], if it is not there, or not base64.
    pub fn material(&self) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let text = match (&self.private_key_pkcs8, &self.k) {
            (Some(pkcs8), None) if self.alg != Alg::HS256 => pkcs8,
            (None, Some(k)) if self.alg == Alg::HS256 => k,
            _ => return Err(KeyFault::WrongMember),
        };
        STANDARD.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| KeyFault::NotBase64)
    }
}

fn rsa_pkcs8() -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let key = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'_> = key.as_der()?;
    Ok(der.as_ref().to_vec())
}

impl Default for RingVersion {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u32> for RingVersion {
    type Error = OutOfRange;

    fn try_from(version: u32) -> Result<Self, OutOfRange> {
        if version == 1 { Ok(Self(version)) } else { Err(OutOfRange("not a version this release reads")) }
    }
}

impl From<RingVersion> for u32 {
    fn from(version: RingVersion) -> Self {
        version.0
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

impl fmt::Display for RingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(place) => write!(f, "not a key ring of version 1: malformed {place}"),
            Self::Key { index, fault } => write!(f, "keys[{index}]: {fault}"),
        }
    }
}

impl std::error::Error for RingFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_read_back() {
        for alg in Alg::ALL {
            let record = KeyRecord::generate(alg, 7).unwrap();
            let ring = RingDocument { keys: vec![record.clone()], ..RingDocument::default() };
            let json = serde_json::to_vec(&ring).unwrap();
            let read = RingDocument::from_json(&json).unwrap();
            assert_eq!(SigningKey::from_record(&read.keys[0]).unwrap().kid(), record.kid);
        }
    }

    #[test]
    fn a_fault_names_its_place_and_nothing_of_the_key() {
        let fault = |json: &str| crate::keyring::KeyRing::from_json(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(fault(""), "not a key ring of version 1: malformed at .");
        assert_eq!(fault(r#"{"version":2,"keys":[]}"#), "not a key ring of version 1: malformed at version");
        assert_eq!(
            fault(r#"{"version":1,"keys":[{"kid":"a","alg":"HS256","k":"c2VjcmV0","created_at":"c2VjcmV0"}]}"#),
            "not a key ring of version 1: malformed at keys[0].created_at"
        );
        let key = |members: &str| {
            format!(r#"{{"version":1,"keys":[{{"kid":"a",{members},"created_at":1,"activate_at":1}}]}}"#)
        };
        assert_eq!(fault(&key(r#""alg":"HS256","k":"!""#)), "keys[0]: its key is not base64");
        assert_eq!(fault(&key(r#""alg":"HS256","k":"c2VjcmV0""#)), "keys[0]: an HMAC key under 32 bytes");
        assert_eq!(
            fault(&key(r#""alg":"ES256","private_key_pkcs8":"c2VjcmV0""#)),
            "keys[0]: not a PKCS#8 key of its algorithm"
        );
        assert_eq!(
            fault(&key(r#""alg":"ES256","k":"c2VjcmV0""#)),
            "keys[0]: needs private_key_pkcs8, or k if its algorithm is HS256, and not both"
        );
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        let record = KeyRecord::generate(Alg::ES256, 7).unwrap();
        assert_eq!(format!("{record:?}"), format!("KeyRecord {{ kid: {:?}, alg: ES256, .. }}", record.kid));
    }
}
