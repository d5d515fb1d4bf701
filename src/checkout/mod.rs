//! Checkouts: one attempt to buy a cart, from the frozen snapshot to the order.
