//! `mintlet client long-lived-token`: for eventhos clients that get no short-lived tokens, one that lasts.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Map, Value, json};

use super::{One, Target, at, id};
use crate::{
    cli::{
        Failure, duration,
        key::{self, Place},
        local::KEYS_FILE,
        state_table::LongLivedToken,
        variable, visible,
    },
    config::parse_issuer,
    dialect::{Dialect, Stamp},
    edge::{keys::Source, moment},
    grant::{Issue, client_credentials},
    keyring::KeyRing,
    oauth::{certificate::Certificate, client::Client, jwt::Alg, params::Params},
};

#[derive(Debug, ClapArgs)]
pub(super) struct Issuing {
    #[command(flatten)]
    one: One,
    /// How long it is good for: 365d, 12h, or seconds
    #[arg(long, value_parser = duration::parse)]
    expires: u64,
    /// What it is for
    #[arg(long)]
    label: Option<String>,
    /// The issuer's URL, as the service has it [default: $ISSUER]
    #[arg(long)]
    issuer: Option<String>,
    #[command(flatten)]
    keys: Place,
}

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// List the long-lived tokens of a client that have not expired, without the tokens themselves
    ///
    /// Good: it was not revoked. Whether its key is still in the ring, `mintlet key list` says.
    #[command(after_help = "Example:\n  mintlet client long-lived-tokens list --local --client-id sensor")]
    List(One),
    /// Revoke a long-lived token
    ///
    /// Only who asks the service about a token learns of it. A verifier that goes by the published keys alone takes the token
    /// until it expires.
    #[command(after_help = "Example:\n  mintlet client long-lived-tokens revoke --local --client-id sensor --jti JTI")]
    Revoke {
        #[command(flatten)]
        one: One,
        /// The token's id, as `long-lived-tokens list` shows it
        #[arg(long, allow_hyphen_values = true)]
        jti: String,
    },
}

const MIN_SECONDS: u64 = 60;
const MAX_SECONDS: u64 = 10 * 366 * 24 * 60 * 60;

impl Target {
    pub(super) async fn issue_long_lived(&self, issuing: Issuing) -> Result<(), Failure> {
        let Issuing { one, expires, label, issuer, keys } = issuing;
        if !(MIN_SECONDS..=MAX_SECONDS).contains(&expires) {
            return Err(Failure::new("--expires: a minute at least, and ten years at most"));
        }
        let issuer = issuer_url(issuer)?;
        let source = self.source(keys).await?;
        let (table, state) = self.tables().await?;
        let client = table.existing(&id(&one.client_id)?).await?;
        check(&client)?;
        let moment = moment::draw().map_err(Failure::new)?;
        let (now, expires_at) = (moment.now, moment.now.saturating_add(expires));

        // The key first: it has to be published for as long as the token is good, whatever fails after that.
        let (mut document, as_read) = key::read_or_empty(&source).await?;
        let ring = KeyRing::try_from(&document).map_err(Failure::new)?;
        let by_default = ring.signer(None, now).map(crate::keyring::SigningKey::alg);
        let alg = client.access_token_signed_response_alg.or(by_default).unwrap_or(Alg::RS256);
        let kid = document.long_lived_key(alg, now, expires_at).map_err(Failure::new)?;
        let is_new = !ring.keys().iter().any(|held| held.key.kid() == kid);
        key::write(&source, &as_read, &document).await?;

        let ring = KeyRing::try_from(&document).map_err(Failure::new)?;
        let stamp = Stamp { issuer: &issuer, issued_at: now, expires_at, jti: &moment.jti, kid: &kid };
        let access_token = sign(&client, &ring, &stamp)?;
        let token = LongLivedToken { jti: moment.jti, kid, label, issued_at: now, expires_at };
        state.add_long_lived_token(&one.client_id, &token).await?;

        let LongLivedToken { jti, kid, .. } = &token;
        let news = match alg {
            _ if !is_new => String::new(),
            Alg::HS256 => format!(
                "\nIt is the first of its key, {kid}, which is never published: verifiers need its `k` of the key ring."
            ),
            Alg::RS256 | Alg::PS256 | Alg::ES256 | Alg::ES384 | Alg::EdDSA => format!(
                "\nIt is the first of its key, {kid}: verifiers know it once they have fetched the published keys again."
            ),
        };
        self.report(
            &json!({
                "client_id": one.client_id, "access_token": access_token, "jti": jti, "kid": kid, "expires_at": expires_at
            }),
            &format!(
                "issued {jti} to {}, good until {}\naccess_token: {access_token}\nIt is shown this once: store it now.{news}",
                one.client_id,
                at(expires_at)
            ),
        );
        Ok(())
    }

    pub(super) async fn long_lived_tokens(&self, command: Tokens) -> Result<(), Failure> {
        match command {
            Tokens::List(one) => self.list_long_lived(&one).await,
            Tokens::Revoke { one, jti } => self.revoke_long_lived(&one, &jti).await,
        }
    }

    async fn list_long_lived(&self, one: &One) -> Result<(), Failure> {
        let state = self.state().await?;
        let tokens = good(state.long_lived_tokens(&one.client_id).await?, moment::now());
        let revoked = state.revoked(&super::id(&one.client_id)?, tokens.iter().map(|token| token.jti.as_str())).await?;
        let status = |token: &LongLivedToken| if revoked.contains(&token.jti) { "revoked" } else { "good" };
        if self.json {
            let tokens: Vec<Value> = tokens
                .iter()
                .map(|token| {
                    let mut shown = json!(token);
                    shown
                        .as_object_mut()
                        .map(|members: &mut Map<_, _>| members.insert("state".to_owned(), json!(status(token))));
                    shown
                })
                .collect();
            say!("{}", json!({"client_id": one.client_id, "tokens": tokens}));
        } else {
            for token in &tokens {
                say!(
                    "{}\t{}\tissued {}\texpires {}\t{}",
                    token.jti,
                    status(token),
                    at(token.issued_at),
                    at(token.expires_at),
                    visible(token.label.as_deref().unwrap_or_default())
                );
            }
        }
        Ok(())
    }

    async fn revoke_long_lived(&self, one: &One, jti: &str) -> Result<(), Failure> {
        let state = self.state().await?;
        let now = moment::now();
        let tokens = good(state.long_lived_tokens(&one.client_id).await?, now);
        let token = tokens.iter().find(|token| token.jti == jti).ok_or_else(|| {
            Failure::new(format!("client {} has no long-lived token {jti:?} that has not expired", one.client_id))
        })?;
        let done = if state.revoke(&super::id(&one.client_id)?, token, now).await? {
            "revoked"
        } else {
            "was revoked already:"
        };
        let answer = json!({"client_id": one.client_id, "jti": jti, "expires_at": token.expires_at});
        self.report(&answer, &format!("{done} {jti} of {}", one.client_id));
        Ok(())
    }

    async fn source(&self, keys: Place) -> Result<Source, Failure> {
        if self.local && !keys.is_given() {
            let path = self.data_dir.join(KEYS_FILE);
            return if path.exists() {
                Ok(Source::File(path))
            } else {
                Err(Failure::new(format!("{}: no such file; it holds the keys of `mintlet serve`", path.display())))
            };
        }
        keys.source().await
    }
}

fn check(client: &Client) -> Result<(), Failure> {
    let id = &client.client_id;
    if !client.eventhos.as_ref().is_some_and(|eventhos| eventhos.long_lived) {
        return Err(Failure::new(format!(
            "client {id} is not one for long-lived tokens: its record would have to say eventhos.long_lived, and then it \
             gets no short-lived ones at the eventhos endpoint"
        )));
    }
    if client.dpop_bound_access_tokens || Certificate::binding(client, None).is_err() {
        return Err(Failure::new(format!(
            "client {id} is registered for tokens that are bound to a key or a certificate, and a long-lived one is bound to \
             nothing"
        )));
    }
    if client.disabled { Err(Failure::new(format!("client {id} is disabled"))) } else { Ok(()) }
}

fn issuer_url(issuer: Option<String>) -> Result<String, Failure> {
    let issuer = issuer.or_else(|| variable("ISSUER"));
    let issuer = issuer.ok_or_else(|| Failure::new("say who issues the token: --issuer URL, as the service has it"))?;
    parse_issuer(&issuer).ok_or_else(|| Failure::new("--issuer is not an https URL without query and fragment"))
}

// What the eventhos endpoint would put into a token of this client, signed.
fn sign(client: &Client, ring: &KeyRing, stamp: &Stamp<'_>) -> Result<String, Failure> {
    let dialect = Dialect::named("eventhos").ok_or_else(|| Failure::new("there is no eventhos dialect"))?;
    let nothing_asked = Params::from_form(b"").map_err(|reason| Failure::new(reason.name()))?;
    let grant = client_credentials::Request::read(&nothing_asked);
    let issue: Issue = grant.decide(&client.clone().into()).map_err(|reason| Failure::new(reason.name()))?;
    let claims = dialect.claims(&issue, stamp).map_err(Failure::new)?;
    let key = ring.key(stamp.kid).ok_or_else(|| Failure::new("the key is not in the ring"))?;
    key.sign(dialect.typ, &claims).map_err(Failure::new)
}

fn good(tokens: Vec<LongLivedToken>, now: u64) -> Vec<LongLivedToken> {
    tokens.into_iter().filter(|token| now < token.expires_at).collect()
}
