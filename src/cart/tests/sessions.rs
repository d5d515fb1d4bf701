//! Sessions: many clients, several nodes, queues, passivation, shutdown.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    cart::{
        Cart, CartError, CartIntent, CartRefusal, Carts, Command, MAX_QUANTITY, Owner, cart_of,
        testing::{Database, Shelves, config, line, line_of, offer},
    },
    id::{CartId, UserId},
};

pub(super) fn by_user(intent: CartIntent) -> Command {
    Command {
        owner: Owner::User,
        makes: true,
        expected: None,
        intent,
    }
}

fn node(database: &Database, pairs: &[(&str, &str)]) -> Carts {
    Carts::new(&database.mongo, &config(pairs), Shelves::with(&[]))
}

pub(super) fn a_cart() -> CartId {
    cart_of(UserId::new())
}

/// Waits until `holds`, for ten seconds at most.
pub(super) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not in ten seconds: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Sends until it is taken: `busy` has changed nothing.
async fn insist(carts: &Carts, id: CartId, command: &Command) -> Result<Arc<Cart>, CartError> {
    loop {
        match carts.apply(id, command.clone()).await {
            Err(CartError::Busy) => sleep(Duration::from_millis(3)).await,
            answered => return answered,
        }
    }
}

#[actix_web::test]
async fn fifty_clients_on_two_nodes_lose_no_edit() {
    let database = Database::create("cart_sessions").await;
    let nodes = [node(&database, &[]), node(&database, &[])];
    let id = a_cart();
    let offers: Vec<_> = (0..10).map(|n| offer(100 + n)).collect();
    let shopper = async |number: usize| {
        let carts = &nodes[number % 2];
        let mut acked = Vec::new();
        for edit in 0..40 {
            let offer = &offers[(number + edit) % offers.len()];
            let shown = acked
                .last()
                .map(|(_, cart): &(Command, Arc<Cart>)| cart.items.clone());
            let some_line =
                shown.and_then(|lines| lines.get(edit % lines.len().max(1)).map(|l| l.id));
            let intent = match (edit % 8, some_line) {
                (5, Some(line)) => CartIntent::SetLine {
                    line,
                    quantity: Some(7),
                    options: None,
                    seen: None,
                },
                (7, Some(line)) => CartIntent::RemoveLine(line),
                _ => CartIntent::Add(line_of(offer, 1)),
            };
            let command = by_user(intent);
            match insist(carts, id, &command).await {
                Ok(cart) => acked.push((command, cart)),
                // Another shopper has removed the line meanwhile.
                Err(CartError::Refused {
                    refusal: CartRefusal::LineNotFound,
                    ..
                }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        acked
    };
    let mut acked = join_all((0..50).map(shopper)).await.concat();
    acked.sort_by_key(|(_, cart)| cart.version);

    let found = nodes[0].snapshot(id).await.unwrap();
    let mut folded = Cart::empty(id, Owner::User);
    for (command, answered) in &acked {
        folded = folded.apply(command, answered.updated_at.unwrap()).unwrap();
        assert_eq!(
            folded, **answered,
            "each answer is the cart at its own version"
        );
    }
    assert_eq!(u64::try_from(acked.len()).unwrap(), found.version);
    // Times are written to the millisecond, as they are kept in memory.
    assert_eq!(found, folded);

    let activity = nodes.each_ref().map(Carts::activity);
    let commands: u64 = activity.iter().map(|node| node.commands).sum();
    let writes: u64 = activity.iter().map(|node| node.writes).sum();
    assert_eq!(commands, found.version);
    assert!(
        writes * 2 < commands,
        "{writes} writes for {commands} commands"
    );
    for node in &nodes {
        assert!(node.drain(Duration::from_secs(5)).await);
    }
    database.drop().await;
}

#[actix_web::test]
async fn a_stale_node_neither_refuses_nor_answers_from_what_it_remembers() {
    let database = Database::create("cart_sessions").await;
    let [near, far] = [node(&database, &[]), node(&database, &[])];
    let id = a_cart();
    near.apply(id, by_user(CartIntent::Add(line(1))))
        .await
        .unwrap();
    let there = far
        .apply(id, by_user(CartIntent::Add(line(2))))
        .await
        .unwrap();
    let newest = there.items[1].id;
    // `near` remembers version 1, where that line is not.
    let over_two = Command {
        expected: Some(vec![2]),
        ..by_user(CartIntent::SetLine {
            line: newest,
            quantity: Some(9),
            options: None,
            seen: None,
        })
    };
    let set = near.apply(id, over_two.clone()).await.unwrap();
    assert_eq!((set.version, set.items[1].quantity), (3, 9));
    assert_eq!(far.snapshot(id).await.unwrap(), *set);
    let stale = far.apply(id, over_two).await.unwrap_err();
    let CartError::Refused {
        refusal: CartRefusal::Stale,
        present: Some(present),
    } = stale
    else {
        panic!("{stale}");
    };
    assert_eq!(present, set);
    database.drop().await;
}

#[actix_web::test]
async fn beyond_its_queue_a_cart_says_busy_and_keeps_what_it_took() {
    let database = Database::create("cart_sessions").await;
    let carts = node(&database, &[("BODEGA__CART__MAX_WAITING", "4")]);
    let id = a_cart();
    let sends = (0..40).map(|_| carts.apply(id, by_user(CartIntent::Add(line(1)))));
    let answers = join_all(sends).await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    let busy = answers
        .iter()
        .filter(|answer| matches!(answer, Err(CartError::Busy)))
        .count();
    assert_eq!((taken, busy), (4, 36));
    assert_eq!(carts.snapshot(id).await.unwrap().version, 4);
    let other = carts
        .apply(a_cart(), by_user(CartIntent::Add(line(1))))
        .await;
    assert!(other.is_ok(), "another cart has a queue of its own");
    database.drop().await;
}

#[actix_web::test]
async fn an_idle_session_leaves_and_comes_back() {
    let database = Database::create("cart_sessions").await;
    let carts = node(&database, &[("BODEGA__CART__IDLE_SECONDS", "0")]);
    let id = a_cart();
    let mug = offer(1_250);
    for version in 1..=3 {
        let cart = carts
            .apply(id, by_user(CartIntent::Add(line_of(&mug, 1))))
            .await
            .unwrap();
        assert_eq!(cart.version, version);
        eventually("the session leaves", || carts.activity().sessions == 0).await;
    }
    database.drop().await;
}

#[actix_web::test]
async fn no_command_is_lost_while_sessions_leave_under_it() {
    let database = Database::create("cart_sessions").await;
    let carts = node(
        &database,
        &[
            ("BODEGA__CART__IDLE_SECONDS", "0"),
            ("BODEGA__CART__MAX_SESSIONS", "4"),
        ],
    );
    let ids: Vec<_> = (0..12).map(|_| a_cart()).collect();
    let mug = offer(1_250);
    let shopper = async |number: usize| {
        for edit in 0..30 {
            let add = by_user(CartIntent::Add(line_of(&mug, 1)));
            insist(&carts, ids[(number * 7 + edit * 5) % ids.len()], &add)
                .await
                .unwrap();
        }
    };
    join_all((0..16).map(shopper)).await;
    let mut units = 0;
    for id in &ids {
        let cart = carts.snapshot(*id).await.unwrap();
        units += cart.items[0].quantity;
        assert_eq!(u64::from(cart.items[0].quantity), cart.version);
    }
    assert_eq!(units, 16 * 30);
    assert!(
        carts.activity().sessions <= 4 + 1,
        "a shard's share is rounded up"
    );
    database.drop().await;
}

#[actix_web::test]
async fn closing_answers_what_was_taken_and_takes_no_more() {
    let database = Database::create("cart_sessions").await;
    let carts = node(&database, &[]);
    let ids: Vec<_> = (0..20).map(|_| a_cart()).collect();
    let sends = ids.iter().map(|id| {
        let (carts, id) = (carts.clone(), *id);
        actix_web::rt::spawn(async move {
            carts
                .apply(id, by_user(CartIntent::Add(line(MAX_QUANTITY))))
                .await
        })
    });
    let sends: Vec<_> = sends.collect();
    eventually("the commands are under way", || {
        carts.activity().sessions == 20
    })
    .await;
    assert!(carts.drain(Duration::from_secs(10)).await);
    for (send, id) in sends.into_iter().zip(&ids) {
        assert_eq!(send.await.unwrap().unwrap().version, 1);
        assert_eq!(carts.snapshot(*id).await.unwrap().version, 1);
    }
    let late = carts.apply(ids[0], by_user(CartIntent::Clear)).await;
    assert!(matches!(late, Err(CartError::Closing)));
    database.drop().await;
}
