//! A shop of its own for each test: the real binaries over HTTP, a database of its own on the real
//! replica set, a PayPal simulator of its own.

mod acks;
mod books;
mod broker;
mod browser;
mod client;
mod cluster;
mod line;
mod process;
mod stream;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub(crate) use acks::{Acks, purchase};
pub(crate) use broker::{Log, Queue, amqp_uri, start_broker};
pub(crate) use browser::Browser;
pub(crate) use client::{Answer, Client};
pub(crate) use cluster::Cluster;
pub(crate) use line::{Fault, Line};
pub(crate) use process::{LOG_FILE, Running, free_port, memory_kib, run_to_end};
use serde_json::{Value, json};
pub(crate) use stream::{EventSource, Opening, Socket, ticket};

use crate::paypal_openapi::{Extent, Judge};

/// The id under which the shop's webhook is registered: letters and digits, as PayPal's are.
pub(crate) const WEBHOOK_ID: &str = "WHSIMTEST";
/// The simulator's record within a shop's folder.
const RECORD: &str = "paypal.jsonl";

/// The longest that anything asynchronous may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The replica set that `scripts/test` starts.
pub(crate) fn mongodb_uri() -> String {
    std::env::var("BODEGA_TEST_MONGODB_URI").unwrap_or_else(|_| {
        panic!(
            "set BODEGA_TEST_MONGODB_URI to a replica set, or run scripts/test, which starts one"
        )
    })
}

/// Where real catalogues and PayPal's documents lie, beside the repository and not part of it.
fn shared_path() -> std::path::PathBuf {
    std::env::var_os("BODEGA_SHARED_DIR").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        std::path::PathBuf::from,
    )
}

/// The folder of real catalogues and PayPal samples beside the repository.
pub(crate) fn shared_dir() -> std::path::PathBuf {
    let folder = shared_path();
    assert!(
        folder.is_dir(),
        "{} is absent: the tests over real catalogues need it",
        folder.display()
    );
    folder
}

/// How often, how many: the small form that every run of the tests takes, or the full form of
/// `scripts/torture` (`BODEGA_TORTURE=full`).
pub(crate) fn scaled(small: usize, full: usize) -> usize {
    match std::env::var("BODEGA_TORTURE") {
        Ok(form) if form == "full" => full,
        Ok(form) => panic!("BODEGA_TORTURE is {form:?}: only \"full\" is known"),
        Err(_) => small,
    }
}

/// Judges what went over the wire between a shop and the simulator by PayPal's own documents; `None`,
/// said aloud, where they are absent.
pub(crate) fn judge(record: &std::path::Path, extent: Extent) -> Option<BTreeMap<String, usize>> {
    let Some(mut judge) = Judge::load(&shared_path().join("paypal")) else {
        eprintln!("NOT CHECKED: PayPal's OpenAPI documents are absent, see BODEGA_SHARED_DIR");
        return None;
    };
    let wrong = judge.file(record, extent);
    assert!(
        wrong.is_empty(),
        "PayPal's documents say otherwise:\n{}",
        wrong.join("\n")
    );
    Some(judge.seen)
}

/// Waits until `probe` has something, polling; fails the test when it takes too long.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How a shop under test differs from the usual one.
#[derive(Default)]
pub(crate) struct Setup {
    environment: Vec<(String, String)>,
    simulator: Vec<String>,
    configuration: String,
    clock: Option<String>,
}

impl Setup {
    /// Gives the shop a configuration file, for keys that the environment cannot say.
    pub(crate) fn configured(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.configuration);
        self
    }

    /// Lets the shop's node live at another time than the database: `+1d` is a day ahead. The monotonic
    /// clock is left alone.
    pub(crate) fn at(mut self, offset: &str) -> Self {
        self.clock = Some(offset.to_owned());
        self
    }

    /// Sets a key of the shop's configuration.
    pub(crate) fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.environment
            .push((format!("BODEGA__{key}"), value.to_string()));
        self
    }

    /// Has the shop's nodes log into a file.
    pub(crate) fn logged_to(mut self, file: &std::path::Path) -> Self {
        let pair = (LOG_FILE.to_owned(), file.display().to_string());
        self.environment.push(pair);
        self
    }

    /// Gives the simulator a flag.
    pub(crate) fn simulator(mut self, flag: &str) -> Self {
        self.simulator.push(flag.to_owned());
        self
    }

    pub(crate) async fn start(self) -> TestShop {
        TestShop::start_with(self).await
    }
}

/// A shop under test.
pub(crate) struct TestShop {
    pub(crate) server: Running,
    pub(crate) simulator: Running,
    environment: Vec<(String, String)>,
    database: String,
    folder: std::path::PathBuf,
}

impl TestShop {
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    async fn start_with(setup: Setup) -> Self {
        let database = format!("test_{}", bson::oid::ObjectId::new());
        let folder = std::env::temp_dir().join(&database);
        std::fs::create_dir_all(&folder).unwrap();
        let port = free_port();
        let hook = format!("http://127.0.0.1:{port}/api/payment/webhook");
        let ipn = format!("http://127.0.0.1:{port}/api/payment/ipn");
        let certs = folder.join("certs");
        let mut flags: Vec<String> = [
            "--bind",
            "127.0.0.1:0",
            "--client-id",
            "sim-client",
            "--client-secret",
            "sim-secret",
            "--webhook-id",
            WEBHOOK_ID,
            "--webhook-url",
            &hook,
            "--ipn-url",
            &ipn,
            "--receiver-email",
            "merchant@example.com",
            "--retry-base-ms",
            "100",
            "--certs-dir",
            certs.to_str().unwrap(),
            "--record",
            folder.join(RECORD).to_str().unwrap(),
        ]
        .map(str::to_owned)
        .to_vec();
        flags.extend(setup.simulator);
        let simulator = Running::start(env!("CARGO_BIN_EXE_paypal-simulator"), &flags, &[]).await;
        let mut environment: Vec<(String, String)> = [
            ("SERVER__BIND", format!("127.0.0.1:{port}")),
            ("MONGODB__URI", mongodb_uri()),
            ("MONGODB__DATABASE", database.clone()),
            (
                "AUTH__JWT_SECRET",
                "a secret of the tests, longer than 32 bytes".into(),
            ),
            ("AUTH__BCRYPT_COST", "4".into()),
            ("IMAGES__DIR", folder.join("images").display().to_string()),
            ("PAYPAL__BASE_URL", simulator.url.clone()),
            ("PAYPAL__CLIENT_ID", "sim-client".into()),
            ("PAYPAL__CLIENT_SECRET", "sim-secret".into()),
            ("PAYPAL__WEBHOOK_ID", WEBHOOK_ID.into()),
            ("PAYPAL__CERT_HOSTS", "127.0.0.1".into()),
            (
                "PAYPAL__CERT_ROOTS_FILE",
                certs.join("ca-bundle.pem").display().to_string(),
            ),
            (
                "PAYPAL__IPN_VERIFY_URL",
                format!("{}/cgi-bin/webscr", simulator.url),
            ),
            ("PAYPAL__RECEIVER_EMAIL", "merchant@example.com".into()),
            ("PAYPAL__TIMEOUT_SECONDS", "5".into()),
            ("RATE_LIMIT__ENABLED", "false".into()),
            ("CHECKOUT__RECONCILE_SECONDS", "1".into()),
            // Every buyer of a test comes from one address.
            ("CHECKOUT__MAX_HELD_PER_ADDRESS", "1000000".into()),
            (
                "LOG__FILTER",
                std::env::var("BODEGA_TEST_LOG").unwrap_or_else(|_| "warn".into()),
            ),
        ]
        .map(|(key, value)| (format!("BODEGA__{key}"), value))
        .to_vec();
        if !setup.configuration.is_empty() {
            let config = folder.join("config");
            std::fs::create_dir_all(&config).unwrap();
            std::fs::write(config.join("default.toml"), setup.configuration).unwrap();
            environment.push(("BODEGA_CONFIG_DIR".into(), config.display().to_string()));
        }
        if let Some(offset) = setup.clock {
            environment.extend(clock_at(&offset));
        }
        environment.extend(setup.environment);
        let server = Self::serve(&environment).await;
        Self {
            server,
            simulator,
            environment,
            database,
            folder,
        }
    }

    async fn serve(environment: &[(String, String)]) -> Running {
        let server = Running::start(
            env!("CARGO_BIN_EXE_bodega"),
            &["serve".to_owned()],
            environment,
        )
        .await;
        let ready = Client::new(&server.url);
        eventually("the shop to be ready", || async {
            (ready.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        server
    }

    /// Starts the server again where it was.
    pub(crate) async fn restart(&mut self) {
        self.server = Self::serve(&self.environment).await;
    }

    /// Kills the server as a power cut would, and starts it again over the same data.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.server.kill();
        self.restart().await;
    }

    /// Has the server end by itself at a point of the way (`CRASH_AT`), from a new start on.
    pub(crate) async fn crash_at(&mut self, point: &str) {
        let mut environment = self.environment.clone();
        environment.push(("CRASH_AT".into(), point.into()));
        self.server.kill();
        self.server = Self::serve(&environment).await;
    }

    /// Starts another node over the same database, at a port of its own.
    pub(crate) async fn node(&self, port: u16) -> Running {
        let mut environment = self.environment.clone();
        environment.push(("BODEGA__SERVER__BIND".into(), format!("127.0.0.1:{port}")));
        Self::serve(&environment).await
    }

    /// Starts a second node over the same database.
    pub(crate) async fn second_node(&self) -> Running {
        self.another_node(Vec::new()).await
    }

    /// Starts a second node whose clock is off by `offset`.
    pub(crate) async fn second_node_at(&self, offset: &str) -> Running {
        self.another_node(clock_at(offset)).await
    }

    async fn another_node(&self, also: Vec<(String, String)>) -> Running {
        let mut environment = self.environment.clone();
        environment.extend(also);
        environment.push(("BODEGA__SERVER__BIND".into(), "127.0.0.1:0".into()));
        Self::serve(&environment).await
    }

    /// Runs another command of the binary against this shop's database.
    pub(crate) fn command(&self, arguments: &[&str], input: &str) -> (bool, String) {
        run_to_end(
            env!("CARGO_BIN_EXE_bodega"),
            arguments,
            &self.environment,
            input,
        )
    }

    /// Starts another command of the binary and does not wait for its end.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> std::process::Child {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bodega"));
        command
            .args(arguments)
            .envs(self.environment.iter().cloned());
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    }

    /// Starts another node with more in its environment, at a port of its own, and does not wait for it.
    pub(crate) fn spawn_node(&self, also: &[(&str, String)]) -> std::process::Child {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bodega"));
        command
            .arg("serve")
            .envs(self.environment.iter().cloned())
            .env("BODEGA__SERVER__BIND", "127.0.0.1:0")
            .envs(also.iter().cloned());
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    }

    /// The name of its database.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// A guest.
    pub(crate) fn guest(&self) -> Client {
        Client::new(&self.server.url)
    }

    /// Its database, without the shop: for what only the database can be made to do.
    pub(crate) async fn books(&self) -> mongodb::Database {
        let client = mongodb::Client::with_uri_str(mongodb_uri()).await.unwrap();
        client.database(&self.database)
    }

    /// Every exchange with PayPal so far, and every event from there.
    pub(crate) fn record(&self) -> std::path::PathBuf {
        self.folder.join(RECORD)
    }

    /// The simulator's control API.
    pub(crate) fn paypal(&self) -> Client {
        Client::new(&self.simulator.url)
    }

    /// A new customer, signed in.
    pub(crate) async fn customer(&self) -> Client {
        self.customer_at(&self.server.url).await
    }

    /// A new customer, signed in at another node.
    pub(crate) async fn customer_at(&self, node: &str) -> Client {
        let email = format!("c{}@example.com", bson::oid::ObjectId::new());
        let mut client = Client::new(node);
        let body = json!({ "email": email, "password": "correct horse battery" });
        let answer = client.post("/api/auth/register", &body).await.expect(201);
        client.sign_in_as(answer.body["accessToken"].as_str().unwrap());
        client
    }

    /// Changes a key of the configuration, for whatever is started from now on.
    pub(crate) fn set(&mut self, key: &str, value: impl std::fmt::Display) {
        let pair = (format!("BODEGA__{key}"), value.to_string());
        self.environment.push(pair);
    }

    /// An admin, made by the command line and signed in.
    pub(crate) async fn admin(&self) -> Client {
        self.admin_with_password().await.0
    }

    /// The same, with e-mail and password.
    pub(crate) async fn admin_with_password(&self) -> (Client, (String, String)) {
        let email = format!("a{}@example.com", bson::oid::ObjectId::new());
        let password = "correct horse battery";
        let create = [
            "user",
            "create",
            "--email",
            &email,
            "--role",
            "admin",
            "--password-stdin",
        ];
        let (done, output) = self.command(&create, password);
        assert!(done, "{output}");
        let mut client = self.guest();
        let body = json!({ "email": email, "password": password });
        let answer = client.post("/api/auth/login", &body).await.expect(200);
        client.sign_in_as(answer.body["accessToken"].as_str().unwrap());
        (client, (email, password.to_owned()))
    }

    /// New customers, signed in; a few at a time, as each password is hashed.
    pub(crate) async fn customers(&self, count: usize) -> Vec<Client> {
        use futures_util::StreamExt;
        let each = futures_util::stream::iter(0..count).map(|_| self.customer());
        each.buffered(16).collect().await
    }

    /// The lines of one kind in the simulator's journal: the truth about the money.
    pub(crate) async fn journal(&self, kind: &str) -> Vec<Value> {
        let path = format!("/control/journal?kind={kind}");
        let lines = self.paypal().get(&path).await.expect(200).body;
        lines.as_array().unwrap().clone()
    }

    /// A product without options, on sale.
    pub(crate) async fn product(&self, admin: &Client, sku: &str, price: i64, stock: u32) -> Value {
        let body = json!({
            "sku": sku, "title": format!("Product {sku}"), "price": usd(price),
            "stock": { "onHand": stock }, "status": "active",
        });
        admin.post("/api/products", &body).await.expect(201).body
    }

    /// Puts one product into the buyer's cart and begins a checkout.
    pub(crate) async fn checkout(&self, buyer: &Client, product: &Value, quantity: u32) -> Value {
        let line = json!({ "productId": product["id"], "quantity": quantity });
        let cart = buyer.post("/api/cart", &line).await.expect(200).body;
        buyer
            .post("/api/payment/checkout", &checkout_of(&cart))
            .await
            .expect(201)
            .body
    }

    /// Approves a checkout's payment as its buyer would at PayPal.
    pub(crate) async fn approve(&self, checkout: &Value) {
        self.approve_as(checkout, &json!({})).await;
    }

    /// The same; `how` says what comes of it, such as `{"then": "pending"}` (docs/paypal-simulator.md).
    pub(crate) async fn approve_as(&self, checkout: &Value, how: &Value) {
        let id = checkout["providerOrderId"].as_str().unwrap();
        let approve = format!("/control/orders/{id}/approve");
        let answer = self.paypal().post(&approve, how).await;
        assert!(answer.status < 300, "{answer:?}");
    }
}

impl Drop for TestShop {
    fn drop(&mut self) {
        self.server.kill();
        self.simulator.kill();
        // Whatever the test is about: what the shop sends is what PayPal documents, and so is what the
        // simulator answers.
        if !std::thread::panicking() {
            judge(&self.record(), Extent::Both);
        }
        // Left behind only where a test has failed and somebody wants to look.
        let _left_behind = std::fs::remove_dir_all(&self.folder);
        let database = self.database.clone();
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let client = mongodb::Client::with_uri_str(mongodb_uri()).await.unwrap();
                client.database(&database).drop().await.unwrap();
            });
        });
        dropping.join().unwrap();
    }
}

/// The environment in which a process's wall clock is off by `offset`; its monotonic clock runs on. Needs
/// libfaketime, which `scripts/fetch-faketime` finds or fetches.
pub(crate) fn clock_at(offset: &str) -> Vec<(String, String)> {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch-faketime");
    let found = std::process::Command::new(script).output().unwrap();
    let library = String::from_utf8(found.stdout).unwrap();
    assert!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    [
        ("LD_PRELOAD", library.trim()),
        ("FAKETIME", offset),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

/// Has the provider tell of another amount than agreed, in answer to the next capture and when it is asked
/// about that again.
pub(crate) async fn take_another_amount(paypal: &Client) {
    for operation in ["capture", "show_capture"] {
        let fault = json!({ "operation": operation, "fault": "wrong_amount" });
        paypal.post("/control/faults", &fault).await.expect(200);
    }
}

/// US dollars in cents.
pub(crate) fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

/// An address without tax.
pub(crate) fn address() -> Value {
    json!({
        "name": "Ada Buyer", "line1": "1 Main Street", "city": "Austin", "region": "TX",
        "postalCode": "78701", "country": "US",
    })
}

/// The body that checks out `cart` as seen.
pub(crate) fn checkout_of(cart: &Value) -> Value {
    let items: Vec<Value> = cart["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| json!({ "id": item["id"], "quantity": item["quantity"] }))
        .collect();
    json!({
        "cart": { "version": cart["version"], "items": items, "total": cart["total"] },
        "shippingAddress": address(),
        "shippingMethod": "standard",
    })
}
