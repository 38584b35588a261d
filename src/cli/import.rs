//! `mintlet client import`: the clients of another system, with their ids and secrets.
//!
//! A file per system reads its export into entries as a clients file has them; what follows is the same for all. Nothing is
//! overwritten, and nothing is written unless all that may get tokens there will get them here.

mod auth0;
mod cognito;
pub mod entry;
mod eventhos;
mod frontier;
mod hydra;
mod keycloak;

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
};

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use self::entry::{Imported, Unfit, documents};
use super::{
    Failure,
    clients_table::{ClientsTable, same},
    merge::merge,
    read,
    registration::read_entry,
    visible,
};
use crate::{
    edge::{keys::read_private_file, moment},
    oauth::{
        client::{Client, ClientId},
        secret::Secret,
    },
};

pub(super) const HELP: &str = "\
The report has a line per client: what became of it, its id, and why, or what of it is not carried over.
  imported       it is registered now; `would import`, if nothing was written
  unchanged      it is registered, and is as it would be imported
  skipped        it gets no token by itself in the system that it comes from
  fault          it cannot be imported
  conflict       there is another client of that id, which is never overwritten
The report is clean if no line says fault or conflict. Only then, or with --partial, is anything written; the command fails \
where it is not clean, unless --partial is given.

Examples:
  mintlet client import --local --from hydra clients.json --dry-run
  mintlet client import --local --from eventhos clients.json --crypto-key-file crypto-key

docs/import.md says for each system how to export its clients.";

/// How to import.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The system that the file comes from: hydra, frontier, eventhos, cognito, auth0 or keycloak
    #[arg(long, value_name = "SYSTEM", value_parser = system)]
    from: System,
    /// Its export: JSON; - is standard input
    file: PathBuf,
    /// Only report; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Import what can be imported, although the report is not clean
    #[arg(long)]
    partial: bool,
    /// For eventhos: a file of mode 0600 with the key that its secrets are encrypted under
    #[arg(long, value_name = "FILE")]
    crypto_key_file: Option<PathBuf>,
}

/// A system whose clients can be imported.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Its name, as `--from` takes it.
    pub name: &'static str,
    reader: Reader,
}

#[derive(Clone, Copy, Debug)]
enum Reader {
    Plain(fn(Vec<Value>) -> Vec<Imported>),
    // With the key that its secrets are encrypted under.
    Keyed(fn(Vec<Value>, &Secret) -> Vec<Imported>),
}

/// All of them.
pub const SYSTEMS: [System; 6] = [
    System { name: "hydra", reader: Reader::Plain(hydra::read) },
    System { name: "frontier", reader: Reader::Plain(frontier::read) },
    System { name: "eventhos", reader: Reader::Keyed(eventhos::read) },
    System { name: "cognito", reader: Reader::Plain(cognito::read) },
    System { name: "auth0", reader: Reader::Plain(auth0::read) },
    System { name: "keycloak", reader: Reader::Plain(keycloak::read) },
];

/// What is to be done with a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// Write nothing.
    pub dry_run: bool,
    /// Write what can be imported, although the report is not clean.
    pub partial: bool,
}

/// What became of each client of an export, in its order.
#[derive(Debug)]
pub struct Report {
    /// A line per client.
    pub lines: Vec<Line>,
    /// Whether the clients to be imported are written.
    pub written: bool,
}

/// What became of one client.
#[derive(Debug)]
pub struct Line {
    /// Its id.
    pub client_id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What of it is not carried over.
    pub notes: Vec<String>,
}

/// What becomes of a client.
#[derive(Debug)]
pub enum Outcome {
    /// It is to be registered.
    Import(Box<Client>),
    /// It is registered, and as it would be imported.
    Unchanged,
    /// It gets no token by itself in the system that it comes from.
    Skipped(String),
    /// It cannot be imported.
    Fault(String),
    /// There is another client of that id.
    Conflict,
}

/// Carries out `mintlet client import`.
///
/// # Errors
/// If the file cannot be read, the table refuses, or the report is not clean.
pub async fn run(args: Args, table: &ClientsTable, in_json: bool) -> Result<(), Failure> {
    let key = args.crypto_key_file.as_deref().map(read_key).transpose()?;
    let text = read(&args.file)?;
    let imported = args
        .from
        .read(&text, key.as_ref())
        .map_err(|fault| Failure::new(format!("{}: {fault}; nothing was written", args.file.display())))?;
    let mode = Mode { dry_run: args.dry_run, partial: args.partial };
    let report = import(table, imported, mode).await?;
    if in_json {
        say!("{}", report.json());
    } else {
        say!("{}", report.to_string().trim_end());
    }
    let unclean = report.lines.iter().filter(|line| line.outcome.is_unclean()).count();
    if unclean > 0 && !mode.partial {
        let (all, hint) = (report.lines.len(), "mend the file, or import the others with --partial");
        return Err(Failure::new(format!(
            "nothing was written: {unclean} of {all} clients cannot be imported; {hint}"
        )));
    }
    Ok(())
}

/// Imports clients, as far as the mode says.
///
/// # Errors
/// If the table cannot be read or refuses.
pub async fn import(table: &ClientsTable, imported: Vec<Imported>, mode: Mode) -> Result<Report, Failure> {
    let lines = plan(table, imported).await?;
    let clean = !lines.iter().any(|line| line.outcome.is_unclean());
    let written = !mode.dry_run && (clean || mode.partial);
    if written {
        let new = lines.iter().filter_map(|line| line.outcome.client());
        table.create_all(&new.cloned().collect::<Vec<_>>()).await?;
    }
    Ok(Report { lines, written })
}

async fn plan(table: &ClientsTable, imported: Vec<Imported>) -> Result<Vec<Line>, Failure> {
    let now = moment::now();
    let mut seen = HashSet::new();
    let entries = imported.iter().filter(|client| client.entry.is_ok());
    let twice: HashSet<_> = entries.map(|it| it.client_id.clone()).filter(|id| !seen.insert(id.clone())).collect();
    let mut lines = Vec::with_capacity(imported.len());
    for Imported { client_id, entry, notes } in imported {
        let outcome = match entry {
            Err(Unfit::Skipped(why)) => Outcome::Skipped(why),
            Err(Unfit::Fault(fault)) => Outcome::Fault(fault),
            Ok(_) if twice.contains(&client_id) => Outcome::Fault("its id stands twice in the file".to_owned()),
            Ok(entry) => outcome(table, entry, now).await?,
        };
        lines.push(Line { client_id, outcome, notes });
    }
    Ok(lines)
}

async fn outcome(table: &ClientsTable, entry: Value, now: u64) -> Result<Outcome, Failure> {
    let mut registration = match read_entry(entry) {
        Ok(registration) => registration,
        Err(faults) => return Ok(Outcome::Fault(faults.join("; "))),
    };
    // Nothing said means enabled, also where there is such a client already that somebody disabled.
    registration.disabled.get_or_insert(false);
    let before = table.get(&registration.client.client_id).await?;
    let after = match merge(registration, before.as_ref(), now) {
        Ok(after) => after,
        Err(fault) => return Ok(Outcome::Fault(fault.to_string())),
    };
    Ok(match before {
        None => Outcome::Import(Box::new(after)),
        Some(before) if same(&before, &after)? => Outcome::Unchanged,
        Some(_) => Outcome::Conflict,
    })
}

impl System {
    /// Reads an export of it.
    ///
    /// # Errors
    /// If it is not JSON, has no client, or needs a key that is not there.
    pub fn read(&self, text: &str, crypto_key: Option<&Secret>) -> Result<Vec<Imported>, String> {
        let documents = documents(text)?;
        let imported = match (self.reader, crypto_key) {
            (Reader::Plain(read), None) => read(documents),
            (Reader::Keyed(read), Some(key)) => read(documents, key),
            (Reader::Plain(_), Some(_)) => {
                return Err(format!("{} encrypts no secrets: no --crypto-key-file", self.name));
            }
            (Reader::Keyed(_), None) => {
                return Err(format!("the secrets of {} are encrypted: give its key with --crypto-key-file", self.name));
            }
        };
        if imported.is_empty() { Err("there is no client in it".to_owned()) } else { Ok(imported) }
    }
}

impl Outcome {
    /// Whether a client that may get tokens where it comes from would get none here.
    #[must_use]
    pub fn is_unclean(&self) -> bool {
        match self {
            Self::Import(_) | Self::Unchanged | Self::Skipped(_) => false,
            Self::Fault(_) | Self::Conflict => true,
        }
    }

    fn client(&self) -> Option<&Client> {
        match self {
            Self::Import(client) => Some(client),
            Self::Unchanged | Self::Skipped(_) | Self::Fault(_) | Self::Conflict => None,
        }
    }

    fn name(&self, written: bool) -> &'static str {
        match self {
            Self::Import(_) if written => "imported",
            Self::Import(_) => "would import",
            Self::Unchanged => "unchanged",
            Self::Skipped(_) => "skipped",
            Self::Fault(_) => "fault",
            Self::Conflict => "conflict",
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Import(_) | Self::Unchanged => None,
            Self::Skipped(why) | Self::Fault(why) => Some(why),
            Self::Conflict => Some("there is another client of that id; `mintlet client delete` it first, or leave it"),
        }
    }
}

impl Report {
    /// The report as JSON: `{"written","clean","clients":[{"client_id","result","reason"?,"notes"}]}`.
    #[must_use]
    pub fn json(&self) -> Value {
        let clients = self.lines.iter().map(|Line { client_id, outcome, notes }| {
            let mut line = json!({"client_id": client_id, "result": outcome.name(self.written), "notes": notes});
            if let (Some(line), Some(reason)) = (line.as_object_mut(), outcome.reason()) {
                line.insert("reason".to_owned(), json!(reason));
            }
            line
        });
        let clients = clients.collect::<Value>();
        let clean = !self.lines.iter().any(|line| line.outcome.is_unclean());
        json!({"written": self.written, "clean": clean, "clients": clients})
    }
}

impl fmt::Display for Report {
    /// A line per client: what became of it, its id, and why or what is not carried over, separated by tabs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { client_id, outcome, notes } in &self.lines {
            // What is not a client id may hold anything, such as what moves a terminal's cursor.
            let id = ClientId::parse(client_id).map_or_else(|_| format!("{client_id:?}"), String::from);
            let texts = outcome.reason().into_iter().chain(notes.iter().map(String::as_str));
            let texts: Vec<_> = texts.map(visible).collect();
            let line = format!("{}\t{id}\t{}", outcome.name(self.written), texts.join("; "));
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

// The line that an editor ends the file with is not part of the key.
fn read_key(path: &Path) -> Result<Secret, Failure> {
    let bytes = read_private_file(path).map_err(Failure::new)?;
    let key = std::str::from_utf8(&bytes).map(|text| text.trim_end_matches(['\r', '\n']));
    match key {
        Ok(key) if !key.is_empty() => Ok(Secret::new(key)),
        _ => Err(Failure::new(format!("{}: not a key: a text of one line", path.display()))),
    }
}

fn system(name: &str) -> Result<System, String> {
    let names = SYSTEMS.map(|system| system.name).join(", ");
    SYSTEMS.into_iter().find(|system| system.name == name).ok_or_else(|| format!("one of {names}"))
}
