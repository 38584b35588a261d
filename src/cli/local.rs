//! The embedded DynamoDB engine of local mode and of the tests: the real SDK talks to it over loopback HTTP.

use std::{
    fs::{DirBuilder, File, TryLockError},
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client as Sdk,
    config::{BehaviorVersion, Credentials, Region},
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
    },
};
use dynoxide::Database;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::Failure;
use crate::edge::{
    dynamodb::{CLIENTS_KEY, STATE_KEY, STATE_TTL},
    http,
};

/// The region and the credentials that local mode uses; the engine takes any.
pub const REGION: &str = "local";
/// Both halves of the local credentials.
pub const CREDENTIAL: &str = "local";

/// Where local mode keeps its data, unless it is told otherwise.
pub const DEFAULT_DATA_DIR: &str = ".mintlet";
/// The file in the data directory that holds the key ring.
pub const KEYS_FILE: &str = "signing-keys.json";
const ENDPOINT_FILE: &str = "dynamodb-endpoint";

/// A running engine. Dropped, it stops; [`Engine::stop`] waits until it has.
pub struct Engine {
    endpoint: String,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the engine on a loopback port (0: any free one), over a file or in memory.
    ///
    /// # Errors
    /// If the port is taken or the file cannot be opened.
    pub async fn start(port: u16, file: Option<&Path>) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|error| Failure::new(format!("port {port} for DynamoDB: {error}")))?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(Failure::new)?);
        let database = match file {
            Some(path) => Database::new(&path.to_string_lossy()),
            None => Database::memory(),
        };
        let database = database.map_err(|error| Failure::new(format!("the DynamoDB engine: {error}")))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            if let Err(error) = dynoxide::server::serve_with_shutdown(listener, database, stopped).await {
                tracing::error!(error, "the DynamoDB engine ended");
            }
        });
        Ok(Self { endpoint, stop: Some(stop), server: Some(server) })
    }

    /// Where it listens, as an `AWS_ENDPOINT_URL_DYNAMODB`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A client that talks to it.
    #[must_use]
    pub fn sdk(&self) -> Sdk {
        sdk(&self.endpoint)
    }

    /// Stops it and waits, for a few seconds at most, until open requests are answered and the file is closed.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            drop(tokio::time::timeout(Duration::from_secs(3), server).await);
        }
    }
}

/// A client for an engine at `endpoint`.
#[must_use]
pub fn sdk(endpoint: &str) -> Sdk {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(CREDENTIAL, CREDENTIAL, None, None, "local"))
        .http_client(http::client(http::plain()))
        .endpoint_url(endpoint);
    Sdk::from_conf(config.build())
}

/// Where a running server is.
pub struct Running {
    /// Its DynamoDB, as an `AWS_ENDPOINT_URL_DYNAMODB`.
    pub dynamodb: String,
    /// Itself.
    pub url: String,
}

/// Where the server with that data directory has its DynamoDB.
///
/// # Errors
/// If no server runs with it.
pub fn endpoint_of(data_dir: &Path) -> Result<String, Failure> {
    running(data_dir).map(|running| running.dynamodb)
}

/// Where the server with that data directory is.
///
/// # Errors
/// If no server runs with it.
pub fn running(data_dir: &Path) -> Result<Running, Failure> {
    let nobody = || Failure::new(format!("no `mintlet serve` runs with the data directory {}", data_dir.display()));
    let mut file = File::open(data_dir.join(ENDPOINT_FILE)).map_err(|_| nobody())?;
    // A file without its lock was left behind by a server that was killed.
    if file.try_lock_shared().is_ok() {
        return Err(nobody());
    }
    let mut announced = String::new();
    file.read_to_string(&mut announced).map_err(Failure::new)?;
    let (dynamodb, url) = announced.split_once('\n').ok_or_else(nobody)?;
    Ok(Running { dynamodb: dynamodb.to_owned(), url: url.to_owned() })
}

/// A data directory in use by this process alone; tells `--local` where its engine is.
pub struct DataDir {
    endpoint_file: File,
    path: PathBuf,
}

impl DataDir {
    /// Takes a data directory, made private to its owner if it is new.
    ///
    /// # Errors
    /// If another server uses it, or it cannot be made.
    pub fn take(path: &Path) -> Result<Self, Failure> {
        let fault = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(fault)?;
        let file = File::options().create(true).append(true).open(path.join(ENDPOINT_FILE)).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { endpoint_file: file, path: path.to_owned() }),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(format!("another `mintlet serve` runs with the data directory {}", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(fault(error)),
        }
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file in it that only its owner can read; made if there is none.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn private_file(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.file(name);
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(path)
    }

    /// Tells where the engine is, and the server itself.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn announce(&mut self, endpoint: &str, url: &str) -> Result<(), Failure> {
        let file = &mut self.endpoint_file;
        file.set_len(0).and_then(|()| write!(file, "{endpoint}\n{url}")).map_err(Failure::new)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        drop(std::fs::remove_file(self.path.join(ENDPOINT_FILE)));
    }
}

/// Creates the tables that are missing, as template.yaml defines them.
///
/// # Errors
/// If the engine refuses.
pub async fn create_tables(sdk: &Sdk, clients_table: &str, state_table: &str) -> Result<(), Failure> {
    let existing = sdk.list_tables().send().await.map_err(Failure::sdk)?.table_names.unwrap_or_default();
    for (table, key) in [(clients_table, CLIENTS_KEY), (state_table, STATE_KEY)] {
        if !existing.iter().any(|name| name == table) {
            create_table(sdk, table, key).await?;
            if table == state_table {
                let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(STATE_TTL).build();
                let ttl = ttl.map_err(Failure::new)?;
                sdk.update_time_to_live()
                    .table_name(table)
                    .time_to_live_specification(ttl)
                    .send()
                    .await
                    .map_err(Failure::sdk)?;
            }
        }
    }
    Ok(())
}

async fn create_table(sdk: &Sdk, table: &str, key: &str) -> Result<(), Failure> {
    let attribute = AttributeDefinition::builder().attribute_name(key).attribute_type(ScalarAttributeType::S).build();
    let schema = KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash).build();
    sdk.create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute.map_err(Failure::new)?)
        .key_schema(schema.map_err(Failure::new)?)
        .send()
        .await
        .map_err(Failure::sdk)?;
    Ok(())
}
