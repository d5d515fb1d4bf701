//! What goes over the wire.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bson::{Document, doc, oid::ObjectId};
use mongodb::event::{EventHandler, command::CommandEvent};

use super::*;

#[tokio::test]
async fn every_write_waits_for_a_majority_and_its_journal() {
    let uri = std::env::var("BODEGA_TEST_MONGODB_URI").unwrap();
    let mut options = options(&uri, "test").await.unwrap();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let heard = sent.clone();
    options.command_event_handler = Some(EventHandler::callback(move |event| {
        if let CommandEvent::Started(started) = event {
            heard
                .lock()
                .unwrap()
                .push((started.command_name, started.command));
        }
    }));
    let client = Client::with_options(options).unwrap();
    let database = client.database(&format!("test_mongo_{}", ObjectId::new()));
    let mongo = Mongo {
        client,
        database,
        seen: Seen::default(),
    };
    let things = mongo.database().collection::<Document>("things");
    things.insert_one(doc! { "_id": 1 }).await.unwrap();
    things
        .update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 1 } })
        .await
        .unwrap();
    let written = mongo.transaction(async |session| {
        let done = things.insert_one(doc! { "_id": 2 }).session(session).await;
        done.map(drop)
    });
    written.await.unwrap();
    let sent = sent.lock().unwrap().clone();
    for name in ["insert", "update", "commitTransaction"] {
        let (_, command) = sent.iter().find(|(sent, _)| sent == name).unwrap();
        let asked = command.get_document("writeConcern").ok();
        assert_eq!(asked, Some(&doc! { "w": "majority", "j": true }), "{name}");
    }
    mongo.database().drop().await.unwrap();
}

#[tokio::test]
async fn a_claim_is_renewed_while_the_work_has_the_only_connection() {
    let uri = std::env::var("BODEGA_TEST_MONGODB_URI").unwrap();
    let mut options = options(&uri, "test").await.unwrap();
    options.max_pool_size = Some(1);
    let client = Client::with_options(options).unwrap();
    let mongo = Mongo {
        database: client.database("test_mongo"),
        client,
        seen: Seen::default(),
    };
    let admin = mongo.client.database("admin");
    let hello = admin.run_command(doc! { "hello": 1 }).await.unwrap();
    // Answered when the member's state changes, or after half a second: the connection is taken that long.
    let known = hello.get_document("topologyVersion").unwrap();
    let slow = doc! { "hello": 1, "topologyVersion": known, "maxAwaitTimeMS": 500 };
    let renewed = AtomicUsize::new(0);
    let work = async {
        admin.run_command(slow).await.unwrap();
        while renewed.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let done = lease::holding(work, Duration::from_millis(50), || async {
        mongo.ping().await.unwrap();
        renewed.fetch_add(1, Ordering::SeqCst);
    });
    let done = tokio::time::timeout(Duration::from_secs(20), done).await;
    done.expect("the work comes to its end, and its claim is renewed before");
}
