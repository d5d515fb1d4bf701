//! Many at once: the books stay right.

use futures_util::{StreamExt as _, future::join_all, stream};
use serde_json::json;

use super::Sim;

#[actix_web::test]
async fn fifty_captures_at_once_make_one() {
    let sim = Sim::start(&[]).await;
    let order = sim.approved("race", "complete").await;
    let keys: Vec<String> = (0..50).map(|n| format!("key-{}", n % 5)).collect();
    let answers = join_all(keys.iter().map(|key| sim.capture(&order, key))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        1
    );
    assert!(
        answers
            .iter()
            .all(|a| matches!(a.status, 200 | 201 | 409 | 422))
    );
    assert_eq!(sim.lines("capture").len(), 1);
}

#[actix_web::test]
async fn refunds_at_once_never_pass_the_capture() {
    let sim = Sim::start(&[]).await;
    let (_, capture) = sim.paid("refunds").await;
    let path = format!("/v2/payments/captures/{capture}/refund");
    let part = json!({ "amount": { "currency_code": "EUR", "value": "10.00" } });
    let keys: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    let answers = join_all(keys.iter().map(|key| sim.post(&path, key, part.clone()))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        3
    );
    assert_eq!(
        sim.lines("capture.updated").last().unwrap()["refunded"],
        "30.00"
    );
}

#[actix_web::test]
async fn two_thousand_orders_in_flight_are_all_made() {
    let sim = Sim::start(&[]).await;
    sim.control("/settings", json!({ "workMs": 200 })).await;
    let keys: Vec<String> = (0..2_000).map(|n| format!("many-{n}")).collect();
    let ids: Vec<String> = stream::iter(&keys)
        .map(|key| sim.create(key))
        .buffer_unordered(2_000)
        .collect()
        .await;
    assert_eq!(ids.len(), 2_000);
    assert_eq!(sim.world().orders.len(), 2_000);
}
