//! The JWT bearer grant as Frontier's SDK sends it: each refusal is the accepted request with one thing changed.

use std::sync::LazyLock;

use http::header;
use mintlet::{
    cli::registration,
    dialect::Dialect,
    oauth::{
        assertion::AssertionFault::{self, *},
        error::Reason,
        jwt::Alg,
    },
};
use serde_json::{Value, json};

use crate::{
    signer::Signer,
    support::{Ask, ISSUER, NOW, SECRET, World, body, encode, parts, readable, token_in, whole},
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const PATH: &str = "/v1beta1/auth/token";
// A credential's id, which is the client's, and that of the service user.
const KID: &str = "c029a17d-0bad-472c-b335-ed58ba370d84";
const USER: &str = "5f4e7a3e-6f0c-4d1c-9a57-3f1f2b0c5d11";

static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::new(Alg::RS256));
static SECOND: LazyLock<Signer> = LazyLock::new(|| Signer::new(Alg::RS256));
static EC: LazyLock<Signer> = LazyLock::new(|| Signer::new(Alg::ES256));

async fn world() -> World {
    let client = |id: &str, keys: Value| {
        json!({
            "client_id": id, "subject": USER, "jwks": {"keys": keys}, "scope": "read", "grant_types": [JWT_BEARER],
            "claims": {"org_ids": ["org"]}, "assertion_profile": "frontier"
        })
    };
    let mut disabled = client("disabled", json!([RSA.jwk()]));
    disabled["disabled"] = json!(true);
    let mut without_grant = client("without-grant", json!([RSA.jwk()]));
    without_grant["grant_types"] = json!(["client_credentials"]);
    let mut legacy = client("legacy", json!([RSA.jwk()]));
    legacy["legacy_assertion_audience"] = json!(true);
    let mut with_secret = client("with-secret", json!([RSA.jwk()]));
    with_secret["client_secret"] = json!(SECRET);
    let clients = json!([
        client(KID, json!([SECOND.jwk(), RSA.jwk(), EC.jwk()])),
        client("other", json!([SECOND.jwk()])),
        disabled,
        without_grant,
        legacy,
        with_secret,
    ]);
    World::new(clients, &[Alg::RS256]).await
}

fn frontier() -> &'static Dialect {
    Dialect::named("frontier").unwrap()
}

// What `BuildToken` of the SDK makes.
fn claims() -> Value {
    json!({
        "iss": "//frontier-go-sdk", "sub": USER, "iat": NOW, "nbf": NOW, "exp": NOW + 12 * 60 * 60, "jti": "a", "kid": KID
    })
}

fn claims_of(kid: &str) -> Value {
    let mut claims = claims();
    claims["kid"] = json!(kid);
    claims
}

fn jwt_of(kid: &str, claims: &Value) -> String {
    RSA.jwt_with(&json!({"alg": "RS256", "kid": kid, "typ": "JWT"}), claims)
}

fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    jwt_of(KID, &claims)
}

fn without(name: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    jwt_of(KID, &claims)
}

fn ask(assertion: &str) -> Ask {
    Ask::json(PATH, &json!({"grant_type": JWT_BEARER, "assertion": assertion}))
}

fn in_header(assertion: &str) -> Ask {
    Ask::json(PATH, &json!({"grant_type": JWT_BEARER})).header(header::AUTHORIZATION, &format!("Bearer {assertion}"))
}

#[tokio::test]
async fn the_sdks_assertion_gets_tokens_again_and_again_in_body_and_header() {
    let world = world().await;
    let assertion = jwt_of(KID, &claims());
    let form = format!("grant_type={}&assertion={assertion}", encode(JWT_BEARER));
    for _ in 0..2 {
        for ask in [ask(&assertion), in_header(&assertion), Ask::form(PATH, &form)] {
            let answer = world.send(ask).await;
            assert_eq!(answer.record.reason, None);
            let (_, token) = parts(token_in(&body(&answer.response)));
            assert_eq!((&token["sub"], &token["client_id"]), (&json!(USER), &json!(KID)));
            assert_eq!(
                (&token["gen"], &token["sub_type"], &token["org_ids"]),
                (&json!("system"), &json!("app/serviceuser"), &json!(["org"]))
            );
            assert_eq!(answer.record.credential_id.as_deref(), Some(RSA.kid.as_str()));
            assert_eq!((answer.record.client_id.as_deref(), answer.record.auth_method), (Some(KID), None));
        }
    }
    insta::assert_snapshot!("frontier-assertion", readable(&world.send(ask(&assertion)).await.response));
}

#[tokio::test]
async fn a_client_has_one_assertion_profile_and_gets_nothing_by_the_other() {
    let client = |id: &str| json!({"client_id": id, "subject": USER, "jwks": {"keys": [RSA.jwk()]}, "grant_types": [JWT_BEARER, "client_credentials"]});
    let mut open = client("open");
    open["assertion_profile"] = json!("frontier");
    let mut named = client("named");
    named["assertion_profile"] = json!("rfc7523");
    let world = World::new(json!([open, client("strict"), named]), &[Alg::RS256]).await;
    let looser = |id: &str| ask(&jwt_of(id, &claims_of(id)));
    let strict = |id: &str, jti: &str| {
        let claims = json!({"iss": id, "sub": id, "aud": ISSUER, "exp": NOW + 60, "jti": jti});
        RSA.jwt_with(&json!({"alg": "RS256", "kid": RSA.kid}), &claims)
    };
    let grant = |id: &str| {
        Ask::form("/oauth2/token", &format!("grant_type={}&assertion={}", encode(JWT_BEARER), strict(id, "a")))
    };
    let authentication = |id: &str| {
        let kind = encode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let form =
            format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={}", strict(id, "b"));
        Ask::form("/oauth2/token", &form)
    };
    let oauth2 = Dialect::oauth2();
    world.takes(frontier(), "open", looser("open")).await;
    world.refuses(oauth2, "open", grant("open"), Reason::AssertionGrant(AnotherProfile)).await;
    world.refuses(oauth2, "open", authentication("open"), Reason::ClientAssertion(AnotherProfile)).await;
    for id in ["strict", "named"] {
        world.takes(oauth2, id, grant(id)).await;
        world.takes(oauth2, id, authentication(id)).await;
        world.refuses(frontier(), id, looser(id), Reason::AssertionGrant(AnotherProfile)).await;
    }
    // Whoever has not the key does not learn which it is.
    let unsigned =
        world.send(ask(&SECOND.jwt_with(&json!({"alg": "RS256", "kid": "strict"}), &claims_of("strict")))).await;
    let refused = world.send(looser("strict")).await;
    assert_eq!(whole(&unsigned.response), whole(&refused.response));
}

#[test]
fn the_profile_of_frontier_is_for_no_client_of_private_key_jwt() {
    let entry = |method: &str| json!({"client_id": "a", "token_endpoint_auth_method": method, "assertion_profile": "frontier", "grant_types": [JWT_BEARER]});
    assert!(registration::read_entry(entry("client_secret_post")).is_ok());
    assert_eq!(
        registration::read_entry(entry("private_key_jwt")).unwrap_err(),
        ["assertion_profile: frontier is not for a token_endpoint_auth_method of private_key_jwt"]
    );
}

#[tokio::test]
async fn what_frontier_leaves_open_is_open() {
    let world = world().await;
    for (title, assertion) in [
        ("the client's id as sub", with("sub", json!(KID))),
        ("no iss", without("iss")),
        ("no jti", without("jti")),
        ("no kid in the claims", without("kid")),
        ("the issuer as aud", with("aud", json!(ISSUER))),
        ("the issuer among others", with("aud", json!(["https://other.example.com", ISSUER]))),
        ("a day", with("exp", json!(NOW + 24 * 60 * 60))),
    ] {
        world.takes(frontier(), title, ask(&assertion)).await;
    }
}

#[tokio::test]
async fn what_frontier_does_not_leave_open_is_refused_in_its_shape() {
    let world = world().await;
    let rsa = |header: Value| RSA.jwt_with(&header, &claims());
    let to_endpoint = json!({"sub": USER, "exp": NOW + 60, "aud": format!("{ISSUER}{PATH}")});
    let to_endpoint = jwt_of("legacy", &to_endpoint);
    let cases: Vec<(&str, String, AssertionFault)> = vec![
        ("sub of another", with("sub", json!("somebody")), WrongSubject),
        ("no sub", without("sub"), MalformedClaims),
        ("no exp", without("exp"), MalformedClaims),
        ("expired", with("exp", json!(NOW - 10)), Expired),
        ("over a day", with("exp", json!(NOW + 24 * 60 * 60 + 11)), LongLived),
        ("not yet", with("nbf", json!(NOW + 11)), NotYetValid),
        ("issued to come", with("iat", json!(NOW + 11)), NotYetValid),
        ("another's aud", with("aud", json!("https://other.example.com")), WrongAudience),
        ("nobody's aud", with("aud", json!([])), WrongAudience),
        ("the endpoint as aud", with("aud", json!(format!("{ISSUER}{PATH}"))), WrongAudience),
        ("the endpoint as aud of a client that may name it where aud is needed", to_endpoint, WrongAudience),
        ("several auds of others", with("aud", json!(["https://other.example.com", "x"])), WrongAudience),
        ("a number as aud", with("aud", json!(7)), MalformedClaims),
        ("a number among auds", with("aud", json!([ISSUER, 7])), MalformedClaims),
        ("an empty iss", with("iss", json!("")), MalformedClaims),
        ("a number as iss", with("iss", json!(7)), MalformedClaims),
        ("a number as jti", with("jti", json!(7)), MalformedClaims),
        ("another kid in the claims", with("kid", json!("other")), MalformedClaims),
        ("a number as kid in the claims", with("kid", json!(7)), MalformedClaims),
        ("no kid", rsa(json!({"alg": "RS256"})), MalformedClaims),
        ("a kid of nobody", jwt_of("nobody", &json!({"sub": USER, "exp": NOW + 60})), UnknownClient),
        ("another credential's kid", jwt_of("other", &json!({"sub": USER, "exp": NOW + 60})), SignatureMismatch),
        ("another algorithm", EC.jwt_with(&json!({"alg": "ES256", "kid": KID}), &claims()), AlgNotTaken),
        ("PS256", rsa(json!({"alg": "PS256", "kid": KID})), AlgNotTaken),
        ("HS256", rsa(json!({"alg": "HS256", "kid": KID})), AlgNotTaken),
        ("its own key", rsa(json!({"alg": "RS256", "kid": KID, "jwk": RSA.jwk()})), HeaderNotTaken),
        ("an access token", rsa(json!({"alg": "RS256", "kid": KID, "typ": "at+jwt"})), TypNotTaken),
        ("disabled", jwt_of("disabled", &json!({"sub": USER, "exp": NOW + 60})), ClientDisabled),
        ("no JWT", "x".to_owned(), Malformed),
    ];
    for (title, assertion, fault) in cases {
        world.refuses(frontier(), title, ask(&assertion), Reason::AssertionGrant(fault)).await;
        world.refuses(frontier(), title, in_header(&assertion), Reason::AssertionGrant(fault)).await;
    }
    let assertion = jwt_of("without-grant", &json!({"sub": USER, "exp": NOW + 60}));
    world.refuses(frontier(), "no grant", ask(&assertion), Reason::GrantNotRegistered).await;
}

#[tokio::test]
async fn one_assertion_in_one_place_and_credentials_beside_it_are_its_clients() {
    let world = world().await;
    let assertion = jwt_of(KID, &claims());
    let none = Ask::json(PATH, &json!({"grant_type": JWT_BEARER}));
    world.refuses(frontier(), "none", none, Reason::MissingAssertion).await;
    let of = |id: &str| {
        Ask::json(PATH, &json!({"grant_type": JWT_BEARER, "assertion": jwt_of(KID, &claims()), "client_id": id}))
    };
    world.takes(frontier(), "its client's id", of(KID)).await;
    world.refuses(frontier(), "another client's id", of("other"), Reason::ClientIdMismatch).await;
    let both = ask(&assertion).header(header::AUTHORIZATION, &format!("Bearer {assertion}"));
    world.refuses(frontier(), "in both", both, Reason::RepeatedAssertion).await;
    let two = in_header(&assertion).header(header::AUTHORIZATION, &format!("Bearer {assertion}"));
    world.refuses(frontier(), "two headers", two, Reason::RepeatedAuthorization).await;
    let no_grant = Ask::json(PATH, &json!({})).header(header::AUTHORIZATION, &format!("Bearer {assertion}"));
    world.refuses(frontier(), "no grant_type", no_grant, Reason::MissingGrantType).await;
    let other_grant = Ask::json(PATH, &json!({"grant_type": "client_credentials"}))
        .header(header::AUTHORIZATION, &format!("Bearer {assertion}"));
    world.refuses(frontier(), "another grant", other_grant, Reason::UnsupportedScheme).await;

    let own = jwt_of("with-secret", &json!({"sub": USER, "exp": NOW + 60}));
    world.takes(frontier(), "its own secret", ask(&own).basic("with-secret", SECRET)).await;
    world.refuses(frontier(), "wrong", ask(&own).basic("with-secret", "x"), Reason::SecretMismatch).await;
    let ask = ask(&assertion).basic("with-secret", SECRET);
    world.refuses(frontier(), "another's", ask, Reason::AssertionGrant(AnotherClient)).await;
}
