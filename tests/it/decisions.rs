//! Decisions as the values that they are: a refusal stores nothing, whoever carries it out.

use std::{iter, sync::Arc};

use mintlet::{
    dialect::Dialect,
    endpoint::{issued_token, revoke},
    grant::{Facts, Moment, StateRow, TokenRequest, Write, decide},
    oauth::{
        access_token::AccessToken,
        client::{Client, ClientId},
        error::Reason,
        jwt::Alg,
        params::Params,
        vocabulary::{JWT_BEARER_ASSERTION, Server},
    },
};
use serde_json::{Value, json};

use crate::{
    signer::Signer,
    support::{ISSUER, JTI, NOW, encode},
};

const SERVER: Server<'static> = Server { issuer: ISSUER, token_path: "/oauth2/token" };

fn moment() -> Moment {
    Moment { now: NOW, jti: JTI.to_owned() }
}

// A client that authenticates by assertions, and the parameters of one.
fn signed() -> (Facts, String) {
    let signer = Signer::new(Alg::ES256);
    let client: Client = serde_json::from_value(json!({
        "client_id": "svc", "disabled": false, "client_secrets": [], "grant_types": ["client_credentials"], "scope": "read",
        "jwks": {"keys": [signer.jwk()]}, "version": 1, "created_at": 1, "updated_at": 1
    }))
    .unwrap();
    let assertion = signer.jwt(&json!({"iss": "svc", "sub": "svc", "aud": ISSUER, "exp": NOW + 60, "jti": "a"}));
    let credentials = format!("client_assertion_type={}&client_assertion={assertion}", encode(JWT_BEARER_ASSERTION));
    (Facts { clients: vec![Arc::new(client)], ..Facts::default() }, credentials)
}

fn used() -> Vec<StateRow> {
    vec![StateRow::AssertionJti { client_id: ClientId::parse("svc").unwrap(), jti: "a".to_owned() }]
}

fn rows(writes: &[Write]) -> Vec<StateRow> {
    writes.iter().map(|write| write.row().clone()).collect()
}

#[test]
fn a_refused_token_request_stores_nothing() {
    let (facts, credentials) = signed();
    for (scope, refused, stored) in [("read", None, used()), ("admin", Some(Reason::ScopeNotGranted), Vec::new())] {
        let form = format!("grant_type=client_credentials&scope={scope}&{credentials}");
        let params = Params::from_form(form.as_bytes()).unwrap();
        let request = TokenRequest::parse(&params, iter::empty(), None, &Dialect::oauth2().policy).unwrap();
        let decision = decide(&request, &facts, &SERVER, &moment());
        assert_eq!((decision.outcome.err(), rows(&decision.writes)), (refused, stored), "{scope}");
    }
}

#[test]
fn a_refused_revocation_stores_nothing() {
    let (facts, credentials) = signed();
    let token = |client_id: &str| {
        let claims = json!({
            "iss": ISSUER, "sub": "s", "aud": "a", "iat": NOW, "nbf": NOW, "exp": NOW + 60, "jti": "j", "client_id": client_id
        });
        let Value::Object(claims) = claims else { unreachable!() };
        AccessToken::of(claims, ISSUER, NOW).unwrap()
    };
    let revoked =
        [used(), vec![StateRow::RevokedToken { client_id: ClientId::parse("svc").unwrap(), jti: "j".to_owned() }]]
            .concat();
    let params = Params::from_form(format!("token=x&{credentials}").as_bytes()).unwrap();
    let request = issued_token::Request::parse(&params, iter::empty(), None).unwrap();
    for (id, refused, stored) in [("svc", None, revoked), ("other", Some(Reason::TokenOfAnotherClient), Vec::new())] {
        let decision = revoke::decide(&request, Some(&token(id)), &facts, &SERVER, &moment());
        assert_eq!((decision.outcome.err(), rows(&decision.writes)), (refused, stored), "{id}");
    }
}
