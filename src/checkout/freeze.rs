//! Freezing a cart: what the buyer saw, at the prices of the primary, becomes a checkout.

use std::collections::HashMap;

use super::{
    error::CheckoutError,
    model::{Checkout, CheckoutLine, CheckoutStatus, order_number},
    place::{Wish, short},
    ports::{CheckoutStore, Till},
    store::Checkouts,
    totals::{ChosenShipping, Totals, shipping_methods, totals},
};
use crate::{
    cart::{Cart, Carts, DiscountView, Line},
    catalog::{Catalog, HoldLine, Offer, Shortage, Stock, StockRoom},
    config::StoreConfig,
    discounts::AppliedDiscount,
    faults::{Plant, planted},
    id::{CartId, CheckoutId, VariantId},
};

/// The shop's till: its carts and its prices.
#[derive(Clone)]
pub struct CartTill {
    pub(super) carts: Carts,
    pub(super) catalog: Catalog,
    pub(super) stock: Stock,
    pub(super) checkouts: Checkouts,
    pub(super) store: StoreConfig,
}

impl Till for CartTill {
    async fn freeze(&self, id: CheckoutId, wish: &Wish) -> Result<Checkout, CheckoutError> {
        let cart = CartId::from_object_id(wish.user.object_id());
        let cart = self.carts.snapshot(cart).await?;
        self.price(id, wish, &cart).await
    }

    async fn has_changed(&self, checkout: &Checkout, wish: &Wish) -> Result<bool, CheckoutError> {
        let cart = self.carts.snapshot(checkout.cart).await?;
        Ok(cart.version != wish.seen.version)
    }
}

impl CartTill {
    /// Prices the cart from the primary and compares it with what the buyer saw.
    async fn price(
        &self,
        id: CheckoutId,
        wish: &Wish,
        cart: &Cart,
    ) -> Result<Checkout, CheckoutError> {
        let variants: Vec<VariantId> = cart.items.iter().map(|line| line.variant).collect();
        let offers = self.catalog.offers_now(&variants).await?;
        let view = self.carts.view_of(cart, &offers).await?;
        let items: Vec<_> = cart
            .items
            .iter()
            .map(|line| (line.id, line.quantity))
            .collect();
        if !wish.seen.matches(cart.version, &items, view.total) {
            return Err(CheckoutError::CartChanged(Box::new(view)));
        }
        if cart.items.is_empty() {
            return Err(CheckoutError::CartEmpty);
        }
        let lines = frozen_lines(cart, &offers)?;
        let goods = view.total;
        let country = &wish.shipping_address.country;
        let mut methods = shipping_methods(&self.store, country, goods);
        let chosen = methods.find(|(method, _)| method.id == wish.shipping_method);
        let (method, price) = chosen.ok_or(CheckoutError::NoSuchShipping)?;
        let shipping = ChosenShipping {
            id: method.id.clone(),
            name: method.name.clone(),
            price,
        };
        let totals = totals(
            &self.store,
            lines.iter().map(|line| line.line_total),
            view.discount_total,
            price,
            &wish.shipping_address,
        )?;
        if totals.total.amount <= 0 {
            return Err(CheckoutError::NothingToPay);
        }
        let believed = planted(Plant::TotalBelieved).then_some(wish.seen.total);
        let totals = Totals {
            total: believed.unwrap_or(totals.total),
            ..totals
        };
        let checkout = Checkout {
            id,
            user: wish.user,
            cart: cart.id,
            client: wish.client.clone(),
            number: order_number(id),
            status: CheckoutStatus::Preparing,
            lines,
            discounts: applied(view.discounts),
            totals,
            shipping,
            shipping_address: wish.shipping_address.clone(),
            billing_address: wish.billing_address.clone(),
            return_url: wish.return_url.clone(),
            cancel_url: wish.cancel_url.clone(),
            provider_order: None,
            approve_url: None,
            capture_open: false,
            capture: None,
            reason: None,
            returns: Vec::new(),
            stock_open: true,
            order: None,
            expires_at: Checkout::UNSET,
            version: 1,
            created_at: Checkout::UNSET,
            updated_at: Checkout::UNSET,
        };
        let left = |line: &HoldLine| offers.get(&line.variant).map_or(0, |offer| offer.available);
        let mut scarce = checkout.holds();
        scarce.retain(|line| left(line) < line.quantity);
        if !scarce.is_empty() {
            self.refuse_scarce(&checkout, &scarce).await?;
        }
        Ok(checkout)
    }

    /// Refuses at once what cannot be held, before anything is written: of something that everybody wants most
    /// come too late. Not where the cart has an open checkout: what that holds may be what this one wants.
    async fn refuse_scarce(
        &self,
        checkout: &Checkout,
        scarce: &[HoldLine],
    ) -> Result<(), CheckoutError> {
        if self.checkouts.open_of(checkout.cart).await?.is_some() {
            return Ok(());
        }
        let holder = checkout.holder();
        let mut missing = Vec::new();
        for line in scarce {
            let available = self.stock.within_reach(&holder, line.variant).await?;
            if available < line.quantity {
                missing.push(Shortage {
                    variant: line.variant,
                    wanted: line.quantity,
                    available,
                });
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(checkout.short(&missing))
    }
}

/// The codes that take something off; the others are not used by this checkout.
fn applied(shown: Vec<DiscountView>) -> Vec<AppliedDiscount> {
    let used = shown.into_iter().filter(|one| one.amount.amount > 0);
    used.map(|one| AppliedDiscount {
        code: one.code,
        amount: one.amount,
    })
    .collect()
}

/// Freezes every line of the cart, where all are on sale.
fn frozen_lines(
    cart: &Cart,
    offers: &HashMap<VariantId, Offer>,
) -> Result<Vec<CheckoutLine>, CheckoutError> {
    let mut lines = Vec::with_capacity(cart.items.len());
    let mut gone = Vec::new();
    for line in &cart.items {
        match offers.get(&line.variant).filter(|offer| offer.on_sale) {
            Some(offer) => lines.push(frozen(line, offer)?),
            None => gone.push(Shortage {
                variant: line.variant,
                wanted: line.quantity,
                available: 0,
            }),
        }
    }
    if gone.is_empty() {
        return Ok(lines);
    }
    let named = cart.items.iter().map(|line| (line.id, line.variant));
    Err(short(named, &gone))
}

fn frozen(line: &Line, offer: &Offer) -> Result<CheckoutLine, CheckoutError> {
    let mut options = offer.options.clone();
    options.extend(
        line.options
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    Ok(CheckoutLine {
        line: line.id,
        product: offer.product,
        variant: offer.variant,
        sku: offer.sku.clone(),
        title: offer.title.clone(),
        options,
        image: offer.image.clone(),
        unit_price: offer.unit_price,
        quantity: line.quantity,
        line_total: offer.unit_price.times(line.quantity)?,
    })
}
