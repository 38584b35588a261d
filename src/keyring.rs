//! The signing keys: the ring that holds them, which one signs, and which ones are published.
//!
//! A ring is one JSON document, kept in Secrets Manager or in a local file; [`document`] has its format.

pub mod document;
pub mod dpop_nonce;
pub mod rotation;
mod signing_key;

use jsonwebtoken::jwk::JwkSet;

pub use self::{
    document::{KeyRecord, RingDocument, RingFault},
    signing_key::{KeyFault, SigningKey},
};
use crate::oauth::{access_token::AccessToken, client::Lifetime, jwt::Alg};

/// The longest that an instance may go on with a ring that it cannot read again, in seconds. Longer would keep a revoked key alive.
pub const MAX_HELD_SECONDS: u64 = 24 * 60 * 60;
/// The longest after which an instance may be set to read the ring again, in seconds. While it can be read, what an instance
/// uses is never twice as old.
pub const MAX_CACHE_TTL: u64 = 60 * 60;
/// Seconds for which caches on the way may keep the published keys.
pub const JWKS_MAX_AGE: u64 = 300;

/// The keys of a deployment, parsed and ready to sign.
#[derive(Debug, Default)]
pub struct KeyRing {
    // Newest first: by activation, then by creation.
    keys: Vec<RingKey>,
}

/// A key with the times that rule its use, in seconds since the epoch.
#[derive(Debug)]
pub struct RingKey {
    /// The key.
    pub key: SigningKey,
    /// When it was made.
    pub created_at: u64,
    /// The first second at which it signs.
    pub activate_at: u64,
    /// The first second at which it signs no more.
    pub retire_at: Option<u64>,
    /// Of a key that signs long-lived tokens and nothing else: the first second at which the last of them has expired.
    pub long_lived_until: Option<u64>,
}

impl KeyRing {
    /// Parses a ring document. An empty ring is valid: it signs nothing yet.
    ///
    /// # Errors
    /// [`RingFault`] names what is wrong and where; it holds nothing of a key.
    pub fn from_json(json: &[u8]) -> Result<Self, RingFault> {
        Self::try_from(&RingDocument::from_json(json)?)
    }

    /// The key that signs at `now`: the newest active one of the wanted algorithm.
    ///
    /// Without a wish, of the first algorithm in the order of [`Alg::ALL`] that has an active key.
    #[must_use]
    pub fn signer(&self, wanted: Option<Alg>, now: u64) -> Option<&SigningKey> {
        let signs =
            |held: &&RingKey, alg| held.long_lived_until.is_none() && held.key.alg() == alg && held.is_active(now);
        let of = |alg| self.keys.iter().find(|held| signs(held, alg)).map(|held| &held.key);
        match wanted {
            Some(alg) => of(alg),
            None => Alg::ALL.into_iter().find_map(of),
        }
    }

    /// The key of that id.
    #[must_use]
    pub fn key(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().map(|held| &held.key).find(|key| key.kid() == kid)
    }

    /// The public keys that verifiers need (RFC 7517): those that will sign, those that do, and those whose last token may
    /// still be good. A symmetric key is in none of them.
    #[must_use]
    pub fn jwks(&self, now: u64) -> JwkSet {
        let keys =
            self.keys.iter().filter(|held| held.is_published(now)).filter_map(|held| held.key.public_jwk().cloned());
        JwkSet { keys: keys.collect() }
    }

    /// Seconds since the newest key was made, of those that sign or will; nothing if there is none.
    #[must_use]
    pub fn newest_key_age(&self, now: u64) -> Option<u64> {
        let signs_on = |held: &&RingKey| held.retire_at.is_none_or(|retire_at| now < retire_at);
        let in_use = self.keys.iter().filter(|held| held.long_lived_until.is_none()).filter(signs_on);
        in_use.map(|held| now.saturating_sub(held.created_at)).min()
    }

    /// The access token that a text is, if a key of this ring signed it for `issuer` and it is good at `now`. Any other text,
    /// of whatever length and kind, is `None`.
    #[must_use]
    pub fn verify(&self, token: &str, issuer: &str, now: u64) -> Option<AccessToken> {
        self.opened(|_| true, token, issuer, now)
    }

    /// The same, of the keys with which nobody else can have signed it: those that take a token of an HMAC key have that key.
    #[must_use]
    pub fn verify_as_ours_alone(&self, token: &str, issuer: &str, now: u64) -> Option<AccessToken> {
        self.opened(|alg| Alg::ASYMMETRIC.contains(&alg), token, issuer, now)
    }

    fn opened(&self, takes: fn(Alg) -> bool, token: &str, issuer: &str, now: u64) -> Option<AccessToken> {
        let held = self.keys.iter().filter(|held| held.is_published(now) && takes(held.key.alg()));
        let claims = held.map(|held| &held.key).find_map(|key| key.open(token))?;
        AccessToken::of(serde_json::from_slice(&claims).ok()?, issuer, now)
    }

    /// Every key, newest first.
    #[must_use]
    pub fn keys(&self) -> &[RingKey] {
        &self.keys
    }
}

impl RingKey {
    /// Whether it may sign at `now`.
    #[must_use]
    pub fn is_active(&self, now: u64) -> bool {
        self.activate_at <= now && self.retire_at.is_none_or(|retire_at| now < retire_at)
    }

    /// Whether verifiers may still meet its signature, or will: until the longest-lived of its tokens has expired.
    #[must_use]
    pub fn is_published(&self, now: u64) -> bool {
        is_published(self.retire_at, self.long_lived_until, now)
    }
}

// An instance that cannot read the ring any more, or has not yet, may sign with a key that was retired meanwhile: what counts
// is when the last of its tokens expires. So a key may be retired without notice.
fn is_published(retire_at: Option<u64>, long_lived_until: Option<u64>, now: u64) -> bool {
    let last_token = retire_at.map(|at| at.saturating_add(MAX_HELD_SECONDS + Lifetime::MAX_SECONDS));
    long_lived_until.or(last_token).is_none_or(|end| now < end)
}

impl TryFrom<&RingDocument> for KeyRing {
    type Error = RingFault;

    fn try_from(document: &RingDocument) -> Result<Self, RingFault> {
        let mut keys: Vec<RingKey> = Vec::with_capacity(document.keys.len());
        for (index, record) in document.keys.iter().enumerate() {
            let key = SigningKey::from_record(record).map_err(|fault| RingFault::Key { index, fault })?;
            if keys.iter().any(|held| held.key.kid() == key.kid()) {
                return Err(RingFault::Key { index, fault: KeyFault::RepeatedKid });
            }
            let KeyRecord { created_at, activate_at, retire_at, long_lived_until, .. } = *record;
            keys.push(RingKey { key, created_at, activate_at, retire_at, long_lived_until });
        }
        keys.sort_by_key(|held| std::cmp::Reverse((held.activate_at, held.created_at)));
        Ok(Self { keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::jwt::Typ;

    const NOW: u64 = 1_000_000;

    fn record(alg: Alg, activate_at: u64, retire_at: Option<u64>) -> KeyRecord {
        let mut record = KeyRecord::generate(alg, activate_at).unwrap();
        record.retire_at = retire_at;
        record
    }

    fn ring(keys: Vec<KeyRecord>) -> KeyRing {
        KeyRing::try_from(&RingDocument { keys, ..RingDocument::default() }).unwrap()
    }

    #[test]
    fn the_newest_active_key_of_the_wanted_algorithm_signs() {
        let keys = vec![
            record(Alg::ES256, NOW - 20, None),
            record(Alg::ES256, NOW - 10, None),
            record(Alg::ES256, NOW + 1, None),
            record(Alg::EdDSA, NOW - 30, Some(NOW)),
        ];
        let kids: Vec<_> = keys.iter().map(|key| key.kid.clone()).collect();
        let ring = ring(keys);
        let signs = |wanted, now| ring.signer(wanted, now).map(|key| key.kid().to_owned());
        assert_eq!(signs(Some(Alg::ES256), NOW), Some(kids[1].clone()));
        assert_eq!(signs(Some(Alg::ES256), NOW + 1), Some(kids[2].clone()));
        assert_eq!(signs(Some(Alg::EdDSA), NOW - 1), Some(kids[3].clone()));
        assert_eq!(signs(Some(Alg::EdDSA), NOW), None);
        assert_eq!(signs(Some(Alg::RS256), NOW), None);
        assert_eq!(signs(None, NOW), Some(kids[1].clone()));
    }

    #[test]
    fn without_a_wish_rs256_signs_though_another_key_is_newer() {
        let ring =
            ring(vec![record(Alg::HS256, NOW, None), record(Alg::ES256, NOW, None), record(Alg::RS256, NOW - 9, None)]);
        assert_eq!(ring.signer(None, NOW).unwrap().alg(), Alg::RS256);
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_until_its_last_token_expired() {
        let ring = ring(vec![record(Alg::ES256, NOW + 500, Some(NOW + 600)), record(Alg::HS256, NOW, None)]);
        assert_eq!(ring.jwks(NOW).keys.len(), 1);
        // By an instance that could not read the ring since before it was retired.
        let last_token_expires = NOW + 600 + MAX_HELD_SECONDS + Lifetime::MAX_SECONDS;
        assert_eq!(ring.jwks(last_token_expires - 1).keys.len(), 1);
        assert_eq!(ring.jwks(last_token_expires).keys.len(), 0);
    }

    #[test]
    fn a_key_that_is_published_no_more_verifies_nothing_whatever_the_token_says() {
        let ring = ring(vec![record(Alg::ES256, NOW - 9, Some(NOW))]);
        let end = NOW + MAX_HELD_SECONDS + Lifetime::MAX_SECONDS;
        let claims = serde_json::json!({
            "iss": "i", "sub": "s", "aud": "a", "iat": NOW, "nbf": NOW, "exp": end + 60, "jti": "j", "client_id": "c"
        });
        let token = ring.keys()[0].key.sign(Typ::AccessToken, claims.to_string().as_bytes()).unwrap();
        assert!(ring.verify(&token, "i", end - 1).is_some());
        assert!(ring.verify(&token, "i", end).is_none());
    }

    #[test]
    fn a_key_of_long_lived_tokens_signs_no_others_and_is_published_until_the_last_has_expired() {
        let mut document = RingDocument { keys: vec![record(Alg::ES256, NOW - 9, None)], ..RingDocument::default() };
        let kid = document.long_lived_key(Alg::ES256, NOW, NOW + 1000).unwrap();
        assert_eq!(document.keys[1].kid, kid);
        document.keys[0].retire_at = Some(NOW);
        let ring = KeyRing::try_from(&document).unwrap();
        assert_eq!(ring.signer(Some(Alg::ES256), NOW - 1).map(SigningKey::kid), Some(document.keys[0].kid.as_str()));
        assert!(ring.signer(Some(Alg::ES256), NOW).is_none() && ring.signer(None, NOW).is_none());
        assert_eq!(ring.key(&kid).map(SigningKey::kid), Some(kid.as_str()));
        let kids = |now| ring.jwks(now).keys.into_iter().filter_map(|key| key.common.key_id).collect::<Vec<_>>();
        assert!(kids(NOW + 999).contains(&kid));
        assert!(!kids(NOW + 1000).contains(&kid));
    }

    #[test]
    fn the_key_of_long_lived_tokens_is_one_per_algorithm_and_published_for_the_longest() {
        let mut document = RingDocument::default();
        let mut key = |alg, now, until| document.long_lived_key(alg, now, until).unwrap();
        let first = key(Alg::ES256, NOW, NOW + 100);
        assert_eq!(key(Alg::ES256, NOW + 1, NOW + 50), first, "a shorter one does not end it earlier");
        assert_eq!(key(Alg::ES256, NOW + 1, NOW + 200), first);
        let other = key(Alg::EdDSA, NOW + 1, NOW + 300);
        assert_ne!(other, first);
        // The first key's last token has expired: it makes room for a new one.
        let next = key(Alg::ES256, NOW + 200, NOW + 300);
        assert!(next != first && next != other);
        let until: Vec<_> = document.keys.iter().map(|key| (key.alg, key.long_lived_until)).collect();
        assert_eq!(until, [(Alg::EdDSA, Some(NOW + 300)), (Alg::ES256, Some(NOW + 300))]);
        // One that was retired signs no more, and stays for those that it signed.
        document.keys[1].retire_at = Some(NOW + 250);
        let after = document.long_lived_key(Alg::ES256, NOW + 250, NOW + 260).unwrap();
        assert!(after != next && document.keys.iter().any(|key| key.kid == next));
    }

    #[test]
    fn published_keys_have_no_private_members() {
        let ring = ring(Alg::ALL.into_iter().map(|alg| record(alg, NOW, None)).collect());
        let jwks = serde_json::to_value(ring.jwks(NOW)).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 5);
        for key in keys {
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(key.get(private).is_none(), "{key}");
            }
            for public in ["kid", "alg", "use", "kty"] {
                assert!(key[public].is_string(), "{key}");
            }
        }
    }

    #[test]
    fn the_newest_key_is_as_old_as_the_last_one_made_that_is_in_use() {
        let made = |created_at, retire_at| {
            let mut key = record(Alg::ES256, created_at, retire_at);
            key.activate_at = created_at + 500;
            key
        };
        let age = |keys| ring(keys).newest_key_age(NOW);
        assert_eq!(age(vec![]), None);
        assert_eq!(age(vec![made(NOW - 9, Some(NOW))]), None);
        assert_eq!(age(vec![made(NOW - 90, Some(NOW + 1)), made(NOW - 9, Some(NOW))]), Some(90));
        assert_eq!(age(vec![made(NOW - 90, None), made(NOW - 9, None), made(NOW - 60, None)]), Some(9));
    }

    #[test]
    fn the_same_kid_twice_is_refused() {
        let key = record(Alg::ES256, NOW, None);
        let twice = RingDocument { keys: vec![key.clone(), key], ..RingDocument::default() };
        assert_eq!(KeyRing::try_from(&twice).unwrap_err(), RingFault::Key { index: 1, fault: KeyFault::RepeatedKid });
    }
}
