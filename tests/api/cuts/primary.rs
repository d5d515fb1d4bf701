//! A primary that no other member reaches, and one node with it: nothing it says is taken back later.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bson::doc;
use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Acks, Client, Fault, Line, Setup, eventually, free_port, scaled};

/// How long everybody goes on before and after.
const BREATH: Duration = Duration::from_secs(2);

/// Three members that know each other, and are known, by their lines' addresses.
pub(crate) struct Members {
    folder: PathBuf,
    processes: Vec<Child>,
    ports: Vec<u16>,
    lines: Vec<Line>,
}

fn script(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("scripts").join(name)
}

impl Members {
    pub(crate) async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("members-{}", bson::oid::ObjectId::new()));
        let found = Command::new(script("fetch-mongod")).output().unwrap();
        let program = String::from_utf8(found.stdout).unwrap();
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let processes: Vec<Child> = ports
            .iter()
            .map(|port| {
                let own = folder.join(port.to_string());
                std::fs::create_dir_all(&own).unwrap();
                Command::new(program.trim())
                    .args(["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--quiet"])
                    .args(["--nounixsocket", "--oplogSize", "64"])
                    .args(["--wiredTigerCacheSizeGB", "0.25", "--setParameter"])
                    .arg("diagnosticDataCollectionEnabled=false")
                    .args(["--setParameter", "enableTestCommands=1"])
                    .args(["--port", &port.to_string(), "--dbpath"])
                    .arg(&own)
                    .arg("--logpath")
                    .arg(own.join("log"))
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let lines: Vec<Line> = ports.iter().map(|port| Line::to(*port)).collect();
        let mut initiate = Command::new("python3");
        initiate
            .arg(script("lib/initiate-replica-set"))
            .args([lines[0].port.to_string(), processes[0].id().to_string()])
            .args(lines[1..].iter().map(|line| line.port.to_string()));
        let members = Self {
            folder,
            processes,
            ports,
            lines,
        };
        let done = tokio::task::spawn_blocking(move || initiate.status().unwrap());
        assert!(done.await.unwrap().success());
        members
    }

    pub(crate) fn uri(&self) -> String {
        let hosts = self
            .lines
            .iter()
            .map(|line| format!("127.0.0.1:{}", line.port));
        let hosts: Vec<String> = hosts.collect();
        format!("mongodb://{}/?replicaSet=rs0", hosts.join(","))
    }

    /// The one member at `place`, past its line.
    pub(crate) fn direct(&self, place: usize) -> String {
        format!(
            "mongodb://127.0.0.1:{}/?directConnection=true",
            self.ports[place]
        )
    }

    async fn hello(&self, place: usize) -> bson::Document {
        let client = mongodb::Client::with_uri_str(self.direct(place))
            .await
            .unwrap();
        let admin = client.database("admin");
        admin.run_command(doc! { "hello": 1 }).await.unwrap()
    }

    /// The places of members that hold themselves to be primary.
    async fn primaries(&self) -> Vec<usize> {
        let mut found = Vec::new();
        for place in 0..self.ports.len() {
            if self
                .hello(place)
                .await
                .get_bool("isWritablePrimary")
                .unwrap()
            {
                found.push(place);
            }
        }
        found
    }

    pub(crate) async fn well(&self) -> usize {
        eventually("three members that are well", async || {
            for place in 0..self.ports.len() {
                let hello = self.hello(place).await;
                if !hello.get_bool("isWritablePrimary").unwrap()
                    && !hello.get_bool("secondary").unwrap()
                {
                    return None;
                }
            }
            self.primaries().await.first().copied()
        })
        .await
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for process in &mut self.processes {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}

/// Changes its cart until the end, and keeps what was acknowledged; how often that was.
async fn keep_changing(buyer: &Client, product: &Value, stop: &Cell<bool>, acks: &Acks) -> usize {
    let line = json!({ "productId": product["id"], "quantity": 1 });
    let mut acked = 0;
    while !stop.get() {
        let answer = buyer
            .send(buyer.request(Method::POST, "/api/cart").json(&line))
            .await;
        if answer.status == 200 {
            let cart = answer.body;
            let ack = json!({
                "kind": "cart", "id": cart["id"], "version": cart["version"],
                "variant": cart["items"][0]["variantId"], "delta": 1,
            });
            acks.keep(&ack);
            acked += 1;
        } else {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    acked
}

#[actix_web::test]
async fn a_primary_cut_off_with_one_node_acknowledges_nothing_that_is_taken_back() {
    let members = Members::start().await;
    let setup = Setup::default().with("MONGODB__URI", members.uri());
    let mut shop = setup.start().await;
    let admin = shop.admin().await;
    let product = shop.product(&admin, "MUG", 900, 1_000_000).await;
    let acks = Acks::new();
    for _ in 0..scaled(1, 20) {
        let primary = members.well().await;
        shop.set("MONGODB__URI", members.direct(primary));
        let cut_off = shop.second_node().await;
        shop.set("MONGODB__URI", members.uri());
        let here = shop.customers(4).await;
        let there: Vec<Client> = shop.customers(4).await;
        let there: Vec<Client> = there.iter().map(|buyer| buyer.at(&cut_off.url)).collect();
        let stop = Cell::new(false);
        let changing = async |buyers: &[Client]| {
            let each = buyers
                .iter()
                .map(|buyer| keep_changing(buyer, &product, &stop, &acks));
            join_all(each).await
        };
        let cutting = async {
            tokio::time::sleep(BREATH).await;
            members.lines[primary].set(Fault::Cut);
            eventually("another primary", async || {
                let found = members.primaries().await;
                found.iter().any(|place| *place != primary).then_some(())
            })
            .await;
            tokio::time::sleep(BREATH).await;
            members.lines[primary].set(Fault::Well);
            members.well().await;
            tokio::time::sleep(BREATH).await;
            stop.set(true);
        };
        let (acked, ()) = join(join(changing(&here), changing(&there)), cutting).await;
        println!(
            "acknowledged here {:?}, at the node that was cut off {:?}",
            acked.0, acked.1
        );
    }
    let told = acks.path().to_str().unwrap();
    let check = ["check", "--invariants", "--acks", told, "--wait", "30"];
    let (clean, said) = shop.command(&check, "");
    assert!(clean && said.contains("I9"), "{said}");
}
