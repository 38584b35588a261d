//! `mintlet client`: register and manage clients, on AWS or on a running local server.

mod revoke_tokens;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    Failure,
    clients_table::{Applied, ClientsTable},
    local::{self, DEFAULT_DATA_DIR},
    merge::{add_secret, generate_secret, later_than, new_client},
    read, registration, variable,
};
use crate::{
    config::CLIENTS_TABLE,
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
    #[command(after_help = "Example:\n  mintlet client create --local --client-id billing --scope 'read write'")]
    Create(Box<Create>),
    /// List all clients
    #[command(after_help = "Example:\n  mintlet client list --local")]
    List,
    /// Show one client, without its hashes
    #[command(after_help = "Example:\n  mintlet client show --local --client-id billing --json")]
    Show(One),
    /// Bring clients to what a file says; nothing is written unless the whole file is good
    #[command(after_help = "Example:\n  mintlet client apply --local -f clients.json\n\n\
        The file: {\"clients\":[{\"client_id\":\"billing\",\"client_secret\":\"...\",\"scope\":\"read write\"}]}")]
    Apply(Apply),
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
    #[command(after_help = "Example:\n  mintlet client rotate-secret --local --client-id billing --overlap 604800")]
    RotateSecret(RotateSecret),
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
    #[arg(long)]
    client_id: String,
}

#[derive(Debug, ClapArgs)]
struct Create {
    /// Its id; a random one if left out
    #[arg(long)]
    client_id: Option<String>,
    /// Its name
    #[arg(long)]
    client_name: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// A grant it may use; may be repeated [default: client_credentials]
    #[arg(long = "grant-type")]
    grant_types: Vec<String>,
    /// All that it may ask for, separated by spaces
    #[arg(long)]
    scope: Option<String>,
    /// What it gets when it asks for nothing [default: all of its scope]
    #[arg(long)]
    default_scope: Option<String>,
    /// An audience it may ask for; may be repeated
    #[arg(long)]
    audience: Vec<String>,
    /// The `sub` of its tokens [default: its id]
    #[arg(long)]
    subject: Option<String>,
    /// client_secret_basic or client_secret_post [default: both]
    #[arg(long)]
    token_endpoint_auth_method: Option<String>,
    /// Seconds for which its tokens are good: 60 to 86400 [default: the deployment's]
    #[arg(long)]
    access_token_lifetime: Option<u64>,
    /// RS256, PS256, ES256, ES384, EdDSA or HS256 [default: the deployment's]
    #[arg(long)]
    access_token_signed_response_alg: Option<String>,
    /// Whether the scope claim is a string or an array
    #[arg(long)]
    scope_claim: Option<String>,
    /// More claims of its tokens, as a JSON object
    #[arg(long)]
    claims: Option<String>,
    /// A role; may be repeated
    #[arg(long = "role")]
    roles: Vec<String>,
    /// What eventhos says of it, as a JSON object {"id","identifier","roles","long_lived"}
    #[arg(long)]
    eventhos: Option<String>,
}

#[derive(Debug, ClapArgs)]
struct Apply {
    /// The clients file; - is standard input
    #[arg(short, long)]
    file: PathBuf,
}

#[derive(Debug, ClapArgs)]
struct RotateSecret {
    /// The client
    #[arg(long)]
    client_id: String,
    /// Seconds for which the old secrets go on working
    #[arg(long, default_value_t = 24 * 60 * 60)]
    overlap: u64,
    /// What the new secret is for
    #[arg(long)]
    label: Option<String>,
}

/// Carries out `mintlet client`.
///
/// # Errors
/// A [`Failure`] that says what could not be done.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { target, command } = args;
    let table = target.table().await?;
    match command {
        Command::Create(create) => target.create(&table, *create).await,
        Command::List => target.list(&table).await,
        Command::Show(one) => target.show(&table, &one).await,
        Command::Apply(apply) => target.apply(&table, &apply).await,
        Command::Disable(one) => target.disable(&table, &one, true).await,
        Command::Enable(one) => target.disable(&table, &one, false).await,
        Command::Delete(one) => {
            table.delete(&id(&one.client_id)?).await?;
            target.report(&json!({"client_id": one.client_id}), &format!("deleted {}", one.client_id));
            Ok(())
        }
        Command::RotateSecret(rotate) => target.rotate_secret(&table, rotate).await,
        Command::RevokeTokens(one) => target.revoke_tokens(&one).await,
    }
}

impl Target {
    async fn sdk(&self) -> Result<aws_sdk_dynamodb::Client, Failure> {
        let endpoint =
            if self.local { Some(local::endpoint_of(&self.data_dir)?) } else { endpoint_without_credentials() };
        if let Some(endpoint) = endpoint {
            return Ok(local::sdk(&endpoint));
        }
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).load().await;
        Ok(aws_sdk_dynamodb::Client::new(&config))
    }

    async fn table(&self) -> Result<ClientsTable, Failure> {
        let named = if self.local { None } else { variable("CLIENTS_TABLE") };
        let table = self.clients_table.clone().or(named);
        Ok(ClientsTable::new(self.sdk().await?, table.as_deref().unwrap_or(CLIENTS_TABLE)))
    }

    fn report(&self, json: &Value, text: &str) {
        if self.json {
            say!("{json}");
        } else {
            say!("{text}");
        }
    }

    async fn create(&self, table: &ClientsTable, create: Create) -> Result<(), Failure> {
        let (client, secret) = new_client(create.into_entry()?)?;
        table.create(&client).await?;
        self.report_secret("registered", &client, &secret);
        Ok(())
    }

    fn report_secret(&self, done: &str, client: &Client, secret: &Secret) {
        let id = &client.client_id;
        self.report(
            &json!({"client_id": id, "client_secret": secret.expose()}),
            &format!("{done} {id}\nclient_secret: {}\nIt is shown this once: store it now.", secret.expose()),
        );
    }

    async fn list(&self, table: &ClientsTable) -> Result<(), Failure> {
        let clients = table.list().await?;
        if self.json {
            say!("{}", json!({"clients": clients.iter().map(shown).collect::<Vec<_>>()}));
        } else {
            for client in clients {
                let state = if client.disabled { "disabled" } else { "enabled" };
                say!(
                    "{}\t{state}\t{} secret(s)\t{}",
                    client.client_id,
                    client.client_secrets.len(),
                    client.scope.as_str()
                );
            }
        }
        Ok(())
    }

    async fn show(&self, table: &ClientsTable, one: &One) -> Result<(), Failure> {
        let shown = shown(&table.existing(&id(&one.client_id)?).await?);
        if self.json {
            say!("{shown}");
        } else {
            say!("{shown:#}");
        }
        Ok(())
    }

    async fn apply(&self, table: &ClientsTable, apply: &Apply) -> Result<(), Failure> {
        let file = apply.file.display();
        let registrations = registration::read_file(&read(&apply.file)?)
            .map_err(|faults| Failure::new(format!("{file}: nothing was written:\n  {}", faults.join("\n  "))))?;
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

    async fn disable(&self, table: &ClientsTable, one: &One, disabled: bool) -> Result<(), Failure> {
        let before = table.existing(&id(&one.client_id)?).await?;
        let after = Client { disabled, updated_at: later_than(&before), ..before.clone() };
        table.replace(&before, &after).await?;
        let done = if disabled { "disabled" } else { "enabled" };
        self.report(&json!({"client_id": one.client_id, "disabled": disabled}), &format!("{done} {}", one.client_id));
        Ok(())
    }

    async fn rotate_secret(&self, table: &ClientsTable, rotate: RotateSecret) -> Result<(), Failure> {
        let before = table.existing(&id(&rotate.client_id)?).await?;
        let now = later_than(&before);
        let mut after = before.clone();
        after.updated_at = now;
        let end = now.saturating_add(rotate.overlap);
        for secret in &mut after.client_secrets {
            secret.expires_at = Some(secret.expires_at.map_or(end, |expires_at| expires_at.min(end)));
        }
        after.client_secrets.retain(|secret| secret.expires_at.is_some_and(|expires_at| expires_at > now));
        let secret = generate_secret()?;
        add_secret(&mut after, &secret, rotate.label, now)?;
        table.replace(&before, &after).await?;
        self.report_secret("rotated the secret of", &after, &secret);
        Ok(())
    }
}

impl Create {
    // The same form as an entry of a clients file, so that one set of rules checks both.
    fn into_entry(self) -> Result<Value, Failure> {
        let client_id = match self.client_id {
            Some(id) => id,
            None => random_id()?,
        };
        let mut entry = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                entry.insert(name.to_owned(), value);
            }
        };
        let list = |items: Vec<String>| (!items.is_empty()).then(|| json!(items));
        set("client_id", Some(json!(client_id)));
        set("client_name", self.client_name.map(Value::from));
        set("description", self.description.map(Value::from));
        set("grant_types", list(self.grant_types));
        set("scope", self.scope.map(Value::from));
        set("default_scope", self.default_scope.map(Value::from));
        set("audience", list(self.audience));
        set("subject", self.subject.map(Value::from));
        set("token_endpoint_auth_method", self.token_endpoint_auth_method.map(Value::from));
        set("access_token_lifetime", self.access_token_lifetime.map(Value::from));
        set("access_token_signed_response_alg", self.access_token_signed_response_alg.map(Value::from));
        set("scope_claim", self.scope_claim.map(Value::from));
        set("claims", self.claims.map(|text| object("--claims", &text)).transpose()?);
        set("roles", list(self.roles));
        set("eventhos", self.eventhos.map(|text| object("--eventhos", &text)).transpose()?);
        Ok(Value::Object(entry))
    }
}

// Somebody who only names an endpoint on this machine means `mintlet serve`, which takes any credentials.
fn endpoint_without_credentials() -> Option<String> {
    let endpoint = variable("AWS_ENDPOINT_URL_DYNAMODB")?;
    let here =
        ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"].iter().any(|here| endpoint.starts_with(here));
    let bare = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"].into_iter().all(|name| variable(name).is_none());
    (here && bare).then_some(endpoint)
}

fn object(flag: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::new(format!("{flag} is not JSON: {error}")))
}

fn random_id() -> Result<String, Failure> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = moment::random::<15>().map_err(Failure::new)?;
    Ok(format!("client-{}", URL_SAFE_NO_PAD.encode(bytes)))
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

fn name(applied: Applied) -> &'static str {
    match applied {
        Applied::Created => "created",
        Applied::Updated => "updated",
        Applied::Unchanged => "unchanged",
    }
}
