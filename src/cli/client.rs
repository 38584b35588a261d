//! `mintlet client`: register and manage clients, on AWS or on a running local server.

mod create;
mod keys;
mod listing;
mod long_lived;
mod public_key;
pub(super) mod published;
mod revoke_tokens;
mod secrets;

use std::path::PathBuf;

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use self::{
    create::Create,
    keys::Keys,
    listing::List,
    long_lived::{Issuing, Tokens},
    secrets::{RotateSecret, Secrets},
};
use super::{
    Failure,
    clients_table::{Applied, ClientsTable},
    import,
    local::{self, DEFAULT_DATA_DIR},
    merge::{first_secret, later_than, new_client_without_secret},
    read, registration, sdk,
    state_table::StateTable,
    variable,
};
use crate::{
    config::{CLIENTS_TABLE, STATE_TABLE},
    edge::moment,
    oauth::{
        client::{Client, ClientId},
        secret::Secret,
    },
};

/// Register and manage clients
///
/// Talks to the clients table on AWS with the ordinary credential chain, to AWS_ENDPOINT_URL_DYNAMODB if that is set, or to
/// a running `mintlet serve` with --local.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mintlet client create --local --client-id billing --scope 'read write'\n  \
    mintlet client list --local")]
pub struct Args {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, ClapArgs)]
struct Target {
    /// Talk to the `mintlet serve` that runs with the data directory
    #[arg(long, global = true)]
    local: bool,
    /// The data directory of that server
    #[arg(long, global = true, default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// The clients table
    ///
    /// [default: $CLIENTS_TABLE, or else mintlet-clients; with --local always mintlet-clients]
    #[arg(long, global = true)]
    clients_table: Option<String>,
    /// The state table
    ///
    /// [default: $STATE_TABLE, or else mintlet-state; with --local always mintlet-state]
    #[arg(long, global = true)]
    state_table: Option<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a client and print its secret, once
    ///
    /// The flags have the names of the attributes of a clients file.
    #[command(after_help = "Examples:\n  mintlet client create --local --client-id billing --scope 'read write'\n  \
        mintlet client create --local --client-id payroll --token-endpoint-auth-method tls_client_auth \
        --tls-client-auth-subject-dn CN=payroll,O=Example")]
    Create(Box<Create>),
    /// List all clients, or the secrets that are near their expiry or not used
    #[command(
        after_help = "Examples:\n  mintlet client list --local\n  mintlet client list --local --expiring 30d\n  \
        mintlet client list --local --unused 90d"
    )]
    List(List),
    /// Show one client, without its hashes
    #[command(after_help = "Example:\n  mintlet client show --local --client-id billing --json")]
    Show(One),
    /// Bring clients to what a file says; nothing is written unless the whole file is good
    #[command(after_help = "Example:\n  mintlet client apply --local -f clients.json\n\n\
        The file: {\"clients\":[{\"client_id\":\"billing\",\"client_secret\":\"...\",\"scope\":\"read write\"}]}")]
    Apply(Apply),
    /// Take over the clients of another system, with their ids and secrets
    #[command(after_help = import::HELP)]
    Import(import::Args),
    /// Refuse tokens to a client
    #[command(after_help = "Example:\n  mintlet client disable --local --client-id billing")]
    Disable(One),
    /// Give tokens to a client again
    #[command(after_help = "Example:\n  mintlet client enable --local --client-id billing")]
    Enable(One),
    /// Delete a client
    #[command(after_help = "Example:\n  mintlet client delete --local --client-id billing")]
    Delete(One),
    /// Add a new secret, print it once, and let the old ones expire
    #[command(after_help = "Example:\n  mintlet client rotate-secret --local --client-id billing --overlap 7d")]
    RotateSecret(RotateSecret),
    /// List or revoke the secrets of a client
    #[command(subcommand, after_help = "Example:\n  mintlet client secrets list --local --client-id billing")]
    Secrets(Secrets),
    /// Hash a secret anew, by the scheme that a new one would get; it is read from standard input
    ///
    /// For hashes that were imported and cost time at each first use. A secret of 32 characters or more gets the fast scheme, a
    /// shorter one argon2id, since a person may have chosen it. Its id, label and expiry stay. A hash of what the secret spells in
    /// hex ($sha3-256-hex$) is fast, takes either case, and is left as it is.
    #[command(after_help = "Example:\n  mintlet client rehash --local --client-id billing < secret.txt")]
    Rehash(One),
    /// Issue a token that lasts to an eventhos client that gets no short-lived ones, and print it once
    #[command(after_help = "Example:\n  mintlet client long-lived-token --local --client-id sensor --expires 365d \
        --issuer http://127.0.0.1:9000")]
    LongLivedToken(Issuing),
    /// List or revoke the long-lived tokens of a client
    #[command(subcommand, after_help = "Example:\n  mintlet client long-lived-tokens list --local --client-id sensor")]
    LongLivedTokens(Tokens),
    /// Manage the public keys with which a client's assertions are verified
    #[command(
        subcommand,
        after_help = "Example:\n  mintlet client key generate --local --client-id billing --out billing.pem"
    )]
    Key(Keys),
    /// Revoke all access tokens that a client has so far
    ///
    /// Introspection says at once that they are not active, and they are not exchanged. A verifier that goes by the published
    /// keys alone takes them until they expire.
    #[command(after_help = "Example:\n  mintlet client revoke-tokens --local --client-id billing")]
    RevokeTokens(One),
}

#[derive(Debug, ClapArgs)]
struct One {
    /// The client
    #[arg(long, allow_hyphen_values = true)]
    client_id: String,
}

#[derive(Debug, ClapArgs)]
struct Apply {
    /// The clients file; - is standard input
    #[arg(short, long)]
    file: PathBuf,
}

/// Carries out `mintlet client`.
///
/// # Errors
/// A [`Failure`] that says what could not be done.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { target, command } = args;
    match command {
        Command::Create(create) => target.create(*create).await,
        Command::List(list) => target.list(&list).await,
        Command::Show(one) => target.show(&one).await,
        Command::Apply(apply) => target.apply(&apply).await,
        Command::Import(args) => import::run(args, &target.clients().await?, target.json).await,
        Command::Disable(one) => target.disable(&one, true).await,
        Command::Enable(one) => target.disable(&one, false).await,
        Command::Delete(one) => target.delete(&one).await,
        Command::RotateSecret(rotate) => target.rotate_secret(rotate).await,
        Command::Secrets(command) => target.secrets(command).await,
        Command::Rehash(one) => target.rehash(&one).await,
        Command::LongLivedToken(issuing) => target.issue_long_lived(issuing).await,
        Command::LongLivedTokens(command) => target.long_lived_tokens(command).await,
        Command::Key(keys) => keys.run(&target, &target.clients().await?).await,
        Command::RevokeTokens(one) => target.revoke_tokens(&one).await,
    }
}

impl Target {
    async fn clients(&self) -> Result<ClientsTable, Failure> {
        self.tables().await.map(|(clients, _)| clients)
    }

    async fn state(&self) -> Result<StateTable, Failure> {
        self.tables().await.map(|(_, state)| state)
    }

    async fn tables(&self) -> Result<(ClientsTable, StateTable), Failure> {
        let endpoint =
            if self.local { Some(local::endpoint_of(&self.data_dir)?) } else { endpoint_without_credentials() };
        let sdk = if let Some(endpoint) = endpoint {
            local::sdk(&endpoint)
        } else {
            let config = sdk::config().await?;
            aws_sdk_dynamodb::Client::new(&config)
        };
        let name = |flag: &Option<String>, name, default: &str| {
            let named = if self.local { None } else { variable(name) };
            flag.clone().or(named).unwrap_or_else(|| default.to_owned())
        };
        let clients = ClientsTable::new(sdk.clone(), name(&self.clients_table, "CLIENTS_TABLE", CLIENTS_TABLE));
        Ok((clients, StateTable::new(sdk, name(&self.state_table, "STATE_TABLE", STATE_TABLE))))
    }

    fn report(&self, json: &Value, text: &str) {
        if self.json {
            say!("{json}");
        } else {
            say!("{text}");
        }
    }

    async fn create(&self, create: Create) -> Result<(), Failure> {
        let table = self.clients().await?;
        let mut client = new_client_without_secret(create.into_entry()?)?;
        published::warn(&client);
        // A secret that its method does not take would be of no use.
        if let Some(method) = client.token_endpoint_auth_method.filter(|method| !method.is_secret()) {
            table.create(&client).await?;
            let id = &client.client_id;
            let text = format!("registered {id}; it authenticates by {} and has no secret", method.as_str());
            self.report(&json!({"client_id": id}), &text);
        } else {
            let secret = first_secret(&mut client)?;
            table.create(&client).await?;
            self.report_secret("registered", &client, &secret);
        }
        Ok(())
    }

    fn report_secret(&self, done: &str, client: &Client, secret: &Secret) {
        let id = &client.client_id;
        self.report(
            &json!({"client_id": id, "client_secret": secret.expose()}),
            &format!("{done} {id}\nclient_secret: {}\nIt is shown this once: store it now.", secret.expose()),
        );
    }

    async fn show(&self, one: &One) -> Result<(), Failure> {
        let shown = shown(&self.clients().await?.existing(&id(&one.client_id)?).await?);
        if self.json {
            say!("{shown}");
        } else {
            say!("{shown:#}");
        }
        Ok(())
    }

    async fn delete(&self, one: &One) -> Result<(), Failure> {
        let client_id = id(&one.client_id)?;
        let (clients, state) = self.tables().await?;
        clients.delete(&client_id).await?;
        // Its tokens must not come back with another client that is registered under its id.
        state.revoke_client(client_id, moment::now()).await.map_err(|failure| {
            Failure::new(format!("{} is deleted, but its tokens could not be revoked: {failure}", one.client_id))
        })?;
        self.report(&json!({"client_id": one.client_id}), &format!("deleted {}", one.client_id));
        Ok(())
    }

    async fn apply(&self, apply: &Apply) -> Result<(), Failure> {
        let table = self.clients().await?;
        let file = apply.file.display();
        let registrations = registration::read_file(&read(&apply.file)?)
            .map_err(|faults| Failure::new(format!("{file}: nothing was written:\n  {}", faults.join("\n  "))))?;
        for registration in &registrations {
            published::warn(&registration.client);
        }
        let applied = table.apply(registrations).await?;
        if self.json {
            let clients: Vec<_> =
                applied.iter().map(|(id, what)| json!({"client_id": id, "result": name(*what)})).collect();
            say!("{}", json!({"clients": clients}));
        } else {
            for (id, what) in applied {
                say!("{id}\t{}", name(what));
            }
        }
        Ok(())
    }

    async fn disable(&self, one: &One, disabled: bool) -> Result<(), Failure> {
        let table = self.clients().await?;
        let before = table.existing(&id(&one.client_id)?).await?;
        let after = Client { disabled, updated_at: later_than(&before), ..before.clone() };
        table.replace(&before, &after).await?;
        let done = if disabled { "disabled" } else { "enabled" };
        self.report(&json!({"client_id": one.client_id, "disabled": disabled}), &format!("{done} {}", one.client_id));
        Ok(())
    }
}

// Somebody who only names an endpoint on this machine means `mintlet serve`, which takes any credentials.
pub(super) fn endpoint_without_credentials() -> Option<String> {
    let endpoint = variable("AWS_ENDPOINT_URL_DYNAMODB")?;
    let here =
        ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"].iter().any(|here| endpoint.starts_with(here));
    let bare = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"].into_iter().all(|name| variable(name).is_none());
    (here && bare).then_some(endpoint)
}

// A client as it may be seen: what its secrets are checked against stays in the table.
fn shown(client: &Client) -> Value {
    let mut shown = json!(client);
    let secrets = client.client_secrets.iter().map(|secret| {
        let mut shown = json!(secret);
        if let Some(members) = shown.as_object_mut() {
            members.remove("hash");
            members.insert("scheme".to_owned(), json!(secret.hash.scheme()));
        }
        shown
    });
    if let Some(members) = shown.as_object_mut() {
        members.insert("client_secrets".to_owned(), secrets.collect());
    }
    shown
}

fn id(text: &str) -> Result<ClientId, Failure> {
    ClientId::parse(text).map_err(|fault| Failure::new(format!("--client-id: {fault}")))
}

// A time as people read it.
fn at(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().map(DateTime::from_secs);
    time.and_then(|time| time.fmt(DateTimeFormat::DateTime).ok()).unwrap_or_else(|| seconds.to_string())
}

fn name(applied: Applied) -> &'static str {
    match applied {
        Applied::Created => "created",
        Applied::Updated => "updated",
        Applied::Unchanged => "unchanged",
    }
}
