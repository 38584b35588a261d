//! Keys that clients publish at a `jwks_uri`: when they are fetched, and what is answered if they cannot be.

use std::sync::{Arc, LazyLock, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{FutureExt as _, future::join_all};
use http::{StatusCode, header};
use mintlet::{
    cli::registration,
    config::{CLIENTS_TABLE, STATE_TABLE},
    dialect::{DIALECTS, Dialect},
    edge::{
        client_cache::CachedClients,
        dynamodb::DynamoDb,
        jwks_uri::{JwksSource, PublishedKeys},
        keys::{HeldKeys, Source},
    },
    grant::{Facts, Lookups, Moment, Write},
    oauth::{
        assertion::AssertionFault::{self, *},
        client::{Client, ClientId, Lifetime},
        error::Reason,
        jwk::Jwks,
        jwks_uri::{AllowedUris, Fetched, JwksUri},
        jwt::Alg,
    },
    service::{Answer, Loaded, MutualTls, Settings, Store, StoreFault, TokenService, WriteFault},
};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::yield_now};

use crate::{
    import,
    server::{Desk, mintlet},
    signer::Signer,
    support::{Ask, ISSUER, JTI, NOW, SECRET, World, body, encode, ring, token_in, whole},
};

static OLD: LazyLock<Signer> = LazyLock::new(|| Signer::new(Alg::ES256));
static NEW: LazyLock<Signer> = LazyLock::new(|| Signer::new(Alg::ES256));

const URI: &str = "https://keys.example.com/jwks.json";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
// Longer than any answer here is good for.
const LATER: u64 = NOW + 600;
const OUTAGE: &str = "the jwks_uri at keys.example.com: no answer in time";

/// A server that answers as it is told, once its gate is open, and notes what it was asked for.
#[derive(Clone)]
struct Fake {
    told: Arc<Mutex<Told>>,
    gate: Arc<Semaphore>,
}

struct Told {
    answer: Result<Fetched, String>,
    asked: Vec<String>,
}

impl Fake {
    fn new(keys: &[&Signer]) -> Self {
        let answer = Ok(answer(&keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()));
        let told = Told { answer, asked: Vec::new() };
        Self { told: Arc::new(Mutex::new(told)), gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    fn closed(keys: &[&Signer]) -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::new(keys) }
    }

    fn publishes(&self, keys: &[&Signer]) {
        self.publishes_jwks(&keys.iter().map(|key| key.jwk()).collect::<Vec<_>>());
    }

    fn publishes_jwks(&self, jwks: &[Value]) {
        self.told.lock().unwrap().answer = Ok(answer(jwks));
    }

    fn is_out(&self) {
        self.told.lock().unwrap().answer = Err("no answer in time".to_owned());
    }

    fn asked(&self) -> usize {
        self.told.lock().unwrap().asked.len()
    }
}

fn answer(jwks: &[Value]) -> Fetched {
    Fetched { jwks: Jwks::of(jwks).unwrap(), lifetime: 300 }
}

impl JwksSource for Fake {
    async fn fetch(&self, uri: &JwksUri) -> Result<Fetched, String> {
        self.told.lock().unwrap().asked.push(uri.to_string());
        drop(self.gate.acquire().await);
        self.told.lock().unwrap().answer.clone()
    }
}

struct Publishing {
    service: TokenService<PublishedKeys<CachedClients<DynamoDb>, Fake>, HeldKeys>,
    server: Fake,
    _world: World,
}

fn client(id: &str) -> Value {
    json!({
        "client_id": id, "jwks_uri": URI, "scope": "read", "grant_types": ["client_credentials", JWT_BEARER],
        "eventhos": {"id": 1, "identifier": id}
    })
}

fn client_with(id: &str, members: &Value) -> Value {
    let mut client = client(id);
    client.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    client
}

impl Publishing {
    async fn new(server: &Fake) -> Self {
        Self::with(server, Some("keys.example.com")).await
    }

    async fn with(server: &Fake, hosts: Option<&str>) -> Self {
        let inline = json!({"keys": [OLD.jwk()]});
        let clients = json!([
            client("svc"),
            client("twin"),
            client_with("frontier", &json!({"assertion_profile": "frontier"})),
            client_with("other", &json!({"jwks_uri": "https://other.example.com/jwks.json"})),
            client_with("disabled", &json!({"disabled": true})),
            client_with("secret", &json!({"client_secret": SECRET})),
            client_with("self-signed", &json!({"token_endpoint_auth_method": "self_signed_tls_client_auth"})),
            client_with(
                "by-name",
                &json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "other.example.com"})
            ),
            {"client_id": "inline", "jwks": inline, "grant_types": ["client_credentials", JWT_BEARER]},
        ]);
        let world = World::new(clients, &[]).await;
        let settings = Settings {
            issuer: Some(ISSUER.to_owned()),
            base_path: String::new(),
            dialects: DIALECTS.iter().map(|dialect| dialect.name).collect(),
            access_token_lifetime: Lifetime::default(),
            authorization_details_types: Vec::new(),
            requires_dpop_nonce: false,
            mutual_tls: Some(MutualTls { base_url: None, origin_secret: None }),
        };
        let store = CachedClients::new(DynamoDb::new(world.engine.sdk(), CLIENTS_TABLE, STATE_TABLE), 0);
        let source = hosts.map(|hosts| (AllowedUris::parse(hosts).unwrap(), server.clone()));
        let keys = HeldKeys::new(Source::Inline(ring(&[Alg::ES256])), 86_400);
        let service = TokenService::new(settings, PublishedKeys::new(store, source), keys);
        Self { service, server: server.clone(), _world: world }
    }

    async fn send(&self, ask: Ask, now: u64) -> Answer {
        self.service.respond(&ask.0, &Moment { now, jti: JTI.to_owned() }).await
    }

    // Both uses of an assertion by that client at that moment; no `jti` is used twice.
    async fn both(&self, id: &str, key: &Signer, now: u64) -> [Option<Reason>; 2] {
        let claims = |jti| json!({"iss": id, "sub": id, "aud": ISSUER, "exp": now + 60, "jti": format!("{jti}{now}")});
        let as_client = self.send(client_assertion(&key.jwt(&claims("a"))), now).await;
        let as_grant = self.send(grant(&key.jwt(&claims("b"))), now).await;
        [as_client.record.reason, as_grant.record.reason]
    }
}

fn client_assertion(assertion: &str) -> Ask {
    let form = "grant_type=client_credentials&client_assertion_type";
    Ask::form("/oauth2/token", &format!("{form}={}&client_assertion={assertion}", encode(ASSERTION_TYPE)))
}

fn grant(assertion: &str) -> Ask {
    Ask::form("/oauth2/token", &format!("grant_type={}&assertion={assertion}", encode(JWT_BEARER)))
}

fn refused(fault: AssertionFault) -> [Option<Reason>; 2] {
    [Some(Reason::ClientAssertion(fault)), Some(Reason::AssertionGrant(fault))]
}

const TAKEN: [Option<Reason>; 2] = [None, None];
const UNAVAILABLE: [Option<Reason>; 2] = [Some(Reason::ClientKeysUnavailable), Some(Reason::ClientKeysUnavailable)];

#[tokio::test]
async fn keys_are_fetched_once_for_all_who_publish_them_there_and_used_while_they_are_good() {
    let it = Publishing::new(&Fake::new(&[&OLD])).await;
    assert_eq!(it.both("svc", &OLD, NOW).await, TAKEN);
    assert_eq!(it.both("twin", &OLD, NOW + 299).await, TAKEN);
    assert_eq!(it.server.told.lock().unwrap().asked, [URI]);
    assert_eq!(it.both("svc", &OLD, NOW + 300).await, TAKEN);
    assert_eq!(it.server.asked(), 2);
}

#[tokio::test]
async fn a_key_that_is_published_no_more_is_not_taken_once_its_set_is_old() {
    let it = Publishing::new(&Fake::new(&[&OLD])).await;
    assert_eq!(it.both("svc", &OLD, NOW).await, TAKEN);
    it.server.publishes(&[&NEW]);
    assert_eq!(it.both("svc", &OLD, NOW + 299).await, TAKEN);
    assert_eq!(it.both("svc", &OLD, NOW + 300).await, refused(UnknownKey));
    assert_eq!(it.server.asked(), 2);
}

#[tokio::test]
async fn a_key_that_is_not_known_is_asked_for_once_a_minute() {
    let it = Publishing::new(&Fake::new(&[&OLD])).await;
    assert_eq!(it.both("svc", &NEW, NOW).await, refused(UnknownKey));
    assert_eq!(it.server.asked(), 1, "what was fetched for this request is not asked for again");
    it.server.publishes(&[&OLD, &NEW]);
    assert_eq!(it.both("svc", &NEW, NOW + 59).await, refused(UnknownKey));
    assert_eq!(it.server.asked(), 1);
    assert_eq!(it.both("svc", &NEW, NOW + 60).await, TAKEN);
    assert_eq!(it.server.asked(), 2);
    let other = Signer::new(Alg::ES256);
    for now in [NOW + 61, NOW + 90, NOW + 119] {
        assert_eq!(it.both("svc", &other, now).await, refused(UnknownKey));
        assert_eq!(it.both("twin", &other, now).await, refused(UnknownKey));
    }
    assert_eq!(it.server.asked(), 2);
    assert_eq!(it.both("svc", &other, NOW + 120).await, refused(UnknownKey));
    assert_eq!(it.server.asked(), 3);
}

#[tokio::test]
async fn a_key_that_took_anothers_kid_is_asked_for_too() {
    let it = Publishing::new(&Fake::new(&[&OLD])).await;
    assert_eq!(it.both("svc", &OLD, NOW).await, TAKEN);
    let mut jwk = NEW.jwk();
    jwk["kid"] = json!(OLD.kid);
    it.server.publishes_jwks(&[jwk]);
    let claims = json!({"iss": "svc", "sub": "svc", "aud": ISSUER, "exp": NOW + 120, "jti": "a"});
    let header = json!({"alg": "ES256", "kid": OLD.kid});
    let answer = it.send(client_assertion(&NEW.jwt_with(&header, &claims)), NOW + 60).await;
    assert_eq!(answer.record.reason, None);
    assert_eq!(it.server.asked(), 2);
}

#[tokio::test]
async fn a_server_that_is_out_is_a_503_and_is_asked_once_a_minute() {
    let server = Fake::new(&[&OLD]);
    server.is_out();
    let it = Publishing::new(&server).await;
    for now in [NOW, NOW + 1, NOW + 59] {
        assert_eq!(it.both("svc", &OLD, now).await, UNAVAILABLE);
    }
    assert_eq!(it.server.asked(), 1);
    let assertion = |jti| {
        let claims = json!({"iss": "svc", "sub": "svc", "aud": ISSUER, "exp": NOW + 60, "jti": jti});
        OLD.jwt(&claims)
    };
    let answer = it.send(grant(&assertion("c")), NOW).await;
    assert_eq!(answer.record.detail.as_deref(), Some(OUTAGE));
    assert_eq!(whole(&answer.response), whole(&Dialect::oauth2().refused(Reason::ClientKeysUnavailable, Some(ISSUER))));
    assert_eq!(answer.response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.response.headers()[header::RETRY_AFTER], "2");
    assert_eq!(body(&answer.response)["error"], "temporarily_unavailable");
    // What was refused for it is still good, and a server that is back is asked.
    it.server.publishes(&[&OLD]);
    assert_eq!(it.both("svc", &OLD, NOW + 60).await, TAKEN);
    assert_eq!(it.server.asked(), 2);
}

#[tokio::test]
async fn keys_that_were_fetched_once_outlast_an_outage_of_a_day() {
    let it = Publishing::new(&Fake::new(&[&OLD])).await;
    assert_eq!(it.both("svc", &OLD, NOW).await, TAKEN);
    it.server.is_out();
    for (now, asked) in [(LATER, 2), (LATER + 1, 2), (LATER + 59, 2), (LATER + 60, 3), (NOW + 300 + 86_399, 4)] {
        assert_eq!(it.both("svc", &OLD, now).await, TAKEN, "{now}");
        assert_eq!(it.server.asked(), asked, "{now}");
    }
    // An unknown key is none, outage or not: there is a set to say so.
    assert_eq!(it.both("svc", &NEW, LATER + 61).await, refused(UnknownKey));
    assert_eq!(it.both("svc", &OLD, NOW + 300 + 86_400).await, UNAVAILABLE);
}

#[tokio::test]
async fn nobody_is_asked_for_who_needs_no_key() {
    let it = Publishing::new(&Fake::new(&[&OLD])).await;
    assert_eq!(it.both("disabled", &OLD, NOW).await, refused(UnknownKey));
    assert_eq!(it.both("inline", &OLD, NOW).await, TAKEN);
    assert_eq!(it.both("inline", &NEW, NOW).await, refused(UnknownKey));
    assert_eq!(it.both("nobody", &OLD, NOW).await, refused(UnknownClient));
    for (secret, reason) in [(SECRET, None), ("wrong", Some(Reason::SecretMismatch))] {
        for dialect in &DIALECTS {
            let answer = it.send(Ask::token(dialect, "secret", secret), NOW).await;
            assert_eq!(answer.record.reason, reason, "{}", dialect.name);
        }
    }
    let answer = it.send(certificate_of("by-name").0, NOW).await;
    assert_eq!(answer.record.reason, Some(Reason::CertificateMismatch));
    assert_eq!(it.server.asked(), 0);
}

#[tokio::test]
async fn a_host_that_is_not_listed_is_not_asked_and_off_means_nobody_is() {
    let it = Publishing::new(&Fake::new(&[&OLD])).await;
    assert_eq!(it.both("other", &OLD, NOW).await, refused(UnknownKey));
    assert_eq!(it.server.asked(), 0);
    let off = Publishing::with(&Fake::new(&[&OLD]), None).await;
    assert_eq!(off.both("svc", &OLD, NOW).await, refused(UnknownKey));
    assert_eq!(off.both("inline", &OLD, NOW).await, TAKEN);
    assert_eq!(off.server.asked(), 0);
}

fn certificate_of(client_id: &str) -> (Ask, Value) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let mut jwk = OLD.jwk();
    jwk["x5c"] = json!([STANDARD.encode(certificate.der())]);
    let mut ask = Ask::form("/oauth2/token", &format!("grant_type=client_credentials&client_id={client_id}"));
    ask.0.client_certificate = Some(certificate.pem());
    (ask, jwk)
}

#[tokio::test]
async fn a_self_signed_certificate_is_looked_for_among_published_keys() {
    let it = Publishing::new(&Fake::new(&[&OLD])).await;
    let (ask, jwk) = certificate_of("self-signed");
    let again = || {
        let mut again = Ask::form("/oauth2/token", "grant_type=client_credentials&client_id=self-signed");
        again.0.client_certificate.clone_from(&ask.0.client_certificate);
        again
    };
    assert_eq!(it.send(again(), NOW).await.record.reason, Some(Reason::CertificateMismatch));
    it.server.publishes_jwks(&[jwk]);
    assert_eq!(it.send(again(), NOW + 59).await.record.reason, Some(Reason::CertificateMismatch));
    assert_eq!(it.send(again(), NOW + 60).await.record.reason, None);
    assert_eq!(it.server.asked(), 2);
}

#[tokio::test]
async fn introspection_and_revocation_know_published_keys_too() {
    let it = Publishing::new(&Fake::new(&[&OLD])).await;
    let assertion =
        |jti: &str| encode(&OLD.jwt(&json!({"iss": "svc", "sub": "svc", "aud": ISSUER, "exp": NOW + 60, "jti": jti})));
    let token = it.send(client_assertion(&assertion("a")), NOW).await;
    let token = token_in(&body(&token.response)).to_owned();
    for (path, jti) in [("/oauth2/introspect", "b"), ("/oauth2/revoke", "c")] {
        let form = format!("token={token}&client_assertion_type={}", encode(ASSERTION_TYPE));
        let answer = it.send(Ask::form(path, &format!("{form}&client_assertion={}", assertion(jti))), NOW).await;
        assert_eq!(answer.record.reason, None, "{path}");
    }
}

#[tokio::test]
async fn frontiers_assertions_know_published_keys_too() {
    let rsa = Signer::new(Alg::RS256);
    let it = Publishing::new(&Fake::new(&[&rsa])).await;
    let claims = json!({"iss": "anybody", "sub": "frontier", "exp": NOW + 3600});
    let assertion = rsa.jwt_with(&json!({"alg": "RS256", "kid": "frontier"}), &claims);
    let ask = Ask::json("/v1beta1/auth/token", &json!({"grant_type": JWT_BEARER, "assertion": assertion}));
    assert_eq!(it.send(ask, NOW).await.record.reason, None);
    it.server.is_out();
    let ask = Ask::json("/v1beta1/auth/token", &json!({"grant_type": JWT_BEARER, "assertion": assertion}));
    assert_eq!(it.send(ask, NOW + 300).await.record.reason, None);
}

/// A store that holds one client.
struct One(Arc<Client>);

impl Store for One {
    async fn load(&self, _: &Lookups, _: u64) -> Result<Loaded, StoreFault> {
        let facts = Facts { clients: vec![Arc::clone(&self.0)], ..Facts::default() };
        Ok(Loaded { facts, ..Loaded::default() })
    }

    async fn commit(&self, _: &[Write], _: u64) -> Result<(), WriteFault> {
        Ok(())
    }
}

fn one(server: &Fake) -> (PublishedKeys<One, Fake>, Lookups) {
    let client = Arc::new(registration::read_entry(client("svc")).unwrap().client);
    let allowed = AllowedUris::parse("keys.example.com").unwrap();
    let signers = vec![ClientId::parse("svc").unwrap()];
    (PublishedKeys::new(One(client), Some((allowed, server.clone()))), Lookups { signers, ..Lookups::default() })
}

#[tokio::test]
async fn requests_that_come_meanwhile_share_one_answer() {
    for is_out in [false, true] {
        let server = Fake::closed(&[&OLD]);
        if is_out {
            server.is_out();
        }
        let (store, lookups) = one(&server);
        let open = async {
            for _ in 0..100 {
                yield_now().await;
            }
            server.gate.add_permits(100);
        };
        let (loaded, ()) = tokio::join!(join_all((0..20).map(|_| store.load(&lookups, NOW))), open);
        for loaded in loaded {
            match loaded {
                Ok(loaded) => assert!(!is_out && loaded.facts.clients[0].jwks.is_some()),
                Err(fault) => {
                    assert!(is_out);
                    assert_eq!(fault, StoreFault::ClientKeysUnavailable(OUTAGE.to_owned()));
                }
            }
        }
        assert_eq!(server.asked(), 1);
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_have_the_server_asked_again() {
    let server = Fake::closed(&[&OLD]);
    let (store, lookups) = one(&server);
    for _ in 0..3 {
        assert!(store.load(&lookups, NOW).now_or_never().is_none());
    }
    while server.asked() == 0 {
        yield_now().await;
    }
    server.gate.add_permits(100);
    assert!(store.load(&lookups, NOW).await.unwrap().facts.clients[0].jwks.is_some());
    assert_eq!(server.asked(), 1);
}

#[test]
fn a_client_has_a_jwks_or_a_jwks_uri_and_not_both() {
    let faults = |members: Value| registration::read_entry(client_with("svc", &members)).unwrap_err();
    assert!(registration::read_entry(client("svc")).is_ok());
    let self_signed = json!({"token_endpoint_auth_method": "self_signed_tls_client_auth"});
    assert!(registration::read_entry(client_with("svc", &self_signed)).is_ok());
    let both = "jwks_uri: jwks or jwks_uri, not both (RFC 7591 section 2)";
    assert_eq!(faults(json!({"jwks": {"keys": [OLD.jwk()]}})), [both]);
    assert_eq!(faults(json!({"jwks": {"keys": []}})), [both]);
    let malformed = "jwks_uri: not an https URL of a host name, without userinfo, fragment and a port other than 443";
    for bad in ["http://keys.example.com/", "https://10.0.0.1/", "https://keys.example.com:8443/", "keys.example.com"] {
        assert_eq!(faults(json!({"jwks_uri": bad})), [malformed], "{bad}");
    }
}

#[tokio::test]
async fn commands_register_it_and_say_where_it_is_read() {
    let desk = Desk::open().await;
    let create = |id| vec!["create", "--client-id", id, "--jwks-uri", URI, "--json"];
    let warning = |id| {
        format!(
            "warning: the keys of {id} are read only where JWKS_URI_HOSTS lists keys.example.com; without that it has none\n"
        )
    };
    let created = desk.run(&create("svc")).await;
    assert!(created.status.success());
    assert_eq!(String::from_utf8(created.stderr).unwrap(), warning("svc"));
    assert_eq!(desk.json(&["show", "--client-id", "svc"]).await["jwks_uri"], URI);

    let file = desk.file("clients.json", &json!({"clients": [client("other")]}).to_string());
    let apply = ["client", "--local", "--data-dir", &desk.data(), "apply", "-f", &file];
    for (hosts, said) in
        [("", warning("other")), ("example.com", warning("other")), ("keys.example.com", String::new())]
    {
        let applied = mintlet(&apply).env("JWKS_URI_HOSTS", hosts).output().await.unwrap();
        assert!(applied.status.success());
        assert_eq!(String::from_utf8(applied.stderr).unwrap(), said, "{hosts}");
    }

    let refused = desk.fails(&["key", "generate", "--client-id", "svc"]).await;
    assert_eq!(refused, "mintlet: client svc has a jwks_uri: it publishes its keys, and has none of its own here\n");
    assert_eq!(desk.json(&["show", "--client-id", "svc"]).await.get("jwks"), None);
}

#[tokio::test]
async fn hydras_clients_keep_theirs() {
    let exported = |members: Value| {
        let mut exported = json!({
            "client_id": "svc", "grant_types": ["client_credentials"], "scope": "read",
            "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": URI
        });
        exported.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let mut imported = import::read("hydra", &exported.to_string());
        let imported = imported.remove(0);
        (imported.entry, imported.notes)
    };
    let (entry, notes) = exported(json!({}));
    assert_eq!(registration::read_entry(entry.unwrap()).unwrap().client.jwks_uri.unwrap().as_str(), URI);
    assert_eq!(notes, ["its keys are read only where JWKS_URI_HOSTS lists the host of its jwks_uri"]);
    let (entry, notes) = exported(json!({"jwks": {"keys": [OLD.jwk()]}}));
    assert_eq!(registration::read_entry(entry.unwrap()).unwrap().client.jwks_uri, None);
    assert_eq!(notes, ["not carried over: jwks_uri"]);
    assert!(exported(json!({"jwks_uri": ""})).0.is_err());
}
