//! A deployment under test: several processes of the binary that share a database and a topic of their own.

pub mod services;

use crate::colophon::{Answer, answer, command, sent_until, signal};
use platform::postgres::scratch::Scratch;
use platform::seam::Seam;
use reqwest::{Client, Method, RequestBuilder};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a process may take to say that it is ready, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The deployment. Its processes end with it.
pub struct Cluster {
    pub directory: TempDir,
    environment: Vec<(String, String)>,
    processes: BTreeMap<&'static str, Process>,
    addresses: BTreeMap<&'static str, String>,
    topic: String,
    pub client: Client,
}

/// A process, and how it was started.
struct Process {
    roles: &'static [&'static str],
    child: Child,
    address: String,
}

/// A deployment with two nodes that take writes and answer reads, and one process of each other role. Whoever builds views
/// comes before those who read them.
pub const USUAL: [(&str, &[&str]); 5] = [
    ("projector", &["projector"]),
    ("reactor", &["reactor"]),
    ("relay", &["relay"]),
    ("node-1", &["command", "query"]),
    ("node-2", &["command", "query"]),
];

/// What a deployment lives on.
pub struct Ground {
    pub postgres: String,
    pub kafka: String,
}

impl Ground {
    /// The services of `make test`, with a database of this test's own; none where they are not there.
    pub async fn shared() -> Option<Self> {
        let Some(scratch) = Scratch::new().await else {
            let _ = writeln!(std::io::stderr(), "skipped: no DATABASE_URL");
            return None;
        };
        let Ok(kafka) = std::env::var("KAFKA_BROKERS") else {
            assert!(std::env::var_os("COLOPHON_TEST_SERVICES").is_none(), "KAFKA_BROKERS is not set");
            let _ = writeln!(std::io::stderr(), "skipped: no KAFKA_BROKERS");
            return None;
        };
        Some(Self { postgres: scratch.url, kafka })
    }
}

impl Cluster {
    /// A deployment without processes.
    pub fn on(ground: &Ground, more: &[(&str, &str)]) -> Self {
        let topic = format!("test-{}", Seam::system().random_uuid().simple());
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("keys").join("signing.pem");
        let variables = [
            ("COLOPHON_POSTGRES__URL", ground.postgres.as_str()),
            ("COLOPHON_KAFKA__BROKERS", &ground.kafka),
            ("COLOPHON_KAFKA__TOPIC", &topic),
            ("COLOPHON_KAFKA__PARTITIONS", "4"),
            ("COLOPHON_CLUSTER__LISTEN", "127.0.0.1:0"),
            ("COLOPHON_CLUSTER__SECRET", "a-secret-that-only-the-nodes-of-this-test-know"),
            ("COLOPHON_PAYMENTS__WEBHOOK_SECRET", crate::shop::SECRET_TEXT),
            ("COLOPHON_AUTH__SIGNING_KEY_FILE", key.to_str().unwrap()),
        ];
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = variables.iter().chain(more).map(owned).collect();
        let client = Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap();
        // The first token makes the key that all share.
        let made =
            command(&["token", "--subject", "nobody", "--role", "user", "--data-dir"]).arg(directory.path()).output();
        assert!(made.unwrap().status.success());
        let (processes, addresses) = (BTreeMap::new(), BTreeMap::new());
        Self { directory, environment, processes, addresses, topic, client }
    }

    /// The usual deployment, ready.
    pub async fn usual(ground: &Ground, more: &[(&str, &str)]) -> Self {
        let mut cluster = Self::on(ground, more);
        for (name, roles) in USUAL {
            cluster.begin(name, roles);
        }
        cluster
    }

    /// Starts a process and waits until it is ready.
    pub fn begin(&mut self, name: &'static str, roles: &'static [&'static str]) {
        let mut command = command(&["run"]);
        // Whoever knows its address finds it there again.
        let listen = self.addresses.get(name).map_or("127.0.0.1:0", String::as_str);
        command.args(roles).args(["--listen", listen, "--data-dir"]).arg(self.data(name));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let log = std::fs::File::options().create(true).append(true).open(self.log_path(name)).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.unwrap_or_else(|| panic!("{name} did not get ready: {line:?}\n{}", self.log(name)));
        self.addresses.insert(name, address.to_owned());
        self.processes.insert(name, Process { roles, child, address: address.to_owned() });
    }

    /// Ends a process as a power cut would, and starts it again with the same data directory.
    pub fn restart_killed(&mut self, name: &'static str) {
        let roles = self.processes[name].roles;
        self.kill(name);
        self.begin(name, roles);
    }

    /// Ends a process as a power cut would, as far as a process can.
    pub fn kill(&mut self, name: &'static str) {
        let mut process = self.processes.remove(name).unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Asks a process to end, and demands that it does, well and in time.
    pub fn stop(&mut self, name: &'static str) {
        let mut process = self.processes.remove(name).unwrap();
        signal(&process.child, "-TERM");
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = process.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} takes too long to stop");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}: {}", self.log(name));
    }

    /// Sends a process a signal, such as `-STOP`.
    pub fn signal(&self, name: &str, name_of_signal: &str) {
        signal(&self.processes[name].child, name_of_signal);
    }

    fn data(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }

    /// What a process has logged, and those before it of the same name.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.log_path(name)).unwrap()
    }

    /// Where a process listens.
    pub fn address(&self, name: &str) -> String {
        self.processes[name].address.clone()
    }

    /// A command on a process's data directory.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = command(arguments);
        command.arg("--data-dir").arg(self.data(name)).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    /// The topic that its processes share.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// A token.
    pub fn token(&self, subject: &str, role: &str) -> String {
        let output = self.tool("token", &["token", "--subject", subject, "--role", role]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A request to a process.
    pub fn request(&self, name: &str, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.processes[name].address))
    }

    /// What a read shows at a position or later, however long it takes.
    pub async fn get_at(&self, name: &str, path: &str, token: &str, position: u64) -> Answer {
        let request = self.request(name, Method::GET, path).bearer_auth(token);
        let is_shown = |read: &Answer| read.status != 503;
        sent_until(request.header("Colophon-Min-Position", position), is_shown).await
    }

    /// Every sample of a process's metrics, by name and labels.
    pub async fn metrics(&self, name: &str) -> BTreeMap<String, f64> {
        let text = answer(self.request(name, Method::GET, "/metrics")).await.body;
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }

    /// Which of the nodes is the log's writer, as soon as one says so.
    pub async fn writer(&self) -> &'static str {
        let begun = Instant::now();
        loop {
            for (name, process) in self.processes.iter().filter(|(_, process)| process.roles.contains(&"command")) {
                let request = self.client.get(format!("http://{}/metrics", process.address));
                if let Ok(metrics) = request.timeout(Duration::from_secs(1)).send().await
                    && let Ok(text) = metrics.text().await
                    && text.lines().any(|line| line == "command_writer 1")
                {
                    return name;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "no node is the log's writer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        if std::thread::panicking() {
            for name in self.processes.keys() {
                let log = std::fs::read_to_string(self.log_path(name)).unwrap_or_default();
                let _ = writeln!(std::io::stderr(), "--- {name}\n{log}");
            }
        }
    }
}
