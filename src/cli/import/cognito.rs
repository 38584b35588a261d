//! Amazon Cognito: what `aws cognito-idp describe-user-pool-client` prints.

use serde::Deserialize;
use serde_json::Value;

use super::entry::{Entry, Imported, Unfit, each, inside, require_client_credentials};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    client_id: String,
    client_name: Option<String>,
    client_secret: Option<String>,
    #[serde(rename = "AllowedOAuthFlows")]
    allowed_oauth_flows: Option<Vec<String>>,
    #[serde(rename = "AllowedOAuthFlowsUserPoolClient")]
    allowed_oauth_flows_user_pool_client: Option<bool>,
    #[serde(rename = "AllowedOAuthScopes")]
    allowed_oauth_scopes: Option<Vec<String>>,
    access_token_validity: Option<u64>,
    token_validity_units: Option<Units>,
    #[serde(rename = "CallbackURLs")]
    callback_urls: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Units {
    access_token: Option<Unit>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
}

/// Reads an export of Cognito.
pub fn read(documents: Vec<Value>) -> Vec<Imported> {
    each(inside(documents, "UserPoolClient"), "ClientId", one)
}

fn one(client: Exported) -> Result<Entry, Unfit> {
    let flows = client.allowed_oauth_flows.unwrap_or_default();
    require_client_credentials(&flows)?;
    if client.allowed_oauth_flows_user_pool_client == Some(false) {
        return Err(Unfit::Skipped("its OAuth flows are switched off in Cognito".to_owned()));
    }
    let secret = client.client_secret.filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(|| Unfit::Fault("ClientSecret is missing".to_owned()))?;
    let mut entry = Entry::new(client.client_id);
    entry.text("client_name", client.client_name);
    entry.set("client_secret", Some(secret));
    entry.set("scope", Some(client.allowed_oauth_scopes.unwrap_or_default().join(" ")));
    let unit = match client.token_validity_units.and_then(|units| units.access_token).unwrap_or(Unit::Hours) {
        Unit::Seconds => 1,
        Unit::Minutes => 60,
        Unit::Hours => 3600,
        Unit::Days => 86_400,
    };
    // An hour, unless it says otherwise.
    entry.lifetime(client.access_token_validity.map_or(3600, |validity| validity.saturating_mul(unit)));
    entry.drops_other_grants(&flows);
    entry.drops([("CallbackURLs", client.callback_urls.is_some_and(|urls| !urls.is_empty()))]);
    Ok(entry)
}
