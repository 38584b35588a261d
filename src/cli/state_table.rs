//! What the command line reads and writes of the state table: when secrets were last used, and long-lived tokens.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client as Sdk,
    types::{AttributeValue, KeysAndAttributes},
};
use serde::{Deserialize, Serialize};

use super::{Failure, clients_table::conditional};
use crate::{
    edge::{
        dynamodb::{DynamoDb, Item, STATE_KEY, STATE_TTL},
        secret_use,
    },
    grant::{StateRow, Write},
    oauth::client::ClientId,
    service::{Store as _, WriteFault},
};

/// The state table of a deployment.
pub struct StateTable {
    sdk: Sdk,
    table: String,
}

/// A long-lived token that was issued: all but the token itself. Times are seconds since the epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LongLivedToken {
    /// Its id.
    pub jti: String,
    /// The key that signed it.
    pub kid: String,
    /// What it is for, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was issued.
    pub issued_at: u64,
    /// The first second at which it has expired.
    pub expires_at: u64,
}

/// When secrets were last used, in seconds since the epoch: by client id, by secret id.
pub type LastUsed = HashMap<String, HashMap<String, u64>>;

// DynamoDB takes 100 keys at once, and may leave some of them for another try.
const MAX_BATCH: usize = 100;
const MAX_TRIES: u32 = 8;
// Longer than any token lives, those that are issued for years among them. It is one small row per client.
const CLIENT_REVOKED_SECONDS: u64 = 10 * 366 * 24 * 60 * 60;
// Before the `jti`, so that no token is called as the row's key is.
const TOKEN: &str = "jti#";

impl StateTable {
    /// The table of that name.
    pub fn new(sdk: Sdk, table: impl Into<String>) -> Self {
        Self { sdk, table: table.into() }
    }

    /// When the secrets of those clients were last used; one that is missing was not used for as long as rows are kept.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn last_used<'a>(&self, client_ids: impl Iterator<Item = &'a str>) -> Result<LastUsed, Failure> {
        let rows: HashMap<String, &str> = client_ids.map(|id| (secret_use::row(id), id)).collect();
        let items = self.rows(rows.keys().cloned().collect()).await?;
        let used = items.iter().filter_map(|(pk, item)| Some(((*rows.get(pk)?).to_owned(), secret_use::read(item))));
        Ok(used.collect())
    }

    /// The long-lived tokens of a client, in the order of their expiry. Those that have expired may be among them.
    ///
    /// # Errors
    /// If the table cannot be read, or a row in it.
    pub async fn long_lived_tokens(&self, client_id: &str) -> Result<Vec<LongLivedToken>, Failure> {
        let item = self.rows(vec![long_lived_row(client_id)]).await?.into_values().next();
        let tokens = item.into_iter().flatten().filter(|(name, _)| name.starts_with(TOKEN));
        let mut tokens = tokens
            .map(|(name, value)| {
                let read = serde_dynamo::from_attribute_value::<AttributeValue, LongLivedToken>(value);
                read.map_err(|_| {
                    Failure::new(format!("the state table's row of client {client_id}: {name} is malformed"))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        tokens.sort_by(|a, b| (a.expires_at, &a.jti).cmp(&(b.expires_at, &b.jti)));
        Ok(tokens)
    }

    /// Keeps that a token is about to be issued to a client, as long as it is good, and forgets those that have expired.
    ///
    /// # Errors
    /// If another one was issued meanwhile, or the table refuses.
    pub async fn add_long_lived_token(&self, client_id: &str, token: &LongLivedToken) -> Result<(), Failure> {
        let held = self.long_lived_tokens(client_id).await?;
        let before = held.iter().map(|held| held.expires_at).max();
        let until = before.max(Some(token.expires_at)).unwrap_or_default();
        let value = serde_dynamo::to_attribute_value::<_, AttributeValue>(token).map_err(Failure::new)?;
        let mut update = self
            .sdk
            .update_item()
            .table_name(&self.table)
            .key(STATE_KEY, AttributeValue::S(long_lived_row(client_id)))
            .expression_attribute_names("#ttl", STATE_TTL)
            .expression_attribute_names("#token", format!("{TOKEN}{}", token.jti))
            .expression_attribute_values(":ttl", AttributeValue::N(until.to_string()))
            .expression_attribute_values(":token", value);
        let mut remove = Vec::new();
        for (index, held) in held.iter().filter(|held| held.expires_at <= token.issued_at).enumerate() {
            remove.push(format!("#r{index}"));
            update = update.expression_attribute_names(format!("#r{index}"), format!("{TOKEN}{}", held.jti));
        }
        let mut expression = "SET #ttl = :ttl, #token = :token".to_owned();
        if !remove.is_empty() {
            expression = format!("{expression} REMOVE {}", remove.join(", "));
        }
        // Of two at once, the one that would shorten what the other one wrote has to look again.
        update = match before {
            None => update.condition_expression("attribute_not_exists(#ttl)"),
            Some(before) => update
                .condition_expression("#ttl = :before")
                .expression_attribute_values(":before", AttributeValue::N(before.to_string())),
        };
        update.update_expression(expression).send().await.map(drop).map_err(|error| {
            conditional(error, &format!("the long-lived tokens of client {client_id} changed meanwhile; try again"))
        })
    }

    /// Which of those tokens are revoked.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn revoked(
        &self,
        client_id: &ClientId,
        jtis: impl Iterator<Item = &str>,
    ) -> Result<HashSet<String>, Failure> {
        let rows: HashMap<String, &str> = jtis.map(|jti| (revoked_row(client_id, jti).pk(), jti)).collect();
        let found = self.rows(rows.keys().cloned().collect()).await?;
        Ok(found.keys().filter_map(|pk| rows.get(pk).map(|jti| (*jti).to_owned())).collect())
    }

    /// Revokes a token until it expires; says whether it was not revoked yet.
    ///
    /// # Errors
    /// If the table cannot be read, or refuses.
    pub async fn revoke(&self, client_id: &ClientId, token: &LongLivedToken, now: u64) -> Result<bool, Failure> {
        if !self.revoked(client_id, std::iter::once(token.jti.as_str())).await?.is_empty() {
            return Ok(false);
        }
        let row = revoked_row(client_id, &token.jti);
        let write = Write::Put { row, expires_at: token.expires_at, at: now };
        self.write(write, now).await.map(|()| true)
    }

    /// Revokes all tokens of a client that were issued until `now`.
    ///
    /// # Errors
    /// If the table refuses.
    pub async fn revoke_client(&self, client_id: ClientId, now: u64) -> Result<(), Failure> {
        let row = StateRow::RevokedClient { client_id };
        self.write(Write::Put { row, expires_at: now.saturating_add(CLIENT_REVOKED_SECONDS), at: now }, now).await
    }

    // As the function itself would, so that there is one form of the row. No client is read.
    async fn write(&self, write: Write, now: u64) -> Result<(), Failure> {
        let store = DynamoDb::new(self.sdk.clone(), "", &self.table);
        store.commit(&[write], now).await.map_err(|fault| match fault {
            WriteFault::Unavailable(detail) => Failure::new(format!("table {}: {detail}", self.table)),
            WriteFault::Lost(reason) => Failure::new(reason.name()),
        })
    }

    // The rows of those keys that there are.
    async fn rows(&self, mut keys: Vec<String>) -> Result<HashMap<String, Item>, Failure> {
        let mut found = HashMap::new();
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(MAX_BATCH));
            self.batch(keys, &mut found).await?;
            keys = rest;
        }
        Ok(found)
    }

    async fn batch(&self, keys: Vec<String>, found: &mut HashMap<String, Item>) -> Result<(), Failure> {
        let keys = keys.into_iter().map(|pk| HashMap::from([(STATE_KEY.to_owned(), AttributeValue::S(pk))])).collect();
        let asked = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let mut waiting = Some(HashMap::from([(self.table.clone(), asked.map_err(Failure::new)?)]));
        for tried in 0..MAX_TRIES {
            let answer = self.sdk.batch_get_item().set_request_items(waiting).send().await;
            let answer = answer.map_err(|error| Failure::of_table(&self.table, error))?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                if let Some(AttributeValue::S(pk)) = item.get(STATE_KEY) {
                    found.insert(pk.clone(), item);
                }
            }
            waiting = answer.unprocessed_keys.filter(|keys| !keys.is_empty());
            if waiting.is_none() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50 << tried)).await;
        }
        Err(Failure::new(format!("table {}: busy; try again", self.table)))
    }
}

fn long_lived_row(client_id: &str) -> String {
    format!("long-lived#{client_id}")
}

fn revoked_row(client_id: &ClientId, jti: &str) -> StateRow {
    StateRow::RevokedToken { client_id: client_id.clone(), jti: jti.to_owned() }
}
