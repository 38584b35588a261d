//! `mintlet serve`: the whole service on a laptop. The embedded DynamoDB engine stands for AWS's; all else is the Lambda function.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc};

use clap::Args as ClapArgs;
use serde_json::json;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::{
    Failure,
    client::published,
    clients_table::ClientsTable,
    http, key,
    local::{self, DEFAULT_DATA_DIR, DataDir, Engine, KEYS_FILE},
    merge::new_client,
    read, registration, variable,
};
use crate::{
    config::{CLIENTS_TABLE, Config, STATE_TABLE, SigningKeys},
    dialect::DIALECTS,
    edge::{handler::Handler, moment, telemetry},
    keyring::RingDocument,
    oauth::{client::Client, client_auth::BasicEncoding, jwt::Alg, secret::Secret},
};

/// Run the token service here, with an embedded DynamoDB
///
/// ISSUER, DIALECTS, ACCESS_TOKEN_LIFETIME, AUTHORIZATION_DETAILS_TYPES, DPOP_NONCE, MTLS_BASE_URL, CLOUDFRONT_ORIGIN_SECRET,
/// CLAIMS_HOOK_URL, CLAIMS_HOOK_TIMEOUT, JWKS_URI_HOSTS, SSL_CERT_FILE, CLIENT_CACHE_TTL, KEYS_CACHE_TTL, SECRET_EXPIRY_WARNING and
/// LOG_LEVEL are honoured.
///
/// It speaks plain HTTP: a client certificate can only come as CloudFront hands it over.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  mintlet serve\n  mintlet serve --in-memory --port 0 --clients clients.json")]
pub struct Args {
    /// The port to listen on, on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Where clients and signing keys are kept
    #[arg(long, default_value = DEFAULT_DATA_DIR, conflicts_with = "in_memory")]
    data_dir: PathBuf,
    /// Keep nothing
    #[arg(long)]
    in_memory: bool,
    /// A clients file to apply first, as `mintlet client apply` does
    #[arg(long)]
    clients: Option<PathBuf>,
    /// The port of the embedded DynamoDB; 0 takes any free one
    #[arg(long, default_value_t = 0)]
    dynamodb_port: u16,
}

const DATABASE_FILE: &str = "dynamodb.sqlite";
const HONOURED: [&str; 15] = [
    "ISSUER",
    "DIALECTS",
    "ACCESS_TOKEN_LIFETIME",
    "AUTHORIZATION_DETAILS_TYPES",
    "DPOP_NONCE",
    "MTLS_BASE_URL",
    "CLOUDFRONT_ORIGIN_SECRET",
    "CLAIMS_HOOK_URL",
    "CLAIMS_HOOK_TIMEOUT",
    "JWKS_URI_HOSTS",
    "SSL_CERT_FILE",
    "CLIENT_CACHE_TTL",
    "KEYS_CACHE_TTL",
    "SECRET_EXPIRY_WARNING",
    "LOG_LEVEL",
];

/// Carries out `mintlet serve`.
///
/// # Errors
/// If a port is taken, the clients file has faults, or the configuration has.
pub async fn run(args: Args) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .map_err(|error| Failure::new(format!("port {}: {error}; choose another with --port", args.port)))?;
    let address = listener.local_addr().map_err(Failure::new)?;
    let registrations = match &args.clients {
        Some(path) => registration::read_file(&read(path)?)
            .map_err(|faults| Failure::new(format!("{}:\n  {}", path.display(), faults.join("\n  "))))?,
        None => Vec::new(),
    };

    let mut data_dir = if args.in_memory { None } else { Some(DataDir::take(&args.data_dir)?) };
    let database = data_dir.as_ref().map(|dir| dir.private_file(DATABASE_FILE)).transpose()?;
    let engine = Engine::start(args.dynamodb_port, database.as_deref()).await?;
    let sdk = engine.sdk();
    local::create_tables(&sdk, CLIENTS_TABLE, STATE_TABLE).await?;
    let table = ClientsTable::new(sdk, CLIENTS_TABLE);
    for registration in &registrations {
        published::warn(&registration.client);
    }
    table.apply(registrations).await?;
    let mut demo = None;
    if args.clients.is_none() && table.is_empty().await? {
        let (client, secret) = demo_client()?;
        table.create(&client).await?;
        demo = Some(secret);
    }

    let keys = signing_keys(data_dir.as_ref(), table.algs().await?).await?;
    let config = config(&format!("http://{address}"), keys, engine.endpoint())?;
    telemetry::start_text(config.log_level);
    let handler = Arc::new(Handler::new(&config).map_err(Failure::new)?);
    handler.warm_up(&config.settings).await;
    if let Some(data_dir) = &mut data_dir {
        data_dir.announce(engine.endpoint(), &format!("http://{address}"))?;
    }
    let stop = stop_signal().map_err(Failure::new)?;
    announce(&address.to_string(), &config, &engine, demo.as_ref());
    drop(demo);

    let served = http::serve(listener, handler, stop).await;
    engine.stop().await;
    served.map_err(Failure::new)
}

fn announce(address: &str, config: &Config, engine: &Engine, demo: Option<&Secret>) {
    say!("mintlet listens on http://{address}");
    say!("issuer    {}", config.settings.issuer.as_deref().unwrap_or_default());
    say!("DynamoDB  {} (AWS_ENDPOINT_URL_DYNAMODB)", engine.endpoint());
    if let SigningKeys::File(path) = &config.signing_keys {
        say!("keys      {} (SIGNING_KEYS_FILE)", path.display());
    }
    say!("clients   {CLIENTS_TABLE} (CLIENTS_TABLE)");
    let Some(secret) = demo else {
        say!(
            "\nSecrets are shown when they are made; `mintlet client rotate-secret --local --client-id ID` makes a new one."
        );
        return;
    };
    let secret = secret.expose();
    say!("\nA demo client was made. Its secret is shown this once: {secret}\nGet a token from each endpoint:\n");
    for dialect in DIALECTS.iter().filter(|dialect| config.settings.dialects.contains(&dialect.name)) {
        let url = format!("http://{address}{}", dialect.path);
        // Each as its own clients ask.
        let arguments = if dialect.policy.auth.basic == Some(BasicEncoding::Form) {
            format!("-u {DEMO}:{secret} -d grant_type=client_credentials")
        } else {
            let body = json!({"grant_type": "client_credentials", "client_id": DEMO, "client_secret": secret});
            format!("-H 'Content-Type: application/json' -d '{body}'")
        };
        say!("curl -s {url} {arguments}");
    }
    say!();
}

const DEMO: &str = "demo";

fn demo_client() -> Result<(Client, Secret), Failure> {
    let entry = json!({
        "client_id": DEMO, "client_name": "Demo", "description": "Made by mintlet serve", "scope": "read write",
        "audience": ["https://api.example.com"], "roles": ["demo"],
        "eventhos": {"id": 1, "identifier": DEMO, "roles": []}
    });
    new_client(entry)
}

// RS256, and one key of every other algorithm that a client names.
async fn signing_keys(data_dir: Option<&DataDir>, mut algs: Vec<Alg>) -> Result<SigningKeys, Failure> {
    algs.push(Alg::RS256);
    let now = moment::now();
    if let Some(data_dir) = data_dir {
        let path = data_dir.file(KEYS_FILE);
        key::complete_file(&path, &algs, now).await?;
        return Ok(SigningKeys::File(path));
    }
    let mut ring = RingDocument::default();
    key::complete(&mut ring, &algs, now)?;
    let json = serde_json::to_vec(&ring).map_err(Failure::new)?;
    Ok(SigningKeys::Inline(Arc::new(Zeroizing::new(json))))
}

// The function's own configuration, as its environment would give it.
fn config(base: &str, keys: SigningKeys, dynamodb: &str) -> Result<Config, Failure> {
    let honoured = HONOURED.into_iter().filter_map(|name| Some((name.to_owned(), variable(name)?)));
    let mut vars = vec![("ISSUER".to_owned(), base.to_owned())];
    vars.extend(honoured);
    let ours = [
        ("SIGNING_KEYS_FILE", KEYS_FILE),
        ("AWS_REGION", local::REGION),
        ("AWS_ACCESS_KEY_ID", local::CREDENTIAL),
        ("AWS_SECRET_ACCESS_KEY", local::CREDENTIAL),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
    ];
    vars.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut config = Config::from_vars(vars).map_err(Failure::new)?;
    config.signing_keys = keys;
    if let Some(published) = &mut config.published_keys {
        published.allowed.on_this_machine = true;
    }
    Ok(config)
}

// Listens from the call on, so that a signal between the announcement and the first wait still ends the server well.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
