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
mod tests;
