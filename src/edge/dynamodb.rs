//! The store: look-ups become keys, items become facts, writes become conditional requests.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::{Client as Sdk, types::AttributeValue};
use futures_util::future::try_join_all;

use super::{aws, moment::Stopwatch};
use crate::{
    grant::{Facts, Lookups, Write},
    oauth::client::{Client, ClientId},
    service::{Loaded, Store, StoreFault},
};

/// An item as the SDK holds it.
pub type Item = HashMap<String, AttributeValue>;

/// The key attribute of the clients table.
pub const CLIENTS_KEY: &str = "client_id";
/// The key attribute of the state table.
pub const STATE_KEY: &str = "pk";
/// The attribute by which DynamoDB expires items of the state table, seconds since the epoch.
pub const STATE_TTL: &str = "expires_at";

/// The tables of a deployment, over the AWS SDK.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    sdk: Sdk,
    clients_table: String,
    consistent: bool,
}

impl DynamoDb {
    /// A store over the clients table.
    #[must_use]
    pub fn new(sdk: Sdk, clients_table: impl Into<String>) -> Self {
        Self { sdk, clients_table: clients_table.into(), consistent: false }
    }

    /// The same, reading what was written last and not what may be a moment old: for who reads in order to change.
    #[must_use]
    pub fn consistent(self) -> Self {
        Self { consistent: true, ..self }
    }

    /// Reads one client.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub async fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreFault> {
        let output = self
            .sdk
            .get_item()
            .table_name(&self.clients_table)
            .key(CLIENTS_KEY, AttributeValue::S(id.as_str().to_owned()))
            .consistent_read(self.consistent)
            .send()
            .await
            .map_err(|error| StoreFault::Unavailable(aws::fault(&error)))?;
        output.item.map(from_item).transpose()
    }
}

impl Store for DynamoDb {
    async fn load(&self, lookups: &Lookups, _now: u64) -> Result<Loaded, StoreFault> {
        let stopwatch = Stopwatch::start();
        let found = try_join_all(lookups.client_ids.iter().map(|id| self.client(id))).await?;
        let facts = Facts { clients: found.into_iter().flatten().map(Arc::new).collect() };
        Ok(Loaded { facts, took: stopwatch.elapsed() })
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreFault> {
        match writes.first() {
            None => Ok(()),
            Some(write) => match *write {},
        }
    }
}

/// A client of its item.
///
/// # Errors
/// [`StoreFault::MalformedItem`] with the path of the attribute.
pub fn from_item(item: Item) -> Result<Client, StoreFault> {
    let item = serde_dynamo::AttributeValue::M(serde_dynamo::Item::from(item).into());
    let item = serde_dynamo::Deserializer::from_attribute_value(item);
    let client: Client = serde_path_to_error::deserialize(item).map_err(|error| {
        // Of a missing attribute the path is the whole item, and the error's text has its name; other texts may hold a value.
        let text = error.inner().to_string();
        let missing = if text.starts_with("missing field") { format!(": {text}") } else { String::new() };
        StoreFault::MalformedItem(format!("at {}{missing}", error.path()))
    })?;
    let fault = client.faults().next();
    fault.map_or(Ok(client), |(path, text)| Err(StoreFault::MalformedItem(format!("at {path}: {text}"))))
}

/// The item of a client.
///
/// # Errors
/// If the client has no form in DynamoDB; none has been seen.
pub fn to_item(client: &Client) -> Result<Item, serde_dynamo::Error> {
    serde_dynamo::to_item(client)
}
