//! The index against plain reading of every product.

mod asked;
mod expected;
mod known;
mod oracle;
mod properties;
mod real;
mod rules;
