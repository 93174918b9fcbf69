//! The other end of the admin socket.

use crate::tools::{Task, Told};
use anyhow::{Context, bail};
use bytes::Bytes;
use command_side::imports::{self, Progress};
use futures_util::stream;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use platform::data_directory::DataDirectory;
use platform::event_log::Position;
use schemas::api::payment::Outcome;
use serde::de::DeserializeOwned;
use std::io::{self, Read};
use std::path::Path;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Bytes of the file sent at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A connection to the server behind `socket`.
async fn connect<B>(socket: &Path) -> anyhow::Result<SendRequest<B>>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = UnixStream::connect(socket).await.with_context(|| held(socket))?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the exchange does; what goes wrong in it shows in the answer.
    tokio::spawn(connection);
    Ok(sender)
}

/// Why nobody answers at a socket although somebody has its directory.
fn held(socket: &Path) -> String {
    let holder = socket.parent().and_then(DataDirectory::holder).map(|process| format!(" (process {process})"));
    format!(
        "another tool{} has the data directory, or a server that begins or ends: try again when it is done",
        holder.unwrap_or_default()
    )
}

/// The answer, if the server did what it was asked.
async fn accepted(response: Response<Incoming>) -> anyhow::Result<Incoming> {
    if response.status() == StatusCode::OK {
        return Ok(response.into_body());
    }
    let reason = response.into_body().collect().await?.to_bytes();
    bail!("the server refused: {}", String::from_utf8_lossy(&reason))
}

/// Has the server behind `socket` play the payment provider.
pub async fn pay(socket: &Path, order: Uuid, outcome: Outcome) -> anyhow::Result<()> {
    let outcome = match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
    };
    let request =
        Request::post(format!("/sandbox/{order}/{outcome}")).header(HOST, "admin").body(Empty::<Bytes>::new())?;
    let response = connect(socket).await?.send_request(request).await.context("the server ended the connection")?;
    accepted(response).await.map(drop)
}

/// Has the server behind `socket` do `task` with `file`, and tells how it goes.
pub async fn import(
    socket: &Path,
    task: &imports::Task,
    file: Box<dyn Read + Send>,
) -> anyhow::Result<mpsc::Receiver<Progress>> {
    let mut sender = connect(socket).await?;
    let mut line = serde_json::to_vec(task)?;
    line.push(b'\n');
    let body = body_of(Box::new(io::Cursor::new(line).chain(file)));
    let request = Request::post("/import").header(HOST, "admin").body(body)?;
    exchange(&mut sender, request).await
}

/// Has the server behind `socket` do a task for views, and tells how it goes.
pub async fn work(socket: &Path, task: &Task) -> anyhow::Result<mpsc::Receiver<Told>> {
    let request = Request::post("/tools").header(HOST, "admin").body(Full::<Bytes>::from(serde_json::to_vec(task)?))?;
    exchange(&mut connect(socket).await?, request).await
}

/// Sends a request whose answer are lines of JSON.
async fn exchange<B: Body + 'static, T: DeserializeOwned + Send + Sync + 'static>(
    sender: &mut SendRequest<B>,
    request: Request<B>,
) -> anyhow::Result<mpsc::Receiver<T>> {
    let response = sender.send_request(request).await.context("the server ended the connection")?;
    let body = accepted(response).await?;
    let (told, receiver) = mpsc::channel(1_024);
    tokio::spawn(async move {
        // What is cut off has no last word; whoever receives notices that.
        let _ = read_lines(body, &told).await;
    });
    Ok(receiver)
}

/// Has the log of the server behind `socket` take the events of an export, the last of which has the position `last`.
pub async fn import_log(socket: &Path, last: Position, file: Box<dyn Read + Send>) -> anyhow::Result<()> {
    let mut sender = connect(socket).await?;
    let path = format!("/log/import/{}", last.0);
    let request = Request::post(path).header(HOST, "admin").body(body_of(file))?;
    let response = sender.send_request(request).await.context("the server ended the connection")?;
    accepted(response).await.map(drop)
}

/// A file as the body of a request, sent while it is read.
fn body_of(file: Box<dyn Read + Send>) -> impl Body<Data = Bytes, Error = io::Error> + Send {
    StreamBody::new(stream::unfold(chunks(file), async |mut chunks| {
        let chunk = chunks.recv().await?;
        Some((chunk.map(Frame::data), chunks))
    }))
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

async fn read_lines<T: DeserializeOwned + Send + Sync + 'static>(
    mut body: Incoming,
    told: &mpsc::Sender<T>,
) -> anyhow::Result<()> {
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        rest.extend_from_slice(&frame?.into_data().unwrap_or_default());
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            told.send(serde_json::from_slice(&line)?).await?;
        }
    }
    Ok(())
}
