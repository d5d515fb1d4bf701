//! The eraser: has every room remove a person who was erased from what it holds.
//!
//! `accounts` leaves a row for each; a node claims it, has every room look, and looks again until no checkout
//! is open and a minute has passed in which nothing more came: a request or a payment that was under way at the
//! moment of the erasure leaves nothing behind. Each look may be cut short anywhere and repeated by any node.

use std::time::Duration;

use tokio::{task::JoinHandle, time::timeout};

use crate::{
    accounts::Accounts,
    cart::Carts,
    checkout::Checkouting,
    faults::{Point, crash_point},
    id::UserId,
    idempotency::Idempotency,
    mongo::StoreError,
    orders::Orders,
    payments::inbox::Inbox,
};

/// How often a node looks without being woken: for rows of other nodes, and those to be looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whoever holds something about people.
#[derive(Clone)]
pub struct Holders {
    /// Accounts, and the rows of those who were erased.
    pub accounts: Accounts,
    /// Carts.
    pub carts: Carts,
    /// Checkouts.
    pub checkouting: Checkouting,
    /// Orders and their events.
    pub orders: Orders,
    /// Kept answers.
    pub idempotency: Idempotency,
    /// The provider's messages.
    pub inbox: Inbox,
    /// How many years the books need an order.
    pub keep_orders_years: u16,
}

/// This node's eraser; it ends with the handle.
#[derive(Debug)]
pub struct Eraser(JoinHandle<()>);

impl Drop for Eraser {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Eraser {
    /// Starts to look for people who were erased.
    #[must_use]
    pub fn start(holders: Holders) -> Self {
        Self(actix_web::rt::spawn(holders.look_for_ever()))
    }
}

impl Holders {
    async fn look_for_ever(self) {
        loop {
            // Woken at once by an erasure at this node.
            let _woken = timeout(LOOK_EVERY, self.accounts.erasure_wanted()).await;
            // On a task of its own: a panic over one person does not end the eraser.
            let holders = self.clone();
            let look = actix_web::rt::spawn(Box::pin(async move { holders.look().await }));
            match look.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "an erasure is put off"),
                Err(error) => tracing::error!(%error, "an erasure panicked; it is tried again"),
            }
        }
    }

    /// Looks after everybody who is due.
    async fn look(&self) -> Result<(), StoreError> {
        while let Some(user) = self.accounts.claim_erasure().await? {
            self.erase(user).await?;
        }
        Ok(())
    }

    /// Has every room look once. Checkouts come before orders: one that becomes an order meanwhile is seen as
    /// open by the first look, and its order by the second or by the next round.
    async fn erase(&self, user: UserId) -> Result<(), StoreError> {
        self.accounts.erase_again(user).await?;
        let checkouts = self.checkouting.erase_person(user).await?;
        crash_point(Point::EraseBegun);
        let years = self.keep_orders_years;
        let orders = self.orders.erase_person(user, years, &self.idempotency);
        let orders = orders.await?;
        self.carts.erase_person(user).await?;
        self.idempotency.erase_person(user).await?;
        let references = [checkouts.references, orders.references].concat();
        let messages = self.inbox.erase_person(&references).await?;
        if checkouts.over
            && orders.complete
            && messages
            && self.accounts.close_erasure(user).await?
        {
            tracing::info!(user.id = %user, "an erasure is complete in every room");
        }
        Ok(())
    }
}
