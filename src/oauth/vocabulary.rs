//! Registered names that clients, requests and metadata share (RFC 7591 section 2).

use serde::{Deserialize, Serialize};

/// `grant_type` (RFC 6749 section 4): those that this server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantType {
    /// RFC 6749 section 4.4.
    #[serde(rename = "client_credentials")]
    ClientCredentials,
    /// RFC 7523 section 2.1.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:jwt-bearer")]
    JwtBearer,
    /// RFC 8693.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
}

impl GrantType {
    /// Its registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
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
    /// An assertion that is signed with a key of the client's (RFC 7523 section 2.2, OpenID Connect Core section 9).
    PrivateKeyJwt,
    /// A certificate of a registered name (RFC 8705 section 2.1).
    TlsClientAuth,
    /// A registered certificate (RFC 8705 section 2.2).
    SelfSignedTlsClientAuth,
}

/// `assertion_profile`, a member of Mintlet's own: by which rules a client's assertions are taken. A client has one, since what it
/// has used up, or signed for somebody else, under the stricter one would be good again under the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssertionProfile {
    /// RFC 7523 and its revision: each for this issuer alone, for minutes, and good once.
    #[default]
    Rfc7523,
    /// As Frontier's SDK makes them: for hours, and sent again until they expire.
    Frontier,
}

/// The `client_assertion_type` of RFC 7523 section 2.2.
pub const JWT_BEARER_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// This server, as a request that came to it may name it.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The issuer's URL.
    pub issuer: &'a str,
    /// The path of the token endpoint, below the issuer.
    pub token_path: &'a str,
}

impl Server<'_> {
    /// The token endpoint's URL.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        format!("{}{}", self.issuer.trim_end_matches('/'), self.token_path)
    }
}

impl ClientAuthMethod {
    /// Its registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    /// Whether a secret is what authenticates the client.
    #[must_use]
    pub fn is_secret(self) -> bool {
        match self {
            Self::ClientSecretBasic | Self::ClientSecretPost => true,
            Self::PrivateKeyJwt | Self::TlsClientAuth | Self::SelfSignedTlsClientAuth => false,
        }
    }

    /// Whether a certificate is what authenticates the client (RFC 8705 section 2).
    #[must_use]
    pub fn is_certificate(self) -> bool {
        match self {
            Self::TlsClientAuth | Self::SelfSignedTlsClientAuth => true,
            Self::ClientSecretBasic | Self::ClientSecretPost | Self::PrivateKeyJwt => false,
        }
    }
}

/// `subject_token_type` and its kin (RFC 8693 section 3): the two names by which our access tokens, which are JWTs, go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// An access token.
    AccessToken,
    /// A JWT.
    Jwt,
}

impl TokenType {
    /// The type of that name, if it is one of these.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::AccessToken, Self::Jwt].into_iter().find(|known| known.as_str() == name)
    }

    /// Its registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
        }
    }
}
