//! Signing in with a guest's cart: its lines and discount codes become the user's.

use std::{sync::Arc, time::Duration};

use bson::oid::ObjectId;
use tokio::time::{Instant, timeout};

use super::{
    CartError, Carts, Guest,
    model::{Cart, CartIntent, Command, Owner, cart_of},
    store::{Stored, raised},
    token::GuestToken,
};
use crate::{
    clock::Timestamp,
    id::{CartId, UserId},
    mongo::StoreError,
};

/// How long a merge may be tried.
const LIMIT: Duration = Duration::from_secs(5);

impl Carts {
    /// Moves the lines and codes of the guest's cart into the user's cart: same variant and options add up.
    /// A token that names no cart changes nothing.
    ///
    /// One transaction takes the guest's cart away and writes the user's, so that neither a crash nor a
    /// second sign-in with the token can lose or double a line. A guest's change that is under way at
    /// once either comes before it and moves along, or finds the cart gone and begins a new one.
    ///
    /// # Errors
    /// When the database fails; the guest's cart is then as it was, or moved.
    pub async fn merge(&self, guest: &Guest, user: UserId) -> Result<(), CartError> {
        let token = guest.token.clone();
        let place = self.0.directory.enter()?;
        let carts = self.clone();
        // A task of its own: a driver's future is never dropped half-way.
        let moving = actix_web::rt::spawn(async move {
            let done = carts.move_lines(&token, cart_of(user)).await;
            drop(place);
            done
        });
        match timeout(LIMIT, moving).await {
            Ok(Ok(moved)) => Ok(moved?),
            Ok(Err(_panicked)) => Err(CartError::Interrupted),
            Err(_elapsed) => Err(CartError::Unknown("the merge took too long".to_owned())),
        }
    }

    async fn move_lines(&self, guest: &GuestToken, user: CartId) -> Result<(), StoreError> {
        let store = &self.0.store;
        let deadline = Instant::now() + LIMIT;
        let work = async |session: &mut mongodb::ClientSession| {
            if Instant::now() > deadline {
                return Err(StoreError::abort("the merge was tried for too long"));
            }
            let theirs = store.find_in(session, guest.cart).await?;
            let theirs = theirs.filter(|found| found.cart.owner == guest.owner());
            let Some(theirs) = theirs else {
                return Ok(());
            };
            store.remove_in(session, guest.cart).await?;
            if theirs.cart.items.is_empty() && theirs.cart.discounts.is_empty() {
                return Ok(());
            }
            let read = store.find_in(session, user).await?;
            let next = merged(
                user,
                read.as_ref().map(|stored| &*stored.cart),
                &theirs.cart,
            )?;
            let next = Stored::after(read.as_ref(), Arc::new(next), ObjectId::new());
            store.write_in(session, read.as_ref(), &next).await
        };
        self.0.mongo.transaction(work).await
    }
}

fn merged(user: CartId, read: Option<&Cart>, theirs: &Cart) -> mongodb::error::Result<Cart> {
    let command = Command {
        owner: Owner::User,
        makes: true,
        expected: None,
        intent: CartIntent::Merge {
            lines: theirs.items.clone(),
            discounts: theirs.discounts.clone(),
        },
    };
    let none = Cart::empty(user, Owner::User);
    let merged = read.unwrap_or(&none).apply(&command, Timestamp::now());
    merged.map_err(|refused| {
        raised(StoreError::Damaged {
            collection: super::store::COLLECTION,
            reason: format!("{user}: {refused}"),
        })
    })
}
