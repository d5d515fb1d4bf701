//! What the driver really says when the server breaks off or hangs: faults of mongod itself.

use std::{sync::Arc, time::Duration};

use bson::{Document, doc, oid::ObjectId};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::sessions::{a_cart, by_user};
use crate::{
    cart::{
        CartIntent, Carts,
        store::Shelf,
        testing::{Database, Shelves, config, line},
    },
    clock::Timestamp,
    mongo::{Mongo, is_duplicate_key},
};

/// How long one call is waited for in these tests: shorter than the hang, and time enough on a busy machine.
const LIMIT: Duration = Duration::from_secs(4);
/// A test that holds the fail point for longer has died.
const HELD: Duration = Duration::from_secs(30);

/// The server has one fail point for commands: tests take turns.
struct Turn<'t> {
    mongo: &'t Mongo,
    locks: mongodb::Collection<Document>,
    id: ObjectId,
}

impl<'t> Turn<'t> {
    async fn wait(mongo: &'t Mongo) -> Self {
        let client = mongo.database().client();
        let locks = client
            .database("test_locks")
            .collection::<Document>("locks");
        let id = ObjectId::new();
        let deadline = Instant::now() + HELD * 4;
        loop {
            let now = Timestamp::now();
            let over = doc! { "_id": "fail_point", "until": { "$lt": now } };
            let take = doc! { "$set": { "holder": id, "until": now.after(HELD) } };
            match locks.update_one(over, take).upsert(true).await {
                Ok(_) => return Self { mongo, locks, id },
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => panic!("{error}"),
            }
            assert!(
                Instant::now() < deadline,
                "another test holds the fail point"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn plant(&self, times: u32, app: &str, mut fault: Document) {
        fault.insert("failCommands", ["update", "insert"]);
        fault.insert("appName", app);
        self.command(doc! { "times": times }, fault).await;
    }

    async fn command(&self, mode: impl Into<bson::Bson>, fault: Document) {
        let plant =
            doc! { "configureFailPoint": "failCommand", "mode": mode.into(), "data": fault };
        let admin = self.mongo.database().client().database("admin");
        admin.run_command(plant).await.unwrap();
    }

    async fn end(self) {
        self.command("off", Document::new()).await;
        self.locks
            .delete_one(doc! { "_id": "fail_point", "holder": self.id })
            .await
            .unwrap();
    }
}

async fn lose_nothing_under(times: u32, fault: Document) {
    let database = Database::create("cart_outages").await;
    let app = format!("cart-{}", ObjectId::new());
    let client = database.client(&app).await;
    let shelf = |store| -> Arc<dyn Shelf> { Arc::new(store) };
    let carts = Carts::with_shelf(&client, &config(&[]), Shelves::with(&[]), shelf, LIMIT);
    let turn = Turn::wait(&database.mongo).await;
    let id = a_cart();
    for round in 1..=2 {
        turn.plant(times, &app, fault.clone()).await;
        let adds = (0..5).map(|_| carts.apply(id, by_user(CartIntent::Add(line(1)))));
        for answer in join_all(adds).await {
            answer.unwrap();
        }
        let misses = carts.activity().misses;
        assert!(misses >= round, "the fault was met and got over: {misses}");
    }
    turn.end().await;
    // What hung may still come through; it must then find that it is late.
    assert!(carts.drain(LIMIT * 10).await);
    let cart = carts.snapshot(id).await.unwrap();
    assert_eq!((cart.version, cart.items.len()), (10, 10));
    database.drop().await;
}

#[actix_web::test]
async fn a_connection_cut_twice_loses_and_doubles_nothing() {
    lose_nothing_under(2, doc! { "closeConnection": true }).await;
}

#[actix_web::test]
async fn a_write_that_hangs_neither_freezes_the_cart_nor_comes_twice() {
    let hang = doc! { "blockConnection": true, "blockTimeMS": 6_000 };
    lose_nothing_under(1, hang).await;
}
