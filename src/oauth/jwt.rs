//! Access tokens as JWTs (RFC 7519, RFC 9068): the algorithms, the header's `typ`, and the claims.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

use super::{
    access_token::{SUBJECT_TOKENS, TokenId},
    authorization_details::AuthorizationDetails,
};

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Alg {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
    /// HMAC with SHA-256; its key is never published.
    HS256,
}

impl Alg {
    /// Every algorithm, in the order in which a deployment that names none prefers them: API Gateway's and ALB's own JWT checks
    /// take RSA only.
    pub const ALL: [Self; 6] = [Self::RS256, Self::PS256, Self::ES256, Self::ES384, Self::EdDSA, Self::HS256];

    /// The algorithms that somebody else's signature is verified with: those whose keys are public.
    pub const ASYMMETRIC: [Self; 5] = [Self::RS256, Self::PS256, Self::ES256, Self::ES384, Self::EdDSA];

    /// The one of that name whose keys are public. `Ed25519` is the name that RFC 9864 gives to what `EdDSA` is here.
    #[must_use]
    pub fn asymmetric(name: &str) -> Option<Self> {
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        Self::ASYMMETRIC.into_iter().find(|alg| alg.as_str() == name)
    }

    /// Its registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
        }
    }
}

/// The `typ` of the JOSE header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typ {
    /// `at+jwt` (RFC 9068 section 2.1).
    AccessToken,
    /// `JWT` (RFC 7519 section 5.1).
    Jwt,
    /// `token-introspection+jwt` (RFC 9701 section 5).
    TokenIntrospection,
}

impl Typ {
    /// As it stands in the header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::Jwt => "JWT",
            Self::TokenIntrospection => "token-introspection+jwt",
        }
    }
}

/// The claims of a token: those that every token has, those of its dialect (`own`), and the client's.
///
/// Serializes to one object without repeated names: a client's claim never stands over a registered one or the dialect's.
#[derive(Serialize)]
pub struct Claims<'a, O: Serialize> {
    /// `iss` (RFC 7519 section 4.1.1).
    pub iss: &'a str,
    /// `sub` (RFC 7519 section 4.1.2).
    pub sub: &'a str,
    /// `aud` (RFC 7519 section 4.1.3).
    pub aud: Audience<'a>,
    /// `iat` (RFC 7519 section 4.1.6), seconds.
    pub iat: u64,
    /// `nbf` (RFC 7519 section 4.1.5), seconds.
    pub nbf: u64,
    /// `exp` (RFC 7519 section 4.1.4), seconds.
    pub exp: u64,
    /// `jti` (RFC 7519 section 4.1.7).
    pub jti: &'a str,
    /// `client_id` (RFC 9068 section 2.2).
    pub client_id: &'a str,
    /// `cnf` (RFC 7800 section 3.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<&'a Confirmation>,
    /// `act` (RFC 8693 section 4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<&'a Value>,
    /// The tokens that it came of by exchange: a claim of our own, for us to read.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub subject_tokens: &'a [TokenId],
    /// `authorization_details` (RFC 9396 section 9.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<&'a AuthorizationDetails>,
    /// What only this dialect's tokens carry.
    #[serde(flatten)]
    pub own: O,
    /// The client's claims.
    #[serde(flatten)]
    pub extra: Extra<'a>,
}

/// `cnf`: what whoever uses the token has to prove to hold (RFC 7800 section 3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confirmation {
    /// The thumbprint of the key that signs the `DPoP` proofs (RFC 9449 section 6.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jkt: Option<String>,
    /// The thumbprint of the client's certificate (RFC 8705 section 3.1).
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    pub x5t_s256: Option<String>,
}

/// `aud`: one string when there is one, an array when there are more (RFC 7519 section 4.1.3).
pub struct Audience<'a>(pub &'a [String]);

/// The claims of a claims hook and a client, less those that are registered or the dialect's own. Of one name the hook's stands.
pub struct Extra<'a> {
    /// The claims hook's claims.
    pub added: &'a Map<String, Value>,
    /// The client's claims.
    pub claims: &'a Map<String, Value>,
    /// The names of the dialect's own claims.
    pub own: &'static [&'static str],
}

/// The claims that only the server sets, since a verifier acts on their meaning (RFC 7519 section 4.1, RFC 9068 section 2.2,
/// RFC 7800, RFC 8693, RFC 9396, OpenID Connect Core section 2). `scp` is what many of them read as the scope, and we ourselves
/// where a dialect writes it so; `subject_tokens` is our own.
pub const REGISTERED_CLAIMS: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "scp",
    "cnf",
    "act",
    "may_act",
    SUBJECT_TOKENS,
    "authorization_details",
    "auth_time",
    "acr",
    "amr",
    "azp",
    "nonce",
];

impl Serialize for Audience<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [only] => only.serialize(serializer),
            more => more.serialize(serializer),
        }
    }
}

impl Serialize for Extra<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let unchanged = self.claims.iter().filter(|(name, _)| !self.added.contains_key(name.as_str()));
        for (name, value) in self.added.iter().chain(unchanged) {
            if !REGISTERED_CLAIMS.contains(&name.as_str()) && !self.own.contains(&name.as_str()) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_clients_claim_never_stands_over_a_registered_one() {
        let mut claims = Map::new();
        for name in REGISTERED_CLAIMS.iter().chain(&["gen", "org_ids"]) {
            claims.insert((*name).to_owned(), json!("forged"));
        }
        let audience = ["a".to_owned()];
        let token = Claims {
            iss: "i",
            sub: "s",
            aud: Audience(&audience),
            iat: 1,
            nbf: 1,
            exp: 2,
            jti: "j",
            client_id: "c",
            cnf: Some(&Confirmation { jkt: Some("k".to_owned()), x5t_s256: None }),
            act: None,
            subject_tokens: &[],
            authorization_details: None,
            own: json!({"gen": "system"}),
            extra: Extra { added: &Map::new(), claims: &claims, own: &["gen"] },
        };
        assert_eq!(
            serde_json::to_string(&token).unwrap(),
            r#"{"iss":"i","sub":"s","aud":"a","iat":1,"nbf":1,"exp":2,"jti":"j","client_id":"c","cnf":{"jkt":"k"},"gen":"system","org_ids":"forged"}"#
        );
    }

    #[test]
    fn a_hooks_claim_stands_in_place_of_the_clients_and_over_no_other() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let added = object(json!({"tier": "gold", "gen": "forged", "iss": "forged"}));
        let claims = object(json!({"tier": "tin", "team": "a"}));
        let extra = Extra { added: &added, claims: &claims, own: &["gen"] };
        assert_eq!(serde_json::to_value(extra).unwrap(), json!({"tier": "gold", "team": "a"}));
    }

    #[test]
    fn several_audiences_are_an_array() {
        let audience = ["a".to_owned(), "b".to_owned()];
        assert_eq!(serde_json::to_string(&Audience(&audience)).unwrap(), r#"["a","b"]"#);
    }
}
