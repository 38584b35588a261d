//! `mintlet key`: the signing keys of a deployment, in a file or in Secrets Manager.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use aws_sdk_secretsmanager::Client as Sdk;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::Failure;
use crate::{
    edge::{
        keys::{Source, read_source},
        moment,
    },
    keyring::{KeyRecord, KeyRing, RingDocument},
    oauth::jwt::Alg,
};

/// Make and show signing keys
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mintlet key generate --secret-id mintlet-signing-keys\n  \
    mintlet key list --file .mintlet/signing-keys.json")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
struct Place {
    /// The file that holds the key ring
    #[arg(long, global = true, env = "SIGNING_KEYS_FILE")]
    file: Option<PathBuf>,
    /// The Secrets Manager secret that holds the key ring: name or ARN
    #[arg(long, global = true, env = "SIGNING_KEYS_SECRET_ID")]
    secret_id: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and put it into the ring
    #[command(after_help = "Example:\n  mintlet key generate --secret-id mintlet-signing-keys --alg RS256")]
    Generate {
        /// RS256, PS256, ES256, ES384, EdDSA or HS256
        #[arg(long, default_value = "RS256", value_parser = parse_alg)]
        alg: Alg,
        /// Seconds until it signs [default: 0 for the first key of its algorithm, else 86400, so that verifiers know it by then]
        #[arg(long)]
        activate_in: Option<u64>,
    },
    /// List the keys of the ring
    #[command(after_help = "Example:\n  mintlet key list --file .mintlet/signing-keys.json")]
    List,
    /// Print the public keys as the service publishes them (RFC 7517)
    #[command(after_help = "Example:\n  mintlet key jwks --file .mintlet/signing-keys.json > jwks.json")]
    Jwks,
}

// How long verifiers may go on with a set of keys that they fetched before: days at the worst, two hours at API Gateway.
const LEAD: u64 = 24 * 60 * 60;

/// Carries out `mintlet key`.
///
/// # Errors
/// A [`Failure`] that says what could not be done.
pub async fn run(args: Args) -> Result<(), Failure> {
    let source = args.place.source().await?;
    let now = moment::now();
    match args.command {
        Command::Generate { alg, activate_in } => {
            let mut ring = read_or_empty(&source).await?;
            let first = !ring.keys.iter().any(|key| key.alg == alg);
            let mut key = KeyRecord::generate(alg, now).map_err(Failure::new)?;
            key.activate_at = now.saturating_add(activate_in.unwrap_or(if first { 0 } else { LEAD }));
            ring.keys.push(key.clone());
            write(&source, &ring).await?;
            if args.json {
                say!("{}", json!({"kid": key.kid, "alg": key.alg, "activate_at": key.activate_at}));
            } else {
                say!("made {} key {}, which signs in {} s", key.alg.as_str(), key.kid, key.activate_at - now);
            }
        }
        Command::List => list(&parse(&source).await?, now, args.json),
        Command::Jwks => say!("{}", json!(parse(&source).await?.jwks(now))),
    }
    Ok(())
}

fn list(ring: &KeyRing, now: u64, in_json: bool) {
    let state = |key: &crate::keyring::RingKey| match () {
        () if key.is_active(now) => "active",
        () if key.activate_at > now => "next",
        () if key.is_published(now) => "retired",
        () => "expired",
    };
    if in_json {
        let keys = ring.keys().iter().map(|held| {
            json!({
                "kid": held.key.kid(), "alg": held.key.alg(), "state": state(held), "created_at": held.created_at,
                "activate_at": held.activate_at, "retire_at": held.retire_at,
            })
        });
        say!("{}", json!({"keys": keys.collect::<Vec<_>>()}));
    } else {
        for held in ring.keys() {
            say!("{}\t{}\t{}\tactivate_at {}", held.key.kid(), held.key.alg().as_str(), state(held), held.activate_at);
        }
    }
}

impl Place {
    async fn source(self) -> Result<Source, Failure> {
        match (self.file, self.secret_id) {
            (Some(path), _) => Ok(Source::File(path)),
            (None, Some(id)) => {
                let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).load().await;
                Ok(Source::Secret { sdk: Sdk::new(&config), id })
            }
            (None, None) => Err(Failure::new("say where the key ring is: --file PATH or --secret-id ID")),
        }
    }
}

async fn parse(source: &Source) -> Result<KeyRing, Failure> {
    let json = read_source(source).await.map_err(Failure::new)?;
    KeyRing::from_json(&json).map_err(Failure::new)
}

async fn read_or_empty(source: &Source) -> Result<RingDocument, Failure> {
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

async fn write(source: &Source, ring: &RingDocument) -> Result<(), Failure> {
    // Before it replaces a ring that works.
    KeyRing::try_from(ring).map_err(Failure::new)?;
    let json = Zeroizing::new(serde_json::to_string(ring).map_err(Failure::new)?);
    match source {
        Source::File(path) => write_private_file(path, json.as_bytes()),
        Source::Secret { sdk, id } => {
            sdk.put_secret_value().secret_id(id).secret_string(json.as_str()).send().await.map_err(Failure::sdk)?;
            Ok(())
        }
        Source::Inline(_) => Err(Failure::new("a ring in memory cannot be changed")),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub(super) fn write_private_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
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

fn parse_alg(text: &str) -> Result<Alg, String> {
    let names = Alg::ALL.map(Alg::as_str).join(", ");
    Alg::ALL.into_iter().find(|alg| alg.as_str() == text).ok_or_else(|| format!("one of {names}"))
}

/// Puts a key of every algorithm into the ring that it lacks.
///
/// # Errors
/// If the operating system has no randomness.
pub(super) fn complete(ring: &mut RingDocument, algs: &[Alg], now: u64) -> Result<bool, Failure> {
    let mut changed = false;
    for alg in algs {
        if !ring.keys.iter().any(|key| key.alg == *alg) {
            ring.keys.push(KeyRecord::generate(*alg, now).map_err(Failure::new)?);
            changed = true;
        }
    }
    Ok(changed)
}

/// The ring in a file with a key of every algorithm wanted; made, and kept there, if it lacks one.
pub(super) async fn complete_file(path: &Path, algs: &[Alg], now: u64) -> Result<(), Failure> {
    let source = Source::File(path.to_owned());
    let mut ring = read_or_empty(&source).await?;
    if complete(&mut ring, algs, now)? { write(&source, &ring).await } else { Ok(()) }
}
