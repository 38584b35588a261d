//! What no single attribute of a client shows: whether they go together.

use super::Client;
use crate::oauth::{
    certificate::{Certificate, certificates},
    resource::is_absolute_uri_without_fragment,
    vocabulary::{AssertionProfile, ClientAuthMethod},
};

impl Client {
    /// What is wrong with its attributes taken together: each fault's path and text.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let scope = self.default_scope.as_ref().is_some_and(|scope| !scope.is_within(&self.scope));
        let audience = self.audience.iter().any(String::is_empty);
        let resource_identifiers = self.resource_identifiers.iter().any(String::is_empty);
        let resources = &self.allowed_resources;
        let malformed = resources.iter().any(|allowed| !is_absolute_uri_without_fragment(&allowed.resource));
        let repeated = resources
            .iter()
            .enumerate()
            .any(|(index, allowed)| resources.iter().take(index).any(|before| before.resource == allowed.resource));
        let wider = resources.iter().filter_map(|allowed| allowed.scope.as_ref()).any(|of| !of.is_within(&self.scope));
        let types = self.authorization_details_types.iter().any(String::is_empty);
        let eventhos =
            self.eventhos.as_ref().is_some_and(|eventhos| !(eventhos.id.is_number() || eventhos.id.is_string()));
        let profile = self.assertion_profile == AssertionProfile::Frontier
            && self.token_endpoint_auth_method == Some(ClientAuthMethod::PrivateKeyJwt);
        [
            scope.then_some(("default_scope", "not within scope")),
            audience.then_some(("audience", "an empty string")),
            resource_identifiers.then_some(("resource_identifiers", "an empty string")),
            malformed.then_some(("allowed_resources", "not an absolute URI without fragment (RFC 8707 section 2)")),
            repeated.then_some(("allowed_resources", "a resource stands twice")),
            wider.then_some(("allowed_resources", "a scope not within scope")),
            types.then_some(("authorization_details_types", "an empty string")),
            (self.jwks.is_some() && self.jwks_uri.is_some())
                .then_some(("jwks_uri", "jwks or jwks_uri, not both (RFC 7591 section 2)")),
            eventhos.then_some(("eventhos.id", "neither a number nor a string")),
            profile.then_some((
                "assertion_profile",
                "frontier is not for a token_endpoint_auth_method of private_key_jwt",
            )),
            self.certificate_fault(),
        ]
        .into_iter()
        .flatten()
    }

    // RFC 8705 sections 2.1.2 and 2.2.2.
    fn certificate_fault(&self) -> Option<(&'static str, &'static str)> {
        let texts = [&self.tls_client_auth_san_dns, &self.tls_client_auth_san_uri, &self.tls_client_auth_san_email];
        let others = [self.tls_client_auth_subject_dn.is_some(), self.tls_client_auth_san_ip.is_some()];
        let names = texts.iter().filter(|text| text.is_some()).count() + others.iter().filter(|name| **name).count();
        if texts.into_iter().flatten().any(String::is_empty) {
            return Some(("tls_client_auth_san_*", "an empty string"));
        }
        match self.token_endpoint_auth_method {
            Some(ClientAuthMethod::TlsClientAuth) if names != 1 => Some((
                "token_endpoint_auth_method",
                "tls_client_auth needs exactly one of tls_client_auth_subject_dn and tls_client_auth_san_dns, _uri, _ip, _email",
            )),
            Some(ClientAuthMethod::TlsClientAuth) => None,
            _ if names > 0 => Some(("tls_client_auth_*", "only for a token_endpoint_auth_method of tls_client_auth")),
            Some(ClientAuthMethod::SelfSignedTlsClientAuth) => {
                let mut registered = self.jwks.iter().flat_map(certificates);
                let readable = registered.any(|der| Certificate::from_der(der).is_some());
                (!readable && self.jwks_uri.is_none()).then_some((
                    "token_endpoint_auth_method",
                    "self_signed_tls_client_auth needs a jwks_uri, or a jwks with a key whose x5c holds the certificate",
                ))
            }
            Some(
                ClientAuthMethod::ClientSecretBasic
                | ClientAuthMethod::ClientSecretPost
                | ClientAuthMethod::PrivateKeyJwt,
            )
            | None => None,
        }
    }
}
