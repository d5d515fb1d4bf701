//! A primary that no other member reaches, and one node with it: nothing it says is taken back later.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bson::doc;
use futures_util::future::{join, join_all, join3};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    Acks, Client, Fault, Line, Setup, TestShop, eventually, free_port, purchase, scaled,
};

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

/// The same request until it succeeds, or is told that an earlier try has led elsewhere (null); `None` at the end.
async fn insist(stop: &Cell<bool>, request: &dyn Fn() -> RequestBuilder) -> Option<Value> {
    loop {
        let answer = request().send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        match (status, body["code"].as_str()) {
            (200..300, _) => return Some(body),
            (409, Some("checkout_closed" | "cart_changed" | "cart_empty")) => {
                return Some(Value::Null);
            }
            (503, _) | (409, Some("request_in_progress")) => {}
            _ => panic!("{status}: {body}"),
        }
        if stop.get() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Buys until the end, and keeps what was acknowledged; counts the orders in `orders`.
async fn keep_buying(
    people: (&Client, &Client),
    product: &Value,
    stop: &Cell<bool>,
    acks: &Acks,
    orders: &Cell<usize>,
) {
    while !stop.get() {
        let insisting = async |request: &dyn Fn() -> RequestBuilder| insist(stop, request).await;
        match purchase(people, product, acks, insisting).await {
            Some(order) => orders.set(orders.get() + usize::from(!order.is_null())),
            None => break,
        }
    }
}

/// Cuts the primary at `place` off from the others until there is another, and some time more.
async fn cut_off_for_a_while(members: &Members, place: usize) {
    members.lines[place].set(Fault::Cut);
    eventually("another primary", async || {
        let found = members.primaries().await;
        found.iter().any(|other| *other != place).then_some(())
    })
    .await;
    tokio::time::sleep(BREATH).await;
    members.lines[place].set(Fault::Well);
    members.well().await;
}

/// Everything that was acknowledged is there, and the books agree with PayPal's journal.
fn assert_nothing_is_lost(shop: &TestShop, acks: &Acks) {
    let told = acks.path().to_str().unwrap();
    let (clean, said) = shop.check_books(&["--acks", told, "--wait", "60"]);
    assert!(clean && said.contains("I9"), "{said}");
}

#[actix_web::test]
async fn a_primary_cut_off_with_one_node_acknowledges_nothing_that_is_taken_back() {
    let members = Members::start().await;
    let setup = Setup::default().with("MONGODB__URI", members.uri());
    let mut shop = setup.start().await;
    let admin = shop.admin().await;
    let product = shop.product(&admin, "MUG", 900, 1_000_000).await;
    let (acks, paypal) = (Acks::new(), shop.paypal());
    for _ in 0..scaled(1, 20) {
        let primary = members.well().await;
        shop.set("MONGODB__URI", members.direct(primary));
        let cut_off = shop.second_node().await;
        shop.set("MONGODB__URI", members.uri());
        let here = shop.customers(6).await;
        let there: Vec<Client> = shop.customers(6).await;
        let there: Vec<Client> = there.iter().map(|buyer| buyer.at(&cut_off.url)).collect();
        let stop = Cell::new(false);
        let orders = [Cell::new(0), Cell::new(0)];
        // Four change their carts, two buy.
        let busy = async |people: &[Client], orders: &Cell<usize>| {
            let (changing, buying) = people.split_at(4);
            let changing = changing
                .iter()
                .map(|buyer| keep_changing(buyer, &product, &stop, &acks));
            let buying = buying
                .iter()
                .map(|buyer| keep_buying((buyer, &paypal), &product, &stop, &acks, orders));
            join(join_all(changing), join_all(buying)).await.0
        };
        let cutting = async {
            eventually("orders at both nodes", async || {
                orders.iter().all(|made| made.get() > 1).then_some(())
            })
            .await;
            cut_off_for_a_while(&members, primary).await;
            tokio::time::sleep(BREATH).await;
            stop.set(true);
        };
        let (at_one, at_other, ()) =
            join3(busy(&here, &orders[0]), busy(&there, &orders[1]), cutting).await;
        println!(
            "acknowledged: changes of carts {at_one:?} and {} orders here, {at_other:?} and {} at the node that was cut off",
            orders[0].get(),
            orders[1].get()
        );
    }
    assert_nothing_is_lost(&shop, &acks);
}

/// Looks until the end; whatever was shown, each once.
async fn keep_looking(person: &Client, path: &str, stop: &Cell<bool>) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    while !stop.get() {
        let answer = person.get(path).await;
        if answer.status == 200 {
            let status = answer.body["status"].as_str().unwrap().to_owned();
            if shown.last() != Some(&status) {
                shown.push(status);
            }
        } else {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    shown
}

#[actix_web::test]
async fn nothing_is_shown_that_only_a_primary_without_the_others_has() {
    let members = Members::start().await;
    let setup = Setup::default().with("MONGODB__URI", members.uri());
    let mut shop = setup.start().await;
    let (admin, buyer, other) = (
        shop.admin().await,
        shop.customer().await,
        shop.customer().await,
    );
    let product = shop.product(&admin, "MUG", 900, 10).await;
    let bought = shop.checkout(&buyer, &product, 1).await;
    shop.approve(&bought).await;
    let wish = json!({ "checkoutId": bought["id"] });
    let order = buyer.post("/api/orders", &wish).await.body;
    let order = format!("/api/orders/{}", order["id"].as_str().unwrap());
    let open = shop.checkout(&other, &product, 1).await;
    let open = format!("/api/payment/checkout/{}", open["id"].as_str().unwrap());
    let primary = members.well().await;
    shop.set("MONGODB__URI", members.direct(primary));
    let cut_off = shop.second_node().await;
    shop.set("MONGODB__URI", members.uri());
    let there = |person: &Client| person.at(&cut_off.url);
    let (staff, buyer_there, other_there) = (there(&admin), there(&buyer), there(&other));
    let stop = Cell::new(false);
    // Both changes reach the primary, which has them from nobody confirmed.
    let changing = async {
        members.lines[primary].set(Fault::Cut);
        let began = Instant::now();
        let (path, next) = (format!("{order}/status"), json!({ "status": "Processing" }));
        let (path_of_end, none) = (format!("{open}/cancel"), json!({}));
        let answers = join(
            staff.put(&path, &next),
            other_there.post(&path_of_end, &none),
        );
        let cutting = async {
            cut_off_for_a_while(&members, primary).await;
            stop.set(true);
        };
        let ((moved, ended), ()) = join(answers, cutting).await;
        println!(
            "the changes were answered {} and {}, all of it took {:?}",
            moved.status,
            ended.status,
            began.elapsed()
        );
    };
    let looking = join(
        keep_looking(&buyer_there, &order, &stop),
        keep_looking(&other_there, &open, &stop),
    );
    let ((of_order, of_checkout), ()) = join(looking, changing).await;
    println!("shown at the node that was cut off: {of_order:?}, {of_checkout:?}");
    // It did show something meanwhile, and nothing that does not stand now.
    for (person, path, shown) in [(&buyer, &order, of_order), (&other, &open, of_checkout)] {
        let now = person.get(path).await.expect(200).body["status"].clone();
        assert_eq!(shown.last().map(String::as_str), now.as_str(), "{shown:?}");
        assert!(shown.len() == 1 || shown.len() == 2, "{shown:?}");
    }
}
