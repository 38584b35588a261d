//! HTTP/1.1 to whatever the program asks: one pool of connections, over TLS or not.
//!
//! The SDKs' own client brings HTTP/2 along, which none of the services needs and every start would load.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use aws_smithy_runtime_api::client::{
    connection::{CaptureSmithyConnection, ConnectionMetadata},
    http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{
            Connect, HttpConnector as Tcp, capture_connection,
            dns::{GaiResolver, Name},
        },
    },
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tower_service::Service;

/// What the program calls itself.
pub const USER_AGENT: &str = concat!("mintlet/", env!("CARGO_PKG_VERSION"));

// Of TCP alone. Resolving the name and the handshake of TLS are part of what the caller waits for at most.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// A connector whose TLS trusts those roots and no other, and which goes to no name that has an address which `takes` refuses.
/// Connections are kept and used again.
///
/// # Errors
/// What the library for TLS finds wrong with its own defaults.
pub fn connector(roots: RootCertStore, takes: fn(IpAddr) -> bool) -> Result<SharedHttpConnector, String> {
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(pool(HttpsConnector::from((tcp(takes), tls))))
}

/// For a connector to the addresses of any name.
#[must_use]
pub fn anywhere(_: IpAddr) -> bool {
    true
}

/// A connector without TLS, for what is on this machine.
#[cfg(feature = "cli")]
#[must_use]
pub fn plain() -> SharedHttpConnector {
    pool(tcp(anywhere))
}

/// An HTTP client for an SDK that is this connector, whatever the SDK's settings are.
#[must_use]
pub fn client(connector: SharedHttpConnector) -> SharedHttpClient {
    http_client_fn(move |_, _| connector.clone())
}

fn tcp(takes: fn(IpAddr) -> bool) -> Tcp<Guarded> {
    let mut tcp = Tcp::new_with_resolver(Guarded { resolver: GaiResolver::new(), takes });
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp
}

fn pool<C>(connect: C) -> SharedHttpConnector
where
    C: Connect + Clone + fmt::Debug + Send + Sync + 'static,
{
    SharedHttpConnector::new(Http1(Client::builder(TokioExecutor::new()).build(connect)))
}

// A resolver that tells no address of a name unless it takes all of them. The connection goes to one that it tells, and nowhere
// else: no name is resolved twice.
#[derive(Clone, Debug)]
struct Guarded {
    resolver: GaiResolver,
    takes: fn(IpAddr) -> bool,
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

#[derive(Debug)]
struct Http1<C>(Client<C, SdkBody>);

impl<C> HttpConnector for Http1<C>
where
    C: Connect + Clone + fmt::Debug + Send + Sync + 'static,
{
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let connection = capture_connection(&mut request);
        // So that a retry does not go to the host that has just answered 500.
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || {
                let held = connection.clone();
                let poison = move || {
                    if let Some(connected) = &*held.connection_metadata() {
                        connected.poison();
                    }
                };
                let connected = connection.connection_metadata();
                let proxied = connected.as_ref()?.is_proxied();
                Some(ConnectionMetadata::builder().proxied(proxied).poison_fn(poison).build())
            });
        }
        let response = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let response = response.await.map_err(classify)?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

// Whether another attempt may fare better: all that happens to connections may pass; what is wrong with a message stays.
fn classify(error: legacy::Error) -> ConnectorError {
    let message = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    match message {
        Some(message) if message.is_user() => ConnectorError::user(error.into()),
        Some(message) if message.is_parse() => ConnectorError::other(error.into(), None),
        _ => ConnectorError::io(error.into()),
    }
}
