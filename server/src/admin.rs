//! The admin socket: how tools work on a data directory beside the server that has it.

pub mod client;

use crate::sandbox::Sandbox;
use crate::tools::{self, Workshop};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use command_side::commands::Commands;
use command_side::imports::{self, Task};
use futures_util::{TryStreamExt, stream};
use platform::seam::Seam;
use schemas::api::payment::Outcome;
use serde::Serialize;
use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Bytes that the description of an import may have.
const TASK_BYTES: u64 = 64 * 1_024;

/// What a process has of what tools ask for.
#[derive(Clone)]
pub struct Admin {
    /// Where commands go, with the role `command`.
    pub commands: Option<Arc<dyn Commands>>,
    /// Plays the payment provider, with the role `command`.
    pub sandbox: Option<Sandbox>,
    /// Where views are changed, with roles that have views.
    pub workshop: Option<Workshop>,
    /// For commands.
    pub seam: Seam,
    /// Set when the process is going down.
    pub stopping: CancellationToken,
}

/// Listens where tools look for the server. Whoever may open the socket may do all: it lies in a directory that only
/// its owner may enter.
pub fn listen(socket: &std::path::Path) -> io::Result<UnixListener> {
    // The directory is locked, so this is what a process left that ended without tidying up.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// What the server does for its tools.
pub fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/import", post(import))
        .route("/sandbox/{order}/{outcome}", post(pay))
        .route("/tools", post(work))
        .with_state(admin)
}

/// This process cannot do it, and one with another role can.
fn not_here(roles: &str) -> Response {
    (
        StatusCode::NOT_FOUND,
        format!("this process has not the role for that: name the data directory of one with {roles}"),
    )
        .into_response()
}

/// Does the [`tools::Task`] of the body, as JSON; answers while it does with one [`tools::Told`] per line, as JSON.
async fn work(State(admin): State<Admin>, body: Bytes) -> Response {
    let Ok(task) = serde_json::from_slice::<tools::Task>(&body) else {
        return (StatusCode::NOT_FOUND, "this version of the server cannot do that").into_response();
    };
    let Some(workshop) = admin.workshop else { return not_here("`query` or `projector`") };
    let told = workshop.start(task);
    Body::from_stream(stream::unfold((told, admin.stopping), next_line)).into_response()
}

/// Plays the payment provider.
async fn pay(State(admin): State<Admin>, Path((order, outcome)): Path<(Uuid, Outcome)>) -> Response {
    let Some(sandbox) = admin.sandbox else { return not_here("`command`") };
    match sandbox.pay(order, outcome).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

/// Does the [`Task`] in the body's first line, as JSON, with the file that is the rest; answers while it does with one
/// [`Progress`] per line, as JSON.
async fn import(State(admin): State<Admin>, body: Body) -> Response {
    let Some(commands) = admin.commands else { return not_here("`command`") };
    let mut body = Box::pin(StreamReader::new(body.into_data_stream().map_err(io::Error::other)));
    let mut line = Vec::new();
    let read = (&mut body).take(TASK_BYTES).read_until(b'\n', &mut line).await;
    let task = read.ok().and_then(|_| serde_json::from_slice::<Task>(&line).ok());
    let Some(task) = task else {
        return (StatusCode::NOT_FOUND, "this version of the server cannot import that").into_response();
    };
    let progress = imports::start(Box::new(SyncIoBridge::new(body)), task, commands, admin.seam);
    Body::from_stream(stream::unfold((progress, admin.stopping), next_line)).into_response()
}

/// When the server stops, the stream ends without a last word, and with it what it tells of: nobody listens any more.
async fn next_line<T: Serialize>(
    (mut progress, stopping): (mpsc::Receiver<T>, CancellationToken),
) -> Option<(Result<Bytes, Infallible>, (mpsc::Receiver<T>, CancellationToken))> {
    let told = stopping.run_until_cancelled(progress.recv()).await??;
    let mut line = serde_json::to_vec(&told).expect("strings and numbers can be written as JSON");
    line.push(b'\n');
    Some((Ok(line.into()), (progress, stopping)))
}
