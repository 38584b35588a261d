//! The client credentials grant (RFC 6749 section 4.4), with resource indicators (RFC 8707).

use std::sync::Arc;

use serde_json::Map;

use super::Issue;
use crate::oauth::{
    client::{Client, Lifetime},
    error::Reason,
    params::{Param, Params},
    scope::Scope,
};

/// What the grant reads of a request: text until the client is proven.
#[derive(Debug)]
pub struct Request {
    scope: Option<String>,
    resource: Vec<String>,
    audience: Vec<String>,
}

impl Request {
    /// Takes the grant's parameters.
    #[must_use]
    pub fn read(params: &Params) -> Self {
        Self {
            scope: params.get(Param::Scope).map(str::to_owned),
            resource: params.all(Param::Resource).map(str::to_owned).collect(),
            audience: params.all(Param::Audience).map(str::to_owned).collect(),
        }
    }

    /// The token that a proven client gets.
    ///
    /// # Errors
    /// `invalid_scope` (RFC 6749 section 5.2) and `invalid_target` (RFC 8707 section 2); nothing is silently narrowed.
    pub fn decide(&self, client: &Arc<Client>) -> Result<Issue, Reason> {
        Ok(Issue {
            scope: self.granted_scope(client)?,
            audience: self.granted_audience(client)?,
            lifetime: client.access_token_lifetime.map(Lifetime::as_seconds),
            alg: client.access_token_signed_response_alg,
            confirmation: None,
            added_claims: Map::new(),
            client: Arc::clone(client),
        })
    }

    fn granted_scope(&self, client: &Client) -> Result<Scope, Reason> {
        let Some(asked) = &self.scope else {
            return Ok(client.default_scope.as_ref().unwrap_or(&client.scope).without(OPENID));
        };
        let asked = Scope::parse(asked).map_err(|_| Reason::MalformedScope)?;
        if asked.is_within(&client.scope) && !asked.contains(OPENID) { Ok(asked) } else { Err(Reason::ScopeNotGranted) }
    }

    fn granted_audience(&self, client: &Client) -> Result<Vec<String>, Reason> {
        if !self.resource.iter().all(|resource| is_absolute_uri_without_fragment(resource)) {
            return Err(Reason::MalformedResource);
        }
        let mut granted: Vec<String> = Vec::new();
        for asked in self.resource.iter().chain(&self.audience) {
            if !client.audience.contains(asked) {
                return Err(Reason::TargetNotAllowed);
            }
            if !granted.contains(asked) {
                granted.push(asked.clone());
            }
        }
        if granted.is_empty() {
            granted.clone_from(&client.audience);
        }
        if granted.is_empty() {
            granted.push(client.client_id.as_str().to_owned());
        }
        Ok(granted)
    }
}

// Asks for an ID token (OpenID Connect Core section 3.1.2.1), which this grant does not give, whatever the registration says.
const OPENID: &str = "openid";

// RFC 3986 section 4.3, as far as RFC 8707 needs it: a scheme, something after it, no fragment.
fn is_absolute_uri_without_fragment(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_an_absolute_uri_without_fragment() {
        for good in ["https://api.example.com", "https://api.example.com/a?b=c", "urn:example:api"] {
            assert!(is_absolute_uri_without_fragment(good), "{good}");
        }
        for bad in ["", "/a", "api", "https:", ":a", "1a:b", "https://a/#f", "https://a b", "https://é", "a_b:c"] {
            assert!(!is_absolute_uri_without_fragment(bad), "{bad}");
        }
    }
}
