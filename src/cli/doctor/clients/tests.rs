use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
const FAST: &str = "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$EEqYVo55l7MGfPvwVPSRCq7RN6JXw+TBbKyW9De5Grw";
const SLOW: &str = "$2b$04$6SrzGhyJKsoRBFZX./ZmjO3oJ7TDIB9vuX3f4xjGOxJAWB0ZBKT7K";

fn client(id: &str, secrets: &[(&str, Option<u64>)], more: &Value) -> Client {
    let secrets = secrets.iter().enumerate().map(|(index, (hash, expires_at))| {
        let mut secret = json!({"id": index.to_string(), "hash": hash, "created_at": 1});
        if let Some(end) = expires_at {
            secret["expires_at"] = json!(end);
        }
        secret
    });
    let mut client = json!({
        "client_id": id, "disabled": false, "client_secrets": secrets.collect::<Vec<_>>(),
        "grant_types": ["client_credentials"], "version": 1, "created_at": 1, "updated_at": 1,
    });
    client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(client).unwrap()
}

fn judged(readable: Vec<Client>) -> Vec<Finding> {
    let clients = Clients { readable, ..Clients::default() };
    judge(&Ok(clients), &Terms { now: NOW, expiring_within: 30 * DAY, place: "--local" })
}

// The check, the verdict and the fix of every finding that is not "ok".
fn amiss(readable: Vec<Client>) -> Vec<(&'static str, &'static str, Option<String>)> {
    let findings = judged(readable);
    let amiss = findings.iter().filter(|finding| finding.verdict.name() != "ok");
    amiss
        .map(|finding| (finding.check.name(), finding.verdict.name(), finding.verdict.fix().map(str::to_owned)))
        .collect()
}

fn rotate(id: &str, more: &str) -> String {
    format!("mintlet client rotate-secret --local --client-id {id}{more}")
}

#[test]
fn clients_with_secrets_that_last_are_well() {
    assert_eq!(amiss(vec![]), []);
    assert_eq!(amiss(vec![client("a", &[(FAST, None)], &json!({}))]), []);
    assert_eq!(amiss(vec![client("a", &[(FAST, Some(NOW + 30 * DAY))], &json!({}))]), []);
}

#[test]
fn a_secret_that_expires_is_told_only_if_no_other_lasts() {
    let last = client("a b", &[(FAST, Some(NOW + 30 * DAY - 1))], &json!({}));
    assert_eq!(amiss(vec![last.clone()]), [("secret-expiry", "warning", Some(rotate("'a b'", "")))]);
    let rotated = client("c", &[(FAST, Some(NOW + DAY)), (FAST, None)], &json!({}));
    assert_eq!(amiss(vec![rotated]), []);
    let both = client("d", &[(FAST, Some(NOW + DAY)), (FAST, Some(NOW + 2 * DAY))], &json!({}));
    let findings = judged(vec![last, both]);
    let finding = findings.iter().find(|finding| finding.check == Check::SecretExpiry).unwrap();
    assert_eq!(finding.what, "the last secret of 2 clients expires within 30 d: a b (in 29 d), d (in 2 d)");
    assert_eq!((finding.verdict.fix(), finding.about.len()), (Some(rotate("ID", "").as_str()), 2));
}

#[test]
fn a_client_whose_secrets_have_all_expired_gets_no_token() {
    let expired = client("a", &[(FAST, Some(NOW))], &json!({}));
    let told = [("working-secret", "warning", Some(rotate("a", ", or disable it")))];
    assert_eq!(amiss(vec![expired]), told);
    assert_eq!(amiss(vec![client("a", &[], &json!({}))]), told);
    assert_eq!(amiss(vec![client("a", &[(FAST, Some(NOW)), (FAST, None)], &json!({}))]), []);
}

#[test]
fn a_client_with_keys_of_its_own_needs_no_secret() {
    assert_eq!(amiss(vec![client("a", &[], &json!({"jwks": {"keys": []}}))]), []);
}

#[test]
fn a_disabled_client_is_a_note_whatever_its_secrets() {
    let disabled =
        client("a", &[(SLOW, Some(1))], &json!({"disabled": true, "access_token_signed_response_alg": "ES256"}));
    assert_eq!(amiss(vec![disabled.clone()]), [("disabled", "note", None)]);
    assert_eq!(Clients { readable: vec![disabled], ..Clients::default() }.algs(), []);
}

#[test]
fn slow_hashes_are_a_note_and_more_than_two_of_a_client_a_warning() {
    let slow = |number| client("a", &vec![(SLOW, None); number], &json!({}));
    assert_eq!(amiss(vec![slow(2)]), [("slow-hashes", "note", None)]);
    assert_eq!(amiss(vec![slow(3)]), [("slow-hashes", "warning", Some(rotate("a", " --overlap 0")))]);
}

#[test]
fn an_item_that_cannot_be_read_is_a_fault_that_names_it_and_cannot_steer_the_terminal() {
    let malformed = vec![("a\u{1b}[2J".to_owned(), "at client_secrets[0].hash".to_owned())];
    let clients = Clients { malformed, ..Clients::default() };
    let findings = judge(&Ok(clients), &Terms { now: NOW, expiring_within: DAY, place: "--local" });
    let finding = findings.iter().find(|finding| finding.check == Check::ClientItems).unwrap();
    assert_eq!(
        finding.what,
        r"1 item cannot be read, and its clients get a 500: a\u{1b}[2J (at client_secrets[0].hash)"
    );
    assert_eq!(finding.verdict.severity(), 2);
    assert!(findings[0].what.starts_with("1 client registered"), "{}", findings[0].what);
}

#[test]
fn the_algorithms_asked_for_are_those_that_clients_name() {
    let named = |id, alg| client(id, &[], &json!({"access_token_signed_response_alg": alg}));
    let readable = vec![named("a", "EdDSA"), named("b", "ES256"), named("c", "EdDSA"), client("d", &[], &json!({}))];
    assert_eq!(Clients { readable, ..Clients::default() }.algs(), [Alg::ES256, Alg::EdDSA]);
}

#[test]
fn a_table_that_may_not_be_read_or_is_not_there_is_not_blamed_twice() {
    let told = |unseen| judge(&Err(unseen), &Terms { now: NOW, expiring_within: DAY, place: "" })[0].verdict.name();
    assert_eq!(told(Unseen::NotAsked("no table".to_owned())), "skipped");
    assert_eq!(told(Unseen::Refused("dynamodb:Scan")), "skipped");
    assert_eq!(told(Unseen::Missing("ResourceNotFoundException".to_owned())), "skipped");
    assert_eq!(told(Unseen::Failed("no connection".to_owned())), "fault");
}
