//! When secrets were last used, kept coarsely: in the state table, at most once an hour for each secret, and never in the
//! answer's way.
//!
//! The row of a client has one attribute per secret. A bound of one write per client would let a busy secret hide a quiet
//! one, and an operator would take away a secret that is in use.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::{Client as Sdk, types::AttributeValue};
use quick_cache::{Equivalent, sync::Cache};

use super::{
    aws,
    client_cache::bounded_cache,
    dynamodb::{Item, STATE_KEY, STATE_TTL},
};
use crate::service::Record;

/// What an instance knows of the secrets that authenticate clients. Clones share it.
#[derive(Clone)]
pub struct SecretUses(Arc<Inner>);

struct Inner {
    sdk: Sdk,
    table: String,
    warning: u64,
    // When each was noted last by this instance.
    noted: Cache<SecretKey, u64>,
}

/// A secret of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretKey {
    /// The client's id.
    pub client_id: String,
    /// The secret's id.
    pub secret_id: String,
}

// The same, looked for without owning it. Hashes as its owned form does.
#[derive(Hash)]
struct SecretRef<'a> {
    client_id: &'a str,
    secret_id: &'a str,
}

/// How coarse the last use is, in seconds.
pub const COARSENESS: u64 = 60 * 60;
/// How long a client's row outlives its last use, in seconds.
pub const KEPT: u64 = 400 * 24 * 60 * 60;
/// The message of the line that warns of a secret that expires soon; a metric filter of template.yaml looks for it.
pub const EXPIRES_SOON: &str = "a client secret in use expires soon";
// A secret that does not fit is noted more often than it has to be.
const MAX_SECRETS: usize = 4096;

impl SecretUses {
    /// Notes uses in that table, and warns of secrets that expire within `warning` seconds; 0 never warns.
    #[must_use]
    pub fn new(sdk: Sdk, table: impl Into<String>, warning: u64) -> Self {
        Self(Arc::new(Inner { sdk, table: table.into(), warning, noted: bounded_cache(MAX_SECRETS) }))
    }

    /// In how many seconds the secret that authenticated a request expires, if that is soon.
    #[must_use]
    pub fn expires_in(&self, record: &Record, now: u64) -> Option<u64> {
        let left = record.secret_expires_at?.checked_sub(now)?;
        (left <= self.0.warning && self.0.warning > 0).then_some(left)
    }

    /// After a request: notes the use of the secret that authenticated it, in the background, and warns if it expires soon.
    /// Does nothing if this instance has done so within the hour.
    pub fn note(&self, record: &Record, now: u64) {
        let Some(used) = self.due(record, now) else { return };
        if let Some(expires_in) = self.expires_in(record, now) {
            tracing::warn!(client_id = used.client_id, credential_id = used.secret_id, expires_in, "{EXPIRES_SOON}");
        }
        let this = self.clone();
        tokio::spawn(async move {
            // The answer first: on Lambda's one thread it is sent only after this function has returned.
            tokio::task::yield_now().await;
            if let Err(detail) = this.write(&used, now).await {
                tracing::warn!(detail, client_id = used.client_id, "the last use of a secret could not be noted");
            }
        });
    }

    /// The secret whose use is to be noted, if any; from here on it counts as noted by this instance, for an hour.
    #[must_use]
    pub fn due(&self, record: &Record, now: u64) -> Option<SecretKey> {
        // Other methods have credentials of their own, which may be called as a secret is.
        let by_secret = record.auth_method.is_some_and(|method| method.starts_with("client_secret_"));
        let secret_id = record.credential_id.as_deref().filter(|_| by_secret)?;
        let client_id = record.client_id.as_deref()?;
        let noted = self.0.noted.get(&SecretRef { client_id, secret_id });
        // One from the future means that the clock was set back.
        if noted.and_then(|noted| now.checked_sub(noted)).is_some_and(|age| age < COARSENESS) {
            return None;
        }
        let used = SecretKey { client_id: client_id.to_owned(), secret_id: secret_id.to_owned() };
        self.0.noted.insert(used.clone(), now);
        Some(used)
    }

    /// Writes a use, unless one was written within the hour, by whichever instance; says whether it did.
    ///
    /// # Errors
    /// What DynamoDB said, for the log.
    pub async fn write(&self, used: &SecretKey, now: u64) -> Result<bool, String> {
        let update = self
            .0
            .sdk
            .update_item()
            .table_name(&self.0.table)
            .key(STATE_KEY, AttributeValue::S(row(&used.client_id)))
            .update_expression("SET #secret = :now, #ttl = :ttl")
            .condition_expression("attribute_not_exists(#secret) OR #secret <= :before")
            .expression_attribute_names("#secret", attribute(&used.secret_id))
            .expression_attribute_names("#ttl", STATE_TTL)
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":before", number(now.saturating_sub(COARSENESS)))
            .expression_attribute_values(":ttl", number(now.saturating_add(KEPT)));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(fault) if fault.is_conditional_check_failed_exception() => Ok(false),
                _ => Err(aws::fault(&error)),
            },
        }
    }
}

impl Equivalent<SecretKey> for SecretRef<'_> {
    fn equivalent(&self, key: &SecretKey) -> bool {
        self.client_id == key.client_id && self.secret_id == key.secret_id
    }
}

/// The key of a client's row in the state table.
#[must_use]
pub fn row(client_id: &str) -> String {
    format!("last-used#{client_id}")
}

/// When each secret was last used, seconds since the epoch, of a client's row.
#[must_use]
pub fn read(row: &Item) -> HashMap<String, u64> {
    let of = |(name, value): (&String, &AttributeValue)| {
        Some((name.strip_prefix(ATTRIBUTE)?.to_owned(), value.as_n().ok()?.parse().ok()?))
    };
    row.iter().filter_map(of).collect()
}

// Before the id, which may be any text, so that no secret is called as the row's key is.
const ATTRIBUTE: &str = "secret#";

fn attribute(secret_id: &str) -> String {
    format!("{ATTRIBUTE}{secret_id}")
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
