//! Token introspection (RFC 7662), and as a signed JWT (RFC 9701).

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::issued_token::{Request, may_see};
use crate::{
    dialect::{Response, answer},
    grant::{Decision, Facts, Moment},
    keyring::KeyRing,
    oauth::{access_token::AccessToken, client::Client, error::Reason, jwt::Typ, vocabulary::Server},
};

/// What a client is told of a token.
#[derive(Debug)]
pub struct Introspection {
    caller: Arc<Client>,
    token: Map<String, Value>,
}

const JWT: &str = "application/token-introspection+jwt";

#[derive(Serialize)]
struct SignedResponse<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    token_introspection: &'a Map<String, Value>,
}

/// Every rule: the client is authenticated; it sees a token that is its own or meant for it, as long as it is good.
///
/// All else is one answer (RFC 7662 section 2.2): a token that was never one, has expired, was revoked, or is none of the
/// caller's business.
#[must_use]
pub fn decide(
    request: &Request,
    token: Option<&AccessToken>,
    facts: &Facts,
    server: &Server<'_>,
    moment: &Moment,
) -> Decision<Introspection> {
    let proven = match request.credentials.prove(&facts.clients, server, moment.now) {
        Ok(proven) => proven,
        Err(reason) => return Decision { writes: Vec::new(), outcome: Err(reason), proven: None },
    };
    let token = token.filter(|token| may_see(&proven, token) && facts.is_active(token));
    let token = token.map_or_else(|| Map::from_iter([("active".to_owned(), json!(false))]), shown);
    let writes = proven.writes.clone();
    Decision { writes, outcome: Ok(Introspection { caller: Arc::clone(&proven.client), token }), proven: Some(proven) }
}

// All that the token says, with the members of RFC 7662 section 2.2 in their own form.
fn shown(token: &AccessToken) -> Map<String, Value> {
    let mut shown = token.claims.clone();
    if !token.scope.is_empty() {
        shown.insert("scope".to_owned(), json!(token.scope));
    }
    // RFC 9449 section 6.2.
    let is_dpop = token.claims.get("cnf").and_then(|cnf| cnf.get("jkt")).is_some();
    shown.insert("token_type".to_owned(), json!(if is_dpop { "DPoP" } else { "Bearer" }));
    shown.insert("active".to_owned(), json!(true));
    shown
}

/// Whether the answer is wanted as a signed JWT (RFC 9701 section 4).
#[must_use]
pub fn wants_jwt(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case(JWT));
        // RFC 9110 section 12.4.2: a weight of nothing is a refusal.
        let refused = |part: &str| {
            let weight = part.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("q"));
            weight.is_some_and(|(_, weight)| weight.parse() == Ok(0.0_f32))
        };
        named && !parts.any(refused)
    })
}

/// The answer as JSON.
#[must_use]
pub fn plain(introspection: &Introspection) -> Response {
    answer(StatusCode::OK, serde_json::to_vec(&introspection.token).unwrap_or_default())
}

/// The answer as a JWT for the caller alone (RFC 9701 section 5).
///
/// # Errors
/// [`Reason::NoKeyForAlg`] or [`Reason::SigningFailed`].
pub fn signed(introspection: &Introspection, ring: &KeyRing, issuer: &str, now: u64) -> Result<Response, Reason> {
    let Introspection { caller, token } = introspection;
    let key = ring.signer(caller.introspection_signed_response_alg, now).ok_or(Reason::NoKeyForAlg)?;
    let claims = SignedResponse { iss: issuer, aud: caller.client_id.as_str(), iat: now, token_introspection: token };
    let claims = serde_json::to_vec(&claims).map_err(|_| Reason::SigningFailed)?;
    let jwt = key.sign(Typ::TokenIntrospection, &claims).map_err(|_| Reason::SigningFailed)?;
    let mut response = answer(StatusCode::OK, jwt);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JWT));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_is_wanted_only_where_it_is_named() {
        let wants = |values: &[&'static str]| {
            let values = values.iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value)));
            wants_jwt(&values.collect())
        };
        for yes in [
            ["application/token-introspection+jwt"].as_slice(),
            &["application/json, Application/Token-Introspection+JWT;q=0.5"],
            &["*/*", "application/token-introspection+jwt"],
        ] {
            assert!(wants(yes), "{yes:?}");
        }
        for no in [
            [].as_slice(),
            &["*/*"],
            &["application/json"],
            &["application/jwt"],
            &["application/token-introspection+jwt;q=0"],
            &["application/token-introspection+jwt; Q=0.000"],
            &["text/plain;x=application/token-introspection+jwt"],
        ] {
            assert!(!wants(no), "{no:?}");
        }
    }
}
