//! `mintlet client revoke-tokens`: every access token that a client has so far, at once.

use serde_json::json;

use super::{One, Target, id};
use crate::{
    cli::{Failure, variable},
    config::{CLIENTS_TABLE, STATE_TABLE},
    edge::{dynamodb::DynamoDb, moment},
    grant::{StateRow, Write},
    service::{Store as _, WriteFault},
};

// Longer than any token lives, those that are issued for years among them. It is one small row per client.
const KEPT_SECONDS: u64 = 10 * 366 * 24 * 60 * 60;

impl Target {
    pub(super) async fn revoke_tokens(&self, one: &One) -> Result<(), Failure> {
        let client_id = id(&one.client_id)?;
        // Of a mistyped id nothing would be revoked.
        self.table().await?.existing(&client_id).await?;
        let now = moment::now();
        let revoked = Write::Put {
            row: StateRow::RevokedClient { client_id },
            expires_at: now.saturating_add(KEPT_SECONDS),
            at: now,
        };
        let named = if self.local { None } else { variable("STATE_TABLE") };
        let table = self.state_table.clone().or(named).unwrap_or_else(|| STATE_TABLE.to_owned());
        DynamoDb::new(self.sdk().await?, CLIENTS_TABLE, table.as_str()).commit(&[revoked], now).await.map_err(
            |fault| match fault {
                WriteFault::Unavailable(detail) => Failure::new(format!("table {table}: {detail}")),
                WriteFault::Lost(reason) => Failure::new(reason.description()),
            },
        )?;
        self.report(
            &json!({"client_id": one.client_id, "revoked_until": now}),
            &format!(
                "revoked every token of {} that was issued until now\nVerifiers that do not introspect take them until they \
                 expire.",
                one.client_id
            ),
        );
        Ok(())
    }
}
