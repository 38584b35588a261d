//! The line of introspection and revocation: a token that was issued comes back.

use std::sync::Arc;

use http::{HeaderValue, header};

use super::{Call, Hook, Keys, Record, Store, TokenService, decode};
use crate::{
    dialect::{Dialect, Response},
    endpoint::{introspect, issued_token, revoke},
    grant::{Facts, Moment},
    keyring::KeyRing,
    oauth::{
        error::Reason,
        jws::{HeaderKey, UnverifiedJwt},
        vocabulary::Server,
    },
};

impl<S: Store, K: Keys, H: Hook> TokenService<S, K, H> {
    pub(super) async fn introspect(
        &self,
        issuer: Option<&str>,
        call: &Call,
        moment: &Moment,
        record: &mut Record,
    ) -> Result<Response, Reason> {
        let (request, server, ring) = self.about_a_token(issuer, call, moment, record).await?;
        let token = ring.verify(&request.token, server.issuer, moment.now);
        let decide = |facts: &Facts| introspect::decide(&request, token.as_ref(), facts, &server, moment);
        let lookups = request.lookups(token.as_ref());
        let (introspection, writes) = self.consider(&request.client_ids(), &lookups, moment, record, decide).await?;
        let response = if introspect::wants_jwt(&call.headers) {
            introspect::signed(&introspection, &ring, server.issuer, moment.now)?
        } else {
            introspect::plain(&introspection)
        };
        self.commit(&writes, moment, record).await?;
        record.jti = token.map(|token| token.jti);
        Ok(response)
    }

    pub(super) async fn revoke(
        &self,
        issuer: Option<&str>,
        call: &Call,
        moment: &Moment,
        record: &mut Record,
    ) -> Result<Response, Reason> {
        let (request, server, ring) = self.about_a_token(issuer, call, moment, record).await?;
        let token = ring.verify(&request.token, server.issuer, moment.now);
        let decide = |facts: &Facts| revoke::decide(&request, token.as_ref(), facts, &server, moment);
        // Whether it was revoked before changes nothing, and is not looked up.
        let ((), writes) = self.consider(&request.client_ids(), &request.lookups(None), moment, record, decide).await?;
        self.commit(&writes, moment, record).await?;
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
    ) -> Result<(issued_token::Request, Server<'a>, Arc<KeyRing>), Reason> {
        let dialect = Dialect::oauth2();
        let params = decode(dialect, call)?;
        let authorization = call.headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        let certificate = self.settings.mutual_tls.as_ref().and_then(|mutual_tls| mutual_tls.certificate(call));
        let request = issued_token::Request::parse(&params, authorization, certificate.as_deref())?;
        record.present(&request.credentials);
        let server = Server { issuer: issuer.ok_or(Reason::UnknownIssuer)?, token_path: dialect.path };
        let mut ring = self.keys.ring(None, moment.now).await.map_err(|fault| record.keys_fault(fault))?;
        // It may be of a key that was made since: to call it inactive, or revoked, would be untrue.
        let jwt = UnverifiedJwt::parse(&request.token, HeaderKey::Refused);
        let is_known = |kid: &str| ring.key(kid).is_some();
        if jwt.is_ok_and(|jwt| jwt.unverified_kid().is_some_and(|kid| !is_known(kid)))
            && let Some(reread) = self.keys.reread(moment.now).await
        {
            ring = reread;
        }
        Ok((request, server, ring))
    }
}
