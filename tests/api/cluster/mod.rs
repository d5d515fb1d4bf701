//! Several nodes over three database members, as `scripts/cluster` starts them: F2 and F8's rolling restart.
//!
//! `BODEGA_TORTURE=full`: thirty primaries killed, twenty rolling restarts.

mod load;

use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures_util::future::join;
use serde_json::json;

use self::load::Load;
use crate::support::{Cluster, PATIENCE, eventually, scaled, usd};

/// How long everybody buys before and after a fault.
const BREATH: Duration = Duration::from_secs(3);

/// Puts a product on sale that never runs out.
async fn mug(cluster: &Cluster) -> serde_json::Value {
    let body = json!({
        "sku": "MUG", "title": "A mug", "price": usd(900),
        "stock": { "onHand": 1_000_000 }, "status": "active",
    });
    let admin = cluster.admin().await;
    admin.post("/api/products", &body).await.expect(201).body
}

/// The members, each asked by itself.
async fn members(cluster: &Cluster) -> Vec<(String, mongodb::Client)> {
    let uri = cluster.setting("BODEGA__MONGODB__URI");
    let hosts = uri.trim_start_matches("mongodb://").split('/').next();
    let mut members = Vec::new();
    for (n, host) in hosts.unwrap().split(',').enumerate() {
        let direct =
            format!("mongodb://{host}/?directConnection=true&serverSelectionTimeoutMS=1000");
        let client = mongodb::Client::with_uri_str(direct).await.unwrap();
        members.push((format!("mongod-{}", n + 1), client));
    }
    members
}

/// The part that is primary, once all three members are well.
async fn primary(members: &[(String, mongodb::Client)]) -> String {
    eventually("three members that are well", async || {
        let mut primary = None;
        for (name, client) in members {
            let admin = client.database("admin");
            let hello: Document = admin.run_command(doc! { "hello": 1 }).await.ok()?;
            if hello.get_bool("isWritablePrimary").ok()? {
                primary = Some(name.clone());
            } else if !hello.get_bool("secondary").ok()? {
                return None;
            }
        }
        primary
    })
    .await
}

/// The books, with PayPal's journal and everything that was acknowledged beside them.
fn assert_books_are_in_order(cluster: &Cluster, load: &Load) {
    let acks = load.acks_path().to_str().unwrap();
    let (journal, wait) = (cluster.simulator.as_str(), "30");
    let check = [
        "check",
        "--invariants",
        "--journal",
        journal,
        "--acks",
        acks,
        "--wait",
        wait,
    ];
    let (clean, said) = cluster.command(&check);
    assert!(clean, "{said}");
    assert!(said.contains("I5"), "{said}");
}

#[actix_web::test]
async fn primaries_killed_under_load_lose_nothing_that_was_acknowledged() {
    let kills = scaled(2, 30);
    let cluster = Cluster::start(&[]).await;
    let load = Load::begin(&cluster, &mug(&cluster).await, scaled(4, 12)).await;
    let nodes = [cluster.pid("node-1"), cluster.pid("node-2")];
    let members = members(&cluster).await;
    let killing = async {
        let mut gaps = Vec::new();
        for _ in 0..kills {
            let primary = primary(&members).await;
            tokio::time::sleep(BREATH).await;
            let died = Instant::now();
            load.since(died);
            cluster.signal(&primary, "-KILL");
            // Both a cart and an order have to come through again.
            eventually("a write after the primary's death", async || {
                load.came_through_since(died).then_some(())
            })
            .await;
            tokio::time::sleep(BREATH).await;
            gaps.push(load.longest_gap());
        }
        load.stop();
        gaps
    };
    let ((), gaps) = join(load.run(), killing).await;
    let after = [cluster.pid("node-1"), cluster.pid("node-2")];
    assert_eq!(after, nodes, "no node was started again");
    let worst = gaps.iter().max().unwrap();
    let reads = load.reads();
    println!(
        "{kills} primaries killed: longest gap between writes {worst:?} (goal 5 s), all {gaps:?}; catalogue {} of {} reads ok; answers {:?}",
        reads.ok,
        reads.all,
        load.statuses()
    );
    load.assert_success_or_503();
    // A product whose stock changed just before is not shown until it can be read again.
    assert!(reads.ok * 100 >= reads.all * 96, "{reads:?}");
    assert!(*worst < PATIENCE / 4, "{gaps:?}");
    assert_books_are_in_order(&cluster, &load);
}

#[actix_web::test]
async fn nodes_restarted_one_after_the_other_fail_no_request() {
    let rounds = scaled(1, 20);
    let cluster = Cluster::start(&[]).await;
    let load = Load::begin(&cluster, &mug(&cluster).await, scaled(4, 12)).await;
    let restarting = async {
        for _ in 0..rounds {
            for (n, node) in ["node-1", "node-2"].into_iter().enumerate() {
                let before = cluster.pid(node);
                tokio::time::sleep(BREATH).await;
                cluster.signal(node, "-TERM");
                let there = crate::support::Client::new(&cluster.nodes[n]);
                eventually("the node's successor", async || {
                    if cluster.pid(node) == before {
                        return None;
                    }
                    let probe = there.request(reqwest::Method::GET, "/readyz").send();
                    (probe.await.ok()?.status() == 200).then_some(())
                })
                .await;
            }
        }
        tokio::time::sleep(BREATH).await;
        load.stop();
    };
    join(load.run(), restarting).await;
    let reads = load.reads();
    println!(
        "{} restarts behind HAProxy: catalogue {} of {} reads ok; answers {:?}",
        2 * rounds,
        reads.ok,
        reads.all,
        load.statuses()
    );
    assert_eq!(reads.ok, reads.all);
    load.assert_only_success();
    assert_books_are_in_order(&cluster, &load);
}
