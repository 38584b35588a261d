//! The `mintlet` command line.
#![expect(clippy::doc_markdown, reason = "these texts are shown in a terminal")]

// Prints a line. A reader that has gone away, such as `head`, is no reason to panic.
macro_rules! say {
    () => { $crate::cli::say(format_args!("")) };
    ($($line:tt)*) => { $crate::cli::say(format_args!($($line)*)) };
}

pub mod client;
pub mod clients_table;
pub mod doctor;
mod duration;
pub mod http;
pub mod import;
pub mod key;
pub mod local;
pub mod merge;
pub mod registration;
pub mod sdk;
pub mod serve;
mod state_table;
pub mod token;

use std::{
    fmt,
    io::{Read as _, Write as _},
    path::Path,
    process::ExitCode,
};

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use clap::{Parser, Subcommand};

use crate::edge::aws;

/// An OAuth 2.0 token service for machines.
#[derive(Debug, Parser)]
#[command(
    name = "mintlet",
    version,
    about,
    max_term_width = 110,
    after_help = "Example:\n  mintlet serve\n  mintlet client create --local --client-id billing --scope 'read write'"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the token service here, with an embedded DynamoDB
    Serve(serve::Args),
    /// Register and manage clients
    Client(client::Args),
    /// Make, rotate and show signing keys
    Key(key::Args),
    /// Look into tokens
    Token(token::Args),
    /// Check a deployment, or the local one, and say how to mend what is found
    Doctor(doctor::Args),
}

/// Why a command could not be carried out: a text for the terminal, without any secret.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with that text.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }

    /// A failure of an AWS call.
    #[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
    pub fn sdk<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> Self {
        Self(aws::fault(&error))
    }

    /// A failure of reading a table of that name.
    fn of_table<E: ProvideErrorMetadata>(table: &str, error: SdkError<E, HttpResponse>) -> Self {
        let is_missing =
            error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("ResourceNotFoundException");
        let mend = "; --clients-table and --state-table, or CLIENTS_TABLE and STATE_TABLE, name those of a deployment";
        Self(format!("table {table}: {}{}", Self::sdk(error), if is_missing { mend } else { "" }))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.split('\n').map(visible).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Failure {}

/// Carries out a command line.
pub async fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Client(args) => client::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Key(args) => key::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Token(args) => token::run(args),
        Command::Doctor(args) => Ok(Box::pin(doctor::run(args)).await),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("mintlet: {failure}");
        ExitCode::FAILURE
    })
}

/// Reads a file, or standard input for `-`.
fn read(path: &Path) -> Result<String, Failure> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(Failure::new)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

// An environment variable that the command line takes where a flag is left out; an empty one counts as not set.
#[expect(clippy::disallowed_methods, reason = "the command line is a border, as the function's configuration is")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A text that somebody else wrote, on one line and without what moves a terminal's cursor.
fn visible(text: &str) -> String {
    let escaped = |character| match character {
        '"' | '\'' | '\\' => String::from(character),
        _ => character.escape_debug().collect(),
    };
    text.chars().map(escaped).collect()
}

fn say(line: fmt::Arguments<'_>) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_wrote_cannot_steer_the_terminal_or_make_a_line_of_its_own() {
        let (text, shown) = ("a \"b\"\\\u{1b}[31m\n\tc\u{202e}é", "a \"b\"\\\\u{1b}[31m\\n\\tc\\u{202e}é");
        assert_eq!(visible(text), shown);
        assert_eq!(visible(shown), shown);
        // The lines of a failure are its own.
        assert_eq!(Failure::new("two faults:\n  a\u{1b}[2J").to_string(), "two faults:\n  a\\u{1b}[2J");
    }
}
