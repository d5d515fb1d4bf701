//! Discounts: codes that buyers enter into their carts, and how often each may be used.
//!
//! A code stays in the cart and is judged at each reading ([`judge`]): one that does not apply now takes
//! nothing off and says why. What a cart shows is what its checkout freezes.
//!
//! A use is claimed when a checkout begins, by its id, with one conditional update of the code's document
//! and one of the buyer's; never inside a transaction, because a popular code is as hot as the last mug.
//! The claim is given back when the checkout ends without an order, and counted for good when it becomes
//! one. Each step is idempotent by the checkout; what a crash cut short is finished by the reconciler.
//!
//! Always, for each code: `used + claims ≤ limit` (as it was when the last was claimed), `used` is the
//! number of completed checkouts that list the code, and the sum of its buyers' `used`.

mod http;
mod model;
mod store;

pub use http::routes;
pub(crate) use http::too_many;
pub use model::{
    AppliedDiscount, Book, Discount, DiscountCode, Judged, Kind, MAX_CODES, Obstacle, Rules,
    Standing, judge,
};
pub use store::{Claim, DiscountUse, Discounts, Refused, StaleClaim, collections};
