//! Connections that ask, that stay silent, that are too many, and that are being answered when the server stops.

use super::*;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn server(router: Router, settings: Settings) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, router, settings, stop.clone()));
    (address, stop, serving)
}

async fn connected(address: SocketAddr, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

async fn status(stream: &mut TcpStream) -> String {
    let mut line = [0; 12];
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut line)).await.unwrap().unwrap();
    String::from_utf8(line.to_vec()).unwrap()
}

/// Reads until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

#[tokio::test]
async fn a_connection_is_kept_and_closed_when_the_server_stops() {
    let (address, stop, serving) = server(hello(), Settings::default()).await;
    let mut stream = connected(address, REQUEST).await;
    assert_eq!(status(&mut stream).await, "HTTP/1.1 200");
    stop.cancel();
    serving.await.unwrap();
    assert!(rest(&mut stream).await.ends_with(b"hello"));
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn silent_slow_and_idle_connections_are_closed() {
    let settings = Settings { header_timeout: Duration::from_millis(50), ..Settings::default() };
    let (address, _stop, _serving) = server(hello(), settings).await;
    assert_eq!(rest(&mut connected(address, b"").await).await, b"");
    let slow = rest(&mut connected(address, b"GET / HTTP/1.1\r\nhost: ").await).await;
    assert!(slow.is_empty() || slow.starts_with(b"HTTP/1.1 408"), "{slow:?}");
    assert!(rest(&mut connected(address, REQUEST).await).await.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn too_large_headers_and_nonsense_are_answered_with_4xx() {
    let (address, _stop, _serving) = server(hello(), Settings::default()).await;
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(2 * BUFFER_MAX_BYTES));
    assert_eq!(status(&mut connected(address, large.as_bytes()).await).await, "HTTP/1.1 431");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(HEADERS_MAX + 1));
    assert_eq!(status(&mut connected(address, many.as_bytes()).await).await, "HTTP/1.1 431");
    assert_eq!(status(&mut connected(address, b"this is not HTTP\r\n\r\n").await).await, "HTTP/1.1 400");
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let settings = Settings { connections_max: 1, ..Settings::default() };
    let (address, _stop, _serving) = server(hello(), settings).await;
    let mut first = connected(address, REQUEST).await;
    assert_eq!(status(&mut first).await, "HTTP/1.1 200");
    let mut second = connected(address, REQUEST).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), second.read_u8()).await.is_err());
    drop(first);
    assert_eq!(status(&mut second).await, "HTTP/1.1 200");
}

#[tokio::test]
async fn a_request_being_handled_is_answered_before_the_end_but_not_for_ever() {
    for (drain_timeout, answered) in [(Duration::from_secs(10), true), (Duration::from_millis(20), false)] {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (at_work, may_end) = (Arc::clone(&begun), Arc::clone(&go_on));
        let slow = async move || {
            at_work.notify_one();
            may_end.notified().await;
            "done"
        };
        let settings = Settings { drain_timeout, ..Settings::default() };
        let (address, stop, serving) = server(Router::new().route("/", get(slow)), settings).await;
        let mut stream = connected(address, REQUEST).await;
        begun.notified().await;
        stop.cancel();
        if answered {
            go_on.notify_one();
        }
        serving.await.unwrap();
        assert_eq!(rest(&mut stream).await.ends_with(b"done"), answered);
    }
}
