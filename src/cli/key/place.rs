//! Where a key ring is kept, and how it is changed there: a private file, or a secret.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use aws_sdk_secretsmanager::Client as Sdk;
use clap::Args as ClapArgs;
use zeroize::Zeroizing;

use super::super::{Failure, sdk, variable};
use crate::{
    edge::keys::{Source, read_source},
    keyring::{KeyRing, RingDocument},
};

// No doc comment: it would take the place of the command's own text.
#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Place {
    /// The file that holds the key ring [default: $SIGNING_KEYS_FILE]
    #[arg(long, global = true, conflicts_with = "secret_id")]
    file: Option<PathBuf>,
    /// The Secrets Manager secret that holds the key ring: name or ARN [default: $SIGNING_KEYS_SECRET_ID]
    #[arg(long, global = true)]
    secret_id: Option<String>,
}

impl Place {
    /// Whether a flag says where the ring is.
    pub(in crate::cli) fn is_given(&self) -> bool {
        self.file.is_some() || self.secret_id.is_some()
    }

    /// The file and the secret that are named.
    pub(in crate::cli) fn named(self) -> (Option<PathBuf>, Option<String>) {
        // Only where no flag says which: a variable never stands beside the other flag.
        if self.is_given() {
            (self.file, self.secret_id)
        } else {
            (variable("SIGNING_KEYS_FILE").map(PathBuf::from), variable("SIGNING_KEYS_SECRET_ID"))
        }
    }

    /// Where that is; nothing is read yet.
    pub(in crate::cli) async fn source(self) -> Result<Source, Failure> {
        match self.named() {
            (Some(path), None) => Ok(Source::File(path)),
            (None, Some(id)) => {
                let config = sdk::config().await?;
                Ok(Source::Secret { sdk: Sdk::new(&config), id })
            }
            _ => Err(Failure::new("say where the key ring is: --file PATH or --secret-id ID, and not both")),
        }
    }
}

/// The ring as it signs.
pub(super) async fn parse(source: &Source) -> Result<KeyRing, Failure> {
    let json = read_source(source).await.map_err(Failure::new)?;
    KeyRing::from_json(&json).map_err(Failure::new)
}

/// What a ring was when it was read, so that another one is not overwritten.
pub(in crate::cli) struct AsRead(digest::Digest);

/// The ring as it can be changed; an empty one where there is none yet.
pub(in crate::cli) async fn read_or_empty(source: &Source) -> Result<(RingDocument, AsRead), Failure> {
    let json = stored(source).await?;
    let as_read = AsRead(digest::digest(&digest::SHA256, &json));
    if json.trim_ascii().is_empty() {
        return Ok((RingDocument::default(), as_read));
    }
    RingDocument::from_json(&json).map(|ring| (ring, as_read)).map_err(Failure::new)
}

// The text of the ring; nothing where there is none yet.
async fn stored(source: &Source) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let is_empty = match source {
        Source::File(path) => !path.exists(),
        Source::Secret { sdk, id } => is_without_value(sdk, id).await?,
        Source::Inline(_) => false,
    };
    if is_empty { Ok(Zeroizing::default()) } else { read_source(source).await.map_err(Failure::new) }
}

// A secret that was just deployed has no version yet.
async fn is_without_value(sdk: &Sdk, id: &str) -> Result<bool, Failure> {
    let secret = sdk.describe_secret().secret_id(id).send().await.map_err(Failure::sdk)?;
    let stages = secret.version_ids_to_stages.unwrap_or_default();
    Ok(!stages.values().flatten().any(|stage| stage == "AWSCURRENT"))
}

/// Puts a ring in the place of the one that was read.
///
/// Making a key takes long enough for two commands at once to meet here. Of a secret, what is left is the moment between looking
/// and writing.
pub(in crate::cli) async fn write(source: &Source, as_read: &AsRead, ring: &RingDocument) -> Result<(), Failure> {
    // Before it replaces a ring that works.
    KeyRing::try_from(ring).map_err(Failure::new)?;
    let _one_at_a_time = match source {
        Source::File(path) => lock_beside(path)?,
        Source::Secret { .. } | Source::Inline(_) => None,
    };
    if digest::digest(&digest::SHA256, &stored(source).await?).as_ref() != as_read.0.as_ref() {
        return Err(Failure::new("the key ring was changed meanwhile: this command has changed nothing; try again"));
    }
    // Made by hand, not by a rotation.
    let ring = RingDocument { made_from: None, ..ring.clone() };
    let json = Zeroizing::new(serde_json::to_string(&ring).map_err(Failure::new)?);
    match source {
        Source::File(path) => write_private_file(path, json.as_bytes()),
        Source::Secret { sdk, id } => {
            sdk.put_secret_value().secret_id(id).secret_string(json.as_str()).send().await.map_err(Failure::sdk)?;
            give_up_rotation(sdk, id).await
        }
        Source::Inline(_) => Err(Failure::new("a ring in memory cannot be changed")),
    }
}

// What a rotation has made of the ring as it was must not take the place of this one, nor stand in the way of the next rotation.
async fn give_up_rotation(sdk: &Sdk, id: &str) -> Result<(), Failure> {
    let secret = sdk.describe_secret().secret_id(id).send().await.map_err(Failure::sdk)?;
    for (version, stages) in secret.version_ids_to_stages.unwrap_or_default() {
        let has = |stage| stages.iter().any(|held| held == stage);
        if has("AWSPENDING") && !has("AWSCURRENT") {
            let update = sdk.update_secret_version_stage().secret_id(id).version_stage("AWSPENDING");
            update.remove_from_version_id(&version).send().await.map_err(|error| {
                let fault = Failure::sdk(error);
                Failure::new(format!(
                    "the ring is written, but the rotation under way, {version}, could not be given up: {fault}"
                ))
            })?;
        }
    }
    Ok(())
}

// The directory of a file, locked until it is dropped: the file itself is replaced by another one.
fn lock_beside(path: &Path) -> Result<Option<File>, Failure> {
    if !cfg!(unix) {
        return Ok(None);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fault = |error: std::io::Error| Failure::new(format!("{}: {error}", parent.display()));
    let directory = File::open(parent).map_err(fault)?;
    directory.lock().map_err(fault)?;
    Ok(Some(directory))
}

/// Writes a file that only its owner can read, whole or not at all.
pub(in crate::cli) fn write_private_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let fault = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // Left behind by a run that was cut off; created anew, so that its mode is ours.
    drop(std::fs::remove_file(&temporary));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary).map_err(fault)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(fault)?;
    std::fs::rename(&temporary, path).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keyring::KeyRecord, oauth::jwt::Alg};

    #[tokio::test]
    async fn a_ring_that_was_changed_since_it_was_read_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::File(dir.path().join("ring.json"));
        let with_a_key = |mut ring: RingDocument| {
            ring.keys.push(KeyRecord::generate(Alg::ES256, 0).unwrap());
            ring
        };
        let (ours, theirs) = (read_or_empty(&source).await.unwrap(), read_or_empty(&source).await.unwrap());
        write(&source, &theirs.1, &with_a_key(theirs.0)).await.unwrap();
        let written = stored(&source).await.unwrap();
        let late = write(&source, &ours.1, &with_a_key(ours.0)).await.unwrap_err();
        assert_eq!(late.to_string(), "the key ring was changed meanwhile: this command has changed nothing; try again");
        assert!(*stored(&source).await.unwrap() == *written);
        let (ring, as_read) = read_or_empty(&source).await.unwrap();
        write(&source, &as_read, &with_a_key(ring)).await.unwrap();
        assert_eq!(read_or_empty(&source).await.unwrap().0.keys.len(), 2);
    }
}
