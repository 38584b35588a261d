//! The client credentials grant (RFC 6749 section 4.4), with resource indicators (RFC 8707) and authorization details (RFC 9396).

use std::sync::Arc;

use serde_json::Map;

use super::{Issue, target::Asked};
use crate::oauth::{client::Client, error::Reason, params::Params};

/// What the grant reads of a request: text until the client is proven.
#[derive(Debug)]
pub struct Request {
    asked: Asked,
}

impl Request {
    /// Takes the grant's parameters.
    #[must_use]
    pub fn read(params: &Params) -> Self {
        Self { asked: Asked::read(params) }
    }

    /// The token that a proven client gets.
    ///
    /// # Errors
    /// As [`Asked::grant`].
    pub fn decide(&self, client: &Arc<Client>) -> Result<Issue, Reason> {
        let granted = self.asked.grant(client, None)?;
        Ok(Issue {
            scope: granted.scope,
            audience: granted.audience,
            lifetime: granted.lifetime,
            authorization_details: granted.authorization_details,
            alg: client.access_token_signed_response_alg,
            confirmation: None,
            added_claims: Map::new(),
            exchanged: None,
            client: Arc::clone(client),
        })
    }
}
