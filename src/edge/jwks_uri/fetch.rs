//! Fetching a JWK set over HTTP from where a registration says, guarded where the connection is made.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use aws_smithy_runtime_api::{
    client::http::{HttpConnector as _, SharedHttpConnector},
    http::{Request, Response},
};
use aws_smithy_types::body::SdkBody;
use http::header;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use rustls::RootCertStore;
use tower_service::Service;

use super::JwksSource;
use crate::{
    edge::{aws::chain, http as connections, roots},
    oauth::jwks_uri::{Fetched, JwksUri, MAX_SET_BYTES, is_global, lifetime, read_set},
};

/// Other people's servers, and in development those of this machine.
pub struct HttpSource {
    roots: Option<PathBuf>,
    // Made at the first fetch: the start must not read the system's roots.
    elsewhere: OnceLock<SharedHttpConnector>,
    here: OnceLock<SharedHttpConnector>,
}

/// A resolver that tells no address of a name unless it takes all of them. The connection goes to one that it tells, and nowhere
/// else: no name is resolved twice.
#[derive(Clone, Debug)]
pub struct Guarded {
    resolver: GaiResolver,
    takes: fn(IpAddr) -> bool,
}

/// The time that a fetch may take in all.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

const USER_AGENT: &str = concat!("mintlet/", env!("CARGO_PKG_VERSION"));

impl HttpSource {
    /// A source that trusts the roots of a PEM file, or else the system's. Nothing is read yet.
    #[must_use]
    pub fn new(roots: Option<PathBuf>) -> Self {
        Self { roots, elsewhere: OnceLock::new(), here: OnceLock::new() }
    }

    // What could not be made is tried again by the next fetch.
    fn elsewhere(&self) -> Result<&SharedHttpConnector, String> {
        if self.elsewhere.get().is_none() {
            let made = encrypted(roots::system(self.roots.as_deref())?, is_global)?;
            drop(self.elsewhere.set(made));
        }
        self.elsewhere.get().ok_or_else(|| "no connector".to_owned())
    }
}

impl JwksSource for HttpSource {
    async fn fetch(&self, uri: &JwksUri) -> Result<Fetched, String> {
        let connector = if uri.is_on_this_machine() {
            let is_loopback: fn(IpAddr) -> bool = |address| address.is_loopback();
            self.here.get_or_init(|| connections::pool(connections::tcp(Guarded::new(is_loopback))))
        } else {
            self.elsewhere()?
        };
        get(connector, uri.as_str(), FETCH_TIMEOUT).await
    }
}

/// A connector of TLS connections, whose servers have to have a certificate under one of the roots, and no address that `takes`
/// refuses.
///
/// # Errors
/// What the library for TLS finds wrong with its own defaults.
pub fn encrypted(roots: RootCertStore, takes: fn(IpAddr) -> bool) -> Result<SharedHttpConnector, String> {
    let tcp = connections::tcp(Guarded::new(takes));
    Ok(connections::pool(HttpsConnector::from((tcp, connections::tls(roots)?))))
}

/// Gets a JWK set: in time, within its bounds, and from nowhere but there.
///
/// # Errors
/// Why there is none, for the log; repeats nothing of the answer.
pub async fn get(connector: &SharedHttpConnector, url: &str, timeout: Duration) -> Result<Fetched, String> {
    let request = http::Request::get(url)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::USER_AGENT, USER_AGENT)
        // The next one is minutes away, and an instance may be frozen until then.
        .header(header::CONNECTION, "close")
        .body(SdkBody::empty());
    let request = Request::try_from(request.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    let answer = async { read(connector.call(request).await.map_err(|error| chain(&error))?).await };
    tokio::time::timeout(timeout, answer).await.map_err(|_| "no answer in time".to_owned())?
}

async fn read(response: Response) -> Result<Fetched, String> {
    let status = response.status().as_u16();
    if status != 200 {
        return Err(format!("an answer of HTTP status {status}"));
    }
    let lifetime = lifetime(response.headers().get(header::CACHE_CONTROL.as_str()));
    let body = Limited::new(response.into_body(), MAX_SET_BYTES).collect().await;
    let body = body.map_err(|_| "an answer over 64 KiB, or cut short".to_owned())?.to_bytes();
    Ok(Fetched { jwks: read_set(&body)?, lifetime })
}

impl Guarded {
    fn new(takes: fn(IpAddr) -> bool) -> Self {
        Self { resolver: GaiResolver::new(), takes }
    }
}

impl Service<Name> for Guarded {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.resolver.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, takes) = (self.resolver.call(name), self.takes);
        Box::pin(async move {
            let addresses: Vec<_> = found.await?.collect();
            if addresses.iter().all(|address| takes(address.ip())) {
                Ok(addresses.into_iter())
            } else {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "the name has an address that is not taken"))
            }
        })
    }
}
