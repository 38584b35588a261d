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
