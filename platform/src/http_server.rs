//! Serves a router on a listener: bounded in connections, headers and patience, and drained when it is stopped.

use axum::Router;
use axum::extract::Request;
use axum::serve::{Listener, ListenerExt, TapIo};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

#[cfg(test)]
mod tests;

/// The most header fields that are read; beyond, the bare protocol answers 431. The gateway's own bound is lower.
const HEADERS_MAX: usize = 256;

/// The most bytes of a connection that wait to be handled, and so the longest header. The gateway's own bound is lower.
const BUFFER_MAX_BYTES: usize = 96 * 1024;

/// The most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;

/// How much a server takes on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections at once; more wait in the operating system's queue.
    pub connections_max: usize,
    /// How long a request's header may take to arrive; a connection that stays without a request for twice as long is closed.
    pub header_timeout: Duration,
    /// How long requests that are being handled may take to end, once the server is stopped.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connections_max: 4096, header_timeout: Duration::from_secs(15), drain_timeout: Duration::from_secs(8) }
    }
}

/// A listener for everybody.
pub type Public = TapIo<TcpListener, fn(&mut TcpStream)>;

/// Listens on a TCP address; answers leave at once (`TCP_NODELAY`).
pub async fn listen(address: SocketAddr) -> io::Result<Public> {
    let listener = TcpListener::bind(address).await?;
    // Without the option answers are only slower, so a socket that refuses it is served nevertheless.
    Ok(listener.tap_io(|socket| drop(socket.set_nodelay(true))))
}

/// Serves HTTP/1.1 and HTTP/2 (by prior knowledge) until it is stopped; then takes no more connections, lets the
/// requests being handled end, and returns when they have, or when the time for that is over.
pub async fn serve<L: Listener>(mut listener: L, router: Router, settings: Settings, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let mut connections = JoinSet::new();
    let accept_all = async {
        loop {
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            let (io, _) = listener.accept().await;
            let connection = serve_connection(io, router.clone(), settings.header_timeout, stop.clone());
            connections.spawn(async move {
                connection.await;
                drop(place);
            });
            while connections.try_join_next().is_some() {}
        }
    };
    stop.run_until_cancelled(accept_all).await;
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(settings.drain_timeout, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests did not end in time, and are cut off");
        connections.shutdown().await;
    }
}

/// What a connection has been doing since somebody looked.
#[derive(Default)]
struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

async fn serve_connection<Io>(io: Io, router: Router, header_timeout: Duration, stop: CancellationToken)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    let counted = activity.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        counted.begun.fetch_add(1, Ordering::Relaxed);
        let counted = counted.clone();
        let answer = router.clone().oneshot(request);
        async move {
            let answer = answer.await;
            counted.ended.fetch_add(1, Ordering::Relaxed);
            answer
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_MAX_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(BUFFER_MAX_BYTES as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(header_timeout)
        .keep_alive_timeout(header_timeout);

    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut look = tokio::time::interval(header_timeout);
    look.reset();
    let mut begun_before = 0;
    let mut closing = false;
    loop {
        tokio::select! {
            // A connection that breaks is its client's affair: whatever it asked has been answered, or nobody listens.
            _ = connection.as_mut() => return,
            () = stop.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                let begun = activity.begun.load(Ordering::Relaxed);
                let idle = begun == begun_before && begun == activity.ended.load(Ordering::Relaxed);
                // One that never asked has not even said which protocol it speaks, or says it too slowly.
                if idle && begun == 0 {
                    return;
                }
                if idle && !closing {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                begun_before = begun;
            }
        }
    }
}
