//! Every way a call can end, against a peer that misbehaves on demand.

mod judged;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;

use super::*;
use crate::payments::{
    CaptureStatus,
    paypal::testing::{Reply, Seen, Stub, config, payment, usd},
};

const ORDER: &str = "5O190127TN364715T";
const CAPTURE: &str = "3C679366HH908993F";

fn captured(value: &str) -> String {
    format!(
        r#"{{"id":"{ORDER}","status":"COMPLETED","purchase_units":[{{"custom_id":"ref","payments":{{"captures":[
        {{"id":"{CAPTURE}","status":"COMPLETED","amount":{{"currency_code":"USD","value":"{value}"}}}}]}}}}]}}"#
    )
}

fn approved() -> String {
    format!(r#"{{"id":"{ORDER}","status":"APPROVED"}}"#)
}

fn order_id() -> ProviderOrderId {
    ProviderOrderId::parse(ORDER).unwrap()
}

fn key() -> RequestKey {
    RequestKey::new("662e41f09c1d4c3a8f0b7a11", "capture")
}

fn paypal(url: &str) -> PayPal {
    PayPal::new(&config(url, 1)).unwrap()
}

fn issue(issue: &str) -> Reply {
    Reply::json(
        422,
        &format!(
            r#"{{"name":"UNPROCESSABLE_ENTITY","details":[{{"issue":"{issue}"}}],"debug_id":"x"}}"#
        ),
    )
}

/// What a capture ends as when its POSTs get `replies` in turn (the last for ever) and the order then
/// reads as `state`.
async fn capture_with(
    replies: Vec<Reply>,
    state: Reply,
) -> (Result<ProviderOrder, GatewayError>, Vec<Seen>) {
    let turn = AtomicUsize::new(0);
    let stub = Stub::paypal(move |seen| {
        if seen.line.starts_with("GET") {
            return state.clone();
        }
        let turn = turn.fetch_add(1, Ordering::SeqCst);
        replies[turn.min(replies.len() - 1)].clone()
    })
    .await;
    let outcome = paypal(&stub.url).capture(&order_id(), &key()).await;
    (outcome, stub.calls())
}

fn word(outcome: &Result<ProviderOrder, GatewayError>) -> &'static str {
    match outcome {
        Ok(_) => "done",
        Err(GatewayError::Refused { .. }) => "refused",
        Err(GatewayError::NotFound) => "not found",
        Err(GatewayError::Unknown(_)) => "unknown",
        Err(GatewayError::Unavailable { .. }) => "unavailable",
    }
}

#[actix_web::test]
async fn a_capture_ends_as_done_refused_or_unknown() {
    let done = || Reply::json(201, &captured("32.50"));
    let page = || Reply::json(503, "<html>down</html>");
    let gone = Reply::json(404, r#"{"name":"RESOURCE_NOT_FOUND"}"#);
    let limited = Reply::Answer(
        429,
        "Retry-After: 600\r\n",
        br#"{"name":"RATE_LIMIT_REACHED"}"#.to_vec(),
    );
    let busy = Reply::json(
        409,
        r#"{"name":"RESOURCE_CONFLICT","details":[{"issue":"PREVIOUS_REQUEST_IN_PROGRESS"}]}"#,
    );
    let table = [
        ("answered", vec![done()], page(), "done"),
        (
            "replayed",
            vec![Reply::json(200, &captured("32.50"))],
            page(),
            "done",
        ),
        (
            "reset, then done",
            vec![Reply::Reset, done()],
            page(),
            "done",
        ),
        (
            "500, then done",
            vec![
                Reply::json(500, r#"{"name":"INTERNAL_SERVER_ERROR"}"#),
                done(),
            ],
            page(),
            "done",
        ),
        ("page, then done", vec![page(), done()], page(), "done"),
        ("cut, then done", vec![Reply::Cut, done()], page(), "done"),
        (
            "in progress, then done",
            vec![busy.clone(), done()],
            page(),
            "done",
        ),
        ("in progress for ever", vec![busy], page(), "unknown"),
        ("hangs", vec![Reply::Hang], page(), "unknown"),
        ("reset for ever", vec![Reply::Reset], page(), "unknown"),
        ("503 for ever", vec![page()], page(), "unknown"),
        ("429 for ever", vec![limited], page(), "unavailable"),
        (
            "not approved",
            vec![issue("ORDER_NOT_APPROVED")],
            page(),
            "refused",
        ),
        (
            "declined",
            vec![issue("INSTRUMENT_DECLINED")],
            page(),
            "refused",
        ),
        (
            "declined after a reset",
            vec![Reply::Reset, issue("INSTRUMENT_DECLINED")],
            page(),
            "unknown",
        ),
        ("order unknown", vec![gone], page(), "not found"),
        (
            "captured before, readable",
            vec![issue("ORDER_ALREADY_CAPTURED")],
            done(),
            "done",
        ),
        (
            "captured before, unreadable",
            vec![issue("ORDER_ALREADY_CAPTURED")],
            page(),
            "unknown",
        ),
        (
            "bad JSON, readable",
            vec![Reply::json(201, "{\"id\":")],
            done(),
            "done",
        ),
        (
            "bad JSON, unreadable",
            vec![Reply::json(201, "{\"id\":")],
            page(),
            "unknown",
        ),
        (
            "no amounts, readable",
            vec![Reply::json(201, &captured("x"))],
            done(),
            "done",
        ),
        (
            "no amounts, unreadable",
            vec![Reply::json(201, &captured("x"))],
            page(),
            "unknown",
        ),
        (
            "another order's answer",
            vec![Reply::json(201, r#"{"id":"X","status":"COMPLETED"}"#)],
            page(),
            "unknown",
        ),
    ];
    let runs = table.map(|(name, replies, state, expected)| async move {
        let (outcome, calls) = capture_with(replies, state).await;
        assert_eq!(word(&outcome), expected, "{name}: {outcome:?}");
        if let Ok(order) = outcome {
            assert_eq!(order.captures[0].status, CaptureStatus::Completed, "{name}");
            assert_eq!(order.captures[0].amount, Some(usd(3_250)), "{name}");
        }
        for call in calls.iter().filter(|call| call.line.starts_with("POST")) {
            assert_eq!(
                call.header("paypal-request-id"),
                Some(key().as_str()),
                "{name}"
            );
            assert_eq!(
                call.header("prefer"),
                Some("return=representation"),
                "{name}"
            );
            assert_eq!(call.body, b"{}", "{name}");
        }
    });
    join_all(runs).await;
}

#[actix_web::test]
async fn a_peer_that_cannot_be_reached_is_unavailable_for_every_call() {
    let stub = Stub::paypal(|_| Reply::Reset).await;
    let paypal = paypal(&stub.url);
    drop(stub);
    assert_eq!(
        word(&paypal.capture(&order_id(), &key()).await),
        "unavailable"
    );
    assert_eq!(
        word(&paypal.create_order(&payment(), &key()).await),
        "unavailable"
    );
    assert_eq!(word(&paypal.order(&order_id()).await), "unavailable");
}

#[actix_web::test]
async fn a_read_is_never_unknown() {
    for reply in [
        Reply::Hang,
        Reply::Reset,
        Reply::Cut,
        Reply::json(500, ""),
        Reply::json(200, "["),
    ] {
        let shown = format!("{reply:?}");
        let stub = Stub::paypal(move |_| reply.clone()).await;
        let outcome = paypal(&stub.url).order(&order_id()).await;
        assert_eq!(word(&outcome), "unavailable", "{shown}");
    }
}

#[actix_web::test]
async fn an_order_is_made_with_everything_that_paypal_wants() {
    let stub = Stub::paypal(|_| {
        Reply::json(
            201,
            &format!(
                r#"{{"id":"{ORDER}","status":"PAYER_ACTION_REQUIRED","links":[{{"rel":"payer-action","href":"https://paypal.test/{ORDER}"}}]}}"#
            ),
        )
    })
    .await;
    let order = paypal(&stub.url)
        .create_order(&payment(), &key())
        .await
        .unwrap();
    assert_eq!(order.status, ProviderOrderStatus::AwaitingApproval);
    assert_eq!(
        order.approve_url,
        Some(format!("https://paypal.test/{ORDER}"))
    );
    let calls = stub.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].line, "POST /v2/checkout/orders");
    assert_eq!(calls[0].header("authorization"), Some("Bearer T1"));
    assert_eq!(calls[0].header("content-type"), Some("application/json"));
    assert!(
        calls[0]
            .header("user-agent")
            .unwrap()
            .starts_with("bodega/")
    );
    let sent: serde_json::Value = serde_json::from_slice(&calls[0].body).unwrap();
    assert_eq!(sent["purchase_units"][0]["custom_id"], payment().reference);
}

#[actix_web::test]
async fn a_read_carries_a_content_type_and_no_request_id() {
    let stub = Stub::paypal(|_| Reply::json(200, &approved())).await;
    paypal(&stub.url).order(&order_id()).await.unwrap();
    let calls = stub.calls();
    assert_eq!(calls[0].header("content-type"), Some("application/json"));
    assert_eq!(calls[0].header("paypal-request-id"), None);
}

#[actix_web::test]
async fn a_refund_tells_its_capture_and_the_total_given_back() {
    let stub = Stub::paypal(|_| {
        Reply::json(
            201,
            &format!(
                r#"{{"id":"1Y107995YT783435V","status":"COMPLETED","amount":{{"currency_code":"USD","value":"4.00"}},
            "seller_payable_breakdown":{{"total_refunded_amount":{{"currency_code":"USD","value":"9.00"}}}},
            "links":[{{"rel":"up","href":"https://api.paypal.com/v2/payments/captures/{CAPTURE}"}}]}}"#
            ),
        )
    })
    .await;
    let capture = CaptureId::parse(CAPTURE).unwrap();
    let refund = paypal(&stub.url)
        .refund(&capture, Some(usd(400)), &key(), Some("sorry"))
        .await
        .unwrap();
    assert_eq!(
        (refund.amount, refund.total_refunded),
        (Some(usd(400)), Some(usd(900)))
    );
    assert_eq!(refund.capture, Some(capture));
    let calls = stub.calls();
    assert_eq!(
        calls[0].line,
        format!("POST /v2/payments/captures/{CAPTURE}/refund")
    );
    let sent: serde_json::Value = serde_json::from_slice(&calls[0].body).unwrap();
    let expected = serde_json::json!({"amount": {"currency_code": "USD", "value": "4.00"}, "note_to_payer": "sorry"});
    assert_eq!(sent, expected);
}

#[actix_web::test]
async fn fifty_calls_with_a_revoked_token_fetch_one_new_one() {
    let issued = Arc::new(AtomicUsize::new(0));
    let counter = issued.clone();
    let stub = Stub::start(move |seen| {
        if seen.line.ends_with("/token") {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            return Reply::json(200, &format!(r#"{{"access_token":"T{n}","expires_in":32400}}"#));
        }
        if seen.header("authorization") == Some("Bearer T0") {
            return Reply::json(401, r#"{"error":"invalid_token","error_description":"Token signature verification failed"}"#);
        }
        Reply::json(200, &approved())
    })
    .await;
    let paypal = PayPal::new(&config(&stub.url, 20)).unwrap();
    let id = order_id();
    let answers = join_all((0..50).map(|_| paypal.order(&id))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(stub.tokens(), 2);
}

#[actix_web::test]
async fn refused_credentials_are_unavailable_and_not_tried_again() {
    let stub = Stub::start(|_| {
        Reply::json(
            401,
            r#"{"error":"invalid_client","error_description":"Client Authentication failed"}"#,
        )
    })
    .await;
    let outcome = paypal(&stub.url).capture(&order_id(), &key()).await;
    assert_eq!(word(&outcome), "unavailable");
    assert_eq!((stub.tokens(), stub.calls().len()), (1, 0));
}

#[actix_web::test]
async fn the_token_is_asked_for_as_oauth_wants_it() {
    let stub = Stub::start(|seen| {
        let form = seen.header("content-type") == Some("application/x-www-form-urlencoded");
        let basic = seen.header("authorization") == Some("Basic Y2xpZW50OnNlY3JldA==");
        if form && basic && seen.body == b"grant_type=client_credentials" {
            Reply::json(200, r#"{"access_token":"T1","expires_in":5}"#)
        } else {
            Reply::json(200, &approved())
        }
    })
    .await;
    let (paypal, id) = (paypal(&stub.url), order_id());
    assert!(paypal.order(&id).await.is_ok() && paypal.order(&id).await.is_ok());
    assert_eq!(stub.tokens(), 1, "a short life is used too");
}

#[actix_web::test]
async fn an_open_breaker_refuses_at_once() {
    let stub = Stub::paypal(|_| Reply::json(503, "<html>")).await;
    let paypal = PayPal::new(&config(&stub.url, 20)).unwrap();
    let id = order_id();
    for _ in 0..3 {
        assert_eq!(word(&paypal.order(&id).await), "unavailable");
    }
    let before = stub.calls().len();
    assert!((5..=6).contains(&before), "five failures open it: {before}");
    let refused = join_all((0..100).map(|_| paypal.capture(&id, id_key()))).await;
    assert!(refused.iter().all(|outcome| word(outcome) == "unavailable"));
    assert!(stub.calls().len() <= before + 1, "one probe at most");
}

/// A key that outlives the calls made with it.
fn id_key() -> &'static RequestKey {
    static KEY: std::sync::OnceLock<RequestKey> = std::sync::OnceLock::new();
    KEY.get_or_init(key)
}

#[actix_web::test]
async fn paypals_wish_to_wait_is_honoured() {
    let turn = AtomicUsize::new(0);
    let stub = Stub::paypal(move |_| {
        if turn.fetch_add(1, Ordering::SeqCst) == 0 {
            Reply::Answer(
                429,
                "Retry-After: 1\r\n",
                br#"{"name":"RATE_LIMIT_REACHED"}"#.to_vec(),
            )
        } else {
            Reply::json(200, &approved())
        }
    })
    .await;
    let paypal = PayPal::new(&config(&stub.url, 20)).unwrap();
    let began = std::time::Instant::now();
    assert!(paypal.order(&order_id()).await.is_ok());
    assert!(began.elapsed() >= std::time::Duration::from_secs(1));
}

#[actix_web::test]
async fn an_open_breaker_refuses_at_once_without_a_token_too() {
    let stub = Stub::start(|_| Reply::json(503, "<html>")).await;
    let paypal = PayPal::new(&config(&stub.url, 20)).unwrap();
    let id = order_id();
    for _ in 0..2 {
        assert_eq!(word(&paypal.order(&id).await), "unavailable");
    }
    let asked = stub.tokens();
    let began = std::time::Instant::now();
    let refused = join_all((0..100).map(|_| paypal.order(&id))).await;
    assert!(refused.iter().all(|outcome| word(outcome) == "unavailable"));
    assert!(stub.tokens() <= asked + 1, "one probe at most");
    assert!(began.elapsed() < std::time::Duration::from_secs(1));
}
