//! `DPoP` proofs (RFC 9449): a request shows that its sender has a private key, and the token is bound to that key.

use serde_json::{Map, Value};

use super::{
    error::Reason,
    jwk::VerifyingKey,
    jws::{HeaderKey, JwtFault, UnverifiedJwt},
    state::{StateRow, Write},
    uri::normalized,
};

/// The algorithms that proofs may be signed with, for the metadata (RFC 9449 section 5.1). `EdDSA` has a second name that says
/// its curve (RFC 9864 section 2.2), and clients that use only that one.
pub const ALGS: &[&str] = &["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"];

/// A proof that is good in itself: its signature holds for the key in it, and it was made for this endpoint, lately. Whether
/// it is the first with its `jti` only the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    jkt: String,
    jti: String,
    iat: u64,
}

/// What a proof has to be about.
pub struct Expected<'a> {
    /// The URLs of the token endpoint: `htu` has to be one of them.
    pub urls: &'a [Option<&'a str>],
    /// Seconds since the epoch, to compare `iat` with.
    pub now: u64,
    /// Whether a proof with that nonce, or without one, is taken.
    pub takes_nonce: &'a dyn Fn(Option<&str>) -> bool,
}

/// How old a proof may be, in seconds (RFC 9449 section 11.1).
pub const MAX_AGE_SECONDS: u64 = 300;
/// How far in the future a proof may have been made, in seconds, since clocks differ.
pub const MAX_SKEW_SECONDS: u64 = 10;

// A proof with an RSA key of 8192 bits has some 4 KiB.
const MAX_PROOF_BYTES: usize = 8 * 1024;
const MAX_JTI_BYTES: usize = 256;

impl Proof {
    /// Reads and verifies the proof of a request. `headers` holds the values of all its `DPoP` headers; there is at least one.
    ///
    /// # Errors
    /// The [`Reason`] of the first of RFC 9449 section 4.3's checks that fails; they are made in the order of a proof's parts.
    pub fn read<'a>(mut headers: impl Iterator<Item = &'a [u8]>, expected: &Expected<'_>) -> Result<Self, Reason> {
        let header = headers.next().unwrap_or_default();
        // API Gateway's HTTP API joins repeated headers with a comma, which is in no JWS.
        if headers.next().is_some() || header.contains(&b',') {
            return Err(Reason::RepeatedDpopProof);
        }
        if header.len() > MAX_PROOF_BYTES {
            return Err(Reason::MalformedDpopProof);
        }
        let text = std::str::from_utf8(header.trim_ascii()).map_err(|_| Reason::MalformedDpopProof)?;
        let jwt = UnverifiedJwt::parse(text, HeaderKey::Jwk).map_err(|fault| match fault {
            JwtFault::AlgNotTaken => Reason::UnsupportedDpopAlg,
            JwtFault::Malformed | JwtFault::Encrypted | JwtFault::HeaderNotTaken => Reason::MalformedDpopProof,
        })?;
        let jkt = verified_jkt(&jwt)?;
        let claims = Claims::read(jwt.unverified_claims()).ok_or(Reason::MalformedDpopProof)?;
        claims.check(expected)?;
        Ok(Self { jkt, jti: claims.jti.to_owned(), iat: claims.iat })
    }

    /// The thumbprint of the key that the proof was signed with (RFC 9449 section 6.1).
    #[must_use]
    pub fn jkt(&self) -> &str {
        &self.jkt
    }

    /// What has to be stored before the proof counts (RFC 9449 section 11.1). It is kept until the proof would be too old.
    #[must_use]
    pub fn use_once(&self) -> Write {
        Write::UseOnce {
            row: StateRow::DpopJti { jkt: self.jkt.clone(), jti: self.jti.clone() },
            expires_at: self.iat.saturating_add(MAX_AGE_SECONDS + 1),
            lost: Reason::ReplayedDpopProof,
        }
    }
}

// RFC 9449 section 4.3, items 2 to 7.
fn verified_jkt(jwt: &UnverifiedJwt) -> Result<String, Reason> {
    if jwt.is_typ("dpop+jwt") != Some(true) {
        return Err(Reason::MalformedDpopProof);
    }
    let jwk = jwt.unverified_jwk().ok_or(Reason::MalformedDpopProof)?;
    let key = VerifyingKey::from_jwk_for(jwk, jwt.unverified_alg()).map_err(|_| Reason::UnusableDpopKey)?;
    if jwt.verify(&key) { Ok(key.thumbprint().to_owned()) } else { Err(Reason::DpopSignatureMismatch) }
}

struct Claims<'a> {
    jti: &'a str,
    htm: &'a str,
    htu: &'a str,
    iat: u64,
    nonce: Option<&'a str>,
}

impl<'a> Claims<'a> {
    fn read(claims: &'a Map<String, Value>) -> Option<Self> {
        let text = |name: &str| claims.get(name)?.as_str();
        Some(Self {
            jti: text("jti").filter(|jti| (1..=MAX_JTI_BYTES).contains(&jti.len()))?,
            htm: text("htm")?,
            htu: text("htu")?,
            iat: claims.get("iat")?.as_u64()?,
            nonce: if claims.contains_key("nonce") { Some(text("nonce")?) } else { None },
        })
    }

    // Items 8 to 11, and the nonce last, so that a client that is sent back for one has nothing else to mend.
    fn check(&self, expected: &Expected<'_>) -> Result<(), Reason> {
        if self.htm != "POST" {
            return Err(Reason::DpopMethodMismatch);
        }
        let htu = normalized(self.htu).ok_or(Reason::DpopUrlMismatch)?;
        if !expected.urls.iter().flatten().any(|url| normalized(url).as_deref() == Some(htu.as_str())) {
            return Err(Reason::DpopUrlMismatch);
        }
        let (oldest, newest) =
            (expected.now.saturating_sub(MAX_AGE_SECONDS), expected.now.saturating_add(MAX_SKEW_SECONDS));
        if !(oldest..=newest).contains(&self.iat) {
            return Err(Reason::StaleDpopProof);
        }
        if (expected.takes_nonce)(self.nonce) { Ok(()) } else { Err(Reason::UseDpopNonce) }
    }
}
