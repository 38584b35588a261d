//! The rules. [`decide`] is a pure function of a request, the facts that were read for it, and a moment.
//!
//! A grant is one file with one contract: a request that is read from parameters, the look-ups it needs (computed from the
//! request alone, so that one round trip reads them all), and a decision.

pub mod client_credentials;
pub mod target;
pub mod token_exchange;

use std::sync::Arc;

use self::token_exchange::Exchanged;
pub use crate::oauth::state::{Found, StateRow, Write};
use crate::oauth::{
    access_token::AccessToken,
    authorization_details::AuthorizationDetails,
    client::{Client, ClientId},
    client_auth::{AcceptedAuth, Credentials, Proven},
    error::Reason,
    jwt::Alg,
    params::{Param, Params},
    scope::Scope,
    vocabulary::GrantType,
};

/// What a route takes: its dialect's rules as values, so that no rule has to know the dialect.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The grants it serves.
    pub grant_types: &'static [GrantType],
    /// The client authentication methods it takes.
    pub auth: AcceptedAuth,
    /// Whether it refuses short-lived tokens to clients that are to use a long-lived one.
    pub refuses_long_lived: bool,
}

/// A request that is well-formed. Nothing in it is proven.
#[derive(Debug)]
pub struct TokenRequest {
    /// What it presents to authenticate its client.
    pub credentials: Credentials,
    /// What it asks for.
    pub grant: GrantRequest,
    policy: &'static Policy,
}

/// The part of a request that its grant reads.
#[derive(Debug)]
pub enum GrantRequest {
    /// RFC 6749 section 4.4.
    ClientCredentials(client_credentials::Request),
    /// RFC 8693.
    TokenExchange(Box<token_exchange::Request>),
}

/// The keys to read, computed from the request alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// The clients that the request's credentials can be of: none, one, or two; and those of the tokens it presents.
    pub client_ids: Vec<ClientId>,
    /// The rows of the state table that its rules ask for.
    pub rows: Vec<StateRow>,
}

/// What was found at the keys.
#[derive(Debug, Default)]
pub struct Facts {
    /// The clients that exist.
    pub clients: Vec<Arc<Client>>,
    /// The rows that exist and have not expired.
    pub state: Vec<(StateRow, Found)>,
}

/// The only clock reading and the only randomness of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since the epoch.
    pub now: u64,
    /// A fresh token id of 128 random bits or more.
    pub jti: String,
}

/// What was decided: data that can be logged, compared and carried out.
#[derive(Debug)]
pub struct Decision<T = Issue> {
    /// What to store before the outcome may be told.
    pub writes: Vec<Write>,
    /// A token to issue, or what else was asked for; or why not.
    pub outcome: Result<T, Reason>,
    /// The client that was proven, if it came so far.
    pub proven: Option<Proven>,
}

/// A token to issue; its dialect turns it into claims.
#[derive(Clone, Debug)]
pub struct Issue {
    /// The client it is issued to.
    pub client: Arc<Client>,
    /// The granted scope.
    pub scope: Scope,
    /// The audiences; at least one.
    pub audience: Vec<String>,
    /// The lifetime in seconds, if the client or its resource has one.
    pub lifetime: Option<u64>,
    /// The algorithm the client is registered for, if any.
    pub alg: Option<Alg>,
    /// What was asked for beyond scope (RFC 9396).
    pub authorization_details: Option<AuthorizationDetails>,
    /// What comes of the token that was exchanged for it (RFC 8693).
    pub exchanged: Option<Exchanged>,
}

impl Lookups {
    /// Adds what says whether a token that was presented is still good.
    pub fn add(&mut self, token: &AccessToken) {
        if !self.client_ids.contains(&token.client_id) {
            self.client_ids.push(token.client_id.clone());
        }
        self.rows.extend(token.revocations());
    }
}

impl Facts {
    /// Whether a token of ours that has not expired is still good: it was not revoked, and its client may have tokens.
    #[must_use]
    pub fn is_active(&self, token: &AccessToken) -> bool {
        let client = self.clients.iter().find(|client| client.client_id == token.client_id);
        client.is_some_and(|client| !client.disabled) && !token.is_revoked(&self.state)
    }
}

impl Issue {
    /// `sub`: that of the token exchanged, or the client's subject, or else its id (RFC 9068 section 2.2).
    #[must_use]
    pub fn subject(&self) -> &str {
        let exchanged = self.exchanged.as_ref().map(|exchanged| exchanged.subject.as_str());
        exchanged.or(self.client.subject.as_deref()).unwrap_or(self.client.client_id.as_str())
    }
}

impl TokenRequest {
    /// Makes a request of parameters and `Authorization` headers: the end of syntax.
    ///
    /// # Errors
    /// In this order: no grant type, an unknown one, faulty credentials.
    pub fn parse<'a>(
        params: &Params,
        authorization: impl Iterator<Item = &'a [u8]>,
        policy: &'static Policy,
    ) -> Result<Self, Reason> {
        let wanted = params.get(Param::GrantType).ok_or(Reason::MissingGrantType)?;
        let grant_type =
            policy.grant_types.iter().find(|served| served.as_str() == wanted).ok_or(Reason::UnsupportedGrantType)?;
        let credentials = Credentials::read(authorization, params, policy.auth)?;
        let grant = match grant_type {
            GrantType::ClientCredentials => GrantRequest::ClientCredentials(client_credentials::Request::read(params)),
            GrantType::TokenExchange => GrantRequest::TokenExchange(Box::new(token_exchange::Request::read(params))),
        };
        Ok(Self { credentials, grant, policy })
    }

    /// The keys to read.
    #[must_use]
    pub fn lookups(&self) -> Lookups {
        let mut lookups = Lookups { client_ids: self.credentials.client_ids().collect(), rows: Vec::new() };
        match &self.grant {
            GrantRequest::ClientCredentials(_) => {}
            GrantRequest::TokenExchange(grant) => grant.add_lookups(&mut lookups),
        }
        lookups
    }

    /// Of a request that presents tokens of ours, the part whose rules need them verified. That takes the key ring, which is in
    /// memory, and comes before the look-ups, which are for what the tokens are.
    pub fn exchange(&mut self) -> Option<&mut token_exchange::Request> {
        match &mut self.grant {
            GrantRequest::ClientCredentials(_) => None,
            GrantRequest::TokenExchange(grant) => Some(grant),
        }
    }

    /// The grant it asks for.
    #[must_use]
    pub fn grant_type(&self) -> GrantType {
        match self.grant {
            GrantRequest::ClientCredentials(_) => GrantType::ClientCredentials,
            GrantRequest::TokenExchange(_) => GrantType::TokenExchange,
        }
    }
}

/// Every rule, in order: client authenticated, client active, method and grant allowed, then the grant's own.
#[must_use]
pub fn decide(request: &TokenRequest, facts: &Facts, moment: &Moment) -> Decision {
    let proven = match request.credentials.prove(&facts.clients, moment.now) {
        Ok(proven) => proven,
        Err(reason) => return Decision { writes: Vec::new(), outcome: Err(reason), proven: None },
    };
    let outcome = admit(request, &proven.client).and_then(|()| match &request.grant {
        GrantRequest::ClientCredentials(grant) => grant.decide(&proven.client),
        GrantRequest::TokenExchange(grant) => grant.decide(&proven.client, facts),
    });
    let writes = if outcome.is_ok() { proven.write.clone().into_iter().collect() } else { Vec::new() };
    Decision { writes, outcome, proven: Some(proven) }
}

fn admit(request: &TokenRequest, client: &Client) -> Result<(), Reason> {
    if !client.grant_types.contains(&request.grant_type()) {
        return Err(Reason::GrantNotRegistered);
    }
    if request.policy.refuses_long_lived && client.eventhos.as_ref().is_some_and(|eventhos| eventhos.long_lived) {
        return Err(Reason::LongLivedClient);
    }
    Ok(())
}
