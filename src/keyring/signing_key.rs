//! One key, parsed once, with its JOSE headers encoded once.

use std::{fmt, sync::OnceLock};

use aws_lc_rs::{
    error::Unspecified,
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
        ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256,
        RsaEncoding, RsaKeyPair, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, EllipticCurveKeyType, Jwk,
        KeyAlgorithm, OctetKeyPairParameters, OctetKeyPairType, OctetKeyParameters, OctetKeyType, PublicKeyUse,
        RSAKeyParameters, RSAKeyType, ThumbprintHash,
    },
};

use super::{KeyRecord, dpop_nonce::NonceKey};
use crate::oauth::jwt::{Alg, Typ};

/// A key that signs tokens. `Debug` shows its id and algorithm only.
pub struct SigningKey {
    kid: String,
    thumbprint: String,
    alg: Alg,
    material: Material,
    // `base64url(header).`, per `typ`.
    access_token_header: String,
    jwt_header: String,
    token_introspection_header: String,
    public: Option<Jwk>,
    nonce_key: Option<NonceKey>,
    // Parsed for the first token that comes back: most instances only sign.
    verifying: OnceLock<Option<ParsedPublicKey>>,
}

enum Material {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ec(Box<EcdsaKeyPair>),
    Ed(Box<Ed25519KeyPair>),
    Hmac(Box<hmac::Key>),
}

/// Why a stored key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Another key of the ring has the same `kid`.
    RepeatedKid,
    /// Neither or both of the two members that hold a key, or the one that its algorithm has no use for.
    WrongMember,
    /// The key is not base64.
    NotBase64,
    /// Not PKCS#8 of a key that fits the algorithm.
    NotPkcs8,
    /// An HMAC key under 32 bytes (RFC 7518 section 3.2).
    ShortHmacKey,
}

// RFC 7518 section 3.2: a key of the hash's size or larger.
const MIN_HMAC_KEY_BYTES: usize = 32;

impl SigningKey {
    /// Parses a stored key.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub fn from_record(record: &KeyRecord) -> Result<Self, KeyFault> {
        let bytes = record.material()?;
        let material = match record.alg {
            Alg::RS256 => rsa(&bytes, &RSA_PKCS1_SHA256)?,
            Alg::PS256 => rsa(&bytes, &RSA_PSS_SHA256)?,
            Alg::ES256 => ec(&bytes, &ECDSA_P256_SHA256_FIXED_SIGNING)?,
            Alg::ES384 => ec(&bytes, &ECDSA_P384_SHA384_FIXED_SIGNING)?,
            Alg::EdDSA => Ed25519KeyPair::from_pkcs8(&bytes)
                .map(|key| Material::Ed(Box::new(key)))
                .map_err(|_| KeyFault::NotPkcs8)?,
            Alg::HS256 if bytes.len() < MIN_HMAC_KEY_BYTES => return Err(KeyFault::ShortHmacKey),
            Alg::HS256 => Material::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
        };
        let header = |typ: Typ| {
            let header = serde_json::json!({"alg": record.alg, "kid": record.kid, "typ": typ.as_str()});
            URL_SAFE_NO_PAD.encode(header.to_string()) + "."
        };
        let parameters = match record.alg {
            Alg::HS256 => AlgorithmParameters::OctetKey(OctetKeyParameters {
                key_type: OctetKeyType::Octet,
                value: URL_SAFE_NO_PAD.encode(&bytes),
            }),
            alg => material.public_parameters(alg).ok_or(KeyFault::NotPkcs8)?,
        };
        let jwk = Jwk {
            common: CommonParameters {
                public_key_use: Some(PublicKeyUse::Signature),
                key_algorithm: Some(record.alg.into()),
                key_id: Some(record.kid.clone()),
                ..CommonParameters::default()
            },
            algorithm: parameters,
        };
        // An HMAC key is one that verifiers hold as well.
        let nonce_key = (record.alg != Alg::HS256).then(|| NonceKey::derive(&bytes)).transpose();
        Ok(Self {
            nonce_key: nonce_key.map_err(|_| KeyFault::NotPkcs8)?,
            access_token_header: header(Typ::AccessToken),
            jwt_header: header(Typ::Jwt),
            token_introspection_header: header(Typ::TokenIntrospection),
            kid: record.kid.clone(),
            thumbprint: jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyFault::NotPkcs8)?,
            alg: record.alg,
            material,
            public: (record.alg != Alg::HS256).then_some(jwk),
            verifying: OnceLock::new(),
        })
    }

    /// Its id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// Its public half, if it has one.
    #[must_use]
    pub fn public_jwk(&self) -> Option<&Jwk> {
        self.public.as_ref()
    }

    /// A compact JWS (RFC 7515 section 7.1) over `claims`.
    ///
    /// # Errors
    /// If the cryptographic library fails.
    pub fn sign(&self, typ: Typ, claims: &[u8]) -> Result<String, Unspecified> {
        let header = match typ {
            Typ::AccessToken => &self.access_token_header,
            Typ::Jwt => &self.jwt_header,
            Typ::TokenIntrospection => &self.token_introspection_header,
        };
        // The longest signature is RSA-8192's: 1366 characters. Most are far shorter; RSA-2048's has 342.
        let mut token = String::with_capacity(header.len() + claims.len().div_ceil(3) * 4 + 1 + 342);
        token.push_str(header);
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.material.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Whether what it signs verifies with the public half that it publishes. A symmetric key publishes none, and only has
    /// to sign.
    #[must_use]
    pub fn verifies(&self) -> bool {
        let Ok(token) = self.sign(Typ::AccessToken, b"{}") else { return false };
        let Some(public) = &self.public else { return true };
        let (Some((message, signature)), Ok(public)) = (token.rsplit_once('.'), DecodingKey::from_jwk(public)) else {
            return false;
        };
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &public, self.alg.into()).unwrap_or(false)
    }

    /// The key of the `DPoP` nonces that go with it; none with a symmetric one.
    #[must_use]
    pub(super) fn nonce_key(&self) -> Option<&NonceKey> {
        self.nonce_key.as_ref()
    }

    /// The claims of an access token that this key signed, as JSON; `None` for any other text.
    ///
    /// The header is compared and not read: one that this key would not have written, with another algorithm, `typ` or
    /// member, is none of ours. So what it writes into headers has to stay as long as its tokens live.
    #[must_use]
    pub fn open(&self, token: &str) -> Option<Vec<u8>> {
        let headers = [&self.access_token_header, &self.jwt_header];
        let header = headers.into_iter().find(|header| token.starts_with(header.as_str()))?;
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if !self.verify(signed.as_bytes(), &signature) {
            return None;
        }
        URL_SAFE_NO_PAD.decode(signed.get(header.len()..)?).ok()
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.alg {
            Alg::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Alg::PS256 => &RSA_PSS_2048_8192_SHA256,
            Alg::ES256 => &ECDSA_P256_SHA256_FIXED,
            Alg::ES384 => &ECDSA_P384_SHA384_FIXED,
            Alg::EdDSA => &ED25519,
            Alg::HS256 => return self.material.verify_hmac(message, signature),
        };
        let parse = || ParsedPublicKey::new(algorithm, self.material.public_key()?).ok();
        let key = self.verifying.get_or_init(parse).as_ref();
        key.is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }

    /// The RFC 7638 thumbprint of the key, SHA-256 in base64url.
    #[must_use]
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

impl Material {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Rsa(key, padding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*padding, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
            Self::Ec(key) => Ok(key.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Self::Ed(key) => Ok(key.try_sign(message)?.as_ref().to_vec()),
            Self::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }

    fn verify_hmac(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Rsa(..) | Self::Ec(_) | Self::Ed(_) => false,
        }
    }

    fn public_key(&self) -> Option<&[u8]> {
        match self {
            Self::Rsa(key, _) => Some(key.public_key().as_ref()),
            Self::Ec(key) => Some(key.public_key().as_ref()),
            Self::Ed(key) => Some(key.public_key().as_ref()),
            Self::Hmac(_) => None,
        }
    }

    fn public_parameters(&self, alg: Alg) -> Option<AlgorithmParameters> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(key, _) => {
                let key = key.public_key();
                Some(AlgorithmParameters::RSA(RSAKeyParameters {
                    key_type: RSAKeyType::RSA,
                    n: encode(key.modulus().big_endian_without_leading_zero()),
                    e: encode(key.exponent().big_endian_without_leading_zero()),
                }))
            }
            Self::Ec(key) => {
                // SEC 1 section 2.3.3, uncompressed: 04, x, y.
                let (_, point) = key.public_key().as_ref().split_first()?;
                let (x, y) = point.split_at_checked(point.len() / 2)?;
                let curve = if alg == Alg::ES384 { EllipticCurve::P384 } else { EllipticCurve::P256 };
                Some(AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
                    key_type: EllipticCurveKeyType::EC,
                    curve,
                    x: encode(x),
                    y: encode(y),
                }))
            }
            Self::Ed(key) => Some(AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: encode(key.public_key().as_ref()),
            })),
            Self::Hmac(_) => None,
        }
    }
}

impl From<Alg> for Algorithm {
    fn from(alg: Alg) -> Self {
        match alg {
            Alg::RS256 => Self::RS256,
            Alg::PS256 => Self::PS256,
            Alg::ES256 => Self::ES256,
            Alg::ES384 => Self::ES384,
            Alg::EdDSA => Self::EdDSA,
            Alg::HS256 => Self::HS256,
        }
    }
}

impl From<Alg> for KeyAlgorithm {
    fn from(alg: Alg) -> Self {
        match alg {
            Alg::RS256 => Self::RS256,
            Alg::PS256 => Self::PS256,
            Alg::ES256 => Self::ES256,
            Alg::ES384 => Self::ES384,
            Alg::EdDSA => Self::EdDSA,
            Alg::HS256 => Self::HS256,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RepeatedKid => "its kid stands twice",
            Self::WrongMember => "needs private_key_pkcs8, or k if its algorithm is HS256, and not both",
            Self::NotBase64 => "its key is not base64",
            Self::NotPkcs8 => "not a PKCS#8 key of its algorithm",
            Self::ShortHmacKey => "an HMAC key under 32 bytes",
        })
    }
}

fn rsa(pkcs8: &[u8], padding: &'static dyn RsaEncoding) -> Result<Material, KeyFault> {
    let key = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyFault::NotPkcs8)?;
    Ok(Material::Rsa(Box::new(key), padding))
}

fn ec(pkcs8: &[u8], alg: &'static EcdsaSigningAlgorithm) -> Result<Material, KeyFault> {
    let key = EcdsaKeyPair::from_pkcs8(alg, pkcs8).map_err(|_| KeyFault::NotPkcs8)?;
    Ok(Material::Ec(Box::new(key)))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::Validation;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_signature_verifies_with_the_published_key_of_every_algorithm() {
        for alg in Alg::ALL.into_iter().filter(|alg| *alg != Alg::HS256) {
            let key = SigningKey::from_record(&KeyRecord::generate(alg, 1).unwrap()).unwrap();
            for typ in [Typ::AccessToken, Typ::Jwt] {
                let token = key.sign(typ, br#"{"aud":"a","exp":9999999999}"#).unwrap();
                let algorithm: Algorithm = alg.as_str().parse().unwrap();
                let mut validation = Validation::new(algorithm);
                validation.set_audience(&["a"]);
                let decoding = DecodingKey::from_jwk(key.public_jwk().unwrap()).unwrap();
                let read = jsonwebtoken::decode::<Value>(&token, &decoding, &validation).unwrap();
                assert_eq!(read.header.typ.as_deref(), Some(typ.as_str()));
                assert_eq!(read.header.kid.as_deref(), Some(key.kid()));
                assert_eq!(read.header.alg, algorithm);
            }
        }
    }

    #[test]
    fn a_key_whose_public_half_is_anothers_does_not_verify() {
        for alg in Alg::ALL {
            let [mut key, other] =
                [1, 2].map(|at| SigningKey::from_record(&KeyRecord::generate(alg, at).unwrap()).unwrap());
            assert!(key.verifies(), "{alg:?}");
            key.public = other.public;
            assert_eq!(key.verifies(), alg == Alg::HS256, "{alg:?}");
        }
    }

    #[test]
    fn an_hmac_key_is_not_published() {
        let key = SigningKey::from_record(&KeyRecord::generate(Alg::HS256, 1).unwrap()).unwrap();
        assert!(key.public_jwk().is_none());
    }
}
