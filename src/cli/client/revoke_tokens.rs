//! `mintlet client revoke-tokens`: every access token that a client has so far, at once.

use serde_json::json;

use super::{One, Target, id};
use crate::{cli::Failure, edge::moment};

impl Target {
    pub(super) async fn revoke_tokens(&self, one: &One) -> Result<(), Failure> {
        let client_id = id(&one.client_id)?;
        let (clients, state) = self.tables().await?;
        // Of a mistyped id nothing would be revoked.
        clients.existing(&client_id).await?;
        let now = moment::now();
        state.revoke_client(client_id, now).await?;
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
