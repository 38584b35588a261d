//! What a token is for: scope (RFC 6749 section 3.3), resources (RFC 8707) and authorization details (RFC 9396), as far as the
//! client's registration goes, and a token that is exchanged.

use crate::oauth::{
    access_token::AccessToken,
    authorization_details::AuthorizationDetails,
    client::{AllowedResource, Client, Lifetime},
    error::Reason,
    params::{Param, Params},
    resource::is_absolute_uri_without_fragment,
    scope::Scope,
};

/// What a request asks for: text until the client is proven.
#[derive(Debug)]
pub struct Asked {
    scope: Option<String>,
    resource: Vec<String>,
    audience: Vec<String>,
    authorization_details: Option<String>,
}

/// What it gets.
#[derive(Debug)]
pub struct Granted {
    /// The scope.
    pub scope: Scope,
    /// The audiences; at least one.
    pub audience: Vec<String>,
    /// How many seconds the token is good for; `None`: as the deployment says.
    pub lifetime: Option<u64>,
    /// The authorization details, if there are any.
    pub authorization_details: Option<AuthorizationDetails>,
}

impl Asked {
    /// Takes the parameters.
    #[must_use]
    pub fn read(params: &Params) -> Self {
        Self {
            scope: params.get(Param::Scope).map(str::to_owned),
            resource: params.all(Param::Resource).map(str::to_owned).collect(),
            audience: params.all(Param::Audience).map(str::to_owned).collect(),
            authorization_details: params.get(Param::AuthorizationDetails).map(str::to_owned),
        }
    }

    /// What a proven client gets, and in exchange for `subject` no more than that has.
    ///
    /// # Errors
    /// `invalid_scope` (RFC 6749 section 5.2), `invalid_target` (RFC 8707 section 2) and `invalid_authorization_details` (RFC
    /// 9396 section 5); nothing that is asked for is silently narrowed.
    pub fn grant(&self, client: &Client, subject: Option<&AccessToken>) -> Result<Granted, Reason> {
        let mut scope = self.scope(client, subject)?;
        let audience = self.audience(client, subject)?;
        let resources = || audience.iter().filter_map(|target| client.allowed_resource(target));
        for of_resource in resources().filter_map(|resource| resource.scope.as_ref()) {
            if !scope.is_within(of_resource) {
                if self.scope.is_some() {
                    return Err(Reason::ScopeNotGranted);
                }
                scope = scope.intersection(of_resource);
            }
        }
        let authorization_details = self.authorization_details(client, subject)?;
        Ok(Granted { scope, lifetime: lifetime(client, &audience), audience, authorization_details })
    }

    fn scope(&self, client: &Client, subject: Option<&AccessToken>) -> Result<Scope, Reason> {
        let Some(asked) = &self.scope else {
            return Ok(match subject {
                None => client.default_scope.as_ref().unwrap_or(&client.scope).without(OPENID),
                Some(subject) => subject.scope.intersection(&client.scope),
            });
        };
        let asked = Scope::parse(asked).map_err(|_| Reason::MalformedScope)?;
        let within = asked.is_within(&client.scope) && subject.is_none_or(|subject| asked.is_within(&subject.scope));
        if within && !asked.contains(OPENID) { Ok(asked) } else { Err(Reason::ScopeNotGranted) }
    }

    fn audience(&self, client: &Client, subject: Option<&AccessToken>) -> Result<Vec<String>, Reason> {
        if !self.resource.iter().all(|resource| is_absolute_uri_without_fragment(resource)) {
            return Err(Reason::MalformedResource);
        }
        let mut granted: Vec<String> = Vec::new();
        for asked in self.resource.iter().chain(&self.audience) {
            let allowed = client.audience.contains(asked) || client.allowed_resource(asked).is_some();
            if !allowed || subject.is_some_and(|subject| !subject.audience.contains(asked)) {
                return Err(Reason::TargetNotAllowed);
            }
            if !granted.contains(asked) {
                granted.push(asked.clone());
            }
        }
        if !granted.is_empty() {
            return Ok(granted);
        }
        match subject {
            None => granted.clone_from(&client.audience),
            Some(subject) => {
                let allowed =
                    |target: &&String| client.audience.contains(target) || client.allowed_resource(target).is_some();
                granted.extend(subject.audience.iter().filter(allowed).cloned());
            }
        }
        if granted.is_empty() {
            let own = client.client_id.as_str();
            if subject.is_some_and(|subject| !subject.audience.iter().any(|target| target == own)) {
                return Err(Reason::TargetNotAllowed);
            }
            granted.push(own.to_owned());
        }
        Ok(granted)
    }

    fn authorization_details(
        &self,
        client: &Client,
        subject: Option<&AccessToken>,
    ) -> Result<Option<AuthorizationDetails>, Reason> {
        let types = &client.authorization_details_types;
        let Some(asked) = &self.authorization_details else {
            return Ok(subject.and_then(AccessToken::authorization_details).and_then(|held| held.of_types(types)));
        };
        let asked = AuthorizationDetails::parse(asked).map_err(|_| Reason::MalformedAuthorizationDetails)?;
        let registered = asked.types().all(|of| types.iter().any(|registered| registered == of));
        let within = |subject: &AccessToken| subject.authorization_details().is_some_and(|held| asked.is_within(&held));
        if registered && subject.is_none_or(within) {
            Ok(Some(asked))
        } else {
            Err(Reason::AuthorizationDetailsNotGranted)
        }
    }
}

// The shortest that is named for any of them: by the resource, or else by the client.
fn lifetime(client: &Client, audience: &[String]) -> Option<u64> {
    let named = |target: &String| {
        let of_resource = client.allowed_resource(target).and_then(|resource| resource.access_token_lifetime);
        of_resource.or(client.access_token_lifetime)
    };
    audience.iter().filter_map(named).min().map(Lifetime::as_seconds)
}

impl Client {
    fn allowed_resource(&self, target: &str) -> Option<&AllowedResource> {
        self.allowed_resources.iter().find(|allowed| allowed.resource == target)
    }
}

// Asks for an ID token (OpenID Connect Core section 3.1.2.1), which no grant of ours gives, whatever the registration says.
const OPENID: &str = "openid";
