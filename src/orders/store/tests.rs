use std::collections::HashMap;

use futures_util::{TryStreamExt, future::join_all};

use super::*;
use crate::{
    catalog::StockRoom,
    orders::{
        model::{RefundItem, Refusal},
        testing::{Mood, TestShop, history_is_legal, new_order, place, usd},
    },
};

fn wish(to: OrderStatus) -> StatusWish {
    StatusWish {
        to,
        note: None,
        tracking: None,
        by: By::Staff(UserId::new()),
        refund: RefundId::new(),
    }
}

fn refund_of(amount: Option<Money>) -> RefundWish {
    RefundWish {
        id: RefundId::new(),
        amount,
        reason: Some("sorry".into()),
        items: Vec::new(),
        by: By::System,
        at: Timestamp::now(),
    }
}

/// Compiles for futures that may move between threads only.
fn movable<T: Send>(future: T) -> T {
    future
}

async fn numbers_of(shop: &TestShop) -> HashMap<UserId, Vec<i64>> {
    let events = shop
        .orders
        .events
        .find(doc! {})
        .sort(doc! { "number_for_user": 1 });
    let events: Vec<OrderEvent> = events.await.unwrap().try_collect().await.unwrap();
    let mut numbers = HashMap::<_, Vec<_>>::new();
    for event in events {
        numbers
            .entry(event.user)
            .or_default()
            .push(event.number_for_user);
    }
    numbers
}

/// Lets the sweep find everything at once.
async fn time_passes(shop: &TestShop) {
    let pending = super::attended();
    let past = doc! { "$set": { "attend_at": Timestamp::from_millis(1) } };
    shop.orders
        .documents
        .update_many(pending.clone(), past.clone())
        .await
        .unwrap();
    shop.orders
        .restocks
        .update_many(pending, past)
        .await
        .unwrap();
}

#[actix_web::test]
async fn event_numbers_have_no_gap_however_many_write_at_once() {
    let shop = TestShop::open(Vec::new()).await;
    let users: Vec<UserId> = (0..5).map(|_| UserId::new()).collect();
    let hot = users[0];
    let new: Vec<NewOrder> = (0..20)
        .map(|_| new_order(hot))
        .chain(users.iter().map(|user| new_order(*user)))
        .collect();
    let placed = join_all(new.iter().map(|new| place(&shop.mongo, &shop.orders, new))).await;
    assert!(placed.iter().all(Result::is_ok), "{placed:?}");
    let processing = wish(OrderStatus::Processing);
    let steps = new
        .iter()
        .map(|order| shop.orders.set_status(order.id, &processing, IfMatch::Any));
    for moved in join_all(steps).await {
        moved.unwrap();
    }
    for (user, numbers) in numbers_of(&shop).await {
        let orders = if user == hot { 21 } else { 1 };
        assert_eq!(numbers, (1..=orders * 2).collect::<Vec<_>>());
        let read = shop.orders.events_after(user, 1, 10).await.unwrap();
        assert_eq!(read.first().map(|event| event.number_for_user), Some(2));
        assert_eq!(shop.orders.last_event_of(user).await.unwrap(), orders * 2);
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_checkout_has_one_order() {
    let shop = TestShop::open(Vec::new()).await;
    let new = new_order(UserId::new());
    shop.place(&new).await;
    let again = NewOrder {
        id: OrderId::new(),
        number: "B-other".into(),
        ..new.clone()
    };
    let refused = place(&shop.mongo, &shop.orders, &again).await.unwrap_err();
    assert!(refused.is_duplicate_key());
    assert_eq!(numbers_of(&shop).await[&new.user], [1]);
    shop.close().await;
}

#[actix_web::test]
async fn of_ten_racing_status_changes_one_wins_and_the_rest_hear_what_is_allowed() {
    let shop = TestShop::open(Vec::new()).await;
    let order = shop.place(&new_order(UserId::new())).await;
    let processing = wish(OrderStatus::Processing);
    let racing = (0..10).map(|_| shop.orders.set_status(order.id, &processing, IfMatch::Any));
    let ended = join_all(racing).await;
    assert_eq!(ended.iter().filter(|end| end.is_ok()).count(), 1);
    for refused in ended.into_iter().filter_map(Result::err) {
        let OrderError::Refused(Refusal::InvalidTransition { allowed, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(allowed, [OrderStatus::Shipped, OrderStatus::Cancelled]);
    }
    let stale = shop
        .orders
        .set_status(
            order.id,
            &wish(OrderStatus::Shipped),
            IfMatch::OneOf(vec![1]),
        )
        .await;
    assert!(matches!(stale, Err(OrderError::Stale(2))));
    let unknown = shop
        .orders
        .set_status(OrderId::new(), &processing, IfMatch::Any)
        .await;
    assert!(matches!(unknown, Err(OrderError::NotFound)));
    shop.close().await;
}

#[actix_web::test]
async fn ten_racing_partial_refunds_never_exceed_the_capture() {
    let shop = TestShop::open(Vec::new()).await;
    let new = new_order(UserId::new());
    let order = shop.place(&new).await;
    let wishes: Vec<RefundWish> = (0..10).map(|_| refund_of(Some(usd(300)))).collect();
    let ended = join_all(
        wishes
            .iter()
            .map(|wish| shop.refunds.refund(order.id, wish)),
    )
    .await;
    assert_eq!(ended.iter().filter(|end| end.is_ok()).count(), 3);
    for refused in ended.into_iter().filter_map(Result::err) {
        assert!(
            matches!(refused, OrderError::Refused(Refusal::RefundTooLarge { left }) if left == usd(100)),
            "{refused:?}"
        );
    }
    assert_eq!(shop.gateway.given_back(&new.payment.capture), 900);
    let order = shop.orders.find(order.id).await.unwrap().unwrap();
    assert_eq!(order.payment.refunded, usd(900));
    assert_eq!(order.payment.status, PaymentStatus::PartiallyRefunded);
    assert_eq!(
        order.version,
        1 + 2 * 3,
        "booked and concluded, three times"
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_lost_answer_is_asked_for_again_and_the_money_goes_back_once() {
    let shop = TestShop::open(Vec::new()).await;
    let new = new_order(UserId::new());
    let order = shop.sell(&new).await;
    shop.gateway.set_mood(Mood::AnswerLost);
    let cancel = wish(OrderStatus::Cancelled);
    let cancelled = shop.refunds.set_status(order.id, &cancel, IfMatch::Any);
    let cancelled = cancelled.await.unwrap();
    assert_eq!(cancelled.refunds[0].state, RefundState::Pending);
    assert_eq!(shop.available(new.items[0].variant).await, 2);

    assert_eq!(
        shop.refunds.sweep().await.unwrap(),
        0,
        "whoever booked it has time to finish"
    );
    shop.gateway.set_mood(Mood::Completes);
    time_passes(&shop).await;
    assert_eq!(
        shop.refunds.sweep().await.unwrap(),
        2,
        "the refund, and the return to forget"
    );
    let order = shop.orders.find(order.id).await.unwrap().unwrap();
    assert_eq!(order.refunds[0].state, RefundState::Completed);
    assert_eq!(order.payment.status, PaymentStatus::Refunded);
    assert_eq!(shop.gateway.given_back(&new.payment.capture), 1_000);
    assert_eq!(shop.gateway.calls(), 2);
    time_passes(&shop).await;
    assert_eq!(shop.refunds.sweep().await.unwrap(), 0);
    assert_eq!(
        shop.available(new.items[0].variant).await,
        2,
        "taken back once"
    );
    assert!(history_is_legal(&order));
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_under_way_is_concluded_by_the_sweep() {
    let shop = TestShop::open(Vec::new()).await;
    let order = shop.place(&new_order(UserId::new())).await;
    shop.gateway.set_mood(Mood::Pending);
    let wish = refund_of(None);
    let booked = shop.refunds.refund(order.id, &wish).await.unwrap();
    assert_eq!(booked.refunds[0].state, RefundState::Pending);
    let again = shop.refunds.refund(order.id, &wish).await.unwrap();
    assert_eq!(
        again.refunds.len(),
        1,
        "the same refund is not booked twice"
    );
    shop.gateway.set_mood(Mood::Completes);
    time_passes(&shop).await;
    shop.refunds.resume().await.unwrap();
    let order = shop.orders.find(order.id).await.unwrap().unwrap();
    assert_eq!(order.refunds[0].state, RefundState::Completed);
    assert!(order.refunds[0].provider.is_some());
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_under_way_is_concluded_as_soon_as_the_provider_tells_of_one() {
    let shop = TestShop::open(Vec::new()).await;
    let order = shop.place(&new_order(UserId::new())).await;
    shop.gateway.set_mood(Mood::Pending);
    let wish = refund_of(None);
    shop.refunds.refund(order.id, &wish).await.unwrap();
    shop.gateway.set_mood(Mood::Completes);
    let read = async || shop.orders.find(order.id).await.unwrap().unwrap();
    shop.refunds.conclude(read().await).await;
    assert_eq!(read().await.refunds[0].state, RefundState::Completed);
    shop.close().await;
}

#[actix_web::test]
async fn a_refused_refund_leaves_the_money_for_the_next() {
    let shop = TestShop::open(Vec::new()).await;
    let order = shop.place(&new_order(UserId::new())).await;
    shop.gateway.set_mood(Mood::Refuses);
    let refused = shop.refunds.refund(order.id, &refund_of(None)).await;
    assert!(matches!(refused, Err(OrderError::RefundRefused(issue)) if issue.contains("FUNDS")));
    shop.gateway.set_mood(Mood::Completes);
    let order = shop
        .refunds
        .refund(order.id, &refund_of(None))
        .await
        .unwrap();
    assert_eq!(order.payment.status, PaymentStatus::Refunded);
    assert_eq!(
        order.status,
        OrderStatus::Cancelled,
        "nobody ships what was paid back"
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_denied_payment_cancels_once_and_brings_the_goods_back() {
    let shop = TestShop::open(Vec::new()).await;
    let mut new = new_order(UserId::new());
    new.payment.status = PaymentStatus::Pending;
    shop.sell(&new).await;
    let capture = &new.payment.capture;
    for _ in 0..2 {
        let denied = shop
            .orders
            .payment_changed(capture, PaymentStatus::Denied)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((denied.status, denied.version), (OrderStatus::Cancelled, 2));
    }
    assert_eq!(shop.available(new.items[0].variant).await, 2);
    assert_eq!(numbers_of(&shop).await[&new.user], [1, 2]);
    let stranger = CaptureId::parse("NOBODYS").unwrap();
    movable(shop.refunds.resume()).await.unwrap();
    assert!(
        movable(
            shop.orders
                .payment_changed(&stranger, PaymentStatus::Completed)
        )
        .await
        .unwrap()
        .is_none()
    );
    shop.close().await;
}

#[actix_web::test]
async fn goods_that_are_not_booked_as_sold_yet_come_back_later() {
    let shop = TestShop::open(Vec::new()).await;
    let new = new_order(UserId::new());
    let order = shop.place(&new).await;
    let item = &new.items[0];
    shop.stock
        .open_variants(item.product, &[(item.variant, 2)])
        .await
        .unwrap();
    let line = crate::catalog::HoldLine {
        variant: item.variant,
        quantity: 2,
    };
    shop.stock
        .hold(
            &crate::catalog::Holder::stranger(new.checkout),
            &[line],
            Duration::from_mins(1),
        )
        .await
        .unwrap()
        .unwrap();
    shop.refunds
        .set_status(order.id, &wish(OrderStatus::Cancelled), IfMatch::Any)
        .await
        .unwrap();
    assert_eq!(shop.available(item.variant).await, 0);
    let pinned = shop.stock.pin(new.checkout, vec![item.variant]).await;
    assert!(pinned.unwrap());
    shop.stock
        .sell(new.checkout, vec![item.variant])
        .await
        .unwrap();
    time_passes(&shop).await;
    shop.refunds.resume().await.unwrap();
    assert_eq!(shop.available(item.variant).await, 2);
    shop.close().await;
}

#[actix_web::test]
async fn goods_that_came_back_with_a_refund_do_not_come_back_again_with_the_order() {
    let shop = TestShop::open(Vec::new()).await;
    let new = new_order(UserId::new());
    let order = shop.sell(&new).await;
    let back = RefundWish {
        items: vec![RefundItem {
            line: new.items[0].line,
            quantity: 1,
            restock: Some(true),
        }],
        ..refund_of(None)
    };
    shop.refunds.refund(order.id, &back).await.unwrap();
    assert_eq!(shop.available(new.items[0].variant).await, 1);
    let cancel = wish(OrderStatus::Cancelled);
    let cancelled = shop.refunds.set_status(order.id, &cancel, IfMatch::Any);
    let cancelled = cancelled.await.unwrap();
    assert_eq!(shop.available(new.items[0].variant).await, 2);
    assert_eq!(cancelled.payment.refunded, usd(1_000));
    shop.close().await;
}

#[actix_web::test]
async fn the_providers_own_refunds_are_booked_and_never_less_than_before() {
    let shop = TestShop::open(Vec::new()).await;
    let new = new_order(UserId::new());
    shop.sell(&new).await;
    let capture = &new.payment.capture;
    for (told, stands, version) in [
        (300, 300, 2),
        (200, 300, 2),
        (300, 300, 2),
        (1_000, 1_000, 3),
    ] {
        let order = shop
            .orders
            .provider_refunded(capture, usd(told))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (order.payment.refunded, order.version),
            (usd(stands), version)
        );
    }
    let reversal = reversal(None);
    let order = shop.orders.reversed(capture, &reversal).await;
    let order = order.unwrap().unwrap();
    assert_eq!(
        (order.status, order.payment.status),
        (OrderStatus::Cancelled, PaymentStatus::Reversed)
    );
    shop.close().await;
}

#[actix_web::test]
async fn the_summary_counts_what_a_reversal_took() {
    let shop = TestShop::open(Vec::new()).await;
    let mut captures = Vec::new();
    for _ in 0..4 {
        let new = new_order(UserId::new());
        shop.place(&new).await;
        captures.push(new.payment.capture);
    }
    let reverse = async |place: usize, amount| {
        let reversal = reversal(amount);
        shop.orders.reversed(&captures[place], &reversal).await
    };
    for (place, amount) in [(0, Some(usd(250))), (1, None), (2, Some(usd(250)))] {
        reverse(place, amount).await.unwrap();
    }
    shop.orders.reversal_canceled(&captures[2]).await.unwrap();
    // As an earlier release has written it.
    shop.orders
        .provider_refunded(&captures[3], usd(100))
        .await
        .unwrap();
    let old = doc! { "$set": { "payment.status": "Reversed" } };
    let written = shop
        .orders
        .documents
        .update_one(of_capture(&captures[3]), old);
    written.await.unwrap();
    let (from, to) = (
        Timestamp::from_millis(0),
        Timestamp::from_millis(i64::MAX / 2),
    );
    let figures = shop.orders.summarise(from, to).await.unwrap();
    assert_eq!((figures.paid, figures.revenue), (4, 4_000));
    assert_eq!(figures.refunded, 250 + 1_000 + 1_000);
    shop.close().await;
}

fn reversal(amount: Option<Money>) -> Reversal {
    Reversal {
        provider: ProviderRefundId::parse("REV1"),
        amount,
    }
}

#[actix_web::test]
async fn pages_of_a_list_hold_every_order_once_though_some_are_made_meanwhile() {
    let shop = TestShop::open(Vec::new()).await;
    let user = UserId::new();
    for _ in 0..5 {
        shop.place(&new_order(user)).await;
    }
    let filter = Filter {
        user: Some(user),
        ..Filter::default()
    };
    let first = shop.orders.list(&filter, None, 3).await.unwrap();
    shop.place(&new_order(user)).await;
    let rest = shop
        .orders
        .list(&filter, first.last().map(Place::of), 3)
        .await
        .unwrap();
    let seen: std::collections::HashSet<OrderId> =
        first.iter().chain(&rest).map(|order| order.id).collect();
    assert_eq!((first.len(), rest.len(), seen.len()), (3, 2, 5));
    assert_eq!(shop.orders.count(&filter).await.unwrap(), 6);
    let found = async |words: &[&str]| {
        let words = words.iter().map(ToString::to_string).collect();
        shop.orders
            .count(&Filter {
                words,
                ..Filter::default()
            })
            .await
            .unwrap()
    };
    assert_eq!(found(&["love", "ada"]).await, 6);
    assert_eq!(
        found(&[".*"]).await + found(&["$ne"]).await + found(&["velace"]).await,
        0
    );
    assert_eq!(found(&[&first[0].number.to_lowercase()]).await, 1);
    shop.close().await;
}
