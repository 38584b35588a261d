//! The clients table as an operator changes it: every write carries the condition under which it was decided.

use aws_sdk_dynamodb::{
    Client as Sdk,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Put, TransactWriteItem, Update},
};

use super::{Failure, merge::merge, registration::Registration};
use crate::{
    config::STATE_TABLE,
    edge::{
        aws,
        dynamodb::{CLIENTS_KEY, DynamoDb, Item, from_item, to_item},
        moment,
    },
    oauth::{
        client::{Client, ClientId},
        jwt::Alg,
    },
    service::StoreFault,
};

/// The clients table of a deployment.
pub struct ClientsTable {
    sdk: Sdk,
    table: String,
}

/// What applying a registration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// There was no such client.
    Created,
    /// There was one, and it has changed.
    Updated,
    /// There was one, and it is as asked for.
    Unchanged,
}

const ALGS: [&str; 2] = ["access_token_signed_response_alg", "introspection_signed_response_alg"];
// DynamoDB takes 100 items and 4 MB in one transaction; a client is 64 KiB at most.
const MAX_TRANSACTION: usize = 60;

impl ClientsTable {
    /// The table of that name.
    pub fn new(sdk: Sdk, table: impl Into<String>) -> Self {
        Self { sdk, table: table.into() }
    }

    /// Reads one client.
    ///
    /// # Errors
    /// If the table cannot be read, or the item is malformed.
    pub async fn get(&self, id: &ClientId) -> Result<Option<Client>, Failure> {
        let store = DynamoDb::new(self.sdk.clone(), self.table.as_str(), STATE_TABLE).consistent();
        store.client(id).await.map_err(|fault| match fault {
            StoreFault::Unavailable(detail) | StoreFault::ClientKeysUnavailable(detail) => {
                Failure::new(format!("table {}: {detail}", self.table))
            }
            fault @ StoreFault::MalformedItem(_) => malformed(id.as_str(), fault),
        })
    }

    /// Reads one client that has to exist.
    ///
    /// # Errors
    /// If it does not, and as [`ClientsTable::get`].
    pub async fn existing(&self, id: &ClientId) -> Result<Client, Failure> {
        self.get(id).await?.ok_or_else(|| Failure::new(format!("there is no client {id}")))
    }

    /// Reads all clients, ordered by id.
    ///
    /// # Errors
    /// If the table cannot be read, or an item is malformed.
    pub async fn list(&self) -> Result<Vec<Client>, Failure> {
        let mut pages = self.sdk.scan().table_name(&self.table).consistent_read(true).into_paginator().items().send();
        let mut clients = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| Failure::of_table(&self.table, error))?;
            let id = item.get(CLIENTS_KEY).and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
            let client = from_item(item).map_err(|fault| malformed(&id, fault))?;
            clients.push(client);
        }
        clients.sort_by(|a, b| a.client_id.as_str().cmp(b.client_id.as_str()));
        Ok(clients)
    }

    /// Whether there is no client at all.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn is_empty(&self) -> Result<bool, Failure> {
        let page = self.sdk.scan().table_name(&self.table).consistent_read(true).limit(1).send().await;
        Ok(page.map_err(|error| Failure::of_table(&self.table, error))?.count == 0)
    }

    /// The algorithms that clients name, each once; one that there is not is left out.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn algs(&self) -> Result<Vec<Alg>, Failure> {
        let scan = self.sdk.scan().table_name(&self.table).consistent_read(true).projection_expression(ALGS.join(", "));
        let scan = scan.filter_expression(ALGS.map(|name| format!("attribute_exists({name})")).join(" OR "));
        let mut items = scan.into_paginator().items().send();
        let mut named: Vec<String> = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| Failure::of_table(&self.table, error))?;
            named.extend(ALGS.iter().filter_map(|name| item.get(*name)?.as_s().ok()).cloned());
            named.sort_unstable();
            named.dedup();
        }
        Ok(Alg::ALL.into_iter().filter(|alg| named.iter().any(|name| name == alg.as_str())).collect())
    }

    /// Brings clients to what is asked for. Nothing is written unless all of it can be; of more than 60 changes, 60 at a
    /// time.
    ///
    /// # Errors
    /// If an entry cannot be carried out, a client changed meanwhile, or the table refuses.
    pub async fn apply(&self, registrations: Vec<Registration>) -> Result<Vec<(ClientId, Applied)>, Failure> {
        let now = moment::now();
        let mut planned = Vec::with_capacity(registrations.len());
        for registration in registrations {
            let before = self.get(&registration.client.client_id).await?;
            let after = merge(registration, before.as_ref(), now)?;
            planned.push((before, after));
        }
        let mut applied = Vec::with_capacity(planned.len());
        let mut writes = Vec::new();
        for (before, after) in &planned {
            let outcome = match before {
                None => Applied::Created,
                Some(before) if same(before, after)? => Applied::Unchanged,
                Some(_) => Applied::Updated,
            };
            if outcome != Applied::Unchanged {
                writes.push((&after.client_id, self.change(before.as_ref(), after)?));
            }
            applied.push((after.client_id.clone(), outcome));
        }
        self.write(writes).await?;
        Ok(applied)
    }

    /// Writes a client that must not exist yet.
    ///
    /// # Errors
    /// If it does, or the table refuses.
    pub async fn create(&self, client: &Client) -> Result<(), Failure> {
        self.create_all(std::slice::from_ref(client)).await
    }

    /// Writes clients that must not exist yet: all or none of them; of more than 60, 60 at a time.
    ///
    /// # Errors
    /// If one does, or the table refuses.
    pub async fn create_all(&self, clients: &[Client]) -> Result<(), Failure> {
        let writes = clients.iter().map(|client| Ok((&client.client_id, self.change(None, client)?)));
        self.write(writes.collect::<Result<_, Failure>>()?).await
    }

    /// Writes what differs between a client as it was read and as it is to be.
    ///
    /// # Errors
    /// If it changed meanwhile, or the table refuses.
    pub async fn replace(&self, before: &Client, after: &Client) -> Result<(), Failure> {
        self.write(vec![(&after.client_id, self.change(Some(before), after)?)]).await
    }

    // One transaction, as far as DynamoDB takes it: all is written, or nothing.
    async fn write(&self, mut writes: Vec<(&ClientId, TransactWriteItem)>) -> Result<(), Failure> {
        let mut written = 0;
        while !writes.is_empty() {
            let rest = writes.split_off(writes.len().min(MAX_TRANSACTION));
            let items = writes.iter().map(|(_, item)| item.clone()).collect();
            self.sdk.transact_write_items().set_transact_items(Some(items)).send().await.map_err(|error| {
                let after =
                    if written > 0 { format!(" (the first {written} changes are written)") } else { String::new() };
                Failure::new(format!("{}{after}", cancelled(&error, &writes)))
            })?;
            written += writes.len();
            writes = rest;
        }
        Ok(())
    }

    // Carried out only if the client is still as it was read; `None`: if there is none. Attributes that this release does not
    // know stay as they are.
    fn change(&self, before: Option<&Client>, after: &Client) -> Result<TransactWriteItem, Failure> {
        let new = item(after)?;
        let Some(before) = before else {
            let put = Put::builder().table_name(&self.table).set_item(Some(new));
            let put = put.condition_expression("attribute_not_exists(client_id)").build().map_err(Failure::new)?;
            return Ok(TransactWriteItem::builder().put(put).build());
        };
        let old = item(before)?;
        let mut update = Update::builder()
            .table_name(&self.table)
            .key(CLIENTS_KEY, AttributeValue::S(before.client_id.to_string()))
            .condition_expression("updated_at = :before")
            .expression_attribute_values(":before", AttributeValue::N(before.updated_at.to_string()));
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        for (index, (name, value)) in new.iter().filter(|(name, value)| old.get(*name) != Some(value)).enumerate() {
            set.push(format!("#s{index} = :s{index}"));
            update = update.expression_attribute_names(format!("#s{index}"), name);
            update = update.expression_attribute_values(format!(":s{index}"), value.clone());
        }
        for (index, name) in old.keys().filter(|name| !new.contains_key(*name)).enumerate() {
            remove.push(format!("#r{index}"));
            update = update.expression_attribute_names(format!("#r{index}"), name);
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression = format!("{expression} REMOVE {}", remove.join(", "));
        }
        let update = update.update_expression(expression).build().map_err(Failure::new)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Deletes a client that has to exist.
    ///
    /// # Errors
    /// If it does not, or the table refuses.
    pub async fn delete(&self, id: &ClientId) -> Result<(), Failure> {
        self.sdk
            .delete_item()
            .table_name(&self.table)
            .key(CLIENTS_KEY, AttributeValue::S(id.to_string()))
            .condition_expression("attribute_exists(client_id)")
            .send()
            .await
            .map_err(|error| conditional(error, &format!("there is no client {id}")))?;
        Ok(())
    }
}

/// Whether two clients are the same but for when they were changed.
///
/// # Errors
/// If one of them cannot be stored.
pub fn same(before: &Client, after: &Client) -> Result<bool, Failure> {
    let (mut before, mut after) = (item(before)?, item(after)?);
    before.remove("updated_at");
    after.remove("updated_at");
    Ok(before == after)
}

fn item(client: &Client) -> Result<Item, Failure> {
    to_item(client).map_err(Failure::new)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
pub(super) fn conditional<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>, unmet: &str) -> Failure {
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some("ConditionalCheckFailedException") => Failure::new(unmet),
        _ => Failure::new(aws::fault(&error)),
    }
}

// Which of the clients kept a transaction from being carried out, and why.
fn cancelled(
    error: &SdkError<TransactWriteItemsError, HttpResponse>,
    writes: &[(&ClientId, TransactWriteItem)],
) -> String {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return aws::fault(error);
    };
    let reasons = cancelled.cancellation_reasons().iter().zip(writes).filter_map(|(reason, (id, write))| match reason
        .code()
        .unwrap_or("None")
    {
        "None" => None,
        "ConditionalCheckFailed" if write.put().is_some() => Some(format!("there is a client {id} already")),
        "ConditionalCheckFailed" => Some(format!("client {id} changed meanwhile; try again")),
        code => Some(format!("client {id}: {}", reason.message().unwrap_or(code))),
    });
    reasons.collect::<Vec<_>>().join("\n  ")
}

fn malformed(id: &str, fault: StoreFault) -> Failure {
    let (StoreFault::MalformedItem(detail)
    | StoreFault::Unavailable(detail)
    | StoreFault::ClientKeysUnavailable(detail)) = fault;
    Failure::new(format!(
        "the item of client {id} is malformed {detail}; mend it in DynamoDB, or delete it with `mintlet client delete`"
    ))
}
