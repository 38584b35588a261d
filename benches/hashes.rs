//! What verifying a secret costs the first time that an instance sees it, under each scheme that can be imported.
//!
//! `cargo bench --bench hashes`. Figures are medians, in milliseconds of one thread; docs/storage.md quotes them.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, and stops if it cannot"
)]

use std::{hint::black_box, time::Instant};

use mintlet::oauth::secret::{Secret, SecretHash};

// A salt and a hash of 32 bytes. No secret belongs to them: refusing costs what matching does, and is not remembered.
const TAIL: &str = "$AAECAwQFBgcICQoLDA0ODw$q3p6hzSDqJqvjFfDTJ4Rg5BSX89AyJuR1xytmLoV8tY";
const BCRYPT_TAIL: &str = "6SrzGhyJKsoRBFZX./ZmjO3oJ7TDIB9vuX3f4xjGOxJAWB0ZBKT7K";
// What systems store that clients come from, and the bounds of what is taken.
const SCHEMES: &[&str] = &[
    "$hmac-sha256",
    "$sha256",
    "$sha3-256",
    "$pbkdf2-sha256$i=25000",
    "$pbkdf2-sha256$i=210000",
    "$pbkdf2-sha256$i=600000",
    "$pbkdf2-sha256$i=1500000",
    "$pbkdf2-sha512$i=210000",
    "$scrypt$ln=14,r=8,p=1",
    "$scrypt$ln=17,r=8,p=1",
    "$argon2id$v=19$m=19456,t=2,p=1",
    "$argon2id$v=19$m=65536,t=3,p=4",
    "$argon2id$v=19$m=131072,t=2,p=1",
    "$2b$10",
    "$2b$12",
    "$2b$14",
];

fn main() {
    println!("{:<34}{:>14}", "scheme", "cold ms");
    let secret = Secret::new("example-secret-of-more-than-32-characters");
    for scheme in SCHEMES {
        let hash = SecretHash::try_from(text(scheme)).unwrap();
        let iterations = if hash.is_slow() { 1 } else { 10_000 };
        let mut figures: Vec<f64> = (0..5).map(|_| milliseconds(iterations, &hash, &secret)).collect();
        figures.sort_by(f64::total_cmp);
        println!("{:<34}{:>14.4}", hash.parameters(), figures.get(2).copied().unwrap_or_default());
    }
}

fn text(scheme: &str) -> String {
    match scheme {
        "$sha256" | "$sha3-256" => format!("{scheme}${}", "ab".repeat(32)),
        bcrypt if bcrypt.starts_with("$2b") => format!("{scheme}${BCRYPT_TAIL}"),
        phc => format!("{phc}{TAIL}"),
    }
}

fn milliseconds(iterations: u32, hash: &SecretHash, secret: &Secret) -> f64 {
    let start = Instant::now();
    for _ in 0..iterations {
        assert!(!black_box(hash.verify(secret)));
    }
    start.elapsed().as_secs_f64() * 1e3 / f64::from(iterations)
}
