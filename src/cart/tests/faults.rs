//! A database that hangs, breaks off with or without having written, or panics below a session.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};

use super::sessions::{a_cart, by_user};
use crate::{
    cart::{
        CartError, CartIntent, Carts, Command,
        store::{CartStore, Shelf, Stored},
        testing::{Database, Shelves, config, line},
    },
    id::CartId,
    mongo::StoreError,
};

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It goes well.
    None,
    /// It is done, and the answer is lost.
    LandsUnanswered,
    /// It is lost.
    Lost,
    /// It is done by and by, after the caller has given up.
    Hangs,
    /// It panics as a task of its own.
    Panics,
    /// It panics in the session itself.
    PanicsAtOnce,
    /// The database refuses it.
    Refused,
    /// Another writer was first; for writes.
    Missed,
}

/// The real store, with faults in the order given.
struct Faulty {
    store: CartStore,
    saves: Mutex<Vec<Fault>>,
    loads: Mutex<Vec<Fault>>,
}

fn broken_off() -> StoreError {
    let reason = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    StoreError::from(mongodb::error::Error::from(reason))
}

fn refused() -> StoreError {
    StoreError::Damaged {
        collection: "carts",
        reason: "refused".to_owned(),
    }
}

fn next(faults: &Mutex<Vec<Fault>>) -> Fault {
    let mut faults = faults.lock().unwrap();
    if faults.is_empty() {
        Fault::None
    } else {
        faults.remove(0)
    }
}

type Call<T> = BoxFuture<'static, Result<T, StoreError>>;

fn faulty<T: Send + 'static>(call: Call<T>, fault: Fault) -> Call<T> {
    assert!(fault != Fault::PanicsAtOnce, "a planted panic");
    Box::pin(async move {
        match fault {
            Fault::None | Fault::PanicsAtOnce => call.await,
            Fault::LandsUnanswered => {
                call.await?;
                Err(broken_off())
            }
            Fault::Lost => Err(broken_off()),
            Fault::Hangs => {
                tokio::time::sleep(LIMIT * 2).await;
                call.await
            }
            Fault::Panics => panic!("a planted panic"),
            Fault::Refused | Fault::Missed => Err(refused()),
        }
    })
}

impl Shelf for Faulty {
    fn load(&self, id: CartId) -> Call<Option<Stored>> {
        faulty(Shelf::load(&self.store, id), next(&self.loads))
    }

    fn load_for_good(&self, id: CartId) -> Call<Option<Stored>> {
        faulty(self.store.load_for_good(id), next(&self.loads))
    }

    fn save(&self, read: Option<Stored>, cart: Stored) -> Call<bool> {
        let fault = next(&self.saves);
        if fault == Fault::Missed {
            return Box::pin(async { Ok(false) });
        }
        faulty(self.store.save(read, cart), fault)
    }
}

const LIMIT: Duration = Duration::from_millis(500);

fn node(database: &Database, saves: &[Fault], loads: &[Fault]) -> Carts {
    let (saves, loads) = (Mutex::new(saves.to_vec()), Mutex::new(loads.to_vec()));
    let shelf = |store| -> Arc<dyn Shelf> {
        Arc::new(Faulty {
            store,
            saves,
            loads,
        })
    };
    Carts::with_shelf(
        &database.mongo,
        &config(&[]),
        Shelves::with(&[]),
        shelf,
        LIMIT,
    )
}

fn add() -> Command {
    by_user(CartIntent::Add(line(1)))
}

#[actix_web::test]
async fn a_write_without_an_answer_is_looked_for_and_never_made_twice() {
    let database = Database::create("cart_faults").await;
    for fault in [
        Fault::LandsUnanswered,
        Fault::Lost,
        Fault::Hangs,
        Fault::Panics,
    ] {
        let carts = node(&database, &[fault, fault], &[]);
        let id = a_cart();
        // First over a cart that is not there, then over one that is.
        for (version, calls) in [(3, 3), (6, 3)] {
            let answers = join_all((0..calls).map(|_| carts.apply(id, add()))).await;
            let mut versions: Vec<_> = answers.into_iter().map(|a| a.unwrap().version).collect();
            versions.sort_unstable();
            assert_eq!(versions, [version - 2, version - 1, version], "{fault:?}");
        }
        let cart = carts.snapshot(id).await.unwrap();
        assert_eq!((cart.version, cart.items.len()), (6, 6), "{fault:?}");
    }
    database.drop().await;
}

#[actix_web::test]
async fn a_write_that_cannot_be_looked_for_is_answered_as_unknown_and_the_session_goes_on() {
    let database = Database::create("cart_faults").await;
    for load in [Fault::Hangs, Fault::Lost, Fault::Panics] {
        let id = a_cart();
        let carts = node(&database, &[Fault::LandsUnanswered], &[Fault::None, load]);
        let unknown = carts.apply(id, add()).await.unwrap_err();
        assert!(matches!(unknown, CartError::Unknown(_)), "{unknown}");
        assert_eq!(
            carts.snapshot(id).await.unwrap().version,
            1,
            "it had landed"
        );
        assert_eq!(carts.apply(id, add()).await.unwrap().version, 2);
    }
    database.drop().await;
}

#[actix_web::test]
async fn where_nothing_was_sent_the_caller_hears_that_nothing_changed() {
    let database = Database::create("cart_faults").await;
    for load in [Fault::Hangs, Fault::Lost] {
        let id = a_cart();
        let carts = node(&database, &[], &[load]);
        let unread = carts.apply(id, add()).await.unwrap_err();
        assert!(
            matches!(unread, CartError::Unavailable | CartError::Store(_)),
            "{unread}"
        );
        assert_eq!(carts.snapshot(id).await.unwrap().version, 0);
        assert_eq!(carts.apply(id, add()).await.unwrap().version, 1);
    }
    database.drop().await;
}

#[actix_web::test]
async fn a_panic_or_a_refusal_answers_an_error_and_leaves_the_session_alive() {
    let database = Database::create("cart_faults").await;
    let carts = node(
        &database,
        &[Fault::Refused],
        &[Fault::PanicsAtOnce, Fault::Panics],
    );
    let id = a_cart();
    for _panic in 0..2 {
        let panicked = carts.apply(id, add()).await.unwrap_err();
        assert!(matches!(panicked, CartError::Interrupted), "{panicked}");
    }
    let refused = carts.apply(id, add()).await.unwrap_err();
    assert!(matches!(refused, CartError::Store(_)), "{refused}");
    assert_eq!(carts.apply(id, add()).await.unwrap().version, 1);
    assert_eq!(carts.activity().sessions, 1);
    database.drop().await;
}

#[actix_web::test]
async fn a_writer_that_keeps_missing_gives_up_as_busy() {
    let database = Database::create("cart_faults").await;
    let id = a_cart();
    let carts = node(&database, &[Fault::Missed; 10], &[]);
    let busy = carts.apply(id, add()).await.unwrap_err();
    assert!(matches!(busy, CartError::Busy), "{busy}");
    assert_eq!(carts.snapshot(id).await.unwrap().version, 0);
    assert_eq!(carts.apply(id, add()).await.unwrap().version, 1);
    database.drop().await;
}
