//! Carts: one actor per active cart session.
//!
//! A signed-in user has one cart, whose id is the user's; a guest's cart has a random id and belongs to
//! whoever shows its token. A change is an intent ([`CartIntent`]), never an overwrite: the cart's
//! session on this node gathers the intents that wait, applies them in order and writes once, over the
//! version it read; where another node wrote meanwhile, it reads again and applies them again. So:
//!
//! - a change that was answered is in the cart, whoever else wrote to it at once;
//! - the version counts the accepted changes, one by one;
//! - reading goes to the database's primary and not to the session, so that a buyer whose requests
//!   reach several nodes sees what was answered before.
//!
//! Prices are never stored: [`CartView`] is made from the catalogue as it is at the time of reading.

mod calls;
mod commit;
mod directory;
mod error;
mod http;
mod merge;
mod model;
mod offers;
mod session;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod token;
mod view;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub use error::CartError;
pub use http::{Guest, Visitor, cart_problem, forget_guest, routes, shown_guest};
pub use model::{
    Batch, Cart, CartIntent, CartRefusal, Command, Line, MAX_LINES, MAX_OPTIONS, MAX_QUANTITY,
    OptionFault, Owner, Seen, cart_of, check_options, fold,
};
use mongodb::ClientSession;
pub use offers::{Offers, Unresolved};
pub use view::{CartView, DiscountNotice, DiscountView, LineView, Notice};

use self::{
    calls::Calls,
    commit::failed,
    directory::Directory,
    store::{CartStore, Shelf, Stored},
};
use crate::{
    catalog::Offer,
    clock::Timestamp,
    config::Config,
    discounts::Discounts,
    id::{CartId, LineId, ProductId, UserId, VariantId},
    money::Currency,
    mongo::{Mongo, StoreError, schema},
};

/// How long one database call may take before its caller is answered without it.
const CALL_LIMIT: Duration = Duration::from_secs(4);

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    vec![store::collection()]
}

struct Inner {
    mongo: Mongo,
    store: CartStore,
    directory: Directory,
    offers: Arc<dyn Offers>,
    discounts: Discounts,
    currency: Currency,
    guest_life: Duration,
    secure_cookies: bool,
}

/// The carts of the shop, as one node sees them; cheap to clone.
#[derive(Clone)]
pub struct Carts(Arc<Inner>);

impl Carts {
    /// Starts the arbiters that cart sessions live on; to be called inside the actix system.
    #[must_use]
    pub fn new(mongo: &Mongo, config: &Config, offers: Arc<dyn Offers>) -> Self {
        Self::with_shelf(mongo, config, offers, |store| Arc::new(store), CALL_LIMIT)
    }

    fn with_shelf(
        mongo: &Mongo,
        config: &Config,
        offers: Arc<dyn Offers>,
        shelf: impl FnOnce(CartStore) -> Arc<dyn Shelf>,
        call_limit: Duration,
    ) -> Self {
        let guest_life = Duration::from_secs(u64::from(config.cart.guest_days) * 24 * 3600);
        let store = CartStore::new(mongo, guest_life);
        let calls = Calls::new(call_limit);
        Self(Arc::new(Inner {
            directory: Directory::start(&config.cart, shelf(store.clone()), calls),
            mongo: mongo.clone(),
            discounts: Discounts::new(mongo),
            store,
            offers,
            currency: config.store.currency,
            guest_life,
            secure_cookies: config.server.public_url.starts_with("https://"),
        }))
    }

    /// Applies `command` to `cart`; answers with the cart after it, once that is durable.
    ///
    /// # Errors
    /// When a rule refuses it, too much waits, or the database fails.
    pub async fn apply(&self, cart: CartId, command: Command) -> Result<Arc<Cart>, CartError> {
        self.0.directory.apply(cart, command).await
    }

    /// The user's cart as the database has it now; an empty one where there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn snapshot(&self, cart: CartId) -> Result<Cart, CartError> {
        let found = self.find(cart).await?;
        Ok(found.map_or_else(|| Cart::empty(cart, Owner::User), Arc::unwrap_or_clone))
    }

    async fn find(&self, cart: CartId) -> Result<Option<Arc<Cart>>, CartError> {
        let load = Shelf::load(&self.0.store, cart);
        let found = self.0.directory.calls().run(load).await.map_err(failed)?;
        Ok(found.map(|stored| stored.cart))
    }

    /// `cart` at today's prices and discounts.
    ///
    /// # Errors
    /// When catalogue or discounts cannot be read.
    pub async fn view(&self, cart: &Cart) -> Result<CartView, StoreError> {
        let mut variants: Vec<_> = cart.items.iter().map(|line| line.variant).collect();
        variants.sort_unstable();
        variants.dedup();
        let offers = if variants.is_empty() {
            HashMap::new()
        } else {
            self.0.offers.offers(&variants).await?
        };
        self.view_of(cart, &offers).await
    }

    /// `cart` at the prices of `offers` and today's discounts.
    ///
    /// # Errors
    /// When the discounts cannot be read.
    pub async fn view_of(
        &self,
        cart: &Cart,
        offers: &HashMap<VariantId, Offer>,
    ) -> Result<CartView, StoreError> {
        let book = self
            .0
            .discounts
            .book(&cart.discounts, buyer_of(cart))
            .await?;
        CartView::of(cart, offers, &book, self.0.currency).map_err(|error| StoreError::Damaged {
            collection: store::COLLECTION,
            reason: format!("{}: {error}", cart.id),
        })
    }

    /// Takes what was ordered out of `cart`, inside the order's transaction. The version goes up by one
    /// where anything of it was still there; a session that holds the cart notices by its version miss.
    ///
    /// # Errors
    /// The driver's, to be handed back to it as they are.
    pub async fn take_out_in(
        &self,
        session: &mut ClientSession,
        cart: CartId,
        ordered: &[(LineId, u32)],
    ) -> mongodb::error::Result<()> {
        let store = &self.0.store;
        let Some(read) = store.find_in(session, cart).await? else {
            return Ok(());
        };
        let Some(next) = read.cart.without(ordered, Timestamp::now()) else {
            return Ok(());
        };
        let next = Stored::after(Some(&read), Arc::new(next), bson::oid::ObjectId::new());
        store.write_in(session, Some(&read), &next).await
    }

    /// Removes the cart of a user who is removed. A session that still holds it notices at its next write, and
    /// nobody can ask it for anything.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn erase_person(&self, user: UserId) -> Result<(), StoreError> {
        self.0.store.remove(cart_of(user)).await
    }

    /// Takes no change any more, waits up to `patience` for those under way and ends every session;
    /// `false` where some were still under way.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.0.directory.drain(patience).await
    }

    /// What the node's sessions have done.
    #[must_use]
    pub fn activity(&self) -> Activity {
        let (commands, writes, misses) = self.0.directory.counts();
        Activity {
            commands,
            writes,
            misses,
            sessions: self.0.directory.sessions(),
        }
    }

    async fn offer(
        &self,
        product: ProductId,
        variant: VariantId,
    ) -> Result<Option<Offer>, StoreError> {
        let mut offers = self.0.offers.offers(&[variant]).await?;
        Ok(offers
            .remove(&variant)
            .filter(|offer| offer.product == product))
    }
}

/// Whose uses of a code count: a guest is nobody yet.
fn buyer_of(cart: &Cart) -> Option<UserId> {
    match cart.owner {
        Owner::User => Some(UserId::from_object_id(cart.id.object_id())),
        Owner::Guest(_) => None,
    }
}

/// What a node's cart sessions have done, for measures and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Commands accepted and written, ever.
    pub commands: u64,
    /// Writes that carried them.
    pub writes: u64,
    /// Writes that had to be tried again.
    pub misses: u64,
    /// Sessions in memory now.
    pub sessions: usize,
}
