//! The key ring: read as the function reads it, then judged.

mod health;

use std::path::PathBuf;

pub use self::health::{Terms, health};
use super::{
    access::{Calls, Unseen},
    finding::{Check, Finding},
    words::word,
};
use crate::{
    edge::keys::{Source, open_to_others, read_source, secret_value},
    keyring::{KeyFault, KeyRing, RingFault},
};

/// Why there is no ring to judge.
#[derive(Debug)]
pub enum Trouble {
    /// It could not be looked at.
    Unseen(Unseen),
    /// The file is not there, or cannot be read: why.
    Unreadable(String),
    /// The file's mode lets others read it.
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The place is there, and nothing is in it.
    Empty,
    /// What is in it is no ring.
    Malformed(RingFault),
}

/// Reads the ring of a place; `Err` says why there is none to read.
///
/// # Errors
/// [`Trouble`].
pub async fn observe(calls: &Calls, source: Result<Source, String>) -> Result<KeyRing, Trouble> {
    let source = source.map_err(|why| Trouble::Unseen(Unseen::NotAsked(why)))?;
    let json = match &source {
        Source::Secret { sdk, id } => {
            let call = sdk.get_secret_value().secret_id(id).send();
            match calls.make("secretsmanager:GetSecretValue", &arn(id), call).await {
                Ok(output) => secret_value(output).ok_or(Trouble::Empty)?,
                // A secret that was just deployed has no value, and Secrets Manager says of that what it says of no secret.
                Err(Unseen::Missing(told)) if told.contains("AWSCURRENT") => return Err(Trouble::Empty),
                Err(unseen) => return Err(Trouble::Unseen(unseen)),
            }
        }
        Source::File(path) => {
            if let Some(mode) = open_to_others(path) {
                return Err(Trouble::OpenToOthers { path: path.clone(), mode });
            }
            read_source(&source).await.map_err(Trouble::Unreadable)?
        }
        Source::Inline(_) => read_source(&source).await.map_err(Trouble::Unreadable)?,
    };
    if json.trim_ascii().is_empty() {
        return Err(Trouble::Empty);
    }
    KeyRing::from_json(&json).map_err(Trouble::Malformed)
}

fn arn(id: &str) -> String {
    if id.starts_with("arn:") { id.to_owned() } else { format!("arn:aws:secretsmanager:REGION:ACCOUNT:secret:{id}-*") }
}

/// What the reading of the ring tells, and if there is one, its health.
#[must_use]
pub fn judge(seen: &Result<KeyRing, Trouble>, terms: &Terms<'_>) -> Vec<Finding> {
    match seen {
        Ok(ring) => {
            let mut findings = Vec::new();
            findings.extend(terms.is_file.then(|| Check::FileMode.ok("only its owner can read the file")));
            findings.push(Check::Ring.ok(format!("the ring of {} can be read", terms.place)));
            findings.push(Check::KidUnique.ok("every kid stands once"));
            findings.extend(health(ring, terms));
            findings
        }
        Err(trouble) => vec![unreadable(trouble, terms)],
    }
}

fn unreadable(trouble: &Trouble, terms: &Terms<'_>) -> Finding {
    let place = terms.place;
    match trouble {
        Trouble::Unseen(unseen) => unseen.finding(
            Check::Ring,
            (
                format!("there is no secret for {place}"),
                "give --secret-id the ARN that the stack's outputs have, and see that the region is the stack's"
                    .to_owned(),
            ),
        ),
        Trouble::Unreadable(why) => {
            Check::Ring.fault(why, format!("mintlet key generate {place}, or give another file"))
        }
        Trouble::OpenToOthers { path, mode } => Check::FileMode.fault(
            format!("the mode {mode:04o} of {} lets others read it, and the function refuses it", path.display()),
            format!("chmod 600 {}; if others use the machine, make new keys", word(&path.to_string_lossy())),
        ),
        Trouble::Empty => Check::Ring
            .fault("the ring has no key yet: the token endpoints answer 503", format!("mintlet key generate {place}")),
        Trouble::Malformed(fault @ RingFault::Key { fault: KeyFault::RepeatedKid, .. }) => Check::KidUnique.fault(
            format!("{fault}: the function refuses the whole ring"),
            "take one of the two out of the document, or give it another kid",
        ),
        Trouble::Malformed(fault) => Check::Ring.fault(
            format!("{fault}: the function refuses the whole ring"),
            "put the last version that was good back (of a secret: its version AWSPREVIOUS)",
        ),
    }
}
