//! The buyer's side: the approval page, what can be chosen there, and orders that approve themselves.

use serde_json::json;

use super::{Shop, Sim};

#[actix_web::test]
async fn the_page_approves_cancels_and_tells_when_it_is_over() {
    let sim = Sim::start(&[]).await;
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let page = format!("{}/checkoutnow", sim.base);
    let id = sim.create("page").await;
    let shown = browser
        .get(format!("{page}?token={id}"))
        .send()
        .await
        .unwrap();
    assert_eq!(shown.status(), 200);
    assert!(shown.headers().contains_key("content-security-policy"));
    let text = shown.text().await.unwrap();
    assert!(text.contains("32.50 EUR"));
    for choice in ["complete", "slow", "pending", "decline", "denied", "cancel"] {
        assert!(text.contains(&format!("value=\"{choice}\"")), "{choice}");
    }
    for notice in ["usual", "before", "after", "twice"] {
        assert!(text.contains(&format!("value=\"{notice}\"")), "{notice}");
    }
    let choose = async |choice: &str| {
        let form = format!("token={id}&choice={choice}");
        let request = browser
            .post(&page)
            .header("Content-Type", "application/x-www-form-urlencoded");
        request.body(form).send().await.unwrap()
    };
    let location =
        |answer: &reqwest::Response| answer.headers()["location"].to_str().unwrap().to_owned();
    let cancelled = choose("cancel").await;
    assert_eq!(
        location(&cancelled),
        format!("https://shop.example/cancel?token={id}")
    );
    let approved = choose("complete").await;
    assert_eq!(approved.status(), 303);
    let target = location(&approved);
    assert!(target.starts_with(&format!(
        "https://shop.example/return?cart=1&token={id}&PayerID="
    )));
    assert_eq!(
        location(&choose("complete").await),
        target,
        "approving twice is harmless"
    );
    assert_eq!(sim.capture(&id, "c").await.status, 201);
    assert_eq!(choose("complete").await.status(), 409);
    let over = browser
        .get(format!("{page}?token={id}"))
        .send()
        .await
        .unwrap();
    assert!(over.text().await.unwrap().contains("Already paid"));
    let unknown = browser
        .get(format!("{page}?token=NONE"))
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), 404);
}

#[actix_web::test]
async fn a_shop_hears_of_it_before_the_buyer_is_back_or_after_or_twice() {
    let shop = Shop::start();
    let sim = Sim::start(&["--webhook-url", &shop.url]).await;
    sim.control("/settings", json!({ "lateNoticeMs": 60_000 }))
        .await;
    let choose = async |id: &str, notice: &str| {
        let request = sim.http.post(format!("{}/checkoutnow", sim.base));
        let form = format!("token={id}&choice=decline&notice={notice}");
        let typed = request.header("Content-Type", "application/x-www-form-urlencoded");
        // The way back leads to a host that does not exist; the choice was made before.
        let _nowhere = typed.body(form).send().await;
    };
    let before = sim.create("before").await;
    choose(&before, "before").await;
    assert_eq!(shop.received().len(), 1, "told when the buyer left");
    let twice = sim.create("twice").await;
    choose(&twice, "twice").await;
    let messages = shop.messages(3).await;
    assert_eq!(messages[1].json()["id"], messages[2].json()["id"]);
    let after = sim.create("after").await;
    choose(&after, "after").await;
    let usual = sim.create("usual").await;
    choose(&usual, "usual").await;
    let last = shop.messages(4).await.remove(3);
    assert_eq!(
        last.json()["resource"]["id"],
        usual,
        "the late one is not yet here"
    );
}

#[actix_web::test]
async fn a_slow_payment_takes_its_time_and_completes() {
    let sim = Sim::start(&[]).await;
    sim.control("/settings", json!({ "slowCaptureMs": 300 }))
        .await;
    let id = sim.approved("slow", "slow").await;
    let began = tokio::time::Instant::now();
    let (first, second) = tokio::join!(sim.capture(&id, "slow"), sim.capture(&id, "slow"));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "the other meets it under way");
    assert!(began.elapsed().as_millis() >= 300);
    assert_eq!(sim.lines("capture").len(), 1);
}

#[actix_web::test]
async fn orders_approve_themselves_when_told_to() {
    let sim = Sim::start(&["--auto-approve"]).await;
    let id = sim.create("auto").await;
    super::eventually("approval", || async {
        let shown = sim.get(&format!("/v2/checkout/orders/{id}")).await;
        (shown.body["status"] == "APPROVED").then_some(())
    })
    .await;
    assert_eq!(sim.capture(&id, "auto").await.status, 201);
}
