//! `mintlet client rotate-secret`, `secrets` and `rehash`: the secrets of a client through their life.

use std::io::Read as _;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::{One, Target, at, id, listing::Used};
use crate::{
    cli::{
        Failure, duration,
        merge::{add_secret, check_slow_hashes, generate_secret, hash, later_than},
        visible,
    },
    edge::moment,
    oauth::{
        client::{Client, ClientSecret},
        secret::Secret,
    },
};

#[derive(Debug, ClapArgs)]
pub(super) struct RotateSecret {
    #[command(flatten)]
    one: One,
    /// How long the old secrets go on working: 7d, 12h, or seconds; 0 ends them at once
    #[arg(long, default_value = "1d", value_parser = duration::parse)]
    overlap: u64,
    /// How long the new one works [default: until it is rotated]
    #[arg(long, value_parser = duration::parse)]
    expires: Option<u64>,
    /// What the new secret is for
    #[arg(long)]
    label: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Secrets {
    /// List the secrets of a client: when they expire, and when they were last used
    ///
    /// The last use is kept to the hour, for 400 days. Never seen: the secret was not used since then, nor since it was made.
    #[command(after_help = "Example:\n  mintlet client secrets list --local --client-id billing")]
    List(One),
    /// Take a secret away from a client
    ///
    /// Warm instances notice within CLIENT_CACHE_TTL seconds. Tokens that it got stay good until they expire.
    #[command(after_help = "Example:\n  mintlet client secrets revoke --local --client-id billing --secret-id s1")]
    Revoke(Revoke),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Revoke {
    #[command(flatten)]
    one: One,
    /// The secret's id, as `secrets list` shows it
    #[arg(long, allow_hyphen_values = true)]
    secret_id: String,
    /// Take it away even if no other secret of the client works
    #[arg(long)]
    force: bool,
}

impl Target {
    pub(super) async fn rotate_secret(&self, rotate: RotateSecret) -> Result<(), Failure> {
        if rotate.expires == Some(0) {
            return Err(Failure::new("--expires: a second at least, or the new secret would never work"));
        }
        let table = self.clients().await?;
        let before = table.existing(&id(&rotate.one.client_id)?).await?;
        let now = later_than(&before);
        let mut after = before.clone();
        after.updated_at = now;
        let end = now.saturating_add(rotate.overlap);
        for secret in &mut after.client_secrets {
            secret.expires_at = Some(secret.expires_at.map_or(end, |expires_at| expires_at.min(end)));
        }
        after.client_secrets.retain(|secret| works(secret, now));
        let secret = generate_secret()?;
        add_secret(&mut after, &before.client_secrets, &secret, rotate.label, now)?;
        if let (Some(added), Some(expires)) = (after.client_secrets.last_mut(), rotate.expires) {
            added.expires_at = Some(now.saturating_add(expires));
        }
        table.replace(&before, &after).await?;
        self.report_secret("rotated the secret of", &after, &secret);
        Ok(())
    }

    pub(super) async fn secrets(&self, command: Secrets) -> Result<(), Failure> {
        match command {
            Secrets::List(one) => self.list_secrets(&one).await,
            Secrets::Revoke(revoke) => self.revoke_secret(revoke).await,
        }
    }

    async fn list_secrets(&self, one: &One) -> Result<(), Failure> {
        let (table, state) = self.tables().await?;
        let client = table.existing(&id(&one.client_id)?).await?;
        let used = Used::read(&state, std::slice::from_ref(&client)).await?;
        let now = moment::now();
        if self.json {
            let secrets: Vec<_> =
                client.client_secrets.iter().map(|secret| shown(&client, secret, &used, now)).collect();
            say!("{}", json!({"client_id": one.client_id, "secrets": secrets}));
        } else {
            for secret in &client.client_secrets {
                say!("{}", line(&client, secret, &used, now));
            }
        }
        Ok(())
    }

    async fn revoke_secret(&self, revoke: Revoke) -> Result<(), Failure> {
        let Revoke { one, secret_id, force } = revoke;
        let table = self.clients().await?;
        let before = table.existing(&id(&one.client_id)?).await?;
        let now = later_than(&before);
        let mut after = Client { updated_at: now, ..before.clone() };
        after.client_secrets.retain(|secret| secret.id != secret_id);
        let Some(revoked) = before.client_secrets.iter().find(|secret| secret.id == secret_id) else {
            let ids: Vec<_> = before.client_secrets.iter().map(|secret| secret.id.as_str()).collect();
            let ids = if ids.is_empty() { "none at all".to_owned() } else { ids.join(", ") };
            return Err(Failure::new(format!("client {} has no secret {secret_id:?}; it has {ids}", one.client_id)));
        };
        if !force && works(revoked, now) && !after.client_secrets.iter().any(|secret| works(secret, now)) {
            return Err(Failure::new(format!(
                "{secret_id} is the only secret of client {} that works: nothing was changed. `mintlet client rotate-secret` \
                 makes another one first; --force takes it away all the same",
                one.client_id
            )));
        }
        table.replace(&before, &after).await?;
        self.report(
            &json!({"client_id": one.client_id, "secret_id": secret_id}),
            &format!("revoked {secret_id} of {}", one.client_id),
        );
        Ok(())
    }

    pub(super) async fn rehash(&self, one: &One) -> Result<(), Failure> {
        let table = self.clients().await?;
        let before = table.existing(&id(&one.client_id)?).await?;
        let presented = read_secret()?;
        let mut after = Client { updated_at: later_than(&before), ..before.clone() };
        let matching = after.client_secrets.iter_mut().find(|secret| secret.hash.verify(&presented));
        let secret = matching.ok_or_else(|| {
            Failure::new(format!("this is no secret of client {}: nothing was changed", one.client_id))
        })?;
        let (secret_id, old) = (secret.id.clone(), secret.hash.clone());
        // Its client may spell it in the other case. It is as fast, and spells bytes that nobody has to guess.
        if !old.takes_other_spellings() {
            secret.hash = hash(&presented)?;
        }
        let (from, to) = (old.parameters(), secret.hash.parameters());
        let changed = from != to;
        let done = if changed {
            check_slow_hashes(&after)?;
            table.replace(&before, &after).await?;
            format!("rehashed {secret_id} of {}: {from} became {to}", one.client_id)
        } else {
            format!("{secret_id} of {} is {to} already: nothing was changed", one.client_id)
        };
        let answer =
            json!({"client_id": one.client_id, "secret_id": secret_id, "from": from, "to": to, "changed": changed});
        self.report(&answer, &done);
        Ok(())
    }
}

/// Whether a secret authenticates its client at `now`.
pub(super) fn works(secret: &ClientSecret, now: u64) -> bool {
    secret.expires_at.is_none_or(|expires_at| now < expires_at)
}

/// A secret as it may be seen, in JSON.
pub(super) fn shown(client: &Client, secret: &ClientSecret, used: &Used, now: u64) -> Value {
    let mut shown = json!({
        "id": secret.id, "label": secret.label, "scheme": secret.hash.scheme(), "state": state(secret, now),
        "created_at": secret.created_at, "expires_at": secret.expires_at, "last_used_at": used.at(client, secret)
    });
    if let Some(members) = shown.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    shown
}

/// The same as a line.
pub(super) fn line(client: &Client, secret: &ClientSecret, used: &Used, now: u64) -> String {
    let expiry =
        secret.expires_at.map_or("does not expire".to_owned(), |expires_at| format!("expires {}", at(expires_at)));
    let last_use = used.at(client, secret).map_or("never seen".to_owned(), |used| format!("last used {}", at(used)));
    format!(
        "{}\t{}\t{}\tmade {}\t{expiry}\t{last_use}\t{}",
        visible(&secret.id),
        state(secret, now),
        secret.hash.scheme(),
        at(secret.created_at),
        visible(secret.label.as_deref().unwrap_or_default()),
    )
}

fn state(secret: &ClientSecret, now: u64) -> &'static str {
    if works(secret, now) { "works" } else { "expired" }
}

// Never from an argument, which others on the machine can read.
fn read_secret() -> Result<Secret, Failure> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin().read_to_string(&mut text).map_err(Failure::new)?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(Failure::new("there is no secret on standard input"));
    }
    Ok(Secret::new(secret))
}
