//! Signed JWTs as they come in (RFC 7515 compact serialization, RFC 7519): read strictly, and not believed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{json, jwk::VerifyingKey, jwt::Alg};

/// A JWT whose form is right. Nothing in it is proven until [`UnverifiedJwt::verify`] has said so.
///
/// There is no `Debug`: whoever holds a signed assertion can use it.
pub struct UnverifiedJwt {
    alg: Alg,
    kid: Option<String>,
    typ: Option<String>,
    jwk: Option<Map<String, Value>>,
    claims: Map<String, Value>,
    // `base64url(header).base64url(claims)`: what is signed.
    signing_input: String,
    signature: Vec<u8>,
}

/// What a JOSE header may bring its own key in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderKey {
    /// Nothing: the verifier has the key already.
    Refused,
    /// `jwk` (RFC 7515 section 4.1.3), for a caller that knows how to trust it by other means (RFC 9449 section 4.2).
    Jwk,
}

/// Why a text is not a JWT to look into. None says anything about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtFault {
    /// Not three parts of canonical base64url, of which the first two are JSON objects without repeated members.
    Malformed,
    /// Five parts: it is encrypted (RFC 7516).
    Encrypted,
    /// A header member that brings a key, changes what is signed, or has to be understood and is not.
    HeaderNotTaken,
    /// `alg` is missing, `none`, symmetric, or none of ours.
    AlgNotTaken,
}

// They bring a key, or point to one that would have to be fetched (RFC 7515 sections 4.1.2, 4.1.5 and 4.1.6), say that members
// must be understood of which we know none (4.1.11), change what is signed (RFC 7797), or belong to encryption (RFC 7516).
const NOT_TAKEN: [&str; 7] = ["jku", "x5u", "x5c", "crit", "b64", "enc", "zip"];

impl UnverifiedJwt {
    /// Reads a JWT. Its length is the caller's to bound.
    ///
    /// # Errors
    /// [`JwtFault`].
    pub fn parse(text: &str, key: HeaderKey) -> Result<Self, JwtFault> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(JwtFault::Malformed);
        };
        match parts.count() {
            0 => {}
            2 => return Err(JwtFault::Encrypted),
            _ => return Err(JwtFault::Malformed),
        }
        let signing_input = text.get(..header.len() + 1 + claims.len()).unwrap_or_default().to_owned();
        let (mut header, claims) = (object(header)?, object(claims)?);
        if NOT_TAKEN.iter().any(|name| header.contains_key(*name)) {
            return Err(JwtFault::HeaderNotTaken);
        }
        let jwk = match (header.remove("jwk"), key) {
            (None, _) => None,
            (Some(Value::Object(jwk)), HeaderKey::Jwk) => Some(jwk),
            (Some(_), _) => return Err(JwtFault::HeaderNotTaken),
        };
        let alg = header.get("alg").and_then(Value::as_str).and_then(Alg::asymmetric).ok_or(JwtFault::AlgNotTaken)?;
        Ok(Self {
            alg,
            kid: string(&mut header, "kid")?,
            typ: string(&mut header, "typ")?,
            jwk,
            claims,
            signing_input,
            signature: decode(signature)?,
        })
    }

    /// `alg`: never symmetric, never `none`.
    #[must_use]
    pub fn unverified_alg(&self) -> Alg {
        self.alg
    }

    /// `kid` (RFC 7515 section 4.1.4).
    #[must_use]
    pub fn unverified_kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// `jwk` (RFC 7515 section 4.1.3), if the reader was told to take it.
    #[must_use]
    pub fn unverified_jwk(&self) -> Option<&Map<String, Value>> {
        self.jwk.as_ref()
    }

    /// The claims.
    #[must_use]
    pub fn unverified_claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Whether `typ` is that media type, which is compared without case and may be written with or without `application/`
    /// (RFC 7515 section 4.1.9); `None` if there is no `typ`.
    #[must_use]
    pub fn is_typ(&self, wanted: &str) -> Option<bool> {
        let typ = self.typ.as_deref()?;
        let plain = match typ.get(..PREFIX.len()) {
            Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => typ.get(PREFIX.len()..).unwrap_or_default(),
            Some(_) | None => typ,
        };
        Some(plain.eq_ignore_ascii_case(wanted))
    }

    /// Whether `key` signed it, with the one algorithm that the key is for.
    #[must_use]
    pub fn verify(&self, key: &VerifyingKey) -> bool {
        key.alg() == self.alg && key.verify(self.signing_input.as_bytes(), &self.signature)
    }
}

const PREFIX: &str = "application/";

fn decode(part: &str) -> Result<Vec<u8>, JwtFault> {
    // This engine takes no padding, no white space, and no bits beyond the last byte.
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtFault::Malformed)
}

fn object(part: &str) -> Result<Map<String, Value>, JwtFault> {
    json::object(&decode(part)?).ok_or(JwtFault::Malformed)
}

fn string(header: &mut Map<String, Value>, name: &str) -> Result<Option<String>, JwtFault> {
    match header.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwtFault::Malformed),
    }
}
