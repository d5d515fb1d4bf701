//! `PayPal-Request-Id`: the same call again, at once, later, changed.

use serde_json::json;

use super::{Sim, order};

#[actix_web::test]
async fn a_replay_answers_the_present_state_and_changes_nothing() {
    let sim = Sim::start(&[]).await;
    let id = sim.create("k").await;
    sim.control(&format!("/orders/{id}/approve"), json!({}))
        .await;
    let replayed = sim.post("/v2/checkout/orders", "k", order("k")).await;
    assert_eq!((replayed.status, replayed.id()), (200, id.clone()));
    assert_eq!(replayed.body["status"], "APPROVED");
    let first = sim.capture(&id, "c").await;
    let second = sim.capture(&id, "c").await;
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!(first.body, second.body);
    assert_eq!(
        (sim.lines("order.created").len(), sim.lines("capture").len()),
        (1, 1)
    );
}

#[actix_web::test]
async fn another_body_under_the_same_id_is_refused_or_ignored() {
    let sim = Sim::start(&[]).await;
    let id = sim.create("k").await;
    let changed = sim.post("/v2/checkout/orders", "k", order("changed")).await;
    assert_eq!(
        (changed.status, changed.issue()),
        (422, "DUPLICATE_REQUEST_ID")
    );
    sim.control("/settings", json!({ "otherBody": "firstAnswer" }))
        .await;
    let ignored = sim.post("/v2/checkout/orders", "k", order("changed")).await;
    assert_eq!((ignored.status, ignored.id()), (200, id));
}

#[actix_web::test]
async fn keys_are_forgotten_after_their_time() {
    let sim = Sim::start(&["--token-seconds", "99999999"]).await;
    let (_, capture) = sim.paid("k").await;
    let path = format!("/v2/payments/captures/{capture}/refund");
    let part = json!({ "amount": { "currency_code": "EUR", "value": "1.00" } });
    let first = sim.post(&path, "r", part.clone()).await.id();
    sim.control("/clock", json!({ "advanceSeconds": 6 * 3600 }))
        .await;
    assert_eq!(
        sim.post("/v2/checkout/orders", "k", order("k"))
            .await
            .status,
        201,
        "6 hours"
    );
    let replayed = sim.post(&path, "r", part.clone()).await;
    assert_eq!((replayed.status, replayed.id()), (200, first), "45 days");
    sim.control("/clock", json!({ "advanceSeconds": 45 * 86400 }))
        .await;
    assert_eq!(
        sim.post(&path, "r", part).await.status,
        201,
        "a second refund"
    );
    assert_eq!(sim.lines("refund").len(), 2);
}

#[actix_web::test]
async fn while_the_first_runs_a_second_conflicts_fails_or_waits() {
    let sim = Sim::start(&[]).await;
    for (mode, status) in [("conflict", 409), ("error", 500), ("wait", 200)] {
        sim.control("/settings", json!({ "inFlight": mode })).await;
        let id = sim.approved(mode, "complete").await;
        let slow = json!({ "operation": "capture", "fault": "slow_work", "delayMs": 400 });
        sim.control("/faults", slow).await;
        let (first, second) = tokio::join!(sim.capture(&id, mode), async {
            super::eventually("the first call", || async {
                (sim.lines("fault")
                    .iter()
                    .any(|l| l["path"].as_str().unwrap().contains(&id)))
                .then_some(())
            })
            .await;
            sim.capture(&id, mode).await
        });
        assert_eq!((first.status, second.status), (201, status), "{mode}");
    }
    assert_eq!(sim.lines("capture").len(), 3);
}

#[actix_web::test]
async fn without_an_id_a_second_refund_is_made() {
    let sim = Sim::start(&[]).await;
    let (_, capture) = sim.paid("k").await;
    let path = format!("/v2/payments/captures/{capture}/refund");
    let part = json!({ "amount": { "currency_code": "EUR", "value": "1.00" } });
    for _ in 0..2 {
        let request = sim
            .call(reqwest::Method::POST, &path)
            .body(part.to_string());
        assert_eq!(super::read(request).await.status, 201);
    }
    assert_eq!(sim.lines("refund").len(), 2);
}
