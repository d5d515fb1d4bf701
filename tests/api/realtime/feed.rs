//! The change feed over a MongoDB that misbehaves: one of the test's own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bson::{Bson, Document, doc};
use mongodb::Database;

use super::support::{event, user_of};
use crate::support::{PATIENCE, Setup, Socket, TestShop, eventually, free_port};

/// A replica set of one member with an oplog of a few megabytes.
struct SmallMongod {
    folder: PathBuf,
    port: u16,
    child: Child,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(name)
}

impl SmallMongod {
    async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("oplog-{}", bson::oid::ObjectId::new()));
        std::fs::create_dir_all(folder.join("db")).unwrap();
        let port = free_port();
        let child = Self::spawn(&folder, port);
        let mongod = Self {
            folder,
            port,
            child,
        };
        mongod.become_primary().await;
        mongod
    }

    fn spawn(folder: &Path, port: u16) -> Child {
        let found = Command::new(script("fetch-mongod")).output().unwrap();
        let program = String::from_utf8(found.stdout).unwrap();
        Command::new(program.trim())
            .args(["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--quiet"])
            // The oplog forgets nothing that is younger than the last checkpoint.
            .args(["--nounixsocket", "--oplogSize", "8", "--syncdelay", "1"])
            .args(["--wiredTigerCacheSizeGB", "0.25", "--setParameter"])
            .arg("diagnosticDataCollectionEnabled=false")
            .args(["--port", &port.to_string(), "--dbpath"])
            .arg(folder.join("db"))
            .arg("--logpath")
            .arg(folder.join("log"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Makes it a replica set where it is none, and waits until it takes writes.
    async fn become_primary(&self) {
        let mut initiate = Command::new("python3");
        initiate
            .arg(script("lib/initiate-replica-set"))
            .args([self.port.to_string(), self.child.id().to_string()]);
        let done = tokio::task::spawn_blocking(move || initiate.status().unwrap());
        assert!(done.await.unwrap().success());
    }

    fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?replicaSet=rs0", self.port)
    }

    async fn database(&self, name: &str) -> Database {
        let client = mongodb::Client::with_uri_str(self.uri()).await.unwrap();
        client.database(name)
    }

    async fn shop(&self) -> TestShop {
        let setup = Setup::default().with("MONGODB__URI", self.uri());
        // A server that is held must not look like a client without a sign of life.
        setup.with("REALTIME__HEARTBEAT_SECONDS", 300).start().await
    }

    /// When the oldest entry of the oplog was made.
    async fn oplog_begins(&self) -> bson::Timestamp {
        let local = self.database("local").await;
        let oplog = local.collection::<Document>("oplog.rs");
        let first = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 });
        let first = first.await.unwrap().unwrap();
        first.get_timestamp("ts").unwrap()
    }

    /// Writes until the oplog has forgotten everything up to now.
    async fn outrun_oplog(&self) {
        let junk = self.database("junk").await;
        let hello = junk.run_command(doc! { "hello": 1 }).await.unwrap();
        let Some(Bson::Timestamp(now)) = hello.get("operationTime") else {
            panic!("a replica set names the time: {hello}");
        };
        let junk = junk.collection::<Document>("junk");
        let began = std::time::Instant::now();
        while self.oplog_begins().await <= *now {
            let page = (0..8).map(|_| doc! { "x": "x".repeat(1 << 20) });
            junk.insert_many(page).await.unwrap();
            junk.drop().await.unwrap();
            assert!(began.elapsed() < PATIENCE, "the oplog forgets nothing");
        }
    }
}

impl Drop for SmallMongod {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[actix_web::test]
async fn a_feed_whose_place_the_oplog_has_forgotten_starts_over_and_nobody_misses_an_event() {
    let mongod = SmallMongod::start().await;
    let shop = mongod.shop().await;
    let (buyer, admin) = (shop.customer().await, shop.admin().await);
    let user = user_of(&buyer).await;
    let book = mongod
        .database(shop.database())
        .await
        .collection("order_events");
    let mut socket = Socket::open(&buyer, "&since=0").await;
    let mut staff = Socket::open(&admin, "&channel=orders").await;
    assert_eq!(staff.next().await["type"], "hello");
    book.insert_one(event(user, 1, 10)).await.unwrap();
    assert_eq!(socket.event().await["id"], 1);

    signal(shop.server.pid(), "-STOP");
    for number in 2..=70 {
        book.insert_one(event(user, number, 10)).await.unwrap();
    }
    mongod.outrun_oplog().await;
    signal(shop.server.pid(), "-CONT");

    for number in 2..=70 {
        assert_eq!(socket.event().await["id"], number, "read from the database");
    }
    let end = staff.end().await;
    assert_eq!(end, 1012, "the staff channel cannot say what it missed");
    book.insert_one(event(user, 71, 10)).await.unwrap();
    assert_eq!(socket.event().await["id"], 71, "and on, live");
    eventually("the server to be ready", || async {
        (shop.guest().get("/readyz").await.status == 200).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_primary_that_is_killed_and_comes_back_costs_no_event() {
    let mut mongod = SmallMongod::start().await;
    let shop = mongod.shop().await;
    let (buyer, admin) = (shop.customer().await, shop.admin().await);
    let user = user_of(&buyer).await;
    let mut socket = Socket::open(&buyer, "&since=0").await;
    let mut staff = Socket::open(&admin, "&channel=orders").await;
    assert_eq!(staff.next().await["type"], "hello");
    let mut number = 0;
    for _ in 0..crate::support::scaled(2, 20) {
        let database = mongod.database(shop.database()).await;
        let book = database.collection("order_events");
        for _ in 0..5 {
            number += 1;
            book.insert_one(event(user, number, 10)).await.unwrap();
        }
        mongod.child.kill().unwrap();
        mongod.child.wait().unwrap();
        mongod.child = SmallMongod::spawn(&mongod.folder, mongod.port);
        mongod.become_primary().await;
    }
    for expected in 1..=number {
        assert_eq!(socket.event().await["id"], expected);
        assert!(staff.event().await.is_object(), "the feed kept its place");
    }
}
