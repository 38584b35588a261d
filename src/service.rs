//! One request, from HTTP to HTTP: the straight line that the whole crate hangs on.

mod hook;
mod issued_tokens;
mod mutual_tls;
mod record;
mod seams;

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::{
    dialect::{Dialect, Issued, Response, Stamp},
    endpoint::{self, Route, SwitchedOn},
    grant::{self, Decision, Facts, Lookups, Moment, TokenRequest, Write},
    oauth::{
        client::{ClientId, Lifetime},
        dpop::{Expected, Proof},
        error::Reason,
        params::{Params, check_query},
        vocabulary::Server,
    },
};

pub use self::{
    hook::{Consulted, Hook, HookFault, NoHook},
    mutual_tls::{MutualTls, ORIGIN_SECRET_HEADER, OriginSecret},
    record::Record,
    seams::{Keys, KeysUnavailable, Loaded, Store, StoreFault, WriteFault},
};

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
    /// The client certificate of the connection in PEM, if API Gateway says that it has verified one. Never from a header.
    pub client_certificate: Option<String>,
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
    /// Whether a `DPoP` proof needs a nonce of the server's.
    pub requires_dpop_nonce: bool,
    /// Where client certificates come from, if any are taken.
    pub mutual_tls: Option<MutualTls>,
}

/// An answer, and what is to be logged of it.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP answer.
    pub response: Response,
    /// The log's record of the request.
    pub record: Record,
}

/// The token service: a function of requests, over a store, a key ring, and a hook where there is one.
pub struct TokenService<S, K, H = NoHook> {
    settings: Settings,
    store: S,
    keys: K,
    hook: Option<H>,
}

impl<S: Store, K: Keys> TokenService<S, K> {
    /// A service over `store` and `keys`.
    pub fn new(settings: Settings, store: S, keys: K) -> Self {
        Self { settings, store, keys, hook: None }
    }
}

impl<S: Store, K: Keys, H: Hook> TokenService<S, K, H> {
    /// The same, that asks `hook`, if there is one, before it signs.
    pub fn with_hook<N: Hook>(self, hook: Option<N>) -> TokenService<S, K, N> {
        TokenService { settings: self.settings, store: self.store, keys: self.keys, hook }
    }

    /// Answers one request. Never fails: whatever goes wrong is an answer too.
    pub async fn respond(&self, call: &Call, moment: &Moment) -> Answer {
        let mut record = Record::default();
        let mut nonce = None;
        let issuer = self.settings.issuer.as_deref().or(call.origin.as_deref());
        let route = self.route(&call.path);
        record.route = route.name();
        let dialect = if let Route::Token(dialect) = route { dialect } else { Dialect::oauth2() };
        let work = async {
            match route {
                Route::Token(dialect) => self.token(dialect, issuer, call, moment, &mut record, &mut nonce).await,
                Route::Introspect => self.introspect(issuer, call, moment, &mut record).await,
                Route::Revoke => self.revoke(issuer, call, moment, &mut record).await,
                around => self.around(around, issuer, call, moment, &mut record).await,
            }
        };
        // A defect is an answer too, in the dialect's shape; what it left half done is this request's alone.
        let outcome = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(Reason::Panicked));
        let mut response = outcome.unwrap_or_else(|reason| {
            record.reason = Some(reason);
            let mut response = dialect.refused(reason, issuer);
            if reason == Reason::WrongMethod {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.allow()));
            }
            response
        });
        if let Some(nonce) = nonce {
            response.headers_mut().insert(DPOP_NONCE, nonce);
        }
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

    // The line: decode, prove, look up, decide, ask, commit, sign, render.
    async fn token(
        &self,
        dialect: &'static Dialect,
        issuer: Option<&str>,
        call: &Call,
        moment: &Moment,
        record: &mut Record,
        nonce: &mut Option<HeaderValue>,
    ) -> Result<Response, Reason> {
        let params = decode(dialect, call)?;
        let authorization = call.headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        let certificate = self.settings.mutual_tls.as_ref().and_then(|mutual_tls| mutual_tls.certificate(call));
        let mut request = TokenRequest::parse(&params, authorization, certificate.as_deref(), &dialect.policy)?;
        record.identify(&request);
        let issuer = issuer.ok_or(Reason::UnknownIssuer)?;
        let server = Server { issuer, token_path: dialect.path };
        if let Some(exchange) = request.exchange() {
            let ring = self.keys.ring(None, moment.now).await.map_err(|fault| record.keys_fault(fault))?;
            exchange.verify(&ring, issuer, moment.now);
        }
        if dialect.policy.dpop && call.headers.contains_key(&DPOP) {
            request.proof = Some(self.proof(&server, call, moment, record, nonce).await?);
        }

        let decide = |facts: &Facts| grant::decide(&request, facts, &server, moment);
        let (mut issue, writes) =
            self.consider(&request.client_ids(), &request.lookups(), moment, record, decide).await?;
        let ring = self.keys.ring(issue.alg, moment.now).await.map_err(|fault| record.keys_fault(fault))?;
        let key = ring.signer(issue.alg, moment.now).ok_or(Reason::NoKeyForAlg)?;
        if let Some(hook) = &self.hook {
            let question = issue.question(request.grant_type(), issuer);
            let consulted = hook.consult(&question, moment.now).await.map_err(|fault| record.hook_fault(fault))?;
            issue.added_claims = record.consulted(consulted)?;
        }
        // Last of all that can fail: what is good once only is used up by a token and by nothing else.
        self.commit(&writes, moment, record).await?;

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

    // Look up and decide: by what is remembered, and again by what is stored if that could make a difference. The request says
    // that it is of one of the clients `presented`.
    async fn consider<T>(
        &self,
        presented: &[ClientId],
        lookups: &Lookups,
        moment: &Moment,
        record: &mut Record,
        decide: impl Fn(&Facts) -> Decision<T>,
    ) -> Result<(T, Vec<Write>), Reason> {
        let loaded = self.store.load(lookups, moment.now).await.map_err(|fault| record.store_fault(fault))?;
        record.store = loaded.took;
        record.found(presented, &loaded.facts);
        let mut decision = decide(&loaded.facts);
        if decision.outcome.as_ref().is_err_and(|reason| reason.may_be_outdated()) {
            let reloaded = self.store.reload(lookups, &loaded.facts, moment.now).await;
            if let Some(reloaded) = reloaded.map_err(|fault| record.store_fault(fault))? {
                record.store += reloaded.took;
                record.found(presented, &reloaded.facts);
                decision = decide(&reloaded.facts);
            }
        }
        let Decision { writes, outcome, proven } = decision;
        if let Some(proven) = proven {
            record.authenticated(proven);
        }
        Ok((outcome?, writes))
    }

    async fn commit(&self, writes: &[Write], moment: &Moment, record: &mut Record) -> Result<(), Reason> {
        if writes.is_empty() {
            return Ok(());
        }
        self.store.commit(writes, moment.now).await.map_err(|fault| record.write_fault(fault))
    }

    // A proof that is good here and now. While proofs need nonces, `nonce` becomes the one that the next proof is to have.
    async fn proof(
        &self,
        server: &Server<'_>,
        call: &Call,
        moment: &Moment,
        record: &mut Record,
        nonce: &mut Option<HeaderValue>,
    ) -> Result<Proof, Reason> {
        let ring = if self.settings.requires_dpop_nonce {
            let ring = self.keys.ring(None, moment.now).await.map_err(|fault| record.keys_fault(fault))?;
            let next = ring.dpop_nonce(moment.now).ok_or(Reason::NoKeyForAlg)?;
            *nonce = HeaderValue::try_from(next).ok();
            Some(ring)
        } else {
            None
        };
        // The endpoint as the metadata names it, and as it was called.
        let published = server.token_endpoint();
        let called = call.origin.as_ref().map(|origin| format!("{origin}{}", call.path));
        let expected = Expected {
            urls: &[Some(published.as_str()), called.as_deref()],
            now: moment.now,
            takes_nonce: &|nonce| {
                ring.as_ref().is_none_or(|ring| nonce.is_some_and(|nonce| ring.takes_dpop_nonce(nonce, moment.now)))
            },
        };
        let proof = Proof::read(call.headers.get_all(&DPOP).iter().map(HeaderValue::as_bytes), &expected)?;
        record.jkt = Some(proof.jkt().to_owned());
        Ok(proof)
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
                let mutual_tls = self.settings.mutual_tls.as_ref();
                let on = SwitchedOn {
                    dialects: &self.settings.dialects,
                    authorization_details_types: &self.settings.authorization_details_types,
                    mutual_tls: mutual_tls.is_some(),
                    mtls_base_url: mutual_tls.and_then(|mutual_tls| mutual_tls.base_url.as_deref()),
                };
                Ok(endpoint::metadata(issuer.ok_or(Reason::UnknownIssuer)?, on))
            }
            Route::Token(_) | Route::Introspect | Route::Revoke | Route::Unknown => Err(Reason::UnknownPath),
        }
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

// RFC 9449 sections 4.1 and 8.1.
const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The cap on a request's body, after base64 decoding.
pub const MAX_BODY_BYTES: usize = 16 * 1024;
