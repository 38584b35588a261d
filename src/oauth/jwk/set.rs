//! A client's keys (RFC 7591 section 2, `jwks`), each of them right.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{JwkFault, VerifyingKey};
use crate::oauth::jwt::Alg;

/// A JWK set whose keys can all verify signatures. Kept as it was given; the keys are parsed once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Jwks {
    document: Arc<Value>,
    keys: Arc<[Key]>,
}

#[derive(Debug)]
struct Key {
    kid: String,
    key: VerifyingKey,
}

/// Why a JWK set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwksFault {
    /// Not an object whose member `keys` is an array of objects.
    Malformed,
    /// More than [`MAX_KEYS`].
    TooMany,
    /// The key at that index.
    Key(usize, JwkFault),
    /// The key at that index has the `kid` of one before it, or one that is no text of 1 to 255 characters.
    Kid(usize),
}

/// The most keys that a client may have. A signature without `kid` is tried with each of its algorithm.
pub const MAX_KEYS: usize = 10;

impl Jwks {
    /// The keys that a signature of `alg` may be of: the one that `kid` names, or if it names none, all of that algorithm.
    pub fn candidates(&self, kid: Option<&str>, alg: Alg) -> impl Iterator<Item = (&str, &VerifyingKey)> {
        let fits = move |key: &&Key| key.key.alg() == alg && kid.is_none_or(|kid| key.kid == kid);
        self.keys.iter().filter(fits).map(|key| (key.kid.as_str(), &key.key))
    }

    /// Each key's id and algorithm. A key that names no `kid` has its thumbprint for one.
    pub fn list(&self) -> impl Iterator<Item = (&str, Alg)> {
        self.keys.iter().map(|key| (key.kid.as_str(), key.key.alg()))
    }

    /// The keys as they were given.
    #[must_use]
    pub fn jwks(&self) -> &[Value] {
        self.document.get("keys").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A set of these keys.
    ///
    /// # Errors
    /// [`JwksFault`].
    pub fn of(keys: &[Value]) -> Result<Self, JwksFault> {
        Self::try_from(json!({"keys": keys}))
    }
}

impl TryFrom<Value> for Jwks {
    type Error = JwksFault;

    fn try_from(document: Value) -> Result<Self, JwksFault> {
        let listed = document.get("keys").and_then(Value::as_array).ok_or(JwksFault::Malformed)?;
        if listed.len() > MAX_KEYS {
            return Err(JwksFault::TooMany);
        }
        let mut keys: Vec<Key> = Vec::with_capacity(listed.len());
        for (index, jwk) in listed.iter().enumerate() {
            let jwk = jwk.as_object().ok_or(JwksFault::Malformed)?;
            let key = VerifyingKey::from_jwk(jwk).map_err(|fault| JwksFault::Key(index, fault))?;
            let kid = match jwk.get("kid") {
                None => key.thumbprint(),
                Some(kid) => kid.as_str().unwrap_or_default(),
            };
            if !(1..=255).contains(&kid.len()) || keys.iter().any(|other| other.kid == kid) {
                return Err(JwksFault::Kid(index));
            }
            keys.push(Key { kid: kid.to_owned(), key });
        }
        Ok(Self { keys: keys.into(), document: Arc::new(document) })
    }
}

impl From<Jwks> for Value {
    fn from(jwks: Jwks) -> Self {
        Arc::unwrap_or_clone(jwks.document)
    }
}

impl PartialEq for Jwks {
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl fmt::Display for JwksFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not an object with the member \"keys\", an array of objects"),
            Self::TooMany => write!(f, "more than {MAX_KEYS} keys"),
            Self::Key(index, fault) => write!(f, "keys[{index}]: {fault}"),
            Self::Kid(index) => write!(f, "keys[{index}]: its kid stands twice, or is not 1 to 255 characters"),
        }
    }
}
