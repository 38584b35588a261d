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
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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

fn say(line: fmt::Arguments<'_>) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
