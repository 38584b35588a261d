//! A loopback HTTP server in front of the Lambda handler's own function.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::TcpListener;

use crate::{
    edge::handler::Handler,
    oauth::error::Reason,
    service::{Call, MAX_BODY_BYTES},
};

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves `handler` on `listener` until `stop` resolves; then open requests are answered, for five seconds at most.
pub async fn serve(listener: TcpListener, handler: Arc<Handler>, stop: impl Future<Output = ()>) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let connections = GracefulShutdown::new();
    let requests = Arc::new(AtomicU64::new(0));
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Most likely too many open files; others will close.
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        drop(stream.set_nodelay(true));
        let (handler, requests) = (Arc::clone(&handler), Arc::clone(&requests));
        let answer = service_fn(move |request| {
            let (handler, requests) = (Arc::clone(&handler), Arc::clone(&requests));
            async move {
                let call = call(request).await;
                let id = format!("local-{}", requests.fetch_add(1, Ordering::Relaxed));
                Ok::<_, Infallible>(handler.handle(&call, &id).await.map(Full::new))
            }
        });
        let connection = connections.watch(server.serve_connection(TokioIo::new(stream), answer));
        tokio::spawn(async move {
            // A client that goes away is no fault of the server.
            drop(connection.await);
        });
    }
    drop(listener);
    drop(tokio::time::timeout(SHUTDOWN_TIMEOUT, connections.shutdown()).await);
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
