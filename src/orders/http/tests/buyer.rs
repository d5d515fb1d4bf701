//! What a buyer is shown.

use super::*;

#[actix_web::test]
async fn a_buyer_sees_own_orders_only() {
    let shop = shop().await;
    room!(shop, call);
    let (buyer, other) = (
        (UserId::new(), Role::Customer),
        (UserId::new(), Role::Customer),
    );
    let staff = (UserId::new(), Role::Staff);
    let order = shop.place(&new_order(buyer.0)).await;
    let path = format!("/api/orders/{}", order.id);
    let mine = call(buyer, Method::GET, &path, &[], Value::Null).await;
    assert_eq!((mine.status, mine.header("etag")), (200, "\"1\""));
    assert_eq!(mine.body["payment"]["provider"], "paypal");
    assert_eq!(mine.body["history"][0]["by"], "system");
    assert_eq!(mine.body.get("userId"), None);
    assert_eq!(mine.header("cache-control"), "no-store");
    let known = [("if-none-match", "\"1\"")];
    let same = call(buyer, Method::GET, &path, &known, Value::Null).await;
    assert_eq!(
        (same.status, same.header("cache-control")),
        (304, "no-store")
    );
    let theirs = call(other, Method::GET, &path, &[], Value::Null).await;
    assert_eq!(theirs.code(), (404, "not_found"));
    let seen = call(staff, Method::GET, &path, &[], Value::Null).await;
    assert_eq!(seen.body["userId"], json!(buyer.0));
    let none = call(other, Method::GET, "/api/orders", &[], Value::Null).await;
    assert_eq!(
        none.body,
        json!({ "items": [], "nextCursor": null, "total": 0 })
    );
    for path in ["/api/admin/orders", "/api/admin/summary"] {
        assert_eq!(
            call(buyer, Method::GET, path, &[], Value::Null)
                .await
                .code(),
            (403, "forbidden")
        );
    }
    shop.close().await;
}
