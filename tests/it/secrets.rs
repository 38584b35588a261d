//! The secrets of a client through their life, on the real binary: rotate, list, revoke, rehash, find by age.

use http::StatusCode;
use mintlet::{
    cli::clients_table::ClientsTable,
    config::{CLIENTS_TABLE, STATE_TABLE},
    edge::{moment, secret_use::SecretUses},
    oauth::client::ClientId,
    service::Record,
};
use serde_json::{Value, json};

use crate::{
    server::{Desk, failed, said},
    support::SECRET,
};

const DAY: u64 = 86_400;

async fn create(desk: &Desk, id: &str) -> String {
    desk.json(&["create", "--client-id", id]).await["client_secret"].as_str().unwrap().to_owned()
}

async fn secrets(desk: &Desk, id: &str) -> Vec<Value> {
    desk.json(&["secrets", "list", "--client-id", id]).await["secrets"].as_array().unwrap().clone()
}

// A client with secrets in clear or hashed.
async fn apply(desk: &Desk, id: &str, secrets: Value) {
    let file = json!({"clients": [{"client_id": id, "client_secrets": secrets}]});
    desk.json(&["apply", "-f", &desk.file("clients.json", &file.to_string())]).await;
}

#[tokio::test]
async fn an_overlap_is_a_duration_or_seconds() {
    for (overlap, seconds) in [("7d", 7 * DAY), ("604800", 604_800), ("12h", 43_200)] {
        let desk = Desk::open().await;
        let first = create(&desk, "billing").await;
        let args =
            ["rotate-secret", "--client-id", "billing", "--overlap", overlap, "--label", "2027", "--expires", "365d"];
        let second = desk.json(&args).await["client_secret"].as_str().unwrap().to_owned();
        let listed = secrets(&desk, "billing").await;
        let at = listed[1]["created_at"].as_u64().unwrap();
        assert_eq!(listed[0]["expires_at"], at + seconds, "{overlap}");
        assert_eq!(
            listed[1],
            json!({
                "id": "s2", "label": "2027", "scheme": "hmac-sha256", "state": "works", "created_at": at,
                "expires_at": at + 365 * DAY
            })
        );
        assert_eq!(desk.token("billing", &first).await, StatusCode::OK);
        assert_eq!(desk.token("billing", &second).await, StatusCode::OK);
    }
    let usage = Desk::open().await.run(&["rotate-secret", "--client-id", "billing", "--overlap", "1w"]).await;
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8(usage.stderr).unwrap().contains("7d, 12h, 604800"));
}

#[tokio::test]
async fn what_secrets_list_says_in_text_is_for_people() {
    let desk = Desk::open().await;
    apply(
        &desk,
        "billing",
        json!([{"secret": SECRET, "label": "old", "expires_at": 1_000_000_000}, {"secret": "short"}]),
    )
    .await;
    let text = said(&desk.run(&["secrets", "list", "--client-id", "billing"]).await);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("s1\texpired\thmac-sha256\tmade 20"), "{text}");
    assert!(lines[0].ends_with("\texpires 2001-09-09T01:46:40Z\tnever seen\told"), "{text}");
    assert!(lines[1].starts_with("s2\tworks\targon2id\tmade 20"), "{text}");
    assert!(lines[1].ends_with("\tdoes not expire\tnever seen\t"), "{text}");
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn a_revoked_secret_works_no_more_and_the_others_go_on() {
    let desk = Desk::open().await;
    let first = create(&desk, "billing").await;
    let second =
        desk.json(&["rotate-secret", "--client-id", "billing"]).await["client_secret"].as_str().unwrap().to_owned();
    let answer = desk.json(&["secrets", "revoke", "--client-id", "billing", "--secret-id", "s1"]).await;
    assert_eq!(answer, json!({"client_id": "billing", "secret_id": "s1"}));
    assert_eq!(desk.token("billing", &first).await, StatusCode::UNAUTHORIZED);
    assert_eq!(desk.token("billing", &second).await, StatusCode::OK);
    let failure = desk.fails(&["secrets", "revoke", "--client-id", "billing", "--secret-id", "s1"]).await;
    assert_eq!(failure, "mintlet: client billing has no secret \"s1\"; it has s2\n");
}

#[tokio::test]
async fn the_only_secret_that_works_is_taken_away_only_by_force() {
    let desk = Desk::open().await;
    apply(&desk, "billing", json!([{"secret": SECRET}, {"secret": "long expired, and thus no help", "expires_at": 1}]))
        .await;
    let revoke = ["secrets", "revoke", "--client-id", "billing", "--secret-id", "s1"];
    let failure = desk.fails(&revoke).await;
    assert!(failure.starts_with("mintlet: s1 is the only secret of client billing that works: nothing was changed."));
    assert!(failure.contains("rotate-secret") && failure.contains("--force"), "{failure}");
    assert_eq!(desk.token("billing", SECRET).await, StatusCode::OK);
    desk.json(&["secrets", "revoke", "--client-id", "billing", "--secret-id", "s2"]).await;
    desk.json(&[&revoke[..], &["--force"]].concat()).await;
    assert_eq!(desk.token("billing", SECRET).await, StatusCode::UNAUTHORIZED);
    assert!(secrets(&desk, "billing").await.is_empty());
}

#[tokio::test]
async fn a_slow_hash_is_replaced_by_a_fast_one_from_the_secret_on_standard_input() {
    // Of SECRET, by bcrypt of Python.
    let bcrypt = "$2b$04$oPLeOW4Bm48FnoQwbylceu66EljVDenEiAyq7FvHaWiAhR07qZDJS";
    let desk = Desk::open().await;
    let expires_at = moment::now() + DAY;
    apply(&desk, "billing", json!([{"id": "old", "label": "imported", "hash": bcrypt, "expires_at": expires_at}]))
        .await;
    let before = secrets(&desk, "billing").await;
    assert_eq!(before[0]["scheme"], "bcrypt");
    let rehash = ["rehash", "--client-id", "billing"];
    let wrong = failed(&desk.run_with(&rehash, "example-secret-of-more-than-32-character").await);
    assert_eq!(wrong, "mintlet: this is no secret of client billing: nothing was changed\n");
    assert_eq!(failed(&desk.run_with(&rehash, "\n").await), "mintlet: there is no secret on standard input\n");
    assert_eq!(secrets(&desk, "billing").await, before);

    let text = said(&desk.run_with(&rehash, &format!("{SECRET}\n")).await);
    assert_eq!(text, "rehashed old of billing: bcrypt 4 became hmac-sha256\n");
    let mut after = before.clone();
    after[0]["scheme"] = json!("hmac-sha256");
    assert_eq!(secrets(&desk, "billing").await, after, "id, label, times");
    assert_eq!(desk.token("billing", SECRET).await, StatusCode::OK);
    assert_eq!(desk.token("billing", "wrong").await, StatusCode::UNAUTHORIZED);
    let again = said(&desk.run_with(&rehash, SECRET).await);
    assert_eq!(again, "old of billing is hmac-sha256 already: nothing was changed\n");
}

#[tokio::test]
async fn a_secret_that_a_person_may_have_chosen_stays_under_a_slow_hash() {
    // Of "hunter2", by bcrypt of Python.
    let bcrypt = "$2b$04$l6FS1x9mXGalDHp6S2lrW.XuMiCtTVSqLBqH293qirVlotBuCFvMC";
    let desk = Desk::open().await;
    apply(&desk, "billing", json!([{"hash": bcrypt}])).await;
    let rehash = ["rehash", "--client-id", "billing"];
    let text = said(&desk.run_with(&rehash, "hunter2").await);
    assert_eq!(text, "rehashed s1 of billing: bcrypt 4 became argon2id v=19 m=19456,t=2,p=1\n");
    assert_eq!(desk.token("billing", "hunter2").await, StatusCode::OK);
    assert!(said(&desk.run_with(&rehash, "hunter2").await).contains("already: nothing was changed"));
}

#[tokio::test]
async fn a_rehash_leaves_a_hash_that_takes_the_secret_in_either_case_as_it_is() {
    // Of the bytes that OPAQUE spells, by hashlib of Python, as Frontier hashes its opaque tokens.
    let opaque = "9a076b615361c3d5f1f61bac2bac4b4abd1b4ca4b3b80c3ffa7e4409b64110a6";
    let hash = "$sha3-256-hex$6faedb13baf6e344e29a2b885a732820aec6d44b30648c8cee96ff7b4c9230c0";
    let desk = Desk::open().await;
    apply(&desk, "billing", json!([{"hash": hash}])).await;
    let text = said(&desk.run_with(&["rehash", "--client-id", "billing"], &opaque.to_uppercase()).await);
    assert_eq!(text, "s1 of billing is sha3-256-hex already: nothing was changed\n");
    assert_eq!(desk.token("billing", opaque).await, StatusCode::OK);
}

#[tokio::test]
async fn a_new_secret_has_the_id_of_none_that_it_ends() {
    let desk = Desk::open().await;
    create(&desk, "billing").await;
    for id in ["s2", "s3"] {
        desk.json(&["rotate-secret", "--client-id", "billing", "--overlap", "0"]).await;
        let ids: Vec<_> = secrets(&desk, "billing").await.iter().map(|secret| secret["id"].clone()).collect();
        assert_eq!(ids, [id]);
    }
}

#[tokio::test]
async fn a_secret_that_would_never_work_or_is_one_too_many_is_not_made() {
    let desk = Desk::open().await;
    create(&desk, "billing").await;
    let rotate = ["rotate-secret", "--client-id", "billing"];
    let failure = desk.fails(&[&rotate[..], &["--expires", "0"]].concat()).await;
    assert_eq!(failure, "mintlet: --expires: a second at least, or the new secret would never work\n");
    for _ in 0..4 {
        desk.json(&rotate).await;
    }
    let before = secrets(&desk, "billing").await;
    assert_eq!(before.len(), 5);
    assert_eq!(
        desk.fails(&rotate).await,
        "mintlet: client billing has 5 secrets; take one away with `mintlet client secrets revoke`, or end all with \
         --overlap 0\n"
    );
    assert_eq!(secrets(&desk, "billing").await, before);
}

#[tokio::test]
async fn a_label_or_an_id_of_a_secret_cannot_steer_the_terminal() {
    let desk = Desk::open().await;
    apply(&desk, "billing", json!([{"secret": SECRET, "id": "a\u{1b}[2J", "label": "x\nbilling\ts9"}])).await;
    for list in [&["secrets", "list", "--client-id", "billing"][..], &["list", "--unused", "0"]] {
        let text = said(&desk.run(list).await);
        assert!(text.contains("a\\u{1b}[2J\tworks") && text.ends_with("\tx\\nbilling\\ts9\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_named_and_how_to_name_another() {
    let desk = Desk::open().await;
    create(&desk, "billing").await;
    for (list, flag) in [
        (&["list", "--unused", "90d"][..], "--state-table"),
        (&["list", "--expiring", "30d"], "--state-table"),
        (&["secrets", "list", "--client-id", "billing"], "--state-table"),
        (&["list"], "--clients-table"),
    ] {
        let failure = desk.fails(&[list, &[flag, "none"]].concat()).await;
        assert!(failure.starts_with("mintlet: table none: ResourceNotFoundException"), "{failure}");
        assert!(failure.ends_with("or CLIENTS_TABLE and STATE_TABLE, name those of a deployment\n"), "{failure}");
    }
}

// Sets when the first secret of a client was made, as if it were old.
async fn back_date(desk: &Desk, id: &str, created_at: u64) {
    let table = ClientsTable::new(desk.sdk(), CLIENTS_TABLE);
    let before = table.existing(&ClientId::parse(id).unwrap()).await.unwrap();
    let mut after = before.clone();
    after.client_secrets[0].created_at = created_at;
    after.updated_at += 1;
    table.replace(&before, &after).await.unwrap();
}

async fn use_secret(desk: &Desk, id: &str, at: u64) {
    let uses = SecretUses::new(desk.sdk(), STATE_TABLE, 0);
    let record = Record {
        client_id: Some(id.to_owned()),
        credential_id: Some("s1".to_owned()),
        auth_method: Some("client_secret_basic"),
        ..Record::default()
    };
    assert!(uses.write(&uses.due(&record, at).unwrap(), at).await.unwrap());
}

#[tokio::test]
async fn secrets_near_their_expiry_are_found() {
    let desk = Desk::open().await;
    let now = moment::now();
    let secret = |left: u64| json!([{"secret": SECRET, "expires_at": now + left}]);
    apply(&desk, "soon", secret(29 * DAY)).await;
    apply(&desk, "later", secret(31 * DAY)).await;
    apply(&desk, "past", json!([{"secret": SECRET, "expires_at": now - 1}])).await;
    create(&desk, "never").await;
    let found = desk.json(&["list", "--expiring", "30d"]).await;
    let found = found["secrets"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["client_id"], &found[0]["id"]), (&json!("soon"), &json!("s1")));
    assert_eq!(found[0]["expires_at"], now + 29 * DAY);
    let text = said(&desk.run(&["list", "--expiring", "30d"]).await);
    assert!(text.starts_with("soon\ts1\tworks\t") && text.lines().count() == 1, "{text}");
}

#[tokio::test]
async fn secrets_that_nobody_uses_are_found() {
    let desk = Desk::open().await;
    let now = moment::now();
    for (id, made, used) in [
        ("fresh", 0, None),
        ("old-and-used", 200, Some(89)),
        ("old-and-idle", 200, Some(91)),
        ("old-and-never-seen", 91, None),
        // A use before the secret was made is another secret's that was called so.
        ("of-another-secret", 95, Some(96)),
    ] {
        create(&desk, id).await;
        back_date(&desk, id, now - made * DAY).await;
        if let Some(days) = used {
            use_secret(&desk, id, now - days * DAY).await;
        }
    }
    let found = desk.json(&["list", "--unused", "90d"]).await;
    let found: Vec<_> =
        found["secrets"].as_array().unwrap().iter().map(|one| (&one["client_id"], one.get("last_used_at"))).collect();
    let idle = json!(now - 91 * DAY);
    assert_eq!(
        found,
        [
            (&json!("of-another-secret"), None),
            (&json!("old-and-idle"), Some(&idle)),
            (&json!("old-and-never-seen"), None),
        ]
    );
    assert_eq!(desk.json(&["list", "--unused", "90d", "--expiring", "1d"]).await, json!({"secrets": []}));
    let failure = desk.fails(&["list", "--unused", "401d"]).await;
    assert_eq!(failure, "mintlet: --unused: the last use is known for 400 days, and not for longer\n");
}

#[tokio::test]
async fn the_last_use_of_more_clients_than_one_request_can_ask_for_is_found() {
    let desk = Desk::open().await;
    let clients: Vec<_> =
        (0..130).map(|index| json!({"client_id": format!("c{index:03}"), "client_secret": SECRET})).collect();
    desk.json(&["apply", "-f", &desk.file("clients.json", &json!({"clients": clients}).to_string())]).await;
    use_secret(&desk, "c129", moment::now() + 1).await;
    let found = desk.json(&["list", "--unused", "0"]).await;
    let found = found["secrets"].as_array().unwrap();
    assert_eq!(found.len(), 130);
    assert!(found[129].get("last_used_at").is_some() && found[0].get("last_used_at").is_none());
}
