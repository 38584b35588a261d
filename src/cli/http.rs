//! A loopback HTTP server in front of the Lambda handler's own function.

use std::{
    convert::Infallible,
    io,
    num::NonZero,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use crate::{
    edge::handler::Handler,
    oauth::error::Reason,
    service::{Call, MAX_BODY_BYTES},
};

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves `handler` on `listener` until `stop` resolves; then open requests are answered, for five seconds at most.
///
/// # Errors
/// If its threads cannot be started.
pub async fn serve(listener: TcpListener, handler: Arc<Handler>, stop: impl Future<Output = ()>) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let server = Server { handler, requests: Arc::default() };
    let workers = (0..threads).map(|_| Worker::start(server.clone())).collect::<io::Result<Vec<_>>>()?;
    let mut turns = workers.iter().cycle();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted.and_then(|(stream, _)| stream.into_std()),
        };
        match (accepted, turns.next()) {
            // A worker ends only after its sender is gone.
            (Ok(stream), Some(worker)) => drop(worker.connections.send(stream)),
            (Err(error), _) => {
                // Most likely too many open files; others will close.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (Ok(_), None) => break,
        }
    }
    drop(listener);
    let (senders, threads): (Vec<_>, Vec<_>) =
        workers.into_iter().map(|worker| (worker.connections, worker.thread)).unzip();
    drop(senders);
    drop(tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join()))).await);
    Ok(())
}

// A thread with a runtime of its own: a connection stays on it, so that no request is handed from thread to thread.
struct Worker {
    connections: UnboundedSender<std::net::TcpStream>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start(server: Server) -> io::Result<Self> {
        let (connections, received) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || runtime.block_on(server.serve_connections(received)))?;
        Ok(Self { connections, thread })
    }
}

#[derive(Clone)]
struct Server {
    handler: Arc<Handler>,
    requests: Arc<AtomicU64>,
}

impl Server {
    async fn serve_connections(self, mut received: UnboundedReceiver<std::net::TcpStream>) {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        let open = GracefulShutdown::new();
        while let Some(stream) = received.recv().await {
            let Ok(stream) = TcpStream::from_std(stream) else { continue };
            drop(stream.set_nodelay(true));
            let server = self.clone();
            let answer = service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, Infallible>(server.answer(request).await) }
            });
            let connection = open.watch(http.serve_connection(TokioIo::new(stream), answer));
            tokio::spawn(async move {
                // A client that goes away is no fault of the server.
                drop(connection.await);
            });
        }
        drop(tokio::time::timeout(SHUTDOWN_TIMEOUT, open.shutdown()).await);
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let call = call(request).await;
        let id = format!("local-{}", self.requests.fetch_add(1, Ordering::Relaxed));
        self.handler.handle(&call, &id).await.map(Full::new)
    }
}

async fn call(request: Request<Incoming>) -> Call {
    let (head, body) = request.into_parts();
    Call {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: read(body).await,
        origin: None,
        client_certificate: None,
    }
}

async fn read(body: Incoming) -> Result<Bytes, Reason> {
    let body = Limited::new(body, MAX_BODY_BYTES);
    match tokio::time::timeout(BODY_TIMEOUT, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Reason::BodyTooLarge),
        Ok(Err(_)) | Err(_) => Err(Reason::MalformedEvent),
    }
}
