//! `mintlet key`: the signing keys of a deployment, in a file or in Secrets Manager.

mod place;
mod rotate;

use std::path::Path;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use self::place::parse;
pub(super) use self::place::{Place, read_or_empty, write, write_private_file};
use super::Failure;
use crate::{
    edge::{keys::Source, moment},
    keyring::{KeyRecord, KeyRing, RingDocument, RingKey, rotation::Lead},
    oauth::jwt::Alg,
};

/// Make, rotate and show signing keys
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
    /// Give every algorithm its next key, or replace a bad key at once
    #[command(after_help = rotate::HELP)]
    Rotate(rotate::Args),
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

/// Carries out `mintlet key`.
///
/// # Errors
/// A [`Failure`] that says what could not be done.
pub async fn run(args: Args) -> Result<(), Failure> {
    let source = args.place.source().await?;
    let now = moment::now();
    match args.command {
        Command::Generate { alg, activate_in } => {
            let (mut ring, as_read) = read_or_empty(&source).await?;
            let lead = if takes_a_place(&ring, alg, now)? { Lead::default().seconds() } else { 0 };
            let mut key = KeyRecord::generate(alg, now).map_err(Failure::new)?;
            key.activate_at = now.saturating_add(activate_in.unwrap_or(lead));
            ring.keys.push(key.clone());
            write(&source, &as_read, &ring).await?;
            if args.json {
                say!("{}", json!({"kid": key.kid, "alg": key.alg, "activate_at": key.activate_at}));
            } else {
                say!("made {} key {}, which signs in {} s", key.alg.as_str(), key.kid, key.activate_at - now);
            }
        }
        Command::Rotate(rotate) => rotate::run(&rotate, &source, now, args.json).await?,
        Command::Retire { kid, seconds } => {
            let (mut ring, as_read) = read_or_empty(&source).await?;
            let key = ring.keys.iter_mut().find(|key| key.kid == kid);
            let key = key.ok_or_else(|| Failure::new(format!("there is no key {kid} in the ring")))?;
            let retire_at = now.saturating_add(seconds);
            key.retire_at = Some(retire_at);
            write(&source, &as_read, &ring).await?;
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
        () if key.long_lived_until.is_some() && key.is_active(now) && key.is_published(now) => "long-lived",
        () if key.long_lived_until.is_some() && !key.is_published(now) => "expired",
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
    let (mut ring, as_read) = read_or_empty(&source).await?;
    if complete(&mut ring, algs, now)? { write(&source, &as_read, &ring).await } else { Ok(()) }
}
