//! Token exchange (RFC 8693): a token of ours for another one that allows less.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Facts, Issue, Lookups, target::Asked};
use crate::{
    keyring::KeyRing,
    oauth::{
        access_token::{AccessToken, TokenId},
        client::Client,
        dpop::Proof,
        error::Reason,
        params::{Param, Params},
        vocabulary::TokenType,
    },
};

/// What the grant reads of a request: text, until the key ring has told what of it is a token of ours.
#[derive(Debug)]
pub struct Request {
    asked: Asked,
    subject: Presented,
    actor: Presented,
    requested_token_type: Option<String>,
}

/// What becomes of a token that was exchanged: the part of an [`Issue`] that only this grant has.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The `sub` of the token, which is the subject token's.
    pub subject: String,
    /// Its `act` (RFC 8693 section 4.1): who acts, and for whom that one acted before.
    pub act: Option<Value>,
    /// The tokens that it came of, the subject token first: it is revoked with each.
    pub subject_tokens: Vec<TokenId>,
    /// What it is called in the answer.
    pub issued_token_type: TokenType,
    /// The first second, since the epoch, at which it must not be good any more.
    pub not_after: u64,
}

// A token that was presented, with what its sender says that it is.
struct Presented {
    token: Option<String>,
    token_type: Option<String>,
    verified: Option<AccessToken>,
}

// How many exchanges may follow one another: each makes the token longer, and dearer to introspect, and none has yet been seen to
// need more.
const MAX_EXCHANGES: usize = 4;

impl Request {
    /// Takes the grant's parameters.
    #[must_use]
    pub fn read(params: &Params) -> Self {
        Self {
            asked: Asked::read(params),
            subject: Presented::read(params, Param::SubjectToken, Param::SubjectTokenType),
            actor: Presented::read(params, Param::ActorToken, Param::ActorTokenType),
            requested_token_type: params.get(Param::RequestedTokenType).map(str::to_owned),
        }
    }

    /// Notes which of what was presented are tokens that `issuer` issued and that have not expired.
    ///
    /// Not those of an HMAC key: whoever verifies them can make them, and would get in exchange what is good everywhere.
    pub fn verify(&mut self, ring: &KeyRing, issuer: &str, now: u64) {
        for presented in [&mut self.subject, &mut self.actor] {
            let ours = |token| ring.verify_as_ours_alone(token, issuer, now);
            presented.verified = presented.token.as_deref().and_then(ours);
        }
    }

    /// Adds what says whether the tokens are still good.
    pub fn add_lookups(&self, lookups: &mut Lookups) {
        for token in [&self.subject, &self.actor].into_iter().filter_map(|presented| presented.verified.as_ref()) {
            lookups.add(token);
        }
    }

    /// The token that a proven client gets.
    ///
    /// # Errors
    /// `invalid_request` for whatever is wrong with one of the tokens (RFC 8693 section 2.2.2); `invalid_scope`,
    /// `invalid_target` and `invalid_authorization_details` for what exceeds the subject token or the registration.
    pub fn decide(&self, client: &Arc<Client>, facts: &Facts, proof: Option<&Proof>) -> Result<Issue, Reason> {
        let issued_token_type = match &self.requested_token_type {
            None => TokenType::AccessToken,
            Some(name) => TokenType::named(name).ok_or(Reason::TokenTypeNotTaken)?,
        };
        let subject = self.subject.good(facts, Reason::SubjectTokenNotGood)?.ok_or(Reason::MissingSubjectToken)?;
        let actor = self.actor.good(facts, Reason::ActorTokenNotGood)?;
        let its_own = subject.client_id == client.client_id;
        if !its_own && !client.subject_token_clients.contains(&subject.client_id) {
            return Err(Reason::SubjectTokenNotAllowed);
        }
        // In exchange for it there would be a token that is good without the key; unless that is proven and binds the new one.
        let mut confirmations =
            [Some(subject), actor].into_iter().flatten().filter_map(|token| token.claims.get("cnf"));
        if confirmations.any(|cnf| proof.is_none_or(|proof| json!({"jkt": proof.jkt()}) != *cnf)) {
            return Err(Reason::SubjectTokenBound);
        }
        // Nobody names another one as who acts: the `sub` of a token that was obtained by exchange may be another one's.
        if actor.is_some_and(|actor| actor.client_id != client.client_id || actor.lineage.len() > 1) {
            return Err(Reason::ActorTokenNotAllowed);
        }
        // The subject token is one of its own lineage.
        if subject.lineage.len() > MAX_EXCHANGES {
            return Err(Reason::TooManyExchanges);
        }
        let granted = self.asked.grant(client, Some(subject))?;
        Ok(Issue {
            scope: granted.scope,
            audience: granted.audience,
            lifetime: granted.lifetime,
            authorization_details: granted.authorization_details,
            alg: client.access_token_signed_response_alg,
            confirmation: None,
            added_claims: Map::new(),
            exchanged: Some(Exchanged {
                subject: subject.subject.clone(),
                act: act(subject, actor),
                subject_tokens: subject.lineage.clone(),
                issued_token_type,
                not_after: actor.map_or(subject.expires_at, |actor| actor.expires_at.min(subject.expires_at)),
            }),
            client: Arc::clone(client),
        })
    }
}

impl Presented {
    fn read(params: &Params, token: Param, token_type: Param) -> Self {
        let text = |param| params.get(param).map(str::to_owned);
        Self { token: text(token), token_type: text(token_type), verified: None }
    }

    // The token, if one was sent and it is good; `None` if none was sent.
    fn good(&self, facts: &Facts, otherwise: Reason) -> Result<Option<&AccessToken>, Reason> {
        match (&self.token, &self.token_type) {
            (None, None) => return Ok(None),
            (Some(_), Some(name)) => TokenType::named(name).ok_or(Reason::TokenTypeNotTaken)?,
            (Some(_), None) | (None, Some(_)) => return Err(Reason::TokenWithoutType),
        };
        self.verified.as_ref().filter(|token| facts.is_active(token)).map(Some).ok_or(otherwise)
    }
}

// Whoever acts stands outermost, and inside who acted before (RFC 8693 section 4.1).
fn act(subject: &AccessToken, actor: Option<&AccessToken>) -> Option<Value> {
    let before = subject.claims.get("act");
    let Some(actor) = actor else { return before.cloned() };
    let mut act = json!({"sub": actor.subject, "client_id": actor.client_id});
    if let (Some(members), Some(before)) = (act.as_object_mut(), before) {
        members.insert("act".to_owned(), before.clone());
    }
    Some(act)
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("token_type", &self.token_type).finish_non_exhaustive()
    }
}
