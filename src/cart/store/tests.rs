//! The store over a real database.

use std::{sync::Arc, time::Duration};

use bson::{Document, doc, oid::ObjectId};

use super::{COLLECTION, CartStore, Landed, REMEMBERED, Stored, difference::difference};
use crate::{
    cart::{
        model::{Cart, Owner, cart_of},
        testing::{self, line},
    },
    catalog::Options,
    clock::Timestamp,
    discounts::DiscountCode,
    id::{CartId, UserId},
};

fn stored(cart: Cart, mark: ObjectId) -> Stored {
    Stored::after(None, Arc::new(cart), mark)
}

fn guest_cart(version: u64) -> Cart {
    let mut line = line(2);
    line.options = Options::from([("$set".to_owned(), "$version.x".to_owned())]);
    Cart {
        version,
        items: vec![line],
        updated_at: Some(Timestamp::from_millis(5)),
        ..Cart::empty(CartId::new(), Owner::Guest("hash".to_owned()))
    }
}

#[actix_web::test]
async fn a_cart_comes_back_as_it_was_written_whatever_its_options_are_named() {
    let database = testing::Database::create("cart_store").await;
    let store = CartStore::new(&database.mongo, Duration::from_mins(1));
    let cart = guest_cart(1);
    let first = stored(cart.clone(), ObjectId::new());
    assert!(store.write(None, &first).await.unwrap());
    let read = store.find(cart.id).await.unwrap().unwrap();
    assert_eq!(*read.cart, cart);
    assert!(store.find(CartId::new()).await.unwrap().is_none());
    database.drop().await;
}

/// Ways in which a cart can differ from the one before.
fn changes() -> Vec<fn(&mut Cart)> {
    vec![
        |cart| cart.items.push(line(3)),
        |cart| cart.items.extend((0..11).map(|_| line(1))),
        |cart| cart.items[1].quantity = 999,
        |cart| cart.items[10].seen.title = "$seen.title".to_owned(),
        |cart| {
            let options = Options::from([("$a.b".to_owned(), "$$ROOT".to_owned())]);
            (cart.items[0].options, cart.items[12].quantity) = (options, 7);
        },
        |cart| cart.discounts.push(DiscountCode::parse("SPRING").unwrap()),
        |cart| drop(cart.items.remove(2)),
        |cart| cart.items.swap(0, 5),
        |cart| cart.items[4] = line(4),
        |_nothing| (),
        |cart| cart.discounts.clear(),
        |cart| cart.items.clear(),
        |cart| cart.items.push(line(1)),
    ]
}

#[actix_web::test]
async fn whatever_differs_is_written_and_the_latest_marks_are_remembered() {
    let database = testing::Database::create("cart_store").await;
    let store = CartStore::new(&database.mongo, Duration::from_mins(1));
    let mut held = stored(guest_cart(1), ObjectId::new());
    assert!(store.write(None, &held).await.unwrap());
    let mut latest = Vec::new();
    for change in changes() {
        let mut next = Cart::clone(&held.cart);
        change(&mut next);
        next.version += 1;
        next.updated_at = Some(Timestamp::from_millis(i64::try_from(next.version).unwrap()));
        let mark = ObjectId::new();
        latest.push((mark, held.cart.version));
        let next = Stored::after(Some(&held), Arc::new(next), mark);
        assert!(store.write(Some(&held), &next).await.unwrap());
        let again = store.write(Some(&held), &next).await.unwrap();
        assert!(!again, "it is over an older version now");
        held = store.find(next.cart.id).await.unwrap().unwrap();
        assert_eq!(held.cart, next.cart);
    }
    assert_eq!(held.marks.len(), REMEMBERED);
    let remembered = latest.split_off(latest.len() - REMEMBERED);
    for (mark, over) in remembered {
        assert_eq!(held.landed(mark, over), Landed::Yes);
    }
    for (mark, over) in latest {
        assert_eq!(held.landed(mark, over), Landed::Forgotten);
    }
    database.drop().await;
}

#[test]
fn an_update_says_no_more_than_what_has_changed() {
    let mut cart = guest_cart(1);
    cart.items.extend((0..20).map(|_| line(1)));
    let read = stored(cart.clone(), ObjectId::new());
    cart.version = 2;
    cart.items[13].quantity = 5;
    let next = Stored::after(Some(&read), Arc::new(cart), ObjectId::new());
    let update = difference(&read, &next, None).unwrap();
    let fields: Vec<_> = update.keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        ["version", "updated_at", "items.13.quantity", "marks.1"]
    );
}

#[actix_web::test]
async fn of_writers_over_one_version_one_wins() {
    let database = testing::Database::create("cart_store").await;
    let store = CartStore::new(&database.mongo, Duration::from_mins(1));
    let cart = guest_cart(1);
    for over in [0, 1, 2] {
        let next = Cart {
            version: over + 1,
            ..cart.clone()
        };
        let marks: Vec<_> = (0..8).map(|_| ObjectId::new()).collect();
        let before = store.find(cart.id).await.unwrap();
        let rivals: Vec<_> = marks
            .iter()
            .map(|mark| Stored::after(before.as_ref(), Arc::new(next.clone()), *mark))
            .collect();
        let writes = rivals
            .iter()
            .map(|rival| store.write(before.as_ref(), rival));
        let won = futures_util::future::join_all(writes).await;
        let won: Vec<_> = won.into_iter().map(Result::unwrap).collect();
        assert_eq!(
            won.iter().filter(|won| **won).count(),
            1,
            "over version {over}"
        );
        let read = store.find(cart.id).await.unwrap().unwrap();
        for (mark, won) in marks.iter().zip(won) {
            assert_eq!(read.landed(*mark, over) == Landed::Yes, won);
        }
    }
    database.drop().await;
}

#[actix_web::test]
async fn only_a_guests_cart_expires() {
    let database = testing::Database::create("cart_store").await;
    let store = CartStore::new(&database.mongo, Duration::from_mins(1));
    let guest = guest_cart(1);
    let user = Cart {
        id: cart_of(UserId::new()),
        owner: Owner::User,
        ..guest.clone()
    };
    for cart in [&guest, &user] {
        let first = stored(cart.clone(), ObjectId::new());
        assert!(store.write(None, &first).await.unwrap());
        let next = Cart {
            version: 2,
            ..cart.clone()
        };
        let next = Stored::after(Some(&first), Arc::new(next), ObjectId::new());
        assert!(store.write(Some(&first), &next).await.unwrap());
    }
    let raw = database.mongo.database().collection::<Document>(COLLECTION);
    let expiring = raw.count_documents(doc! { "expires_at": { "$type": "date" } });
    assert_eq!(expiring.await.unwrap(), 1);
    let expiring = raw
        .find_one(doc! { "_id": guest.id })
        .await
        .unwrap()
        .unwrap();
    let left = expiring
        .get_datetime("expires_at")
        .unwrap()
        .timestamp_millis()
        - Timestamp::now().millis();
    assert!((1_000..=60_000).contains(&left), "{left} ms");
    database.drop().await;
}

#[test]
fn a_mark_is_found_missing_or_forgotten() {
    let mut marks = Vec::new();
    let mut held: Option<Stored> = None;
    for version in 1..=12 {
        let mark = ObjectId::new();
        let cart = Cart {
            version,
            ..guest_cart(version)
        };
        held = Some(Stored::after(held.as_ref(), Arc::new(cart), mark));
        marks.push(mark);
    }
    let held = held.unwrap();
    assert_eq!(held.landed(marks[11], 11), Landed::Yes);
    assert_eq!(held.landed(marks[4], 4), Landed::Yes);
    // The oldest mark that is left led to version 5.
    assert_eq!(held.landed(ObjectId::new(), 5), Landed::NotYet);
    assert_eq!(held.landed(ObjectId::new(), 4), Landed::Forgotten);
    assert_eq!(held.landed(marks[0], 0), Landed::Forgotten);
}
