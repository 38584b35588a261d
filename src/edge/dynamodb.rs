//! The store: look-ups become keys, items become facts, writes become conditional requests.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    Client as Sdk,
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{AttributeValue, Put, TransactWriteItem},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::{try_join, try_join_all};

use super::{
    aws,
    moment::{self, Stopwatch},
};
use crate::{
    grant::{Facts, Found, Lookups, StateRow, Write},
    oauth::client::{Client, ClientId},
    service::{Loaded, Store, StoreFault, WriteFault},
};

/// An item as the SDK holds it.
pub type Item = HashMap<String, AttributeValue>;

/// The key attribute of the clients table.
pub const CLIENTS_KEY: &str = "client_id";
/// The key attribute of the state table.
pub const STATE_KEY: &str = "pk";
/// The attribute by which DynamoDB expires items of the state table, seconds since the epoch.
pub const STATE_TTL: &str = "expires_at";
// The time that is stored with a row.
const STATE_AT: &str = "at";
// A random text of the request that wrote a row, so that the SDK's second try, whose first one did arrive, is not taken for
// somebody else.
const STATE_NONCE: &str = "nonce";
// DynamoDB deletes what has expired late, so that a row may still be there and count as gone.
const FREE: &str = "attribute_not_exists(pk) OR expires_at <= :now OR nonce = :nonce";

// How long to wait before each further try, in milliseconds. Of two transactions over one row DynamoDB may cancel either or both,
// and neither has lost yet. Each try is a new transaction, with a token of its own: the nonce is what recognises an earlier one.
const CONFLICT_WAITS: [u64; 4] = [10, 20, 40, 80];

/// The tables of a deployment, over the AWS SDK.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    sdk: Sdk,
    clients_table: String,
    state_table: String,
    consistent: bool,
}

// What became of a try to write.
enum Written {
    // All of it is stored.
    All,
    // The condition of the write of that index does not hold.
    Lost(usize),
    // Another transaction over one of the rows is under way. The text is for the log.
    Conflict(String),
}

impl DynamoDb {
    /// A store over the two tables.
    #[must_use]
    pub fn new(sdk: Sdk, clients_table: impl Into<String>, state_table: impl Into<String>) -> Self {
        Self { sdk, clients_table: clients_table.into(), state_table: state_table.into(), consistent: false }
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

    // The same, and whose item cannot be read: that it is there shows that the client exists.
    async fn named_client(&self, id: &ClientId) -> Result<Option<Client>, StoreFault> {
        self.client(id).await.map_err(|fault| match fault {
            StoreFault::MalformedItem(detail) => StoreFault::MalformedItem(format!("client {id}: {detail}")),
            fault @ (StoreFault::Unavailable(_) | StoreFault::ClientKeysUnavailable(_)) => fault,
        })
    }

    // Read as it was written last: a revocation holds from the moment on at which it was answered.
    async fn row(&self, row: &StateRow, now: u64) -> Result<Option<(StateRow, Found)>, StoreFault> {
        let output = self
            .sdk
            .get_item()
            .table_name(&self.state_table)
            .key(STATE_KEY, AttributeValue::S(row.pk()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreFault::Unavailable(aws::fault(&error)))?;
        let Some(item) = output.item else { return Ok(None) };
        let found = Found { expires_at: seconds(&item, STATE_TTL)?, at: seconds(&item, STATE_AT)? };
        Ok((found.expires_at > now).then(|| (row.clone(), found)))
    }

    fn put(&self, write: &Write, now: u64, nonce: &str) -> Result<Put, WriteFault> {
        let (row, expires_at, at, condition) = match write {
            Write::UseOnce { row, expires_at, .. } => (row, expires_at, now, Some(FREE)),
            Write::Put { row, expires_at, at } => (row, expires_at, *at, None),
        };
        let put = Put::builder()
            .table_name(&self.state_table)
            .item(STATE_KEY, AttributeValue::S(row.pk()))
            .item(STATE_TTL, AttributeValue::N(expires_at.to_string()))
            .item(STATE_AT, AttributeValue::N(at.to_string()))
            .item(STATE_NONCE, AttributeValue::S(nonce.to_owned()))
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_values(condition.map(|_| {
                HashMap::from([
                    (":now".to_owned(), AttributeValue::N(now.to_string())),
                    (":nonce".to_owned(), AttributeValue::S(nonce.to_owned())),
                ])
            }));
        put.build().map_err(|error| WriteFault::Unavailable(error.to_string()))
    }

    async fn write(&self, puts: &[Put]) -> Result<Written, WriteFault> {
        match puts {
            [put] => self.write_one(put.clone()).await,
            several => self.write_all(several).await,
        }
    }

    async fn write_one(&self, put: Put) -> Result<Written, WriteFault> {
        let request = self.sdk.put_item().table_name(put.table_name).set_item(Some(put.item));
        let request = request.set_condition_expression(put.condition_expression);
        let Err(error) = request.set_expression_attribute_values(put.expression_attribute_values).send().await else {
            return Ok(Written::All);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(Written::Lost(0)),
            Some(PutItemError::TransactionConflictException(_)) => Ok(Written::Conflict(aws::fault(&error))),
            _ => Err(WriteFault::Unavailable(aws::fault(&error))),
        }
    }

    // The same for several, of which all are stored or none.
    async fn write_all(&self, puts: &[Put]) -> Result<Written, WriteFault> {
        let items = puts.iter().map(|put| TransactWriteItem::builder().put(put.clone()).build()).collect();
        let Err(error) = self.sdk.transact_write_items().set_transact_items(Some(items)).send().await else {
            return Ok(Written::All);
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => canceled.cancellation_reasons(),
            _ => &[],
        };
        let first = |code: &str| reasons.iter().position(|reason| reason.code() == Some(code));
        match (first("ConditionalCheckFailed"), first("TransactionConflict")) {
            // No try would change that, whatever the other writes met.
            (Some(index), _) => Ok(Written::Lost(index)),
            (None, Some(_)) => Ok(Written::Conflict(aws::fault(&error))),
            (None, None) => Err(WriteFault::Unavailable(aws::fault(&error))),
        }
    }
}

impl Store for DynamoDb {
    async fn load(&self, lookups: &Lookups, now: u64) -> Result<Loaded, StoreFault> {
        let stopwatch = Stopwatch::start();
        let clients = try_join_all(lookups.client_ids.iter().map(|id| self.named_client(id)));
        let (clients, state) = if lookups.rows.is_empty() {
            (clients.await?, Vec::new())
        } else {
            try_join(clients, try_join_all(lookups.rows.iter().map(|row| self.row(row, now)))).await?
        };
        let facts = Facts {
            clients: clients.into_iter().flatten().map(Arc::new).collect(),
            state: state.into_iter().flatten().collect(),
        };
        Ok(Loaded { facts, took: stopwatch.elapsed() })
    }

    async fn commit(&self, writes: &[Write], now: u64) -> Result<(), WriteFault> {
        if writes.is_empty() {
            return Ok(());
        }
        let nonce = moment::random::<16>().map_err(|error| WriteFault::Unavailable(error.to_string()))?;
        let nonce = URL_SAFE_NO_PAD.encode(nonce);
        let puts: Vec<_> = writes.iter().map(|write| self.put(write, now, &nonce)).collect::<Result<_, _>>()?;
        let mut waits = CONFLICT_WAITS.into_iter();
        let lost = loop {
            match self.write(&puts).await? {
                Written::All => return Ok(()),
                Written::Lost(index) => break index,
                Written::Conflict(detail) => {
                    let wait = waits.next().ok_or(WriteFault::Unavailable(detail))?;
                    tokio::time::sleep(about(wait)).await;
                }
            }
        };
        // Which condition did not hold decides what the request is told.
        match writes.get(lost).and_then(Write::lost) {
            Some(reason) => Err(WriteFault::Lost(reason)),
            None => Ok(()),
        }
    }
}

// Between half of it and all, so that two that met do not meet again.
fn about(milliseconds: u64) -> Duration {
    let [chance] = moment::random::<1>().unwrap_or_default();
    Duration::from_micros(milliseconds * (500 + 500 * u64::from(chance) / 255))
}

// A number of seconds in a row of the state table.
fn seconds(item: &Item, name: &str) -> Result<u64, StoreFault> {
    item.get(name)
        .and_then(|value| value.as_n().ok())
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| StoreFault::MalformedItem(format!("at {name} of a row of the state table")))
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
