//! The limits of writes: the driver doing the same writes and nothing else.

use std::time::{Duration, Instant};

use bson::{Document, doc, oid::ObjectId};
use mongodb::{
    Client, Database, IndexModel,
    options::{Acknowledgment, ClientOptions, WriteConcern},
};

use crate::load::{Measured, collect};

async fn database(uri: &str) -> (Client, Database) {
    let mut options = ClientOptions::parse(uri).await.unwrap();
    options.max_pool_size = Some(32);
    options.write_concern = Some(
        WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .journal(true)
            .build(),
    );
    let client = Client::with_options(options).unwrap();
    let database = client.database("bench_limit");
    (client, database)
}

/// One majority-journaled update of one of `count` documents, again and again, by `writers` at once.
pub(crate) async fn single_updates(
    uri: &str,
    writers: usize,
    count: usize,
    over: Duration,
) -> Measured {
    let (_client, database) = database(uri).await;
    let all = (0..count).map(|id| doc! { "_id": format!("{id}"), "version": 0 });
    let documents = database.collection::<Document>("carts");
    documents.insert_many(all).await.unwrap();
    let began = Instant::now();
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let documents = database.collection::<Document>("carts");
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            for id in (writer % count..count).step_by(writers).cycle() {
                if began.elapsed() >= over {
                    break;
                }
                let asked = Instant::now();
                let change =
                    doc! { "$inc": { "version": 1 }, "$set": { "items": [{ "quantity": 1 }] } };
                let one = doc! { "_id": format!("{id}") };
                documents.update_one(one, change).await.unwrap();
                times.push(asked.elapsed());
            }
            (times, 0)
        }));
    }
    let measured = collect(tasks, began).await;
    database.drop().await.unwrap();
    measured
}

/// The order's transaction: order, event, the buyer's counter, checkout, cart.
pub(crate) async fn order_transactions(uri: &str, writers: usize, over: Duration) -> Measured {
    let (client, database) = database(uri).await;
    for name in ["orders", "events", "counters", "checkouts", "carts"] {
        database.create_collection(name).await.unwrap();
    }
    let began = Instant::now();
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let (client, database) = (client.clone(), database.clone());
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < over {
                let asked = Instant::now();
                let mut session = client.start_session().await.unwrap();
                session.start_transaction().await.unwrap();
                let insert = doc! { "_id": ObjectId::new(), "total": 1_i64, "items": ["a", "b"] };
                let count = doc! { "$inc": { "n": 1_i64 } };
                let own = doc! { "_id": format!("{writer}") };
                let of = |name: &str| database.collection::<Document>(name);
                of("orders")
                    .insert_one(insert.clone())
                    .session(&mut session)
                    .await
                    .unwrap();
                of("events")
                    .insert_one(insert)
                    .session(&mut session)
                    .await
                    .unwrap();
                for name in ["counters", "checkouts", "carts"] {
                    of(name)
                        .update_one(own.clone(), count.clone())
                        .upsert(true)
                        .session(&mut session)
                        .await
                        .unwrap();
                }
                session.commit_transaction().await.unwrap();
                times.push(asked.elapsed());
            }
            (times, 0)
        }));
    }
    let measured = collect(tasks, began).await;
    database.drop().await.unwrap();
    measured
}

/// A page of products of `kind` by price, with the facets that the shop shows for it, in one aggregation over an
/// index made for it, by `readers` at once; each list another one.
pub(crate) async fn facet_lists(
    uri: &str,
    readers: usize,
    over: Duration,
    kind: &str,
    attributes: &[String],
) -> Measured {
    let (client, _) = database(uri).await;
    let products = client.database("bodega").collection::<Document>("products");
    let keys = doc! { "type": 1, "price.amount": 1 };
    let index = IndexModel::builder().keys(keys).build();
    products.create_index(index).await.unwrap();
    let mut facets = doc! {
        "items": [{ "$limit": 20 }],
        "total": [{ "$count": "n" }],
        "brand": [{ "$sortByCount": "$brand" }],
        "category": [{ "$unwind": "$categories" }, { "$sortByCount": "$categories" }],
        "price": [{ "$group": {
            "_id": null, "min": { "$min": "$price.amount" }, "max": { "$max": "$price.amount" },
        } }],
    };
    for name in attributes {
        facets.insert(
            // The name of a facet may hold no dot.
            name.replace('.', "_"),
            vec![doc! { "$sortByCount": format!("$attributes.{name}") }],
        );
    }
    let began = Instant::now();
    let tasks = (0..readers).map(|reader| {
        let (products, facets, kind) = (products.clone(), facets.clone(), kind.to_owned());
        tokio::spawn(async move {
            let mut times = Vec::new();
            for n in 0.. {
                if began.elapsed() >= over {
                    break;
                }
                let least = i64::try_from(100 + reader * 2_000 + n).unwrap();
                let wanted =
                    doc! { "type": &kind, "status": "active", "price.amount": { "$gte": least } };
                let asked = Instant::now();
                let pipeline = [
                    doc! { "$match": wanted },
                    doc! { "$sort": { "price.amount": 1 } },
                    doc! { "$facet": facets.clone() },
                ];
                let mut pages = products.aggregate(pipeline).await.unwrap();
                assert!(pages.advance().await.unwrap());
                times.push(asked.elapsed());
            }
            (times, 0)
        })
    });
    collect(tasks.collect(), began).await
}
