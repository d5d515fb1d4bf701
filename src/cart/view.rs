//! The cart as it is shown: today's prices and stock beside what the buyer put in.

use std::collections::HashMap;

use serde::Serialize;

use super::model::{Cart, Line};
use crate::{
    catalog::{Image, Offer, Options},
    clock::Timestamp,
    discounts::{Book, DiscountCode, Judged, Obstacle, judge},
    id::{CartId, LineId, ProductId, VariantId},
    money::{Currency, Money, MoneyError},
};

/// What a buyer should know of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The price is not the one at which the line was last added or changed.
    PriceChanged,
    /// Fewer are in stock than the line has.
    InsufficientStock,
    /// It is not on sale any more; it counts for nothing in the sums.
    Unavailable,
}

/// A line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineView {
    /// The line; `itemId` in paths.
    pub id: LineId,
    /// The product.
    pub product_id: ProductId,
    /// The variant.
    pub variant_id: VariantId,
    /// The variant's SKU.
    pub sku: String,
    /// The product's title.
    pub title: String,
    /// The product's first picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// The variant's options, and those that the buyer added.
    pub options: Options,
    /// Units.
    #[schema(minimum = 1, maximum = 999)]
    pub quantity: u32,
    /// The catalogue's price now; the last one known where it is not on sale.
    pub unit_price: Money,
    /// Unit price times quantity.
    pub line_total: Money,
    /// Units that can be bought now.
    pub available: u32,
    /// What the buyer should know.
    pub notices: Vec<Notice>,
}

/// Why a discount code takes nothing off now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiscountNotice {
    /// There is no such code any more.
    Unknown,
    /// It does not apply yet.
    NotStarted,
    /// It applies no more.
    Expired,
    /// It needs goods for more than there are: `minimumSubtotal` says for how much.
    Minimum,
    /// All its uses are taken.
    UsedUp,
    /// The buyer has used it as often as one may.
    UsedBefore,
}

/// A discount as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscountView {
    /// The code.
    pub code: DiscountCode,
    /// What it takes off; nothing while it does not apply.
    pub amount: Money,
    /// Why it takes nothing off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<DiscountNotice>,
    /// The least that the goods must cost for it, where they cost less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_subtotal: Option<Money>,
}

impl From<Judged> for DiscountView {
    fn from(judged: Judged) -> Self {
        let (notice, minimum_subtotal) = match judged.obstacle {
            None => (None, None),
            Some(Obstacle::Unknown) => (Some(DiscountNotice::Unknown), None),
            Some(Obstacle::NotStarted) => (Some(DiscountNotice::NotStarted), None),
            Some(Obstacle::Expired) => (Some(DiscountNotice::Expired), None),
            Some(Obstacle::Minimum(least)) => (Some(DiscountNotice::Minimum), Some(least)),
            Some(Obstacle::UsedUp) => (Some(DiscountNotice::UsedUp), None),
            Some(Obstacle::UsedBefore) => (Some(DiscountNotice::UsedBefore), None),
        };
        Self {
            code: judged.code,
            amount: judged.amount,
            notice,
            minimum_subtotal,
        }
    }
}

/// The cart as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartView {
    /// The cart; `null` for a guest who has none yet: it is made with the first line.
    #[schema(required)]
    pub id: Option<CartId>,
    /// How many changes were made; 0: none yet.
    pub version: u64,
    /// The lines, oldest first.
    #[schema(max_items = 200)]
    pub items: Vec<LineView>,
    /// The lines' totals, without lines that are not on sale.
    pub subtotal: Money,
    /// The discount codes, in the order entered; judged anew at each reading.
    #[schema(max_items = 5)]
    pub discounts: Vec<DiscountView>,
    /// What the discounts take off together.
    pub discount_total: Money,
    /// Subtotal less discounts; shipping and tax come at checkout.
    pub total: Money,
    /// The currency of every amount.
    pub currency: Currency,
    /// Units over all lines.
    pub item_count: u32,
    /// When it last changed; `null`: never.
    #[schema(required)]
    pub updated_at: Option<Timestamp>,
    /// Whether each line is shown as it was when it last changed, and no code can change the sum: the
    /// version alone then says all that is shown.
    #[serde(skip)]
    pub as_seen: bool,
}

impl CartView {
    /// The cart of a guest who has none yet.
    #[must_use]
    pub fn nothing(currency: Currency) -> Self {
        Self {
            id: None,
            version: 0,
            items: Vec::new(),
            subtotal: Money::zero(currency),
            discounts: Vec::new(),
            discount_total: Money::zero(currency),
            total: Money::zero(currency),
            currency,
            item_count: 0,
            updated_at: None,
            as_seen: true,
        }
    }

    /// `cart` at the prices of `offers`, its discount codes judged by `book`.
    ///
    /// # Errors
    /// When a sum overflows, which prices within [`crate::money::MAX_AMOUNT`] cannot bring about.
    pub fn of(
        cart: &Cart,
        offers: &HashMap<VariantId, Offer>,
        book: &Book,
        currency: Currency,
    ) -> Result<Self, MoneyError> {
        let mut view = Self {
            id: Some(cart.id),
            version: cart.version,
            updated_at: cart.updated_at,
            ..Self::nothing(currency)
        };
        let wanted = units_by_variant(cart);
        for line in &cart.items {
            let offer = offers.get(&line.variant);
            // A price in another currency is from before the shop's currency was changed: not for sale.
            let offer = offer.filter(|offer| {
                offer.product == line.product && offer.unit_price.currency == currency
            });
            let wanted = wanted.get(&line.variant).copied().unwrap_or_default();
            let shown = line_view(line, offer, wanted)?;
            if !shown.notices.contains(&Notice::Unavailable) {
                view.subtotal = view.subtotal.plus(shown.line_total)?;
            }
            view.as_seen &= offer.is_some_and(|offer| line.seen.is_still(offer));
            view.item_count += line.quantity;
            view.items.push(shown);
        }
        let judged = judge(&cart.discounts, book, view.subtotal)?;
        let taken_off = judged.iter().map(|one| one.amount);
        view.discount_total = Money::sum(currency, taken_off)?;
        view.total = view.subtotal.minus(view.discount_total)?;
        view.as_seen &= judged.is_empty();
        view.discounts = judged.into_iter().map(DiscountView::from).collect();
        Ok(view)
    }
}

/// Two lines of one variant draw on the same stock.
fn units_by_variant(cart: &Cart) -> HashMap<VariantId, u32> {
    let mut units = HashMap::new();
    for line in &cart.items {
        *units.entry(line.variant).or_default() += line.quantity;
    }
    units
}

fn line_view(line: &Line, offer: Option<&Offer>, wanted: u32) -> Result<LineView, MoneyError> {
    let seen = &line.seen;
    let on_sale = offer.filter(|offer| offer.on_sale);
    let unit_price = offer.map_or(seen.unit_price, |offer| offer.unit_price);
    let mut options = offer.map(|offer| offer.options.clone()).unwrap_or_default();
    options.extend(line.options.clone());
    let notices = [
        (
            Notice::PriceChanged,
            on_sale.is_some() && unit_price != seen.unit_price,
        ),
        (
            Notice::InsufficientStock,
            on_sale.is_some_and(|offer| wanted > offer.available),
        ),
        (Notice::Unavailable, on_sale.is_none()),
    ];
    Ok(LineView {
        id: line.id,
        product_id: line.product,
        variant_id: line.variant,
        sku: offer.map_or(&seen.sku, |offer| &offer.sku).clone(),
        title: offer.map_or(&seen.title, |offer| &offer.title).clone(),
        image: offer.and_then(|offer| offer.image.clone()),
        options,
        quantity: line.quantity,
        unit_price,
        line_total: unit_price.times(line.quantity)?,
        available: on_sale.map_or(0, |offer| offer.available),
        notices: notices
            .into_iter()
            .filter_map(|(notice, holds)| holds.then_some(notice))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cart::{
        model::Owner,
        testing::{line_of, offer},
    };

    fn shown(cart: &Cart, offers: &[Offer]) -> CartView {
        let offers = offers
            .iter()
            .map(|offer| (offer.variant, offer.clone()))
            .collect();
        CartView::of(cart, &offers, &Book::new(), Currency::USD).unwrap()
    }

    fn cart_with(lines: Vec<Line>) -> Cart {
        Cart {
            items: lines,
            ..Cart::empty(CartId::new(), Owner::User)
        }
    }

    #[test]
    fn sums_are_todays_and_units_are_counted() {
        let (mug, tea) = (offer(1_250), offer(499));
        let cart = cart_with(vec![line_of(&mug, 2), line_of(&tea, 3)]);
        let view = shown(&cart, &[mug.clone(), tea.clone()]);
        assert_eq!(
            (view.subtotal.amount, view.total.amount, view.item_count),
            (3_997, 3_997, 5)
        );
        assert!(view.as_seen && view.items.iter().all(|line| line.notices.is_empty()));
        let dearer = Offer {
            unit_price: Money::new(1_300, Currency::USD),
            ..mug
        };
        let view = shown(&cart, &[dearer, tea]);
        assert_eq!(view.items[0].notices, [Notice::PriceChanged]);
        assert_eq!(
            (view.items[0].line_total.amount, view.subtotal.amount),
            (2_600, 4_097)
        );
        assert!(!view.as_seen);
    }

    #[test]
    fn what_is_not_on_sale_is_named_but_costs_nothing() {
        let (mug, tea) = (offer(1_250), offer(499));
        let cart = cart_with(vec![line_of(&mug, 2), line_of(&tea, 1)]);
        let withdrawn = Offer {
            on_sale: false,
            ..mug.clone()
        };
        let euros = Offer {
            unit_price: Money::new(9, "EUR".parse().unwrap()),
            ..mug.clone()
        };
        for offers in [
            vec![tea.clone()],
            vec![tea.clone(), withdrawn],
            vec![tea.clone(), euros],
        ] {
            let view = shown(&cart, &offers);
            assert_eq!(view.items[0].notices, [Notice::Unavailable]);
            assert_eq!(view.items[0].title, mug.title);
            assert_eq!(view.items[0].available, 0);
            assert_eq!(view.items[0].line_total.amount, 2_500);
            assert_eq!(view.subtotal.amount, 499);
            assert!(!view.as_seen);
        }
    }

    #[test]
    fn two_lines_of_one_variant_draw_on_the_same_stock() {
        let mug = Offer {
            available: 5,
            ..offer(1_250)
        };
        let mut engraved = line_of(&mug, 3);
        engraved.options = Options::from([("engraving".to_owned(), "Zoë".to_owned())]);
        let view = shown(
            &cart_with(vec![line_of(&mug, 3), engraved]),
            std::slice::from_ref(&mug),
        );
        assert!(
            view.items
                .iter()
                .all(|line| line.notices == [Notice::InsufficientStock])
        );
        assert_eq!(view.items[1].options["engraving"], "Zoë");
        assert_eq!(view.items[1].options["color"], "black");
    }

    #[test]
    fn a_stock_that_moves_is_not_what_was_seen() {
        let mug = offer(1_250);
        let cart = cart_with(vec![line_of(&mug, 1)]);
        let fewer = Offer {
            available: mug.available - 1,
            ..mug
        };
        assert!(!shown(&cart, &[fewer]).as_seen);
    }
}
