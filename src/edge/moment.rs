//! The only place that reads the clock and draws randomness.
#![expect(clippy::disallowed_methods, reason = "this is the one place that may")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::error::Unspecified;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::grant::Moment;

/// The moment of a request: now, and a token id of 128 random bits.
///
/// # Errors
/// If the operating system has no randomness.
pub fn draw() -> Result<Moment, Unspecified> {
    Ok(Moment { now: now(), jti: URL_SAFE_NO_PAD.encode(random::<16>()?) })
}

/// Seconds since the epoch.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Random bytes.
///
/// # Errors
/// If the operating system has no randomness.
pub fn random<const N: usize>() -> Result<[u8; N], Unspecified> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(bytes)
}

/// Measures how long something takes, for logs only.
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
