//! What stands in a checkout's way.

use std::time::Duration;

use serde::Serialize;

use super::{model::EndReason, settle::SettleError};
use crate::{
    cart::{CartError, CartView, cart_problem},
    discounts::Refused,
    id::{CheckoutId, LineId, VariantId},
    money::MoneyError,
    mongo::StoreError,
    payments::GatewayError,
    problem::{Code, FieldError, Problem},
};

/// A line of the cart that there is not enough of.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShortLine {
    /// The line's place in the cart, from 0.
    #[serde(skip)]
    pub place: usize,
    /// The line.
    pub item_id: LineId,
    /// Its variant.
    pub variant_id: VariantId,
    /// Units of the variant that the cart wants, all its lines together.
    pub wanted: u32,
    /// Units there are.
    pub available: u32,
}

/// A checkout cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The cart is not the one that the buyer saw.
    #[error("the cart has changed")]
    CartChanged(Box<CartView>),
    /// Nothing to buy.
    #[error("the cart is empty")]
    CartEmpty,
    /// Not enough in stock.
    #[error("not enough in stock")]
    Short(Vec<ShortLine>),
    /// A discount code cannot be used any more.
    #[error("discount code {} does not apply", .0.code)]
    Discount(Refused),
    /// The discounts leave nothing that could be paid.
    #[error("there is nothing to pay")]
    NothingToPay,
    /// The shipping method does not serve the address.
    #[error("no such shipping method for the address")]
    NoSuchShipping,
    /// The cart's money is being taken by this checkout.
    #[error("checkout {0} of this cart is being paid")]
    BeingPaid(CheckoutId),
    /// Several checkouts of one cart at once.
    #[error("several checkouts of one cart at once")]
    Contended,
    /// It is over.
    #[error("the checkout is over")]
    Closed(Option<EndReason>),
    /// The provider refused to make the payment.
    #[error("the provider refused the payment: {0}")]
    PaymentRefused(String),
    /// The provider did not answer.
    #[error(transparent)]
    Provider(GatewayError),
    /// A sum is out of range.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The cart.
    #[error(transparent)]
    Cart(#[from] CartError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// 503 with the moment to try again; the provider's own words stay here.
pub(super) fn provider_problem(error: GatewayError) -> Problem {
    let wait = match &error {
        GatewayError::Unavailable { retry_after, .. } => *retry_after,
        GatewayError::Unknown(_) | GatewayError::NotFound | GatewayError::Refused { .. } => {
            Duration::from_secs(2)
        }
    };
    Problem::new(Code::ProviderUnavailable)
        .detail("the payment provider did not answer; nothing is lost, try again")
        .retry_after(wait)
        .caused_by(error)
}

impl From<CheckoutError> for Problem {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::CartChanged(cart) => Self::new(Code::CartChanged).with("cart", &cart),
            CheckoutError::CartEmpty => Self::new(Code::CartEmpty),
            CheckoutError::Short(short) => short_problem(&short),
            CheckoutError::Discount(refused) => {
                Self::from(refused.obstacle).with("discount", &refused.code)
            }
            CheckoutError::NothingToPay => Self::new(Code::NothingToPay)
                .detail("PayPal takes no payment of nothing; take a discount code out"),
            CheckoutError::NoSuchShipping => {
                Self::new(Code::ShippingUnavailable).errors(vec![FieldError::new(
                    "/shippingMethod",
                    "unavailable",
                    "this method does not serve the address",
                )])
            }
            CheckoutError::BeingPaid(id) => Self::new(Code::Conflict)
                .detail("a payment of this cart is being captured")
                .with("checkoutId", &id)
                .retry_after(Duration::from_secs(1)),
            CheckoutError::Contended => Self::new(Code::Conflict)
                .detail("several checkouts of this cart at once")
                .retry_after(Duration::from_secs(1)),
            CheckoutError::Closed(reason) => closed_problem(reason),
            CheckoutError::PaymentRefused(issue) => Self::new(Code::ProviderError)
                .detail(format!("the payment provider refused: {issue}")),
            CheckoutError::Provider(error) => provider_problem(error),
            CheckoutError::Money(error) => Self::field("/cart", "range", error.to_string()),
            CheckoutError::Cart(error) => cart_problem(error),
            CheckoutError::Store(error) => error.into(),
        }
    }
}

fn short_problem(short: &[ShortLine]) -> Problem {
    let errors = short.iter().map(|line| {
        let message = format!("{} wanted, {} available", line.wanted, line.available);
        FieldError::new(
            format!("/cart/items/{}", line.place),
            "insufficient_stock",
            message,
        )
    });
    Problem::new(Code::InsufficientStock)
        .errors(errors.collect())
        .with("lines", &short)
}

/// 409 with the reason.
pub(super) fn closed_problem(reason: Option<EndReason>) -> Problem {
    let code = if reason == Some(EndReason::InsufficientStock) {
        Code::InsufficientStock
    } else {
        Code::CheckoutClosed
    };
    Problem::new(code).with("reason", &reason)
}

impl From<SettleError> for Problem {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::NotFound => Self::not_found(),
            SettleError::Store(error) => error.into(),
            SettleError::Restless(_) => Self::internal(error),
        }
    }
}
