//! What stands around the token endpoint: the routes, the published keys, the metadata, health.

mod metadata;

use http::{HeaderValue, StatusCode, header};

pub use self::metadata::{SwitchedOn, metadata};
use crate::{
    dialect::{DIALECTS, Dialect, Response, answer},
    keyring::KeyRing,
};

/// Where a request goes.
#[derive(Clone, Copy)]
pub enum Route {
    /// A dialect's token endpoint.
    Token(&'static Dialect),
    /// The published keys (RFC 7517).
    Jwks,
    /// The server's metadata (RFC 8414, OpenID Connect Discovery).
    Metadata,
    /// Whether the process is up.
    Health,
    /// Nothing of ours, or switched off.
    Unknown,
}

impl Route {
    /// The route of a path; `dialects` names those that are on.
    #[must_use]
    pub fn of(path: &str, dialects: &[&'static str]) -> Self {
        match path {
            JWKS_PATH | "/oauth2/jwks" | "/v1beta1/auth/jwks" => Self::Jwks,
            "/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration" => Self::Metadata,
            "/health" => Self::Health,
            _ => DIALECTS
                .iter()
                .find(|dialect| dialect.path == path && dialects.contains(&dialect.name))
                .map_or(Self::Unknown, Self::Token),
        }
    }

    /// Its name in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token(dialect) => dialect.name,
            Self::Jwks => "jwks",
            Self::Metadata => "metadata",
            Self::Health => "health",
            Self::Unknown => "unknown",
        }
    }

    /// The `Allow` header of its 405 (RFC 9110 section 10.2.1).
    #[must_use]
    pub fn allow(self) -> &'static str {
        match self {
            Self::Token(_) => "POST",
            Self::Jwks | Self::Metadata | Self::Health | Self::Unknown => "GET, HEAD",
        }
    }
}

/// Whether a path is that of a route, switched on or not.
#[must_use]
pub fn is_route(path: &str) -> bool {
    let all = DIALECTS.each_ref().map(|dialect| dialect.name);
    !matches!(Route::of(path, &all), Route::Unknown)
}

/// The path of the published keys that the metadata names.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// `{"status":"ok"}`, without asking any backend.
#[must_use]
pub fn health() -> Response {
    answer(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// The keys that verifiers need at `now`.
#[must_use]
pub fn jwks(ring: &KeyRing, now: u64) -> Response {
    cacheable(serde_json::to_vec(&ring.jwks(now)).unwrap_or_default())
}

// Long enough to spare the function, short enough that a new key is known everywhere within its lead time.
fn cacheable(body: Vec<u8>) -> Response {
    let mut response = answer(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.remove(header::PRAGMA);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_that_is_off_has_no_route() {
        let name = |path, dialects| Route::of(path, dialects).name();
        assert_eq!(name("/auth/token", &["oauth2", "eventhos"]), "eventhos");
        assert_eq!(name("/auth/token", &["oauth2"]), "unknown");
        assert_eq!(name("/oauth2/token/", &["oauth2"]), "unknown");
    }

    #[test]
    fn the_published_keys_are_cached_for_as_long_as_rotation_reckons_with() {
        let answer = cacheable(Vec::new());
        assert_eq!(
            answer.headers()[header::CACHE_CONTROL],
            format!("public, max-age={}", crate::keyring::JWKS_MAX_AGE)
        );
    }
}
