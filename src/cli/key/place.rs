//! Where a key ring is kept, and how it is changed there: a private file, or a secret.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use aws_sdk_secretsmanager::Client as Sdk;
use clap::Args as ClapArgs;
use zeroize::Zeroizing;

use super::super::{Failure, variable};
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
                let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).load().await;
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

/// The ring as it can be changed; an empty one where there is none yet.
pub(in crate::cli) async fn read_or_empty(source: &Source) -> Result<RingDocument, Failure> {
    let empty = match source {
        Source::File(path) => !path.exists(),
        Source::Secret { sdk, id } => is_without_value(sdk, id).await?,
        Source::Inline(_) => false,
    };
    if empty {
        return Ok(RingDocument::default());
    }
    let json = read_source(source).await.map_err(Failure::new)?;
    if json.trim_ascii().is_empty() {
        return Ok(RingDocument::default());
    }
    RingDocument::from_json(&json).map_err(Failure::new)
}

// A secret that was just deployed has no version yet.
async fn is_without_value(sdk: &Sdk, id: &str) -> Result<bool, Failure> {
    let secret = sdk.describe_secret().secret_id(id).send().await.map_err(Failure::sdk)?;
    let stages = secret.version_ids_to_stages.unwrap_or_default();
    Ok(!stages.values().flatten().any(|stage| stage == "AWSCURRENT"))
}

/// Puts a ring in the place of the one there.
pub(in crate::cli) async fn write(source: &Source, ring: &RingDocument) -> Result<(), Failure> {
    // Before it replaces a ring that works.
    KeyRing::try_from(ring).map_err(Failure::new)?;
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

// A file that only its owner can read, whole or not at all.
fn write_private_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
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
