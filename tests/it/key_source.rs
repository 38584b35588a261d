//! Where the key ring comes from, and what happens when it cannot be had.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use mintlet::{
    edge::keys::{HeldKeys, Source},
    oauth::jwt::Alg,
    service::{Keys as _, KeysUnavailable},
};

use crate::support::{NOW, ring};

const TTL: u64 = 300;

fn put(path: &Path, alg: Alg) {
    fs::write(path, &**ring(&[alg])).unwrap();
}

async fn alg(keys: &HeldKeys, now: u64) -> Result<Alg, KeysUnavailable> {
    keys.ring(None, now).await.map(|ring| ring.signer(None, now).unwrap().alg())
}

#[tokio::test]
async fn a_ring_is_read_again_in_the_background_once_it_is_old() {
    let file = tempfile::NamedTempFile::new().unwrap();
    put(file.path(), Alg::ES256);
    let keys = HeldKeys::new(Source::File(file.path().to_owned()), TTL);
    assert_eq!(alg(&keys, NOW).await, Ok(Alg::ES256));
    put(file.path(), Alg::EdDSA);
    assert_eq!(alg(&keys, NOW + TTL - 1).await, Ok(Alg::ES256));
    // This request is not kept waiting; the next one sees what it has set off.
    assert_eq!(alg(&keys, NOW + TTL).await, Ok(Alg::ES256));
    tokio::task::yield_now().await;
    assert_eq!(alg(&keys, NOW + TTL).await, Ok(Alg::EdDSA));
}

#[tokio::test]
async fn a_ring_that_is_far_too_old_is_read_before_it_is_used() {
    let file = tempfile::NamedTempFile::new().unwrap();
    put(file.path(), Alg::ES256);
    let keys = HeldKeys::new(Source::File(file.path().to_owned()), TTL);
    assert_eq!(alg(&keys, NOW).await, Ok(Alg::ES256));
    put(file.path(), Alg::EdDSA);
    assert_eq!(alg(&keys, NOW + 2 * TTL).await, Ok(Alg::EdDSA));
}

#[tokio::test]
async fn a_ring_stays_in_use_while_it_cannot_be_read_again_but_not_for_ever() {
    let file = tempfile::NamedTempFile::new().unwrap();
    put(file.path(), Alg::ES256);
    let keys = HeldKeys::new(Source::File(file.path().to_owned()), TTL);
    assert_eq!(alg(&keys, NOW).await, Ok(Alg::ES256));
    fs::write(file.path(), "garbage").unwrap();
    let day = 24 * 60 * 60;
    for later in [TTL, 2 * TTL, day - 1] {
        assert_eq!(alg(&keys, NOW + later).await, Ok(Alg::ES256), "{later}");
    }
    let refused = KeysUnavailable("not a key ring of version 1: malformed at .".to_owned());
    assert_eq!(alg(&keys, NOW + day + 60).await, Err(refused));
    put(file.path(), Alg::EdDSA);
    assert_eq!(alg(&keys, NOW + day + 62).await, Ok(Alg::EdDSA));
}

#[tokio::test]
async fn a_source_that_fails_is_not_asked_at_every_request() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "garbage").unwrap();
    let keys = HeldKeys::new(Source::File(file.path().to_owned()), TTL);
    assert!(alg(&keys, NOW).await.is_err());
    put(file.path(), Alg::ES256);
    assert_eq!(
        alg(&keys, NOW + 1).await,
        Err(KeysUnavailable("the key ring could not be read a moment ago".to_owned()))
    );
    assert_eq!(alg(&keys, NOW + 2).await, Ok(Alg::ES256));
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    put(file.path(), Alg::ES256);
    for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        let keys = HeldKeys::new(Source::File(file.path().to_owned()), TTL);
        assert_eq!(alg(&keys, NOW).await.is_ok(), good, "{mode:o}");
    }
}

#[tokio::test]
async fn a_ring_that_lacks_the_wanted_algorithm_is_soon_read_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    put(file.path(), Alg::RS256);
    let keys = HeldKeys::new(Source::File(file.path().to_owned()), TTL);
    let has = async |now| keys.ring(Some(Alg::ES256), now).await.unwrap().signer(Some(Alg::ES256), now).is_some();
    assert!(!has(NOW).await);
    put(file.path(), Alg::ES256);
    assert!(!has(NOW + 1).await);
    assert!(has(NOW + 2).await);
}

#[tokio::test]
async fn a_clock_that_is_set_back_ends_what_is_held() {
    let file = tempfile::NamedTempFile::new().unwrap();
    put(file.path(), Alg::ES256);
    let keys = HeldKeys::new(Source::File(file.path().to_owned()), TTL);
    assert_eq!(alg(&keys, NOW).await, Ok(Alg::ES256));
    put(file.path(), Alg::EdDSA);
    assert_eq!(alg(&keys, NOW - 60).await, Ok(Alg::EdDSA));
}
