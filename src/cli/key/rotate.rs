//! `mintlet key rotate`: by hand what the rotation function does on schedule, and what it never does: replace a bad key at once.

use clap::Args as ClapArgs;
use serde_json::json;

use super::place::{read_or_empty, write};
use crate::{
    cli::Failure,
    edge::keys::Source,
    keyring::{
        KeyRecord, KeyRing,
        rotation::{Fault, Lead, Note, replace, rotate},
    },
};

pub(super) const HELP: &str = "Examples:
  mintlet key rotate --secret-id mintlet-signing-keys
  mintlet key rotate --secret-id mintlet-signing-keys --emergency --kid KID

What an emergency costs: the tokens that the bad key signed are refused by every verifier that fetches the published
keys again, after 7500 s and twice KEYS_CACHE_TTL at the latest (8100 s by default, 14700 s at most). For as long, a
verifier that holds older keys, and does not fetch them at a kid that it does not know, refuses new tokens, unless a
next key was published before; and for twice KEYS_CACHE_TTL running instances may still sign with the bad key. A change
of any of the function's environment variables ends that at once.";

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Seconds for which the next key is published before it signs: 14700 to 604800
    #[arg(long, default_value = "86400", value_parser = parse_lead, conflicts_with = "emergency")]
    lead: Lead,
    /// Take bad keys out now; the next key, or else a new one, signs at once
    #[arg(long, requires = "kid")]
    emergency: bool,
    /// A bad key; may be given several times
    #[arg(long, requires = "emergency", allow_hyphen_values = true)]
    kid: Vec<String>,
}

/// Carries it out.
pub(super) async fn run(args: &Args, source: &Source, now: u64, in_json: bool) -> Result<(), Failure> {
    let (ring, as_read) = read_or_empty(source).await?;
    KeyRing::try_from(&ring).map_err(Failure::new)?;
    let generate = |alg| KeyRecord::generate(alg, now);
    let rotation = if args.emergency {
        replace(&ring, &args.kid, now, generate).map_err(|fault| match fault {
            Fault::UnknownKid(kid) => Failure::new(format!("there is no key {kid} in the ring")),
            Fault::Generate(fault) => Failure::new(fault),
        })?
    } else {
        rotate(&ring, now, args.lead, generate).map_err(Failure::new)?
    };
    if rotation.changes() {
        write(source, &as_read, &rotation.ring).await?;
    }
    // A first key takes nobody's place: there is no verifier yet.
    let unknown_until = rotation.notes.iter().filter_map(|note| note.unknown_until(now)).max();
    let unknown_until = unknown_until.filter(|_| !ring.keys.is_empty());
    if in_json {
        say!("{}", json!({"notes": rotation.notes, "unknown_until": unknown_until}));
        return Ok(());
    }
    for note in &rotation.notes {
        say!("{note}");
    }
    if rotation.notes.iter().any(|note| matches!(note, Note::Dropped { .. })) {
        let longest = Lead::MIN_SECONDS;
        say!("verifiers take the tokens of what is gone until they fetch the published keys again: within {longest} s");
    }
    if let Some(until) = unknown_until {
        let seconds = until - now;
        say!(
            "verifiers that hold older keys, and do not fetch at an unknown kid, refuse new tokens for {seconds} s at most"
        );
    }
    Ok(())
}

fn parse_lead(text: &str) -> Result<Lead, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Lead::from_seconds(seconds).map_err(|fault| fault.0.to_owned())
}
