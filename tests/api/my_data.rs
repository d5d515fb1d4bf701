//! The person's copy of everything held about them.

use serde_json::json;

use crate::support::{TestShop, eventually, usd};

#[actix_web::test]
async fn the_export_holds_what_every_room_knows_about_the_person_and_about_nobody_else() {
    let shop = TestShop::start().await;
    let (admin, ada, eve) = (
        shop.admin().await,
        shop.customer().await,
        shop.customer().await,
    );
    let mug = shop.product(&admin, "MUG", 900, 5).await;
    let code = json!({ "code": "TEN", "basisPoints": 1_000 });
    admin.post("/api/admin/discounts", &code).await.expect(201);
    let line = json!({ "productId": mug["id"], "quantity": 1 });
    ada.post("/api/cart", &line).await.expect(200);
    ada.post("/api/cart/discounts", &json!({ "code": "TEN" }))
        .await
        .expect(200);
    let checkout = shop.checkout(&ada, &mug, 1).await;
    shop.approve(&checkout).await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = ada.post("/api/orders", &wish).await.body;
    ada.post("/api/cart", &line).await.expect(200);
    shop.checkout(&eve, &mug, 1).await;

    let answer = ada.get("/api/auth/export").await.expect(200);
    let disposition = answer.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment"), "{disposition}");
    let mine = answer.body;
    assert_eq!(mine["user"], ada.get("/api/auth/profile").await.body);
    assert_eq!(mine["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(mine["cart"]["items"][0]["sku"], "MUG");
    assert_eq!(mine["checkouts"].as_array().unwrap().len(), 1);
    assert_eq!(mine["checkouts"][0]["id"], checkout["id"]);
    assert_eq!(mine["orders"].as_array().unwrap().len(), 1);
    assert_eq!(mine["orders"][0]["id"], order["id"]);
    assert_eq!(mine["orders"][0]["discountTotal"], usd(180));
    // The message that the payment was approved may be settling it too.
    let uses = json!([{ "code": "TEN", "used": 1, "claimed": 0, "checkouts": [checkout["id"]] }]);
    eventually("the use to be counted", || async {
        let mine = ada.get("/api/auth/export").await.expect(200).body;
        (mine["discountUses"] == uses).then_some(())
    })
    .await;

    let hers = eve.get("/api/auth/export").await.expect(200).body;
    assert_eq!(hers["orders"], json!([]));
    assert_eq!(hers["discountUses"], json!([]));
    assert_eq!(hers["checkouts"].as_array().unwrap().len(), 1);
    assert!(!hers.to_string().contains(checkout["id"].as_str().unwrap()));
}
