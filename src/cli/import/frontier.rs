//! Raystack Frontier: rows of its table `serviceuser_credentials`, each with its service user's organization, title and state.

use serde::Deserialize;
use serde_json::{Value, json};

use super::entry::{Entry, Imported, Unfit, each};

#[derive(Deserialize)]
struct Credential {
    id: String,
    serviceuser_id: String,
    r#type: Option<String>,
    title: Option<String>,
    secret_hash: Option<String>,
    public_key: Option<Value>,
    deleted_at: Option<String>,
    org_id: Option<String>,
    serviceuser_title: Option<String>,
    serviceuser_state: Option<String>,
    serviceuser_deleted_at: Option<String>,
}

/// Reads an export of Frontier.
pub fn read(documents: Vec<Value>) -> Vec<Imported> {
    each(documents, "id", one)
}

fn one(credential: Credential) -> Result<Entry, Unfit> {
    if credential.deleted_at.is_some() || credential.serviceuser_deleted_at.is_some() {
        return Err(Unfit::Skipped("it is deleted in Frontier".to_owned()));
    }
    let mut entry = Entry::new(credential.id);
    entry.set("subject", Some(credential.serviceuser_id));
    entry.text("client_name", credential.serviceuser_title);
    entry.text("description", credential.title);
    match credential.org_id {
        // A text, as Frontier writes the claim.
        Some(org_id) => entry.set("claims", Some(json!({"org_ids": org_id}))),
        None => entry.note("the row has no org_id, so its tokens have no org_ids"),
    }
    let secret = credential.secret_hash.filter(|hash| !hash.is_empty());
    match (credential.r#type.as_deref(), secret) {
        // Older releases write no type.
        (None | Some("" | "client_credential"), Some(bcrypt)) => {
            entry.set("client_secrets", Some(json!([{"hash": bcrypt}])));
        }
        (Some("opaque_token"), Some(hex)) => {
            entry.set("client_secrets", Some(json!([{"hash": format!("$sha3-256-hex${hex}")}])));
        }
        (None | Some("" | "jwt_bearer"), None) => {
            let keys = credential.public_key.filter(|keys| keys.get("keys").is_some());
            let keys = keys.ok_or_else(|| Unfit::Fault("the row has neither secret_hash nor public_key".to_owned()))?;
            entry.set("grant_types", Some(json!(["urn:ietf:params:oauth:grant-type:jwt-bearer"])));
            entry.set("assertion_profile", Some(json!("frontier")));
            entry.set("jwks", Some(keys));
        }
        (_, None) => return Err(Unfit::Fault("secret_hash is missing".to_owned())),
        (_, Some(_)) => return Err(Unfit::Fault("its type is none that Frontier has for a secret".to_owned())),
    }
    if credential.serviceuser_state.is_some_and(|state| state == "disabled") {
        entry.disable("its service user is disabled");
    }
    Ok(entry)
}
