//! A year of rotations, and whether in any second of it a verifier may meet a token that it cannot verify.
//!
//! The rings are made by the code that makes them, and asked by the code that signs and publishes. What an instance, a cache
//! and a verifier may be late by is taken at its worst: at a second all of them may be as late as they ever are, or not at all.
//! Everything is constant between two changes, so that the seconds are counted exactly.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use jsonwebtoken::{DecodingKey, jwk::JwkSet};
use mintlet::{
    config::{CLIENTS_TABLE, STATE_TABLE},
    dialect::{DIALECTS, Dialect},
    edge::{
        client_cache::CachedClients,
        dynamodb::DynamoDb,
        keys::{HeldKeys, Source},
    },
    grant::Moment,
    keyring::{
        JWKS_MAX_AGE, KeyRecord, KeyRing, MAX_CACHE_TTL, MAX_HELD_SECONDS, RingDocument,
        rotation::{Lead, VERIFIER_CACHE, replace, rotate},
    },
    oauth::{client::Lifetime, jwt::Alg},
    service::{Settings, TokenService},
};
use serde_json::json;

use crate::support::{Ask, ISSUER, JTI, NOW, SECRET, World, body, parts, token_in};

const DAY: u64 = 24 * 60 * 60;
const PERIOD: u64 = 30 * DAY;
const YEAR: u64 = 365 * DAY;
/// How old a ring in use may be.
const LATE: u64 = 2 * MAX_CACHE_TTL;
/// How old keys that a verifier has may be, from when an instance answered.
const KNOWN: u64 = VERIFIER_CACHE + JWKS_MAX_AGE;

/// Seconds, in order and apart: from the first, to before the second.
type Spans = Vec<(u64, u64)>;

/// The rings that there were, and since when.
struct History(Vec<(u64, RingDocument)>);

/// Keys, each made once for all the years that are simulated.
#[derive(Default)]
struct Keys {
    made: Vec<KeyRecord>,
    used: usize,
}

impl Keys {
    fn take(&mut self, alg: Alg, now: u64) -> KeyRecord {
        if self.used == self.made.len() {
            self.made.push(KeyRecord::generate(alg, now).unwrap());
        }
        self.used += 1;
        let mut key = self.made[self.used - 1].clone();
        assert_eq!(key.alg, alg);
        key.created_at = now;
        key
    }
}

impl History {
    /// Rotation every 30 days from an empty ring, with leads of `lead` seconds, however short; and an emergency at a second.
    fn year(keys: &mut Keys, lead: u64, emergency: Option<u64>) -> (Self, Option<String>) {
        keys.used = 0;
        let enough = Lead::from_seconds(lead.max(Lead::MIN_SECONDS)).unwrap();
        let (mut ring, mut rings, mut bad) = (RingDocument::default(), Vec::new(), None);
        let mut times: Vec<u64> = (0..=YEAR / PERIOD).map(|count| NOW + count * PERIOD).collect();
        times.extend(emergency);
        times.sort_unstable();
        for now in times {
            if Some(now) == emergency {
                let signer = KeyRing::try_from(&ring).unwrap().signer(None, now).unwrap().kid().to_owned();
                let generate = |alg| Ok::<_, Infallible>(keys.take(alg, now));
                ring = replace(&ring, std::slice::from_ref(&signer), now, generate).unwrap().ring;
                bad = Some(signer);
            } else {
                ring = rotate(&ring, now, enough, |alg| Ok::<_, Infallible>(keys.take(alg, now))).unwrap().ring;
                // Shorter than the code would let it be.
                for time in
                    ring.keys.iter_mut().flat_map(|key| [Some(&mut key.activate_at), key.retire_at.as_mut()]).flatten()
                {
                    if *time == now + enough.seconds() {
                        *time = now + lead;
                    }
                }
            }
            rings.push((now, ring.clone()));
        }
        (Self(rings), bad)
    }

    /// For each key the seconds in which some verifier may meet a token of it and not know it, if rings in use are `late`.
    fn failures(&self, late: u64) -> BTreeMap<String, Spans> {
        let rings: Vec<_> = self.0.iter().map(|(since, ring)| (*since, KeyRing::try_from(ring).unwrap())).collect();
        let kids: BTreeSet<_> =
            self.0.iter().flat_map(|(_, ring)| ring.keys.iter().map(|key| key.kid.clone())).collect();
        let changes = self.changes(late);
        let signs = |kid: &str, at: u64| {
            let mut signers = in_use(&rings, at, late).filter_map(|ring| ring.signer(None, at));
            signers.any(|key| key.kid() == kid)
        };
        let is_not_published = |kid: &str, at: u64| {
            let lacks = |ring: &KeyRing| ring.jwks(at).keys.iter().all(|key| key.common.key_id.as_deref() != Some(kid));
            in_use(&rings, at, late).any(lacks)
        };
        let of = |kid: &String| {
            let met = longer(&spans(&changes, |at| signs(kid, at)), Lifetime::MAX_SECONDS - 1);
            let unknown = longer(&spans(&changes, |at| is_not_published(kid, at)), KNOWN);
            (kid.clone(), both(&met, &unknown))
        };
        kids.iter().map(of).filter(|(_, failures)| !failures.is_empty()).collect()
    }

    /// The seconds in which anything that an instance answers with may change.
    fn changes(&self, late: u64) -> Vec<u64> {
        let keys = self.0.iter().flat_map(|(_, ring)| &ring.keys);
        let ends = keys.clone().filter_map(|key| key.retire_at);
        let times = self.0.iter().map(|(since, _)| *since).chain(keys.map(|key| key.activate_at)).chain(ends);
        let gone = MAX_HELD_SECONDS + Lifetime::MAX_SECONDS;
        let mut times: Vec<_> = times.flat_map(|at| [at, at + late, at + gone]).collect();
        // The verifiers of the first key come after it.
        times.retain(|at| *at >= self.0[0].0);
        times.sort_unstable();
        times.dedup();
        times
    }
}

// The rings that an instance may be using at a second.
fn in_use(rings: &[(u64, KeyRing)], at: u64, late: u64) -> impl Iterator<Item = &KeyRing> {
    let ends = rings.iter().skip(1).map(|(since, _)| *since).chain([u64::MAX]);
    let known = rings.iter().zip(ends);
    known.filter(move |((since, _), end)| *since <= at && at.saturating_sub(late) < *end).map(|((_, ring), _)| ring)
}

// Where something holds that changes at those seconds only, which is looked at a second before and after each.
fn spans(changes: &[u64], holds: impl Fn(u64) -> bool) -> Spans {
    let ends = changes.iter().skip(1).copied().chain([changes[changes.len() - 1] + 1]);
    let mut spans = Spans::new();
    for (from, to) in changes.iter().copied().zip(ends) {
        let value = holds(from);
        assert_eq!(
            (holds((from + 1).min(to - 1)), holds(to - 1)),
            (value, value),
            "it changes between {from} and {to}"
        );
        match spans.last_mut() {
            Some((_, end)) if value && *end == from => *end = to,
            _ if value => spans.push((from, to)),
            _ => {}
        }
    }
    spans
}

// What began in a span may still be met that many seconds later.
fn longer(spans: &Spans, seconds: u64) -> Spans {
    let mut longer = Spans::new();
    for (from, to) in spans.iter().map(|(from, to)| (*from, to + seconds)) {
        match longer.last_mut() {
            Some((_, end)) if *end >= from => *end = to,
            _ => longer.push((from, to)),
        }
    }
    longer
}

fn both(one: &Spans, other: &Spans) -> Spans {
    let overlap = |(a, b): (&(u64, u64), &(u64, u64))| (a.0.max(b.0), a.1.min(b.1));
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| overlap((a, b))));
    pairs.filter(|(from, to)| from < to).collect()
}

fn count(failures: &BTreeMap<String, Spans>) -> u64 {
    failures.values().flatten().map(|(from, to)| to - from).sum()
}

#[test]
fn in_no_second_of_a_year_does_a_verifier_meet_a_token_that_it_cannot_verify() {
    let mut keys = Keys::default();
    let default = Lead::default().seconds();
    let (year, _) = History::year(&mut keys, default, None);
    let failures = year.failures(LATE);
    println!("a year, {} rotations, lead {default} s: {} seconds with failures", year.0.len(), count(&failures));
    assert_eq!((year.0.len(), failures), (13, BTreeMap::new()));
    for (_, ring) in &year.0 {
        assert!(ring.keys.len() <= 3, "{ring:?}");
    }

    // The shortest lead is just long enough.
    let (year, _) = History::year(&mut keys, Lead::MIN_SECONDS, None);
    assert_eq!(count(&year.failures(LATE)), 0);
    for short in [1, 60 * 60, Lead::MIN_SECONDS] {
        let (year, _) = History::year(&mut keys, Lead::MIN_SECONDS - short, None);
        let failures = count(&year.failures(LATE));
        println!("the same, lead {} s: {failures} seconds with failures", Lead::MIN_SECONDS - short);
        assert_eq!(failures, 12 * short);
    }

    // The default one leaves time for an outage of Secrets Manager, in which instances go on with what they have.
    let (year, _) = History::year(&mut keys, default, None);
    let outage = default - KNOWN;
    println!(
        "the same, lead {default} s, an outage of {outage} s at any time: {} seconds",
        count(&year.failures(outage))
    );
    assert_eq!(count(&year.failures(outage)), 0);
    assert_ne!(count(&year.failures(outage + 1)), 0);
}

#[test]
fn an_emergency_costs_what_is_said_that_it_costs_and_nothing_at_any_other_time() {
    let mut keys = Keys::default();
    // In the middle of a period nothing but the bad key is published.
    let at = NOW + 5 * PERIOD + 12 * DAY;
    for (late, cost) in [(LATE, 14_700), (600, 8_100)] {
        let (year, bad) = History::year(&mut keys, Lead::default().seconds(), Some(at));
        let mut failures = year.failures(late);
        let (bad, new) = (bad.unwrap(), year.0.iter().find(|(since, _)| *since == at).unwrap().1.keys[0].kid.clone());
        let refused = failures.remove(&bad).unwrap();
        // From the first verifier that fetches, to the last token that an instance signed with it.
        assert_eq!(refused, [(at, at + late - 1 + Lifetime::MAX_SECONDS)]);
        assert_eq!(failures.remove(&new).unwrap(), [(at, at + cost)]);
        println!("an emergency, rings up to {late} s old: {cost} seconds with a new key that is not known everywhere");
        assert_eq!(failures, BTreeMap::new());
    }

    // With a next key that verifiers know, the new tokens cost nothing.
    let at = NOW + 5 * PERIOD + Lead::MIN_SECONDS;
    let (year, bad) = History::year(&mut keys, Lead::default().seconds(), Some(at));
    let failures = year.failures(LATE);
    println!("an emergency with a next key: {} keys but the bad one with failures", failures.len() - 1);
    assert_eq!(failures.keys().collect::<Vec<_>>(), [&bad.unwrap()]);
}

#[test]
fn a_key_that_is_retired_without_notice_is_published_until_its_last_token_has_expired() {
    let [first, second] = [1, 2].map(|at| KeyRecord::generate(Alg::ES256, at).unwrap());
    let before = RingDocument { keys: vec![first.clone()], ..RingDocument::default() };
    for retire_at in [NOW + DAY, NOW + DAY + 60] {
        let (mut retired, mut follows) = (first.clone(), second.clone());
        (retired.retire_at, follows.activate_at) = (Some(retire_at), retire_at);
        // Published long before, so that only the old key is looked at.
        let published = RingDocument { keys: vec![first.clone(), follows.clone()], ..RingDocument::default() };
        let after = RingDocument { keys: vec![retired, follows], ..RingDocument::default() };
        let year = History(vec![(NOW - 9 * DAY, before.clone()), (NOW - 8 * DAY, published), (NOW + DAY, after)]);
        // No instance can read the ring for a day from then on.
        assert_eq!(year.failures(MAX_HELD_SECONDS).get(&first.kid), None);
    }
}

#[tokio::test]
async fn a_token_signed_a_second_before_or_after_the_take_over_verifies_with_keys_fetched_at_any_time_in_the_lead() {
    let world = World::new(json!([{"client_id": "billing", "client_secret": SECRET}]), &[]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let lead = Lead::from_seconds(Lead::MIN_SECONDS).unwrap();
    let (rotated_at, taken_over_at) = (NOW + PERIOD, NOW + PERIOD + lead.seconds());
    let mut ring = RingDocument::default();
    for now in [NOW, rotated_at] {
        ring = rotate(&ring, now, lead, |alg| KeyRecord::generate(alg, now)).unwrap().ring;
    }
    std::fs::write(file.path(), serde_json::to_vec(&ring).unwrap()).unwrap();
    let instance = || {
        let settings = Settings {
            issuer: Some(ISSUER.to_owned()),
            base_path: String::new(),
            dialects: DIALECTS.iter().map(|dialect| dialect.name).collect(),
            access_token_lifetime: Lifetime::default(),
            requires_dpop_nonce: false,
            mutual_tls: None,
        };
        let store = CachedClients::new(DynamoDb::new(world.engine.sdk(), CLIENTS_TABLE, STATE_TABLE), 0);
        TokenService::new(settings, store, HeldKeys::new(Source::File(file.path().to_owned()), 300))
    };
    let answer = async |ask: Ask, now: u64| {
        body(&instance().respond(&ask.0, &Moment { now, jti: JTI.to_owned() }).await.response)
    };
    let mut kids = Vec::new();
    for signed_at in [taken_over_at - 1, taken_over_at, taken_over_at + 1] {
        let answered = answer(Ask::token(Dialect::oauth2(), "billing", SECRET), signed_at).await;
        let token = token_in(&answered);
        let kid = parts(token).0["kid"].as_str().unwrap().to_owned();
        let (message, signature) = token.rsplit_once('.').unwrap();
        for fetched_at in
            [rotated_at, rotated_at + 1, rotated_at + lead.seconds() / 2, taken_over_at - 1, taken_over_at]
        {
            let jwks: JwkSet = serde_json::from_value(answer(Ask::get("/oauth2/jwks"), fetched_at).await).unwrap();
            let key = DecodingKey::from_jwk(jwks.find(&kid).unwrap()).unwrap();
            let alg = jsonwebtoken::Algorithm::RS256;
            assert!(
                jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, alg).unwrap(),
                "{signed_at} {fetched_at}"
            );
        }
        kids.push(kid);
    }
    assert_ne!(kids[0], kids[1]);
    assert_eq!(kids[1], kids[2]);
}
