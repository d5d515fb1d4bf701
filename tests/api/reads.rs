//! Products read from secondaries, one of which has stopped to follow: whoever wrote finds what was written, at
//! every node, and no node keeps an old version.

use bson::{Document, doc};
use serde_json::{Value, json};

use crate::{
    cuts::primary::Members,
    support::{Client, Setup, eventually, usd},
};

const EDITS: u64 = 30;

async fn member(members: &Members, place: usize) -> mongodb::Database {
    let client = mongodb::Client::with_uri_str(members.direct(place)).await;
    client.unwrap().database("admin")
}

/// Stops a member from following the primary, or lets it go on.
async fn follow(member: &mongodb::Database, follows: bool) {
    let mode = if follows { "off" } else { "alwaysOn" };
    let point = doc! { "configureFailPoint": "rsSyncApplyStop", "mode": mode };
    member.run_command(point).await.unwrap();
}

/// How many queries a member has answered.
async fn queries(member: &mongodb::Database) -> i64 {
    let status = member.run_command(doc! { "serverStatus": 1 }).await;
    let counters: Document = status.unwrap().get_document("opcounters").unwrap().clone();
    let count = counters.get("query").unwrap();
    let long = count.as_i64();
    long.or_else(|| count.as_i32().map(i64::from)).unwrap()
}

fn version(product: &Value) -> u64 {
    product["version"].as_u64().unwrap()
}

/// The version that somebody sees; the address of a former slug is not followed.
async fn seen(reader: &Client, path: &str) -> u64 {
    version(&reader.get(path).await.expect(200).body)
}

#[actix_web::test]
async fn staff_find_what_they_wrote_at_every_node_and_no_node_keeps_what_was_before() {
    let members = Members::start().await;
    let primary = members.well().await;
    let setup = Setup::default()
        .with("MONGODB__URI", members.uri())
        .with("CATALOG__READS", "secondaries");
    let shop = setup.start().await;
    let other = shop.second_node().await;
    let admin = shop.admin().await;
    let admin_there = admin.at(&other.url);
    let (guest, guest_there) = (shop.guest(), Client::new(&other.url));
    let product = shop.product(&admin, "MUG", 900, 10).await;
    let path = format!("/api/products/{}", product["id"].as_str().unwrap());
    let by_slug = format!("/api/products/{}", product["slug"].as_str().unwrap());

    let secondaries: Vec<usize> = (0..3).filter(|place| *place != primary).collect();
    let (stopped, following) = (
        member(&members, secondaries[0]).await,
        member(&members, secondaries[1]).await,
    );
    let before = queries(&following).await + queries(&stopped).await;
    follow(&stopped, false).await;
    let mut shown_there = 0;
    for edit in 1..=EDITS {
        let body = json!({ "price": usd(900 + i64::try_from(edit).unwrap()) });
        let written = version(&admin.patch(&path, &body).await.expect(200).body);
        for staff in [&admin_there, &admin] {
            assert!(seen(staff, &path).await >= written, "by id, edit {edit}");
            assert!(
                seen(staff, &by_slug).await >= written,
                "by slug, edit {edit}"
            );
        }
        // The node that wrote shows it to everyone.
        assert!(seen(&guest, &path).await >= written, "edit {edit}");
        // The other one follows, and never goes back.
        eventually("the other node to follow", async || {
            let now = seen(&guest_there, &path).await;
            assert!(now >= shown_there, "{now} after {shown_there}");
            shown_there = now;
            (now >= written).then_some(())
        })
        .await;
        if edit % 10 == 0 {
            let file = admin_there
                .get("/api/products/export")
                .await
                .expect(200)
                .text;
            let price = format!("\"amount\":{}", 900 + edit);
            assert!(file.contains(&price), "{price} is not in {file}");
        }
    }
    follow(&stopped, true).await;
    let asked = queries(&following).await + queries(&stopped).await - before;
    println!("secondaries answered {asked} queries during {EDITS} edits");
    assert!(asked > 0, "nothing was read from secondaries");
}
