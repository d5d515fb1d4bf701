//! What clients see: each event once, in order, whatever happens on the way.

use actix_web::rt;
use bson::doc;
use futures_util::StreamExt;
use serde_json::json;

use super::support::{Events, Live, Seen, Socket};
use crate::{
    accounts::Role,
    clock::Timestamp,
    id::{EventId, OrderId, SessionId, UserId},
    orders::{
        self, OrderEvent, OrderStatus,
        model::{EventData, EventKind},
        testing::{new_order, place},
    },
    realtime::{
        hub_actor::{Channel, Explode},
        stream::{self, Delivery},
    },
};

/// Makes `count` orders one after another, beside whatever the test does.
fn produce(live: &Live, user: UserId, count: usize) -> rt::task::JoinHandle<()> {
    let (mongo, orders) = (live.shop.mongo.clone(), live.shop.orders.clone());
    rt::spawn(async move {
        for _ in 0..count {
            place(&mongo, &orders, &new_order(user)).await.unwrap();
        }
    })
}

#[actix_web::test]
async fn a_client_that_resumes_sees_each_event_once_while_more_are_made() {
    let live = Live::start(&[]).await;
    let user = UserId::new();
    let token = live.token(user, Role::Customer);
    for _ in 0..60 {
        live.order(user).await;
    }
    let producer = produce(&live, user, 60);
    let mut socket = Socket::open(&live.base, "since=5", &token).await;
    let hello = socket.message().await;
    assert_eq!(
        (&hello["type"], &hello["heartbeatSeconds"]),
        (&json!("hello"), &json!(15))
    );
    for number in 6..=90 {
        assert_eq!(socket.message().await["id"], number);
    }
    drop(socket);
    let mut events = Events::open(&live.base, "since=5", &token, Some("90")).await;
    assert_eq!(events.next().await.unwrap().event, "hello");
    for number in 91..=120_i64 {
        let sent = events.next().await.unwrap();
        assert_eq!(
            (sent.id, &sent.data["id"]),
            (Some(number.to_string()), &json!(number))
        );
        assert_eq!(sent.event, "order.created");
    }
    producer.await.unwrap();
    live.stop().await;
}

#[actix_web::test]
async fn an_event_looks_as_the_contract_says() {
    let live = Live::start(&[]).await;
    let (buyer, other, clerk) = (UserId::new(), UserId::new(), UserId::new());
    let mut socket = Socket::open(&live.base, "", &live.token(buyer, Role::Customer)).await;
    let staff = live.token(clerk, Role::Staff);
    let mut staff = Socket::open(&live.base, "channel=orders", &staff).await;
    assert_eq!(socket.message().await["lastEventId"], 0);
    assert_eq!(staff.message().await["type"], "hello");
    live.order(other).await;
    let new = new_order(buyer);
    let order = live.shop.place(&new).await;
    let seen = socket.message().await;
    let expected = json!({
        "id": 1, "type": "order.created", "at": order.created_at, "orderId": order.id,
        "number": order.number, "status": "Pending", "previousStatus": null, "version": 1,
        "data": { "payment": "Completed", "total": { "amount": 1000, "currency": "USD" } },
    });
    assert_eq!(seen, expected);
    staff.message().await;
    let told = staff.message().await;
    assert_eq!((&told["orderId"], told.get("id")), (&json!(order.id), None));
    live.stop().await;
}

#[actix_web::test]
async fn a_stream_of_now_begins_now_and_a_future_since_is_the_present() {
    let live = Live::start(&[]).await;
    let user = UserId::new();
    let token = live.token(user, Role::Customer);
    live.order(user).await;
    live.order(user).await;
    for query in ["", "since=2", "since=3", "since=18446744073709551615"] {
        let mut socket = Socket::open(&live.base, query, &token).await;
        assert_eq!(socket.message().await["lastEventId"], 2, "{query}");
        let mut events = Events::open(&live.base, query, &token, None).await;
        let hello = events.next().await.unwrap();
        assert_eq!(
            hello.id.as_deref(),
            Some("2"),
            "a reconnect resumes after it"
        );
    }
    let mut socket = Socket::open(&live.base, "since=9", &token).await;
    socket.message().await;
    live.order(user).await;
    assert_eq!(socket.message().await["id"], 3);
    live.stop().await;
}

#[actix_web::test]
async fn a_change_made_through_another_node_arrives() {
    let live = Live::start(&[]).await;
    let (base, _hub, server) = live.another_node().await;
    let user = UserId::new();
    let token = live.token(user, Role::Customer);
    let (mut here, mut there) = (
        Socket::open(&live.base, "since=0", &token).await,
        Socket::open(&base, "since=0", &token).await,
    );
    here.message().await;
    there.message().await;
    for number in 1..=3 {
        live.order(user).await;
        assert_eq!(here.message().await["id"], number);
        assert_eq!(there.message().await["id"], number);
    }
    server.stop(false).await;
    live.stop().await;
}

#[actix_web::test]
async fn a_fault_in_the_hub_costs_no_event() {
    let live = Live::start(&[]).await;
    let user = UserId::new();
    let mut socket = Socket::open(&live.base, "since=0", &live.token(user, Role::Customer)).await;
    socket.message().await;
    live.order(user).await;
    assert_eq!(socket.message().await["id"], 1);
    assert!(live.hub.addr().send(Explode).await.is_err());
    live.order(user).await;
    live.order(user).await;
    assert_eq!(socket.message().await["id"], 2);
    assert_eq!(socket.message().await["id"], 3);
    live.stop().await;
}

#[actix_web::test]
async fn the_buyers_cart_is_told_of_to_the_buyer_only() {
    let live = Live::start(&[]).await;
    let (user, other) = (UserId::new(), UserId::new());
    let mut socket = Socket::open(&live.base, "", &live.token(user, Role::Customer)).await;
    let mut others = Socket::open(&live.base, "", &live.token(other, Role::Customer)).await;
    socket.message().await;
    others.message().await;
    let carts = live
        .shop
        .mongo
        .database()
        .collection::<bson::Document>("carts");
    let at = |version: i64| Timestamp::from_millis(1_700_000_000_000 + version);
    carts
        .insert_one(doc! { "_id": user, "version": 1_i64, "updated_at": at(1) })
        .await
        .unwrap();
    let change = doc! { "$set": { "version": 2_i64, "updated_at": at(2), "items": [] } };
    carts
        .update_one(doc! { "_id": user }, change)
        .await
        .unwrap();
    for version in [1, 2] {
        let told = socket.message().await;
        assert_eq!(
            (&told["type"], &told["version"]),
            (&json!("cart.updated"), &json!(version))
        );
        assert_eq!(told["at"], json!(at(version)), "not when it was told");
        assert_eq!(told.get("id"), None);
    }
    live.order(other).await;
    assert_eq!(
        others.message().await["type"],
        "order.created",
        "nothing of the other's cart"
    );
    live.stop().await;
}

#[actix_web::test]
async fn events_are_neither_compressed_nor_held_back() {
    let live = Live::start(&[]).await;
    let token = live.token(UserId::new(), Role::Customer);
    let events = Events::open(&live.base, "", &token, None).await;
    assert_eq!(events.headers["content-type"], "text/event-stream");
    assert_eq!(events.headers["content-encoding"], "identity");
    assert_eq!(events.headers["x-accel-buffering"], "no");
    live.stop().await;
}

#[actix_web::test]
async fn a_reader_that_stops_is_cut_off_and_the_others_are_not() {
    let live = Live::start(&[]).await;
    let user = UserId::new();
    let principal = live.tokens.read(&live.token(user, Role::Customer)).unwrap();
    let mut idle = stream::open(&live.hub, principal, Channel::Own, None)
        .await
        .unwrap();
    let mut reader = Socket::open(&live.base, "", &live.token(user, Role::Customer)).await;
    reader.message().await;
    let events = live.shop.mongo.database().collection(orders::EVENTS);
    for number in 1..=80 {
        let event = event_with_note(user, number, 2_000);
        events.insert_one(event).await.unwrap();
        assert_eq!(reader.message().await["id"], number);
    }
    let (mut numbers, mut bytes) = (Vec::new(), 0);
    let end = loop {
        match idle.deliveries.next().await.unwrap() {
            Delivery::Frame(frame) => {
                numbers.push(frame.id.unwrap());
                bytes += frame.json.len();
            }
            Delivery::End(end) => break end,
        }
    };
    let last = i64::try_from(numbers.len()).unwrap();
    assert_eq!(
        numbers,
        (1..=last).collect::<Vec<_>>(),
        "what waited, in order"
    );
    assert!((60_000..=65_536).contains(&bytes), "{bytes}");
    assert_eq!(end.code(), 4008);
    assert!(idle.deliveries.next().await.is_none());
    live.stop().await;
}

#[actix_web::test]
async fn a_socket_whose_client_stops_reading_is_closed_with_4008() {
    let live = Live::start(&[]).await;
    let user = UserId::new();
    let token = live.token(user, Role::Customer);
    let mut slow = Socket::open(&live.base, "", &token).await;
    let mut reader = Socket::open(&live.base, "", &token).await;
    reader.message().await;
    // Far more bytes than the kernel's buffers between server and client hold, each message nearly an outbox.
    let events = live.shop.mongo.database().collection(orders::EVENTS);
    for number in 1..=300 {
        let event = event_with_note(user, number, 60_000);
        events.insert_one(event).await.unwrap();
        assert_eq!(reader.message().await["id"], number);
    }
    assert_eq!(slow.message().await["type"], "hello");
    let mut last = 0;
    let end = loop {
        match slow.next().await {
            Seen::Message(event) => {
                assert_eq!(event["id"], last + 1);
                last += 1;
            }
            end @ (Seen::Closed(_) | Seen::Lost) => break end,
        }
    };
    assert_eq!(end, Seen::Closed(4008));
    assert!((1..300).contains(&last), "{last}");
    let mut resumed = Socket::open(&live.base, &format!("since={last}"), &token).await;
    resumed.message().await;
    assert_eq!(resumed.message().await["id"], last + 1);
    live.stop().await;
}

/// An event that is longer than `length` bytes.
fn event_with_note(user: UserId, number: i64, length: usize) -> OrderEvent {
    OrderEvent {
        id: EventId::new(),
        user,
        number_for_user: number,
        order: OrderId::new(),
        order_number: "B-1".into(),
        kind: EventKind::StatusChanged,
        status: OrderStatus::Processing,
        previous_status: None,
        version: 1,
        at: Timestamp::now(),
        data: EventData {
            note: Some("x".repeat(length)),
            ..EventData::default()
        },
    }
}

#[actix_web::test]
async fn a_reader_that_pauses_while_it_catches_up_is_not_cut_off() {
    let live = Live::start(&[]).await;
    let user = UserId::new();
    let principal = live.tokens.read(&live.token(user, Role::Customer)).unwrap();
    live.order(user).await;
    let mut late = stream::open(&live.hub, principal, Channel::Own, Some(0))
        .await
        .unwrap();
    for _ in 0..100 {
        live.order(user).await;
    }
    for number in 1..=101 {
        match late.deliveries.next().await.unwrap() {
            Delivery::Frame(frame) => assert_eq!(frame.id, Some(number)),
            Delivery::End(end) => panic!("{end:?} before {number}"),
        }
    }
    live.stop().await;
}

#[actix_web::test]
async fn a_stream_ends_with_its_token_and_with_its_sign_in() {
    let live = Live::start(&[("BODEGA__AUTH__ACCESS_SECONDS", "60")]).await;
    let user = UserId::new();
    let mut principal = live.tokens.read(&live.token(user, Role::Customer)).unwrap();
    principal.expires_at = Timestamp::now().after(std::time::Duration::from_millis(200));
    let mut short = stream::open(&live.hub, principal, Channel::Own, None)
        .await
        .unwrap();
    assert!(
        matches!(short.deliveries.next().await, Some(Delivery::End(end)) if end.code() == 4001)
    );

    let session = SessionId::new();
    let token = live.tokens.sign(user, session, Role::Customer).unwrap();
    let mut socket = Socket::open(&live.base, "", &token).await;
    let mut events = Events::open(&live.base, "", &token, None).await;
    let mut other = Socket::open(&live.base, "", &live.token(user, Role::Customer)).await;
    socket.message().await;
    events.next().await;
    other.message().await;
    let sessions = live
        .shop
        .mongo
        .database()
        .collection::<bson::Document>("sessions");
    sessions.insert_one(doc! { "_id": session }).await.unwrap();
    let revoke = doc! { "$set": { "revoked_at": Timestamp::now() } };
    sessions
        .update_one(doc! { "_id": session }, revoke)
        .await
        .unwrap();
    assert_eq!(socket.end().await, Seen::Closed(4001));
    assert_eq!(events.next().await.unwrap().data["code"], 4001);
    assert!(events.next().await.is_none());
    live.order(user).await;
    assert_eq!(other.message().await["id"], 1, "the other sign-in goes on");
    live.stop().await;
}

#[actix_web::test]
async fn shutdown_says_goodbye_to_all_and_takes_nobody_in() {
    let live = Live::start(&[]).await;
    let token = live.token(UserId::new(), Role::Customer);
    let mut socket = Socket::open(&live.base, "", &token).await;
    let mut events = Events::open(&live.base, "", &token, None).await;
    socket.message().await;
    events.next().await;
    assert_eq!(live.hub.streams(), 2);
    live.hub.shutdown().await;
    assert_eq!(live.hub.streams(), 0);
    assert_eq!(socket.end().await, Seen::Closed(1012));
    assert_eq!(events.next().await.unwrap().data["code"], 1012);
    let bearer = format!("Bearer {token}");
    let late = Socket::open_with(&live.base, "", &[("authorization", &bearer)]).await;
    assert_eq!(late.err().unwrap().status(), 503);
    live.stop().await;
}
