use std::sync::{
    LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::keyring::{KeyRecord, RingDocument};

const NOW: u64 = 1_800_000_000;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

// RSA keys take long to make: one stands for all, under names of their own.
static RSA: LazyLock<KeyRecord> = LazyLock::new(|| KeyRecord::generate(Alg::RS256, 1).unwrap());
static MADE: AtomicUsize = AtomicUsize::new(0);

fn key(alg: Alg, created_at: u64, activate_at: u64, retire_at: Option<u64>) -> KeyRecord {
    let mut key = match alg {
        Alg::RS256 | Alg::PS256 => RSA.clone(),
        Alg::ES256 | Alg::ES384 | Alg::EdDSA | Alg::HS256 => KeyRecord::generate(alg, 1).unwrap(),
    };
    key.kid = format!("{}-{}", alg.as_str(), MADE.fetch_add(1, Ordering::Relaxed));
    (key.alg, key.created_at, key.activate_at, key.retire_at) = (alg, created_at, activate_at, retire_at);
    key
}

fn retiring(mut key: KeyRecord, at: u64) -> KeyRecord {
    key.retire_at = Some(at);
    key
}

fn judged(keys: &[KeyRecord], algs: Result<&[Alg], &str>) -> Vec<Finding> {
    let ring = KeyRing::try_from(&RingDocument { keys: keys.to_vec(), ..RingDocument::default() }).unwrap();
    health(&ring, &Terms { now: NOW, rotation_period: 30 * DAY, algs, place: "--file ring", is_file: true })
}

// The check and the verdict of every finding that is not "ok".
fn amiss(keys: &[KeyRecord], algs: &[Alg]) -> Vec<(&'static str, &'static str)> {
    let findings = judged(keys, Ok(algs));
    let amiss = findings.iter().filter(|finding| finding.verdict.name() != "ok");
    amiss.map(|finding| (finding.check.name(), finding.verdict.name())).collect()
}

fn only(findings: Vec<Finding>, check: Check) -> Finding {
    let mut of: Vec<_> = findings.into_iter().filter(|finding| finding.check == check).collect();
    assert_eq!(of.len(), 1, "{of:?}");
    of.remove(0)
}

// Signed for ten days, published before it signed.
fn settled(alg: Alg) -> KeyRecord {
    key(alg, NOW - 11 * DAY, NOW - 10 * DAY, None)
}

#[test]
fn a_ring_with_one_key_of_the_last_days_is_well() {
    assert_eq!(amiss(&[settled(Alg::RS256)], &[]), []);
    assert_eq!(amiss(&[settled(Alg::RS256), settled(Alg::ES256)], &[Alg::ES256]), []);
}

#[test]
fn a_ring_of_which_no_key_signs_is_a_fault_that_a_key_made_at_once_mends() {
    let pending = key(Alg::RS256, NOW, NOW + 1, None);
    let retired = key(Alg::RS256, NOW - DAY, NOW - DAY, Some(NOW));
    for ring in [&[][..], &[pending], &[retired]] {
        let finding = only(judged(ring, Ok(&[])), Check::ActiveKey);
        assert_eq!(finding.verdict.fix(), Some("mintlet key generate --file ring --activate-in 0"));
        assert_eq!(finding.verdict.severity(), 2);
    }
}

#[test]
fn what_signs_by_default_has_to_be_verifiable() {
    assert_eq!(amiss(&[settled(Alg::PS256)], &[]), []);
    assert_eq!(amiss(&[settled(Alg::ES256)], &[]), [("active-key", "note")]);
    assert_eq!(amiss(&[settled(Alg::HS256)], &[]), [("active-key", "warning")]);
}

#[test]
fn an_algorithm_that_clients_name_needs_a_key_that_signs() {
    assert_eq!(amiss(&[settled(Alg::RS256)], &[Alg::ES256]), [("client-algs", "fault")]);
    let pending = key(Alg::ES256, NOW, NOW + 3 * HOUR, None);
    assert_eq!(amiss(&[settled(Alg::RS256), pending], &[Alg::ES256]), [("client-algs", "fault")]);
    let unknown = only(judged(&[settled(Alg::RS256)], Err("no table")), Check::ClientAlgs);
    assert_eq!((unknown.verdict.name(), unknown.what.as_str()), ("skipped", "no table"));
}

#[test]
fn a_key_that_has_signed_for_the_rotation_period_needs_a_successor() {
    let aged = |age| key(Alg::RS256, NOW - age - DAY, NOW - age, None);
    assert_eq!(amiss(&[aged(30 * DAY - 1)], &[]), []);
    assert_eq!(amiss(&[aged(30 * DAY)], &[]), [("next-key", "warning")]);
    let next = key(Alg::RS256, NOW - HOUR, NOW + DAY, None);
    assert_eq!(amiss(&[aged(30 * DAY), next.clone()], &[]), []);
    let never = retiring(next.clone(), NOW + DAY);
    assert_eq!(amiss(&[aged(30 * DAY), never], &[]), [("next-key", "warning")]);
    let another = key(Alg::ES256, NOW - HOUR, NOW + DAY, None);
    assert_eq!(amiss(&[aged(30 * DAY), another], &[]), [("next-key", "warning")]);
}

#[test]
fn a_key_that_nobody_uses_may_be_as_old_as_it_likes() {
    let old = key(Alg::ES256, NOW - 90 * DAY, NOW - 89 * DAY, None);
    let ring = [settled(Alg::RS256), old];
    assert_eq!(amiss(&ring, &[]), []);
    assert_eq!(amiss(&ring, &[Alg::ES256]), [("next-key", "warning")]);
    let unknown = judged(&ring, Err("no table"));
    assert_eq!(unknown.iter().map(|finding| finding.verdict.severity()).max(), Some(1));
}

#[test]
fn a_key_that_ends_without_a_successor_is_a_fault_when_none_can_be_made_known_any_more() {
    let ends = |left| key(Alg::RS256, NOW - 11 * DAY, NOW - 10 * DAY, Some(NOW + left));
    assert_eq!(amiss(&[ends(LEAST_LEAD)], &[]), [("next-key", "warning")]);
    assert_eq!(amiss(&[ends(LEAST_LEAD - 1)], &[]), [("next-key", "fault")]);
    let follows = key(Alg::RS256, NOW - DAY, NOW + HOUR, None);
    assert_eq!(amiss(&[ends(HOUR), follows.clone()], &[]), []);
    let mut late = follows;
    late.activate_at += 1;
    assert_eq!(amiss(&[ends(HOUR), late], &[]), [("next-key", "fault")]);
}

#[test]
fn a_key_that_takes_anothers_place_before_verifiers_know_it_is_told_until_they_do() {
    let made = |ago: u64, lead: u64| key(Alg::RS256, NOW - ago, NOW - ago + lead, None);
    let with = |new: KeyRecord| amiss(&[settled(Alg::RS256), new], &[]);
    assert_eq!(with(made(0, LEAST_LEAD)), []);
    assert_eq!(with(made(0, LEAST_LEAD - 1)), [("lead", "warning")]);
    assert_eq!(with(made(LEAST_LEAD - 1, 0)), [("lead", "warning")]);
    assert_eq!(with(made(LEAST_LEAD, 0)), []);
    // The first of its algorithm takes nobody's place, unless it signs by default from now on.
    assert_eq!(amiss(&[made(0, 0)], &[]), []);
    assert_eq!(amiss(&[settled(Alg::RS256), key(Alg::ES256, NOW, NOW, None)], &[]), []);
    assert_eq!(amiss(&[settled(Alg::ES256), made(0, 0)], &[]), [("lead", "warning")]);
    // Its verifiers have it from the operator.
    let hmac = [settled(Alg::RS256), settled(Alg::HS256), key(Alg::HS256, NOW, NOW, None)];
    assert_eq!(amiss(&hmac, &[]), []);
}

#[test]
fn two_keys_of_an_algorithm_that_begin_at_once_are_told_and_the_one_that_never_signs_is_named() {
    let (first, mut second) = (settled(Alg::RS256), settled(Alg::RS256));
    second.created_at = 1;
    let finding = only(judged(&[second.clone(), first.clone()], Ok(&[])), Check::ActivationTie);
    assert_eq!(finding.verdict.fix(), Some(format!("mintlet key retire --file ring --kid {}", second.kid).as_str()));
    let retired = retiring(second, NOW);
    assert_eq!(amiss(&[retired, first.clone()], &[]), []);
    assert_eq!(amiss(&[first, settled(Alg::ES256)], &[]), []);
}

#[test]
fn what_is_published_has_to_fit_those_who_fetch_it() {
    let many = |alg, number| (0..number).map(|at| key(alg, 1, NOW - DAY - at, None)).collect::<Vec<_>>();
    let rsa = [settled(Alg::RS256)];
    assert_eq!(amiss(&[&rsa[..], &many(Alg::ES256, 4)].concat(), &[]), []);
    assert_eq!(amiss(&[&rsa[..], &many(Alg::ES256, 5)].concat(), &[]), [("published", "note")]);
    assert_eq!(amiss(&[&rsa[..], &many(Alg::ES256, 9)].concat(), &[]), [("published", "note")]);
    assert_eq!(amiss(&[&rsa[..], &many(Alg::ES256, 10)].concat(), &[]), [("published", "warning")]);
    assert_eq!(amiss(&[&rsa[..], &many(Alg::EdDSA, 1500)].concat(), &[]), [("published", "fault")]);
    assert_eq!(amiss(&[&rsa[..], &many(Alg::HS256, 20)].concat(), &[]), []);
}

#[test]
fn a_key_that_is_published_no_more_can_be_taken_out() {
    let over = key(Alg::RS256, NOW - 90 * DAY, NOW - 80 * DAY, Some(NOW - 2 * DAY));
    let finding = only(judged(&[settled(Alg::RS256), over.clone()], Ok(&[])), Check::Prunable);
    assert_eq!((finding.verdict.name(), &finding.about), ("note", &vec![over.kid.clone()]));
    let not_yet = retiring(over, NOW - 2 * DAY + 1);
    assert_eq!(amiss(&[settled(Alg::RS256), not_yet], &[]), []);
}
