//! Nonces for `DPoP` proofs (RFC 9449 section 8) that every instance knows without keeping any: a MAC over a span of time.

use aws_lc_rs::{
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
    hmac::{self, HMAC_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::KeyRing;

/// The key of nonces that goes with a private key.
pub(super) struct NonceKey(hmac::Key);

/// How long a nonce is handed out, in seconds. It is good for as long again.
pub const SPAN_SECONDS: u64 = 150;

const INFO: &[u8] = b"mintlet: key of DPoP nonces, version 1";

impl NonceKey {
    /// The one that HKDF (RFC 5869) derives of a private key's PKCS#8.
    pub(super) fn derive(pkcs8: &[u8]) -> Result<Self, Unspecified> {
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(pkcs8);
        Ok(Self(extracted.expand(&[INFO], HMAC_SHA256)?.into()))
    }

    fn nonce(&self, span: u64) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &span.to_be_bytes()))
    }

    // Of this span or the one before; of the next one too, which a clock that goes ahead may be in.
    fn made(&self, tag: &[u8], span: u64) -> bool {
        [span, span.wrapping_sub(1), span.wrapping_add(1)]
            .iter()
            .any(|span| hmac::verify(&self.0, &span.to_be_bytes(), tag).is_ok())
    }
}

impl KeyRing {
    /// The nonce that proofs made at `now` are to have. `None`: no asymmetric key is active.
    ///
    /// Its key goes with the key that has been active for longest, since that is the one that all instances know, also those
    /// that have not read the ring since it was changed.
    #[must_use]
    pub fn dpop_nonce(&self, now: u64) -> Option<String> {
        self.nonce_keys(now).last().map(|key| key.nonce(now / SPAN_SECONDS))
    }

    /// Whether a nonce is one that was handed out not long before `now`, with any key that is active.
    #[must_use]
    pub fn takes_dpop_nonce(&self, nonce: &str, now: u64) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        self.nonce_keys(now).any(|key| key.made(&tag, now / SPAN_SECONDS))
    }

    fn nonce_keys(&self, now: u64) -> impl Iterator<Item = &NonceKey> {
        self.keys.iter().filter(move |held| held.is_active(now)).filter_map(|held| held.key.nonce_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keyring::{KeyRecord, RingDocument},
        oauth::jwt::Alg,
    };

    // The beginning of a span.
    const NOW: u64 = 12_000_000 * SPAN_SECONDS;

    fn record(alg: Alg, activate_at: u64, retire_at: Option<u64>) -> KeyRecord {
        let mut record = KeyRecord::generate(alg, activate_at).unwrap();
        record.retire_at = retire_at;
        record
    }

    fn ring(keys: &[&KeyRecord]) -> KeyRing {
        let keys = keys.iter().map(|key| (*key).clone()).collect();
        KeyRing::try_from(&RingDocument { keys, ..RingDocument::default() }).unwrap()
    }

    #[test]
    fn a_nonce_is_good_for_one_to_two_spans() {
        let ring = ring(&[&record(Alg::ES256, 1, None)]);
        let nonce = ring.dpop_nonce(NOW).unwrap();
        assert_eq!(ring.dpop_nonce(NOW + SPAN_SECONDS - 1).as_ref(), Some(&nonce));
        assert_ne!(ring.dpop_nonce(NOW + SPAN_SECONDS).as_ref(), Some(&nonce));
        for (at, good) in [
            (NOW - SPAN_SECONDS - 1, false),
            (NOW - 1, true),
            (NOW, true),
            (NOW + 2 * SPAN_SECONDS - 1, true),
            (NOW + 2 * SPAN_SECONDS, false),
        ] {
            assert_eq!(ring.takes_dpop_nonce(&nonce, at), good, "{at}");
        }
        let long = "A".repeat(9_000);
        for bad in ["", "A", &nonce[1..], &format!("{nonce}="), &format!("A{nonce}"), &nonce.to_lowercase(), &long] {
            assert!(!ring.takes_dpop_nonce(bad, NOW), "{bad}");
        }
    }

    #[test]
    fn a_key_that_is_added_changes_no_nonce_and_one_that_retires_gives_way() {
        let (old, new) = (record(Alg::RS256, 1, Some(NOW + 100)), record(Alg::ES256, NOW, None));
        let (before, both) = (ring(&[&old]), ring(&[&new, &old]));
        let nonce = before.dpop_nonce(NOW).unwrap();
        assert_eq!(both.dpop_nonce(NOW).as_ref(), Some(&nonce));
        assert!(both.takes_dpop_nonce(&nonce, NOW + 99));
        assert!(!both.takes_dpop_nonce(&nonce, NOW + 100));
        let next = both.dpop_nonce(NOW + 100).unwrap();
        assert_eq!(ring(&[&new]).dpop_nonce(NOW + 100), Some(next));
    }

    #[test]
    fn a_key_that_verifiers_have_too_makes_no_nonce() {
        let ring = ring(&[&record(Alg::HS256, 1, None)]);
        assert_eq!(ring.dpop_nonce(NOW), None);
    }

    #[test]
    fn the_nonces_of_two_keys_differ() {
        let [one, other] = [0, 1].map(|_| ring(&[&record(Alg::EdDSA, 1, None)]));
        assert!(!other.takes_dpop_nonce(&one.dpop_nonce(NOW).unwrap(), NOW));
    }
}
