//! The clients file, `{"clients":[{...}]}`: read and checked as a whole, every fault with its path.
//!
//! An entry has the attributes of [`Client`] under the same names, and besides the stored `client_secrets` may say
//! `client_secret` in clear. What is accepted here obeys every rule that the service relies on.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::oauth::{
    claims,
    client::{CLIENT_VERSION, Client},
    jwk::Jwks,
    secret::{Secret, SecretHash},
};

/// A client as it is asked for. Its `client_secrets` are still empty.
#[derive(Debug)]
pub struct Registration {
    /// The client's metadata.
    pub client: Client,
    /// The secrets asked for; `None` if the entry does not speak of any.
    pub secrets: Option<Vec<SecretInput>>,
    /// Whether the client is to be disabled; `None` if the entry does not say.
    pub disabled: Option<bool>,
}

/// One secret asked for.
#[derive(Debug)]
pub struct SecretInput {
    /// Its id, if it is to have a certain one.
    pub id: Option<String>,
    /// Its label.
    pub label: Option<String>,
    /// When it is to expire, in seconds since the epoch.
    pub expires_at: Option<u64>,
    /// What it is.
    pub value: SecretValue,
}

/// What a secret is given as.
#[derive(Debug)]
pub enum SecretValue {
    /// In clear; stored hashed.
    Clear(Secret),
    /// As a hash made elsewhere.
    Hash(SecretHash),
    /// Only its id: the one that the client has already.
    Kept,
}

/// The most secrets that a client may have: each costs time at every request.
pub const MAX_SECRETS: usize = 5;
/// The most secrets under a slow hash that a client may have.
pub const MAX_SLOW_HASHES: usize = 2;
const MAX_SECRET_BYTES: usize = 4096;
// DynamoDB takes 400 KB, but a client is read with every token, and its claims go into each.
const MAX_CLIENT_BYTES: usize = 64 * 1024;

/// Reads a clients file.
///
/// # Errors
/// Every fault of every entry, with its path.
pub fn read_file(text: &str) -> Result<Vec<Registration>, Vec<String>> {
    let file: Value = serde_json::from_str(text).map_err(|error| vec![format!("not JSON: {error}")])?;
    let entries = match file {
        Value::Object(mut file) if file.len() == 1 => file.remove("clients"),
        _ => None,
    };
    let Some(Value::Array(entries)) = entries else {
        return Err(vec!["not an object with the one member \"clients\", an array".to_owned()]);
    };
    let mut faults = Vec::new();
    let mut read = Vec::with_capacity(entries.len());
    let mut ids = HashSet::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let name = entry.get("client_id").and_then(Value::as_str).map(|id| format!(" ({id:?})")).unwrap_or_default();
        match read_entry(entry) {
            Ok(registration) => {
                if !ids.insert(registration.client.client_id.clone()) {
                    faults.push(format!("clients[{index}]{name}: client_id stands twice in the file"));
                }
                read.push(registration);
            }
            Err(found) => faults.extend(found.into_iter().map(|fault| format!("clients[{index}]{name}: {fault}"))),
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

/// Reads one client.
///
/// # Errors
/// Every fault of it, with its path.
pub fn read_entry(entry: Value) -> Result<Registration, Vec<String>> {
    let Value::Object(mut entry) = entry else { return Err(vec!["not an object".to_owned()]) };
    let mut faults = Vec::new();
    let secrets = take_secrets(&mut entry, &mut faults);
    if entry.get("version").is_some_and(|version| *version != CLIENT_VERSION) {
        faults.push(format!("version: not {CLIENT_VERSION}"));
    }
    // What Mintlet keeps by itself may stand in the file, as `client show` prints it, and says nothing.
    for (name, value) in [("version", json!(CLIENT_VERSION)), ("created_at", json!(0)), ("updated_at", json!(0))] {
        entry.insert(name.to_owned(), value);
    }
    entry.entry("grant_types").or_insert_with(|| json!(["client_credentials"]));
    entry.insert("client_secrets".to_owned(), json!([]));
    let disabled = entry.entry("disabled").or_insert(Value::Null).as_bool();
    if entry.get("disabled").is_some_and(Value::is_null) {
        entry.insert("disabled".to_owned(), json!(false));
    }
    match read_client(entry, &mut faults) {
        Some(client) if faults.is_empty() => Ok(Registration { client, secrets, disabled }),
        _ => Err(faults),
    }
}

// Reads the metadata; a member that cannot be read is noted and left out, so that the next fault is found as well.
fn read_client(mut entry: Map<String, Value>, faults: &mut Vec<String>) -> Option<Client> {
    let mut unknown = Vec::new();
    loop {
        unknown.clear();
        let mut note = |path: serde_ignored::Path<'_>| unknown.push(format!("{path}: no such attribute"));
        let mut track = serde_path_to_error::Track::new();
        let value = Value::Object(entry.clone());
        let reader = serde_path_to_error::Deserializer::new(value, &mut track);
        let outcome = Client::deserialize(serde_ignored::Deserializer::new(reader, &mut note));
        let Err(error) = outcome else {
            faults.append(&mut unknown);
            let client = outcome.ok()?;
            check(&client, faults);
            return Some(client);
        };
        let path = track.path().to_string();
        let member = path.split(['.', '[']).next().unwrap_or_default().to_owned();
        if path == "." {
            faults.append(&mut unknown);
            faults.push(error.to_string());
            return None;
        }
        faults.push(format!("{path}: {error}"));
        // What every client has gets a value that is good in place of the one that is not.
        let replaced = match member.as_str() {
            "client_id" => None,
            "grant_types" => entry.insert(member, json!([])),
            "disabled" => entry.insert(member, json!(false)),
            _ => entry.remove(&member),
        };
        if replaced.is_none() {
            faults.append(&mut unknown);
            return None;
        }
    }
}

fn check(client: &Client, faults: &mut Vec<String>) {
    faults.extend(client.faults().map(|(path, text)| format!("{path}: {text}")));
    let mut fault = |path: &str, text: &str| faults.push(format!("{path}: {text}"));
    if json!(client).to_string().len() > MAX_CLIENT_BYTES {
        fault(".", "over 64 KiB in all");
    }
    for found in claims::faults(&client.claims) {
        match found {
            claims::Fault::Registered(name) => fault(&format!("claims.{name}"), "only the server sets this claim"),
            claims::Fault::Malformed => {
                fault("claims", "nested too deep, an empty name, or a number out of DynamoDB's range");
            }
        }
    }
    if client.jwks.iter().flat_map(Jwks::jwks).any(|key| !claims::is_storable(key)) {
        fault("jwks", "nested too deep, an empty name, or a number out of DynamoDB's range");
    }
}

fn take_secrets(entry: &mut Map<String, Value>, faults: &mut Vec<String>) -> Option<Vec<SecretInput>> {
    let single = entry.remove("client_secret");
    let several = entry.remove("client_secrets");
    let inputs = match (single, several) {
        (None, None) => return None,
        (Some(secret), None) => {
            let input = json!({"secret": secret});
            read_secret(&input, "client_secret", faults).into_iter().collect()
        }
        (None, Some(Value::Array(secrets))) => secrets
            .iter()
            .enumerate()
            .filter_map(|(index, secret)| read_secret(secret, &format!("client_secrets[{index}]"), faults))
            .collect::<Vec<_>>(),
        (None, Some(_)) => {
            faults.push("client_secrets: not an array".to_owned());
            Vec::new()
        }
        (Some(_), Some(_)) => {
            faults.push("client_secret and client_secrets: one or the other".to_owned());
            Vec::new()
        }
    };
    if inputs.len() > MAX_SECRETS {
        faults.push(format!("client_secrets: more than {MAX_SECRETS}"));
    }
    let ids: Vec<_> = inputs.iter().filter_map(|input| input.id.as_deref()).collect();
    if ids.iter().enumerate().any(|(index, id)| ids.iter().skip(index + 1).any(|other| other == id)) {
        faults.push("client_secrets: an id stands twice".to_owned());
    }
    Some(inputs)
}

// No fault repeats a value: it may be a secret that stands in the wrong place.
fn read_secret(input: &Value, path: &str, faults: &mut Vec<String>) -> Option<SecretInput> {
    let before = faults.len();
    let Some(members) = input.as_object() else {
        faults.push(format!("{path}: not an object"));
        return None;
    };
    for name in members.keys() {
        // `created_at` and `scheme` are what `client show` prints, and say nothing.
        if !["id", "label", "secret", "hash", "expires_at", "created_at", "scheme"].contains(&name.as_str()) {
            faults.push(format!("{path}.{name}: no such attribute"));
        }
    }
    let mut text = |name: &str| match members.get(name) {
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) if path == "client_secret" => {
            faults.push("client_secret: not a string".to_owned());
            None
        }
        Some(_) => {
            faults.push(format!("{path}.{name}: not a string"));
            None
        }
    };
    let (id, label, secret, hash) = (text("id"), text("label"), text("secret"), text("hash"));
    let expires_at = members.get("expires_at").and_then(|value| {
        let seconds = value.as_u64();
        if seconds.is_none() {
            faults.push(format!("{path}.expires_at: not a number of seconds since the epoch"));
        }
        seconds
    });
    let value = match (secret, hash) {
        (Some(secret), None) => {
            if secret.is_empty() || secret.len() > MAX_SECRET_BYTES || secret.chars().any(char::is_control) {
                faults.push(format!("{path}: not 1 to {MAX_SECRET_BYTES} bytes without control characters"));
            }
            SecretValue::Clear(Secret::new(secret))
        }
        (None, Some(hash)) => match SecretHash::try_from(hash) {
            Ok(hash) => SecretValue::Hash(hash),
            Err(fault) => {
                faults.push(format!("{path}.hash: {fault}"));
                return None;
            }
        },
        (None, None) if id.is_some() => SecretValue::Kept,
        _ => {
            if faults.len() == before {
                faults.push(format!("{path}: needs secret, hash, or the id of one that the client has"));
            }
            return None;
        }
    };
    (faults.len() == before).then_some(SecretInput { id, label, expires_at, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(clients: &Value) -> Vec<String> {
        read_file(&json!({ "clients": clients }).to_string()).unwrap_err()
    }

    #[test]
    fn every_fault_of_every_entry_is_named_with_its_path() {
        let found = faults(&json!([
            {"client_id": "good", "client_secret": "x"},
            {
                "client_id": "bad", "scope": "a  b", "grant_types": ["password"], "access_token_lifetime": 5, "colour": "red",
                "claims": {"iss": "x", "org_ids": []}, "client_secrets": [{"hash": "$1$x"}, {"secret": ""}, {"secret": "a", "note": 1}],
                "eventhos": {"id": [], "identifier": "x"}, "jwks": {"keys": [{"kty": "RSA", "d": "x"}]}
            },
            {"client_id": ""},
            {"client_name": "nameless"},
            "text",
            {"client_id": "good"}
        ]));
        assert_eq!(
            found,
            [
                r#"clients[1] ("bad"): client_secrets[0].hash: not a hash of a supported scheme"#,
                r#"clients[1] ("bad"): client_secrets[1]: not 1 to 4096 bytes without control characters"#,
                r#"clients[1] ("bad"): client_secrets[2].note: no such attribute"#,
                r#"clients[1] ("bad"): access_token_lifetime: not 60 to 86400 seconds"#,
                r#"clients[1] ("bad"): grant_types[0]: unknown variant `password`, expected `client_credentials` or `urn:ietf:params:oauth:grant-type:jwt-bearer`"#,
                r#"clients[1] ("bad"): jwks: keys[0]: has a member of a private or symmetric key: register the public key only"#,
                r#"clients[1] ("bad"): scope: not a list of scope tokens separated by single spaces (RFC 6749 section 3.3)"#,
                r#"clients[1] ("bad"): colour: no such attribute"#,
                r#"clients[1] ("bad"): eventhos.id: neither a number nor a string"#,
                r#"clients[1] ("bad"): claims.iss: only the server sets this claim"#,
                r#"clients[2] (""): client_id: not 1 to 255 printable ASCII characters"#,
                "clients[3]: missing field `client_id`",
                "clients[4]: not an object",
                r#"clients[5] ("good"): client_id stands twice in the file"#,
            ]
        );
    }

    #[test]
    fn what_cannot_be_stored_or_is_too_much_is_refused() {
        let fault = |members: Value| {
            let mut entry = json!({"client_id": "a"});
            entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            read_entry(entry).unwrap_err()
        };
        let secrets =
            |count| json!({"client_secrets": (0..count).map(|n| json!({"secret": n.to_string()})).collect::<Value>()});
        assert!(read_entry(json!({"client_id": "a", "claims": {"x": 1e99, "y": 0, "z": [[["deep"]]]}})).is_ok());
        let nested = serde_json::from_str::<Value>(&format!("{}1{}", "[".repeat(30), "]".repeat(30))).unwrap();
        for claims in
            [json!({"x": 1e300}), json!({"x": 1e-200}), json!({"": 1}), json!({"x": {"": 1}}), json!({"x": nested})]
        {
            let found = fault(json!({"claims": claims}));
            assert_eq!(found, ["claims: nested too deep, an empty name, or a number out of DynamoDB's range"]);
        }
        assert_eq!(fault(json!({"description": "x".repeat(65 * 1024)})), [".: over 64 KiB in all"]);
        assert_eq!(fault(secrets(6)), ["client_secrets: more than 5"]);
        assert_eq!(
            fault(json!({"client_secrets": [{"id": "a"}, {"id": "a"}]})),
            ["client_secrets: an id stands twice"]
        );
        assert_eq!(
            fault(json!({"client_secret": "a", "client_secrets": []})),
            ["client_secret and client_secrets: one or the other"]
        );
        assert_eq!(fault(json!({"version": 2})), ["version: not 1"]);
    }

    #[test]
    fn a_file_of_another_shape_is_refused() {
        for bad in ["", "[]", "{}", r#"{"clients":{}}"#, r#"{"clients":[],"x":1}"#] {
            assert_eq!(read_file(bad).unwrap_err().len(), 1, "{bad}");
        }
    }

    #[test]
    fn no_fault_repeats_a_secret() {
        let found = faults(
            &json!([{"client_id": "a", "client_secrets": ["hunter2", {"secret": ["hunter2"]}, {"hash": "hunter2"}]}]),
        );
        assert!(!found.join(" ").contains("hunter2"), "{found:?}");
    }

    #[test]
    fn what_show_prints_is_accepted() {
        let entry = json!({
            "client_id": "a", "grant_types": ["client_credentials"], "disabled": false, "scope_claim": "string", "version": 1,
            "created_at": 5, "updated_at": 6, "client_secrets": [{"id": "s1", "scheme": "hmac-sha256", "created_at": 5}]
        });
        let registration = read_entry(entry).unwrap();
        assert!(matches!(registration.secrets.unwrap()[0].value, SecretValue::Kept));
    }
}
