//! Ory Hydra: rows of its table `hydra_client` as JSON, or clients as its admin API shows them with the hash put in.

use serde::Deserialize;
use serde_json::{Value, json};

use super::entry::{Entry, Imported, Unfit, each, inside, require_client_credentials};

#[derive(Deserialize)]
struct Exported {
    client_id: String,
    client_name: Option<String>,
    client_secret: Option<String>,
    rotated_secrets: Option<Texts>,
    // May be null, but is there in every client of Hydra.
    #[serde(deserialize_with = "Option::deserialize")]
    grant_types: Option<Texts>,
    scope: Option<String>,
    audience: Option<Texts>,
    redirect_uris: Option<Texts>,
    token_endpoint_auth_method: Option<String>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
    access_token_strategy: Option<String>,
    client_credentials_grant_access_token_lifespan: Option<Lifespan>,
    metadata: Option<Value>,
}

// An array, or a column of text: with JSON, or in old releases with a pipe between the items.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    List(Vec<String>),
    Text(String),
}

// Nanoseconds in the table, Go's notation in the admin API.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lifespan {
    Nanoseconds(u64),
    Text(String),
}

/// Reads an export of Hydra.
pub fn read(documents: Vec<Value>) -> Vec<Imported> {
    let mut clients = inside(documents, "items");
    // The table has another name for the id than the API.
    for client in clients.iter_mut().filter_map(Value::as_object_mut).filter(|it| !it.contains_key("client_id")) {
        let id = client.remove("id");
        client.extend(id.map(|id| ("client_id".to_owned(), id)));
    }
    each(clients, "client_id", one)
}

fn one(client: Exported) -> Result<Entry, Unfit> {
    let grants = client.grant_types.map(Texts::items).unwrap_or_default();
    require_client_credentials(&grants)?;
    let method = client.token_endpoint_auth_method.filter(|method| !method.is_empty());
    let method = method.unwrap_or_else(|| "client_secret_basic".to_owned());
    if method == "none" {
        return Err(Unfit::Skipped("it is a public client, which gets no token by itself".to_owned()));
    }
    let mut entry = Entry::new(client.client_id);
    entry.text("client_name", client.client_name);
    entry.set("scope", Some(without_patterns(&client.scope.unwrap_or_default())?));
    // Hydra grants no scope that is not asked for.
    entry.set("default_scope", Some(""));
    let audience = client.audience.map(Texts::items).unwrap_or_default();
    if !audience.is_empty() {
        entry.note("if it asked for no audience, its tokens had none; here they have all of its audiences");
        entry.set("audience", Some(audience));
    }
    let jwks = client.jwks.and_then(public_keys);
    let jwks_uri = client.jwks_uri.filter(|uri| !uri.is_empty());
    let has_unused_keys = method != "private_key_jwt" && jwks.is_some();
    let has_unused_uri = jwks_uri.is_some() && (method != "private_key_jwt" || jwks.is_some());
    if method == "private_key_jwt" {
        match (jwks, &jwks_uri) {
            (None, Some(uri)) => {
                entry.note("its keys are read only where JWKS_URI_HOSTS lists the host of its jwks_uri");
                entry.set("jwks_uri", Some(uri.as_str()));
            }
            (Some(jwks), _) => entry.set("jwks", Some(jwks)),
            (None, None) => {
                return Err(Unfit::Fault("its keys are not in the file: neither jwks nor jwks_uri".to_owned()));
            }
        }
    } else {
        entry.set("client_secrets", Some(secrets(client.client_secret, client.rotated_secrets)?));
    }
    entry.set("token_endpoint_auth_method", Some(method));
    if let Some(lifespan) = client.client_credentials_grant_access_token_lifespan {
        let no_duration = || Unfit::Fault("its lifespan of access tokens is no duration".to_owned());
        entry.lifetime(lifespan.seconds().ok_or_else(no_duration)?);
    }
    if client.access_token_strategy.as_deref() == Some("opaque") {
        entry.note("its tokens were opaque; here they are JWTs");
    }
    let empty = [json!({}), json!(""), json!("{}"), json!("null")];
    entry.drops_other_grants(&grants);
    entry.drops([
        ("redirect_uris", client.redirect_uris.is_some_and(|uris| !uris.items().is_empty())),
        ("jwks", has_unused_keys),
        ("jwks_uri", has_unused_uri),
        ("metadata", client.metadata.is_some_and(|metadata| !empty.contains(&metadata))),
    ]);
    Ok(entry)
}

// Its default way of comparing scopes knows patterns; here a scope stands for itself alone.
fn without_patterns(scope: &str) -> Result<String, Unfit> {
    if scope.contains('*') {
        return Err(Unfit::Fault(
            "its scope has a pattern (*); write in the file the scopes that are meant".to_owned(),
        ));
    }
    Ok(scope.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

fn secrets(current: Option<String>, rotated: Option<Texts>) -> Result<Value, Unfit> {
    let current = current.filter(|secret| !secret.is_empty()).ok_or_else(|| {
        Unfit::Fault("client_secret is missing: the admin API leaves the hash out, the database has it".to_owned())
    })?;
    let hashes: Vec<_> = std::iter::once(current).chain(rotated.map(Texts::items).unwrap_or_default()).collect();
    if !hashes.iter().all(|hash| hash.starts_with('$')) {
        return Err(Unfit::Fault("client_secret is no hash: the database has it".to_owned()));
    }
    Ok(hashes.into_iter().map(|hash| json!({"hash": hash})).collect())
}

fn public_keys(jwks: Value) -> Option<Value> {
    let jwks = match jwks {
        Value::String(text) => serde_json::from_str(&text).ok()?,
        jwks => jwks,
    };
    let has_keys = jwks.get("keys").and_then(Value::as_array).is_some_and(|keys| !keys.is_empty());
    has_keys.then_some(jwks)
}

impl Texts {
    fn items(self) -> Vec<String> {
        match self {
            Self::List(items) => items,
            Self::Text(text) => serde_json::from_str(&text)
                .unwrap_or_else(|_| text.split('|').filter(|item| !item.is_empty()).map(str::to_owned).collect()),
        }
    }
}

impl Lifespan {
    fn seconds(&self) -> Option<u64> {
        let text = match self {
            Self::Nanoseconds(nanoseconds) => return Some(nanoseconds / 1_000_000_000),
            Self::Text(text) => text,
        };
        // Go writes hours, minutes and seconds in this order, and fractions, which do not matter here, of seconds alone.
        let mut rest = text.as_str();
        let mut total = 0_u64;
        for (unit, seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
            if let Some((number, after)) = rest.split_once(unit) {
                let whole = number.split('.').next().unwrap_or_default();
                total = whole.parse::<u64>().ok()?.checked_mul(seconds)?.checked_add(total)?;
                rest = after;
            }
        }
        (rest.is_empty() && !text.is_empty()).then_some(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifespan_is_read_in_both_notations() {
        let seconds = |value: Value| serde_json::from_value::<Lifespan>(value).unwrap().seconds();
        assert_eq!(seconds(json!(3_600_000_000_000_u64)), Some(3600));
        for (text, expected) in
            [("1h0m0s", Some(3600)), ("30m0s", Some(1800)), ("45s", Some(45)), ("1h30m", Some(5400)), ("1.5s", Some(1))]
        {
            assert_eq!(seconds(json!(text)), expected, "{text}");
        }
        for bad in ["", "1", "h", "1x", "-1h", "1h2"] {
            assert_eq!(seconds(json!(bad)), None, "{bad}");
        }
    }

    #[test]
    fn a_list_is_read_however_it_is_stored() {
        let items = |value: Value| serde_json::from_value::<Texts>(value).unwrap().items();
        for list in [json!(["a", "b"]), json!("[\"a\",\"b\"]"), json!("a|b")] {
            assert_eq!(items(list), ["a", "b"]);
        }
        assert!(items(json!("")).is_empty());
    }
}
