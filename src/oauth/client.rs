//! A registered client: the metadata of RFC 7591 section 2 under its own names, and what Mintlet adds to it.

mod faults;

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    certificate::DistinguishedName,
    jwk::Jwks,
    jwks_uri::JwksUri,
    jwt::Alg,
    scope::Scope,
    secret::SecretHash,
    vocabulary::{AssertionProfile, ClientAuthMethod, GrantType},
};

/// The format of a client item that this code reads and writes.
pub const CLIENT_VERSION: u32 = 1;

/// A client as it stands in the clients table, with every value already right by its type.
///
/// Times are whole seconds since the epoch (RFC 7519 section 2, `NumericDate`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Client {
    /// `client_id` (RFC 7591 section 3.2.1): the table's key.
    pub client_id: ClientId,
    /// `client_name` (RFC 7591 section 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// What the client is for, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A disabled client gets no token.
    pub disabled: bool,
    /// The secrets that authenticate the client; any that has not expired does.
    pub client_secrets: Vec<ClientSecret>,
    /// `token_endpoint_auth_method` (RFC 7591 section 2). Absent: whatever it has credentials for, but no certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<ClientAuthMethod>,
    /// `grant_types` (RFC 7591 section 2).
    pub grant_types: Vec<GrantType>,
    /// `scope` (RFC 7591 section 2): all that the client may ask for.
    #[serde(default, skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// What the client gets when it asks for no scope. Absent: all of `scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<Scope>,
    /// The audiences the client may ask for, and gets when it asks for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// Further resources that the client may ask for, each with its own bounds (RFC 8707).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_resources: Vec<AllowedResource>,
    /// The types of `authorization_details` that it may ask for (RFC 9396 section 10).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types: Vec<String>,
    /// The clients whose tokens it may exchange, besides its own (RFC 8693).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_token_clients: Vec<ClientId>,
    /// What it is itself to other clients: the identifiers of a protected resource (RFC 9728 section 1.2). It may introspect
    /// tokens that have one of them, or its `client_id`, in their `aud`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_identifiers: Vec<String>,
    /// The `sub` of its tokens. Absent: `client_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The lifetime of its access tokens. Absent: the deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token_lifetime: Option<Lifetime>,
    /// The `alg` of its access tokens. Absent: the deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token_signed_response_alg: Option<Alg>,
    /// `dpop_bound_access_tokens` (RFC 9449 section 5.2): the client gets no token without a `DPoP` proof.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dpop_bound_access_tokens: bool,
    /// `introspection_signed_response_alg` (RFC 9701 section 6): the `alg` of signed introspection. Absent: the deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_signed_response_alg: Option<Alg>,
    /// Whether the `scope` claim is one string or an array of tokens.
    #[serde(default)]
    pub scope_claim: ScopeClaim,
    /// Claims that its tokens carry besides the registered ones.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
    /// Its roles, which some dialects put into the token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What the eventhos dialect says of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eventhos: Option<Eventhos>,
    /// `jwks` (RFC 7591 section 2): the client's public keys, with which its assertions are verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
    /// `jwks_uri` (RFC 7591 section 2): where it publishes them instead. Read only where the deployment lists its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<JwksUri>,
    /// By which rules its assertions are taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub assertion_profile: AssertionProfile,
    /// How many seconds the `exp` of its assertions may lie ahead. Absent: 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion_lifetime: Option<AssertionLifetime>,
    /// Whether its assertions may name the token endpoint as their only audience, as old clients do, and not the issuer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub legacy_assertion_audience: bool,
    /// `tls_client_auth_subject_dn` (RFC 8705 section 2.1.2): the subject of the certificate of a `tls_client_auth` client. Of
    /// this and the next four it has exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<DistinguishedName>,
    /// `tls_client_auth_san_dns` (RFC 8705 section 2.1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// `tls_client_auth_san_uri` (RFC 8705 section 2.1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// `tls_client_auth_san_ip` (RFC 8705 section 2.1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<IpAddr>,
    /// `tls_client_auth_san_email` (RFC 8705 section 2.1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// `tls_client_certificate_bound_access_tokens` (RFC 8705 section 3.4). Absent: only for a client whose
    /// `token_endpoint_auth_method` is a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_certificate_bound_access_tokens: Option<bool>,
    /// `redirect_uris` (RFC 7591 section 2), kept for the grants that use them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// The format of the item; [`CLIENT_VERSION`].
    pub version: Version,
    /// When the client was registered.
    pub created_at: u64,
    /// When the item was last changed.
    pub updated_at: u64,
}

/// One secret of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientSecret {
    /// Names the secret in logs and commands; unique within the client.
    pub id: String,
    /// What the secret is for, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What the secret is checked against.
    pub hash: SecretHash,
    /// When it was added.
    pub created_at: u64,
    /// The first second at which it no longer works. Absent: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// A resource that a client may ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AllowedResource {
    /// Its identifier (RFC 8707 section 2), which stands in `aud`.
    pub resource: String,
    /// All that the client may ask for of it. Absent: all of its `scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The lifetime of access tokens for it. Absent: the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token_lifetime: Option<Lifetime>,
}

/// What the eventhos dialect says of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Eventhos {
    /// The id that the client has in eventhos: a number or a string.
    pub id: Value,
    /// Its identifier there.
    pub identifier: String,
    /// Its roles there, as eventhos shows them.
    #[serde(default)]
    pub roles: Vec<Value>,
    /// Whether the client is to use a long-lived token and gets no short ones.
    #[serde(default)]
    pub long_lived: bool,
}

/// How the `scope` claim is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopeClaim {
    /// One string, tokens separated by spaces (RFC 9068 section 2.2.3).
    #[default]
    String,
    /// An array of tokens, as Tencent Cloud CIAM writes it.
    Array,
}

/// `client_id`: 1 to 255 visible ASCII characters or spaces (RFC 6749 appendix A.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

/// The lifetime of an access token in seconds: 60 to 86400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Lifetime(u64);

/// How far ahead an assertion's `exp` may lie, in seconds: 60 to 3600.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct AssertionLifetime(u64);

/// The version of a client item; only [`CLIENT_VERSION`] can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Version(u32);

/// A value that one of this module's types cannot hold; displays what it would have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange(pub &'static str);

impl ClientId {
    /// Takes a client id that follows the grammar.
    ///
    /// # Errors
    /// [`OutOfRange`] if it is empty, longer than 255 characters, or has other characters.
    pub fn parse(text: impl Into<String>) -> Result<Self, OutOfRange> {
        let text = text.into();
        if (1..=255).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) {
            Ok(Self(text))
        } else {
            Err(OutOfRange("not 1 to 255 printable ASCII characters"))
        }
    }

    /// The id itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Lifetime {
    /// The shortest lifetime an access token can have, in seconds.
    pub const MIN_SECONDS: u64 = 60;
    /// The longest lifetime any token can have, in seconds.
    pub const MAX_SECONDS: u64 = 86_400;

    /// Takes a number of seconds.
    ///
    /// # Errors
    /// [`OutOfRange`] outside 60 to 86400.
    pub fn from_seconds(seconds: u64) -> Result<Self, OutOfRange> {
        if (Self::MIN_SECONDS..=Self::MAX_SECONDS).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(OutOfRange("not 60 to 86400 seconds"))
        }
    }

    /// The lifetime in seconds.
    #[must_use]
    pub fn as_seconds(self) -> u64 {
        self.0
    }
}

impl Default for Lifetime {
    /// An hour.
    fn default() -> Self {
        Self(3600)
    }
}

impl Default for Version {
    fn default() -> Self {
        Self(CLIENT_VERSION)
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ClientId {
    type Error = OutOfRange;

    fn try_from(text: String) -> Result<Self, OutOfRange> {
        Self::parse(text)
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0
    }
}

impl TryFrom<u64> for Lifetime {
    type Error = OutOfRange;

    fn try_from(seconds: u64) -> Result<Self, OutOfRange> {
        Self::from_seconds(seconds)
    }
}

impl From<Lifetime> for u64 {
    fn from(lifetime: Lifetime) -> Self {
        lifetime.0
    }
}

impl AssertionLifetime {
    /// The number of seconds.
    #[must_use]
    pub fn as_seconds(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for AssertionLifetime {
    type Error = OutOfRange;

    fn try_from(seconds: u64) -> Result<Self, OutOfRange> {
        if (60..=3600).contains(&seconds) { Ok(Self(seconds)) } else { Err(OutOfRange("not 60 to 3600 seconds")) }
    }
}

impl From<AssertionLifetime> for u64 {
    fn from(lifetime: AssertionLifetime) -> Self {
        lifetime.0
    }
}

impl TryFrom<u32> for Version {
    type Error = OutOfRange;

    fn try_from(version: u32) -> Result<Self, OutOfRange> {
        if version == CLIENT_VERSION { Ok(Self(version)) } else { Err(OutOfRange("not a version this release reads")) }
    }
}

impl From<Version> for u32 {
    fn from(version: Version) -> Self {
        version.0
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_printable_ascii_of_bounded_length() {
        assert!(ClientId::parse("a b~!").is_ok());
        assert!(ClientId::parse("x".repeat(255)).is_ok());
        for bad in ["", "a\nb", "é", "\u{7f}", &"x".repeat(256)] {
            assert!(ClientId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_lifetime_is_a_minute_to_a_day() {
        for (seconds, good) in [(59, false), (60, true), (86_400, true), (86_401, false)] {
            assert_eq!(Lifetime::from_seconds(seconds).is_ok(), good, "{seconds}");
        }
    }

    #[test]
    fn an_item_of_another_version_is_not_read() {
        let item = |version: u32| {
            serde_json::from_value::<Client>(serde_json::json!({
                "client_id": "a", "disabled": false, "client_secrets": [], "grant_types": [], "version": version,
                "created_at": 1, "updated_at": 1
            }))
        };
        assert!(item(CLIENT_VERSION).is_ok());
        assert!(item(CLIENT_VERSION + 1).is_err());
    }
}
