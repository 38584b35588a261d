//! Our own access tokens as they come back: to be introspected, revoked or exchanged.

use std::iter;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    authorization_details::AuthorizationDetails,
    client::ClientId,
    scope::Scope,
    state::{Found, StateRow},
};

/// An access token that this server signed and that has not expired. Whether it was revoked is another question.
///
/// [`KeyRing::verify`](crate::keyring::KeyRing::verify) makes it. Times are seconds since the epoch.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// `jti`.
    pub jti: String,
    /// The client it was issued to.
    pub client_id: ClientId,
    /// `sub`.
    pub subject: String,
    /// `aud`.
    pub audience: Vec<String>,
    /// `scope`, in whichever claim its dialect has it.
    pub scope: Scope,
    /// `exp`: the first second at which it is no longer good.
    pub expires_at: u64,
    /// What it is revoked with: itself, the token that it was exchanged for, the one that was exchanged for that, and so on.
    pub lineage: Vec<TokenId>,
    /// Every claim of it.
    pub claims: Map<String, Value>,
}

/// What a token is known by, to those that may have revoked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenId {
    /// `jti`.
    pub jti: String,
    /// The client it was issued to.
    pub client_id: ClientId,
    /// `iat`.
    #[serde(rename = "iat")]
    pub issued_at: u64,
}

/// The claim with the tokens that an exchanged token came of, the nearest first.
pub const SUBJECT_TOKENS: &str = "subject_tokens";

// An instance whose clock is a little behind the one that signed (RFC 7519 section 4.1.5).
const MAX_SKEW: u64 = 10;

impl AccessToken {
    /// Makes one of claims whose signature holds. `None` if they are not those of an access token that `issuer` issued and
    /// that is good at `now`.
    #[must_use]
    pub fn of(claims: Map<String, Value>, issuer: &str, now: u64) -> Option<Self> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let seconds = |name: &str| claims.get(name).and_then(Value::as_u64);
        let expires_at = seconds("exp").filter(|exp| *exp > now)?;
        if text("iss")? != issuer || seconds("nbf")? > now.saturating_add(MAX_SKEW) {
            return None;
        }
        let itself = TokenId {
            jti: text("jti")?.to_owned(),
            client_id: ClientId::parse(text("client_id")?).ok()?,
            issued_at: seconds("iat")?,
        };
        let exchanged: Vec<TokenId> = match claims.get(SUBJECT_TOKENS) {
            Some(claim) => Deserialize::deserialize(claim).ok()?,
            None => Vec::new(),
        };
        Some(Self {
            jti: itself.jti.clone(),
            client_id: itself.client_id.clone(),
            subject: text("sub")?.to_owned(),
            audience: strings(claims.get("aud")?)?,
            scope: scope(&claims)?,
            expires_at,
            lineage: iter::once(itself).chain(exchanged).collect(),
            claims,
        })
    }

    /// `authorization_details` (RFC 9396 section 9.1), if it has any.
    #[must_use]
    pub fn authorization_details(&self) -> Option<AuthorizationDetails> {
        self.claims.get("authorization_details").cloned().and_then(AuthorizationDetails::of)
    }

    /// The rows of the state table by which it may have been revoked.
    pub fn revocations(&self) -> impl Iterator<Item = StateRow> {
        self.lineage.iter().flat_map(|token| {
            [
                StateRow::RevokedToken { client_id: token.client_id.clone(), jti: token.jti.clone() },
                StateRow::RevokedClient { client_id: token.client_id.clone() },
            ]
        })
    }

    /// Whether it was revoked, by what was found at [`AccessToken::revocations`].
    #[must_use]
    pub fn is_revoked(&self, state: &[(StateRow, Found)]) -> bool {
        let revokes = |row: &StateRow, found: &Found, token: &TokenId| match row {
            StateRow::RevokedToken { client_id, jti } => *client_id == token.client_id && *jti == token.jti,
            StateRow::RevokedClient { client_id } => *client_id == token.client_id && token.issued_at <= found.at,
            StateRow::AssertionJti { .. } | StateRow::DpopJti { .. } => false,
        };
        state.iter().any(|(row, found)| self.lineage.iter().any(|token| revokes(row, found, token)))
    }
}

// RFC 7519 section 4.1.3: one string, or an array of them.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(only) => Some(vec![only.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

// A string or an array of tokens; one of the dialects has it under another name. Both names are the server's alone.
fn scope(claims: &Map<String, Value>) -> Option<Scope> {
    match claims.get("scope").or(claims.get("scp")) {
        None => Some(Scope::default()),
        Some(value) => Scope::parse(&strings(value)?.join(" ")).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1000;

    fn claims() -> Value {
        json!({
            "iss": "i", "sub": "s", "aud": "a", "iat": 900, "nbf": 900, "exp": 1001, "jti": "j", "client_id": "c", "scope": "r w"
        })
    }

    fn read(name: &str, value: Value) -> Option<AccessToken> {
        let Value::Object(mut claims) = claims() else { unreachable!() };
        claims.insert(name.to_owned(), value);
        AccessToken::of(claims, "i", NOW)
    }

    #[test]
    fn a_token_is_good_until_it_expires_and_for_its_issuer() {
        assert!(read("x", json!(1)).is_some());
        assert!(read("nbf", json!(1010)).is_some());
        for (name, value) in [
            ("iss", json!("i/")),
            ("exp", json!(1000)),
            ("exp", json!("1001")),
            ("exp", json!(1001.5)),
            ("nbf", json!(1011)),
            ("aud", json!({"a": 1})),
            ("aud", json!(["a", 1])),
            ("scope", json!(7)),
            ("scope", json!("a  b")),
            ("subject_tokens", json!("j")),
            ("subject_tokens", json!([{"jti": "j", "client_id": "c"}])),
        ] {
            assert!(read(name, value.clone()).is_none(), "{name} {value}");
        }
        for name in ["iss", "sub", "aud", "iat", "nbf", "exp", "jti", "client_id"] {
            assert!(read(name, Value::Null).is_none(), "{name}");
        }
    }

    #[test]
    fn scope_and_audience_are_read_in_every_form() {
        let scope = |name, value| read(name, value).unwrap().scope.as_str().to_owned();
        assert_eq!(scope("scope", json!("r w")), "r w");
        assert_eq!(scope("scope", json!(["r", "w"])), "r w");
        let Value::Object(mut claims) = claims() else { unreachable!() };
        claims.remove("scope");
        assert_eq!(AccessToken::of(claims.clone(), "i", NOW).unwrap().scope.as_str(), "");
        claims.insert("scp".to_owned(), json!("r"));
        assert_eq!(AccessToken::of(claims, "i", NOW).unwrap().scope.as_str(), "r");
        assert_eq!(read("aud", json!("a")).unwrap().audience, ["a"]);
        assert_eq!(read("aud", json!(["a", "b"])).unwrap().audience, ["a", "b"]);
    }

    #[test]
    fn a_client_wide_revocation_reaches_what_was_issued_until_then() {
        let token = read("iat", json!(900)).unwrap();
        let [by_jti, by_client] = token.revocations().collect::<Vec<_>>().try_into().unwrap();
        let found = |at| Found { expires_at: 2000, at };
        assert!(!token.is_revoked(&[]));
        assert!(token.is_revoked(&[(by_jti, found(0))]));
        for (at, revoked) in [(899, false), (900, true), (901, true)] {
            assert_eq!(token.is_revoked(&[(by_client.clone(), found(at))]), revoked, "{at}");
        }
        let id = |text| ClientId::parse(text).unwrap();
        for other in [
            StateRow::RevokedClient { client_id: id("d") },
            StateRow::RevokedToken { client_id: id("c"), jti: "k".to_owned() },
            StateRow::RevokedToken { client_id: id("d"), jti: "j".to_owned() },
        ] {
            assert!(!token.is_revoked(&[(other, found(901))]));
        }
    }
}
