//! IPN messages.

use super::*;

const OURS: &str = "receiver_email=seller%40example.com&charset=windows-1252&first_name=J%F6rg&test_ipn=1&mc_gross=32.50&mc_currency=USD";

fn claiming() -> Hint {
    Hint::Capture {
        capture: CaptureId::parse("C1").unwrap(),
        order: None,
        checkout: None,
        claimed: Some(usd(3_250)),
    }
}

#[actix_web::test]
async fn an_ipn_message_is_followed_once_paypal_vouches_for_it() {
    let database = Database::new().await;
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let (stub, paypal) =
        peer(
            move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Reply::json(500, "<html>"),
                _ => Reply::json(200, "VERIFIED"),
            },
        )
        .await;
    let inbox = Inbox::open(&database.mongo, paypal);
    let sink = Sink::willing();
    let workers = inbox.start(sink.clone());
    let form = format!("{OURS}&txn_id=C1&payment_status=Pending");
    for path in ["/api/payment/ipn", "/api/payment/webhook"] {
        let response = answer(&inbox, ipn(path, &form)).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(to_bytes(response.into_body()).await.unwrap().is_empty());
    }
    until(1, || states(&database, "done")).await;
    let calls = stub.calls();
    assert_eq!(
        calls.last().unwrap().body,
        format!("cmd=_notify-validate&{form}").as_bytes()
    );
    // The same news in other bytes, then other news.
    answer(
        &inbox,
        ipn("/api/payment/ipn", &format!("{form}&resend=true")),
    )
    .await;
    until(1, || states(&database, "ignored")).await;
    let completed = form.replace("Pending", "Completed");
    answer(&inbox, ipn("/api/payment/ipn", &completed)).await;
    until(2, || states(&database, "done")).await;
    workers.stop().await;
    assert_eq!(sink.followed(), [claiming(), claiming()]);
    database.drop().await;
}

#[actix_web::test]
async fn an_ipn_message_that_is_false_or_not_for_us_is_refused() {
    let database = Database::new().await;
    let (_stub, paypal) = peer(|body| {
        let forged = body.windows(6).any(|window| window == b"forged");
        Reply::json(200, if forged { "INVALID" } else { "VERIFIED" })
    })
    .await;
    let inbox = Inbox::open(&database.mongo, paypal);
    let sink = Sink::willing();
    let workers = inbox.start(sink.clone());
    for form in [
        format!("{OURS}&txn_id=C1&payment_status=Completed&memo=forged"),
        "test_ipn=1&receiver_email=thief%40example.com&txn_id=C2&payment_status=Completed"
            .to_owned(),
        format!("{OURS}&txn_id=C3&txn_id=C4&payment_status=Completed"),
    ] {
        assert_eq!(
            answer(&inbox, ipn("/api/payment/ipn", &form))
                .await
                .status(),
            StatusCode::OK
        );
    }
    until(3, || states(&database, "refused")).await;
    workers.stop().await;
    assert!(sink.followed().is_empty());
    let empty = answer(&inbox, ipn("/api/payment/ipn", "")).await;
    assert_eq!(empty.status(), StatusCode::BAD_REQUEST);
    for (kind, status) in [
        ("application/json", StatusCode::BAD_REQUEST),
        ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let other = ipn("/api/payment/ipn", "{}").insert_header(("content-type", kind));
        assert_eq!(answer(&inbox, other).await.status(), status, "{kind}");
    }
    database.drop().await;
}
