//! What is logged of a request.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Consulted, HookFault, KeysUnavailable, StoreFault, WriteFault};
use crate::{
    grant::{Facts, TokenRequest},
    oauth::{
        claims_hook::Verdict,
        client::ClientId,
        client_auth::{Credentials, Proven},
        error::Reason,
        vocabulary::ClientAuthMethod,
    },
};

/// What is logged of a request: never a secret or a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The route, or the dialect's name.
    pub route: &'static str,
    /// `grant_type`, if it is one that the route serves.
    pub grant_type: Option<&'static str>,
    /// The client's id, if it is one's: what is nobody's may be a secret that was sent in the wrong place.
    pub client_id: Option<String>,
    /// How the client authenticated.
    pub auth_method: Option<&'static str>,
    /// Which of the client's credentials it used: the id of a secret, the `kid` of a key, or the thumbprint of a certificate.
    pub credential_id: Option<String>,
    /// The first second at which that secret no longer works, if it expires.
    pub secret_expires_at: Option<u64>,
    /// Why the request was refused.
    pub reason: Option<Reason>,
    /// What a backend said, if it failed.
    pub detail: Option<String>,
    /// The key that signed.
    pub kid: Option<String>,
    /// The token's id.
    pub jti: Option<String>,
    /// The thumbprint of the key that a `DPoP` proof was signed with.
    pub jkt: Option<String>,
    /// What reading the store took.
    pub store: Duration,
    /// What asking the claims hook took.
    pub hook: Duration,
}

impl Record {
    pub(super) fn identify(&mut self, request: &TokenRequest) {
        self.grant_type = Some(request.grant_type().as_str());
        self.auth_method = request.credentials.as_ref().map(|credentials| credentials.method.as_str());
    }

    pub(super) fn present(&mut self, credentials: &Credentials) {
        self.auth_method = Some(credentials.method.as_str());
    }

    pub(super) fn found(&mut self, presented: &[ClientId], facts: &Facts) {
        let client = facts.clients.iter().find(|client| presented.contains(&client.client_id));
        self.client_id = client.map(|client| client.client_id.to_string());
    }

    // Which of the two methods a certificate is of only the registration says.
    pub(super) fn authenticated(&mut self, proven: Proven) {
        let registered = proven.client.token_endpoint_auth_method.map(ClientAuthMethod::as_str);
        self.auth_method = self.auth_method.map(|presented| registered.unwrap_or(presented));
        self.client_id = Some(proven.client.client_id.to_string());
        self.credential_id = Some(proven.credential_id);
        self.secret_expires_at = proven.secret_expires_at;
    }

    pub(super) fn store_fault(&mut self, fault: StoreFault) -> Reason {
        let (reason, detail) = match fault {
            StoreFault::Unavailable(detail) => (Reason::StoreUnavailable, detail),
            StoreFault::MalformedItem(detail) => (Reason::MalformedClientItem, detail),
            StoreFault::ClientKeysUnavailable(detail) => (Reason::ClientKeysUnavailable, detail),
        };
        self.detail = Some(detail);
        reason
    }

    pub(super) fn write_fault(&mut self, fault: WriteFault) -> Reason {
        match fault {
            WriteFault::Lost(reason) => reason,
            WriteFault::Unavailable(detail) => self.store_fault(StoreFault::Unavailable(detail)),
        }
    }

    pub(super) fn hook_fault(&mut self, HookFault(detail): HookFault) -> Reason {
        self.detail = Some(detail);
        Reason::HookFailed
    }

    pub(super) fn consulted(&mut self, Consulted { verdict, took }: Consulted) -> Result<Map<String, Value>, Reason> {
        self.hook = took;
        match verdict {
            Verdict::Claims(claims) => Ok(claims),
            Verdict::Denied(reason) => {
                self.detail = Some(reason).filter(|reason| !reason.is_empty());
                Err(Reason::DeniedByHook)
            }
        }
    }

    pub(super) fn keys_fault(&mut self, KeysUnavailable(detail): KeysUnavailable) -> Reason {
        self.detail = Some(detail);
        Reason::KeysUnavailable
    }
}
