//! Rotation: from a ring, the next ring. New keys are published a [`Lead`] before they sign, and the old ones stay published
//! until their last token has expired.

use std::{cmp::Reverse, fmt};

use serde::Serialize;

use super::{JWKS_MAX_AGE, KeyRecord, KeyRing, MAX_CACHE_TTL, RingDocument};
use crate::oauth::{client::OutOfRange, jwt::Alg};

/// How many keys a rotation lets be published at once: ALB, for one, takes ten at most.
pub const MAX_PUBLISHED: usize = 4;
/// How long verifiers go on with a set of keys that they have fetched, in seconds: API Gateway does for two hours.
pub const VERIFIER_CACHE: u64 = 2 * 60 * 60;

// What signs in a ring that nobody has given a key.
const FIRST: Alg = Alg::RS256;

/// Seconds from a key's publication to its first signature: long enough that no verifier meets a key it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead(u64);

/// A rotated ring, and what is different about it.
#[derive(Debug)]
pub struct Rotation {
    /// The ring that takes the place of the other.
    pub ring: RingDocument,
    /// What was done, and what was left undone.
    pub notes: Vec<Note>,
}

/// What a rotation did about a key, or did not do about an algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// A new key.
    Made {
        /// Its id.
        kid: String,
        /// Its algorithm.
        alg: Alg,
        /// When it begins to sign.
        activate_at: u64,
    },
    /// The next key signs sooner than it was to.
    BroughtForward {
        /// Its id.
        kid: String,
        /// When it was made, and so published.
        created_at: u64,
    },
    /// A key has to stay in use, since the one that was to follow it is gone.
    Kept {
        /// Its id.
        kid: String,
    },
    /// A key signs no more from `retire_at` on.
    Retired {
        /// Its id.
        kid: String,
        /// The first second at which it signs no more.
        retire_at: u64,
    },
    /// A key's last token has expired: it is gone.
    Expired {
        /// Its id.
        kid: String,
    },
    /// A bad key is gone, with every token that it signed.
    Dropped {
        /// Its id.
        kid: String,
    },
    /// Nothing was done for an algorithm: its next key has not begun to sign.
    NextIsWaiting {
        /// The next key.
        kid: String,
        /// When it begins to sign.
        activate_at: u64,
    },
    /// Nothing was done for an algorithm: as many keys are published as may be.
    NoRoom {
        /// The algorithm.
        alg: Alg,
    },
}

/// Why a bad key could not be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault<E> {
    /// The ring has no key of that id.
    UnknownKid(String),
    /// No key could be made.
    Generate(E),
}

impl Lead {
    /// The least: verifiers may have fetched, a [`VERIFIER_CACHE`] ago, what a cache had kept for [`JWKS_MAX_AGE`] seconds, of an
    /// instance whose ring was as old as it may be.
    pub const MIN_SECONDS: u64 = VERIFIER_CACHE + JWKS_MAX_AGE + 2 * MAX_CACHE_TTL;
    /// The most: a week.
    pub const MAX_SECONDS: u64 = 7 * 24 * 60 * 60;

    /// A lead of that many seconds.
    ///
    /// # Errors
    /// [`OutOfRange`] unless it is 14700 to 604800.
    pub fn from_seconds(seconds: u64) -> Result<Self, OutOfRange> {
        if (Self::MIN_SECONDS..=Self::MAX_SECONDS).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(OutOfRange("not 14700..=604800 seconds"))
        }
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Default for Lead {
    /// A day.
    fn default() -> Self {
        Self(24 * 60 * 60)
    }
}

/// Gives every algorithm of the ring that signs a next key, which takes over a lead from now. RS256 if nothing signs on: then
/// the new key takes over as soon as nothing else would sign, in an empty ring at once.
///
/// An algorithm whose next key has not begun to sign keeps that one, so that rotating twice is rotating once. If all the next
/// keys would be too many to publish ([`MAX_PUBLISHED`]), the longest-serving keys are replaced and the others have to wait.
///
/// # Errors
/// What `generate` says.
pub fn rotate<E>(
    ring: &RingDocument,
    now: u64,
    lead: Lead,
    mut generate: impl FnMut(Alg) -> Result<KeyRecord, E>,
) -> Result<Rotation, E> {
    let mut next = Next::of(ring, now);
    next.retire_what_was_followed();
    let activate_at = now.saturating_add(lead.0);
    let mut in_use = next.in_use();
    if in_use.is_empty() && next.has_room_for(FIRST) {
        let last_ends = next.keys.iter().filter_map(|key| key.retire_at).max().unwrap_or(0);
        next.make(FIRST, activate_at.min(last_ends.max(now)), &mut generate)?;
    } else if in_use.is_empty() {
        next.notes.push(Note::NoRoom { alg: FIRST });
    }
    in_use.sort_by_key(|key| (key.activate_at, key.created_at));
    for key in in_use {
        if key.activate_at > now {
            next.notes.push(Note::NextIsWaiting { kid: key.kid, activate_at: key.activate_at });
        } else if next.has_room_for(key.alg) {
            next.retire(&key.kid, activate_at);
            next.make(key.alg, activate_at, &mut generate)?;
        } else {
            next.notes.push(Note::NoRoom { alg: key.alg });
        }
    }
    Ok(next.done())
}

/// Takes bad keys out of the ring, now. Where one of them signs, the algorithm's next key signs at once; if there is none, a
/// new one, which verifiers do not know yet.
///
/// # Errors
/// [`Fault`].
pub fn replace<E>(
    ring: &RingDocument,
    bad: &[String],
    now: u64,
    mut generate: impl FnMut(Alg) -> Result<KeyRecord, E>,
) -> Result<Rotation, Fault<E>> {
    if let Some(unknown) = bad.iter().find(|kid| !ring.keys.iter().any(|key| key.kid == **kid)) {
        return Err(Fault::UnknownKid(unknown.clone()));
    }
    let mut next = Next::of(ring, now);
    for key in next.long_lived.extract_if(.., |key| bad.contains(&key.kid)) {
        next.notes.push(Note::Dropped { kid: key.kid });
    }
    for alg in Alg::ALL {
        let dropped: Vec<_> = next.keys.extract_if(.., |key| key.alg == alg && bad.contains(&key.kid)).collect();
        next.notes.extend(dropped.iter().map(|key| Note::Dropped { kid: key.kid.clone() }));
        if dropped.iter().any(|key| key.retire_at.is_none_or(|at| now < at)) {
            next.sign_on(alg, &mut generate).map_err(Fault::Generate)?;
        }
    }
    Ok(next.done())
}

/// The first published key of `ring` that `next` would no longer publish as it is.
#[must_use]
pub fn lost<'a>(ring: &'a KeyRing, next: &KeyRing, now: u64) -> Option<&'a str> {
    let published = next.jwks(now);
    let held = ring.keys().iter().filter(|held| held.is_published(now));
    let mut lost = held.filter(|held| held.key.public_jwk().is_some_and(|jwk| !published.keys.contains(jwk)));
    lost.next().map(|held| held.key.kid())
}

// A ring on its way. The keys stand by algorithm, the newest first; those of long-lived tokens apart, since none follows them.
struct Next {
    now: u64,
    keys: Vec<KeyRecord>,
    long_lived: Vec<KeyRecord>,
    notes: Vec<Note>,
}

impl Next {
    fn of(ring: &RingDocument, now: u64) -> Self {
        let (mut keys, mut notes) = (Vec::with_capacity(ring.keys.len() + 1), Vec::new());
        for key in &ring.keys {
            if super::is_published(key.retire_at, key.long_lived_until, now) {
                keys.push(key.clone());
            } else {
                notes.push(Note::Expired { kid: key.kid.clone() });
            }
        }
        let long_lived = keys.extract_if(.., |key| key.long_lived_until.is_some()).collect();
        sort(&mut keys);
        Self { now, keys, long_lived, notes }
    }

    // What was added by hand leaves its predecessor without an end, and published for ever.
    fn retire_what_was_followed(&mut self) {
        let mut follower: Option<(Alg, u64)> = None;
        for key in self.keys.iter_mut().filter(|key| key.retire_at.is_none()) {
            if let Some((_, activate_at)) = follower.filter(|(alg, _)| *alg == key.alg) {
                let retire_at = activate_at.max(self.now);
                key.retire_at = Some(retire_at);
                self.notes.push(Note::Retired { kid: key.kid.clone(), retire_at });
            }
            follower = Some((key.alg, key.activate_at));
        }
    }

    // Of each algorithm the key that would sign for ever.
    fn in_use(&self) -> Vec<KeyRecord> {
        let without_end = |alg| self.keys.iter().find(|key| key.alg == alg && key.retire_at.is_none()).cloned();
        Alg::ALL.into_iter().filter_map(without_end).collect()
    }

    fn has_room_for(&self, alg: Alg) -> bool {
        let published = self.keys.iter().chain(&self.long_lived).filter(|key| key.is_published(self.now));
        alg == Alg::HS256 || published.count() < MAX_PUBLISHED
    }

    fn make<E>(
        &mut self,
        alg: Alg,
        activate_at: u64,
        generate: &mut impl FnMut(Alg) -> Result<KeyRecord, E>,
    ) -> Result<(), E> {
        let mut key = generate(alg)?;
        key.activate_at = activate_at;
        self.notes.push(Note::Made { kid: key.kid.clone(), alg, activate_at });
        self.keys.push(key);
        Ok(())
    }

    fn retire(&mut self, kid: &str, retire_at: u64) {
        for key in self.keys.iter_mut().filter(|key| key.kid == kid) {
            key.retire_at = Some(retire_at);
            self.notes.push(Note::Retired { kid: kid.to_owned(), retire_at });
        }
    }

    // Sees to it that a key of that algorithm signs from now on, preferably one that verifiers know.
    fn sign_on<E>(&mut self, alg: Alg, generate: &mut impl FnMut(Alg) -> Result<KeyRecord, E>) -> Result<(), E> {
        let now = self.now;
        let mut keys: Vec<_> = self.keys.iter_mut().filter(|key| key.alg == alg).collect();
        let has_begun = |key: &KeyRecord| key.activate_at <= now;
        if keys.iter().any(|key| has_begun(key) && key.retire_at.is_none()) {
            return Ok(());
        }
        // One that signs and was to be followed by what is gone.
        if let Some(key) = keys.iter_mut().find(|key| has_begun(key) && key.retire_at.is_some_and(|at| now < at)) {
            key.retire_at = None;
            self.notes.push(Note::Kept { kid: key.kid.clone() });
            return Ok(());
        }
        if let Some(key) = keys.iter_mut().rfind(|key| !has_begun(key)) {
            key.activate_at = now;
            self.notes.push(Note::BroughtForward { kid: key.kid.clone(), created_at: key.created_at });
            return Ok(());
        }
        // One is gone for it, so that there are no more keys than before.
        self.make(alg, now, generate)
    }

    fn done(mut self) -> Rotation {
        sort(&mut self.keys);
        self.keys.append(&mut self.long_lived);
        Rotation { ring: RingDocument { keys: self.keys, ..RingDocument::default() }, notes: self.notes }
    }
}

fn sort(keys: &mut [KeyRecord]) {
    let preference = |alg| Alg::ALL.iter().position(|other| *other == alg);
    keys.sort_by_key(|key| (preference(key.alg), Reverse((key.activate_at, key.created_at))));
}

impl Rotation {
    /// Whether the ring differs from what it was.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.notes.iter().any(|note| !matches!(note, Note::NextIsWaiting { .. } | Note::NoRoom { .. }))
    }
}

impl Note {
    /// For a key that this lets sign: until when there may be verifiers that do not know it.
    #[must_use]
    pub fn unknown_until(&self, now: u64) -> Option<u64> {
        let (published_at, signs_at) = match self {
            Self::Made { activate_at, .. } => (now, *activate_at),
            Self::BroughtForward { created_at, .. } => (*created_at, now),
            Self::Kept { .. }
            | Self::Retired { .. }
            | Self::Expired { .. }
            | Self::Dropped { .. }
            | Self::NextIsWaiting { .. }
            | Self::NoRoom { .. } => return None,
        };
        let known_at = published_at.saturating_add(Lead::MIN_SECONDS);
        (known_at > signs_at).then_some(known_at)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made { kid, alg, activate_at } => {
                write!(f, "made {} key {kid}, which signs from {activate_at}", alg.as_str())
            }
            Self::BroughtForward { kid, created_at } => write!(f, "{kid}, published since {created_at}, signs now"),
            Self::Kept { kid } => write!(f, "{kid} signs on"),
            Self::Retired { kid, retire_at } => write!(f, "{kid} signs no more from {retire_at}"),
            Self::Expired { kid } => write!(f, "{kid} is gone: its last token has expired"),
            Self::Dropped { kid } => write!(f, "{kid} is gone, and its tokens are good no more"),
            Self::NextIsWaiting { kid, activate_at } => {
                write!(f, "{kid} is the next key already, and signs from {activate_at}: nothing to do")
            }
            Self::NoRoom { alg } => {
                write!(f, "no new {} key: {MAX_PUBLISHED} keys are published, the most there may be", alg.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible, sync::LazyLock};

    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 24 * 60 * 60;
    // From its end until a key's last token has expired.
    const AFTERLIFE: u64 = 2 * DAY;

    // A plan looks at names and times only, so that one key serves for all.
    fn key(kid: &str, alg: Alg, activate_at: u64, retire_at: Option<u64>) -> KeyRecord {
        static ANY: LazyLock<KeyRecord> = LazyLock::new(|| KeyRecord::generate(Alg::EdDSA, 0).unwrap());
        KeyRecord { kid: kid.to_owned(), alg, created_at: activate_at, activate_at, retire_at, ..ANY.clone() }
    }

    fn ring(keys: &[KeyRecord]) -> RingDocument {
        RingDocument { keys: keys.to_vec(), ..RingDocument::default() }
    }

    fn made(count: &Cell<u32>, now: u64) -> impl FnMut(Alg) -> Result<KeyRecord, Infallible> {
        move |alg| {
            count.set(count.get() + 1);
            Ok(key(&format!("new-{}", count.get()), alg, now, None))
        }
    }

    fn rotated(keys: &[KeyRecord], now: u64) -> Rotation {
        let Ok(rotation) = rotate(&ring(keys), now, Lead::default(), made(&Cell::new(0), now));
        rotation
    }

    fn replaced(keys: &[KeyRecord], bad: &[&str], now: u64) -> Result<Rotation, Fault<Infallible>> {
        let bad: Vec<_> = bad.iter().map(|kid| (*kid).to_owned()).collect();
        replace(&ring(keys), &bad, now, made(&Cell::new(0), now))
    }

    // Each key with its times, relative to NOW.
    fn times(rotation: &Rotation) -> Vec<(String, i64, Option<i64>)> {
        let relative = |at: u64| at.cast_signed() - NOW.cast_signed();
        let of = |key: &KeyRecord| (key.kid.clone(), relative(key.activate_at), key.retire_at.map(relative));
        let mut times: Vec<_> = rotation.ring.keys.iter().map(of).collect();
        times.sort();
        times
    }

    fn at(kid: &str, activate_at: i64, retire_at: Option<i64>) -> (String, i64, Option<i64>) {
        (kid.to_owned(), activate_at, retire_at)
    }

    #[test]
    fn an_empty_ring_gets_an_rs256_key_that_signs_at_once() {
        let rotation = rotated(&[], NOW);
        assert_eq!(times(&rotation), [at("new-1", 0, None)]);
        assert_eq!(rotation.ring.keys[0].alg, Alg::RS256);
        assert_eq!(rotation.notes, [Note::Made { kid: "new-1".to_owned(), alg: Alg::RS256, activate_at: NOW }]);
    }

    #[test]
    fn the_next_key_takes_over_a_lead_from_now_in_the_second_in_which_the_old_one_ends() {
        let rotation = rotated(&[key("a", Alg::ES256, NOW - 30 * DAY, None)], NOW);
        assert_eq!(times(&rotation), [at("a", -2_592_000, Some(86400)), at("new-1", 86400, None)]);
        assert!(rotation.ring.keys.iter().all(|key| key.alg == Alg::ES256));
    }

    #[test]
    fn the_key_of_long_lived_tokens_is_left_alone_until_its_last_token_has_expired_and_counts_as_published() {
        let long_lived =
            KeyRecord { long_lived_until: Some(NOW + 9), ..key("long-lived", Alg::ES256, NOW - 99 * DAY, None) };
        let keys = [key("a", Alg::ES256, NOW - 30 * DAY, None), long_lived.clone()];
        let rotation = rotated(&keys, NOW);
        let untouched = at("long-lived", -8_553_600, None);
        assert_eq!(times(&rotation), [at("a", -2_592_000, Some(86400)), untouched.clone(), at("new-1", 86400, None)]);
        assert!(rotated(&keys, NOW + 9).notes.contains(&Note::Expired { kid: "long-lived".to_owned() }));
        let others = [Alg::RS256, Alg::PS256].map(|alg| key(alg.as_str(), alg, NOW - 30 * DAY, None));
        let crowded = rotated(&[&keys[..], &others[..]].concat(), NOW);
        assert!(crowded.notes.contains(&Note::NoRoom { alg: Alg::ES256 }));
        let emergency = replaced(&keys, &["long-lived"], NOW).unwrap();
        assert_eq!(emergency.notes, [Note::Dropped { kid: "long-lived".to_owned() }]);
        assert_eq!(times(&emergency), [at("a", -2_592_000, None)]);
    }

    #[test]
    fn rotating_twice_within_a_lead_is_rotating_once() {
        let once = rotated(&[key("a", Alg::ES256, NOW - DAY, None)], NOW);
        let twice = rotated(&once.ring.keys, NOW + DAY - 1);
        assert_eq!(times(&twice), times(&once));
        assert!(once.changes() && !twice.changes());
        assert_eq!(twice.notes, [Note::NextIsWaiting { kid: "new-1".to_owned(), activate_at: NOW + DAY }]);
        assert!(rotated(&once.ring.keys, NOW + DAY).changes());
    }

    #[test]
    fn every_algorithm_that_signs_gets_a_next_key_and_one_that_was_ended_does_not() {
        let keys = [
            key("a", Alg::RS256, NOW - 9, None),
            key("b", Alg::HS256, NOW - 9, None),
            key("c", Alg::ES256, NOW - 9, Some(NOW + 5)),
        ];
        let notes = rotated(&keys, NOW).notes;
        let algs: Vec<_> =
            notes.iter().filter_map(|note| if let Note::Made { alg, .. } = note { Some(*alg) } else { None }).collect();
        assert_eq!(algs, [Alg::RS256, Alg::HS256]);
    }

    #[test]
    fn if_nothing_signs_on_a_new_key_takes_over_before_there_is_nothing_left_to_sign_with() {
        let ended = |retire_at| times(&rotated(&[key("a", Alg::RS256, NOW - 9, Some(retire_at))], NOW)).pop().unwrap();
        assert_eq!(ended(NOW - 5), at("new-1", 0, None));
        assert_eq!(ended(NOW + 5), at("new-1", 5, None));
        assert_eq!(ended(NOW + 9 * DAY), at("new-1", 86400, None));
    }

    #[test]
    fn what_was_followed_by_hand_ends_and_goes_when_its_last_token_has_expired() {
        let keys = [
            key("a", Alg::ES256, NOW - 90, None),
            key("b", Alg::ES256, NOW - 60, None),
            key("c", Alg::ES256, NOW + 60, None),
            key("gone", Alg::ES256, NOW - 9 * DAY, Some(NOW - AFTERLIFE)),
        ];
        let rotation = rotated(&keys, NOW);
        // Not from when b began: a may have signed until it was added, which may have been a moment ago.
        assert_eq!(times(&rotation), [at("a", -90, Some(0)), at("b", -60, Some(60)), at("c", 60, None)]);
        assert!(rotation.notes.contains(&Note::Expired { kid: "gone".to_owned() }));
    }

    #[test]
    fn a_key_that_was_ended_by_hand_hands_back_to_the_one_before_which_stays() {
        let keys = [key("a", Alg::ES256, NOW - 90, None), key("b", Alg::ES256, NOW - 60, Some(NOW - 5))];
        assert_eq!(
            times(&rotated(&keys, NOW)),
            [at("a", -90, Some(86400)), at("b", -60, Some(-5)), at("new-1", 86400, None)]
        );
    }

    #[test]
    fn no_more_than_four_keys_are_published_and_the_longest_serving_ones_go_first() {
        let keys = [
            key("a", Alg::RS256, NOW - 9, None),
            key("b", Alg::ES256, NOW - 99, None),
            key("c", Alg::EdDSA, NOW - 5, None),
            key("d", Alg::HS256, NOW - 5, None),
        ];
        let rotation = rotated(&keys, NOW);
        assert_eq!(
            rotation.notes[..2],
            [
                Note::Retired { kid: "b".to_owned(), retire_at: NOW + DAY },
                Note::Made { kid: "new-1".to_owned(), alg: Alg::ES256, activate_at: NOW + DAY },
            ]
        );
        let waiting: Vec<_> = rotation.notes.iter().filter(|note| matches!(note, Note::NoRoom { .. })).collect();
        assert_eq!(waiting, [&Note::NoRoom { alg: Alg::RS256 }, &Note::NoRoom { alg: Alg::EdDSA }]);
        assert_eq!(rotation.ring.keys.iter().filter(|key| key.is_published(NOW)).count(), MAX_PUBLISHED);

        // In the rotations that follow the others have their turn, and there are never more.
        let (mut ring, mut now, mut turns, count) = (rotation.ring, NOW, vec![], Cell::new(2));
        for _ in 0..6 {
            now += 10 * DAY;
            let Ok(next) = rotate(&ring, now, Lead::default(), made(&count, now));
            turns.extend(next.notes.iter().filter_map(|note| match note {
                Note::Made { alg, .. } if *alg != Alg::HS256 => Some(*alg),
                _ => None,
            }));
            assert_eq!(next.ring.keys.iter().filter(|key| key.is_published(now)).count(), MAX_PUBLISHED);
            ring = next.ring;
        }
        assert_eq!(turns, [Alg::RS256, Alg::EdDSA, Alg::ES256, Alg::RS256, Alg::EdDSA, Alg::ES256]);
    }

    #[test]
    fn a_bad_key_that_signs_is_replaced_by_the_next_one_or_else_by_a_new_one_at_once() {
        let signer = key("a", Alg::ES256, NOW - 90, Some(NOW + 60));
        let with_next = replaced(&[signer.clone(), key("b", Alg::ES256, NOW + 60, None)], &["a"], NOW).unwrap();
        assert_eq!(times(&with_next), [at("b", 0, None)]);
        assert_eq!(with_next.notes[1], Note::BroughtForward { kid: "b".to_owned(), created_at: NOW + 60 });
        assert_eq!(times(&replaced(&[signer], &["a"], NOW).unwrap()), [at("new-1", 0, None)]);
        let both = [key("a", Alg::ES256, NOW - 90, Some(NOW + 60)), key("b", Alg::ES256, NOW + 60, None)];
        assert_eq!(times(&replaced(&both, &["a", "b"], NOW).unwrap()), [at("new-1", 0, None)]);
    }

    #[test]
    fn a_bad_next_key_leaves_the_one_that_signs_signing() {
        let keys = [key("a", Alg::ES256, NOW - 90, Some(NOW + 60)), key("b", Alg::ES256, NOW + 60, None)];
        let rotation = replaced(&keys, &["b"], NOW).unwrap();
        assert_eq!(times(&rotation), [at("a", -90, None)]);
        assert_eq!(rotation.notes, [Note::Dropped { kid: "b".to_owned() }, Note::Kept { kid: "a".to_owned() }]);
    }

    #[test]
    fn a_bad_key_that_is_retired_is_dropped_and_nothing_else_changes() {
        let keys = [key("a", Alg::ES256, NOW - 90, Some(NOW)), key("b", Alg::ES256, NOW, None)];
        assert_eq!(times(&replaced(&keys, &["a"], NOW).unwrap()), [at("b", 0, None)]);
    }

    #[test]
    fn a_bad_key_is_replaced_though_more_keys_are_published_than_a_rotation_would_let_be() {
        let keys: Vec<_> = Alg::ALL.into_iter().map(|alg| key(alg.as_str(), alg, NOW - 9, None)).collect();
        let rotation = replaced(&keys, &["RS256"], NOW).unwrap();
        assert!(rotation.ring.keys.iter().any(|key| key.alg == Alg::RS256 && key.activate_at == NOW));
        assert_eq!(rotation.ring.keys.len(), keys.len());
    }

    #[test]
    fn a_bad_key_that_is_not_in_the_ring_is_a_fault() {
        let fault = replaced(&[key("a", Alg::ES256, NOW, None)], &["a", "b"], NOW).unwrap_err();
        assert_eq!(fault, Fault::UnknownKid("b".to_owned()));
    }

    #[test]
    fn a_published_key_that_the_next_ring_lacks_or_has_another_key_for_is_lost() {
        let now = 1000;
        let keys = [1, 2].map(|at| KeyRecord::generate(Alg::ES256, at).unwrap());
        let parsed = |keys: &[KeyRecord]| KeyRing::try_from(&ring(keys)).unwrap();
        let (both, first) = (parsed(&keys), parsed(&keys[..1]));
        assert_eq!(lost(&first, &both, now), None);
        assert_eq!(lost(&both, &first, now), Some(keys[1].kid.as_str()));
        let other = KeyRecord { kid: keys[0].kid.clone(), ..keys[1].clone() };
        assert_eq!(lost(&first, &parsed(&[other]), now), Some(keys[0].kid.as_str()));
        let retired = KeyRecord { retire_at: Some(1), ..keys[0].clone() };
        assert_eq!(lost(&parsed(&[retired]), &parsed(&[]), 1 + AFTERLIFE), None);
    }

    #[test]
    fn a_lead_is_never_shorter_than_verifiers_and_instances_may_go_on_with_what_they_have() {
        assert_eq!(Lead::MIN_SECONDS, 14_700);
        for (seconds, good) in [(14_699, false), (14_700, true), (604_800, true), (604_801, false)] {
            assert_eq!(Lead::from_seconds(seconds).is_ok(), good, "{seconds}");
        }
    }
}
