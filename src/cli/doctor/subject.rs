//! What the doctor is to look at: of flags, variables and the local server's announcement.

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_secretsmanager::Client as SecretsManager;

use super::{Args, access, endpoint::Place, fetch, finding::Finding, words::word};
use crate::{
    cli::{Failure, client::endpoint_without_credentials, local, variable},
    config::{CLIENTS_TABLE, STATE_TABLE},
    edge::keys::Source,
};

/// What is looked at besides the endpoint; `Err` says why something is not.
pub(super) struct Subject {
    /// Whether the tables are those of a `mintlet serve`.
    pub(super) is_embedded: bool,
    /// Whether AWS has to be asked for any of it.
    pub(super) needs_aws: bool,
    pub(super) dynamodb: Result<DynamoDb, String>,
    pub(super) clients_table: Result<String, &'static str>,
    pub(super) state_table: Result<String, &'static str>,
    pub(super) source: Result<Source, String>,
    /// What is wrong with the credentials, if they are needed and there are none.
    pub(super) credentials: Option<Box<Finding>>,
    /// The flags by which `mintlet client` finds the same clients.
    pub(super) client_flags: String,
    /// The flags by which `mintlet key` finds the same ring.
    pub(super) key_flags: String,
}

/// Where the API is: the URL given, or the local server's, or else the issuer.
///
/// # Errors
/// If there is no local server, or ISSUER is no URL.
pub(super) fn endpoint_of(args: &Args) -> Result<Option<Place>, Failure> {
    let from_variable = if args.local { None } else { variable("ISSUER") };
    let from_variable = from_variable.map(|issuer| parse_url(&issuer)).transpose();
    let from_variable = from_variable.map_err(|fault| Failure::new(format!("ISSUER: {fault}")))?;
    let issuer = args.issuer.clone().or(from_variable);
    let given = match &args.url {
        None if args.local => Some(local::running(&args.data_dir)?.url),
        given => given.clone(),
    };
    let Some(url) = given.or_else(|| issuer.clone()) else { return Ok(None) };
    let issuer = issuer.unwrap_or_else(|| url.clone());
    Ok(Some(Place { url: url.trim_end_matches('/').to_owned(), issuer }))
}

pub(super) fn parse_url(text: &str) -> Result<String, &'static str> {
    if fetch::is_fit(text) && !text.contains(['?', '#', '"', '\\']) {
        Ok(text.to_owned())
    } else {
        Err("not an https URL without query and fragment, nor an http one on this machine")
    }
}

impl Subject {
    /// # Errors
    /// If there is nothing to look at.
    pub(super) async fn of(args: Args, has_endpoint: bool) -> Result<Self, Failure> {
        let Args { local: is_local, data_dir, clients_table, state_table, place, .. } = args;
        let table = |flag: Option<String>, name, local: &str| {
            let otherwise = if is_local { Some(local.to_owned()) } else { variable(name) };
            flag.or(otherwise)
        };
        let clients_table = table(clients_table, "CLIENTS_TABLE", CLIENTS_TABLE);
        let state_table = table(state_table, "STATE_TABLE", STATE_TABLE);
        let has_table = clients_table.is_some() || state_table.is_some();
        let (file, secret_id) =
            if is_local && !place.is_given() { (Some(data_dir.join(local::KEYS_FILE)), None) } else { place.named() };
        if file.is_some() && secret_id.is_some() {
            return Err(Failure::new("SIGNING_KEYS_FILE and SIGNING_KEYS_SECRET_ID are both set; one is enough"));
        }
        if !(has_endpoint || has_table || file.is_some() || secret_id.is_some()) {
            return Err(Failure::new(
                "say what to look at: --local, or some of --url, --clients-table, --state-table, --secret-id, --file",
            ));
        }

        let engine = if is_local { Some(local::running(&data_dir)?.dynamodb) } else { endpoint_without_credentials() };
        let needs_aws = has_table && engine.is_none() || secret_id.is_some();
        let (config, credentials) = if needs_aws {
            access::sdk_config().await.map_or_else(|finding| (None, Some(finding)), |config| (Some(config), None))
        } else {
            (None, None)
        };
        let without = || "without credentials for AWS: see access".to_owned();
        let dynamodb = match &engine {
            Some(endpoint) => Ok(local::sdk(endpoint)),
            None => config.as_ref().map(DynamoDb::new).ok_or_else(without),
        };
        let data_dir = word(&data_dir.to_string_lossy()).into_owned();
        let client_flags = match &clients_table {
            _ if is_local && data_dir == local::DEFAULT_DATA_DIR => "--local".to_owned(),
            _ if is_local => format!("--local --data-dir {data_dir}"),
            Some(table) => format!("--clients-table {}", word(table)),
            None => String::new(),
        };
        let (source, key_flags) = match (file, secret_id) {
            (Some(path), _) => {
                let flags = format!("--file {}", word(&path.to_string_lossy()));
                (Ok(Source::File(path)), flags)
            }
            (None, Some(id)) => {
                let flags = format!("--secret-id {}", word(&id));
                let sdk = config.as_ref().map(SecretsManager::new).ok_or_else(without);
                (sdk.map(|sdk| Source::Secret { sdk, id }), flags)
            }
            (None, None) => {
                let why = "not given: --secret-id or --file, or SIGNING_KEYS_SECRET_ID or SIGNING_KEYS_FILE";
                (Err(why.to_owned()), String::new())
            }
        };
        Ok(Self {
            is_embedded: engine.is_some(),
            needs_aws,
            dynamodb,
            clients_table: clients_table.ok_or("not given: --clients-table, or CLIENTS_TABLE"),
            state_table: state_table.ok_or("not given: --state-table, or STATE_TABLE"),
            source,
            credentials,
            client_flags,
            key_flags,
        })
    }

    /// Whether the ring is in a file.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.source, Ok(Source::File(_)))
    }
}
