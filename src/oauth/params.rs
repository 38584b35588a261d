//! The parameters of a token request (RFC 6749 sections 3.2 and 4, and the registry that section 11.2 opens).

use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::{error::Reason, form};

/// A parameter this server reads, now or in a grant it does not serve yet. All others are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// `grant_type` (RFC 6749 section 4).
    GrantType,
    /// `scope` (RFC 6749 section 3.3).
    Scope,
    /// `client_id` (RFC 6749 section 2.3.1).
    ClientId,
    /// `client_secret` (RFC 6749 section 2.3.1).
    ClientSecret,
    /// `client_assertion` (RFC 7521 section 4.2).
    ClientAssertion,
    /// `client_assertion_type` (RFC 7521 section 4.2).
    ClientAssertionType,
    /// `assertion` (RFC 7521 section 4.1).
    Assertion,
    /// `code` (RFC 6749 section 4.1.3).
    Code,
    /// `redirect_uri` (RFC 6749 section 4.1.3).
    RedirectUri,
    /// `code_verifier` (RFC 7636 section 4.5).
    CodeVerifier,
    /// `refresh_token` (RFC 6749 section 6).
    RefreshToken,
    /// `username` (RFC 6749 section 4.3.2).
    Username,
    /// `password` (RFC 6749 section 4.3.2).
    Password,
    /// `resource` (RFC 8707 section 2); may repeat.
    Resource,
    /// `audience` (RFC 8693 section 2.1, and what several vendors' clients send); may repeat.
    Audience,
    /// `authorization_details` (RFC 9396 section 2).
    AuthorizationDetails,
    /// `subject_token` (RFC 8693 section 2.1).
    SubjectToken,
    /// `subject_token_type` (RFC 8693 section 2.1).
    SubjectTokenType,
    /// `actor_token` (RFC 8693 section 2.1).
    ActorToken,
    /// `actor_token_type` (RFC 8693 section 2.1).
    ActorTokenType,
    /// `requested_token_type` (RFC 8693 section 2.1).
    RequestedTokenType,
    /// `token` (RFC 7662 section 2.1, RFC 7009 section 2.1).
    Token,
}

impl Param {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "grant_type" => Self::GrantType,
            "scope" => Self::Scope,
            "client_id" => Self::ClientId,
            "client_secret" => Self::ClientSecret,
            "client_assertion" => Self::ClientAssertion,
            "client_assertion_type" => Self::ClientAssertionType,
            "assertion" => Self::Assertion,
            "code" => Self::Code,
            "redirect_uri" => Self::RedirectUri,
            "code_verifier" => Self::CodeVerifier,
            "refresh_token" => Self::RefreshToken,
            "username" => Self::Username,
            "password" => Self::Password,
            "resource" => Self::Resource,
            "audience" => Self::Audience,
            "authorization_details" => Self::AuthorizationDetails,
            "subject_token" => Self::SubjectToken,
            "subject_token_type" => Self::SubjectTokenType,
            "actor_token" => Self::ActorToken,
            "actor_token_type" => Self::ActorTokenType,
            "requested_token_type" => Self::RequestedTokenType,
            "token" => Self::Token,
            _ => return None,
        })
    }

    fn is_credential(self) -> bool {
        match self {
            Self::ClientSecret
            | Self::ClientAssertion
            | Self::Assertion
            | Self::SubjectToken
            | Self::ActorToken
            | Self::Token => true,
            Self::GrantType
            | Self::Scope
            | Self::ClientId
            | Self::ClientAssertionType
            | Self::Code
            | Self::RedirectUri
            | Self::CodeVerifier
            | Self::RefreshToken
            | Self::Username
            | Self::Password
            | Self::Resource
            | Self::Audience
            | Self::AuthorizationDetails
            | Self::SubjectTokenType
            | Self::ActorTokenType
            | Self::RequestedTokenType => false,
        }
    }

    fn may_repeat(self) -> bool {
        matches!(self, Self::Resource | Self::Audience)
    }
}

/// The known parameters of one request, each with a value that is not empty.
///
/// `Debug` shows the names only: values may be secrets.
#[derive(Default)]
pub struct Params(Vec<(Param, String)>);

impl Params {
    /// Reads a form body.
    ///
    /// # Errors
    /// [`Reason::MalformedForm`] for bytes that are not UTF-8 or a broken escape anywhere, known parameter or not;
    /// [`Reason::RepeatedParameter`] for a known one sent twice.
    pub fn from_form(body: &[u8]) -> Result<Self, Reason> {
        Self::from_form_without(body, None)
    }

    /// The same, for a dialect that does not know one of the parameters.
    ///
    /// # Errors
    /// As [`Params::from_form`].
    pub fn from_form_without(body: &[u8], without: Option<Param>) -> Result<Self, Reason> {
        let body = std::str::from_utf8(body).map_err(|_| Reason::MalformedForm)?;
        let mut params = Self::default();
        for (name, value) in form::pairs(body) {
            let name = form::decode(name).ok_or(Reason::MalformedForm)?;
            let value = form::decode(value).ok_or(Reason::MalformedForm)?;
            if let Some(param) = Param::named(&name).filter(|param| Some(*param) != without) {
                params.add(param, value.into_owned())?;
            }
        }
        Ok(params)
    }

    /// Reads a JSON body: one object, whose known members are strings.
    ///
    /// # Errors
    /// [`Reason::MalformedJson`], or [`Reason::RepeatedParameter`] for a known member that stands twice.
    pub fn from_json(body: &[u8]) -> Result<Self, Reason> {
        Self::from_json_without(body, None)
    }

    /// The same, for a dialect that does not know one of the parameters.
    ///
    /// # Errors
    /// As [`Params::from_json`].
    pub fn from_json_without(body: &[u8], without: Option<Param>) -> Result<Self, Reason> {
        // All of it, since serde_json does not look at the bytes of a string that it skips.
        let body = std::str::from_utf8(body).map_err(|_| Reason::MalformedJson)?;
        let mut json = serde_json::Deserializer::from_str(body);
        let params = json.deserialize_map(Members { without }).map_err(|_| Reason::MalformedJson)??;
        json.end().map_err(|_| Reason::MalformedJson)?;
        Ok(params)
    }

    /// The value of a parameter, if it was sent.
    #[must_use]
    pub fn get(&self, param: Param) -> Option<&str> {
        self.all(param).next()
    }

    /// Every value of a parameter that may repeat, in the order sent.
    pub fn all(&self, param: Param) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| *known == param).map(|(_, value)| value.as_str())
    }

    // RFC 6749 section 3.2: a parameter sent without a value counts as not sent.
    fn add(&mut self, param: Param, value: String) -> Result<(), Reason> {
        if value.is_empty() {
            return Ok(());
        }
        if !param.may_repeat() && self.get(param).is_some() {
            return Err(Reason::RepeatedParameter);
        }
        self.0.push((param, value));
        Ok(())
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(param, _)| param)).finish()
    }
}

/// Refuses a query string that carries a credential: URLs end up in logs (RFC 6749 section 2.3.1).
///
/// # Errors
/// [`Reason::CredentialInQuery`].
pub fn check_query(query: &str) -> Result<(), Reason> {
    let carries_credential = form::pairs(query)
        .any(|(name, _)| form::decode(name).and_then(|name| Param::named(&name)).is_some_and(Param::is_credential));
    if carries_credential { Err(Reason::CredentialInQuery) } else { Ok(()) }
}

struct Members {
    without: Option<Param>,
}

impl<'de> Visitor<'de> for Members {
    type Value = Result<Params, Reason>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of request parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut params = Params::default();
        let mut repeated = None;
        let mut seen = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            let Some(param) = Param::named(&name).filter(|param| Some(*param) != self.without) else {
                // Read, and not just skipped, since serde_json bounds the depth of what it reads.
                members.next_value::<serde_json::Value>()?;
                continue;
            };
            let value = members.next_value::<String>()?;
            if value.contains('\0') {
                return Err(A::Error::custom("a NUL character"));
            }
            // A member that stands twice is refused even where a form parameter may repeat: JSON readers disagree on it.
            if seen.contains(&param) || params.add(param, value).is_err() {
                repeated = Some(Reason::RepeatedParameter);
            }
            seen.push(param);
        }
        Ok(repeated.map_or(Ok(params), Err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_and_a_json_object_read_alike() {
        let form = Params::from_form(b"grant_type=client_credentials&scope=a+b&x=1").unwrap();
        let json = Params::from_json(br#"{"grant_type":"client_credentials","scope":"a b","x":{"y":[1]}}"#).unwrap();
        for params in [form, json] {
            assert_eq!(params.get(Param::GrantType), Some("client_credentials"));
            assert_eq!(params.get(Param::Scope), Some("a b"));
            assert_eq!(params.get(Param::ClientId), None);
        }
    }

    #[test]
    fn an_empty_value_counts_as_absent() {
        let params = Params::from_form(b"scope=&scope=a&client_id").unwrap();
        assert_eq!(params.get(Param::Scope), Some("a"));
        assert_eq!(params.get(Param::ClientId), None);
    }

    #[test]
    fn a_known_parameter_may_not_repeat_but_resource_may() {
        assert_eq!(Params::from_form(b"scope=a&scope=a").unwrap_err(), Reason::RepeatedParameter);
        assert_eq!(Params::from_json(br#"{"scope":"a","scope":"a"}"#).unwrap_err(), Reason::RepeatedParameter);
        assert_eq!(
            Params::from_json(br#"{"resource":"a:a","resource":"a:b"}"#).unwrap_err(),
            Reason::RepeatedParameter
        );
        assert_eq!(Params::from_json(br#"{"scope":"","scope":"a"}"#).unwrap_err(), Reason::RepeatedParameter);
        let params = Params::from_form(b"resource=a:a&resource=a:b&x=1&x=2").unwrap();
        assert_eq!(params.all(Param::Resource).collect::<Vec<_>>(), ["a:a", "a:b"]);
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for form in ["x=%zz", "x=%", "%zz=1", "scope=%00", "scope=%C0%AF"] {
            assert_eq!(Params::from_form(form.as_bytes()).unwrap_err(), Reason::MalformedForm, "{form}");
        }
        assert_eq!(Params::from_form(b"scope=\xff").unwrap_err(), Reason::MalformedForm);
        let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for json in [
            "",
            "[]",
            "\"a\"",
            "{",
            "{} x",
            r#"{"scope":1}"#,
            r#"{"scope":null}"#,
            r#"{"scope":["a"]}"#,
            &format!(r#"{{"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200)),
            r#"{"scope":"\u0000"}"#,
            &deep[..9_000],
        ] {
            assert_eq!(Params::from_json(json.as_bytes()).unwrap_err(), Reason::MalformedJson, "{json}");
        }
    }

    #[test]
    fn names_that_mean_something_elsewhere_are_plain_unknown_names() {
        let params = Params::from_form(b"scope[]=a&__proto__=x&SCOPE=b").unwrap();
        assert_eq!(params.get(Param::Scope), None);
    }

    #[test]
    fn only_credentials_are_refused_in_the_query() {
        assert_eq!(check_query("scope=a&client_id=x"), Ok(()));
        for query in
            ["client_secret=x", "a=b&client%5Fassertion=y", "assertion=", "subject_token=x", "actor_token=x", "token=x"]
        {
            assert_eq!(check_query(query), Err(Reason::CredentialInQuery), "{query}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let params = Params::from_form(b"client_secret=hunter2").unwrap();
        assert_eq!(format!("{params:?}"), "{ClientSecret}");
    }
}
