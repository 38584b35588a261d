//! JWT assertions (RFC 7521, RFC 7523, and its revision): who signed them, and whether they are good here, now, and once.

mod fault;

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

pub use self::fault::AssertionFault;
use super::{
    client::{AssertionLifetime, Client},
    error::Reason,
    jwk,
    jws::{HeaderKey, UnverifiedJwt},
    jwt::Alg,
    state::{StateRow, Write},
    vocabulary::{AssertionProfile, Server},
};

/// What a use of assertions asks of them: values, so that the rules do not know who uses them.
#[derive(Clone, Copy, Debug)]
pub struct AssertionRules {
    /// The `typ` that says what the assertion is for. `JWT` and none are taken as well, every other one is refused.
    pub typ: &'static str,
    /// The algorithms that are taken.
    pub algs: &'static [Alg],
    /// What names the client.
    pub named_by: NamedBy,
    /// Whose assertions they are for: clients that are registered for them.
    pub profile: AssertionProfile,
    /// Whether `aud` has to be there and hold the issuer alone; otherwise it has to name the issuer if it is there.
    pub sole_audience: bool,
    /// How many seconds `exp` may lie ahead, if the client's registration does not allow more.
    pub max_lifetime: u64,
    /// Whether `jti` has to be there, and is good once.
    pub single_use: bool,
    /// How a fault is told.
    pub refusal: fn(AssertionFault) -> Reason,
}

/// What names the client of an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// `sub`, and `iss` says the same (RFC 7523 section 3): `kid` names one of the client's keys.
    Subject,
    /// `kid`: it is the client's id, and any key of the client may have signed; `iss` is free, `sub` is the client's subject.
    KeyId,
}

/// An assertion that is well-formed. Nothing in it is proven. `Debug` shows nothing of it: whoever holds it can use it.
pub struct UnverifiedAssertion {
    rules: &'static AssertionRules,
    jwt: UnverifiedJwt,
    client_id: String,
    claims: Claims,
}

/// What an assertion has proven.
#[derive(Debug)]
pub struct VerifiedAssertion {
    /// The client that signed it.
    pub client: Arc<Client>,
    /// Which of its keys did.
    pub kid: String,
    /// What has to be stored before it counts, if it is good once.
    pub write: Option<Write>,
}

// RFC 7519 section 4.1. Times are whole seconds since the epoch.
struct Claims {
    iss: Option<String>,
    sub: String,
    aud: Option<Vec<String>>,
    exp: u64,
    iat: Option<u64>,
    nbf: Option<u64>,
    jti: Option<String>,
}

/// The rules of the revised RFC 7523, in whose words the issuer is the only audience.
pub const CLIENT_AUTHENTICATION: AssertionRules = AssertionRules {
    typ: "client-authentication+jwt",
    algs: &Alg::ASYMMETRIC,
    named_by: NamedBy::Subject,
    profile: AssertionProfile::Rfc7523,
    sole_audience: true,
    max_lifetime: 300,
    single_use: true,
    refusal: Reason::ClientAssertion,
};

/// The same for assertions that are the grant.
pub const AUTHORIZATION_GRANT: AssertionRules =
    AssertionRules { typ: "authorization-grant+jwt", refusal: Reason::AssertionGrant, ..CLIENT_AUTHENTICATION };

/// How many seconds a caller's clock may differ from ours.
pub const CLOCK_SKEW: u64 = 10;
/// The longest assertion that is read.
pub const MAX_ASSERTION_BYTES: usize = 4096;

impl UnverifiedAssertion {
    /// Reads an assertion: the end of its syntax.
    ///
    /// # Errors
    /// What is wrong with its form, as the rules tell it.
    pub fn parse(text: &str, rules: &'static AssertionRules) -> Result<Self, Reason> {
        Self::read(text, rules).map_err(rules.refusal)
    }

    fn read(text: &str, rules: &'static AssertionRules) -> Result<Self, AssertionFault> {
        if text.len() > MAX_ASSERTION_BYTES {
            return Err(AssertionFault::TooLong);
        }
        let jwt = UnverifiedJwt::parse(text, HeaderKey::Refused)?;
        if !rules.algs.contains(&jwt.unverified_alg()) {
            return Err(AssertionFault::AlgNotTaken);
        }
        if jwt.is_typ(rules.typ) == Some(false) && jwt.is_typ("JWT") == Some(false) {
            return Err(AssertionFault::TypNotTaken);
        }
        let claims = Claims::read(jwt.unverified_claims())?;
        let strict = claims.iss.is_some() && claims.jti.is_some() && claims.aud.is_some();
        let client_id = match rules.named_by {
            NamedBy::Subject if strict => claims.sub.clone(),
            NamedBy::Subject => return Err(AssertionFault::MalformedClaims),
            NamedBy::KeyId => {
                let kid = jwt.unverified_kid().ok_or(AssertionFault::MalformedClaims)?;
                if jwt.unverified_claims().get("kid").is_some_and(|claim| claim != kid) {
                    return Err(AssertionFault::MalformedClaims);
                }
                kid.to_owned()
            }
        };
        Ok(Self { rules, jwt, client_id, claims })
    }

    /// The id of the client that it says it is of, in any grammar.
    #[must_use]
    pub fn unverified_client_id(&self) -> &str {
        &self.client_id
    }

    /// Proves it against the clients that were found for it: the signature first, and then what it says.
    ///
    /// An unknown client and an unknown key cost a verification too. `now` is in seconds since the epoch.
    ///
    /// # Errors
    /// What is wrong with it, as the rules tell it. That the client is disabled is none of it.
    pub fn verify(&self, clients: &[Arc<Client>], server: &Server<'_>, now: u64) -> Result<VerifiedAssertion, Reason> {
        let verified = self.signer(clients).and_then(|(client, kid)| {
            if client.assertion_profile != self.rules.profile {
                return Err(AssertionFault::AnotherProfile);
            }
            self.check_times(client, now)?;
            self.check_names(client, server)?;
            Ok(VerifiedAssertion { client: Arc::clone(client), kid: kid.to_owned(), write: self.write(client) })
        });
        verified.map_err(self.rules.refusal)
    }

    fn signer<'a>(&self, clients: &'a [Arc<Client>]) -> Result<(&'a Arc<Client>, &'a str), AssertionFault> {
        let alg = self.jwt.unverified_alg();
        let Some(client) = clients.iter().find(|client| client.client_id.as_str() == self.client_id) else {
            jwk::verify_nothing(&self.jwt);
            return Err(AssertionFault::UnknownClient);
        };
        let kid = match self.rules.named_by {
            NamedBy::Subject => self.jwt.unverified_kid(),
            NamedBy::KeyId => None,
        };
        let mut fault = AssertionFault::UnknownKey;
        for (kid, key) in client.jwks.iter().flat_map(|jwks| jwks.candidates(kid, alg)) {
            if self.jwt.verify(key) {
                return Ok((client, kid));
            }
            fault = AssertionFault::SignatureMismatch;
        }
        if fault == AssertionFault::UnknownKey {
            jwk::verify_nothing(&self.jwt);
        }
        Err(fault)
    }

    fn check_names(&self, client: &Client, server: &Server<'_>) -> Result<(), AssertionFault> {
        let claims = &self.claims;
        let named = match self.rules.named_by {
            NamedBy::Subject => claims.iss.as_ref() == Some(&claims.sub),
            NamedBy::KeyId => claims.sub == client.client_id.as_str() || client.subject.as_ref() == Some(&claims.sub),
        };
        if !named {
            return Err(AssertionFault::WrongSubject);
        }
        let addressed = match claims.aud.as_deref() {
            None => !self.rules.sole_audience,
            Some([only]) if self.rules.sole_audience && client.legacy_assertion_audience => {
                only == server.issuer || *only == server.token_endpoint()
            }
            Some([only]) => only == server.issuer,
            Some(several) => !self.rules.sole_audience && several.iter().any(|one| one == server.issuer),
        };
        if addressed { Ok(()) } else { Err(AssertionFault::WrongAudience) }
    }

    fn check_times(&self, client: &Client, now: u64) -> Result<(), AssertionFault> {
        let latest = now.saturating_add(CLOCK_SKEW);
        let max_lifetime = client.assertion_lifetime.map_or(0, AssertionLifetime::as_seconds);
        if self.claims.exp.saturating_add(CLOCK_SKEW) <= now {
            Err(AssertionFault::Expired)
        } else if self.claims.exp > latest.saturating_add(self.rules.max_lifetime.max(max_lifetime)) {
            Err(AssertionFault::LongLived)
        } else if [self.claims.iat, self.claims.nbf].into_iter().flatten().any(|start| start > latest) {
            Err(AssertionFault::NotYetValid)
        } else {
            Ok(())
        }
    }

    // It is remembered until it is expired by every clock: `exp` was found not to be far ahead.
    fn write(&self, client: &Client) -> Option<Write> {
        let jti = self.claims.jti.as_ref().filter(|_| self.rules.single_use)?;
        Some(Write::UseOnce {
            row: StateRow::AssertionJti { client_id: client.client_id.clone(), jti: jti.clone() },
            expires_at: self.claims.exp.saturating_add(CLOCK_SKEW),
            lost: (self.rules.refusal)(AssertionFault::Replayed),
        })
    }
}

impl Claims {
    // A claim that is there has to be of its type, whether it is needed or not. NumericDate is taken as whole seconds: a
    // fraction, or a number that is no time, is somebody's mistake.
    fn read(claims: &Map<String, Value>) -> Result<Self, AssertionFault> {
        Ok(Self {
            iss: claim(claims, "iss", text)?,
            sub: claim(claims, "sub", text)?.ok_or(AssertionFault::MalformedClaims)?,
            aud: claim(claims, "aud", audience)?,
            exp: claim(claims, "exp", Value::as_u64)?.ok_or(AssertionFault::MalformedClaims)?,
            iat: claim(claims, "iat", Value::as_u64)?,
            nbf: claim(claims, "nbf", Value::as_u64)?,
            jti: claim(claims, "jti", text)?,
        })
    }
}

fn claim<T>(
    claims: &Map<String, Value>,
    name: &str,
    read: fn(&Value) -> Option<T>,
) -> Result<Option<T>, AssertionFault> {
    claims.get(name).map(|value| read(value).ok_or(AssertionFault::MalformedClaims)).transpose()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

// RFC 7519 section 4.1.3.
fn audience(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(several) => several.iter().map(text).collect(),
        one => Some(vec![text(one)?]),
    }
}

impl fmt::Debug for UnverifiedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnverifiedAssertion(..)")
    }
}
