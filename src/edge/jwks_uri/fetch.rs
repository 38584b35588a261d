//! Fetching a JWK set over HTTP from where a registration says, guarded where the connection is made.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use ::http::{HeaderName, header};
use aws_smithy_runtime_api::{
    client::http::{HttpConnector as _, SharedHttpConnector},
    http::{Request, Response},
};
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Limited};
use rustls::RootCertStore;

use super::JwksSource;
use crate::{
    edge::{aws::chain, http, roots},
    oauth::jwks_uri::{Fetched, JwksUri, MAX_SET_BYTES, is_global, lifetime, read_set},
};

/// Other people's servers, and in development those of this machine.
pub struct HttpSource {
    roots: Option<PathBuf>,
    // Made at the first fetch: the start must not read the system's roots.
    elsewhere: OnceLock<SharedHttpConnector>,
    here: OnceLock<SharedHttpConnector>,
}

/// The time that a fetch may take in all.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

impl HttpSource {
    /// A source that trusts the roots of a PEM file, or else the system's. Nothing is read yet.
    #[must_use]
    pub fn new(roots: Option<PathBuf>) -> Self {
        Self { roots, elsewhere: OnceLock::new(), here: OnceLock::new() }
    }

    // What could not be made is tried again by the next fetch.
    fn connector(&self, on_this_machine: bool) -> Result<&SharedHttpConnector, String> {
        let slot = if on_this_machine { &self.here } else { &self.elsewhere };
        if slot.get().is_none() {
            let made = if on_this_machine {
                http::connector(RootCertStore::empty(), |address| address.is_loopback())?
            } else {
                http::connector(roots::system(self.roots.as_deref())?, is_global)?
            };
            drop(slot.set(made));
        }
        slot.get().ok_or_else(|| "no connector".to_owned())
    }
}

impl JwksSource for HttpSource {
    async fn fetch(&self, uri: &JwksUri) -> Result<Fetched, String> {
        get(self.connector(uri.is_on_this_machine())?, uri.as_str(), FETCH_TIMEOUT).await
    }
}

/// Gets a JWK set: in time, within its bounds, and from nowhere but there.
///
/// # Errors
/// Why there is none, for the log; repeats nothing of the answer.
pub async fn get(connector: &SharedHttpConnector, url: &str, timeout: Duration) -> Result<Fetched, String> {
    let request = ::http::Request::get(url)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::USER_AGENT, http::USER_AGENT)
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
    let header = |name: HeaderName| response.headers().get(name.as_str());
    let lifetime = lifetime(header(header::CACHE_CONTROL), header(header::AGE));
    let body = Limited::new(response.into_body(), MAX_SET_BYTES).collect().await;
    let body = body.map_err(|_| "an answer over 64 KiB, or cut short".to_owned())?.to_bytes();
    Ok(Fetched { jwks: read_set(&body)?, lifetime })
}
