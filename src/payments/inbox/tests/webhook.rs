//! The door for webhook events.

use super::*;

#[actix_web::test]
async fn fifty_copies_of_an_event_are_stored_once_and_followed_once() {
    let database = Database::new().await;
    let (stub, paypal) = peer(|_| Reply::Reset).await;
    let inbox = Inbox::open(&database.mongo, paypal);
    let message = event(&stub, "WH-1-1", "C1");
    let answers = join_all((0..50).map(|_| answer(&inbox, post(&message)))).await;
    for response in answers {
        assert_eq!(response.status(), StatusCode::OK);
        assert!(to_bytes(response.into_body()).await.unwrap().is_empty());
    }
    let stored = database.only().await;
    assert_eq!(stored.get_str("_id").unwrap(), "WH-1-1");
    assert_eq!(stored.get_binary_generic("body").unwrap(), &message.body);
    let sink = Sink::willing();
    let workers = inbox.start(sink.clone());
    until(1, || states(&database, "done")).await;
    assert_eq!(
        answer(&inbox, post(&message)).await.status(),
        StatusCode::OK
    );
    workers.stop().await;
    assert_eq!(sink.followed(), [capture_hint("C1")]);
    database.drop().await;
}

#[actix_web::test]
async fn what_is_not_paypals_is_refused_and_not_stored() {
    let database = Database::new().await;
    let (stub, paypal) = peer(|_| Reply::Reset).await;
    let inbox = Inbox::open(&database.mongo, paypal);
    let good = event(&stub, "WH-1-1", "C1");
    let status = |request| {
        let inbox = &inbox;
        async move { answer(inbox, request).await.status() }
    };
    let forged = good.saying(
        String::from_utf8(good.body.clone())
            .unwrap()
            .replace("C1", "C2"),
    );
    assert_eq!(status(post(&forged)).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        status(post(&good.without("PAYPAL-TRANSMISSION-SIG"))).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        status(post(&good.saying(""))).await,
        StatusCode::BAD_REQUEST
    );
    let huge = good.saying(vec![b'x'; MAX_BODY_BYTES + 1]);
    assert_eq!(status(post(&huge)).await, StatusCode::PAYLOAD_TOO_LARGE);
    let text = post(&good).insert_header(("content-type", "text/plain"));
    assert_eq!(status(text).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let refused = answer(&inbox, post(&forged)).await;
    let body: Value = serde_json::from_slice(
        &to_bytes(
            refused
                .response()
                .error()
                .unwrap()
                .error_response()
                .into_body(),
        )
        .await
        .unwrap(),
    )
    .unwrap();
    assert_eq!(body["code"], "invalid_signature");
    // Nobody serves the certificate any more, and none is kept by a shop that just started.
    let inbox = Inbox::open(
        &database.mongo,
        Arc::new(PayPal::new(&trusting(&stub.url)).unwrap()),
    );
    drop(stub);
    let later = answer(&inbox, post(&good)).await;
    let later = later.response().error().unwrap().error_response();
    assert_eq!(later.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(later.headers().contains_key(RETRY_AFTER));
    assert_eq!(
        database.documents().count_documents(doc! {}).await.unwrap(),
        0
    );
    database.drop().await;
}

#[actix_web::test]
async fn what_is_signed_is_kept_where_it_is_an_event_of_any_kind() {
    let database = Database::new().await;
    let (stub, paypal) = peer(|_| Reply::Reset).await;
    let inbox = Inbox::open(&database.mongo, paypal);
    let signed = |body: &str| {
        leaf().sign(
            body.as_bytes(),
            WEBHOOK,
            &format!("{}{CERTIFICATE}", stub.url),
        )
    };
    for body in ["", "nonsense", "[]", "{} {}", "\"WH-1\""] {
        let refused = answer(&inbox, post(&signed(body))).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(
        database.documents().count_documents(doc! {}).await.unwrap(),
        0
    );
    let nameless = signed(r#"{"event_type":"SOMETHING.NEW","resource":{"x":1}}"#);
    assert_eq!(
        answer(&inbox, post(&nameless)).await.status(),
        StatusCode::OK
    );
    let workers = inbox.start(Sink::willing());
    until(1, || states(&database, "ignored")).await;
    workers.stop().await;
    assert!(
        database
            .only()
            .await
            .get_str("_id")
            .unwrap()
            .starts_with("sha256-")
    );
    database.drop().await;
}
