//! `mintlet key`: the signing keys of a deployment, in a file or in Secrets Manager.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use aws_sdk_secretsmanager::Client as Sdk;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Failure, variable};
use crate::{
    edge::{
        keys::{Source, read_source},
        moment,
    },
    keyring::{KeyRecord, KeyRing, RingDocument, RingKey},
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
pub(super) struct Place {
    /// The file that holds the key ring [default: $SIGNING_KEYS_FILE]
    #[arg(long, global = true, conflicts_with = "secret_id")]
    file: Option<PathBuf>,
    /// The Secrets Manager secret that holds the key ring: name or ARN [default: $SIGNING_KEYS_SECRET_ID]
    #[arg(long, global = true)]
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
        /// Seconds until it signs [default: 86400, so that verifiers know it by then; 0 if it takes no other key's place]
        #[arg(long)]
        activate_in: Option<u64>,
    },
    /// Let a key sign no more; it stays published until its last token has expired
    #[command(after_help = "Example:\n  mintlet key retire --secret-id mintlet-signing-keys --kid KID")]
    Retire {
        /// The key
        #[arg(long, allow_hyphen_values = true)]
        kid: String,
        /// Seconds until it signs no more
        #[arg(long = "in", default_value_t = 0)]
        seconds: u64,
    },
    /// List the keys of the ring: which sign, come next, or are retired
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
            let lead = if takes_a_place(&ring, alg, now)? { LEAD } else { 0 };
            let mut key = KeyRecord::generate(alg, now).map_err(Failure::new)?;
            key.activate_at = now.saturating_add(activate_in.unwrap_or(lead));
            ring.keys.push(key.clone());
            write(&source, &ring).await?;
            if args.json {
                say!("{}", json!({"kid": key.kid, "alg": key.alg, "activate_at": key.activate_at}));
            } else {
                say!("made {} key {}, which signs in {} s", key.alg.as_str(), key.kid, key.activate_at - now);
            }
        }
        Command::Retire { kid, seconds } => {
            let mut ring = read_or_empty(&source).await?;
            let key = ring.keys.iter_mut().find(|key| key.kid == kid);
            let key = key.ok_or_else(|| Failure::new(format!("there is no key {kid} in the ring")))?;
            let retire_at = now.saturating_add(seconds);
            key.retire_at = Some(retire_at);
            write(&source, &ring).await?;
            if args.json {
                say!("{}", json!({"kid": kid, "retire_at": retire_at}));
            } else {
                say!("{kid} signs no more in {seconds} s");
            }
        }
        Command::List => list(&parse(&source).await?, now, args.json),
        Command::Jwks => say!("{}", json!(parse(&source).await?.jwks(now))),
    }
    Ok(())
}

// Whether a key of that algorithm would sign in place of one that verifiers know.
fn takes_a_place(ring: &RingDocument, alg: Alg, now: u64) -> Result<bool, Failure> {
    let ring = KeyRing::try_from(ring).map_err(Failure::new)?;
    let by_default = ring.signer(None, now).map(crate::keyring::SigningKey::alg);
    let preference = |alg| Alg::ALL.iter().position(|other| *other == alg);
    let preferred = by_default.is_some_and(|default| preference(alg) < preference(default));
    Ok(preferred || ring.keys().iter().any(|held| held.key.alg() == alg && held.long_lived_until.is_none()))
}

fn list(ring: &KeyRing, now: u64, in_json: bool) {
    let signs = |held: &RingKey| ring.signer(Some(held.key.alg()), now).is_some_and(|key| key.kid() == held.key.kid());
    let state = |key: &RingKey| match () {
        () if key.long_lived_until.is_some() && key.is_published(now) => "long-lived",
        () if key.long_lived_until.is_some() => "expired",
        () if signs(key) => "signs",
        () if key.is_active(now) => "active",
        () if key.activate_at > now => "next",
        () if key.is_published(now) => "retired",
        () => "expired",
    };
    if in_json {
        let keys = ring.keys().iter().map(|held| {
            json!({
                "kid": held.key.kid(), "alg": held.key.alg(), "state": state(held), "created_at": held.created_at,
                "activate_at": held.activate_at, "retire_at": held.retire_at, "long_lived_until": held.long_lived_until,
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
    /// Whether a flag says where the ring is.
    pub(super) fn is_given(&self) -> bool {
        self.file.is_some() || self.secret_id.is_some()
    }

    /// The file and the secret that are named.
    pub(super) fn named(self) -> (Option<PathBuf>, Option<String>) {
        // Only where no flag says which: a variable never stands beside the other flag.
        if self.is_given() {
            (self.file, self.secret_id)
        } else {
            (variable("SIGNING_KEYS_FILE").map(PathBuf::from), variable("SIGNING_KEYS_SECRET_ID"))
        }
    }

    pub(super) async fn source(self) -> Result<Source, Failure> {
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

async fn parse(source: &Source) -> Result<KeyRing, Failure> {
    let json = read_source(source).await.map_err(Failure::new)?;
    KeyRing::from_json(&json).map_err(Failure::new)
}

pub(super) async fn read_or_empty(source: &Source) -> Result<RingDocument, Failure> {
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

pub(super) async fn write(source: &Source, ring: &RingDocument) -> Result<(), Failure> {
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
        if !ring.keys.iter().any(|key| key.alg == *alg && key.long_lived_until.is_none()) {
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
