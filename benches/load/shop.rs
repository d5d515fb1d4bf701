//! The shop under load: the real binaries, an embedded database in a throw-away folder, the real
//! catalogue.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::spent::{Spent, processor_ms};

/// Units of the product that everybody buys.
const PLENTY: u32 = 1_000_000;

pub(crate) struct Shop {
    folder: PathBuf,
    environment: Vec<(String, String)>,
    server: Child,
    simulator: Child,
    simulator_url: String,
    http: reqwest::Client,
    pub(crate) address: String,
    pub(crate) mongodb_uri: String,
    pub(crate) product_id: String,
    pub(crate) some_products: Vec<String>,
    admin: String,
    pub(crate) products: u64,
    pub(crate) import_seconds: f64,
    /// The most memory that the import had resident.
    pub(crate) import_peak_mib: u64,
}

/// The real catalogue that everything is measured with.
pub(crate) fn real_catalogue() -> PathBuf {
    let shared = std::env::var_os("BODEGA_SHARED_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let file = shared.join("data/opendb-products.jsonl.gz");
    assert!(
        file.is_file(),
        "{} is absent: this bench is over the real catalogue",
        file.display()
    );
    file
}

/// Starts a program and waits for its line "… listening on URL".
fn start(program: &str, arguments: &[&str], environment: &[(String, String)]) -> (Child, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment.iter().cloned())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("listening on ")?.1.to_owned()));
    (child, url.expect("the program listens"))
}

/// A line of a process's `status` that counts memory (proc(5)), in MiB; none where the process has ended.
fn memory_mib(pid: u32, line: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = status.lines().find_map(|text| text.strip_prefix(line))?;
    let kib: u64 = kib.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024)
}

impl Shop {
    /// Imports `catalogue` and starts.
    pub(crate) async fn start(catalogue: &Path) -> Self {
        let folder = std::env::temp_dir().join(format!("bodega-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let certs = folder.join("certs").display().to_string();
        let simulator = [
            "--bind",
            "127.0.0.1:0",
            "--client-id",
            "bench",
            "--client-secret",
            "bench",
            "--certs-dir",
            &certs,
        ];
        let (simulator, simulator_url) =
            start(env!("CARGO_BIN_EXE_paypal-simulator"), &simulator, &[]);
        let mongodb_port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let environment: Vec<(String, String)> = [
            ("SERVER__BIND", "127.0.0.1:0".to_owned()),
            (
                "MONGODB__DATA_DIR",
                folder.join("mongodb").display().to_string(),
            ),
            ("MONGODB__PORT", mongodb_port.to_string()),
            (
                "AUTH__JWT_SECRET",
                "a secret of the bench, longer than 32 bytes".into(),
            ),
            ("AUTH__BCRYPT_COST", "4".into()),
            ("PAYPAL__BASE_URL", simulator_url.clone()),
            ("PAYPAL__CLIENT_ID", "bench".into()),
            ("PAYPAL__CLIENT_SECRET", "bench".into()),
            ("PAYPAL__WEBHOOK_ID", "WH-BENCH".into()),
            ("RATE_LIMIT__ENABLED", "false".into()),
            ("LOG__FILTER", "warn".into()),
        ]
        .map(|(key, value)| (format!("BODEGA__{key}"), value))
        .to_vec();
        let began = Instant::now();
        let mapping = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/import/opendb.toml");
        let mut import = Command::new(env!("CARGO_BIN_EXE_bodega"))
            .arg("import")
            .arg(catalogue)
            .arg("--mapping")
            .arg(mapping)
            .envs(environment.iter().cloned())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut import_peak_mib = 0;
        let imported = loop {
            if let Some(ended) = import.try_wait().unwrap() {
                break ended;
            }
            import_peak_mib = memory_mib(import.id(), "VmHWM:").unwrap_or(import_peak_mib);
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(imported.success(), "the import failed");
        let import_seconds = began.elapsed().as_secs_f64();
        let (server, url) = start(env!("CARGO_BIN_EXE_bodega"), &["serve"], &environment);
        let mut shop = Self {
            folder,
            environment,
            server,
            simulator,
            simulator_url,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            address: url.trim_start_matches("http://").to_owned(),
            mongodb_uri: format!("mongodb://127.0.0.1:{mongodb_port}/?directConnection=true"),
            product_id: String::new(),
            some_products: Vec::new(),
            admin: String::new(),
            products: 0,
            import_seconds,
            import_peak_mib,
        };
        shop.ready().await;
        shop.choose_product().await;
        shop
    }

    async fn ready(&self) {
        while !self
            .http
            .get(self.url("/readyz"))
            .send()
            .await
            .is_ok_and(|answer| answer.status() == 200)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The product that everybody looks at and buys: there is always enough of it.
    async fn choose_product(&mut self) {
        let list: Value =
            serde_json::from_str(&self.get("/api/products?type=gpu&limit=10").await).unwrap();
        let all: Value = serde_json::from_str(&self.get("/api/products?limit=1").await).unwrap();
        self.products = all["total"].as_u64().unwrap();
        let ids = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned());
        self.some_products = ids.collect();
        self.product_id.clone_from(&self.some_products[0]);
        let create = [
            "user",
            "create",
            "--email",
            "bench@example.com",
            "--role",
            "admin",
            "--password-stdin",
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_bodega"))
            .args(create)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut command.stdin.take().unwrap(), b"correct horse battery")
            .unwrap();
        assert!(command.wait().unwrap().success());
        let login = json!({ "email": "bench@example.com", "password": "correct horse battery" });
        let admin = self.post("/api/auth/login", "", &login).await;
        admin["accessToken"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.admin);
        self.stock(&self.product_id, PLENTY).await;
    }

    /// Sets how many units of a product there are.
    pub(crate) async fn stock(&self, product: &str, units: u32) {
        let path = format!("/api/products/{product}/stock");
        let counted = json!({ "onHand": units, "reason": "bench" });
        let level = self.post(&path, &self.admin, &counted).await;
        assert!(level["status"].is_null(), "{level}");
    }

    /// Stops the server and starts it again; seconds from start to ready.
    pub(crate) async fn restart(&mut self) -> f64 {
        self.end_server();
        let began = Instant::now();
        let (server, url) = start(env!("CARGO_BIN_EXE_bodega"), &["serve"], &self.environment);
        self.server = server;
        url.trim_start_matches("http://")
            .clone_into(&mut self.address);
        self.ready().await;
        let took = began.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_secs(2)).await;
        took
    }

    fn end_server(&mut self) {
        Command::new("kill")
            .args(["-TERM", &self.server.id().to_string()])
            .status()
            .unwrap();
        self.server.wait().unwrap();
    }

    pub(crate) fn rss_mib(&self) -> u64 {
        memory_mib(self.server.id(), "VmRSS:").unwrap()
    }

    /// Seconds of processor time that the server has used so far.
    pub(crate) fn processor_seconds(&self) -> f64 {
        processor_ms(self.server.id()) / 1_000.0
    }

    /// What the server and its database have done so far.
    pub(crate) async fn spent(&self) -> Spent {
        Spent::so_far(&self.mongodb_uri, self.server.id()).await
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    /// The entity tag of what stands at `path`.
    pub(crate) async fn tag(&self, path: &str) -> String {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        answer.headers()["etag"].to_str().unwrap().to_owned()
    }

    /// A change by staff.
    pub(crate) async fn patch(&self, path: &str, change: &Value) {
        let request = self.http.patch(self.url(path)).bearer_auth(&self.admin);
        let request = request.header("content-type", "application/merge-patch+json");
        let answer = request.body(change.to_string()).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{status}: {:?}", answer.text().await);
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Value {
        let mut request = self.http.post(self.url(path)).json(body);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        request
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap_or(Value::Null)
    }

    /// Tokens of new customers.
    pub(crate) async fn buyers(&self, count: usize) -> Vec<String> {
        let mut tokens = Vec::new();
        for _ in 0..count {
            let email = format!("b{}@example.com", bson::oid::ObjectId::new());
            let body = json!({ "email": email, "password": "correct horse battery" });
            let answer = self.post("/api/auth/register", "", &body).await;
            tokens.push(answer["accessToken"].as_str().unwrap().to_owned());
        }
        tokens
    }

    /// Approves a payment as its buyer would.
    pub(crate) async fn approve(&self, payment: &str) {
        let url = format!("{}/control/orders/{payment}/approve", self.simulator_url);
        let answer = self.http.post(url).json(&json!({})).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    pub(crate) fn stop(mut self) {
        self.end_server();
        self.simulator.kill().unwrap();
        self.simulator.wait().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}
