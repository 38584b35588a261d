//! GET requests to an endpoint: TLS verified, no redirect followed, time and size bounded.

use std::time::Duration;

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_smithy_runtime_api::{
    client::http::{HttpConnector as _, SharedHttpConnector},
    http::Request,
};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Limited};

use crate::cli::sdk;
use crate::edge::{
    aws::chain,
    moment::{self, Stopwatch},
};

/// How long an answer may take: twice what API Gateway waits for one.
pub(super) const GET_TIMEOUT: Duration = Duration::from_secs(3);
const MOST_BYTES: usize = 1024 * 1024;

/// What is shown of an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header Cache-Control.
    pub cache_control: Option<String>,
    /// How many seconds the clock of the header Date is ahead of ours, if there is one; behind, if negative.
    pub ahead: Option<i64>,
    /// The body.
    pub body: Bytes,
    /// From the request to the end of the body.
    pub took: Duration,
}

/// An HTTP client.
pub struct Http(SharedHttpConnector);

/// Whether requests may go to a URL: it is https, or http on this machine.
#[must_use]
pub fn is_fit(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    plain && (uri.scheme_str() == Some("https") || uri.scheme_str() == Some("http") && loopback)
}

impl Http {
    /// A client that trusts the machine's roots, and those of `AWS_CA_BUNDLE` besides.
    ///
    /// # Errors
    /// What is wrong with the bundle.
    pub fn new() -> Result<Self, String> {
        Ok(Self(sdk::connector()?))
    }

    /// Gets a URL.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn get(&self, url: &str) -> Result<Answer, String> {
        if !is_fit(url) {
            return Err("neither https nor on this machine, so that nothing was asked".to_owned());
        }
        tokio::time::timeout(GET_TIMEOUT, self.exchange(url))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", GET_TIMEOUT.as_secs())))
    }

    async fn exchange(&self, url: &str) -> Result<Answer, String> {
        let mut request = Request::get(url).map_err(|error| chain(&error))?;
        request.headers_mut().insert("accept", "application/json");
        request.headers_mut().insert("user-agent", concat!("mintlet-doctor/", env!("CARGO_PKG_VERSION")));
        let stopwatch = Stopwatch::start();
        let response = self.0.call(request).await.map_err(|error| chain(&error))?;
        let now = moment::now();
        let header = |name| response.headers().get(name).map(str::to_owned);
        let (status, cache_control, date) = (response.status().as_u16(), header("cache-control"), header("date"));
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| format!("the body: {}", chain(&*error)))?.to_bytes();
        let ahead = date.and_then(|date| DateTime::from_str(&date, DateTimeFormat::HttpDate).ok());
        let ahead = ahead.and_then(|date| date.secs().checked_sub(i64::try_from(now).ok()?));
        Ok(Answer { status, cache_control, ahead, body, took: stopwatch.elapsed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for fit in ["https://a.example/b", "http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
            assert!(is_fit(fit), "{fit}");
        }
        for unfit in
            ["http://a.example", "http://127.0.0.1.a.example", "https://u:p@a.example", "ftp://a.example", "/a", ""]
        {
            assert!(!is_fit(unfit), "{unfit}");
        }
    }
}
