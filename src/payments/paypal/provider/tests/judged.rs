//! Answers about something else than was asked for.

use super::*;

#[actix_web::test]
async fn an_answer_about_something_else_is_read_again_and_never_believed() {
    let order = |custom: &str, value: &str| {
        format!(
            r#"{{"id":"{ORDER}","status":"PAYER_ACTION_REQUIRED","purchase_units":[{{"custom_id":"{custom}",
            "amount":{{"currency_code":"USD","value":"{value}"}}}}]}}"#
        )
    };
    let ours = payment().reference;
    for (made, shown, expected) in [
        (order(&ours, "32.50"), order("x", "1.00"), "done"),
        (order(&ours, "32.51"), order(&ours, "32.50"), "done"),
        (order("x", "32.50"), order(&ours, "32.50"), "done"),
        (order(&ours, "32.51"), order(&ours, "32.51"), "unknown"),
        (order("x", "32.50"), order("x", "32.50"), "unknown"),
    ] {
        let told = format!("{made} {shown}");
        let stub = Stub::paypal(move |seen| {
            let post = seen.line.starts_with("POST");
            Reply::json(200, if post { &made } else { &shown })
        })
        .await;
        let outcome = paypal(&stub.url).create_order(&payment(), &key()).await;
        assert_eq!(word(&outcome), expected, "{told}");
    }
}

#[actix_web::test]
async fn a_refund_of_another_amount_or_capture_is_read_again_and_never_believed() {
    let refund = |value: &str, capture: &str| {
        format!(
            r#"{{"id":"1Y107995YT783435V","status":"COMPLETED","amount":{{"currency_code":"USD","value":"{value}"}},
            "links":[{{"rel":"up","href":"https://api.paypal.com/v2/payments/captures/{capture}"}}]}}"#
        )
    };
    for (made, shown, done) in [
        (refund("4.01", CAPTURE), refund("4.00", CAPTURE), true),
        (refund("4.00", "OTHER"), refund("4.00", CAPTURE), true),
        (refund("4.01", CAPTURE), refund("4.01", CAPTURE), false),
        (refund("4.00", "OTHER"), refund("4.00", "OTHER"), false),
    ] {
        let stub = Stub::paypal(move |seen| {
            let post = seen.line.starts_with("POST");
            Reply::json(201, if post { &made } else { &shown })
        })
        .await;
        let capture = CaptureId::parse(CAPTURE).unwrap();
        let outcome = paypal(&stub.url)
            .refund(&capture, Some(usd(400)), &key(), None)
            .await;
        match outcome {
            Ok(refund) => assert!(done && refund.amount == Some(usd(400))),
            Err(error) => assert!(!done && matches!(error, GatewayError::Unknown(_))),
        }
    }
}

#[actix_web::test]
async fn money_that_went_to_another_account_has_no_amount() {
    let capture = |payee: &str| {
        format!(
            r#"{{"id":"{CAPTURE}","status":"COMPLETED","amount":{{"currency_code":"USD","value":"32.50"}},
            "payee":{{"email_address":"{payee}"}}}}"#
        )
    };
    for (payee, amount) in [
        ("Seller@Example.com", Some(usd(3_250))),
        ("thief@example.com", None),
    ] {
        let answer = capture(payee);
        let stub = Stub::paypal(move |_| Reply::json(200, &answer)).await;
        let id = CaptureId::parse(CAPTURE).unwrap();
        let read = paypal(&stub.url).capture_state(&id).await.unwrap();
        assert_eq!(read.amount, amount, "{payee}");
        let other = CaptureId::parse("OTHER").unwrap();
        assert!(paypal(&stub.url).capture_state(&other).await.is_err());
    }
}
