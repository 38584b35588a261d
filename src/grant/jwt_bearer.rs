//! The JWT bearer grant (RFC 7523 section 2.1): a client's own assertion is all that it takes.

use std::sync::Arc;

use super::{Issue, client_credentials};
use crate::oauth::{
    assertion::{AssertionFault, AssertionRules, UnverifiedAssertion},
    client::Client,
    client_auth::{Proven, bearer_token},
    error::Reason,
    params::{Param, Params},
    vocabulary::Server,
};

/// How a route takes the grant.
#[derive(Clone, Copy, Debug)]
pub struct JwtBearer {
    /// What it asks of assertions.
    pub rules: &'static AssertionRules,
    /// Whether the assertion may come as `Authorization: Bearer` too.
    pub in_header: bool,
}

/// What the grant reads of a request.
#[derive(Debug)]
pub struct Request {
    assertion: UnverifiedAssertion,
    asked: client_credentials::Request,
}

impl Request {
    /// Takes the assertion, and what is asked for. The second value says whether it was the `Authorization` header's.
    ///
    /// # Errors
    /// No assertion, two, or one that is malformed.
    pub fn read(params: &Params, authorization: &[&[u8]], policy: JwtBearer) -> Result<(Self, bool), Reason> {
        let in_header = match authorization {
            [header] if policy.in_header => bearer_token(header),
            [_, _, ..] => return Err(Reason::RepeatedAuthorization),
            [] | [_] => None,
        };
        let text = match (in_header, params.get(Param::Assertion)) {
            (Some(_), Some(_)) => return Err(Reason::RepeatedAssertion),
            (None, None) => return Err(Reason::MissingAssertion),
            (Some(text), None) | (None, Some(text)) => text,
        };
        let assertion = UnverifiedAssertion::parse(text, policy.rules)?;
        Ok((Self { assertion, asked: client_credentials::Request::read(params) }, in_header.is_some()))
    }

    /// The id of the client that the assertion says it is of.
    #[must_use]
    pub fn unverified_client_id(&self) -> &str {
        self.assertion.unverified_client_id()
    }

    /// Proves the assertion. If the request authenticated a client besides (RFC 7521 section 4.1), it is to be the same one.
    ///
    /// # Errors
    /// `invalid_grant`, whatever is wrong: also for a client that is disabled.
    pub fn prove(
        &self,
        authenticated: Option<Proven>,
        clients: &[Arc<Client>],
        server: &Server<'_>,
        now: u64,
    ) -> Result<Proven, Reason> {
        let verified = self.assertion.verify(clients, server, now)?;
        if verified.client.disabled {
            return Err(Reason::AssertionGrant(AssertionFault::ClientDisabled));
        }
        let mut writes: Vec<_> = verified.write.into_iter().collect();
        if let Some(authenticated) = authenticated {
            if authenticated.client.client_id != verified.client.client_id {
                return Err(Reason::AssertionGrant(AssertionFault::AnotherClient));
            }
            // One assertion for both would be used twice.
            if authenticated.writes.iter().any(|one| writes.iter().any(|other| one.row() == other.row())) {
                return Err(Reason::AssertionGrant(AssertionFault::Replayed));
            }
            writes.extend(authenticated.writes);
        }
        Ok(Proven { client: verified.client, credential_id: verified.kid, writes, secret_expires_at: None })
    }

    /// The token that a proven client gets: what the client credentials grant would give it.
    ///
    /// # Errors
    /// As [`client_credentials::Request::decide`].
    pub fn decide(&self, client: &Arc<Client>) -> Result<Issue, Reason> {
        self.asked.decide(client)
    }
}
