//! Token revocation (RFC 7009).

use http::StatusCode;

use super::issued_token::Request;
use crate::{
    dialect::{Response, answer},
    grant::{Decision, Facts, Moment, StateRow, Write},
    oauth::{access_token::AccessToken, error::Reason, vocabulary::Server},
};

/// Every rule: the client is authenticated; it revokes its own tokens; another client's is refused (section 2.1), and what is
/// no good token needs no revocation (section 2.2).
///
/// The row lives as long as the token would have. It is written again if it is there already: that costs no more than to look.
#[must_use]
pub fn decide(
    request: &Request,
    token: Option<&AccessToken>,
    facts: &Facts,
    server: &Server<'_>,
    moment: &Moment,
) -> Decision<()> {
    let proven = match request.credentials.prove(&facts.clients, server, moment.now) {
        Ok(proven) => proven,
        Err(reason) => return Decision { writes: Vec::new(), outcome: Err(reason), proven: None },
    };
    let outcome = match token {
        Some(token) if token.client_id != proven.client.client_id => Err(Reason::TokenOfAnotherClient),
        Some(_) | None => Ok(()),
    };
    let mut writes = Vec::new();
    if outcome.is_ok() {
        writes.extend(proven.writes.iter().cloned());
        writes.extend(token.map(|token| Write::Put {
            row: StateRow::RevokedToken { client_id: token.client_id.clone(), jti: token.jti.clone() },
            expires_at: token.expires_at,
            at: moment.now,
        }));
    }
    Decision { writes, outcome, proven: Some(proven) }
}

/// The answer to every token that is not good any more. An object, since there are clients that read JSON of every answer.
#[must_use]
pub fn revoked() -> Response {
    answer(StatusCode::OK, "{}")
}
