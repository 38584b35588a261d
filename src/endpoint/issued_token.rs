//! What introspection and revocation take: a client that authenticates, and a token.

use std::sync::Arc;

use crate::{
    dialect::Dialect,
    grant::Lookups,
    oauth::{
        access_token::AccessToken,
        certificate::Certificate,
        client::ClientId,
        client_auth::{Credentials, Proven},
        error::Reason,
        params::{Param, Params},
    },
};

/// A request about a token (RFC 7662 section 2.1, RFC 7009 section 2.1). Nothing in it is proven.
///
/// `token_type_hint` says nothing that the token does not say better. There is no `Debug`: the token may be good.
pub struct Request {
    /// What it presents to authenticate its client, in any way that the plain OAuth 2.0 token endpoint takes.
    pub credentials: Credentials,
    /// The token, or whatever else was sent in its place.
    pub token: String,
}

impl Request {
    /// Makes a request of parameters, `Authorization` headers and the PEM of a client certificate.
    ///
    /// # Errors
    /// In this order: no token, faulty credentials.
    pub fn parse<'a>(
        params: &Params,
        authorization: impl Iterator<Item = &'a [u8]>,
        certificate: Option<&str>,
    ) -> Result<Self, Reason> {
        let token = params.get(Param::Token).ok_or(Reason::MissingToken)?.to_owned();
        let certificate = certificate.map(|pem| Certificate::from_pem(pem).map(Arc::new));
        let accepted = Dialect::oauth2().policy.auth;
        Ok(Self { credentials: Credentials::read(authorization, params, certificate.as_ref(), accepted)?, token })
    }

    /// The clients that it can be of.
    #[must_use]
    pub fn client_ids(&self) -> Vec<ClientId> {
        self.credentials.client_ids().collect()
    }

    /// The keys to read: the client's own, and if the token is one of ours (`token`), what says whether it still is good.
    #[must_use]
    pub fn lookups(&self, token: Option<&AccessToken>) -> Lookups {
        let mut lookups = Lookups::default();
        lookups.add_credentials(&self.credentials);
        if let Some(token) = token {
            lookups.add(token);
        }
        lookups
    }
}

/// Whether an authenticated client may be told of a token: its own, or one whose audience it is.
#[must_use]
pub(super) fn may_see(caller: &Proven, token: &AccessToken) -> bool {
    let caller = &*caller.client;
    let is_own = |audience: &String| {
        audience == caller.client_id.as_str() || caller.resource_identifiers.iter().any(|own| own == audience)
    };
    token.client_id == caller.client_id || token.audience.iter().any(is_own)
}
