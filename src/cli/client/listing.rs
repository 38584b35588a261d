//! `mintlet client list`, and the secrets that it finds by their age.

use clap::Args as ClapArgs;
use serde_json::json;

use super::{
    Target,
    secrets::{line, shown as shown_secret, works},
    shown,
};
use crate::{
    cli::{
        Failure, duration,
        state_table::{LastUsed, StateTable},
    },
    edge::{moment, secret_use::KEPT},
    oauth::client::{Client, ClientSecret},
};

#[derive(Debug, ClapArgs)]
pub(super) struct List {
    /// Only secrets that expire within that time: 30d, 12h, or seconds
    #[arg(long, value_parser = duration::parse)]
    expiring: Option<u64>,
    /// Only secrets that were made that long ago, and not used since: 90d, 12h, or seconds; 400d at most
    ///
    /// A secret without any last use counts from when it was made: it was never seen, or not for 400 days, after which the
    /// last use is forgotten.
    #[arg(long, value_parser = duration::parse)]
    unused: Option<u64>,
}

/// When the secrets of some clients were last used.
pub(super) struct Used(LastUsed);

impl Used {
    /// Reads it of the state table.
    pub(super) async fn read(state: &StateTable, clients: &[Client]) -> Result<Self, Failure> {
        let ids = clients.iter().map(|client| client.client_id.as_str());
        state.last_used(ids).await.map(Self)
    }

    /// When a secret was last used. A use before it was made is another secret's that had its id.
    pub(super) fn at(&self, client: &Client, secret: &ClientSecret) -> Option<u64> {
        let used = *self.0.get(client.client_id.as_str())?.get(&secret.id)?;
        (used >= secret.created_at).then_some(used)
    }
}

impl Target {
    pub(super) async fn list(&self, list: &List) -> Result<(), Failure> {
        if list.expiring.is_some() || list.unused.is_some() {
            return self.list_by_age(list).await;
        }
        let clients = self.clients().await?.list().await?;
        if self.json {
            say!("{}", json!({"clients": clients.iter().map(shown).collect::<Vec<_>>()}));
        } else {
            for client in clients {
                let state = if client.disabled { "disabled" } else { "enabled" };
                say!(
                    "{}\t{state}\t{} secret(s)\t{}",
                    client.client_id,
                    client.client_secrets.len(),
                    client.scope.as_str()
                );
            }
        }
        Ok(())
    }

    // Secrets, and not clients: what an operator acts on, and nothing that `apply` would take for whole clients.
    async fn list_by_age(&self, list: &List) -> Result<(), Failure> {
        if list.unused.is_some_and(|unused| unused > KEPT) {
            return Err(Failure::new("--unused: the last use is known for 400 days, and not for longer"));
        }
        let (table, state) = self.tables().await?;
        let clients = table.list().await?;
        let used = Used::read(&state, &clients).await?;
        let now = moment::now();
        let expiring = |secret: &ClientSecret, within: u64| {
            works(secret, now) && secret.expires_at.is_some_and(|expires_at| expires_at - now <= within)
        };
        let unused = |client: &Client, secret: &ClientSecret, since: u64| {
            now.saturating_sub(used.at(client, secret).unwrap_or(secret.created_at)) >= since
        };
        let found = clients.iter().flat_map(|client| client.client_secrets.iter().map(move |secret| (client, secret)));
        let found = found.filter(|(client, secret)| {
            list.expiring.is_none_or(|within| expiring(secret, within))
                && list.unused.is_none_or(|since| unused(client, secret, since))
        });
        if self.json {
            let secrets = found.map(|(client, secret)| {
                let mut shown = shown_secret(client, secret, &used, now);
                if let Some(members) = shown.as_object_mut() {
                    members.insert("client_id".to_owned(), json!(client.client_id));
                }
                shown
            });
            say!("{}", json!({"secrets": secrets.collect::<Vec<_>>()}));
        } else {
            for (client, secret) in found {
                say!("{}\t{}", client.client_id, line(client, secret, &used, now));
            }
        }
        Ok(())
    }
}
