//! The hash schemes: reading what is stored, within bounds, and matching an input against it.

use std::num::NonZeroU32;

use argon2::{Argon2, password_hash::phc::PasswordHash};
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, hmac, pbkdf2};

use super::HashFault;

/// A stored hash, taken apart.
#[derive(Clone)]
pub(super) enum Scheme {
    HmacSha256 { salt: Vec<u8>, mac: Vec<u8> },
    Argon2id { argon2: Box<Argon2<'static>>, salt: Vec<u8>, hash: Vec<u8> },
    Bcrypt,
    Pbkdf2 { algorithm: pbkdf2::Algorithm, iterations: NonZeroU32, salt: Vec<u8>, hash: Vec<u8> },
    Scrypt { params: scrypt::Params, salt: Vec<u8>, hash: Vec<u8> },
    Digest { algorithm: &'static digest::Algorithm, digest: Vec<u8> },
    // Of the bytes that the input spells in hex.
    DigestOfHex { algorithm: &'static digest::Algorithm, digest: Vec<u8> },
}

const MAX_ARGON2_MEMORY_KIB: u32 = 128 * 1024;
const MAX_ARGON2_WORK_KIB: u32 = 256 * 1024;
const MAX_ARGON2_LANES: u32 = 8;
const MAX_BCRYPT_COST: u32 = 14;
const MAX_BCRYPT_INPUT: usize = 72;
const MIN_PBKDF2_ITERATIONS: u32 = 1_000;
const MAX_PBKDF2_ITERATIONS: u32 = 1_500_000;
const MAX_SCRYPT_MEMORY: u64 = 128 * 1024 * 1024;
const MAX_SCRYPT_LANES: u32 = 4;
// What a truncated hash must keep so that finding another secret for it stays out of reach.
const MIN_HASH_BYTES: usize = 16;

impl Scheme {
    /// Takes a stored text apart.
    pub(super) fn parse(text: &str) -> Result<Self, HashFault> {
        if text.starts_with("$2") {
            bcrypt_scheme(text)
        } else if let Some(hex) = text.strip_prefix("$sha256$") {
            Ok(Scheme::Digest { algorithm: &digest::SHA256, digest: stored_digest(hex)? })
        } else if let Some(hex) = text.strip_prefix("$sha3-256$") {
            Ok(Scheme::Digest { algorithm: &digest::SHA3_256, digest: stored_digest(hex)? })
        } else if let Some(hex) = text.strip_prefix("$sha3-256-hex$") {
            Ok(Scheme::DigestOfHex { algorithm: &digest::SHA3_256, digest: stored_digest(hex)? })
        } else if text.starts_with('$') {
            phc_scheme(text)
        } else {
            Ok(Scheme::Digest { algorithm: &digest::SHA256, digest: stored_digest(text)? })
        }
    }

    /// Whether `input` is what was hashed; `text` is the stored text.
    pub(super) fn matches(&self, text: &str, input: &[u8]) -> bool {
        match self {
            Scheme::HmacSha256 { salt, mac } => equal(hmac_sha256(salt, input).as_ref(), mac),
            Scheme::Argon2id { argon2, salt, hash } => {
                let mut derived = vec![0; hash.len()];
                argon2.hash_password_into(input, salt, &mut derived).is_ok() && equal(&derived, hash)
            }
            Scheme::Bcrypt => input.len() <= MAX_BCRYPT_INPUT && bcrypt::verify(input, text).unwrap_or(false),
            Scheme::Pbkdf2 { algorithm, iterations, salt, hash } => {
                pbkdf2::verify(*algorithm, *iterations, salt, input, hash).is_ok()
            }
            Scheme::Scrypt { params, salt, hash } => {
                let mut derived = vec![0; hash.len()];
                scrypt::scrypt(input, salt, params, &mut derived).is_ok() && equal(&derived, hash)
            }
            Scheme::Digest { algorithm, digest } => equal(digest::digest(algorithm, input).as_ref(), digest),
            Scheme::DigestOfHex { algorithm, digest } => {
                from_hex(input).is_some_and(|bytes| equal(digest::digest(algorithm, &bytes).as_ref(), digest))
            }
        }
    }
}

/// HMAC-SHA-256 keyed with `salt`.
pub(super) fn hmac_sha256(salt: &[u8], input: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), input)
}

/// Compares in a time that does not tell where the two differ.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    verify_slices_are_equal(left, right).is_ok()
}

fn bcrypt_scheme(text: &str) -> Result<Scheme, HashFault> {
    if !["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err(HashFault::Malformed);
    }
    let parts: bcrypt::HashParts = text.parse().map_err(|_| HashFault::Malformed)?;
    if parts.get_cost() > MAX_BCRYPT_COST {
        return Err(HashFault::TooCostly);
    }
    Ok(Scheme::Bcrypt)
}

fn stored_digest(hex: &str) -> Result<Vec<u8>, HashFault> {
    from_hex(hex.as_bytes()).filter(|digest| digest.len() == 32).ok_or(HashFault::Malformed)
}

/// The bytes that a text spells in hex, in either case.
#[must_use]
pub fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

fn phc_scheme(text: &str) -> Result<Scheme, HashFault> {
    let phc = PasswordHash::new(text).map_err(|_| HashFault::Malformed)?;
    let salt = phc.salt.ok_or(HashFault::Malformed)?.to_vec();
    let hash = phc.hash.ok_or(HashFault::Malformed)?.as_bytes().to_vec();
    if hash.len() < MIN_HASH_BYTES {
        return Err(HashFault::TooWeak);
    }
    match phc.algorithm.as_str() {
        "hmac-sha256" if hash.len() == 32 => Ok(Scheme::HmacSha256 { salt, mac: hash }),
        "argon2id" => argon2_scheme(&phc, salt, hash),
        "pbkdf2-sha256" => pbkdf2_scheme(&phc, pbkdf2::PBKDF2_HMAC_SHA256, salt, hash),
        "pbkdf2-sha512" => pbkdf2_scheme(&phc, pbkdf2::PBKDF2_HMAC_SHA512, salt, hash),
        "scrypt" => scrypt_scheme(&phc, salt, hash),
        _ => Err(HashFault::Malformed),
    }
}

fn argon2_scheme(phc: &PasswordHash, salt: Vec<u8>, hash: Vec<u8>) -> Result<Scheme, HashFault> {
    let params = argon2::Params::try_from(phc).map_err(|_| HashFault::Malformed)?;
    let version = match phc.version {
        None | Some(0x13) => argon2::Version::V0x13,
        Some(0x10) => argon2::Version::V0x10,
        Some(_) => return Err(HashFault::Malformed),
    };
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if memory > MAX_ARGON2_MEMORY_KIB || lanes > MAX_ARGON2_LANES || memory.saturating_mul(passes) > MAX_ARGON2_WORK_KIB
    {
        return Err(HashFault::TooCostly);
    }
    let argon2 = Box::new(Argon2::new(argon2::Algorithm::Argon2id, version, params));
    Ok(Scheme::Argon2id { argon2, salt, hash })
}

fn pbkdf2_scheme(
    phc: &PasswordHash,
    algorithm: pbkdf2::Algorithm,
    salt: Vec<u8>,
    hash: Vec<u8>,
) -> Result<Scheme, HashFault> {
    let length = phc.params.get_decimal("l");
    if length.is_some_and(|length| usize::try_from(length) != Ok(hash.len())) {
        return Err(HashFault::Malformed);
    }
    let iterations = phc.params.get_decimal("i").ok_or(HashFault::Malformed)?;
    match NonZeroU32::new(iterations) {
        Some(_) if iterations > MAX_PBKDF2_ITERATIONS => Err(HashFault::TooCostly),
        Some(iterations) if iterations.get() >= MIN_PBKDF2_ITERATIONS => {
            Ok(Scheme::Pbkdf2 { algorithm, iterations, salt, hash })
        }
        _ => Err(HashFault::TooWeak),
    }
}

fn scrypt_scheme(phc: &PasswordHash, salt: Vec<u8>, hash: Vec<u8>) -> Result<Scheme, HashFault> {
    let param = |name| phc.params.get_decimal(name).ok_or(HashFault::Malformed);
    let (log_n, r, p) = (param("ln")?, param("r")?, param("p")?);
    let memory = 1_u64.checked_shl(log_n).and_then(|n| n.checked_mul(128)).and_then(|n| n.checked_mul(u64::from(r)));
    if p > MAX_SCRYPT_LANES || memory.is_none_or(|bytes| bytes > MAX_SCRYPT_MEMORY) {
        return Err(HashFault::TooCostly);
    }
    let log_n = u8::try_from(log_n).map_err(|_| HashFault::TooCostly)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| HashFault::Malformed)?;
    Ok(Scheme::Scrypt { params, salt, hash })
}
