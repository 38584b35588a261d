//! The rules. [`decide`] is a pure function of a request, the facts that were read for it, and a moment.
//!
//! A grant is one file with one contract: a request that is read from parameters, the look-ups it needs (computed from the
//! request alone, so that one round trip reads them all), and a decision.

pub mod client_credentials;
pub mod jwt_bearer;
pub mod target;
pub mod token_exchange;

use std::sync::Arc;

use serde_json::{Map, Value};

use self::token_exchange::Exchanged;
pub use crate::oauth::state::{Found, StateRow, Write};
use crate::oauth::{
    access_token::{AccessToken, TokenId},
    authorization_details::AuthorizationDetails,
    certificate::{self, Certificate},
    claims_hook::Question,
    client::{Client, ClientId},
    client_auth::{AcceptedAuth, Credentials, Presented, Proven},
    dpop::Proof,
    error::Reason,
    jwks_uri::JwksUri,
    jwt::{Alg, Confirmation},
    params::{Param, Params},
    scope::Scope,
    vocabulary::{ClientAuthMethod, GrantType, Server},
};

/// What a route takes: its dialect's rules as values, so that no rule has to know the dialect.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The grants it serves.
    pub grant_types: &'static [GrantType],
    /// The client authentication methods it takes.
    pub auth: AcceptedAuth,
    /// How it takes the JWT bearer grant, if it is among `grant_types`.
    pub jwt_bearer: Option<jwt_bearer::JwtBearer>,
    /// Whether it refuses short-lived tokens to clients that are to use a long-lived one.
    pub refuses_long_lived: bool,
    /// Whether it reads the `DPoP` header (RFC 9449), and so binds tokens to keys.
    pub dpop: bool,
}

/// A request that is well-formed. Nothing in it is proven.
#[derive(Debug)]
pub struct TokenRequest {
    /// What it presents to authenticate its client; `None` if its grant is proof enough and there is nothing else.
    pub credentials: Option<Credentials>,
    /// What it asks for.
    pub grant: GrantRequest,
    /// The `DPoP` proof it came with: good in itself, and not known yet to be the first of its `jti`.
    pub proof: Option<Proof>,
    certificate: Option<certificate::Presented>,
    policy: &'static Policy,
}

/// The part of a request that its grant reads.
#[derive(Debug)]
pub enum GrantRequest {
    /// RFC 6749 section 4.4.
    ClientCredentials(client_credentials::Request),
    /// RFC 7523 section 2.1.
    JwtBearer(Box<jwt_bearer::Request>),
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
    /// Of the clients, those whose keys an assertion of the request can be signed with: none, one, or two.
    pub signers: Vec<ClientId>,
    /// Of the clients, the one that a certificate is presented of.
    pub certificate_of: Option<ClientId>,
}

/// What was found at the keys.
#[derive(Clone, Debug, Default)]
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
    /// What the token is bound to, if it is to be.
    pub confirmation: Option<Confirmation>,
    /// Claims that the claims hook adds.
    pub added_claims: Map<String, Value>,
    /// What was asked for beyond scope (RFC 9396).
    pub authorization_details: Option<AuthorizationDetails>,
    /// What comes of the token that was exchanged for it (RFC 8693).
    pub exchanged: Option<Exchanged>,
}

impl Lookups {
    /// Adds what says whether a token that was presented is still good.
    pub fn add(&mut self, token: &AccessToken) {
        for TokenId { client_id, .. } in &token.lineage {
            if !self.client_ids.contains(client_id) {
                self.client_ids.push(client_id.clone());
            }
        }
        for row in token.revocations() {
            if !self.rows.contains(&row) {
                self.rows.push(row);
            }
        }
    }

    /// Adds what says whether credentials are good.
    pub fn add_credentials(&mut self, credentials: &Credentials) {
        self.client_ids.extend(credentials.client_ids());
        match credentials.presented {
            Presented::Secret(_) => {}
            Presented::Assertion(_) => self.signers.extend(credentials.client_ids()),
            Presented::Certificate { .. } => self.certificate_of = credentials.client_ids().next(),
        }
    }

    /// Where the keys are published without which nothing can be proven of a client: `None` if it has others, or needs none.
    #[must_use]
    pub fn published_keys<'a>(&self, client: &'a Client) -> Option<&'a JwksUri> {
        let self_signed = client.token_endpoint_auth_method == Some(ClientAuthMethod::SelfSignedTlsClientAuth);
        let needed = self.signers.contains(&client.client_id)
            || (self_signed && self.certificate_of.as_ref() == Some(&client.client_id));
        client.jwks_uri.as_ref().filter(|_| needed && !client.disabled)
    }
}

impl Facts {
    /// Whether a token of ours that has not expired is still good: it was not revoked, nor one that it was exchanged for, and
    /// the clients of all of these may have tokens.
    #[must_use]
    pub fn is_active(&self, token: &AccessToken) -> bool {
        let may_have_tokens = |id: &ClientId| {
            self.clients.iter().find(|client| client.client_id == *id).is_some_and(|client| !client.disabled)
        };
        token.lineage.iter().all(|token| may_have_tokens(&token.client_id)) && !token.is_revoked(&self.state)
    }
}

impl Issue {
    /// `sub`: that of the token exchanged, or the client's subject, or else its id (RFC 9068 section 2.2).
    #[must_use]
    pub fn subject(&self) -> &str {
        let exchanged = self.exchanged.as_ref().map(|exchanged| exchanged.subject.as_str());
        exchanged.or(self.client.subject.as_deref()).unwrap_or(self.client.client_id.as_str())
    }

    /// `token_type`: how the token is to be used (RFC 6750 section 6.1.1, RFC 9449 section 5).
    #[must_use]
    pub fn token_type(&self) -> &'static str {
        let jkt = self.confirmation.as_ref().and_then(|confirmation| confirmation.jkt.as_ref());
        if jkt.is_some() { "DPoP" } else { "Bearer" }
    }

    /// What a claims hook is told of it.
    #[must_use]
    pub fn question<'a>(&'a self, grant_type: GrantType, issuer: &'a str) -> Question<'a> {
        Question {
            client_id: &self.client.client_id,
            grant_type,
            subject: self.subject(),
            scope: &self.scope,
            audience: &self.audience,
            issuer,
        }
    }
}

impl TokenRequest {
    /// Makes a request of parameters, `Authorization` headers and the PEM of a client certificate: the end of syntax.
    ///
    /// # Errors
    /// In this order: no grant type, an unknown one, a faulty assertion, faulty credentials.
    pub fn parse<'a>(
        params: &Params,
        authorization: impl Iterator<Item = &'a [u8]>,
        certificate: Option<&str>,
        policy: &'static Policy,
    ) -> Result<Self, Reason> {
        let wanted = params.get(Param::GrantType).ok_or(Reason::MissingGrantType)?;
        let grant_type =
            policy.grant_types.iter().find(|served| served.as_str() == wanted).ok_or(Reason::UnsupportedGrantType)?;
        let certificate = certificate.map(|pem| Certificate::from_pem(pem).map(Arc::new));
        let (credentials, grant) = match grant_type {
            GrantType::ClientCredentials => {
                let credentials = Credentials::read(authorization, params, certificate.as_ref(), policy.auth)?;
                (Some(credentials), GrantRequest::ClientCredentials(client_credentials::Request::read(params)))
            }
            GrantType::JwtBearer => {
                let authorization: Vec<_> = authorization.collect();
                let taken = policy.jwt_bearer.ok_or(Reason::UnsupportedGrantType)?;
                let (request, in_header) = jwt_bearer::Request::read(params, &authorization, taken)?;
                let left = if in_header { &[] } else { authorization.as_slice() };
                // The assertion is proof enough: a certificate beside it is there to bind the token, not to authenticate.
                let credentials = match Credentials::read(left.iter().copied(), params, None, policy.auth) {
                    Ok(credentials) => Some(credentials),
                    Err(Reason::NoCredentials)
                        if params.get(Param::ClientId).is_some_and(|id| id != request.unverified_client_id()) =>
                    {
                        return Err(Reason::ClientIdMismatch);
                    }
                    Err(Reason::NoCredentials) => None,
                    Err(reason) => return Err(reason),
                };
                (credentials, GrantRequest::JwtBearer(Box::new(request)))
            }
            GrantType::TokenExchange => {
                let credentials = Credentials::read(authorization, params, certificate.as_ref(), policy.auth)?;
                (Some(credentials), GrantRequest::TokenExchange(Box::new(token_exchange::Request::read(params))))
            }
        };
        Ok(Self { credentials, grant, proof: None, certificate, policy })
    }

    /// The keys to read.
    #[must_use]
    pub fn lookups(&self) -> Lookups {
        let mut lookups = Lookups::default();
        self.credentials.iter().for_each(|credentials| lookups.add_credentials(credentials));
        match &self.grant {
            GrantRequest::ClientCredentials(_) => {}
            GrantRequest::JwtBearer(grant) => {
                if let Ok(id) = ClientId::parse(grant.unverified_client_id()) {
                    if !lookups.client_ids.contains(&id) {
                        lookups.client_ids.push(id.clone());
                    }
                    lookups.signers.push(id);
                }
            }
            GrantRequest::TokenExchange(grant) => grant.add_lookups(&mut lookups),
        }
        lookups
    }

    /// The clients that its credentials and its assertion can be of.
    #[must_use]
    pub fn client_ids(&self) -> Vec<ClientId> {
        let mut ids: Vec<_> = self.credentials.iter().flat_map(Credentials::client_ids).collect();
        match &self.grant {
            GrantRequest::ClientCredentials(_) | GrantRequest::TokenExchange(_) => {}
            GrantRequest::JwtBearer(grant) => {
                let id = ClientId::parse(grant.unverified_client_id()).ok();
                ids.extend(id.filter(|id| !ids.contains(id)));
            }
        }
        ids
    }

    /// Of a request that presents tokens of ours, the part whose rules need them verified. That takes the key ring, which is in
    /// memory, and comes before the look-ups, which are for what the tokens are.
    pub fn exchange(&mut self) -> Option<&mut token_exchange::Request> {
        match &mut self.grant {
            GrantRequest::ClientCredentials(_) | GrantRequest::JwtBearer(_) => None,
            GrantRequest::TokenExchange(grant) => Some(grant),
        }
    }

    /// The grant it asks for.
    #[must_use]
    pub fn grant_type(&self) -> GrantType {
        match self.grant {
            GrantRequest::ClientCredentials(_) => GrantType::ClientCredentials,
            GrantRequest::JwtBearer(_) => GrantType::JwtBearer,
            GrantRequest::TokenExchange(_) => GrantType::TokenExchange,
        }
    }

    // What a token of the client is bound to: the key of the proof, the certificate, or both.
    fn confirmation(&self, client: &Client) -> Result<Option<Confirmation>, Reason> {
        let jkt = self.proof.as_ref().map(|proof| proof.jkt().to_owned());
        let x5t_s256 = Certificate::binding(client, self.certificate.as_ref())?;
        Ok((jkt.is_some() || x5t_s256.is_some()).then_some(Confirmation { jkt, x5t_s256 }))
    }

    // What the request proves: its client's credentials, or its grant, or both.
    fn prove(&self, facts: &Facts, server: &Server<'_>, now: u64) -> Result<Proven, Reason> {
        let credentials = self.credentials.as_ref();
        let authenticated = credentials.map(|it| it.prove(&facts.clients, server, now)).transpose()?;
        match &self.grant {
            GrantRequest::ClientCredentials(_) | GrantRequest::TokenExchange(_) => {
                authenticated.ok_or(Reason::NoCredentials)
            }
            GrantRequest::JwtBearer(grant) => grant.prove(authenticated, &facts.clients, server, now),
        }
    }
}

/// Every rule, in order: client authenticated, client active, method and grant allowed, then the grant's own. `server` is what
/// an assertion may name as its audience.
#[must_use]
pub fn decide(request: &TokenRequest, facts: &Facts, server: &Server<'_>, moment: &Moment) -> Decision {
    let proven = match request.prove(facts, server, moment.now) {
        Ok(proven) => proven,
        Err(reason) => return Decision { writes: Vec::new(), outcome: Err(reason), proven: None },
    };
    let outcome = admit(request, &proven.client)
        .and_then(|()| match &request.grant {
            GrantRequest::ClientCredentials(grant) => grant.decide(&proven.client),
            GrantRequest::JwtBearer(grant) => grant.decide(&proven.client),
            GrantRequest::TokenExchange(grant) => grant.decide(&proven.client, facts, request.proof.as_ref()),
        })
        .and_then(|issue| Ok(Issue { confirmation: request.confirmation(&proven.client)?, ..issue }));
    // A request that is refused uses nothing up.
    let writes = if outcome.is_ok() {
        proven.writes.iter().cloned().chain(request.proof.as_ref().map(Proof::use_once)).collect()
    } else {
        Vec::new()
    };
    Decision { writes, outcome, proven: Some(proven) }
}

fn admit(request: &TokenRequest, client: &Client) -> Result<(), Reason> {
    if !client.grant_types.contains(&request.grant_type()) {
        return Err(Reason::GrantNotRegistered);
    }
    if request.policy.refuses_long_lived && client.eventhos.as_ref().is_some_and(|eventhos| eventhos.long_lived) {
        return Err(Reason::LongLivedClient);
    }
    if client.dpop_bound_access_tokens && request.proof.is_none() {
        return Err(Reason::MissingDpopProof);
    }
    Ok(())
}
