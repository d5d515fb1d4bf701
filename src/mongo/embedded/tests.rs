//! With a real mongod.

use std::{path::PathBuf, time::Duration};

use bson::{Document, doc, oid::ObjectId};
use mongodb::Client;
use tokio::time::{Instant, timeout};

use super::*;

/// A folder that is gone at the end of the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("bodega-embedded-{}", ObjectId::new())))
    }

    fn config(&self) -> MongoConfig {
        MongoConfig {
            uri: "embedded".to_owned(),
            database: "bodega".to_owned(),
            data_dir: self.0.clone(),
            port: 0,
            mongod: String::new(),
            pool_size: 2,
        }
    }

    fn record(&self) -> folder::Record {
        Folder::open(&self.0).unwrap().record()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _absent = std::fs::remove_dir_all(&self.0);
    }
}

async fn write(uri: &str, id: i32) -> Result<(), mongodb::error::Error> {
    let client = Client::with_uri_str(format!("{uri}&serverSelectionTimeoutMS=15000")).await?;
    let notes = client.database("bodega").collection::<Document>("notes");
    notes.insert_one(doc! { "_id": id }).await?;
    Ok(())
}

async fn count(uri: &str) -> u64 {
    let client = Client::with_uri_str(uri).await.unwrap();
    let notes = client.database("bodega").collection::<Document>("notes");
    notes.count_documents(doc! {}).await.unwrap()
}

async fn gone(pid: u32, place: &Place) {
    let database = place.0.canonicalize().unwrap().join("db");
    let deadline = Instant::now() + Duration::from_secs(30);
    while launch::runs(pid, &database) {
        assert!(Instant::now() < deadline, "mongod {pid} still runs");
        tokio::time::sleep(LOOK).await;
    }
}

fn signal(signal: &str, pid: u32) {
    let sent = std::process::Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[tokio::test]
async fn what_was_written_is_there_after_a_stop_and_a_start() {
    let place = Place::new();
    let first = Embedded::start(&place.config()).await.unwrap();
    let uri = first.uri().to_owned();
    write(&uri, 1).await.unwrap();
    let pid = place.record().pid.unwrap();
    first.stop().await;
    gone(pid, &place).await;
    assert_eq!(place.record().pid, None);

    let second = Embedded::start(&place.config()).await.unwrap();
    assert_eq!(second.uri(), uri, "the port is kept");
    assert_eq!(count(&uri).await, 1);
    second.stop().await;
}

#[tokio::test]
async fn a_taken_port_makes_the_replica_set_move() {
    let place = Place::new();
    let first = Embedded::start(&place.config()).await.unwrap();
    write(first.uri(), 1).await.unwrap();
    let before = first.uri().to_owned();
    let port = place.record().port.unwrap();
    first.stop().await;

    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    // mongod asks at its old address whether it is itself that answers there.
    std::thread::spawn(move || taken.incoming().for_each(drop));
    let second = Embedded::start(&place.config()).await.unwrap();
    assert_ne!(second.uri(), before);
    assert_eq!(count(second.uri()).await, 1);
    write(second.uri(), 2).await.unwrap();
    second.stop().await;

    let fixed = MongoConfig {
        port,
        ..place.config()
    };
    let refused = Embedded::start(&fixed).await.unwrap_err().to_string();
    assert!(refused.starts_with("mongodb.port:"), "{refused}");
}

#[tokio::test]
async fn a_killed_mongod_is_started_again_at_the_same_address() {
    let place = Place::new();
    let embedded = Embedded::start(&place.config()).await.unwrap();
    write(embedded.uri(), 1).await.unwrap();
    let pid = place.record().pid.unwrap();
    signal("-KILL", pid);
    gone(pid, &place).await;
    write(embedded.uri(), 2).await.unwrap();
    assert_eq!(count(embedded.uri()).await, 2);
    assert_ne!(place.record().pid, Some(pid));
    embedded.stop().await;
}

#[tokio::test]
async fn one_folder_has_one_server_and_any_number_of_guests() {
    let place = Place::new();
    let server = Embedded::start(&place.config()).await.unwrap();
    let refused = Embedded::start(&place.config()).await.unwrap_err();
    let line = refused.to_string();
    assert!(line.contains("in use by another bodega process"), "{line}");
    assert!(line.contains(&std::process::id().to_string()), "{line}");

    let guest = Embedded::attach_or_start(&place.config()).await.unwrap();
    assert_eq!(guest.uri(), server.uri());
    guest.stop().await;
    write(server.uri(), 1).await.unwrap();
    server.stop().await;

    let alone = Embedded::attach_or_start(&place.config()).await.unwrap();
    assert_eq!(count(alone.uri()).await, 1);
    let pid = place.record().pid.unwrap();
    alone.stop().await;
    gone(pid, &place).await;
}

/// What a killed server leaves: a mongod, its record, and a lock that the system has freed.
async fn leftover(place: &Place) -> (launch::Mongod, Folder) {
    let folder = Folder::open(&place.0).unwrap();
    let launch = Launch::new(&place.config()).unwrap();
    (supervise::first(&launch, &folder, 0).await.unwrap(), folder)
}

#[tokio::test]
async fn the_mongod_of_a_killed_server_is_taken_over() {
    let place = Place::new();
    let (left, _folder) = leftover(&place).await;
    let record = place.record();
    write(&replica::uri(left.port), 1).await.unwrap();

    let next = Embedded::start(&place.config()).await.unwrap();
    assert_eq!(next.uri(), replica::uri(left.port));
    assert_eq!(place.record(), record);
    assert_eq!(count(next.uri()).await, 1);
    next.stop().await;
    gone(record.pid.unwrap(), &place).await;
}

#[tokio::test]
async fn a_leftover_on_another_port_than_the_configured_one_is_ended_first() {
    let place = Place::new();
    let (left, _folder) = leftover(&place).await;
    let record = place.record();
    let moved = MongoConfig {
        port: supervise::free_port().unwrap(),
        ..place.config()
    };
    let next = Embedded::start(&moved).await.unwrap();
    assert_ne!(place.record().pid, record.pid);
    assert_ne!(next.uri(), replica::uri(left.port));
    write(next.uri(), 1).await.unwrap();
    next.stop().await;
}

#[tokio::test]
async fn a_leftover_that_nobody_takes_over_is_ended() {
    let place = Place::new();
    let (mut left, folder) = leftover(&place).await;
    let pid = place.record().pid.unwrap();

    let held = folder.lock().unwrap();
    let (mut idle, pipe) = launch::watch_orphan(&folder, pid, 0).unwrap();
    drop(pipe);
    idle.wait().await.unwrap();
    assert!(
        launch::runs(pid, &folder.database()),
        "another server holds the folder"
    );

    drop(held);
    let (mut watch, pipe) = launch::watch_orphan(&folder, pid, 0).unwrap();
    drop(pipe);
    watch.wait().await.unwrap();
    timeout(Duration::from_secs(30), left.ended())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_mongod_that_cannot_start_says_why() {
    let place = Place::new();
    let folder = Folder::open(&place.0).unwrap();
    std::fs::create_dir(folder.database().join("mongod.lock")).unwrap();
    let line = Embedded::start(&place.config())
        .await
        .unwrap_err()
        .to_string();
    assert!(line.starts_with("mongod ended at its start"), "{line}");
    assert!(
        line.contains("mongod.log") && !line.contains("no reason"),
        "{line}"
    );
}
