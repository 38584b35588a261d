//! The keys that clients publish themselves (`jwks_uri`), put before a store: fetched when a request needs them, and remembered for
//! as long as an instance lives. To the rules they are the client's registered keys.

pub mod fetch;

use std::{convert::Infallible, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;
use tokio::sync::Mutex;

use super::{client_cache::bounded_cache, moment::Stopwatch};
use crate::{
    grant::{Facts, Lookups, Write},
    oauth::{
        client::Client,
        jwk::Jwks,
        jwks_uri::{AllowedUris, Fetched, Held, JwksUri},
    },
    service::{Loaded, Store, StoreFault, WriteFault},
};

/// Where published keys are fetched from.
pub trait JwksSource: Send + Sync + 'static {
    /// Asks for the keys at a URL. What is wrong is for the log, and repeats nothing of the answer.
    fn fetch(&self, uri: &JwksUri) -> impl Future<Output = Result<Fetched, String>> + Send;
}

/// A store whose clients have the keys that they publish.
pub struct PublishedKeys<S, F> {
    store: S,
    published: Option<Arc<Published<F>>>,
}

struct Published<F> {
    allowed: AllowedUris,
    source: F,
    slots: Cache<JwksUri, Arc<Slot>>,
}

#[derive(Default)]
struct Slot {
    held: ArcSwap<Held>,
    // Taken while the server is asked, so that requests that come meanwhile share the answer.
    asking: Mutex<()>,
}

// Most sets are a few KiB, 64 at most; hosts are listed by the operator, and the function has 256 MB or more.
const MAX_URIS: usize = 1024;

impl<S: Store, F: JwksSource> PublishedKeys<S, F> {
    /// Fetches what is allowed from a source; without one, nothing: a client that publishes its keys then has none.
    pub fn new(store: S, source: Option<(AllowedUris, F)>) -> Self {
        let published = source.map(|(allowed, source)| Published { allowed, source, slots: bounded_cache(MAX_URIS) });
        Self { store, published: published.map(Arc::new) }
    }
}

impl<S: Store, F: JwksSource> Store for PublishedKeys<S, F> {
    async fn load(&self, lookups: &Lookups, now: u64) -> Result<Loaded, StoreFault> {
        let mut loaded = self.store.load(lookups, now).await?;
        if let Some(published) = &self.published {
            for client in &mut loaded.facts.clients {
                if let Some(uri) = published.of(client, lookups) {
                    give(client, published.keys(uri, now).await?);
                }
            }
        }
        Ok(loaded)
    }

    async fn reload(&self, lookups: &Lookups, facts: &Facts, now: u64) -> Result<Option<Loaded>, StoreFault> {
        let reloaded = self.store.reload(lookups, facts, now).await?;
        let Some(published) = &self.published else { return Ok(reloaded) };
        let mut is_new = reloaded.is_some();
        let mut loaded = reloaded.unwrap_or_else(|| Loaded { facts: facts.clone(), took: Duration::ZERO });
        for client in &mut loaded.facts.clients {
            if let Some(uri) = published.of(client, lookups) {
                is_new |= published.renew(uri, now).await;
                give(client, published.keys(uri, now).await?);
            }
        }
        Ok(is_new.then_some(loaded))
    }

    async fn commit(&self, writes: &[Write], now: u64) -> Result<(), WriteFault> {
        self.store.commit(writes, now).await
    }
}

fn give(client: &mut Arc<Client>, jwks: Jwks) {
    *client = Arc::new(Client { jwks: Some(jwks), ..Client::clone(client) });
}

impl<F: JwksSource> Published<F> {
    // Where the keys are that a request needs of a client, if they may be fetched.
    fn of<'a>(&self, client: &'a Client, lookups: &Lookups) -> Option<&'a JwksUri> {
        lookups.published_keys(client).filter(|uri| self.allowed.allows(uri))
    }

    async fn keys(self: &Arc<Self>, uri: &JwksUri, now: u64) -> Result<Jwks, StoreFault> {
        let slot = self.slot(uri);
        if let Some(jwks) = slot.held.load().fresh(now) {
            return Ok(jwks.clone());
        }
        self.ask(uri, &slot, now).await;
        let held = slot.held.load();
        held.usable(now).cloned().ok_or_else(|| {
            let fault = held.fault().unwrap_or("its keys are too old");
            StoreFault::ClientKeysUnavailable(format!("the jwks_uri at {}: {fault}", uri.host()))
        })
    }

    // Asks again, whatever is remembered; `false`: there are no other keys.
    async fn renew(self: &Arc<Self>, uri: &JwksUri, now: u64) -> bool {
        let slot = self.slot(uri);
        let before = slot.held.load_full();
        self.ask(uri, &slot, now).await;
        slot.held.load().differs_from(&before)
    }

    fn slot(&self, uri: &JwksUri) -> Arc<Slot> {
        let slot = self.slots.get_or_insert_with(uri, || Ok::<_, Infallible>(Arc::default()));
        slot.unwrap_or_else(|never| match never {})
    }

    // Asks the server, unless that was done a moment ago. As a task of its own: a caller that hangs up must not keep the answer,
    // nor that there was none, from being remembered.
    async fn ask(self: &Arc<Self>, uri: &JwksUri, slot: &Arc<Slot>, now: u64) {
        if slot.held.load().may_ask(now) {
            let (published, uri, slot) = (Arc::clone(self), uri.clone(), Arc::clone(slot));
            drop(tokio::spawn(async move { published.fetch(&uri, &slot, now).await }).await);
        }
    }

    async fn fetch(&self, uri: &JwksUri, slot: &Slot, now: u64) {
        let _asking = slot.asking.lock().await;
        let held = slot.held.load_full();
        if !held.may_ask(now) {
            return;
        }
        let stopwatch = Stopwatch::start();
        let outcome = self.source.fetch(uri).await;
        let (host, took_ms) = (uri.host(), stopwatch.elapsed().as_millis());
        match &outcome {
            Ok(Fetched { jwks, lifetime }) => {
                tracing::info!(host, keys = jwks.list().count(), lifetime, took_ms, "a client's keys were fetched");
            }
            Err(detail) => tracing::warn!(host, detail, took_ms, "a client's keys could not be fetched"),
        }
        slot.held.store(Arc::new(held.after(outcome, now)));
    }
}
