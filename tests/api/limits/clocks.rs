//! Nodes whose clocks are wrong (F6): what decides is the database's.

use futures_util::future::join_all;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{check_out, enter, filled, stock_of};
use crate::support::{Setup, eventually, scaled, usd};

/// How long after (below zero: before) the database's moment `expires` it is now; the database shares this
/// machine's clock.
fn seconds_past(expires: &Value) -> f64 {
    let expires = OffsetDateTime::parse(expires.as_str().unwrap(), &Rfc3339).unwrap();
    (OffsetDateTime::now_utc() - expires).as_seconds_f64()
}

#[actix_web::test]
async fn holds_and_claims_end_by_the_database_s_time_whatever_a_node_s_clock_says() {
    for (here, elsewhere) in [("+1d", "-1d"), ("-10m", "+10m")]
        .into_iter()
        .take(scaled(1, 2))
    {
        let shop = Setup::default()
            .at(here)
            .with("CHECKOUT__RESERVATION_SECONDS", 4)
            .simulator("--webhook-delay-ms=60000")
            .start()
            .await;
        let second = shop.second_node_at(elsewhere).await;
        let admin = shop.admin().await;
        let body = json!({ "code": "ONCE", "amount": usd(100), "limit": 2 });
        admin.post("/api/admin/discounts", &body).await.expect(201);
        let mug = shop.product(&admin, "MUG", 1_000, 2).await;
        // Each node knows its own tokens only: a day apart they are over for the other.
        let ann = shop.customer().await;
        let bob = shop.customer_at(&second.url).await;
        let begun = join_all([&ann, &bob].map(|buyer| async {
            filled(buyer, &mug, 1).await;
            let cart = enter(buyer, "ONCE").await;
            check_out(buyer, &cart).await.expect(201).body
        }))
        .await;
        for checkout in &begun {
            let left = -seconds_past(&checkout["expiresAt"]);
            assert!((0.0..=4.0).contains(&left), "{left} {checkout}");
        }
        for (buyer, checkout) in [&ann, &bob].into_iter().zip(&begun) {
            let path = format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap());
            let late = eventually("the expiry", || async {
                let shown = buyer.get(&path).await.expect(200).body;
                (shown["status"] != "AwaitingApproval").then(|| {
                    assert_eq!(shown["status"], "Expired");
                    seconds_past(&checkout["expiresAt"])
                })
            });
            let late = late.await;
            println!("{here}, {elsewhere}: over {late} s after its time");
            assert!((0.0..=30.0).contains(&late), "{late}");
        }
        eventually("units and uses to be free", || async {
            let stock = stock_of(&admin, &mug).await;
            let code = admin.get("/api/admin/discounts/ONCE").await.body;
            let free = stock == json!({ "available": 2, "reserved": 0 });
            (free && code["claimed"] == 0 && code["used"] == 0).then_some(())
        })
        .await;
    }
}
