//! One request, from HTTP to HTTP: the straight line that the whole crate hangs on.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    dialect::{Dialect, Issued, Response, Stamp},
    endpoint::{self, Route, introspect, issued_token, revoke},
    grant::{self, Decision, Facts, Lookups, Moment, TokenRequest, Write},
    keyring::KeyRing,
    oauth::{
        client::Lifetime,
        client_auth::Credentials,
        error::Reason,
        jwt::Alg,
        params::{Param, Params, check_query},
    },
};

/// Where clients and state are kept.
pub trait Store: Send + Sync {
    /// Reads what a request needs, in one round trip.
    fn load(&self, lookups: &Lookups, now: u64) -> impl Future<Output = Result<Loaded, StoreFault>> + Send;

    /// Reads again what was remembered for a while, if any of it was: a secret that was added since should work at once, and
    /// a client that exists should not be told from one that does not by how long it is remembered. `None`: all is fresh.
    fn reload(&self, _lookups: &Lookups, _now: u64) -> impl Future<Output = Result<Option<Loaded>, StoreFault>> + Send {
        async { Ok(None) }
    }

    /// Carries out what was decided, in at most one round trip; all of it or nothing. `now` is what conditions compare with.
    fn commit(&self, writes: &[Write], now: u64) -> impl Future<Output = Result<(), WriteFault>> + Send;
}

/// Where the signing keys come from.
pub trait Keys: Send + Sync {
    /// The ring to use at `now`; `wanted` is the algorithm that it is needed for, if it is a certain one.
    fn ring(&self, wanted: Option<Alg>, now: u64)
    -> impl Future<Output = Result<Arc<KeyRing>, KeysUnavailable>> + Send;
}

/// Facts, and what reading them took.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What was found.
    pub facts: Facts,
    /// The time that the round trip took; zero if a cache answered.
    pub took: Duration,
}

/// Why the store could not answer. The text is for the log: it holds no secret.
#[derive(Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// It could not be reached in time, or refused for now.
    Unavailable(String),
    /// An item in it cannot be read; names the attribute.
    MalformedItem(String),
}

/// Why nothing was written.
#[derive(Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// The condition of a write does not hold, and this is what that means.
    Lost(Reason),
    /// The store could not be reached in time, or refused for now. The text is for the log.
    Unavailable(String),
}

/// There is no key ring, and none could be fetched. The text is for the log.
#[derive(Debug, PartialEq, Eq)]
pub struct KeysUnavailable(pub String);

/// A request as it comes from the edge. `Debug` is left out: headers and body hold secrets.
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path below the API's stage; not a URI's, since API Gateway hands it over decoded.
    pub path: String,
    /// The query string, without its question mark.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or why it could not be had.
    pub body: Result<Bytes, Reason>,
    /// The issuer to use when none is configured: where API Gateway says it was called.
    pub origin: Option<String>,
}

/// What the deployment has configured of the service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer's URL, if it is fixed.
    pub issuer: Option<String>,
    /// The path of the issuer's URL, under which a custom domain may have mapped the API; empty if it has none.
    pub base_path: String,
    /// The dialects that are on.
    pub dialects: Vec<&'static str>,
    /// The lifetime of access tokens whose client has none of its own.
    pub access_token_lifetime: Lifetime,
    /// The types of `authorization_details` (RFC 9396) that the metadata announces.
    pub authorization_details_types: Vec<String>,
}

/// An answer, and what is to be logged of it.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP answer.
    pub response: Response,
    /// The log's record of the request.
    pub record: Record,
}

/// What is logged of a request: never a secret or a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The route, or the dialect's name.
    pub route: &'static str,
    /// `grant_type`, if it is one that the route serves.
    pub grant_type: Option<&'static str>,
    /// The client's id as it was sent.
    pub client_id: Option<String>,
    /// How the client authenticated.
    pub auth_method: Option<&'static str>,
    /// Which of the client's credentials it used: the id of a secret.
    pub credential_id: Option<String>,
    /// Why the request was refused.
    pub reason: Option<Reason>,
    /// What a backend said, if it failed.
    pub detail: Option<String>,
    /// The key that signed.
    pub kid: Option<String>,
    /// The token's id.
    pub jti: Option<String>,
    /// What reading the store took.
    pub store: Duration,
}

/// The token service: a function of requests, over a store and a key ring.
pub struct TokenService<S, K> {
    settings: Settings,
    store: S,
    keys: K,
}

impl<S: Store, K: Keys> TokenService<S, K> {
    /// A service over `store` and `keys`.
    pub fn new(settings: Settings, store: S, keys: K) -> Self {
        Self { settings, store, keys }
    }

    /// Answers one request. Never fails: whatever goes wrong is an answer too.
    pub async fn respond(&self, call: &Call, moment: &Moment) -> Answer {
        let mut record = Record::default();
        let issuer = self.settings.issuer.as_deref().or(call.origin.as_deref());
        let route = self.route(&call.path);
        record.route = route.name();
        let dialect = if let Route::Token(dialect) = route { dialect } else { Dialect::oauth2() };
        let work = async {
            match route {
                Route::Token(dialect) => self.token(dialect, issuer, call, moment, &mut record).await,
                Route::Introspect => self.introspect(issuer, call, moment, &mut record).await,
                Route::Revoke => self.revoke(issuer, call, moment, &mut record).await,
                around => self.around(around, issuer, call, moment, &mut record).await,
            }
        };
        // A defect is an answer too, in the dialect's shape; what it left half done is this request's alone.
        let outcome = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(Reason::Panicked));
        let response = outcome.unwrap_or_else(|reason| {
            record.reason = Some(reason);
            let mut response = dialect.refused(reason, issuer);
            if reason == Reason::WrongMethod {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.allow()));
            }
            response
        });
        Answer { response, record }
    }

    // Below the base path, or without it: behind API Gateway's own domain there is none, and a route may begin like it.
    fn route(&self, path: &str) -> Route {
        let dialects = &self.settings.dialects;
        match path.strip_prefix(self.settings.base_path.as_str()).map(|below| Route::of(below, dialects)) {
            None | Some(Route::Unknown) => Route::of(path, dialects),
            Some(route) => route,
        }
    }

    // The line: decode, look up, decide, commit, sign, render.
    async fn token(
        &self,
        dialect: &'static Dialect,
        issuer: Option<&str>,
        call: &Call,
        moment: &Moment,
        record: &mut Record,
    ) -> Result<Response, Reason> {
        let params = decode(dialect, call)?;
        record.client_id = params.get(Param::ClientId).map(str::to_owned);
        let authorization = call.headers.get_all(header::AUTHORIZATION);
        let mut request =
            TokenRequest::parse(&params, authorization.iter().map(HeaderValue::as_bytes), &dialect.policy)?;
        record.identify(&request);
        if let Some(exchange) = request.exchange() {
            let issuer = issuer.ok_or(Reason::UnknownIssuer)?;
            let ring = self.keys.ring(None, moment.now).await.map_err(|fault| record.keys_fault(fault))?;
            exchange.verify(&ring, issuer, moment.now);
        }

        let decide = |facts: &Facts| grant::decide(&request, facts, moment);
        let issue = self.settle(&request.lookups(), moment, record, decide).await?;

        let issuer = issuer.ok_or(Reason::UnknownIssuer)?;
        let ring = self.keys.ring(issue.alg, moment.now).await.map_err(|fault| record.keys_fault(fault))?;
        let key = ring.signer(issue.alg, moment.now).ok_or(Reason::NoKeyForAlg)?;
        let lifetime = issue.lifetime.unwrap_or(self.settings.access_token_lifetime.as_seconds());
        let left = issue.exchanged.as_ref().map(|exchanged| exchanged.not_after.saturating_sub(moment.now));
        let expires_in = left.map_or(lifetime, |left| lifetime.min(left));
        let stamp = Stamp {
            issuer,
            issued_at: moment.now,
            expires_at: moment.now.saturating_add(expires_in),
            jti: &moment.jti,
            kid: key.kid(),
        };
        let claims = dialect.claims(&issue, &stamp).map_err(|_| Reason::SigningFailed)?;
        let access_token = key.sign(dialect.typ, &claims).map_err(|_| Reason::SigningFailed)?;
        record.kid = Some(key.kid().to_owned());
        record.jti = Some(moment.jti.clone());
        Ok(dialect.issued(&issue, &Issued { access_token: &access_token, expires_in }))
    }

    // Look up, decide, commit.
    async fn settle<T>(
        &self,
        lookups: &Lookups,
        moment: &Moment,
        record: &mut Record,
        decide: impl Fn(&Facts) -> Decision<T>,
    ) -> Result<T, Reason> {
        let loaded = self.store.load(lookups, moment.now).await.map_err(|fault| record.store_fault(fault))?;
        record.store = loaded.took;
        let mut decision = decide(&loaded.facts);
        if matches!(decision.outcome, Err(Reason::SecretMismatch)) {
            let reloaded = self.store.reload(lookups, moment.now).await.map_err(|fault| record.store_fault(fault))?;
            if let Some(reloaded) = reloaded {
                record.store = reloaded.took;
                decision = decide(&reloaded.facts);
            }
        }
        let Decision { writes, outcome, proven } = decision;
        if let Some(proven) = proven {
            record.client_id = Some(proven.client.client_id.to_string());
            record.credential_id = Some(proven.credential_id);
        }
        let outcome = outcome?;
        if !writes.is_empty() {
            self.store.commit(&writes, moment.now).await.map_err(|fault| record.write_fault(fault))?;
        }
        Ok(outcome)
    }

    async fn introspect(
        &self,
        issuer: Option<&str>,
        call: &Call,
        moment: &Moment,
        record: &mut Record,
    ) -> Result<Response, Reason> {
        let (request, issuer, ring) = self.about_a_token(issuer, call, moment, record).await?;
        let token = ring.verify(&request.token, issuer, moment.now);
        let decide = |facts: &Facts| introspect::decide(&request, token.as_ref(), facts, moment);
        let introspection = self.settle(&request.lookups(token.as_ref()), moment, record, decide).await?;
        record.jti = token.map(|token| token.jti);
        if introspect::wants_jwt(&call.headers) {
            introspect::signed(&introspection, &ring, issuer, moment.now)
        } else {
            Ok(introspect::plain(&introspection))
        }
    }

    async fn revoke(
        &self,
        issuer: Option<&str>,
        call: &Call,
        moment: &Moment,
        record: &mut Record,
    ) -> Result<Response, Reason> {
        let (request, issuer, ring) = self.about_a_token(issuer, call, moment, record).await?;
        let token = ring.verify(&request.token, issuer, moment.now);
        let decide = |facts: &Facts| revoke::decide(&request, token.as_ref(), facts, moment);
        // Whether it was revoked before changes nothing, and is not looked up.
        self.settle(&request.lookups(None), moment, record, decide).await?;
        record.jti = token.map(|token| token.jti);
        Ok(revoke::revoked())
    }

    // What introspection and revocation begin with. The ring comes before the store: only what we have signed is looked up.
    async fn about_a_token<'a>(
        &self,
        issuer: Option<&'a str>,
        call: &Call,
        moment: &Moment,
        record: &mut Record,
    ) -> Result<(issued_token::Request, &'a str, Arc<KeyRing>), Reason> {
        let params = decode(Dialect::oauth2(), call)?;
        record.client_id = params.get(Param::ClientId).map(str::to_owned);
        let authorization = call.headers.get_all(header::AUTHORIZATION);
        let request = issued_token::Request::parse(&params, authorization.iter().map(HeaderValue::as_bytes))?;
        record.present(&request.credentials);
        let issuer = issuer.ok_or(Reason::UnknownIssuer)?;
        let ring = self.keys.ring(None, moment.now).await.map_err(|fault| record.keys_fault(fault))?;
        Ok((request, issuer, ring))
    }

    // What stands around the token endpoint.
    async fn around(
        &self,
        route: Route,
        issuer: Option<&str>,
        call: &Call,
        moment: &Moment,
        record: &mut Record,
    ) -> Result<Response, Reason> {
        if !matches!(route, Route::Unknown) && call.method != Method::GET && call.method != Method::HEAD {
            return Err(Reason::WrongMethod);
        }
        match route {
            Route::Health => Ok(endpoint::health()),
            Route::Jwks => {
                let ring = self.keys.ring(None, moment.now).await.map_err(|fault| record.keys_fault(fault))?;
                Ok(endpoint::jwks(&ring, moment.now))
            }
            Route::Metadata => {
                let Settings { dialects, authorization_details_types, .. } = &self.settings;
                let issuer = issuer.ok_or(Reason::UnknownIssuer)?;
                Ok(endpoint::metadata(issuer, dialects, authorization_details_types))
            }
            Route::Token(_) | Route::Introspect | Route::Revoke | Route::Unknown => Err(Reason::UnknownPath),
        }
    }
}

impl Record {
    fn identify(&mut self, request: &TokenRequest) {
        self.grant_type = Some(request.grant_type().as_str());
        self.present(&request.credentials);
    }

    fn present(&mut self, credentials: &Credentials) {
        self.auth_method = Some(credentials.method.as_str());
        self.client_id = credentials.presented.client_ids().next().map(str::to_owned);
    }

    fn store_fault(&mut self, fault: StoreFault) -> Reason {
        let (reason, detail) = match fault {
            StoreFault::Unavailable(detail) => (Reason::StoreUnavailable, detail),
            StoreFault::MalformedItem(detail) => (Reason::MalformedClientItem, detail),
        };
        self.detail = Some(detail);
        reason
    }

    fn write_fault(&mut self, fault: WriteFault) -> Reason {
        match fault {
            WriteFault::Lost(reason) => reason,
            WriteFault::Unavailable(detail) => self.store_fault(StoreFault::Unavailable(detail)),
        }
    }

    fn keys_fault(&mut self, KeysUnavailable(detail): KeysUnavailable) -> Reason {
        self.detail = Some(detail);
        Reason::KeysUnavailable
    }
}

fn decode(dialect: &Dialect, call: &Call) -> Result<Params, Reason> {
    if call.method != Method::POST {
        return Err(Reason::WrongMethod);
    }
    let body = call.body.as_ref().map_err(|reason| *reason)?;
    if body.len() > MAX_BODY_BYTES {
        return Err(Reason::BodyTooLarge);
    }
    check_query(&call.query)?;
    dialect.read(&call.headers, body)
}

/// The cap on a request's body, after base64 decoding.
pub const MAX_BODY_BYTES: usize = 16 * 1024;
