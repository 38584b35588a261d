//! Token exchange (RFC 8693), resources with bounds of their own (RFC 8707), authorization details (RFC 9396).

use http::header;
use mintlet::{
    cli::registration,
    config::{CLIENTS_TABLE, STATE_TABLE},
    dialect::{DIALECTS, Dialect},
    edge::dynamodb::DynamoDb,
    grant::{Moment, StateRow, Write},
    oauth::{error::Reason, jwt::Alg},
    service::{Answer, Store as _},
};
use serde_json::{Value, json};

use crate::{
    proofs::ProofKey,
    support::{Ask, NOW, SECRET, World, body, encode, parts, readable, token_in},
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const API: &str = "https://api.example.com";
const LEDGER: &str = "https://ledger.example.com";
const BOTH: [&str; 2] = ["client_credentials", GRANT];

fn clients() -> Value {
    json!([
        {"client_id": "web", "client_secret": SECRET, "scope": "read write admin", "audience": [API, LEDGER, "gateway"],
            "subject": "the-web", "access_token_lifetime": 600, "authorization_details_types": ["payment", "account"],
            "grant_types": BOTH, "subject_token_clients": ["gateway", "relay"]},
        {"client_id": "gateway", "client_secret": SECRET, "scope": "read write", "audience": [API, "own"], "grant_types": BOTH,
            "subject_token_clients": ["web", "relay"], "claims": {"org": "acme"}, "authorization_details_types": ["payment"]},
        {"client_id": "relay", "client_secret": SECRET, "scope": "read write", "audience": [API, LEDGER], "grant_types": BOTH,
            "subject_token_clients": ["web", "gateway"]},
        {"client_id": "meant-for", "client_secret": SECRET, "grant_types": BOTH, "subject_token_clients": ["to-it"]},
        {"client_id": "to-it", "client_secret": SECRET, "audience": ["meant-for"]},
        {"client_id": "stranger", "client_secret": SECRET, "scope": "read", "audience": [API], "grant_types": BOTH},
        {"client_id": "without-grant", "client_secret": SECRET, "scope": "read", "audience": [API],
            "subject_token_clients": ["web"]}
    ])
}

async fn world() -> World {
    World::new(clients(), &[Alg::ES256]).await
}

async fn issue(world: &World, id: &str, jti: &str, more: &[(&str, &str)]) -> String {
    let ask = Ask::token_with(Dialect::oauth2(), id, SECRET, more);
    let answer = world.service.respond(&ask.0, &Moment { now: NOW, jti: jti.to_owned() }).await;
    assert_eq!(answer.record.reason, None);
    token_in(&body(&answer.response)).to_owned()
}

fn exchange(id: &str, subject: &str, more: &[(&str, &str)]) -> Ask {
    form(id, &[&[("subject_token", subject), ("subject_token_type", ACCESS_TOKEN)], more].concat())
}

fn form(id: &str, params: &[(&str, &str)]) -> Ask {
    let grant = [("grant_type", GRANT)];
    let pairs: Vec<_> = grant.iter().chain(params).map(|(name, value)| format!("{name}={}", encode(value))).collect();
    Ask::form("/oauth2/token", &pairs.join("&")).basic(id, SECRET)
}

fn claims(answer: &Answer) -> Value {
    assert_eq!(answer.record.reason, None);
    parts(token_in(&body(&answer.response))).1
}

#[tokio::test]
async fn a_token_is_exchanged_for_one_that_allows_less_and_is_the_exchangers() {
    let world = world().await;
    let subject = issue(&world, "web", "j1", &[]).await;
    let answer = world.send_at(exchange("gateway", &subject, &[("scope", "read"), ("resource", API)]), NOW + 100).await;
    insta::assert_snapshot!("exchanged", readable(&answer.response));
    assert_eq!(answer.record.grant_type, Some(GRANT));
    // What is not asked for is what both the token and the registration have.
    let answer = world.send(exchange("gateway", &subject, &[("requested_token_type", JWT)])).await;
    assert_eq!(body(&answer.response)["issued_token_type"], JWT);
    let issued = claims(&answer);
    assert_eq!((&issued["scope"], &issued["aud"]), (&json!("read write"), &json!(API)));
}

#[tokio::test]
async fn an_exchanged_token_never_outlives_the_one_it_was_exchanged_for() {
    let world = world().await;
    let subject = issue(&world, "web", "j1", &[]).await;
    for (now, left) in [(NOW, 600), (NOW + 599, 1)] {
        let answer = world.send_at(exchange("gateway", &subject, &[]), now).await;
        assert_eq!((&claims(&answer)["exp"], &body(&answer.response)["expires_in"]), (&json!(NOW + 600), &json!(left)));
    }
    let answer = world.send_at(exchange("gateway", &subject, &[]), NOW + 600).await;
    assert_eq!(answer.record.reason, Some(Reason::SubjectTokenNotGood));
    // One's own lasting token, and an actor's that ends sooner.
    let lasting = issue(&world, "gateway", "j2", &[]).await;
    let answer = world.send_at(exchange("gateway", &lasting, &[]), NOW + 5).await;
    assert_eq!(claims(&answer)["exp"], NOW + 3600);
    let web = issue(&world, "web", "j3", &[]).await;
    let actor = [("actor_token", &web[..]), ("actor_token_type", ACCESS_TOKEN), ("audience", API)];
    let answer = world.send_at(exchange("web", &lasting, &actor), NOW + 100).await;
    assert_eq!(claims(&answer)["exp"], NOW + 600);
}

#[tokio::test]
async fn scope_and_audience_beyond_the_token_or_the_registration_are_refused() {
    let world = world().await;
    let dialect = Dialect::oauth2();
    let all = issue(&world, "web", "j1", &[]).await;
    let narrow = issue(&world, "web", "j2", &[("scope", "read"), ("audience", LEDGER)]).await;
    let for_it = issue(&world, "to-it", "j3", &[]).await;
    for (title, id, token, more, reason) in [
        ("beyond the token's scope", "relay", &narrow, ("scope", "read write"), Reason::ScopeNotGranted),
        ("beyond the client's scope", "gateway", &all, ("scope", "read admin"), Reason::ScopeNotGranted),
        ("openid", "gateway", &all, ("scope", "openid"), Reason::ScopeNotGranted),
        ("malformed scope", "gateway", &all, ("scope", "read  write"), Reason::MalformedScope),
        ("beyond the token's audience", "relay", &narrow, ("audience", API), Reason::TargetNotAllowed),
        ("beyond the client's audience", "gateway", &all, ("resource", LEDGER), Reason::TargetNotAllowed),
        ("its own, and not the token's", "gateway", &all, ("audience", "own"), Reason::TargetNotAllowed),
        ("no audience in common", "gateway", &narrow, ("x", "y"), Reason::TargetNotAllowed),
        ("malformed resource", "gateway", &all, ("resource", "/x"), Reason::MalformedResource),
    ] {
        world.refuses(dialect, title, exchange(id, token, &[more]), reason).await;
    }
    world.takes(dialect, "within both", exchange("relay", &narrow, &[("scope", "read"), ("audience", LEDGER)])).await;
    // A client without an audience of its own is one itself.
    assert_eq!(claims(&world.send(exchange("meant-for", &for_it, &[])).await)["aud"], "meant-for");
}

#[tokio::test]
async fn only_good_tokens_of_clients_that_it_may_exchange_are_exchanged() {
    let world = world().await;
    let dialect = Dialect::oauth2();
    let subject = issue(&world, "web", "j1", &[]).await;
    let revoked = issue(&world, "web", "j2", &[]).await;
    let answer = world.send(Ask::form("/oauth2/revoke", &format!("token={revoked}")).basic("web", SECRET)).await;
    assert_eq!(answer.record.reason, None);
    let own = issue(&world, "stranger", "j3", &[]).await;
    let with = |params: &[(&str, &str)]| form("gateway", params);
    for (title, ask, reason) in [
        ("grant not registered", exchange("without-grant", &subject, &[]), Reason::GrantNotRegistered),
        ("no token", with(&[]), Reason::MissingSubjectToken),
        ("no type", with(&[("subject_token", &subject)]), Reason::TokenWithoutType),
        ("type alone", with(&[("subject_token_type", JWT)]), Reason::TokenWithoutType),
        (
            "another type",
            with(&[("subject_token", &subject), ("subject_token_type", "urn:x")]),
            Reason::TokenTypeNotTaken,
        ),
        (
            "another type asked",
            exchange("gateway", &subject, &[("requested_token_type", "urn:x")]),
            Reason::TokenTypeNotTaken,
        ),
        ("no JWT", exchange("gateway", "x", &[]), Reason::SubjectTokenNotGood),
        ("cut off", exchange("gateway", &subject[..subject.len() - 4], &[]), Reason::SubjectTokenNotGood),
        ("revoked", exchange("gateway", &revoked, &[]), Reason::SubjectTokenNotGood),
        ("another's", exchange("stranger", &subject, &[]), Reason::SubjectTokenNotAllowed),
        ("in the query", exchange("gateway", &subject, &[]).query("subject_token=x"), Reason::CredentialInQuery),
    ] {
        world.refuses(dialect, title, ask, reason).await;
    }
    world.takes(dialect, "its own", exchange("stranger", &own, &[])).await;
    let as_jwt = with(&[("subject_token", &subject), ("subject_token_type", JWT)]);
    world.takes(dialect, "as a JWT", as_jwt).await;
    let store = DynamoDb::new(world.engine.sdk(), CLIENTS_TABLE, STATE_TABLE);
    let row = StateRow::RevokedClient { client_id: "web".to_owned().try_into().unwrap() };
    store.commit(&[Write::Put { row, expires_at: NOW + 1, at: NOW }], NOW).await.unwrap();
    let ask = exchange("gateway", &subject, &[]);
    world.refuses(dialect, "revoked by its client", ask, Reason::SubjectTokenNotGood).await;
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_exchanged_only_with_that_key_which_binds_the_new_one() {
    let world = world().await;
    let dialect = Dialect::oauth2();
    let key = ProofKey::fixed();
    let with_proof = |ask: Ask, key: &ProofKey, jti: &str| {
        let proof = key.proof_with(|_, claims| drop(claims.insert("jti".to_owned(), json!(jti))));
        ask.header("dpop".parse().unwrap(), &proof)
    };
    let answer = world.send(with_proof(Ask::token(dialect, "web", SECRET), &key, "p1")).await;
    let cnf = json!({"jkt": key.thumbprint()});
    assert_eq!(claims(&answer)["cnf"], cnf);
    let subject = token_in(&body(&answer.response)).to_owned();
    let introspection =
        world.send(Ask::form("/oauth2/introspect", &format!("token={subject}")).basic("web", SECRET)).await;
    let shown = body(&introspection.response);
    assert_eq!((&shown["cnf"], &shown["token_type"]), (&cnf, &json!("DPoP")));

    let ask = || exchange("gateway", &subject, &[]);
    world.refuses(dialect, "no proof", ask(), Reason::SubjectTokenBound).await;
    let other = with_proof(ask(), &ProofKey::generate(Alg::ES256), "p2");
    world.refuses(dialect, "another key's proof", other, Reason::SubjectTokenBound).await;
    let answer = world.send(with_proof(ask(), &key, "p3")).await;
    assert_eq!(claims(&answer)["cnf"], cnf);
    // One that is bound to nothing may become bound.
    let free = issue(&world, "web", "j", &[]).await;
    let answer = world.send(with_proof(exchange("gateway", &free, &[]), &key, "p4")).await;
    assert_eq!(claims(&answer)["cnf"], cnf);
    // Who acts proves its key as well.
    let answer = world.send(with_proof(Ask::token(dialect, "gateway", SECRET), &key, "p5")).await;
    let actor = token_in(&body(&answer.response)).to_owned();
    let acting = || exchange("gateway", &free, &[("actor_token", actor.as_str()), ("actor_token_type", ACCESS_TOKEN)]);
    world.refuses(dialect, "a bound actor without proof", acting(), Reason::SubjectTokenBound).await;
    world.takes(dialect, "a bound actor with its proof", with_proof(acting(), &key, "p6")).await;
}

#[tokio::test]
async fn who_acts_stands_in_the_token_outermost_and_a_fifth_exchange_is_refused() {
    let world = world().await;
    let mut token = issue(&world, "web", "j", &[]).await;
    let mut expected = json!(null);
    for (turn, id) in ["gateway", "relay", "gateway", "relay"].into_iter().enumerate() {
        let own = issue(&world, id, &format!("own{turn}"), &[]).await;
        let actor = [("actor_token", own.as_str()), ("actor_token_type", ACCESS_TOKEN), ("resource", API)];
        let answer = world.send(exchange(id, &token, &actor)).await;
        let issued = claims(&answer);
        let before = std::mem::replace(&mut expected, json!({"sub": id, "client_id": id}));
        if !before.is_null() {
            expected["act"] = before;
        }
        assert_eq!((&issued["sub"], &issued["client_id"], &issued["act"]), (&json!("the-web"), &json!(id), &expected));
        token = token_in(&body(&answer.response)).to_owned();
        // Without an actor token who acted before stays in it.
        if turn == 0 {
            let answer = world.send(exchange("relay", &token, &[])).await;
            assert_eq!(claims(&answer)["act"], expected);
        }
    }
    let own = issue(&world, "web", "own", &[]).await;
    let with =
        |own: &str| exchange("web", &token, &[("actor_token", own), ("actor_token_type", JWT), ("resource", API)]);
    let dialect = Dialect::oauth2();
    world.refuses(dialect, "a fifth", with(&own), Reason::TooManyExchanges).await;
    let answer = world.send(Ask::form("/oauth2/introspect", &format!("token={token}")).basic("relay", SECRET)).await;
    assert_eq!(body(&answer.response)["act"], expected);
}

// A token of web's, the relay's for it, and the gateway's for that.
async fn chain(world: &World) -> [(&'static str, String); 3] {
    let own = issue(world, "web", "own", &[]).await;
    let in_exchange = async |id: &str, jti: &str, token: &str| {
        let moment = Moment { now: NOW + 1, jti: jti.to_owned() };
        let answer = world.service.respond(&exchange(id, token, &[]).0, &moment).await;
        (claims(&answer), token_in(&body(&answer.response)).to_owned())
    };
    let (_, once) = in_exchange("relay", "once", &own).await;
    let (claims, twice) = in_exchange("gateway", "twice", &once).await;
    let of = |jti: &str, id: &str, iat: u64| json!({"jti": jti, "client_id": id, "iat": iat});
    assert_eq!(claims["subject_tokens"], json!([of("once", "relay", NOW + 1), of("own", "web", NOW)]));
    [("web", own), ("relay", once), ("gateway", twice)]
}

async fn active(world: &World, chain: &[(&str, String); 3]) -> [bool; 3] {
    let mut found = [false; 3];
    for ((id, token), found) in chain.iter().zip(&mut found) {
        let ask = Ask::form("/oauth2/introspect", &format!("token={token}")).basic(id, SECRET);
        *found = body(&world.send_at(ask, NOW + 2).await.response)["active"] == true;
    }
    found
}

#[tokio::test]
async fn a_token_is_revoked_with_each_of_those_that_it_came_of() {
    for (revoked, expected) in
        [(None, [true; 3]), (Some(0), [false; 3]), (Some(1), [true, false, false]), (Some(2), [true, true, false])]
    {
        let world = world().await;
        let chain = chain(&world).await;
        if let Some(index) = revoked {
            let (id, token) = &chain[index];
            let ask = Ask::form("/oauth2/revoke", &format!("token={token}")).basic(id, SECRET);
            assert_eq!(world.send_at(ask, NOW + 2).await.record.reason, None);
        }
        assert_eq!(active(&world, &chain).await, expected, "{revoked:?}");
        // Nor is it exchanged any more.
        let answer = world.send_at(exchange("gateway", &chain[2].1, &[]), NOW + 2).await;
        assert_eq!(answer.record.reason, (!expected[2]).then_some(Reason::SubjectTokenNotGood), "{revoked:?}");
    }
}

#[tokio::test]
async fn a_token_ends_with_the_client_of_one_that_it_came_of_and_with_all_of_its_tokens() {
    // Revoked until a second before the token of the client's was issued, and until that second.
    for (id, at, expected) in [
        ("web", NOW - 1, [true; 3]),
        ("web", NOW, [false; 3]),
        ("relay", NOW, [true; 3]),
        ("relay", NOW + 1, [true, false, false]),
    ] {
        let world = world().await;
        let chain = chain(&world).await;
        let store = DynamoDb::new(world.engine.sdk(), CLIENTS_TABLE, STATE_TABLE);
        let row = StateRow::RevokedClient { client_id: id.to_owned().try_into().unwrap() };
        store.commit(&[Write::Put { row, expires_at: NOW + 60, at }], NOW).await.unwrap();
        assert_eq!(active(&world, &chain).await, expected, "{id} {at}");
    }
    let world = world().await;
    let chain = chain(&world).await;
    let mut disabled = clients();
    disabled[2]["disabled"] = json!(true);
    let disabled = registration::read_file(&json!({"clients": [disabled[2]]}).to_string()).unwrap();
    world.clients.apply(disabled).await.unwrap();
    assert_eq!(active(&world, &chain).await, [true, false, false]);
    world.clients.delete(&"relay".to_owned().try_into().unwrap()).await.unwrap();
    assert_eq!(active(&world, &chain).await, [true, false, false]);
}

#[tokio::test]
async fn an_actor_is_the_client_itself() {
    let world = world().await;
    let dialect = Dialect::oauth2();
    let subject = issue(&world, "web", "j1", &[]).await;
    let own = issue(&world, "gateway", "j2", &[]).await;
    let others = issue(&world, "relay", "j3", &[]).await;
    let acting =
        |actor: &str, name: &str| exchange("gateway", &subject, &[("actor_token", actor), (name, ACCESS_TOKEN)]);
    let delegated = world.send(acting(&own, "actor_token_type")).await;
    let delegated = token_in(&body(&delegated.response)).to_owned();
    for (title, ask, reason) in [
        ("another client's", acting(&others, "actor_token_type"), Reason::ActorTokenNotAllowed),
        ("one that acts for somebody", acting(&delegated, "actor_token_type"), Reason::ActorTokenNotAllowed),
        ("no token", acting("x", "actor_token_type"), Reason::ActorTokenNotGood),
        ("no type", acting(&own, "x"), Reason::TokenWithoutType),
        ("type alone", acting("", "actor_token_type"), Reason::TokenWithoutType),
    ] {
        world.refuses(dialect, title, ask, reason).await;
    }
}

#[tokio::test]
async fn who_acts_is_not_whom_an_exchanged_token_is_of() {
    let world = world().await;
    let subject = issue(&world, "gateway", "j1", &[]).await;
    let acting = |actor: &str| {
        exchange("gateway", &subject, &[("actor_token", actor), ("actor_token_type", ACCESS_TOKEN), ("resource", API)])
    };
    let own = issue(&world, "gateway", "j2", &[]).await;
    world.takes(Dialect::oauth2(), "its own", acting(&own)).await;
    // The gateway's too, by its `client_id`; its `sub` is web's, and it ends with web's token.
    let answer = world.send(exchange("gateway", &issue(&world, "web", "j3", &[]).await, &[])).await;
    let exchanged = token_in(&body(&answer.response)).to_owned();
    let refused = Reason::ActorTokenNotAllowed;
    world.refuses(Dialect::oauth2(), "in exchange for web's", acting(&exchanged), refused).await;
}

#[tokio::test]
async fn a_token_that_its_verifiers_could_have_made_is_not_exchanged() {
    let client = |id: &str, alg: &str| {
        json!({"client_id": id, "client_secret": SECRET, "scope": "read", "audience": [API], "grant_types": BOTH,
            "subject_token_clients": ["asymmetric", "symmetric"], "access_token_signed_response_alg": alg})
    };
    let clients = json!([client("asymmetric", "ES256"), client("symmetric", "HS256"), client("gateway", "ES256")]);
    let world = World::new(clients, &[Alg::ES256, Alg::HS256]).await;
    let dialect = Dialect::oauth2();
    let good = issue(&world, "asymmetric", "j1", &[]).await;
    let shared = issue(&world, "symmetric", "j2", &[]).await;
    world.takes(dialect, "ES256", exchange("gateway", &good, &[])).await;
    world.refuses(dialect, "HS256", exchange("gateway", &shared, &[]), Reason::SubjectTokenNotGood).await;
    let own = exchange("symmetric", &shared, &[]);
    world.refuses(dialect, "HS256, one's own", own, Reason::SubjectTokenNotGood).await;
    let acting =
        |actor: &str| exchange("symmetric", &good, &[("actor_token", actor), ("actor_token_type", ACCESS_TOKEN)]);
    world.refuses(dialect, "HS256 of who acts", acting(&shared), Reason::ActorTokenNotGood).await;
    // Whoever may ask about it is told of it, as ever.
    let ask = Ask::form("/oauth2/introspect", &format!("token={shared}")).basic("symmetric", SECRET);
    assert_eq!(body(&world.send(ask).await.response)["active"], true);
}

#[tokio::test]
async fn no_other_dialect_exchanges_tokens() {
    let world = world().await;
    let subject = issue(&world, "web", "j1", &[]).await;
    for dialect in DIALECTS.iter().filter(|dialect| dialect.name != "oauth2") {
        let mut ask = exchange("gateway", &subject, &[]);
        dialect.path.clone_into(&mut ask.0.path);
        if dialect.name == "eventhos" {
            ask.0.headers.remove(header::AUTHORIZATION);
        }
        world.refuses(dialect, "exchange", ask, Reason::UnsupportedGrantType).await;
    }
}

fn bounded() -> Value {
    json!([{
        "client_id": "billing", "client_secret": SECRET, "scope": "read write admin", "default_scope": "read write",
        "audience": ["plain", "https://a.example"], "access_token_lifetime": 1000,
        "authorization_details_types": ["payment"],
        "allowed_resources": [
            {"resource": "https://a.example", "scope": "read"},
            {"resource": "https://b.example", "scope": "read write", "access_token_lifetime": 300},
            {"resource": "urn:c", "access_token_lifetime": 2000}
        ]
    }])
}

#[tokio::test]
async fn a_resource_bounds_scope_and_lifetime_and_several_bound_them_together() {
    let world = World::new(bounded(), &[Alg::ES256]).await;
    let ask = |more: &[(&str, &str)]| Ask::token_with(Dialect::oauth2(), "billing", SECRET, more);
    let (a, b, c) = (("resource", "https://a.example"), ("audience", "https://b.example"), ("resource", "urn:c"));
    for (asked, scope, lifetime) in [
        // Its default audience has one with bounds among it.
        (vec![], "read", 1000),
        (vec![("audience", "plain")], "read write", 1000),
        (vec![a], "read", 1000),
        (vec![b], "read write", 300),
        (vec![c], "read write", 2000),
        (vec![c, ("scope", "admin")], "admin", 2000),
        (vec![a, b], "read", 300),
        (vec![c, ("audience", "plain")], "read write", 1000),
        (vec![b, c, ("scope", "write")], "write", 300),
    ] {
        let answer = world.send(ask(&asked)).await;
        let issued = claims(&answer);
        assert_eq!((&issued["scope"], &issued["exp"]), (&json!(scope), &json!(NOW + lifetime)), "{asked:?}");
        assert_eq!(body(&answer.response)["scope"], scope);
    }
    let dialect = Dialect::oauth2();
    for asked in [vec![a, ("scope", "write")], vec![a, b, ("scope", "write")], vec![b, c, ("scope", "admin")]] {
        world.refuses(dialect, "scope of the resource", ask(&asked), Reason::ScopeNotGranted).await;
    }
    world.refuses(dialect, "resource", ask(&[a, ("resource", "urn:d")]), Reason::TargetNotAllowed).await;
}

#[tokio::test]
async fn authorization_details_of_a_registered_type_are_in_the_answer_the_token_and_its_introspection() {
    let world = World::new(bounded(), &[Alg::ES256]).await;
    let details = json!([
        {"type": "payment", "actions": ["initiate"], "locations": ["https://a.example"], "amount": {"value": "1.50"}},
        {"type": "payment"}
    ]);
    let text = details.to_string();
    for dialect in &DIALECTS {
        let answer = world.send(Ask::token_with(dialect, "billing", SECRET, &[("authorization_details", &text)])).await;
        assert_eq!(claims(&answer)["authorization_details"], details, "{}", dialect.name);
        let answered = &body(&answer.response)["authorization_details"];
        assert_eq!(*answered, if dialect.name == "oauth2" { details.clone() } else { Value::Null }, "{}", dialect.name);
        let token = token_in(&body(&answer.response)).to_owned();
        let ask = Ask::form("/oauth2/introspect", &format!("token={token}")).basic("billing", SECRET);
        assert_eq!(body(&world.send(ask).await.response)["authorization_details"], details, "{}", dialect.name);

        for (title, text, reason) in [
            ("unknown type", r#"[{"type":"payment"},{"type":"account"}]"#, Reason::AuthorizationDetailsNotGranted),
            ("no array", r#"{"type":"payment"}"#, Reason::MalformedAuthorizationDetails),
            ("no JSON", "[", Reason::MalformedAuthorizationDetails),
            (
                "a repeated member",
                r#"[{"type":"payment","amount":"1.50","amount":"9.50"}]"#,
                Reason::MalformedAuthorizationDetails,
            ),
        ] {
            let ask = Ask::token_with(dialect, "billing", SECRET, &[("authorization_details", text)]);
            world.refuses(dialect, title, ask, reason).await;
        }
    }
}

#[tokio::test]
async fn an_exchange_keeps_or_narrows_authorization_details() {
    let world = world().await;
    let dialect = Dialect::oauth2();
    let details = r#"[{"type":"payment","actions":["x"]},{"type":"payment"},{"type":"account"}]"#;
    let subject = issue(&world, "web", "j1", &[("authorization_details", details)]).await;
    let plain = issue(&world, "web", "j2", &[]).await;
    let asking = |token: &str, text: &str| exchange("gateway", token, &[("authorization_details", text)]);
    // Those of types that it is registered for.
    let kept = claims(&world.send(exchange("gateway", &subject, &[])).await);
    assert_eq!(kept["authorization_details"], json!([{"type": "payment", "actions": ["x"]}, {"type": "payment"}]));
    let narrowed = claims(&world.send(asking(&subject, r#"[{"type":"payment"}]"#)).await);
    assert_eq!(narrowed["authorization_details"], json!([{"type": "payment"}]));
    let none = claims(&world.send(exchange("relay", &subject, &[])).await);
    assert!(none.get("authorization_details").is_none());
    for (title, ask) in [
        ("more actions", asking(&subject, r#"[{"type":"payment","actions":["x","y"]}]"#)),
        ("a type that is not its own", asking(&subject, r#"[{"type":"account"}]"#)),
        ("none in the token", asking(&plain, r#"[{"type":"payment"}]"#)),
    ] {
        world.refuses(dialect, title, ask, Reason::AuthorizationDetailsNotGranted).await;
    }
}

#[test]
fn faulty_bounds_are_refused_at_registration() {
    let fault = |members: Value| {
        let mut entry = json!({"client_id": "a", "scope": "read"});
        entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        mintlet::cli::registration::read_entry(entry).unwrap_err()
    };
    for (members, expected) in [
        (
            json!({"allowed_resources": [{"resource": "/x"}]}),
            "allowed_resources: not an absolute URI without fragment (RFC 8707 section 2)",
        ),
        (
            json!({"allowed_resources": [{"resource": "a:a"}, {"resource": "a:a"}]}),
            "allowed_resources: a resource stands twice",
        ),
        (
            json!({"allowed_resources": [{"resource": "a:a", "scope": "write"}]}),
            "allowed_resources: a scope not within scope",
        ),
        (
            json!({"allowed_resources": [{"resource": "a:a", "access_token_lifetime": 5}]}),
            "allowed_resources[0].access_token_lifetime: not 60 to 86400 seconds",
        ),
        (json!({"allowed_resources": [{"resource": "a:a", "x": 5}]}), "allowed_resources.0.x: no such attribute"),
        (json!({"authorization_details_types": [""]}), "authorization_details_types: an empty string"),
        (json!({"audience": [""]}), "audience: an empty string"),
        (json!({"resource_identifiers": [""]}), "resource_identifiers: an empty string"),
        (json!({"subject_token_clients": [""]}), "subject_token_clients[0]: not 1 to 255 printable ASCII characters"),
    ] {
        assert_eq!(fault(members), [expected]);
    }
}
