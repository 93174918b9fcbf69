//! The other end of the admin socket.

use anyhow::{Context, bail};
use bytes::Bytes;
use command_side::imports::{Content, Progress};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::io::{self, Read};
use std::path::Path;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Bytes of the file sent at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Has the server behind `socket` import `file`, and tells how it goes.
pub async fn import(
    socket: &Path,
    content: Content,
    file: Box<dyn Read + Send>,
) -> anyhow::Result<mpsc::Receiver<Progress>> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("the data directory is in use, but no server answers at {}", socket.display()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the exchange does; what goes wrong in it shows in the answer.
    tokio::spawn(connection);
    let chunks = stream::unfold(chunks(file), async |mut chunks| {
        let chunk = chunks.recv().await?;
        Some((chunk.map(Frame::data), chunks))
    });
    let request = Request::post(super::path_of(content)).header(HOST, "admin").body(StreamBody::new(chunks))?;
    let response = sender.send_request(request).await.context("the server ended the connection")?;
    if response.status() != StatusCode::OK {
        let reason = response.into_body().collect().await?.to_bytes();
        bail!("the server refused: {}", String::from_utf8_lossy(&reason));
    }
    let (progress, receiver) = mpsc::channel(1_024);
    tokio::spawn(async move {
        // What is cut off has no last word; whoever receives notices that.
        let _ = read_lines(response.into_body(), &progress).await;
        drop(sender);
    });
    Ok(receiver)
}

/// Reads the file on a thread of its own.
fn chunks(mut file: Box<dyn Read + Send>) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let chunk = match file.read(&mut buffer) {
                Ok(0) => return,
                read => read.map(|bytes| Bytes::copy_from_slice(&buffer[..bytes])),
            };
            let failed = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

async fn read_lines(mut body: Incoming, progress: &mpsc::Sender<Progress>) -> anyhow::Result<()> {
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        rest.extend_from_slice(&frame?.into_data().unwrap_or_default());
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            progress.send(serde_json::from_slice(&line)?).await?;
        }
    }
    Ok(())
}
