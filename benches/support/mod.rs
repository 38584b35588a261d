//! What the benchmarks of `TokenService::respond` have in common.

use std::sync::Arc;

use mintlet::{
    grant::{Facts, Lookups, Write},
    oauth::client::Client,
    service::{Loaded, Store, StoreFault, WriteFault},
};

/// A store that has the client in memory, as the cache has, and forgets what it is told to keep.
pub struct AtHand(pub Arc<Client>);

impl Store for AtHand {
    async fn load(&self, _: &Lookups, _: u64) -> Result<Loaded, StoreFault> {
        Ok(Loaded { facts: Facts { clients: vec![Arc::clone(&self.0)], ..Facts::default() }, ..Loaded::default() })
    }

    async fn commit(&self, _: &[Write], _: u64) -> Result<(), WriteFault> {
        Ok(())
    }
}

/// The figure in the middle.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
