use serde_json::json;

use super::*;
use crate::{
    keyring::{KeyRecord, RingDocument},
    oauth::jwt::Alg,
};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://auth.example.com/base";

fn place() -> Place {
    Place { url: "https://api.example.com".to_owned(), issuer: ISSUER.to_owned() }
}

fn answer(body: &Value) -> Answer {
    Answer {
        status: 200,
        cache_control: Some("public, max-age=300".to_owned()),
        ahead: Some(1),
        body: body.to_string().into(),
        took: Duration::from_millis(20),
    }
}

fn metadata_document() -> Value {
    json!({"issuer": ISSUER, "token_endpoint": format!("{ISSUER}/oauth2/token"), "jwks_uri": format!("{ISSUER}/jwks")})
}

fn ring(created_at: u64) -> KeyRing {
    let keys = vec![
        KeyRecord::generate(Alg::ES256, created_at).unwrap(),
        KeyRecord::generate(Alg::HS256, created_at).unwrap(),
    ];
    KeyRing::try_from(&RingDocument { keys, ..RingDocument::default() }).unwrap()
}

fn healthy(ring: &KeyRing) -> Observed {
    Observed {
        health: Ok(answer(&json!({"status": "ok"}))),
        metadata: METADATA_PATHS.map(|path| (path, Ok(answer(&metadata_document())))).into(),
        jwks: Some(Ok(answer(&json!(ring.jwks(NOW))))),
    }
}

// The name and the verdict of every finding that is not "ok".
fn amiss(change: impl FnOnce(&mut Observed)) -> Vec<(&'static str, &'static str)> {
    let ring = ring(NOW - 86_400);
    let mut observed = healthy(&ring);
    change(&mut observed);
    let findings = judge(&observed, &place(), Some(&ring), NOW);
    let amiss = findings.iter().filter(|finding| finding.verdict.name() != "ok");
    amiss.map(|finding| (finding.check.name(), finding.verdict.name())).collect()
}

fn jwks_of(observed: &mut Observed) -> &mut Answer {
    observed.jwks.as_mut().unwrap().as_mut().unwrap()
}

#[test]
fn an_endpoint_as_it_should_be_is_well() {
    assert_eq!(amiss(|_| {}), []);
    let ring = ring(NOW);
    assert_eq!(judge(&healthy(&ring), &place(), Some(&ring), NOW).len(), 10);
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_one_finding() {
    assert_eq!(amiss(|observed| observed.health = Err("no connection".to_owned())), [("health", "fault")]);
    assert_eq!(
        amiss(|observed| observed.health = Ok(Answer { status: 503, ..answer(&json!({})) })),
        [("health", "fault")]
    );
}

#[test]
fn an_issuer_that_differs_by_one_character_is_another() {
    for other in ["https://auth.example.com/base/", "https://auth.example.com", "https://AUTH.example.com/base", ""] {
        for index in [0, 1] {
            let found = amiss(|observed| {
                let document = metadata_document();
                let endpoint = format!("{}/oauth2/token", other.trim_end_matches('/'));
                let changed = json!({"issuer": other, "token_endpoint": endpoint, "jwks_uri": document["jwks_uri"]});
                observed.metadata[index].1 = Ok(answer(&changed));
            });
            assert_eq!(found, [("issuer", "fault")], "{other}");
        }
    }
}

#[test]
fn metadata_that_cannot_be_read_are_a_fault_of_each_path() {
    let broken = [
        Err("no answer within 3 s".to_owned()),
        Ok(Answer { status: 404, ..answer(&metadata_document()) }),
        Ok(answer(&json!(["issuer"]))),
        Ok(Answer { body: "{".into(), ..answer(&json!({})) }),
    ];
    for broken in broken {
        assert_eq!(amiss(|observed| observed.metadata[1].1 = broken.clone()), [("metadata", "fault")]);
        let both = amiss(|observed| {
            observed.metadata.iter_mut().for_each(|(_, answer)| *answer = broken.clone());
            observed.jwks = None;
        });
        let skipped = ["issuer", "token-endpoint", "jwks", "jwks-kids", "jwks-private", "jwks-cache"];
        let expected = [("metadata", "fault"); 2].into_iter().chain(skipped.map(|check| (check, "skipped")));
        assert_eq!(both, expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_token_endpoint_that_is_not_below_the_issuer_is_astray() {
    for other in ["https://auth.example.com/oauth2/token", "https://auth.example.com/basement", ISSUER, ""] {
        let mut document = metadata_document();
        document["token_endpoint"] = json!(other);
        let found = amiss(|observed| observed.metadata[0].1 = Ok(answer(&document)));
        assert_eq!(found, [("token-endpoint", "fault")], "{other}");
    }
}

#[test]
fn keys_that_cannot_be_read_are_one_fault() {
    let unread = [("jwks", "fault"), ("jwks-kids", "skipped"), ("jwks-private", "skipped"), ("jwks-cache", "skipped")];
    assert_eq!(amiss(|observed| observed.jwks = Some(Err("refused".to_owned()))), unread);
    assert_eq!(amiss(|observed| jwks_of(observed).status = 503), unread);
    assert_eq!(amiss(|observed| jwks_of(observed).body = "{}".into()), unread);
    let without = |member: &str| {
        let mut document = metadata_document();
        document.as_object_mut().unwrap().remove(member);
        document
    };
    assert_eq!(member(&answer(&without("jwks_uri")), "jwks_uri"), None);
}

#[test]
fn the_published_keys_have_to_be_those_of_the_ring() {
    let none = amiss(|observed| jwks_of(observed).body = r#"{"keys":[]}"#.into());
    assert_eq!(none, [("jwks", "fault"), ("jwks-kids", "fault")]);
    let other = json!(ring(1).jwks(NOW));
    assert_eq!(amiss(|observed| jwks_of(observed).body = other.to_string().into()), [("jwks-kids", "fault")]);
    let nameless = json!({"keys": [{"kty": "EC"}]});
    assert_eq!(amiss(|observed| jwks_of(observed).body = nameless.to_string().into()), [("jwks-kids", "fault")]);
    let kids = |kids: &[&str]| kids_match(&kids.iter().map(|kid| (*kid).to_owned()).collect::<Vec<_>>(), None, NOW);
    assert_eq!(kids(&["a", "b", "a"]).verdict.name(), "fault");
    assert_eq!(kids(&["a", "b"]).verdict.name(), "skipped");
}

#[test]
fn a_key_just_made_may_take_its_time_to_be_published() {
    let told = |age| kids_match(&[], Some(&ring(NOW - age)), NOW).verdict.name();
    assert_eq!((told(KEYS_LAG - 1), told(KEYS_LAG)), ("note", "fault"));
}

#[test]
fn a_private_member_is_found_in_any_key() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let found = amiss(|observed| {
            let mut document = json(jwks_of(observed)).unwrap();
            document["keys"][0][name] = json!("AA");
            jwks_of(observed).body = document.to_string().into();
        });
        assert_eq!(found, [("jwks-private", "fault")], "{name}");
    }
}

#[test]
fn what_verifiers_cannot_cache_or_wait_for_is_a_warning() {
    for value in [None, Some("no-store".to_owned())] {
        assert_eq!(amiss(|observed| jwks_of(observed).cache_control = value), [("jwks-cache", "warning")]);
    }
    assert_eq!(amiss(|observed| jwks_of(observed).took = LONGEST), []);
    let slow = LONGEST + Duration::from_millis(1);
    assert_eq!(amiss(|observed| jwks_of(observed).took = slow), [("speed", "warning")]);
    let found = amiss(|observed| observed.metadata[0].1.as_mut().unwrap().took = slow);
    assert_eq!(found, [("speed", "warning")]);
    // The first answer may be that of a function that had to start.
    assert_eq!(amiss(|observed| observed.health.as_mut().unwrap().took = slow), []);
}

#[test]
fn clocks_may_differ_by_ten_seconds() {
    let found = |ahead| amiss(|observed| observed.health.as_mut().unwrap().ahead = ahead);
    assert_eq!((found(Some(10)), found(Some(-10))), (vec![], vec![]));
    assert_eq!(found(Some(11)), [("clock", "warning")]);
    assert_eq!(found(Some(-11)), [("clock", "warning")]);
    assert_eq!(found(None), [("clock", "skipped")]);
}

#[test]
fn what_is_below_the_issuer_is_asked_where_the_endpoint_is() {
    assert_eq!(place().reached("https://auth.example.com/base/jwks"), "https://api.example.com/jwks");
    assert_eq!(place().reached("https://auth.example.com/basement"), "https://auth.example.com/basement");
    assert_eq!(place().reached("https://keys.example.com/jwks"), "https://keys.example.com/jwks");
}
