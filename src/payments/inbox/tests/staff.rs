//! The staff's view.

use super::*;

#[actix_web::test]
async fn a_message_that_fails_too_often_is_put_aside_until_the_staff_replays_it() {
    let database = Database::new().await;
    let (stub, paypal) = peer(|_| Reply::Reset).await;
    let inbox = Inbox::open(&database.mongo, paypal);
    answer(&inbox, post(&event(&stub, "WH-1-1", "C1"))).await;
    let almost = doc! { "$set": { "failures": model::MAX_FAILURES - 1 } };
    database
        .documents()
        .update_one(doc! {}, almost)
        .await
        .unwrap();
    let sink = Sink::new(|number| match number {
        1 => Err(HintError::Failed {
            reason: "no such thing".into(),
        }),
        _ => Ok(()),
    });
    let workers = inbox.start(sink.clone());
    until(1, || states(&database, "dead")).await;
    let list = |query: &'static str| {
        TestRequest::get()
            .uri(query)
            .insert_header(bearer(Role::Staff))
    };
    let listed: Value =
        read_body_json(answer(&inbox, list("/api/admin/webhooks?state=dead")).await).await;
    assert_eq!(listed["total"], 1);
    assert_eq!(listed["items"][0]["id"], "WH-1-1");
    assert_eq!(listed["items"][0]["note"], "no such thing");
    assert_eq!(listed["items"][0]["eventType"], "PAYMENT.CAPTURE.COMPLETED");
    let shown: Value =
        read_body_json(answer(&inbox, list("/api/admin/webhooks/WH-1-1")).await).await;
    assert_eq!(
        (&shown["failures"], &shown["attempts"], &shown["state"]),
        (&11.into(), &1.into(), &"dead".into())
    );
    assert!(shown["payload"].as_str().unwrap().contains("\"id\":\"C1\""));
    assert_eq!(shown["tries"][0]["note"], "no such thing");
    assert_eq!(shown["tries"][0]["state"], "dead");
    let replay = TestRequest::post()
        .uri("/api/admin/webhooks/WH-1-1/replay")
        .insert_header(bearer(Role::Staff));
    let replayed: Value = read_body_json(answer(&inbox, replay).await).await;
    assert_eq!(replayed["state"], "pending");
    until(1, || states(&database, "done")).await;
    workers.stop().await;
    let shown: Value =
        read_body_json(answer(&inbox, list("/api/admin/webhooks/WH-1-1")).await).await;
    assert_eq!(shown["tries"].as_array().unwrap().len(), 2);
    assert_eq!(shown["tries"][1]["state"], "done");
    database.drop().await;
}

#[actix_web::test]
async fn only_the_staff_sees_the_inbox_page_by_page() {
    let database = Database::new().await;
    let (stub, paypal) = peer(|_| Reply::Reset).await;
    let inbox = Inbox::open(&database.mongo, paypal);
    for number in 1..=5 {
        answer(&inbox, post(&event(&stub, &format!("WH-{number}"), "C1"))).await;
    }
    let get = |path: String| {
        TestRequest::get()
            .uri(&path)
            .insert_header(bearer(Role::Staff))
    };
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value = read_body_json(
            answer(&inbox, get(format!("/api/admin/webhooks?limit=2{cursor}"))).await,
        )
        .await;
        assert_eq!(page["total"], 5);
        ids.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].clone()),
        );
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(ids, ["WH-5", "WH-4", "WH-3", "WH-2", "WH-1"]);
    let status = |request: TestRequest| {
        let inbox = &inbox;
        async move { answer(inbox, request).await.status().as_u16() }
    };
    assert_eq!(
        status(TestRequest::get().uri("/api/admin/webhooks")).await,
        401
    );
    let customer = TestRequest::get()
        .uri("/api/admin/webhooks")
        .insert_header(bearer(Role::Customer));
    assert_eq!(status(customer).await, 403);
    let detail = "/api/admin/webhooks/WH-1";
    assert_eq!(status(TestRequest::get().uri(detail)).await, 401);
    let customer = TestRequest::get()
        .uri(detail)
        .insert_header(bearer(Role::Customer));
    assert_eq!(status(customer).await, 403);
    assert_eq!(status(get("/api/admin/webhooks/WH-9".into())).await, 404);
    assert_eq!(
        status(get("/api/admin/webhooks?state=lost".into())).await,
        422
    );
    assert_eq!(
        status(get("/api/admin/webhooks?cursor=x".into())).await,
        422
    );
    let nothing = TestRequest::post()
        .uri("/api/admin/webhooks/WH-9/replay")
        .insert_header(bearer(Role::Admin));
    assert_eq!(status(nothing).await, 404);
    let customer = TestRequest::post()
        .uri("/api/admin/webhooks/WH-1/replay")
        .insert_header(bearer(Role::Customer));
    assert_eq!(status(customer).await, 403);
    database.drop().await;
}
