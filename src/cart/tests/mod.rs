//! Carts over a real database: sessions on several nodes, faults, and the endpoints.

mod faults;
mod http;
mod merging;
mod outages;
mod sessions;
