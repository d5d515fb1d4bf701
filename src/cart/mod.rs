//! Carts: one actor per active cart session.
