//! The clients table as an operator changes it: every write carries the condition under which it was decided.

use aws_sdk_dynamodb::{
    Client as Sdk,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Put, TransactWriteItem, Update},
};
use serde_json::Value;

use super::{
    Failure,
    registration::{MAX_SECRETS, MAX_SLOW_HASHES, Registration, SecretInput, SecretValue, read_entry},
};
use crate::{
    edge::{
        aws,
        dynamodb::{CLIENTS_KEY, DynamoDb, Item, from_item, to_item},
        moment,
    },
    oauth::{
        client::{Client, ClientId, ClientSecret},
        secret::{Secret, SecretHash},
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

// DynamoDB takes 100 items and 4 MB in one transaction; a client is 64 KiB at most.
const MAX_TRANSACTION: usize = 60;
// A secret shorter than this may be one that a person chose, and is stored under a slow hash.
const MIN_RANDOM_SECRET_CHARS: usize = 32;

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
        let store = DynamoDb::new(self.sdk.clone(), self.table.as_str()).consistent();
        store.client(id).await.map_err(|fault| match fault {
            StoreFault::Unavailable(detail) => Failure::new(format!("table {}: {detail}", self.table)),
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
            let item = item.map_err(Failure::sdk)?;
            let id = item.get(CLIENTS_KEY).and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
            let client = from_item(item).map_err(|fault| malformed(&id, fault))?;
            clients.push(client);
        }
        clients.sort_by(|a, b| a.client_id.as_str().cmp(b.client_id.as_str()));
        Ok(clients)
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
        self.write(vec![(&client.client_id, self.change(None, client)?)]).await
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

/// A client of an entry as a clients file has it, with a fresh secret.
///
/// # Errors
/// Every fault of the entry, or if the operating system has no randomness.
pub fn new_client(entry: Value) -> Result<(Client, Secret), Failure> {
    let registration = read_entry(entry).map_err(|faults| Failure::new(faults.join("\n  ")))?;
    let now = moment::now();
    let mut client = Client { created_at: now, updated_at: now, ..registration.client };
    let secret = generate_secret()?;
    add_secret(&mut client, &secret, None, now)?;
    Ok((client, secret))
}

/// A new secret: 256 random bits, recognisable by its prefix, in unreserved characters (RFC 3986 section 2.3).
///
/// # Errors
/// If the operating system has no randomness.
pub fn generate_secret() -> Result<Secret, Failure> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = zeroize::Zeroizing::new(moment::random::<32>().map_err(Failure::new)?);
    Ok(Secret::new(format!("mintlet_cs_{}", URL_SAFE_NO_PAD.encode(*bytes))))
}

/// Adds a secret to a client, under the next free id.
///
/// # Errors
/// If the client has as many as it may have, or the operating system has no randomness.
pub fn add_secret(client: &mut Client, secret: &Secret, label: Option<String>, now: u64) -> Result<(), Failure> {
    if client.client_secrets.len() >= MAX_SECRETS {
        return Err(Failure::new(format!(
            "client {} has {MAX_SECRETS} secrets; end the old ones with --overlap 0, or list those to keep in a clients file",
            client.client_id
        )));
    }
    let id = next_id(client.client_secrets.iter().map(|secret| secret.id.as_str()));
    let hash = hash(secret)?;
    client.client_secrets.push(ClientSecret { id, label, hash, created_at: now, expires_at: None });
    Ok(())
}

fn hash(secret: &Secret) -> Result<SecretHash, Failure> {
    let salt = moment::random().map_err(Failure::new)?;
    if secret.expose().chars().count() >= MIN_RANDOM_SECRET_CHARS {
        Ok(SecretHash::of_random_secret(secret, salt))
    } else {
        SecretHash::of_chosen_secret(secret, salt).map_err(Failure::new)
    }
}

fn merge(registration: Registration, before: Option<&Client>, now: u64) -> Result<Client, Failure> {
    let Registration { mut client, secrets, disabled } = registration;
    let held = before.map(|before| before.client_secrets.as_slice()).unwrap_or_default();
    client.created_at = before.map_or(now, |before| before.created_at);
    client.updated_at = before.map_or(now, later_than);
    // A client that was disabled stays so until somebody says otherwise.
    client.disabled = disabled.unwrap_or(before.is_some_and(|before| before.disabled));
    match secrets {
        None => client.client_secrets = held.to_vec(),
        Some(inputs) => {
            let asked = inputs.iter().filter_map(|input| input.id.clone());
            let mut ids: Vec<String> = held.iter().map(|secret| secret.id.clone()).chain(asked).collect();
            for input in inputs {
                let secret = merge_secret(input, &client.client_id, held, &ids, now)?;
                if client.client_secrets.iter().any(|other| other.id == secret.id) {
                    return Err(Failure::new(format!("client {}: a secret stands twice", client.client_id)));
                }
                ids.push(secret.id.clone());
                client.client_secrets.push(secret);
            }
        }
    }
    if client.client_secrets.iter().filter(|secret| secret.hash.is_slow()).count() > MAX_SLOW_HASHES {
        return Err(Failure::new(format!(
            "client {}: more than {MAX_SLOW_HASHES} secrets with a slow hash, as imported ones and those under \
             {MIN_RANDOM_SECRET_CHARS} characters have; each costs time at every wrong secret",
            client.client_id
        )));
    }
    Ok(client)
}

// A secret that the client has already stays as it is stored, so that applying the same file again changes nothing.
fn merge_secret(
    input: SecretInput,
    client_id: &ClientId,
    held: &[ClientSecret],
    ids: &[String],
    now: u64,
) -> Result<ClientSecret, Failure> {
    let SecretInput { id, label, expires_at, value } = input;
    let known = held.iter().find(|held| {
        id.as_ref().is_none_or(|id| *id == held.id)
            && match &value {
                SecretValue::Clear(secret) => held.hash.verify(secret),
                SecretValue::Hash(hash) => held.hash.as_str() == hash.as_str(),
                SecretValue::Kept => true,
            }
    });
    let hash = match (value, known) {
        (SecretValue::Kept, Some(known)) => {
            let known = known.clone();
            return Ok(ClientSecret {
                label: label.or(known.label),
                expires_at: expires_at.or(known.expires_at),
                ..known
            });
        }
        (_, Some(known)) => return Ok(ClientSecret { label, expires_at, ..known.clone() }),
        (SecretValue::Clear(secret), None) => hash(&secret)?,
        (SecretValue::Hash(hash), None) => hash,
        (SecretValue::Kept, None) => {
            let id = id.unwrap_or_default();
            return Err(Failure::new(format!("client {client_id} has no secret {id:?}")));
        }
    };
    let id = id.unwrap_or_else(|| next_id(ids.iter().map(String::as_str)));
    Ok(ClientSecret { id, label, hash, created_at: now, expires_at })
}

fn next_id<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let numbers = ids.filter_map(|id| id.strip_prefix('s')?.parse::<u32>().ok());
    format!("s{}", numbers.max().unwrap_or(0).saturating_add(1))
}

fn same(before: &Client, after: &Client) -> Result<bool, Failure> {
    let (mut before, mut after) = (item(before)?, item(after)?);
    before.remove("updated_at");
    after.remove("updated_at");
    Ok(before == after)
}

fn item(client: &Client) -> Result<Item, Failure> {
    to_item(client).map_err(Failure::new)
}

/// When a client that was read is changed: later than its last change, so that no two changes look alike.
#[must_use]
pub fn later_than(before: &Client) -> u64 {
    moment::now().max(before.updated_at.saturating_add(1))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn conditional<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>, unmet: &str) -> Failure {
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
    let (StoreFault::MalformedItem(detail) | StoreFault::Unavailable(detail)) = fault;
    Failure::new(format!(
        "the item of client {id} is malformed {detail}; mend it in DynamoDB, or delete it with `mintlet client delete`"
    ))
}
