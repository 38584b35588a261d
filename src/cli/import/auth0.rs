//! Auth0: clients as its Management API shows them, and after them, if they are in the file, their client grants.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::entry::{Entry, Imported, Unfit, each, inside, require_client_credentials, typed};

#[derive(Deserialize)]
struct Exported {
    client_id: String,
    name: String,
    description: Option<String>,
    client_secret: Option<String>,
    global: Option<bool>,
    // May be null, but is there in every client of Auth0.
    #[serde(deserialize_with = "Option::deserialize")]
    grant_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    client_authentication_methods: Option<Value>,
    callbacks: Option<Vec<String>>,
    client_metadata: Option<Value>,
}

#[derive(Deserialize)]
struct Grant {
    client_id: String,
    audience: String,
    scope: Option<Vec<String>>,
    allow_all_scopes: Option<bool>,
    subject_type: Option<String>,
}

type Grants = HashMap<String, Vec<Grant>>;

/// Reads an export of Auth0.
pub fn read(documents: Vec<Value>) -> Vec<Imported> {
    let documents = inside(inside(documents, "clients"), "client_grants");
    let (grants, clients): (Vec<_>, Vec<_>) = documents.into_iter().partition(is_grant);
    let mut by_client = Grants::new();
    let mut imported = Vec::new();
    for grant in grants {
        match typed::<Grant>(grant) {
            // The other kind is for what users let an application do.
            Ok(grant) if grant.subject_type.as_deref() == Some("user") => {}
            Ok(grant) => by_client.entry(grant.client_id.clone()).or_default().push(grant),
            Err(unfit) => {
                imported.push(Imported {
                    client_id: "(a client grant)".to_owned(),
                    entry: Err(unfit),
                    notes: Vec::new(),
                });
            }
        }
    }
    imported.extend(each(clients, "client_id", |client| one(client, &by_client)));
    imported
}

// A client has no audience.
fn is_grant(document: &Value) -> bool {
    document.get("audience").is_some_and(Value::is_string)
}

fn one(client: Exported, grants: &Grants) -> Result<Entry, Unfit> {
    let grant_types = client.grant_types.unwrap_or_default();
    if client.global == Some(true) {
        return Err(Unfit::Skipped("it is the tenant's own client".to_owned()));
    }
    require_client_credentials(&grant_types)?;
    if client.token_endpoint_auth_method.as_deref() == Some("none") {
        return Err(Unfit::Skipped("it is a public client, which gets no token by itself".to_owned()));
    }
    if client.client_authentication_methods.is_some_and(|methods| !methods.is_null()) {
        let what = "it authenticates with a key or a certificate, which the export does not have";
        return Err(Unfit::Fault(what.to_owned()));
    }
    let secret = client.client_secret.filter(|secret| !secret.is_empty()).ok_or_else(|| {
        Unfit::Fault(
            "client_secret is missing: the export needs --reveal-secrets, or the scope read:client_keys".to_owned(),
        )
    })?;
    // Whether it is registered for Basic or for the body says little: Auth0 takes both.
    let mut entry = Entry::new(client.client_id.as_str());
    entry.text("client_name", Some(client.name));
    entry.text("description", client.description);
    entry.set("client_secret", Some(secret));
    permit(&mut entry, grants.get(&client.client_id).map(Vec::as_slice), grants.is_empty())?;
    entry.drops_other_grants(&grant_types);
    entry.drops([
        ("callbacks", client.callbacks.is_some_and(|callbacks| !callbacks.is_empty())),
        (
            "client_metadata",
            client.client_metadata.is_some_and(|metadata| metadata.as_object().is_some_and(|it| !it.is_empty())),
        ),
    ]);
    Ok(entry)
}

// Auth0 permits scopes for each audience; here a client has one list of scopes for all of its audiences.
fn permit(entry: &mut Entry, grants: Option<&[Grant]>, file_has_none: bool) -> Result<(), Unfit> {
    let scope = |grant: &Grant| {
        let mut scope = grant.scope.clone().unwrap_or_default();
        scope.sort_unstable();
        scope
    };
    match grants {
        None | Some([]) if file_has_none => {
            entry.note("the file has no client grants, so it has no scope and no audience here");
            Ok(())
        }
        None | Some([]) => {
            Err(Unfit::Skipped("it has no client grant in the file, and gets no token from Auth0 either".to_owned()))
        }
        Some([first, others @ ..]) => {
            if first.allow_all_scopes == Some(true) || others.iter().any(|other| other.allow_all_scopes == Some(true)) {
                let what = "a client grant of it permits all scopes of an API; write in the file which they are";
                return Err(Unfit::Fault(what.to_owned()));
            }
            if others.iter().any(|other| scope(other) != scope(first)) {
                let what = "its client grants permit other scopes for one audience than for another";
                return Err(Unfit::Fault(format!("{what}; leave in the file the grants whose scopes are the same")));
            }
            entry.set("scope", Some(first.scope.clone().unwrap_or_default().join(" ")));
            entry.set(
                "audience",
                grants.map(|grants| grants.iter().map(|grant| grant.audience.as_str()).collect::<Vec<_>>()),
            );
            Ok(())
        }
    }
}
