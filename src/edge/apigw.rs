//! API Gateway's proxy events and answers: HTTP API (payload format 2.0) and REST API (1.0).
//!
//! The event types are `lambda_http`'s; the way from them to a request is ours, since the crate's own panics on a body that
//! is not the base64 it says it is, drops repeated headers of REST events, and cannot take a path that is no URI.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method};
use lambda_http::{
    Body,
    aws_lambda_events::apigw::{
        ApiGatewayProxyRequest, ApiGatewayProxyResponse, ApiGatewayV2httpRequest, ApiGatewayV2httpResponse,
    },
};
use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::value::RawValue;

use crate::{dialect::Response, endpoint::is_route, oauth::error::Reason, service::Call};

/// An event of one of API Gateway's two payload formats.
///
/// Deserializing anything else fails with a message that says what is expected; the runtime reports it and goes on.
pub struct Event {
    /// The request it carries.
    pub call: Call,
    format: PayloadFormat,
}

#[derive(Clone, Copy)]
enum PayloadFormat {
    V1,
    V2,
}

/// An answer in the payload format of its event.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// For a REST API.
    V1(ApiGatewayProxyResponse),
    /// For an HTTP API.
    V2(ApiGatewayV2httpResponse),
}

// What tells the formats apart, and both from events of other services; what is needed to answer a request that has nothing
// else that can be read; and the client certificate, which the crate's type of a REST event has no place for.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Probe {
    raw_path: Option<String>,
    http_method: Option<String>,
    path: Option<String>,
    request_context: ProbeContext,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProbeContext {
    http: ProbeHttp,
    stage: Option<String>,
    // Where an HTTP API and where a REST API has it.
    authentication: Option<ProbeConnection>,
    identity: Option<ProbeConnection>,
}

#[derive(Deserialize)]
struct ProbeConnection {
    #[serde(rename = "clientCert")]
    client_cert: Option<ProbeCertificate>,
}

#[derive(Deserialize)]
struct ProbeCertificate {
    #[serde(rename = "clientCertPem")]
    client_cert_pem: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProbeHttp {
    method: Option<String>,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let mut probe = serde_json::from_str::<Probe>(json.get()).unwrap_or_default();
        let format = match &probe {
            Probe { raw_path: Some(_), .. } => PayloadFormat::V2,
            Probe { http_method: Some(_), path: Some(_), .. } => PayloadFormat::V1,
            Probe { .. } => {
                return Err(D::Error::custom(
                    "this function answers proxy events of API Gateway (HTTP API 2.0 or REST API 1.0), and this is neither",
                ));
            }
        };
        // Caught, since a map of headers panics when there are tens of thousands of them.
        let call = std::panic::catch_unwind(|| match format {
            PayloadFormat::V2 => serde_json::from_str(json.get()).map(from_v2),
            PayloadFormat::V1 => serde_json::from_str(json.get()).map(from_v1),
        });
        let client_certificate = probe.take_client_certificate(format);
        // An HTTP request that cannot be represented still gets an HTTP answer.
        let call = call.ok().and_then(Result::ok).unwrap_or_else(|| unreadable(probe));
        Ok(Self { call: Call { client_certificate, ..call }, format })
    }
}

impl Probe {
    fn take_client_certificate(&mut self, format: PayloadFormat) -> Option<String> {
        let connection = match format {
            PayloadFormat::V2 => self.request_context.authentication.take(),
            PayloadFormat::V1 => self.request_context.identity.take(),
        };
        connection?.client_cert?.client_cert_pem
    }
}

impl Event {
    /// The answer's form for this event.
    #[must_use]
    pub fn reply(&self, response: Response) -> Reply {
        let (head, body) = response.into_parts();
        let body = Some(Body::Text(String::from_utf8_lossy(&body).into_owned()));
        let status_code = i64::from(head.status.as_u16());
        match self.format {
            PayloadFormat::V1 => {
                let mut reply = ApiGatewayProxyResponse::default();
                reply.status_code = status_code;
                reply.multi_value_headers = head.headers;
                reply.body = body;
                Reply::V1(reply)
            }
            PayloadFormat::V2 => {
                let mut reply = ApiGatewayV2httpResponse::default();
                reply.status_code = status_code;
                reply.headers = head.headers;
                reply.body = body;
                Reply::V2(reply)
            }
        }
    }
}

fn from_v2(event: ApiGatewayV2httpRequest) -> Call {
    let context = event.request_context;
    let called = event.raw_path.unwrap_or_default();
    let path = below(&called, context.stage.as_deref());
    Call {
        method: context.http.method,
        origin: context.domain_name.map(|domain| format!("https://{domain}{}", prefix(&called, path))),
        path: path.to_owned(),
        query: event.raw_query_string.unwrap_or_default(),
        headers: event.headers,
        body: body(event.body, event.is_base64_encoded),
        client_certificate: None,
    }
}

fn from_v1(event: ApiGatewayProxyRequest) -> Call {
    let context = event.request_context;
    let path = event.path.unwrap_or_default();
    // The context's path is as it was called: with the stage in front at API Gateway's own domain. Where it is no longer
    // than the event's, a custom domain may have mapped the API to a path that is called like the stage.
    let called = context.path.unwrap_or_else(|| path.clone());
    let path = if called == path { below(&path, context.stage.as_deref()) } else { &path };
    let mut query = event.multi_value_query_string_parameters;
    if query.is_empty() {
        query = event.query_string_parameters;
    }
    Call {
        method: event.http_method,
        origin: context.domain_name.map(|domain| format!("https://{domain}{}", prefix(&called, path))),
        path: path.to_owned(),
        query: query.to_query_string(),
        headers: merge(event.multi_value_headers, event.headers),
        body: body(event.body, event.is_base64_encoded),
        client_certificate: None,
    }
}

// `headers` has the last value of each; `multiValueHeaders` has them all, and is missing in some test events.
fn merge(mut all: HeaderMap, last: HeaderMap) -> HeaderMap {
    let mut name = None;
    for (next, value) in last {
        name = next.or(name);
        if let Some(name) = &name
            && !all.contains_key(name)
        {
            all.insert(name.clone(), value);
        }
    }
    all
}

// The path without the stage, if it has it: a stage may be called like the first part of a route.
fn below<'a>(path: &'a str, stage: Option<&str>) -> &'a str {
    let rest = path.strip_prefix('/').zip(stage).and_then(|(rest, stage)| rest.strip_prefix(stage));
    rest.filter(|rest| rest.starts_with('/') && !is_route(path)).unwrap_or(path)
}

fn prefix<'a>(called: &'a str, path: &str) -> &'a str {
    called.strip_suffix(path).unwrap_or_default()
}

fn body(text: Option<String>, is_base64_encoded: bool) -> Result<Bytes, Reason> {
    let text = text.unwrap_or_default();
    if is_base64_encoded {
        STANDARD.decode(text).map(Bytes::from).map_err(|_| Reason::MalformedBase64Body)
    } else {
        Ok(Bytes::from(text))
    }
}

fn unreadable(probe: Probe) -> Call {
    let path = probe.raw_path.or(probe.path).unwrap_or_default();
    let method = probe.http_method.or(probe.request_context.http.method).and_then(|method| method.parse().ok());
    Call {
        method: method.unwrap_or(Method::POST),
        path: below(&path, probe.request_context.stage.as_deref()).to_owned(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: Err(Reason::MalformedEvent),
        origin: None,
        client_certificate: None,
    }
}
