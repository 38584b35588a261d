//! The seams of the line: what it asks of the world, and how the world may fail.

use std::{future::Future, sync::Arc, time::Duration};

use crate::{
    grant::{Facts, Lookups, Write},
    keyring::KeyRing,
    oauth::{error::Reason, jwt::Alg},
};

/// Where clients and state are kept.
pub trait Store: Send + Sync {
    /// Reads what a request needs, in one round trip.
    fn load(&self, lookups: &Lookups, now: u64) -> impl Future<Output = Result<Loaded, StoreFault>> + Send;

    /// Reads again what was remembered for a while, if any of it was: a credential that was added since should work at once, and
    /// a client that exists should not be told from one that does not by how long it is remembered. `facts` is what was read.
    /// `None`: all of it is fresh.
    fn reload(
        &self,
        _lookups: &Lookups,
        _facts: &Facts,
        _now: u64,
    ) -> impl Future<Output = Result<Option<Loaded>, StoreFault>> + Send {
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

    /// The ring as it is kept now, for a token whose key the one in use does not have. `None`: it was read a moment ago, or
    /// cannot be read.
    fn reread(&self, _now: u64) -> impl Future<Output = Option<Arc<KeyRing>>> + Send {
        async { None }
    }
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
    /// The keys of a client are published elsewhere, and cannot be had from there.
    ClientKeysUnavailable(String),
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
