//! A server between the log and Postgres that cuts connections where a test wants it.

use crate::seam::{Seam, Timestamp};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a commit looks like on its way to the server.
const COMMIT: &[u8] = b"COMMIT\0";

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The next commit does not reach the server.
    BeforeCommit,
    /// The next commit does not reach the server, and no connection does after it.
    Dead,
    /// The next commit reaches the server, whose answer is not waited for.
    DuringCommit,
    /// The next commit is answered, but the answer does not arrive.
    AfterCommit,
    /// Anywhere: once in so many chunks of what is sent, and once in so many commits.
    Anywhere { chunks: u128, commits: u128 },
}

/// When connections are cut, and how many were.
struct Rule {
    cut: Mutex<Option<Cut>>,
    cuts: watch::Sender<usize>,
    seam: Seam,
}

/// It ends when it is dropped.
pub(super) struct Proxy {
    pub(super) url: String,
    rule: Arc<Rule>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Stands before the server of a URL.
    pub(super) async fn before(url: &str) -> Self {
        let (head, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{head}@{}/{database}", listener.local_addr().unwrap());
        let (seam, _) = Seam::seeded(7, Timestamp(0));
        let rule = Arc::new(Rule { cut: Mutex::default(), cuts: watch::Sender::new(0), seam });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, server.to_owned(), Arc::clone(&rule)));
        Self { url, rule, _serving: serving }
    }

    pub(super) fn cut(&self, cut: Option<Cut>) {
        *self.rule.cut.lock().unwrap() = cut;
    }

    /// How many connections were cut.
    pub(super) fn cuts(&self) -> watch::Receiver<usize> {
        self.rule.cuts.subscribe()
    }
}

async fn serve(listener: TcpListener, server: String, rule: Arc<Rule>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        if *rule.cut.lock().unwrap() == Some(Cut::Dead) {
            continue;
        }
        while connections.try_join_next().is_some() {}
        connections.spawn(forward(client, server.clone(), Arc::clone(&rule)));
    }
}

/// Forwards both ways until one side ends or the connection is to be cut.
async fn forward(mut client: TcpStream, server: String, rule: Arc<Rule>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            Ok(bytes @ 1..) = client.read(&mut asked) => {
                let chunk = &asked[..bytes];
                let now = rule.due(chunk);
                if matches!(now, Some(Cut::BeforeCommit | Cut::Dead)) || server.write_all(chunk).await.is_err() {
                    return;
                }
                match now {
                    None => {}
                    Some(Cut::AfterCommit) => return drop(server.read(&mut answered).await),
                    Some(_) => return,
                }
            }
            Ok(bytes @ 1..) = server.read(&mut answered) => {
                if client.write_all(&answered[..bytes]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}

impl Rule {
    /// Whether the connection is cut at this chunk, and how; a cut at a commit happens once.
    fn due(&self, chunk: &[u8]) -> Option<Cut> {
        let mut cut = self.cut.lock().unwrap();
        let is_commit = chunk.windows(COMMIT.len()).any(|window| window == COMMIT);
        let due = match *cut {
            Some(Cut::Anywhere { chunks, commits }) => {
                let chunks = if is_commit { commits } else { chunks };
                let thrown = u128::from_ne_bytes(self.seam.chance.bytes());
                thrown.is_multiple_of(chunks).then_some(match thrown / chunks % 3 {
                    0 => Cut::BeforeCommit,
                    1 => Cut::DuringCommit,
                    _ => Cut::AfterCommit,
                })
            }
            Some(Cut::Dead) if is_commit => Some(Cut::Dead),
            Some(Cut::Dead) | None => None,
            Some(_) if is_commit => cut.take(),
            Some(_) => None,
        };
        self.cuts.send_if_modified(|cuts| {
            *cuts += usize::from(due.is_some());
            due.is_some()
        });
        due
    }
}
