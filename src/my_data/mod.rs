//! What the law gives a person, over all rooms: a copy of everything held (`export`), and erasure (`erase`).
//!
//! Each room has a function of its own over its own collections; this one only knows in which order.

mod erase;
mod export;

pub use erase::{Eraser, Holders};
pub use export::routes;
