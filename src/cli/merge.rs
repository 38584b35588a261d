//! What a client is to be: new ones with their secrets, and what is asked for over what there is.

use serde_json::Value;

use super::{
    Failure,
    registration::{MAX_SECRETS, MAX_SLOW_HASHES, Registration, SecretInput, SecretValue, read_entry},
};
use crate::{
    edge::moment,
    oauth::{
        client::{Client, ClientId, ClientSecret},
        secret::{Secret, SecretHash},
    },
};

// A secret shorter than this may be one that a person chose, and is stored under a slow hash.
const MIN_RANDOM_SECRET_CHARS: usize = 32;

/// A client of an entry as a clients file has it, with a fresh secret.
///
/// # Errors
/// Every fault of the entry, or if the operating system has no randomness.
pub fn new_client(entry: Value) -> Result<(Client, Secret), Failure> {
    let mut client = new_client_without_secret(entry)?;
    let secret = first_secret(&mut client)?;
    Ok((client, secret))
}

/// The same without a secret.
///
/// # Errors
/// Every fault of the entry.
pub(super) fn new_client_without_secret(entry: Value) -> Result<Client, Failure> {
    let registration = read_entry(entry).map_err(|faults| Failure::new(faults.join("\n  ")))?;
    let now = moment::now();
    Ok(Client { created_at: now, updated_at: now, ..registration.client })
}

/// Gives a new client its first secret.
///
/// # Errors
/// If the operating system has no randomness.
pub(super) fn first_secret(client: &mut Client) -> Result<Secret, Failure> {
    let (secret, now) = (generate_secret()?, client.created_at);
    add_secret(client, &[], &secret, None, now)?;
    Ok(secret)
}

/// A new secret: 256 random bits, recognisable by its prefix, in unreserved characters (RFC 3986 section 2.3).
///
/// # Errors
/// If the operating system has no randomness.
pub fn generate_secret() -> Result<Secret, Failure> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = zeroize::Zeroizing::new(moment::random::<32>().map_err(Failure::new)?);
    Ok(Secret::new(format!("mintlet_cs_{}", URL_SAFE_NO_PAD.encode(*bytes))))
}

/// Adds a secret to a client, under an id that no secret of it has, nor any of those that it `had` before.
///
/// # Errors
/// If the client has as many as it may have, or the operating system has no randomness.
pub fn add_secret(
    client: &mut Client,
    had: &[ClientSecret],
    secret: &Secret,
    label: Option<String>,
    now: u64,
) -> Result<(), Failure> {
    if client.client_secrets.len() >= MAX_SECRETS {
        return Err(Failure::new(format!(
            "client {} has {MAX_SECRETS} secrets; take one away with `mintlet client secrets revoke`, or end all with --overlap 0",
            client.client_id
        )));
    }
    let id = next_id(client.client_secrets.iter().chain(had).map(|secret| secret.id.as_str()));
    let hash = hash(secret)?;
    client.client_secrets.push(ClientSecret { id, label, hash, created_at: now, expires_at: None });
    Ok(())
}

/// Hashes a secret by its scheme: a fast one for random secrets, a slow one for those that a person may have chosen.
///
/// # Errors
/// If the operating system has no randomness.
pub(super) fn hash(secret: &Secret) -> Result<SecretHash, Failure> {
    let salt = moment::random().map_err(Failure::new)?;
    if secret.expose().chars().count() >= MIN_RANDOM_SECRET_CHARS {
        Ok(SecretHash::of_random_secret(secret, salt))
    } else {
        SecretHash::of_chosen_secret(secret, salt).map_err(Failure::new)
    }
}

/// The client that there is to be: what is asked for, over what there is.
///
/// # Errors
/// If it asks for a secret that is not there, for one twice, or for too many slow ones.
pub(super) fn merge(registration: Registration, before: Option<&Client>, now: u64) -> Result<Client, Failure> {
    let Registration { mut client, secrets, disabled } = registration;
    let held = before.map(|before| before.client_secrets.as_slice()).unwrap_or_default();
    client.created_at = before.map_or(now, |before| before.created_at);
    client.updated_at = before.map_or(now, later_than);
    // A client that was disabled stays so until somebody says otherwise.
    client.disabled = disabled.unwrap_or(before.is_some_and(|before| before.disabled));
    match secrets {
        None => client.client_secrets = held.to_vec(),
        Some(inputs) => {
            let asked = inputs.iter().filter_map(|input| input.id.clone());
            let mut ids: Vec<String> = held.iter().map(|secret| secret.id.clone()).chain(asked).collect();
            for input in inputs {
                let secret = merge_secret(input, &client.client_id, held, &ids, now)?;
                if client.client_secrets.iter().any(|other| other.id == secret.id) {
                    return Err(Failure::new(format!("client {}: a secret stands twice", client.client_id)));
                }
                ids.push(secret.id.clone());
                client.client_secrets.push(secret);
            }
        }
    }
    check_slow_hashes(&client)?;
    Ok(client)
}

/// Checks that a client has no more slow hashes than it may have.
///
/// # Errors
/// If it has.
pub(super) fn check_slow_hashes(client: &Client) -> Result<(), Failure> {
    if client.client_secrets.iter().filter(|secret| secret.hash.is_slow()).count() > MAX_SLOW_HASHES {
        return Err(Failure::new(format!(
            "client {}: more than {MAX_SLOW_HASHES} secrets with a slow hash, as imported ones and those under \
             {MIN_RANDOM_SECRET_CHARS} characters have; each costs time at every wrong secret",
            client.client_id
        )));
    }
    Ok(())
}

// A secret that the client has already stays as it is stored, so that applying the same file again changes nothing.
fn merge_secret(
    input: SecretInput,
    client_id: &ClientId,
    held: &[ClientSecret],
    ids: &[String],
    now: u64,
) -> Result<ClientSecret, Failure> {
    let SecretInput { id, label, expires_at, value } = input;
    let known = held.iter().find(|held| {
        id.as_ref().is_none_or(|id| *id == held.id)
            && match &value {
                SecretValue::Clear(secret) => held.hash.verify(secret),
                SecretValue::Hash(hash) => held.hash.as_str() == hash.as_str(),
                SecretValue::Kept => true,
            }
    });
    let hash = match (value, known) {
        (SecretValue::Kept, Some(known)) => {
            let known = known.clone();
            return Ok(ClientSecret {
                label: label.or(known.label),
                expires_at: expires_at.or(known.expires_at),
                ..known
            });
        }
        (_, Some(known)) => return Ok(ClientSecret { label, expires_at, ..known.clone() }),
        (SecretValue::Clear(secret), None) => hash(&secret)?,
        (SecretValue::Hash(hash), None) => hash,
        (SecretValue::Kept, None) => {
            let id = id.unwrap_or_default();
            return Err(Failure::new(format!("client {client_id} has no secret {id:?}")));
        }
    };
    let id = id.unwrap_or_else(|| next_id(ids.iter().map(String::as_str)));
    Ok(ClientSecret { id, label, hash, created_at: now, expires_at })
}

fn next_id<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let numbers = ids.filter_map(|id| id.strip_prefix('s')?.parse::<u32>().ok());
    format!("s{}", numbers.max().unwrap_or(0).saturating_add(1))
}

/// When a client that was read is changed: later than its last change, so that no two changes look alike.
#[must_use]
pub fn later_than(before: &Client) -> u64 {
    moment::now().max(before.updated_at.saturating_add(1))
}
