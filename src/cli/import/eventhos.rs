//! eventhos, and what else uses nodeboot-oauth2-starter: rows of its table `OAUTH2_Clients`, each with its subject and roles.

use aws_lc_rs::{
    cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey},
    iv::FixedLength,
};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::entry::{Entry, Flag, Imported, Unfit, each};
use crate::oauth::secret::{Secret, from_hex};

#[derive(Deserialize)]
struct Row {
    id: Value,
    client_id: String,
    identifier: String,
    client_secret: String,
    access_token: Option<String>,
    #[serde(default)]
    revoked: Flag,
    #[serde(default)]
    deleted: Flag,
    name: Option<String>,
    description: Option<String>,
    // With a null in it, where a row is joined with no role.
    roles: Option<Vec<Option<String>>>,
}

// Between the hex of the initial counter block and that of the encrypted secret.
const SEPARATOR: &str = "|.|";
// A wrong key makes noise of a secret, and 16 bytes of noise are all visible once in nine million times. eventhos makes 32.
const MIN_CHARS: usize = 16;

/// Reads an export of eventhos, whose secrets are encrypted under `crypto_key`.
pub fn read(documents: Vec<Value>, crypto_key: &Secret) -> Vec<Imported> {
    let key = derived(crypto_key);
    each(documents, "client_id", |row| one(row, key.as_deref()))
}

fn one(row: Row, key: Option<&[u8; 32]>) -> Result<Entry, Unfit> {
    if row.deleted.is_on() {
        return Err(Unfit::Skipped("it is deleted in eventhos".to_owned()));
    }
    let secret = decrypted(&row.client_secret, key).ok_or_else(|| {
        let what = "its secret does not decrypt to 16 or more visible characters";
        Unfit::Fault(format!("{what}: is the key file that of this eventhos?"))
    })?;
    let long_lived = row.access_token.is_some_and(|token| !token.is_empty());
    let mut entry = Entry::new(row.client_id);
    entry.text("client_name", row.name);
    entry.text("description", row.description);
    entry.set("client_secret", Some(secret.expose()));
    entry.set(
        "eventhos",
        Some(json!({
            "id": row.id, "identifier": row.identifier, "long_lived": long_lived,
            "roles": row.roles.into_iter().flatten().flatten().collect::<Vec<_>>()
        })),
    );
    if long_lived {
        entry.note("its long-lived token is not carried over, and it gets no short-lived ones, as in eventhos; `mintlet client long-lived-token` makes it another one");
    }
    if row.revoked.is_on() {
        entry.disable("it is revoked in eventhos");
    }
    Ok(entry)
}

// What scryptSync of Node.js makes of the key, the salt "salt" and 32 bytes: N is 2^14, r 8 and p 1.
fn derived(crypto_key: &Secret) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let params = scrypt::Params::new(14, 8, 1).ok()?;
    scrypt::scrypt(crypto_key.expose().as_bytes(), b"salt", &params, key.as_mut_slice()).ok()?;
    Some(key)
}

fn decrypted(stored: &str, key: Option<&[u8; 32]>) -> Option<Secret> {
    let (counter, encrypted) = stored.split_once(SEPARATOR)?;
    let counter: [u8; 16] = from_hex(counter.as_bytes())?.try_into().ok()?;
    let mut bytes = Zeroizing::new(from_hex(encrypted.as_bytes())?);
    let key = DecryptingKey::ctr(UnboundCipherKey::new(&AES_256, key?).ok()?).ok()?;
    key.decrypt(&mut bytes, DecryptionContext::Iv128(FixedLength::from(counter))).ok()?;
    let plausible = bytes.len() >= MIN_CHARS && bytes.iter().all(|byte| matches!(byte, 0x21..=0x7E));
    std::str::from_utf8(&bytes).ok().filter(|_| plausible).map(Secret::new)
}
