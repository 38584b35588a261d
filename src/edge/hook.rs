//! The claims hook: a Lambda function, invoked with one signed request, or a stand-in on this machine.
//!
//! The SDK for Lambda would do the same with a client of 80 operations; this is one POST.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector as _, SharedHttpConnector},
        identity::Identity,
    },
    http::{Request, Response},
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderName, header};
use http_body_util::{BodyExt as _, Limited};

use super::{aws::chain, moment::Stopwatch};
use crate::{
    oauth::claims_hook::{MAX_ANSWER_BYTES, Question, Verdict},
    service::{Consulted, Hook, HookFault},
};

/// A hook and how it is reached.
pub struct ClaimsHook {
    connector: SharedHttpConnector,
    url: String,
    // Whom the request is signed for; a stand-in takes it unsigned.
    signer: Option<Signer>,
    timeout: Duration,
}

struct Signer {
    region: String,
    identity: Identity,
}

// Lambda's own answer to "the function has failed": the status is 200 all the same.
const FUNCTION_ERROR: &str = "x-amz-function-error";
const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");

impl ClaimsHook {
    /// The Lambda function of that name or ARN, below an endpoint of Lambda's API.
    #[must_use]
    pub fn function(
        connector: SharedHttpConnector,
        (endpoint, region): (&str, &str),
        credentials: Credentials,
        name: &str,
        timeout: Duration,
    ) -> Self {
        // What a name or an ARN may have that a path segment may not (RFC 3986 section 3.3).
        let name = name.replace(':', "%3A").replace('$', "%24");
        let url = format!("{}/2015-03-31/functions/{name}/invocations", endpoint.trim_end_matches('/'));
        let signer = Signer { region: region.to_owned(), identity: credentials.into() };
        Self { connector, url, signer: Some(signer), timeout }
    }

    /// A stand-in for it, that takes the same payload at a URL.
    #[must_use]
    pub fn stand_in(connector: SharedHttpConnector, url: &str, timeout: Duration) -> Self {
        Self { connector, url: url.to_owned(), signer: None, timeout }
    }

    async fn ask(&self, question: Vec<u8>, now: u64) -> Result<Verdict, String> {
        let request = self.request(question, now)?;
        let answer = async {
            // What a connector says of a fault has no part of the request in it.
            let response = self.connector.call(request).await.map_err(|error| chain(&error))?;
            read(response).await
        };
        let answer = tokio::time::timeout(self.timeout, answer).await.map_err(|_| "no answer in time".to_owned())??;
        Verdict::parse(&answer).map_err(str::to_owned)
    }

    fn request(&self, question: Vec<u8>, now: u64) -> Result<Request, String> {
        let request = http::Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(INVOCATION_TYPE, "RequestResponse");
        let mut request = request.body(question).map_err(|error| error.to_string())?;
        if let Some(signer) = &self.signer {
            signer.sign(&mut request, now)?;
        }
        Request::try_from(request.map(SdkBody::from)).map_err(|error| error.to_string())
    }
}

impl Hook for ClaimsHook {
    async fn consult(&self, question: &Question<'_>, now: u64) -> Result<Consulted, HookFault> {
        let stopwatch = Stopwatch::start();
        let question = serde_json::to_vec(question).map_err(|error| HookFault(error.to_string()))?;
        let verdict = self.ask(question, now).await.map_err(|fault| HookFault(format!("the claims hook: {fault}")))?;
        Ok(Consulted { verdict, took: stopwatch.elapsed() })
    }
}

impl Signer {
    fn sign(&self, request: &mut http::Request<Vec<u8>>, now: u64) -> Result<(), String> {
        let parameters = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name("lambda")
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(now))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let url = request.uri().to_string();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new("POST", url, headers, SignableBody::Bytes(request.body()));
        let signed = signable.and_then(|signable| sign(signable, &parameters)).map_err(|error| error.to_string())?;
        signed.into_parts().0.apply_to_request_http1x(request);
        Ok(())
    }
}

async fn read(response: Response) -> Result<Bytes, String> {
    let status = response.status().as_u16();
    if status != 200 {
        return Err(format!("an answer of HTTP status {status}"));
    }
    if response.headers().contains_key(FUNCTION_ERROR) {
        return Err("the function has failed".to_owned());
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|_| "an answer over 16 KiB, or cut short".to_owned())
}
