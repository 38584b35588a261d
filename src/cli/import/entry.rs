//! What every importer makes of an export: for each client an entry as a clients file has it, or why there is none.

use std::fmt;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::oauth::client::Lifetime;

/// One client of an export. `Debug` leaves its entry out, which holds its secret.
pub struct Imported {
    /// Its id, or its place in the file if it has none that can be read.
    pub client_id: String,
    /// What it is to be here, for [`read_entry`](crate::cli::registration::read_entry) to check.
    pub entry: Result<Value, Unfit>,
    /// What of it is not carried over, or not as it was; without any secret.
    pub notes: Vec<String>,
}

/// Why a client does not come over; a text without any secret.
#[derive(Debug)]
pub enum Unfit {
    /// It gets no token by itself where it comes from, so leaving it out loses nothing.
    Skipped(String),
    /// It may get tokens where it comes from, and would get none here.
    Fault(String),
}

/// An entry under construction.
pub struct Entry {
    members: Map<String, Value>,
    notes: Vec<String>,
}

impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unfit = self.entry.as_ref().err();
        let (id, notes) = (&self.client_id, &self.notes);
        f.debug_struct("Imported")
            .field("client_id", id)
            .field("unfit", &unfit)
            .field("notes", notes)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// A client with the client credentials grant.
    pub fn new(client_id: impl Into<Value>) -> Self {
        let mut members = Map::new();
        members.insert("client_id".to_owned(), client_id.into());
        members.insert("grant_types".to_owned(), json!(["client_credentials"]));
        Self { members, notes: Vec::new() }
    }

    /// Sets an attribute, if there is a value.
    pub fn set(&mut self, name: &str, value: Option<impl Into<Value>>) {
        self.members.extend(value.map(|value| (name.to_owned(), value.into())));
    }

    /// Sets an attribute to a text, if there is one that is not empty.
    pub fn text(&mut self, name: &str, text: Option<String>) {
        self.set(name, text.filter(|text| !text.is_empty()));
    }

    /// Adds a note.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Says which attributes are not carried over, of those that are there.
    pub fn drops<'a>(&mut self, attributes: impl IntoIterator<Item = (&'a str, bool)>) {
        let names: Vec<_> = attributes.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
        if !names.is_empty() {
            self.note(format!("not carried over: {}", names.join(", ")));
        }
    }

    /// Says which of its grants are not carried over.
    pub fn drops_other_grants(&mut self, grants: &[String]) {
        let others: Vec<_> = grants.iter().map(String::as_str).filter(|grant| *grant != CLIENT_CREDENTIALS).collect();
        if !others.is_empty() {
            self.note(format!("grants not carried over: {}", others.join(", ")));
        }
    }

    /// Sets the lifetime of its access tokens, in seconds: the nearest that there is, and says so.
    pub fn lifetime(&mut self, seconds: u64) {
        let nearest = seconds.clamp(Lifetime::MIN_SECONDS, Lifetime::MAX_SECONDS);
        if nearest != seconds {
            self.note(format!("its tokens were good for {seconds} s; here for {nearest} s"));
        }
        self.set("access_token_lifetime", Some(nearest));
    }

    /// Disables it, and says why.
    pub fn disable(&mut self, why: &str) {
        self.set("disabled", Some(true));
        self.note(format!("{why}, so it is disabled here"));
    }
}

// What machines use, and the grant that a client has to have.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Refuses a client without the client credentials grant.
///
/// # Errors
/// [`Unfit::Skipped`].
pub fn require_client_credentials(grants: &[String]) -> Result<(), Unfit> {
    if grants.iter().any(|grant| grant == CLIENT_CREDENTIALS) {
        Ok(())
    } else {
        Err(Unfit::Skipped("it does not have the client credentials grant".to_owned()))
    }
}

/// The JSON documents of a file: one, an array of them, or several one after another.
///
/// # Errors
/// If it is not JSON; where.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match document.map_err(|error| format!("not JSON: {error}"))? {
            Value::Array(items) => documents.extend(items),
            document => documents.push(document),
        }
    }
    Ok(documents)
}

/// What stands in a member of the documents that have it, as a list or alone; other documents stay as they are.
pub fn inside(documents: Vec<Value>, member: &str) -> Vec<Value> {
    let mut found = Vec::with_capacity(documents.len());
    for mut document in documents {
        match document.get_mut(member).map(Value::take) {
            Some(Value::Array(items)) => found.extend(items),
            Some(item) => found.push(item),
            None => found.push(document),
        }
    }
    found
}

/// Reads each document as a client; `id` names the member with its id.
pub fn each<T: DeserializeOwned>(
    documents: Vec<Value>,
    id: &str,
    mut client: impl FnMut(T) -> Result<Entry, Unfit>,
) -> Vec<Imported> {
    let read = |(index, document): (usize, Value)| {
        let client_id = document.get(id).and_then(Value::as_str).map(str::to_owned);
        let client_id = client_id.unwrap_or_else(|| format!("(client {} of the file)", index + 1));
        match typed(document).and_then(&mut client) {
            Ok(Entry { members, notes }) => Imported { client_id, entry: Ok(Value::Object(members)), notes },
            Err(unfit) => Imported { client_id, entry: Err(unfit), notes: Vec::new() },
        }
    };
    documents.into_iter().enumerate().map(read).collect()
}

/// Reads a document as what its system writes.
///
/// # Errors
/// The path of the first member that is of another type or missing, and never a value: it may be a secret.
pub fn typed<T: DeserializeOwned>(document: Value) -> Result<T, Unfit> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let missing = error.inner().to_string();
        let what = match missing.strip_prefix("missing field ") {
            Some(name) => format!("{} is missing", name.trim_matches('`')),
            None => format!("{} is not of the type that it has in an export", error.path()),
        };
        Unfit::Fault(what)
    })
}

/// A switch: a boolean, or 0 and 1 as MySQL writes it.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(untagged)]
pub enum Flag {
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(u8),
    /// `null`.
    #[default]
    Null,
}

impl Flag {
    /// Whether it is on.
    #[must_use]
    pub fn is_on(self) -> bool {
        matches!(self, Self::Bool(true) | Self::Number(1..))
    }
}
