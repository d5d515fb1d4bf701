//! `scripts/cluster`, as a test uses it: what anybody could start, with ports and a folder of its own.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{Client, free_port, run_to_end};

/// How long everything may take to start.
const START: Duration = Duration::from_mins(3);

/// Three members, two nodes, HAProxy, RabbitMQ and PayPal's stand-in.
pub(crate) struct Cluster {
    script: Child,
    folder: PathBuf,
    /// HAProxy's address.
    pub(crate) url: String,
    /// Each node's own address.
    pub(crate) nodes: Vec<String>,
    /// PayPal's stand-in.
    pub(crate) simulator: String,
    settings: Vec<(String, String)>,
    admin: (String, String),
}

/// A port such that those after it are free as well.
fn free_ports(count: u16) -> u16 {
    loop {
        let first = free_port();
        let mut rest = (first + 1)..(first + count);
        if first < 60_000
            && rest.all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok())
        {
            return first;
        }
    }
}

impl Cluster {
    /// Starts it, with more settings (`OUTBOX__EXCHANGE` and the like).
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("cluster-{}", bson::oid::ObjectId::new()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = free_ports(3);
        let simulator = free_port();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let programs = Path::new(env!("CARGO_BIN_EXE_bodega")).parent().unwrap();
        let mut command = Command::new(root.join("scripts/cluster"));
        command
            .env("BODEGA_DATA", &folder)
            .env("BODEGA_PROGRAMS", programs)
            .env("BODEGA_PORT", port.to_string())
            .env("BODEGA_SIMULATOR_PORT", simulator.to_string())
            .env("BODEGA_MONGODB_PORT", free_ports(3).to_string())
            .env("BODEGA_AMQP_PORT", free_port().to_string())
            .env("BODEGA__AUTH__BCRYPT_COST", "4")
            .env("BODEGA__RATE_LIMIT__ENABLED", "false")
            .env("BODEGA__CHECKOUT__RECONCILE_SECONDS", "1")
            .env("BODEGA__CHECKOUT__MAX_HELD_PER_ADDRESS", "1000000")
            .env("BODEGA__PAYPAL__TIMEOUT_SECONDS", "5")
            .env("BODEGA__LOG__FILTER", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        for (key, value) in settings {
            command.env(format!("BODEGA__{key}"), value);
        }
        let mut script = command.spawn().unwrap();
        let mut said = BufReader::new(script.stdout.take().unwrap()).lines();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            while let Some(Ok(line)) = said.next() {
                // Read to the end, so that the script is never held up.
                let _nobody = tell.send(line);
            }
        });
        let ready = tokio::task::spawn_blocking(move || {
            let mut lines = Vec::new();
            while let Ok(line) = told.recv_timeout(START) {
                let done = line.starts_with("Ctrl-C ends");
                lines.push(line);
                if done {
                    return Ok(lines);
                }
            }
            Err(lines)
        });
        if let Err(lines) = ready.await.unwrap() {
            let _ended = script.kill();
            panic!("no cluster: {lines:#?}; its logs: {}", folder.display());
        }
        let read = |file: &str| variables(&std::fs::read_to_string(folder.join(file)).unwrap());
        let secrets: HashMap<String, String> = read("secrets.env").into_iter().collect();
        Self {
            url: format!("http://127.0.0.1:{port}"),
            nodes: (1..=2)
                .map(|n| format!("http://127.0.0.1:{}", port + n))
                .collect(),
            simulator: format!("http://127.0.0.1:{simulator}"),
            settings: read("cluster.env"),
            admin: (
                secrets["ADMIN_EMAIL"].clone(),
                secrets["ADMIN_PASSWORD"].clone(),
            ),
            script,
            folder,
        }
    }

    /// A setting that its nodes have.
    pub(crate) fn setting(&self, name: &str) -> &str {
        let found = self.settings.iter().find(|(key, _)| key == name);
        &found.unwrap().1
    }

    /// The process of one of its parts, as `node-1` or `mongod-3`.
    pub(crate) fn pid(&self, part: &str) -> u32 {
        let file = self.folder.join("pids").join(part);
        std::fs::read_to_string(file)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    /// Sends a part a signal. The script starts again what ends.
    pub(crate) fn signal(&self, part: &str, signal: &str) {
        signal_to(self.pid(part), signal);
    }

    /// Someone behind HAProxy, not signed in.
    pub(crate) fn guest(&self) -> Client {
        Client::new(&self.url)
    }

    /// The admin, signed in.
    pub(crate) async fn admin(&self) -> Client {
        let mut admin = self.guest();
        let account = serde_json::json!({ "email": self.admin.0, "password": self.admin.1 });
        let answer = admin.post("/api/auth/login", &account).await.expect(200);
        admin.sign_in_as(answer.body["accessToken"].as_str().unwrap());
        admin
    }

    /// Runs a command of the binary over its database.
    pub(crate) fn command(&self, arguments: &[&str]) -> (bool, String) {
        let program = env!("CARGO_BIN_EXE_bodega");
        run_to_end(program, arguments, &self.settings, "")
    }
}

fn signal_to(pid: u32, signal: &str) {
    let kill = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(kill.unwrap().success());
}

/// `NAME=value` and `export NAME="value"`.
fn variables(text: &str) -> Vec<(String, String)> {
    let pairs = text.lines().filter_map(|line| {
        let (name, value) = line.trim_start_matches("export ").split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    });
    pairs.collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        signal_to(self.script.id(), "-TERM");
        self.script.wait().unwrap();
        if std::thread::panicking() {
            eprintln!("the cluster's logs are in {}", self.folder.display());
        } else {
            std::fs::remove_dir_all(&self.folder).unwrap();
        }
    }
}
