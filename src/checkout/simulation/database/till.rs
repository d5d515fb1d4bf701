//! Where a cart becomes a checkout.

use std::collections::BTreeMap;

use super::{super::machine::Link, CartLine, PRICE, coupon};
use crate::{
    address::PostalAddress,
    checkout::{
        error::CheckoutError,
        model::{Checkout, CheckoutLine, CheckoutStatus, order_number},
        place::Wish,
        ports::Till,
        totals::{ChosenShipping, Totals},
    },
    discounts::{AppliedDiscount, DiscountCode},
    id::{CartId, CheckoutId, ProductId},
    money::{Currency, Money},
};

impl Till for Link {
    async fn freeze(&self, id: CheckoutId, wish: &Wish) -> Result<Checkout, CheckoutError> {
        let wish = wish.clone();
        let cart = CartId::from_object_id(wish.user.object_id());
        let (lines, coupon) = self
            .read("cart", Some(id), move |state| {
                let lines = state.database.carts.get(&cart).cloned();
                let coupon = state.chance.yes(400).then(coupon);
                (lines.unwrap_or_default(), coupon)
            })
            .await?;
        if lines.is_empty() {
            return Err(CheckoutError::CartEmpty);
        }
        Ok(frozen(id, cart, &wish, (&lines, coupon)))
    }

    async fn has_changed(&self, checkout: &Checkout, _wish: &Wish) -> Result<bool, CheckoutError> {
        let cart = checkout.cart;
        let frozen: Vec<_> = checkout
            .lines
            .iter()
            .map(|line| (line.line, line.quantity))
            .collect();
        let changed = self.read("cart", Some(checkout.id), move |state| {
            let lines = state.database.carts.get(&cart);
            let now = lines
                .into_iter()
                .flatten()
                .map(|line| (line.line, line.quantity));
            !now.eq(frozen)
        });
        Ok(changed.await?)
    }
}

/// The checkout of a cart, without shipping and tax.
fn frozen(
    id: CheckoutId,
    cart: CartId,
    wish: &Wish,
    (lines, coupon): (&[CartLine], Option<DiscountCode>),
) -> Checkout {
    let usd = |amount| Money::new(amount, Currency::USD);
    let lines: Vec<CheckoutLine> = lines
        .iter()
        .map(|line| CheckoutLine {
            line: line.line,
            product: ProductId::from_object_id(line.variant.object_id()),
            variant: line.variant,
            sku: String::new(),
            title: String::new(),
            options: BTreeMap::new(),
            image: None,
            unit_price: usd(PRICE),
            quantity: line.quantity,
            line_total: usd(PRICE * i64::from(line.quantity)),
        })
        .collect();
    let subtotal = usd(lines.iter().map(|line| line.line_total.amount).sum());
    let discounts: Vec<_> = coupon
        .map(|code| AppliedDiscount {
            code,
            amount: usd(PRICE / 10),
        })
        .into_iter()
        .collect();
    let discount = usd(discounts.iter().map(|applied| applied.amount.amount).sum());
    Checkout {
        id,
        user: wish.user,
        cart,
        client: String::new(),
        number: order_number(id),
        status: CheckoutStatus::Preparing,
        lines,
        discounts,
        totals: Totals {
            subtotal,
            discount,
            shipping: usd(0),
            tax: usd(0),
            total: usd(subtotal.amount - discount.amount),
        },
        shipping: ChosenShipping {
            id: String::new(),
            name: String::new(),
            price: usd(0),
        },
        shipping_address: wish.shipping_address.clone(),
        billing_address: None,
        return_url: String::new(),
        cancel_url: String::new(),
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
    }
}

/// An address that nothing depends on.
pub(in crate::checkout::simulation) const fn nowhere() -> PostalAddress {
    PostalAddress {
        name: String::new(),
        line1: String::new(),
        line2: None,
        city: String::new(),
        region: None,
        postal_code: String::new(),
        country: String::new(),
        phone: None,
    }
}
