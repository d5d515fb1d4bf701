//! The store over a real database.

use std::{sync::Arc, time::Duration};

use bson::{Document, doc, oid::ObjectId};

use super::{COLLECTION, CartStore, Landed, Stored};
use crate::{
    cart::{
        model::{Cart, Owner, cart_of},
        testing::{self, line},
    },
    catalog::Options,
    clock::Timestamp,
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
    assert!(
        store
            .write(0, &stored(cart.clone(), ObjectId::new()))
            .await
            .unwrap()
    );
    let read = store.find(cart.id).await.unwrap().unwrap();
    assert_eq!(*read.cart, cart);
    let next = Cart {
        version: 2,
        ..cart.clone()
    };
    assert!(
        store
            .write(1, &stored(next.clone(), ObjectId::new()))
            .await
            .unwrap()
    );
    assert_eq!(*store.find(cart.id).await.unwrap().unwrap().cart, next);
    assert!(store.find(CartId::new()).await.unwrap().is_none());
    database.drop().await;
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
        let rivals: Vec<_> = marks
            .iter()
            .map(|mark| stored(next.clone(), *mark))
            .collect();
        let writes = rivals.iter().map(|rival| store.write(over, rival));
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
        store
            .write(0, &stored(cart.clone(), ObjectId::new()))
            .await
            .unwrap();
        let next = Cart {
            version: 2,
            ..cart.clone()
        };
        store
            .write(1, &stored(next, ObjectId::new()))
            .await
            .unwrap();
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
