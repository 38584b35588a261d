//! Keycloak: client representations, or the export of a realm that holds them.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::entry::{Entry, Imported, Unfit, each};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    client_id: String,
    name: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
    protocol: Option<String>,
    public_client: Option<bool>,
    bearer_only: Option<bool>,
    service_accounts_enabled: Option<bool>,
    client_authenticator_type: Option<String>,
    secret: Option<String>,
    redirect_uris: Option<Vec<String>>,
    attributes: Option<HashMap<String, Option<String>>>,
    protocol_mappers: Option<Vec<Mapping>>,
    default_client_scopes: Option<Vec<String>>,
    optional_client_scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    name: String,
    protocol_mapper: String,
    config: Option<HashMap<String, Option<String>>>,
}

// What a realm says besides its clients.
#[derive(Default)]
struct Realm {
    access_token_lifespan: Option<u64>,
    scopes: HashMap<String, ClientScope>,
    service_accounts: HashMap<String, Account>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientScope {
    name: String,
    attributes: Option<HashMap<String, Option<String>>>,
    protocol_mappers: Option<Vec<Mapping>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    id: String,
    service_account_client_id: String,
    realm_roles: Option<Vec<String>>,
    client_roles: Option<Map<String, Value>>,
}

const AUDIENCE_MAPPER: &str = "oidc-audience-mapper";

/// Reads an export of Keycloak.
pub fn read(documents: Vec<Value>) -> Vec<Imported> {
    let mut realms: BTreeMap<String, (Realm, Vec<Value>)> = BTreeMap::new();
    for mut document in documents {
        let name = document.get("realm").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (realm, clients) = realms.entry(name).or_default();
        // A client has none of these; the users of a realm may stand in files of their own.
        if document.get("clients").is_some() || document.get("users").is_some() {
            clients.extend(items(&mut document, "clients"));
            realm.read(document);
        } else {
            clients.push(document);
        }
    }
    realms.into_values().flat_map(|(realm, clients)| each(clients, "clientId", |client| one(client, &realm))).collect()
}

fn one(client: Exported, realm: &Realm) -> Result<Entry, Unfit> {
    if client.protocol.is_some_and(|protocol| protocol != "openid-connect") {
        return Err(Unfit::Skipped("it does not speak OpenID Connect".to_owned()));
    }
    if client.service_accounts_enabled != Some(true)
        || client.public_client == Some(true)
        || client.bearer_only == Some(true)
    {
        return Err(Unfit::Skipped("it has no service account, and so no client credentials grant".to_owned()));
    }
    if client.client_authenticator_type.is_some_and(|authenticator| authenticator != "client-secret") {
        return Err(Unfit::Fault("it authenticates with a key or a certificate, not with a secret".to_owned()));
    }
    let attributes = client.attributes.unwrap_or_default();
    let mut entry = Entry::new(client.client_id.as_str());
    entry.text("client_name", client.name);
    entry.text("description", client.description);
    entry.set("client_secrets", Some(secrets(client.secret, &attributes)?));
    let defaults = client.default_client_scopes.unwrap_or_default();
    let optional = client.optional_client_scopes.unwrap_or_default();
    set_scopes(&mut entry, &defaults, &optional, realm);
    let mappers = client.protocol_mappers.unwrap_or_default();
    let in_scopes = defaults.iter().filter_map(|name| realm.scopes.get(name)?.protocol_mappers.as_ref()).flatten();
    let audience: Vec<_> = mappers.iter().chain(in_scopes).filter_map(Mapping::audience).collect();
    if !audience.is_empty() {
        entry.set("audience", Some(audience));
    }
    match number(&attributes, "access.token.lifespan").or(realm.access_token_lifespan) {
        Some(seconds) => entry.lifetime(seconds),
        None => entry.note("the file does not say how long its tokens were good; here they are as the deployment says"),
    }
    match realm.service_accounts.get(&client.client_id) {
        Some(account) => {
            entry.set("subject", Some(account.id.as_str()));
            let realm_roles = account.realm_roles.iter().flatten().count();
            let client_roles = account.client_roles.iter().flatten().count();
            entry.drops([("the roles of its service account", realm_roles + client_roles > 0)]);
        }
        None => entry.note(
            "the sub of its tokens was its service account's id, which the file does not have; here it is its own",
        ),
    }
    let others = mappers.iter().filter(|mapper| mapper.protocol_mapper != AUDIENCE_MAPPER);
    let names: Vec<_> = others.map(|mapper| format!("{:?}", mapper.name)).collect();
    if !names.is_empty() {
        entry.note(format!("protocol mappers not carried over: {}", names.join(", ")));
    }
    entry.drops([("redirectUris", client.redirect_uris.is_some_and(|uris| !uris.is_empty()))]);
    if client.enabled == Some(false) {
        entry.disable("it is not enabled in Keycloak");
    }
    Ok(entry)
}

// The secret, and the one before it while a rotation lets it live; a policy may give both an end.
fn secrets(secret: Option<String>, attributes: &HashMap<String, Option<String>>) -> Result<Value, Unfit> {
    let secret =
        secret.filter(|secret| !secret.is_empty()).ok_or_else(|| Unfit::Fault("secret is missing".to_owned()))?;
    if secret.bytes().all(|byte| byte == b'*') {
        return Err(Unfit::Fault(
            "its secret is masked with asterisks; the export of `kc.sh export` has it".to_owned(),
        ));
    }
    let input = |secret: &str, end: &str| match number(attributes, end) {
        Some(end) => json!({"secret": secret, "expires_at": end}),
        None => json!({"secret": secret}),
    };
    let mut secrets = vec![input(&secret, "client.secret.expiration.time")];
    if let Some(rotated) = attributes.get("client.secret.rotated").and_then(Option::as_deref) {
        secrets.push(input(rotated, "client.secret.rotated.expiration.time"));
    }
    Ok(Value::Array(secrets))
}

fn set_scopes(entry: &mut Entry, defaults: &[String], optional: &[String], realm: &Realm) {
    let shown = |names: &[String]| {
        let shown = names.iter().filter(|name| realm.scopes.get(*name).is_none_or(ClientScope::is_in_token));
        shown.cloned().collect::<Vec<_>>()
    };
    let (defaults, optional) = (shown(defaults), shown(optional));
    entry.set("default_scope", Some(defaults.join(" ")));
    if !optional.is_empty() {
        entry.note("a scope that it asks for comes alone here; Keycloak adds the default ones");
    }
    entry.set("scope", Some([defaults, optional].concat().join(" ")));
}

// Nothing, zero and less mean that there is none.
fn number(attributes: &HashMap<String, Option<String>>, name: &str) -> Option<u64> {
    attributes.get(name)?.as_deref()?.parse().ok().filter(|number| *number > 0)
}

fn items(document: &mut Value, member: &str) -> Vec<Value> {
    match document.get_mut(member).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

impl Realm {
    fn read(&mut self, mut document: Value) {
        let lifespan = document.get("accessTokenLifespan").and_then(Value::as_u64);
        self.access_token_lifespan = lifespan.or(self.access_token_lifespan);
        let scopes = items(&mut document, "clientScopes").into_iter();
        let scopes = scopes.filter_map(|scope| serde_json::from_value::<ClientScope>(scope).ok());
        self.scopes.extend(scopes.map(|scope| (scope.name.clone(), scope)));
        // Users that are no service accounts lack the client's id.
        let users = items(&mut document, "users").into_iter();
        let accounts = users.filter_map(|user| serde_json::from_value::<Account>(user).ok());
        self.service_accounts.extend(accounts.map(|account| (account.service_account_client_id.clone(), account)));
    }
}

impl ClientScope {
    fn is_in_token(&self) -> bool {
        let shown = self.attributes.as_ref().and_then(|it| it.get("include.in.token.scope")?.as_deref());
        shown.is_none_or(|shown| shown == "true")
    }
}

impl Mapping {
    fn audience(&self) -> Option<&str> {
        let config = self.config.as_ref().filter(|_| self.protocol_mapper == AUDIENCE_MAPPER)?;
        let value = |name: &str| config.get(name).and_then(Option::as_deref).filter(|value| !value.is_empty());
        if value("access.token.claim") == Some("false") {
            return None;
        }
        value("included.client.audience").or_else(|| value("included.custom.audience"))
    }
}
