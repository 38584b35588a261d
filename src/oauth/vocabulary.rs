//! Registered names that clients, requests and metadata share (RFC 7591 section 2).

use serde::{Deserialize, Serialize};

/// `grant_type` (RFC 6749 section 4): those that this server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 section 4.4.
    ClientCredentials,
}

impl GrantType {
    /// Its registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// `token_endpoint_auth_method` (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMethod {
    /// HTTP Basic (RFC 6749 section 2.3.1).
    ClientSecretBasic,
    /// Body credentials (RFC 6749 section 2.3.1).
    ClientSecretPost,
    /// A certificate of a registered name (RFC 8705 section 2.1).
    TlsClientAuth,
    /// A registered certificate (RFC 8705 section 2.2).
    SelfSignedTlsClientAuth,
}

impl ClientAuthMethod {
    /// Its registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }
}
