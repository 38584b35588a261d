//! A cache of clients in front of a store, for as long as an instance lives. Rows of the state table are never cached.
//!
//! Its TTL is the delay with which a disabled client, or a secret that was taken away, is noticed by a warm instance.

use std::{hash::Hash, sync::Arc};

use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter, sync::Cache, sync::DefaultLifecycle};

use crate::{
    grant::{Facts, Lookups, Write},
    oauth::client::{Client, ClientId},
    service::{Loaded, Store, StoreFault, WriteFault},
};

/// A store whose clients are remembered for a while.
pub struct CachedClients<S> {
    store: S,
    ttl: u64,
    cache: Cache<ClientId, Entry>,
}

#[derive(Clone)]
struct Entry {
    client: Option<Arc<Client>>,
    read_at: u64,
}

// A client is about a kilobyte, and the function has 256 MB or more.
const MAX_CLIENTS: usize = 4096;
// Enough for the threads of a laptop. Left to itself, the cache counts the machine's cores: 0.1 ms of every start.
const SHARDS: usize = 8;
// A client that was just registered should not have to wait for the full TTL.
const MAX_NEGATIVE_TTL: u64 = 5;

impl<S: Store> CachedClients<S> {
    /// Remembers what `store` answers for `ttl` seconds, and that a client does not exist for at most 5; 0 remembers nothing.
    pub fn new(store: S, ttl: u64) -> Self {
        Self { store, ttl, cache: bounded_cache(MAX_CLIENTS) }
    }

    async fn read(&self, lookups: Lookups, now: u64) -> Result<Loaded, StoreFault> {
        let loaded = self.store.load(&lookups, now).await?;
        if self.ttl > 0 {
            for id in lookups.client_ids {
                let client = loaded.facts.clients.iter().find(|client| client.client_id == id).cloned();
                self.cache.insert(id, Entry { client, read_at: now });
            }
        }
        Ok(loaded)
    }

    fn remembered(&self, id: &ClientId, now: u64) -> Option<Entry> {
        let entry = self.cache.get(id)?;
        let ttl = if entry.client.is_some() { self.ttl } else { self.ttl.min(MAX_NEGATIVE_TTL) };
        // An entry from the future means that the clock was set back: it could otherwise be used for ever.
        let age = now.checked_sub(entry.read_at)?;
        (age < ttl).then_some(entry)
    }
}

/// A cache of at most `max` items.
pub(super) fn bounded_cache<K: Eq + Hash, V: Clone>(max: usize) -> Cache<K, V> {
    let mut options = OptionsBuilder::new();
    options.shards(SHARDS).estimated_items_capacity(max).weight_capacity(max as u64);
    options.build().map_or_else(
        |_| Cache::new(max),
        |options| {
            Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
        },
    )
}

impl<S: Store> Store for CachedClients<S> {
    async fn load(&self, lookups: &Lookups, now: u64) -> Result<Loaded, StoreFault> {
        let mut clients = Vec::with_capacity(lookups.client_ids.len());
        let mut missing = Lookups { rows: lookups.rows.clone(), ..Lookups::default() };
        for id in &lookups.client_ids {
            match self.remembered(id, now) {
                Some(entry) => clients.extend(entry.client),
                None => missing.client_ids.push(id.clone()),
            }
        }
        let mut loaded =
            if missing == Lookups::default() { Loaded::default() } else { self.read(missing, now).await? };
        loaded.facts.clients.append(&mut clients);
        Ok(loaded)
    }

    async fn reload(&self, lookups: &Lookups, _facts: &Facts, now: u64) -> Result<Option<Loaded>, StoreFault> {
        let is_old = |id| self.cache.get(id).is_some_and(|entry| now.saturating_sub(entry.read_at) >= MAX_NEGATIVE_TTL);
        if !lookups.client_ids.iter().any(is_old) {
            return Ok(None);
        }
        self.read(lookups.clone(), now).await.map(Some)
    }

    async fn commit(&self, writes: &[Write], now: u64) -> Result<(), WriteFault> {
        self.store.commit(writes, now).await
    }
}
