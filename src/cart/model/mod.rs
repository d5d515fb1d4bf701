//! The cart's rules: plain functions without I/O.
//!
//! A cart changes only by [`Cart::apply`]; each accepted command raises the version by exactly one, so
//! that the version counts the accepted commands (invariant I9) however they were gathered into writes.

mod options;
mod seen;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(super) use options::{MAX_NAME, MAX_VALUE};
pub use options::{MAX_OPTIONS, OptionFault, check_options};
pub use seen::Seen;

use crate::{
    catalog::Options,
    clock::Timestamp,
    discounts::{DiscountCode, MAX_CODES},
    id::{CartId, LineId, ProductId, UserId, VariantId},
};

/// The most units of one line.
pub const MAX_QUANTITY: u32 = 999;
/// The most lines of one cart.
pub const MAX_LINES: usize = 200;

/// The cart of a signed-in user: one, whatever the device.
#[must_use]
pub const fn cart_of(user: UserId) -> CartId {
    CartId::from_object_id(user.object_id())
}

/// Whose cart it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The user whose id the cart has.
    User,
    /// Whoever knows the secret with this hash (SHA-256, hexadecimal).
    Guest(String),
}

/// Some units of one variant, as the buyer wants them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line; stays the same for as long as the line is there.
    pub id: LineId,
    /// The product.
    pub product: ProductId,
    /// The variant.
    pub variant: VariantId,
    /// What the buyer chose besides the variant, such as an engraving.
    pub options: Options,
    /// Units, 1 to [`MAX_QUANTITY`].
    pub quantity: u32,
    /// What the buyer was shown when the line last changed.
    pub seen: Seen,
}

impl Line {
    fn is_same_choice(&self, other: &Self) -> bool {
        self.variant == other.variant && self.options == other.options
    }
}

/// What someone wants to buy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cart {
    /// The cart.
    pub id: CartId,
    /// Whose it is.
    pub owner: Owner,
    /// How many commands were accepted; 0: never written.
    pub version: u64,
    /// The lines, oldest first.
    pub items: Vec<Line>,
    /// Discount codes, in the order entered, whether they apply now or not.
    pub discounts: Vec<DiscountCode>,
    /// When it last changed; `None`: never written.
    pub updated_at: Option<Timestamp>,
}

/// What is to change. Intents, never overwrites: they hold whoever else changed the cart meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CartIntent {
    /// Adds a line, or its units to the line of the same variant and options.
    Add(Line),
    /// Sets units, options or both of a line; no units remove it.
    SetLine {
        /// The line.
        line: LineId,
        /// Units, 0 to [`MAX_QUANTITY`].
        quantity: Option<u32>,
        /// The options in place of the present ones.
        options: Option<Options>,
        /// What the buyer is shown of the variant now, where it can be told.
        seen: Option<Seen>,
    },
    /// Removes a line.
    RemoveLine(LineId),
    /// Removes every line and code.
    Clear,
    /// Enters a discount code; one that is in already stays where it is.
    AddDiscount(DiscountCode),
    /// Takes a discount code out.
    RemoveDiscount(DiscountCode),
    /// Adds another cart's lines and codes: units add up to [`MAX_QUANTITY`], and what is beyond the
    /// limits of a cart is left out, because signing in must not fail for it.
    Merge {
        /// The other cart's lines.
        lines: Vec<Line>,
        /// Its discount codes.
        discounts: Vec<DiscountCode>,
    },
}

/// An intent, who has it, and over which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Who the caller shows to be.
    pub owner: Owner,
    /// Whether the cart is made where there is none: always for users, for guests with a new token only.
    pub makes: bool,
    /// The versions that the intent may be applied to; `None`: any.
    pub expected: Option<Vec<u64>>,
    /// What is to change.
    pub intent: CartIntent,
}

/// The cart stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CartRefusal {
    /// There is no such cart, or it is someone else's.
    #[error("no such cart")]
    Gone,
    /// The cart is at another version than the caller named.
    #[error("the cart has changed")]
    Stale,
    /// The cart has no such line.
    #[error("no such line")]
    LineNotFound,
    /// Units are outside 1 to [`MAX_QUANTITY`].
    #[error("a line has 1 to {MAX_QUANTITY} units")]
    Quantity,
    /// The cart has [`MAX_LINES`] lines.
    #[error("a cart has at most {MAX_LINES} lines")]
    Full,
    /// The cart has [`MAX_CODES`] codes.
    #[error("a cart has at most {MAX_CODES} discount codes")]
    TooManyDiscounts,
    /// The code is not in the cart.
    #[error("no such discount code in the cart")]
    DiscountNotFound,
}

impl Cart {
    /// A cart that was never written.
    #[must_use]
    pub const fn empty(id: CartId, owner: Owner) -> Self {
        Self {
            id,
            owner,
            version: 0,
            items: Vec::new(),
            discounts: Vec::new(),
            updated_at: None,
        }
    }

    /// The cart after `command`, one version on.
    ///
    /// # Errors
    /// When a rule refuses it.
    pub fn apply(&self, command: &Command, at: Timestamp) -> Result<Self, CartRefusal> {
        if command.owner != self.owner {
            return Err(CartRefusal::Gone);
        }
        if command
            .expected
            .as_ref()
            .is_some_and(|wanted| !wanted.contains(&self.version))
        {
            return Err(CartRefusal::Stale);
        }
        let mut next = self.clone();
        next.change(&command.intent)?;
        next.version += 1;
        next.updated_at = Some(at);
        Ok(next)
    }

    fn change(&mut self, intent: &CartIntent) -> Result<(), CartRefusal> {
        match intent {
            CartIntent::Add(line) => self.add(line),
            CartIntent::SetLine {
                line,
                quantity,
                options,
                seen,
            } => self.set_line(*line, *quantity, options.as_ref(), seen.as_ref()),
            CartIntent::RemoveLine(line) => self.take_line(*line).map(|_removed| ()),
            CartIntent::Clear => {
                self.items.clear();
                self.discounts.clear();
                Ok(())
            }
            CartIntent::AddDiscount(code) => self.add_discount(code),
            CartIntent::RemoveDiscount(code) => self.remove_discount(code),
            CartIntent::Merge { lines, discounts } => {
                self.merge(lines);
                for code in discounts {
                    // One code too many is left out.
                    let _full = self.add_discount(code);
                }
                Ok(())
            }
        }
    }

    fn add(&mut self, line: &Line) -> Result<(), CartRefusal> {
        checked(line.quantity)?;
        if let Some(held) = self.items.iter_mut().find(|held| held.is_same_choice(line)) {
            held.quantity = checked(held.quantity + line.quantity)?;
            held.seen = line.seen.clone();
        } else if self.items.len() >= MAX_LINES {
            return Err(CartRefusal::Full);
        } else {
            self.items.push(line.clone());
        }
        Ok(())
    }

    /// A line whose options become those of another line of its variant takes that one's units in.
    fn set_line(
        &mut self,
        id: LineId,
        quantity: Option<u32>,
        options: Option<&Options>,
        seen: Option<&Seen>,
    ) -> Result<(), CartRefusal> {
        let held = self.items.iter().position(|line| line.id == id);
        let place = held.ok_or(CartRefusal::LineNotFound)?;
        if quantity == Some(0) {
            self.items.remove(place);
            return Ok(());
        }
        let mut line = self.items.remove(place);
        line.quantity = checked(quantity.unwrap_or(line.quantity))?;
        if let Some(options) = options {
            line.options.clone_from(options);
        }
        if let Some(seen) = seen {
            line.seen.clone_from(seen);
        }
        let twin = self
            .items
            .iter()
            .position(|held| held.is_same_choice(&line));
        let place = match twin {
            None => place,
            Some(at) => {
                let twin = self.items.remove(at);
                line.quantity = checked(line.quantity + twin.quantity)?;
                if at < place { place - 1 } else { place }
            }
        };
        self.items.insert(place, line);
        Ok(())
    }

    fn take_line(&mut self, id: LineId) -> Result<Line, CartRefusal> {
        let held = self.items.iter().position(|line| line.id == id);
        held.map(|place| self.items.remove(place))
            .ok_or(CartRefusal::LineNotFound)
    }

    fn add_discount(&mut self, code: &DiscountCode) -> Result<(), CartRefusal> {
        if self.discounts.contains(code) {
            return Ok(());
        }
        if self.discounts.len() >= MAX_CODES {
            return Err(CartRefusal::TooManyDiscounts);
        }
        self.discounts.push(code.clone());
        Ok(())
    }

    fn remove_discount(&mut self, code: &DiscountCode) -> Result<(), CartRefusal> {
        let held = self.discounts.iter().position(|held| held == code);
        let place = held.ok_or(CartRefusal::DiscountNotFound)?;
        self.discounts.remove(place);
        Ok(())
    }

    fn merge(&mut self, lines: &[Line]) {
        for line in lines {
            if let Some(held) = self.items.iter_mut().find(|held| held.is_same_choice(line)) {
                held.quantity = held
                    .quantity
                    .saturating_add(line.quantity)
                    .min(MAX_QUANTITY);
            } else if self.items.len() < MAX_LINES {
                self.items.push(line.clone());
            }
        }
    }

    /// The cart without what was ordered, one version on; `None` where none of it is in there any more.
    #[must_use]
    pub fn without(&self, ordered: &[(LineId, u32)], at: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        for (id, quantity) in ordered {
            if let Some(line) = next.items.iter_mut().find(|line| line.id == *id) {
                line.quantity = line.quantity.saturating_sub(*quantity);
            }
        }
        next.items.retain(|line| line.quantity > 0);
        if next.items.is_empty() {
            next.discounts.clear();
        }
        if next.items == self.items {
            return None;
        }
        next.version += 1;
        next.updated_at = Some(at);
        Some(next)
    }
}

fn checked(quantity: u32) -> Result<u32, CartRefusal> {
    if (1..=MAX_QUANTITY).contains(&quantity) {
        Ok(quantity)
    } else {
        Err(CartRefusal::Quantity)
    }
}

/// Commands applied one after the other, to be written at once.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The cart after all of them; `None`: there is none still.
    pub next: Option<Arc<Cart>>,
    /// For each command the cart after it, in their order.
    pub answers: Vec<Result<Arc<Cart>, CartRefusal>>,
}

impl Batch {
    /// Whether there is something to write.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.answers.iter().any(Result::is_ok)
    }
}

/// Applies `commands` in their order to the cart as read (`None`: there is none). A refused command
/// leaves the cart to the next one as it was.
#[must_use]
pub fn fold<'c>(
    id: CartId,
    read: Option<&Arc<Cart>>,
    commands: impl IntoIterator<Item = &'c Command>,
    at: Timestamp,
) -> Batch {
    let mut next = read.cloned();
    let mut answers = Vec::new();
    for command in commands {
        let applied = match &next {
            Some(cart) => cart.apply(command, at),
            None if command.makes => Cart::empty(id, command.owner.clone()).apply(command, at),
            None => Err(CartRefusal::Gone),
        };
        let applied = applied.map(Arc::new);
        if let Ok(cart) = &applied {
            next = Some(cart.clone());
        }
        answers.push(applied);
    }
    Batch { next, answers }
}
