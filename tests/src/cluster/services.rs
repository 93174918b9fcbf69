//! Databases and brokers of a test's own, which it may stop, pause and start again.

use crate::colophon::signal;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What takes longer to start has failed.
const START_WITHIN: Duration = Duration::from_secs(90);

/// The directory that an environment variable of `make test` names; none where the services were not asked for.
fn named(variable: &str) -> Option<PathBuf> {
    match std::env::var_os(variable) {
        Some(path) => Some(path.into()),
        None => {
            assert!(std::env::var_os("COLOPHON_TEST_SERVICES").is_none(), "{variable} is not set; `make test` sets it");
            None
        }
    }
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that ends with what holds it.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Postgres server.
pub struct Postgres {
    binaries: PathBuf,
    directory: TempDir,
    port: u16,
    server: Option<Owned>,
}

impl Postgres {
    /// Starts one; none where there are no binaries.
    pub fn start() -> Option<Self> {
        let binaries = named("COLOPHON_TEST_POSTGRES_BIN")?;
        // Whoever runs the server has to get there.
        let directory = tempfile::Builder::new().prefix("postgres").tempdir_in("/tmp").unwrap();
        let own = |path: &Path| {
            if is_root() {
                assert!(Command::new("chown").arg("postgres").arg(path).status().unwrap().success());
            }
        };
        own(directory.path());
        let data = directory.path().join("data");
        let made = unprivileged(&binaries.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut postgres = Self { binaries, directory, port: free_port(), server: None };
        postgres.begin();
        Some(postgres)
    }

    /// Starts it, or starts it again, and waits until it answers.
    pub fn begin(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let mut command = unprivileged(&self.binaries.join("postgres"));
        command.arg("-D").arg(self.directory.path().join("data")).arg("-k").arg(self.directory.path());
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300"]);
        self.server = Some(Owned(command.stdout(Stdio::null()).stderr(log).spawn().unwrap()));
        let begun = Instant::now();
        loop {
            let mut ready = Command::new(self.binaries.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if ready.status().unwrap().success() {
                return;
            }
            assert!(begun.elapsed() < START_WITHIN, "Postgres does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as a crash does.
    pub fn end(&mut self) {
        let mut server = self.server.take().unwrap();
        // Immediate shutdown: no checkpoint, recovery at the next start.
        signal(&server.0, "-QUIT");
        server.0.wait().unwrap();
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// Postgres refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

/// Kafka: one broker or several.
pub struct Kafka {
    libraries: PathBuf,
    directory: TempDir,
    ports: Vec<(u16, u16)>,
    brokers: Vec<Option<Owned>>,
}

impl Kafka {
    /// Starts so many brokers; none where there are no libraries.
    pub fn start(brokers: usize) -> Option<Self> {
        let libraries = named("COLOPHON_TEST_KAFKA_LIBS")?;
        let directory = tempfile::tempdir().unwrap();
        let ports: Vec<_> = (0..brokers).map(|_| (free_port(), free_port())).collect();
        let mut kafka = Self { libraries, directory, ports, brokers: (0..brokers).map(|_| None).collect() };
        let cluster = kafka.tool(&["kafka.tools.StorageTool", "random-uuid"]);
        let voters: Vec<_> = (1..)
            .zip(&kafka.ports)
            .map(|(node, (_, controller))| format!("{node}@127.0.0.1:{controller}:{}", directory_id(node)))
            .collect();
        for broker in 0..brokers {
            kafka.configure(broker);
            let config = kafka.config(broker);
            let config = config.to_str().unwrap();
            let initial = voters.join(",");
            kafka.tool(&[
                "kafka.tools.StorageTool",
                "format",
                "-t",
                &cluster,
                "-c",
                config,
                "--initial-controllers",
                &initial,
            ]);
        }
        // None of them listens before most of them are there.
        (0..brokers).for_each(|broker| kafka.spawn(broker));
        (0..brokers).for_each(|broker| kafka.wait(broker));
        Some(kafka)
    }

    fn config(&self, broker: usize) -> PathBuf {
        self.directory.path().join(format!("broker-{broker}.properties"))
    }

    fn configure(&self, broker: usize) {
        let (port, controller) = self.ports[broker];
        let controllers: Vec<_> = self.ports.iter().map(|(_, port)| format!("127.0.0.1:{port}")).collect();
        let replicas = self.ports.len().min(3);
        let config = format!(
            "process.roles=broker,controller\nnode.id={}\ncontroller.quorum.bootstrap.servers={}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={}\n\
             offsets.topic.replication.factor={replicas}\nshare.coordinator.state.topic.replication.factor={replicas}\n\
             share.coordinator.state.topic.min.isr=1\ntransaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n",
            broker + 1,
            controllers.join(","),
            self.directory.path().join(format!("data-{broker}")).display(),
        );
        std::fs::write(self.config(broker), config).unwrap();
    }

    /// Starts a broker again, and waits until it listens.
    pub fn begin(&mut self, broker: usize) {
        self.spawn(broker);
        self.wait(broker);
    }

    fn spawn(&mut self, broker: usize) {
        let log = self.directory.path().join(format!("log-{broker}"));
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = self.java();
        command.arg("kafka.Kafka").arg(self.config(broker)).stdout(log).stderr(Stdio::null());
        self.brokers[broker] = Some(Owned(command.spawn().unwrap()));
    }

    fn wait(&self, broker: usize) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.ports[broker].0)).is_err() {
            assert!(begun.elapsed() < START_WITHIN, "Kafka does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends a broker as a crash does.
    pub fn end(&mut self, broker: usize) {
        drop(self.brokers[broker].take().unwrap());
    }

    /// Where they are.
    pub fn addresses(&self) -> String {
        let addresses: Vec<_> = self.ports.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect();
        addresses.join(",")
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        command.arg(self.libraries.join("*"));
        command
    }

    fn tool(&self, arguments: &[&str]) -> String {
        let output = self.java().args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().last().unwrap_or_default().trim().to_owned()
    }
}

/// The id of a controller's directory: 16 bytes in base64, as Kafka wants them.
fn directory_id(node: usize) -> String {
    use base64::Engine;
    let mut bytes = [0x5a_u8; 16];
    bytes[15] = u8::try_from(node).unwrap();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
