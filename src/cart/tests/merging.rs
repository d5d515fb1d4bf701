//! A guest's cart on its way into a user's, and what an order takes out.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::sessions::by_user;
use crate::{
    cart::{
        CartError, CartIntent, CartRefusal, Carts, Command, Guest, cart_of,
        testing::{Database, Shelves, config, line, line_of, offer},
        token::GuestToken,
    },
    catalog::Offer,
    id::{CartId, UserId},
    mongo::StoreError,
};

fn node(database: &Database) -> Carts {
    Carts::new(&database.mongo, &config(&[]), Shelves::with(&[]))
}

fn by_guest(token: &GuestToken, makes: bool, offer: &Offer) -> Command {
    Command {
        owner: token.owner(),
        makes,
        expected: None,
        intent: CartIntent::Add(line_of(offer, 1)),
    }
}

fn showing(token: &GuestToken) -> Guest {
    Guest {
        token: token.clone(),
        by_cookie: false,
    }
}

async fn guest_with(carts: &Carts, offers: &[&Offer]) -> GuestToken {
    let token = GuestToken::new();
    for offer in offers {
        carts
            .apply(token.cart, by_guest(&token, true, offer))
            .await
            .unwrap();
    }
    token
}

#[actix_web::test]
async fn signing_in_adds_the_guest_s_lines_once_however_often_it_is_done() {
    let database = Database::create("cart_merging").await;
    let nodes = [node(&database), node(&database)];
    let (mug, tea) = (offer(1_250), offer(499));
    let guest = guest_with(&nodes[0], &[&mug, &tea]).await;
    let user = UserId::new();
    nodes[0]
        .apply(cart_of(user), by_user(CartIntent::Add(line_of(&mug, 4))))
        .await
        .unwrap();
    let shown = showing(&guest);
    let merges = (0..10).map(|number| nodes[number % 2].merge(&shown, user));
    for merged in join_all(merges).await {
        merged.unwrap();
    }
    let cart = nodes[1].snapshot(cart_of(user)).await.unwrap();
    let units: Vec<_> = cart
        .items
        .iter()
        .map(|line| (line.variant, line.quantity))
        .collect();
    assert_eq!(units, [(mug.variant, 5), (tea.variant, 1)]);
    assert_eq!(cart.version, 2);
    // The guest's cart is gone, on a node that remembers it too.
    let late = nodes[0]
        .apply(guest.cart, by_guest(&guest, false, &mug))
        .await
        .unwrap_err();
    assert!(
        matches!(
            late,
            CartError::Refused {
                refusal: CartRefusal::Gone,
                ..
            }
        ),
        "{late}"
    );
    // The user's session, which remembers version 1, goes on from the merged cart.
    let next = nodes[0]
        .apply(cart_of(user), by_user(CartIntent::Add(line(1))))
        .await
        .unwrap();
    assert_eq!((next.version, next.items.len()), (3, 3));
    database.drop().await;
}

#[actix_web::test]
async fn a_token_that_is_no_one_s_changes_nothing() {
    let database = Database::create("cart_merging").await;
    let carts = node(&database);
    let guest = guest_with(&carts, &[&offer(1)]).await;
    let user = UserId::new();
    let with_another_secret = |cart: CartId| {
        let other = GuestToken::new().text();
        let secret = other.split_once('.').unwrap().1;
        GuestToken::parse(&format!("{cart}.{secret}")).unwrap()
    };
    carts
        .apply(cart_of(user), by_user(CartIntent::Add(line(1))))
        .await
        .unwrap();
    for token in [
        with_another_secret(guest.cart),
        with_another_secret(cart_of(user)),
        GuestToken::new(),
    ] {
        carts.merge(&showing(&token), user).await.unwrap();
    }
    assert_eq!(carts.snapshot(cart_of(user)).await.unwrap().version, 1);
    assert_eq!(carts.find(guest.cart).await.unwrap().unwrap().version, 1);
    database.drop().await;
}

#[actix_web::test]
async fn edits_beside_a_merge_are_in_one_of_both_carts() {
    let database = Database::create("cart_merging").await;
    let nodes = [node(&database), node(&database)];
    let (mug, tea) = (offer(1_250), offer(499));
    for _round in 0..5 {
        let guest = guest_with(&nodes[0], &[&mug]).await;
        let user = UserId::new();
        let id = cart_of(user);
        let as_guest = join_all(
            (0..20)
                .map(|number| nodes[number % 2].apply(guest.cart, by_guest(&guest, false, &mug))),
        );
        let as_user =
            join_all((0..20).map(|number| {
                nodes[number % 2].apply(id, by_user(CartIntent::Add(line_of(&tea, 1))))
            }));
        let shown = showing(&guest);
        let (as_guest, as_user, merged) =
            futures_util::join!(as_guest, as_user, nodes[1].merge(&shown, user));
        merged.unwrap();
        let mut mugs = 1;
        for answer in as_guest {
            match answer {
                Ok(_) => mugs += 1,
                Err(CartError::Refused {
                    refusal: CartRefusal::Gone,
                    ..
                }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(as_user.iter().all(Result::is_ok));
        let cart = nodes[0].snapshot(id).await.unwrap();
        let units = |offer: &Offer| {
            let line = cart.items.iter().find(|line| line.variant == offer.variant);
            line.map_or(0, |line| line.quantity)
        };
        assert_eq!((units(&mug), units(&tea)), (mugs, 20));
        assert_eq!(cart.version, 21);
    }
    database.drop().await;
}

#[actix_web::test]
async fn an_order_takes_out_what_was_ordered_with_its_transaction_or_not_at_all() {
    let database = Database::create("cart_merging").await;
    let carts = node(&database);
    let id = cart_of(UserId::new());
    let (mug, tea) = (line(5), line(2));
    for line in [&mug, &tea] {
        carts
            .apply(id, by_user(CartIntent::Add(line.clone())))
            .await
            .unwrap();
    }
    let before = carts.snapshot(id).await.unwrap();
    let ordered = [(mug.id, 3), (tea.id, 2)];
    let aborted = database.mongo.transaction(async |session| {
        carts.take_out_in(session, id, &ordered).await?;
        Err::<(), _>(StoreError::abort("no"))
    });
    assert!(aborted.await.is_err());
    assert_eq!(carts.snapshot(id).await.unwrap(), before);
    let done = database.mongo.transaction(async |session| {
        carts.take_out_in(session, id, &ordered).await?;
        carts
            .take_out_in(session, cart_of(UserId::new()), &ordered)
            .await
    });
    done.await.unwrap();
    let after = Arc::new(carts.snapshot(id).await.unwrap());
    assert_eq!(
        (after.version, after.items.len(), after.items[0].quantity),
        (3, 1, 2)
    );
    // The session still remembers version 2.
    let next = carts
        .apply(id, by_user(CartIntent::RemoveLine(mug.id)))
        .await
        .unwrap();
    assert_eq!((next.version, next.items.len()), (4, 0));
    assert!(carts.drain(Duration::from_secs(5)).await);
    database.drop().await;
}
