//! A Lambda Runtime API on loopback: hands events to the real `token` binary and takes its answers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use mintlet::edge::moment;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

/// How long an invocation may take, the start of the function included.
const DEADLINE: Duration = Duration::from_secs(30);
const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:token";
const TRACE_ID: &str = "Root=1-6ad72694-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0";

/// What a function made of an event: its response, or its error report (`errorType`, `errorMessage`).
pub type Answer = Result<Value, Value>;

/// A running Runtime API. Dropping it closes the port and every connection.
pub struct RuntimeApi {
    address: String,
    events: mpsc::UnboundedSender<(String, Bytes)>,
    function: Arc<Function>,
    invocations: AtomicU64,
    server: JoinHandle<()>,
}

/// The function's side: the events it has not fetched yet, and the invocations it has not answered yet.
struct Function {
    events: Mutex<mpsc::UnboundedReceiver<(String, Bytes)>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
}

impl RuntimeApi {
    /// Listens on a free loopback port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket").to_string();
        let (events, receiver) = mpsc::unbounded_channel();
        let function = Arc::new(Function { events: Mutex::new(receiver), waiting: Mutex::default() });
        let server = tokio::spawn(serve(listener, Arc::clone(&function)));
        Self { address, events, function, invocations: AtomicU64::new(1), server }
    }

    /// `127.0.0.1:port`, the value for `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Queues an event and waits for what the function answers. An init error answers every waiting event.
    ///
    /// # Panics
    /// If there is no answer within 30 seconds.
    pub async fn invoke(&self, event: impl Into<Bytes>) -> Answer {
        let id = format!("00000000-0000-4000-8000-{:012}", self.invocations.fetch_add(1, Ordering::Relaxed));
        let (sender, answer) = oneshot::channel();
        self.function.waiting.lock().await.insert(id.clone(), sender);
        self.events.send((id, event.into())).expect("self holds the receiver");
        let answer = tokio::time::timeout(DEADLINE, answer).await;
        answer.expect("the function answers in time").expect("the server runs")
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Accepts until aborted. The connections end with it: a dropped `JoinSet` aborts its tasks.
async fn serve(listener: TcpListener, function: Arc<Function>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a listening socket");
        let function = Arc::clone(&function);
        let service = service_fn(move |request| route(request, Arc::clone(&function)));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// One call by the function: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
async fn route(request: Request<Incoming>, function: Arc<Function>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let Some(path) = parts.uri.path().strip_prefix("/2018-06-01/runtime/") else {
        return Ok(empty(StatusCode::NOT_FOUND));
    };
    let path: Vec<&str> = path.split('/').collect();
    Ok(match (&parts.method, path.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(&function).await,
        (&Method::POST, ["invocation", id, "response"]) => answered(&function, id, Ok(json(body).await)).await,
        (&Method::POST, ["invocation", id, "error"]) => answered(&function, id, Err(json(body).await)).await,
        (&Method::POST, ["init", "error"]) => {
            let report = json(body).await;
            for (_, waiting) in function.waiting.lock().await.drain() {
                let _ = waiting.send(Err(report.clone()));
            }
            empty(StatusCode::ACCEPTED)
        }
        _ => empty(StatusCode::NOT_FOUND),
    })
}

/// Holds the call until there is an event, as Lambda freezes a function between invocations.
async fn next(function: &Function) -> Response<Full<Bytes>> {
    let Some((id, event)) = function.events.lock().await.recv().await else {
        return empty(StatusCode::GONE);
    };
    let deadline = (moment::now() + DEADLINE.as_secs()) * 1000;
    Response::builder()
        .header("Content-Type", "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", id)
        .header("Lambda-Runtime-Deadline-Ms", deadline.to_string())
        .header("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN)
        .header("Lambda-Runtime-Trace-Id", TRACE_ID)
        .body(Full::new(event))
        .expect("valid headers")
}

/// Passes an answer on to the invocation that waits for it. One that nobody waits for is refused.
async fn answered(function: &Function, id: &str, answer: Answer) -> Response<Full<Bytes>> {
    let Some(waiting) = function.waiting.lock().await.remove(id) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let _ = waiting.send(answer);
    empty(StatusCode::ACCEPTED)
}

/// The body as JSON, or as a JSON string if it is none: the test that sees it says so.
async fn json(body: Incoming) -> Value {
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into())
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
