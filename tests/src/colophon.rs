//! The binary under test: started on a data directory of its own, asked over HTTP, ended in several ways.

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary, which building the tests builds too.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join("colophon");
    assert!(binary.exists(), "{} is missing: `cargo build --workspace` makes it", binary.display());
    binary
}

/// A command of the binary, without this process's environment.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

/// A command none of whose files may grow beyond so many kibibytes: as on a disk that is full then.
pub fn command_on_full_disk(kibibytes: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    // A write beyond the limit fails, instead of ending the process by a signal.
    let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kibibytes * 2);
    command.env_clear().stdin(Stdio::null()).args(["-c", &limited]).arg(binary()).args(arguments);
    command
}

/// Sends a signal, such as `-TERM`.
pub fn signal(process: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A named pipe.
pub fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// A running server.
pub struct Colophon {
    child: Child,
    pub address: String,
    pub directory: Arc<TempDir>,
    pub client: Client,
    manager: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn position(&self) -> u64 {
        self.header("colophon-position").parse().unwrap_or_else(|_| panic!("no position: {self:?}"))
    }

    /// Status and rule of a problem; whatever is no well-formed problem is a failure of the test.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let body = self.json();
        let mut fields: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["detail", "status", "title", "trace_id", "type"]);
        assert_eq!(body["status"], self.status);
        assert_eq!(body["trace_id"].as_str().unwrap().len(), 32);
        (self.status, body["type"].as_str().unwrap().strip_prefix("/problems#").unwrap().to_owned())
    }
}

/// What takes longer has come to a standstill.
const PATIENCE: Duration = Duration::from_secs(60);

impl Colophon {
    /// Starts a server on a new directory.
    pub async fn start() -> Self {
        Self::start_with(Arc::new(tempfile::tempdir().unwrap()), &[], &[]).await
    }

    /// Starts a server with more arguments and environment.
    pub async fn start_with(directory: Arc<TempDir>, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command(&["serve"]);
        command.args(arguments).envs(environment.iter().copied());
        Self::start_command(directory, command).await
    }

    /// Starts a server on a disk that is full, as [`command_on_full_disk`] has it.
    pub async fn start_on_full_disk(directory: Arc<TempDir>, kibibytes: u32) -> Self {
        Self::start_command(directory, command_on_full_disk(kibibytes, &["serve"])).await
    }

    async fn start_command(directory: Arc<TempDir>, mut command: Command) -> Self {
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(directory.path().join("data"));
        let log = std::fs::File::options().create(true).append(true).open(directory.path().join("log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()) else {
            let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
            panic!("the server did not say that it is ready: {line:?}\n{log}");
        };
        let address = address.to_owned();
        let client = Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap();
        let mut colophon = Self { child, address, directory, client, manager: String::new() };
        colophon.manager = colophon.token("manager");
        colophon
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What the server has logged, and those before it on the directory.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// A command on the server's directory.
    pub fn tool(&self, arguments: &[&str]) -> Output {
        command(arguments).arg("--data-dir").arg(self.data()).output().unwrap()
    }

    /// A token with a role, from the command line.
    pub fn token(&self, role: &str) -> String {
        let output = self.tool(&["token", "--subject", role, "--role", role]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A request without a token.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// A manager's request.
    pub fn manager(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.manager)
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.anonymous(Method::GET, path)).await
    }

    /// A read that is to show at least what `position` says.
    pub fn at(&self, path: &str, position: u64) -> RequestBuilder {
        self.anonymous(Method::GET, path).header("Colophon-Min-Position", position)
    }

    /// What such a read shows, however long it takes on a machine that is busy.
    pub async fn get_at(&self, path: &str, position: u64) -> Answer {
        let is_shown = |read: &Answer| read.status != 503 || read.json()["type"] != "/problems#not_yet";
        sent_until(self.at(path, position), is_shown).await
    }

    /// Reads a path until the answer is as it should be.
    pub async fn eventually(&self, path: &str, what: impl Fn(&Answer) -> bool) -> Answer {
        sent_until(self.anonymous(Method::GET, path), what).await
    }

    /// What `/readyz` says once all views are level.
    pub async fn ready(&self) -> Value {
        self.eventually("/readyz", |ready| ready.status == 200).await.json()
    }

    /// Every sample of the metrics, by name and labels.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        let text = self.get("/metrics").await.body;
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.manager(Method::POST, path).json(body)).await
    }

    /// Registers a book and answers with its id.
    pub async fn register(&self, isbn: &str) -> String {
        let answer = self.post("/v1/books", &book(isbn)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    pub async fn adjust(&self, book: &str, delta: i64) -> Answer {
        let body = serde_json::json!({"delta": delta, "reason": "test"});
        self.post(&format!("/v1/stock/{book}/adjustments"), &body).await
    }

    /// Ends the server as a power cut would, as far as a process can.
    pub fn kill(mut self) -> Arc<TempDir> {
        self.signal("-KILL");
        self.child.wait().unwrap();
        Arc::clone(&self.directory)
    }

    /// Asks the server to end, and demands that it does, well and in time.
    pub fn stop(mut self) -> Arc<TempDir> {
        self.signal("-TERM");
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it takes too long to stop");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}: {}", self.log());
        Arc::clone(&self.directory)
    }

    /// Waits for the server to end by itself, which it does not do well.
    pub fn fail(mut self) -> Arc<TempDir> {
        assert!(!self.child.wait().unwrap().success());
        Arc::clone(&self.directory)
    }

    pub fn signal(&self, signal: &str) {
        self::signal(&self.child, signal);
    }
}

impl Drop for Colophon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and reads its answer.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR);
    Answer { status: status.as_u16(), headers, body: response.text().await.unwrap() }
}

/// Sends a request again and again until the answer is as it should be.
pub async fn sent_until(request: RequestBuilder, what: impl Fn(&Answer) -> bool) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = answer(request.try_clone().unwrap()).await;
        if what(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{request:?} is answered {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A body that registers a book.
pub fn book(isbn: &str) -> Value {
    serde_json::json!({"isbn": isbn, "title": "A title", "authors": ["Ann Example"], "language": "en"})
}

/// The `n`-th valid ISBN-13 of some range.
pub fn isbn(n: u32) -> String {
    let digits = format!("9780{n:08}");
    let weighted = |(place, digit): (usize, u8)| u32::from(digit - b'0') * if place % 2 == 0 { 1 } else { 3 };
    let sum: u32 = digits.bytes().enumerate().map(weighted).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// What a command said, for messages.
pub fn said(output: &Output) -> String {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}\n{error}", output.status)
}

/// Writes a file beside the data.
pub fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}
