//! Client secrets, and the hashes they are checked against.
//!
//! A secret made here has 256 random bits, so a fast salted hash of it is as strong as a slow one and costs a microsecond.
//! Hashes made elsewhere are verified as they are, their cost bounded when they are read.

mod scheme;

use std::{fmt, sync::OnceLock};

use argon2::Argon2;
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use self::scheme::from_hex;
use self::scheme::{Scheme, equal, hmac_sha256};

/// A secret in clear: `Debug` is blank, there is no `Display`, no comparison and no serialization, and memory is wiped on drop.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text of a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself, for the few places that hash it or print it once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A stored hash: a text that names its scheme, and the parsed scheme.
///
/// | text | scheme | bound |
/// |---|---|---|
/// | `$hmac-sha256$<salt>$<mac>` | HMAC-SHA-256 keyed with the salt: what this server makes | |
/// | `$argon2id$v=19$m=..,t=..,p=..$..$..` (PHC string) | Argon2id | m at most 128 MiB, m x t at most 256 MiB, p at most 8 |
/// | `$2a$`, `$2b$`, `$2y$` | bcrypt; input over 72 bytes never matches | cost at most 14 |
/// | `$pbkdf2-sha256$i=..,l=..$..$..`, `$pbkdf2-sha512$..` (PHC string) | PBKDF2 | 1000 to 1,500,000 iterations |
/// | `$scrypt$ln=..,r=..,p=..$..$..` (PHC string) | scrypt | 128 x N x r at most 128 MiB, p at most 4 |
/// | `$sha256$<64 hex digits>`, or the digits alone | SHA-256 | |
/// | `$sha3-256$<64 hex digits>` | SHA3-256 | |
/// | `$sha3-256-hex$<64 hex digits>` | SHA3-256 of the bytes that the secret spells in hex (Frontier's opaque tokens) | |
///
/// `Debug` is blank.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretHash {
    text: String,
    scheme: Scheme,
    // A fast tag of the secret that was found to match, so that a slow scheme is paid for once in a cached client's life.
    matched: OnceLock<hmac::Tag>,
}

/// Why a stored hash is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFault {
    /// No scheme of ours, or parts missing or malformed.
    Malformed,
    /// Verifying it would cost more than the scheme's bound.
    TooCostly,
    /// Its parameters are too weak to be safe.
    TooWeak,
}

impl SecretHash {
    /// Hashes a secret of at least 128 random bits: HMAC-SHA-256 keyed with `salt`.
    #[must_use]
    pub fn of_random_secret(secret: &Secret, salt: [u8; 16]) -> Self {
        let mac = hmac_sha256(&salt, secret.expose().as_bytes());
        Self {
            text: format!("$hmac-sha256${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(mac)),
            scheme: Scheme::HmacSha256 { salt: salt.to_vec(), mac: mac.as_ref().to_vec() },
            matched: OnceLock::new(),
        }
    }

    /// Hashes a secret that a person may have chosen: Argon2id with 19 MiB and two passes.
    ///
    /// # Errors
    /// [`HashFault::Malformed`] for a secret that Argon2 cannot take; there is none under 4 GiB.
    pub fn of_chosen_secret(secret: &Secret, salt: [u8; 16]) -> Result<Self, HashFault> {
        let mut hash = [0; 32];
        Argon2::default()
            .hash_password_into(secret.expose().as_bytes(), &salt, &mut hash)
            .map_err(|_| HashFault::Malformed)?;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        Self::try_from(format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}"))
    }

    /// Whether `secret` is the one that was hashed; the comparison takes the same time wherever the two differ.
    #[must_use]
    pub fn verify(&self, secret: &Secret) -> bool {
        if !self.is_slow() {
            return self.scheme.matches(&self.text, secret.expose().as_bytes());
        }
        let tag = hmac_sha256(self.text.as_bytes(), secret.expose().as_bytes());
        if self.matched.get().is_some_and(|matched| equal(matched.as_ref(), tag.as_ref())) {
            return true;
        }
        let matches = self.scheme.matches(&self.text, secret.expose().as_bytes());
        if matches {
            self.matched.get_or_init(|| tag);
        }
        matches
    }

    /// Whether verifying takes milliseconds or more, so that trying it needlessly is worth avoiding.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        !matches!(self.scheme, Scheme::HmacSha256 { .. } | Scheme::Digest { .. } | Scheme::DigestOfHex { .. })
    }

    /// Whether it matches texts other than the one that was hashed, as hex in either case: none of our own schemes can take its
    /// place.
    #[must_use]
    pub fn takes_other_spellings(&self) -> bool {
        matches!(self.scheme, Scheme::DigestOfHex { .. })
    }

    /// The name of the scheme.
    #[must_use]
    pub fn scheme(&self) -> &str {
        match &self.scheme {
            Scheme::Bcrypt => "bcrypt",
            Scheme::Digest { .. } if !self.text.starts_with('$') => "sha256",
            _ => self.text.split('$').nth(1).unwrap_or_default(),
        }
    }

    /// The scheme and its parameters, which say what verifying costs: `argon2id v=19 m=19456,t=2,p=1`, `bcrypt 14`.
    #[must_use]
    pub fn parameters(&self) -> String {
        let parts: Vec<&str> = self.text.split('$').filter(|part| !part.is_empty()).collect();
        match &self.scheme {
            Scheme::Bcrypt => format!("bcrypt {}", parts.get(1).unwrap_or(&"").trim_start_matches('0')),
            Scheme::Digest { .. } | Scheme::DigestOfHex { .. } => self.scheme().to_owned(),
            // A salt and a hash end the text.
            _ => parts.get(..parts.len().saturating_sub(2)).unwrap_or_default().join(" "),
        }
    }

    /// The text that is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Spends what one verification of the default scheme costs, for a client that does not exist.
pub fn verify_nothing(secret: &Secret) {
    std::hint::black_box(equal(hmac_sha256(&[0; 16], secret.expose().as_bytes()).as_ref(), &[0; 32]));
}

impl TryFrom<String> for SecretHash {
    type Error = HashFault;

    fn try_from(text: String) -> Result<Self, HashFault> {
        let scheme = Scheme::parse(&text)?;
        Ok(Self { text, scheme, matched: OnceLock::new() })
    }
}

impl From<SecretHash> for String {
    fn from(hash: SecretHash) -> Self {
        hash.text
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

impl fmt::Display for HashFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a hash of a supported scheme",
            Self::TooCostly => "verifying it would cost more than the bound for its scheme",
            Self::TooWeak => "its parameters are too weak",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct horse battery staple";
    // Made from SECRET by other implementations: argon2-cffi, bcrypt, and hashlib of Python.
    const IMPORTED: &[&str] = &[
        "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$EEqYVo55l7MGfPvwVPSRCq7RN6JXw+TBbKyW9De5Grw",
        "$argon2id$v=19$m=1024,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$WHgvyW8Gptf87EcoCZ9qeI7pigT0zY+gonr224t6Rrg",
        "$2a$04$UoDEe1ln/MkEJUwjzFX83OsXnDSMmR4fMVWFd.BhgnnT6dhKQqJMm",
        "$2b$04$6SrzGhyJKsoRBFZX./ZmjO3oJ7TDIB9vuX3f4xjGOxJAWB0ZBKT7K",
        "$2y$04$6SrzGhyJKsoRBFZX./ZmjO3oJ7TDIB9vuX3f4xjGOxJAWB0ZBKT7K",
        "$pbkdf2-sha256$i=25000,l=32$AAECAwQFBgcICQoLDA0ODw$q3p6hzSDqJqvjFfDTJ4Rg5BSX89AyJuR1xytmLoV8tY",
        "$pbkdf2-sha512$i=1000,l=64$AAECAwQFBgcICQoLDA0ODw$A6AmFIti7CKlYdoPiV9jf1d9llp37o27Wms8Zx8fwMJGCOigJzAthOW3Pg+XF5PnNiYnsQsIz1N5NtynrEm78w",
        "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$mp90zEQd5XGhjEv4WArVH4Z0XRSzkGWtJK2S/AXJlRU",
        "c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a",
        "$sha256$C4BBCB1FBEC99D65BF59D85C8CB62EE2DB963F0FE106F483D9AFA73BD4E39A8A",
        "$sha3-256$af9ac3dac56b02f1ea017e7657a9bb7e1778274e31509f134f023e41a5953866",
    ];

    // The 32 bytes that OPAQUE spells, hashed by hashlib of Python, as Frontier does it.
    const OPAQUE: &str = "9a076b615361c3d5f1f61bac2bac4b4abd1b4ca4b3b80c3ffa7e4409b64110a6";
    const OF_OPAQUE: &str = "$sha3-256-hex$6faedb13baf6e344e29a2b885a732820aec6d44b30648c8cee96ff7b4c9230c0";

    fn parse(text: &str) -> Result<SecretHash, HashFault> {
        SecretHash::try_from(text.to_owned())
    }

    #[test]
    fn hashes_made_elsewhere_match_their_secret_and_no_other() {
        for text in IMPORTED {
            let hash = parse(text).unwrap();
            assert!(hash.verify(&Secret::new(SECRET)), "{text}");
            assert!(!hash.verify(&Secret::new("correct horse battery stapl")), "{text}");
            assert!(!hash.verify(&Secret::new("")), "{text}");
            assert_eq!(String::from(hash), *text);
        }
    }

    #[test]
    fn a_hash_of_what_the_secret_spells_in_hex_matches_in_either_case_and_nothing_that_is_no_hex() {
        let hash = parse(OF_OPAQUE).unwrap();
        assert!(!hash.is_slow());
        assert_eq!((hash.scheme(), hash.parameters().as_str()), ("sha3-256-hex", "sha3-256-hex"));
        assert!(hash.verify(&Secret::new(OPAQUE)));
        assert!(hash.verify(&Secret::new(OPAQUE.to_uppercase())));
        for wrong in
            ["", "9a", &OPAQUE[1..], &OPAQUE.replace('a', "b"), &format!("{OPAQUE}00"), &OPAQUE.replace('9', "g")]
        {
            assert!(!hash.verify(&Secret::new(wrong)), "{wrong}");
        }
    }

    #[test]
    fn a_hash_made_here_is_read_back() {
        let made = SecretHash::of_random_secret(&Secret::new(SECRET), [7; 16]);
        let read = parse(made.as_str()).unwrap();
        assert!(read.verify(&Secret::new(SECRET)));
        assert!(!read.is_slow());
        assert!(!read.verify(&Secret::new("another")));
    }

    #[test]
    fn a_slow_hash_that_matched_once_still_refuses_another_secret() {
        let hash = SecretHash::of_chosen_secret(&Secret::new(SECRET), [7; 16]).unwrap();
        assert!(hash.is_slow());
        for _ in 0..2 {
            assert!(hash.verify(&Secret::new(SECRET)));
            assert!(!hash.verify(&Secret::new("another")));
        }
    }

    #[test]
    fn bcrypt_never_matches_an_input_that_it_would_truncate() {
        let hash = parse("$2b$04$ChQLQ3s0A1HgQbQb.I4FcuOqRCpZ3HAmZL311WFeCymQeQqfxBidy").unwrap();
        assert!(hash.verify(&Secret::new("x".repeat(72))));
        assert!(!hash.verify(&Secret::new("x".repeat(73))));
    }

    #[test]
    fn the_cost_of_an_imported_hash_is_bounded() {
        let tail = "$AAECAwQFBgcICQoLDA0ODw$q3p6hzSDqJqvjFfDTJ4Rg5BSX89AyJuR1xytmLoV8tY";
        for costly in [
            format!("$argon2id$v=19$m=131073,t=1,p=1{tail}"),
            format!("$argon2id$v=19$m=65536,t=5,p=1{tail}"),
            format!("$argon2id$v=19$m=1024,t=1,p=9{tail}"),
            format!("$pbkdf2-sha256$i=1500001{tail}"),
            format!("$scrypt$ln=18,r=8,p=1{tail}"),
            format!("$scrypt$ln=63,r=8,p=1{tail}"),
            format!("$scrypt$ln=10,r=8,p=5{tail}"),
            "$2b$15$6SrzGhyJKsoRBFZX./ZmjO3oJ7TDIB9vuX3f4xjGOxJAWB0ZBKT7K".to_owned(),
        ] {
            assert_eq!(parse(&costly).unwrap_err(), HashFault::TooCostly, "{costly}");
        }
        for weak in [
            format!("$pbkdf2-sha256$i=999{tail}"),
            "$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0O".to_owned(),
        ] {
            assert_eq!(parse(&weak).unwrap_err(), HashFault::TooWeak, "{weak}");
        }
    }

    #[test]
    fn a_malformed_hash_is_refused() {
        let tail = "$AAECAwQFBgcICQoLDA0ODw$q3p6hzSDqJqvjFfDTJ4Rg5BSX89AyJuR1xytmLoV8tY";
        for bad in [
            "",
            "plain",
            "$",
            "$$",
            "$1$abc",
            "$2x$04$6SrzGhyJKsoRBFZX./ZmjO3oJ7TDIB9vuX3f4xjGOxJAWB0ZBKT7K",
            "$2b$04$short",
            "$sha256$zz",
            "$sha3-256-hex$zz",
            &"g".repeat(64),
            &"a".repeat(63),
            "$argon2id$v=19$m=1024,t=2,p=1$AAECAwQFBgcICQoLDA0ODw",
            &format!("$argon2i$v=19$m=1024,t=2,p=1{tail}"),
            &format!("$argon2id$v=18$m=1024,t=2,p=1{tail}"),
            &format!("$pbkdf2-sha256$i=1000,l=31{tail}"),
            &format!("$pbkdf2-sha1$i=1000{tail}"),
            &format!("$pbkdf2-sha256{tail}"),
        ] {
            assert_eq!(parse(bad).unwrap_err(), HashFault::Malformed, "{bad}");
        }
    }

    #[test]
    fn the_parameters_of_a_hash_name_its_scheme_and_cost_and_nothing_of_the_secret() {
        let parameters: Vec<_> = IMPORTED.iter().map(|text| parse(text).unwrap().parameters()).collect();
        assert_eq!(
            parameters,
            [
                "hmac-sha256",
                "argon2id v=19 m=1024,t=2,p=1",
                "bcrypt 4",
                "bcrypt 4",
                "bcrypt 4",
                "pbkdf2-sha256 i=25000,l=32",
                "pbkdf2-sha512 i=1000,l=64",
                "scrypt ln=10,r=8,p=1",
                "sha256",
                "sha256",
                "sha3-256",
            ]
        );
    }

    #[test]
    fn debug_shows_neither_secret_nor_hash() {
        let hash = parse(IMPORTED[0]).unwrap();
        assert_eq!(format!("{:?} {hash:?}", Secret::new(SECRET)), "Secret(..) SecretHash(..)");
    }
}
