//! Stock in products, and the warehouse's door beside sales in progress.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::*;
use crate::{
    catalog::{HoldLimits, HoldLine, Holder, StockRoom},
    id::{CheckoutId, UserId, VariantId},
};

fn variant(product: &Value, index: usize) -> VariantId {
    product["variants"][index]["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[actix_web::test]
async fn a_replacement_leaves_the_count_alone_unless_it_names_one() {
    let shop = TestShop::open().await;
    let product = shop.create(&tee()).await;
    let path = at(&product);
    let hold = HoldLine {
        variant: variant(&product, 0),
        quantity: 2,
    };
    let checkout = CheckoutId::new();
    let life = Duration::from_mins(1);
    shop.stock
        .hold(&Holder::stranger(checkout), &[hold], life)
        .await
        .unwrap()
        .unwrap();
    let mut next = tee();
    next["variants"][0].as_object_mut().unwrap().remove("stock");
    next["variants"][1]["stock"] = json!({"onHand": 20});
    let replaced = shop.put(&path, &next).await.expect(200).json();
    assert_eq!(
        replaced["variants"][0]["stock"],
        json!({"available": 3, "reserved": 2})
    );
    assert_eq!(
        replaced["variants"][1]["stock"],
        json!({"available": 20, "reserved": 0})
    );
    assert_eq!(replaced["stock"], json!({"available": 23, "reserved": 2}));
    // A count below what is held cannot be, and nothing of the write is done.
    next["title"] = json!("Another");
    next["variants"][0]["stock"] = json!({"onHand": 1});
    shop.put(&path, &next)
        .await
        .problem(409, "insufficient_stock");
    let seen = shop.get(&path).await.json();
    assert_eq!(
        (&seen["title"], &seen["version"]),
        (&json!("Tee"), &json!(2))
    );
    // Held ones are part of the count.
    next["variants"][0]["stock"] = json!({"onHand": 2});
    let replaced = shop.put(&path, &next).await.expect(200).json();
    assert_eq!(
        replaced["variants"][0]["stock"],
        json!({"available": 0, "reserved": 2})
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_held_variant_may_go_and_its_checkout_goes_on() {
    let shop = TestShop::open().await;
    let product = shop.create(&tee()).await;
    let black = variant(&product, 0);
    let hold = HoldLine {
        variant: black,
        quantity: 2,
    };
    let checkout = CheckoutId::new();
    let life = Duration::from_mins(1);
    shop.stock
        .hold(&Holder::stranger(checkout), &[hold], life)
        .await
        .unwrap()
        .unwrap();
    let patch = json!({"variants": [tee()["variants"][1]]});
    shop.patch(&at(&product), &patch).await.expect(200);
    let offers = shop.catalog.offers(&[black]).await.unwrap();
    assert!(offers.is_empty());
    assert!(shop.stock.pin(checkout, vec![black]).await.unwrap());
    shop.stock.sell(checkout, vec![black]).await.unwrap();
    let level = shop.stock.levels(&[black]).await.unwrap()[&black];
    assert_eq!((level.available, level.reserved), (3, 0));
    shop.close().await;
}

#[actix_web::test]
async fn the_door_takes_a_delta_or_a_count_and_says_how_it_stands() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    let path = format!("{}/stock", at(&product));
    let booked = async |body: Value| shop.post(&path, &body).await;
    let units = async |body: Value| booked(body).await.expect(200).json()["stock"].clone();
    assert_eq!(
        units(json!({"delta": 5, "reason": "delivery"})).await,
        json!({"available": 15, "reserved": 0, "onHand": 15})
    );
    assert_eq!(
        units(json!({"onHand": 4, "reason": "count", "variantId": variant(&product, 0)})).await,
        json!({"available": 4, "reserved": 0, "onHand": 4})
    );
    assert_eq!(
        shop.get(&at(&product)).await.json()["stock"]["available"],
        4
    );
    booked(json!({"delta": -5, "reason": "x"}))
        .await
        .problem(409, "insufficient_stock");
    for (body, pointer) in [
        (json!({"reason": "x"}), "/delta"),
        (json!({"delta": 1, "onHand": 1, "reason": "x"}), "/onHand"),
        (json!({"delta": 1}), "/reason"),
        (json!({"delta": 1, "reason": ""}), "/reason"),
        (json!({"delta": 1.5, "reason": "x"}), "/delta"),
        (json!({"delta": 2_000_000_000, "reason": "x"}), "/delta"),
        (json!({"onHand": -1, "reason": "x"}), "/onHand"),
        (json!({"delta": {"$inc": 1}, "reason": "x"}), "/delta"),
        (
            json!({"delta": 1, "reason": "x", "variantId": "zz"}),
            "/variantId",
        ),
        (
            json!({"delta": 1, "reason": "x", "variantId": VariantId::new()}),
            "/variantId",
        ),
        (json!({"delta": 1_000_000_000, "reason": "x"}), "/delta"),
    ] {
        let refused = booked(body.clone()).await;
        assert_eq!(
            refused.problem(422, "validation_failed"),
            [pointer],
            "{body}"
        );
    }
    let two = shop.create(&tee()).await;
    let door = format!("{}/stock", at(&two));
    let unnamed = shop.post(&door, &json!({"delta": 1, "reason": "x"})).await;
    assert_eq!(unnamed.problem(422, "validation_failed"), ["/variantId"]);
    let moves = shop
        .mongo
        .database()
        .collection::<bson::Document>("stock_moves");
    assert_eq!(moves.count_documents(bson::doc! {}).await.unwrap(), 2);
    shop.close().await;
}

/// 8 buyers hold and let go while the warehouse books: no unit appears or is lost.
#[actix_web::test]
async fn the_door_is_safe_beside_holds() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    let id = variant(&product, 0);
    let path = format!("{}/stock", at(&product));
    let life = Duration::from_mins(1);
    let buy = async |keeps: bool| {
        for _ in 0..10 {
            let checkout = CheckoutId::new();
            let line = HoldLine {
                variant: id,
                quantity: 1,
            };
            if shop
                .stock
                .hold(&Holder::stranger(checkout), &[line], life)
                .await
                .unwrap()
                .is_err()
            {
                continue;
            }
            if keeps {
                assert!(shop.stock.pin(checkout, vec![id]).await.unwrap());
                shop.stock.sell(checkout, vec![id]).await.unwrap();
            } else {
                shop.stock.release(checkout, vec![id]).await.unwrap();
            }
        }
    };
    let book = async || {
        let mut received = 10;
        for _ in 0..10 {
            let body = json!({"delta": 2, "reason": "delivery"});
            shop.post(&path, &body).await.expect(200);
            received += 2;
        }
        received
    };
    let buyers = (0..8).map(|n| buy(n % 2 == 0));
    let (_, received) = futures_util::join!(futures_util::future::join_all(buyers), book());
    let documents = shop.mongo.database().collection::<bson::Document>("stock");
    let stock = documents
        .find_one(bson::doc! { "_id": id })
        .await
        .unwrap()
        .unwrap();
    let units = |name: &str| stock.get_i64(name).unwrap();
    assert_eq!(units("received"), received);
    assert_eq!(units("available") + units("sold"), received);
    assert!(stock.get_array("holds").unwrap().is_empty());
    // And the node's own body agrees once the feed has brought everything.
    let available = units("available");
    eventually(async || {
        let seen = shop.get(&at(&product)).await.json();
        (seen["stock"]["available"] == available).then_some(())
    })
    .await;
    let staff = shop.staff(TestRequest::get().uri(&at(&product))).await;
    assert_eq!(staff.json()["stock"]["available"], available);
    shop.close().await;
}

#[actix_web::test]
async fn offers_say_what_can_be_bought_now() {
    let shop = TestShop::open().await;
    let product = shop.create(&tee()).await;
    let (black, white) = (variant(&product, 0), variant(&product, 1));
    let id = product["id"].as_str().unwrap().parse().unwrap();
    let stranger = VariantId::new();
    let offers = shop
        .catalog
        .offers(&[black, white, stranger])
        .await
        .unwrap();
    let now = shop
        .catalog
        .offers_now(&[black, white, stranger])
        .await
        .unwrap();
    assert_eq!(offers, now);
    assert_eq!(offers.len(), 2);
    let offer = &offers[&black];
    assert_eq!(
        (offer.sku.as_str(), offer.unit_price.amount),
        ("TEE-B", 2_000)
    );
    assert_eq!((offer.available, offer.on_sale), (5, true));
    assert_eq!(
        shop.catalog.resolve(id, Some(white)).await.unwrap(),
        offers[&white]
    );
    let refused = shop.catalog.resolve(id, None).await.unwrap_err();
    assert!(matches!(
        refused,
        crate::catalog::CatalogError::VariantRequired
    ));
    let refused = shop.catalog.resolve(id, Some(stranger)).await.unwrap_err();
    assert!(matches!(
        refused,
        crate::catalog::CatalogError::VariantNotFound
    ));
    shop.staff(TestRequest::delete().uri(&at(&product)))
        .await
        .expect(204);
    let refused = shop.catalog.resolve(id, Some(white)).await.unwrap_err();
    assert!(matches!(
        refused,
        crate::catalog::CatalogError::ProductNotFound
    ));
    assert!(!shop.catalog.offers(&[black]).await.unwrap()[&black].on_sale);
    assert!(!shop.catalog.offers_now(&[black]).await.unwrap()[&black].on_sale);
    shop.close().await;
}

#[actix_web::test]
async fn a_return_is_taken_back_once() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    let line = HoldLine {
        variant: variant(&product, 0),
        quantity: 1,
    };
    for _ in 0..3 {
        let (checkout, life) = (CheckoutId::new(), Duration::from_mins(1));
        let held = shop
            .stock
            .hold(&Holder::stranger(checkout), &[line], life)
            .await;
        held.unwrap().unwrap();
        shop.stock.sell(checkout, vec![line.variant]).await.unwrap();
    }
    let free = async || {
        let levels = shop.stock.levels(&[line.variant]).await.unwrap();
        levels[&line.variant].available
    };
    let before = free().await;
    // A worker that was held up tells of the same return again.
    for _ in 0..3 {
        assert!(shop.stock.take_back("a return", line).await.unwrap());
    }
    assert_eq!(free().await, before + 1);
    assert!(shop.stock.take_back("another", line).await.unwrap());
    assert_eq!(free().await, before + 2);
    shop.close().await;
}

#[actix_web::test]
async fn neither_one_buyer_nor_one_address_holds_more_than_its_share() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    let mug = variant(&product, 0);
    let limits = HoldLimits {
        per_user: 3,
        per_client: 5,
    };
    let stock = shop.stock.clone().within(limits);
    let life = Duration::from_mins(1);
    let wants = async |user: UserId, client: &str, quantity| {
        let holder = Holder {
            checkout: CheckoutId::new(),
            user,
            client: client.to_owned(),
        };
        let line = HoldLine {
            variant: mug,
            quantity,
        };
        let held = stock.hold(&holder, &[line], life).await.unwrap();
        (held.map_err(|short| short[0].available), holder)
    };
    let (ann, bob) = (UserId::new(), UserId::new());
    assert_eq!(wants(ann, "home", 4).await.0, Err(3));
    let (held, first) = wants(ann, "home", 2).await;
    assert_eq!(held, Ok(()));
    assert_eq!(wants(ann, "elsewhere", 2).await.0, Err(1), "the buyer's");
    assert_eq!(wants(ann, "elsewhere", 1).await.0, Ok(()));
    assert_eq!(wants(bob, "home", 3).await.0, Ok(()));
    assert_eq!(
        wants(UserId::new(), "home", 1).await.0,
        Err(0),
        "the address's"
    );
    assert_eq!(wants(UserId::new(), "far", 1).await.0, Ok(()));
    // Taking the same hold again changes nothing, however much is held.
    let again = HoldLine {
        variant: mug,
        quantity: 2,
    };
    assert_eq!(stock.hold(&first, &[again], life).await.unwrap(), Ok(()));
    stock.release(first.checkout, vec![mug]).await.unwrap();
    assert_eq!(wants(UserId::new(), "home", 1).await.0, Ok(()));
    shop.close().await;
}

#[actix_web::test]
async fn many_accounts_at_once_behind_one_address_hold_its_share_and_no_more() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    let mug = variant(&product, 0);
    let limits = HoldLimits {
        per_user: 9,
        per_client: 4,
    };
    let stock = shop.stock.clone().within(limits);
    let life = Duration::from_mins(1);
    let line = [HoldLine {
        variant: mug,
        quantity: 1,
    }];
    let bots: Vec<Holder> = (0..30)
        .map(|_| Holder {
            client: "bots".to_owned(),
            ..Holder::stranger(CheckoutId::new())
        })
        .collect();
    let tries = bots.iter().map(|bot| stock.hold(bot, &line, life));
    let tries = futures_util::future::join_all(tries).await;
    let won = tries.iter().filter(|held| held.as_ref().unwrap().is_ok());
    assert_eq!(won.count(), 4);
    shop.close().await;
}
