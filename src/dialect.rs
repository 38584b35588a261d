//! The four wire formats. A dialect is a row: what it decodes, which claims its tokens carry, how it renders an outcome.
//!
//! No code outside this module asks which dialect is speaking.

mod eventhos;
mod frontier;
mod oauth2;
mod screening_eagle;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::{
    grant::{Issue, Policy},
    oauth::{
        error::{ErrorCode, Reason},
        jwt::{Audience, Claims, Extra, Typ},
        params::Params,
    },
};

/// An HTTP answer, whole.
pub type Response = http::Response<Bytes>;

/// One token endpoint and all that is particular to it.
pub struct Dialect {
    /// Its name in `DIALECTS` and in logs.
    pub name: &'static str,
    /// The path of its token endpoint.
    pub path: &'static str,
    /// What the rules need to know of it.
    pub policy: Policy,
    /// The `typ` of its tokens.
    pub typ: Typ,
    read: fn(&HeaderMap, &[u8]) -> Result<Params, Reason>,
    claims: fn(&Issue, &Stamp<'_>) -> serde_json::Result<Vec<u8>>,
    issued: fn(&Issue, &Issued<'_>) -> (StatusCode, Vec<u8>),
    refused: fn(ErrorCode, Reason) -> (StatusCode, Vec<u8>),
}

/// What a token's claims need besides what was decided.
pub struct Stamp<'a> {
    /// The issuer's URL.
    pub issuer: &'a str,
    /// When the token is issued, in seconds since the epoch.
    pub issued_at: u64,
    /// When it expires.
    pub expires_at: u64,
    /// Its id.
    pub jti: &'a str,
    /// The id of the key that signs it.
    pub kid: &'a str,
}

/// A signed token, for its answer.
pub struct Issued<'a> {
    /// The token.
    pub access_token: &'a str,
    /// How many seconds it is good for.
    pub expires_in: u64,
}

/// All dialects.
pub static DIALECTS: [Dialect; 4] = [oauth2::DIALECT, screening_eagle::DIALECT, frontier::DIALECT, eventhos::DIALECT];

impl Dialect {
    /// The dialect of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        DIALECTS.iter().find(|dialect| dialect.name == name)
    }

    /// The plain RFC 6749 dialect, in whose shape answers outside any token endpoint are given.
    #[must_use]
    pub fn oauth2() -> &'static Self {
        static OAUTH2: Dialect = oauth2::DIALECT;
        &OAUTH2
    }

    /// Reads the parameters of a request's body.
    ///
    /// # Errors
    /// A [`Reason`] for a content type that the dialect does not take, or a body that is not what it says.
    pub fn read(&self, headers: &HeaderMap, body: &[u8]) -> Result<Params, Reason> {
        (self.read)(headers, body)
    }

    /// The claims of a token, as JSON.
    ///
    /// # Errors
    /// None in practice: every claim has a JSON form.
    pub fn claims(&self, issue: &Issue, stamp: &Stamp<'_>) -> serde_json::Result<Vec<u8>> {
        (self.claims)(issue, stamp)
    }

    /// The answer that carries a token.
    #[must_use]
    pub fn issued(&self, issue: &Issue, issued: &Issued<'_>) -> Response {
        let (status, body) = (self.issued)(issue, issued);
        answer(status, body)
    }

    /// The answer that refuses one. `realm` is the issuer, if it is known.
    #[must_use]
    pub fn refused(&self, reason: Reason, realm: Option<&str>) -> Response {
        let code = reason.code();
        let (status, body) = (self.refused)(code, reason);
        let mut response = answer(status, body);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let plain = |realm: &&str| !realm.contains(['"', '\\']) && HeaderValue::from_str(realm).is_ok();
            let realm = realm.filter(plain).unwrap_or("mintlet");
            let challenge = format!(r#"Basic realm="{realm}", charset="UTF-8""#);
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
        }
        if let Some(seconds) = code.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An answer with the headers that every answer has (RFC 6749 section 5.1).
#[must_use]
pub fn answer(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

// What a row's `claims` does: the claims of every dialect, with its own among them.
fn write_claims<O: Serialize>(
    issue: &Issue,
    stamp: &Stamp<'_>,
    own: O,
    own_names: &'static [&'static str],
) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::with_capacity(512);
    let claims = Claims {
        iss: stamp.issuer,
        sub: issue.subject(),
        aud: Audience(&issue.audience),
        iat: stamp.issued_at,
        nbf: stamp.issued_at,
        exp: stamp.expires_at,
        jti: stamp.jti,
        client_id: issue.client.client_id.as_str(),
        cnf: issue.confirmation.as_ref(),
        act: issue.exchanged.as_ref().and_then(|exchanged| exchanged.act.as_ref()),
        subject_tokens: issue.exchanged.as_ref().map(|exchanged| &*exchanged.subject_tokens).unwrap_or_default(),
        authorization_details: issue.authorization_details.as_ref(),
        own,
        extra: Extra { added: &issue.added_claims, claims: &issue.client.claims, own: own_names },
    };
    serde_json::to_writer(&mut json, &claims)?;
    Ok(json)
}

// A body of the dialects' own types; they have nothing that JSON could refuse.
fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

// The media type without its parameters; both are case-insensitive (RFC 9110 section 8.3.1).
fn media_type(headers: &HeaderMap) -> &[u8] {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().split(|byte| *byte == b';').next())
        .unwrap_or_default()
        .trim_ascii()
}

fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

fn read_form(headers: &HeaderMap, body: &[u8]) -> Result<Params, Reason> {
    if is_form(headers) { Params::from_form(body) } else { Err(Reason::WrongContentType) }
}
