//! Three hundred events a second against one node: how long PayPal waits for the answer, and that each is
//! followed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::stored;
use crate::support::{Client, Setup, TestShop, eventually, scaled, usd};

/// Events a second.
const RATE: usize = 300;
/// How many orders the events are about.
const ORDERS: usize = 12;
/// What the answer must never take, however busy the machine; PayPal gives up after half a minute.
const NEVER: Duration = Duration::from_secs(10);
/// How long the shop may take to follow what it has stored.
const FOLLOWED: Duration = Duration::from_mins(3);

/// What PayPal has sent: headers and body, by its id of the transmission's event.
#[derive(Clone, Default)]
struct Caught(Arc<Mutex<HashMap<String, Message>>>);

#[derive(Clone)]
struct Message {
    headers: Vec<(String, String)>,
    body: web::Bytes,
}

async fn catch(request: HttpRequest, body: web::Bytes, caught: web::Data<Caught>) -> HttpResponse {
    let headers = request.headers().iter();
    let headers = headers
        .filter(|(name, _)| name.as_str().starts_with("paypal-"))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let event: Value = serde_json::from_slice(&body).unwrap();
    let id = event["id"].as_str().unwrap().to_owned();
    let mut caught = caught.0.lock().unwrap();
    caught.insert(id, Message { headers, body });
    HttpResponse::Ok().finish()
}

/// Has PayPal send to a host that only catches, and answers what it has caught.
async fn catcher(shop: &TestShop) -> Caught {
    let caught = Caught::default();
    let data = web::Data::new(caught.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .default_service(web::to(catch))
    });
    let server = server
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
    let url = format!("http://{}/", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    let hook = json!({ "url": url });
    let paypal = shop.paypal();
    paypal.post("/control/webhooks", &hook).await.expect(200);
    caught
}

/// Sends it to the shop; how long the answer took.
async fn send(client: &reqwest::Client, hook: &str, message: Message) -> Duration {
    let mut request = client
        .post(hook)
        .header("content-type", "application/json")
        .body(message.body);
    for (name, value) in message.headers {
        request = request.header(name, value);
    }
    let began = Instant::now();
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    began.elapsed()
}

async fn paid_order(shop: &TestShop, buyer: &Client, product: &Value) -> Value {
    let checkout = shop.checkout(buyer, product, 1).await;
    shop.approve(&checkout).await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &wish).await;
    assert!(matches!(order.status, 200 | 201), "{order:?}");
    order.body
}

#[actix_web::test]
async fn three_hundred_events_a_second_are_answered_in_time_and_followed() {
    let count = RATE * scaled(3, 60);
    let shop = Setup::default().start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let goods = shop.product(&admin, "GOLD", 90_000, 100).await;
    let mut orders = Vec::with_capacity(ORDERS);
    for _ in 0..ORDERS {
        orders.push(paid_order(&shop, &buyer, &goods).await);
    }
    let paypal = shop.paypal();
    let no_ipn = json!({ "ipnUrl": null });
    paypal.post("/control/settings", &no_ipn).await.expect(200);
    let before = stored(&admin, "").await;
    let caught = catcher(&shop).await;
    // Every cent that is given back in the dashboard is an event of its own.
    for n in 0..count {
        let capture = orders[n % ORDERS]["payment"]["captureId"].as_str().unwrap();
        let path = format!("/control/captures/{capture}/refund");
        let cent = json!({ "amount": "0.01" });
        paypal.post(&path, &cent).await.expect(200);
    }
    eventually("every event to be sent", || async {
        (caught.0.lock().unwrap().len() >= count).then_some(())
    })
    .await;
    let messages: Vec<Message> = caught.0.lock().unwrap().values().cloned().collect();
    let hook = format!("{}/api/payment/webhook", shop.server.url);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let began = Instant::now();
    let sent = messages.into_iter().enumerate().map(|(n, message)| {
        let due = Duration::from_secs(1) * u32::try_from(n).unwrap() / u32::try_from(RATE).unwrap();
        let (client, hook) = (client.clone(), hook.clone());
        actix_web::rt::spawn(async move {
            tokio::time::sleep_until((began + due).into()).await;
            send(&client, &hook, message).await
        })
    });
    let mut times: Vec<Duration> = join_all(sent)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let over = began.elapsed();
    times.sort_unstable();
    let (p50, p99, last) = (times[count / 2], times[count * 99 / 100], times[count - 1]);
    println!("{count} events in {over:?}: answered in p50 {p50:?}, p99 {p99:?}, longest {last:?}");
    assert!(last < NEVER, "{last:?}");
    assert_eq!(
        stored(&admin, "").await,
        before + u64::try_from(count).unwrap()
    );
    let each = usd(i64::try_from(count / ORDERS).unwrap());
    let stored_by = Instant::now();
    for order in &orders {
        let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
        loop {
            let shown = admin.get(&path).await.expect(200).body;
            if shown["payment"]["refunded"] == each {
                break;
            }
            assert!(stored_by.elapsed() < FOLLOWED, "{shown}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    println!(
        "all followed {:?} after the last answer",
        stored_by.elapsed()
    );
}
