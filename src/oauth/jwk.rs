//! Public keys as JWKs (RFC 7517, RFC 7518 section 6, RFC 8037): checked once, and then good for one algorithm.

mod decoy;
mod set;

use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

pub use self::{
    decoy::verify_nothing,
    set::{Jwks, JwksFault, MAX_KEYS},
};
use super::jwt::Alg;

/// A public key that verifies signatures of one algorithm.
pub struct VerifyingKey {
    alg: Alg,
    thumbprint: String,
    key: ParsedPublicKey,
}

/// Why a JWK cannot be used. Displays what is wrong with it; repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwkFault {
    /// A member that only a private or a symmetric key has.
    Private,
    /// `kty` and `crv` are no kind of key that verifies signatures here.
    UnknownKind,
    /// A member that its kind of key needs is missing, or is not canonical base64url.
    Malformed,
    /// `alg` is none of ours, or not one of its kind of key.
    WrongAlg,
    /// `use` or `key_ops` say that it is for something else.
    NotForSignatures,
    /// An RSA key outside 2048 to 8192 bits, or with an even modulus.
    RsaModulus,
    /// An RSA exponent that is even, under 65537, or over 32 bits.
    RsaExponent,
    /// A point that is not on the curve, or not of its length.
    NotOnCurve,
}

// RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl VerifyingKey {
    /// Checks a JWK. Its algorithm is what it says, or else what its kind of key is for: of an RSA key, RS256.
    ///
    /// # Errors
    /// [`JwkFault`].
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, JwkFault> {
        Self::parse(jwk, None)
    }

    /// Checks a JWK that came with a signature of `alg`, which has to fit the kind of key.
    ///
    /// # Errors
    /// [`JwkFault`].
    pub fn from_jwk_for(jwk: &Map<String, Value>, alg: Alg) -> Result<Self, JwkFault> {
        Self::parse(jwk, Some(alg))
    }

    fn parse(jwk: &Map<String, Value>, wanted: Option<Alg>) -> Result<Self, JwkFault> {
        if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
            return Err(JwkFault::Private);
        }
        if !is_for_signatures(jwk) {
            return Err(JwkFault::NotForSignatures);
        }
        let named = match jwk.get("alg") {
            None => None,
            Some(name) => Some(name.as_str().and_then(Alg::asymmetric).ok_or(JwkFault::WrongAlg)?),
        };
        if named.is_some() && wanted.is_some() && named != wanted {
            return Err(JwkFault::WrongAlg);
        }
        let alg = |fits: &[Alg]| match wanted.or(named) {
            None => fits.first().copied().ok_or(JwkFault::WrongAlg),
            Some(alg) if fits.contains(&alg) => Ok(alg),
            Some(_) => Err(JwkFault::WrongAlg),
        };
        // The members of the thumbprint, in the order of RFC 7638 section 3.
        let (alg, key, thumbprint) = match (text(jwk, "kty"), text(jwk, "crv")) {
            (Some("RSA"), _) => {
                let alg = alg(&[Alg::RS256, Alg::PS256])?;
                let (n, e) = (text(jwk, "n").unwrap_or_default(), text(jwk, "e").unwrap_or_default());
                (alg, rsa(&bytes(n)?, &bytes(e)?, alg)?, format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))
            }
            (Some("EC"), Some(crv @ ("P-256" | "P-384"))) => {
                let (alg, algorithm, length): (_, &'static dyn VerificationAlgorithm, _) = if crv == "P-256" {
                    (alg(&[Alg::ES256])?, &ECDSA_P256_SHA256_FIXED, 32)
                } else {
                    (alg(&[Alg::ES384])?, &ECDSA_P384_SHA384_FIXED, 48)
                };
                let (x, y) = (text(jwk, "x").unwrap_or_default(), text(jwk, "y").unwrap_or_default());
                // SEC 1 section 2.3.3, uncompressed.
                let point = [&[4], of_length(x, length)?.as_slice(), of_length(y, length)?.as_slice()].concat();
                let key = ParsedPublicKey::new(algorithm, point).map_err(|_| JwkFault::NotOnCurve)?;
                (alg, key, format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#))
            }
            (Some("OKP"), Some("Ed25519")) => {
                let alg = alg(&[Alg::EdDSA])?;
                let x = text(jwk, "x").unwrap_or_default();
                let key = ParsedPublicKey::new(&ED25519, of_length(x, 32)?).map_err(|_| JwkFault::NotOnCurve)?;
                (alg, key, format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#))
            }
            _ => return Err(JwkFault::UnknownKind),
        };
        Ok(Self { alg, thumbprint: URL_SAFE_NO_PAD.encode(digest(&SHA256, thumbprint.as_bytes())), key })
    }

    /// The one algorithm whose signatures it verifies.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// Its RFC 7638 thumbprint: SHA-256 in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Whether `signature`, in the form of RFC 7518 section 3, is its signature over `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

// RFC 7517 sections 4.2 and 4.3: if they are there, both have to agree.
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
    jwk.get("use").is_none_or(|usage| usage == "sig") && jwk.get("key_ops").is_none_or(verifies)
}

fn bytes(text: &str) -> Result<Vec<u8>, JwkFault> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty()).ok_or(JwkFault::Malformed)
}

fn of_length(text: &str, length: usize) -> Result<Vec<u8>, JwkFault> {
    let bytes = bytes(text)?;
    if bytes.len() == length { Ok(bytes) } else { Err(JwkFault::NotOnCurve) }
}

fn rsa(n: &[u8], e: &[u8], alg: Alg) -> Result<ParsedPublicKey, JwkFault> {
    let parameters: &'static RsaParameters =
        if alg == Alg::PS256 { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 };
    let (first, last) = (n.first().copied().unwrap_or_default(), n.last().copied().unwrap_or_default());
    // RFC 7518 section 6.3.1: as few bytes as it takes.
    if first == 0 || e.first() == Some(&0) {
        return Err(JwkFault::Malformed);
    }
    let bits = n.len().saturating_mul(8).saturating_sub(first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) || last % 2 == 0 {
        return Err(JwkFault::RsaModulus);
    }
    let exponent = e.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    if e.len() > 4 || exponent % 2 == 0 || exponent < 65_537 {
        return Err(JwkFault::RsaExponent);
    }
    RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| JwkFault::RsaModulus)
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({} {})", self.alg.as_str(), self.thumbprint)
    }
}

impl fmt::Display for JwkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "has a member of a private or symmetric key: register the public key only",
            Self::UnknownKind => "not an RSA, P-256, P-384 or Ed25519 key",
            Self::Malformed => "a member that its kind of key needs is missing or not canonical base64url",
            Self::WrongAlg => "alg is not one that this kind of key has here",
            Self::NotForSignatures => "use is not sig, or key_ops has no verify",
            Self::RsaModulus => "not an RSA key of 2048 to 8192 bits",
            Self::RsaExponent => "its exponent is even, under 65537, or over 32 bits",
            Self::NotOnCurve => "not a point on its curve",
        })
    }
}

#[cfg(test)]
mod tests;
