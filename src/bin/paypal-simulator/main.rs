//! A stand-in for PayPal that a shop can be built, tested and shown against.
//!
//! It speaks the parts of PayPal's REST API that a shop needs (OAuth, orders, captures, refunds,
//! webhook calls), shows the buyer an approval page, signs and delivers webhooks with certificates
//! of its own, sends and vouches for IPN messages, goes wrong on demand, and keeps a journal of all
//! money: the truth that a shop's books are compared with. For that reason it shares no code with
//! the shop. `docs/paypal-simulator.md` describes flags, calls, faults and the journal.
//!
//! | room | holds |
//! | --- | --- |
//! | `oauth` | tokens |
//! | `orders`, `payments` | orders; captures, refunds, disputes |
//! | `approval` | the buyer's page, approval, lapse |
//! | `events`, `signing`, `ipn` | webhooks, certificates, IPN |
//! | `faults` | what goes wrong, and how |
//! | `control` | the control API |
//! | `world`, `idempotency`, `work`, `forget` | the one state, request ids, what is dropped in time |
//! | `journal`, `recording` | what happened; every exchange, for checks against PayPal's documents |

mod approval;
mod clock;
mod config;
mod control;
mod events;
mod faults;
mod forget;
mod idempotency;
mod ids;
mod ipn;
mod issues;
mod journal;
mod money;
mod oauth;
mod orders;
mod payments;
mod problem;
mod recording;
mod request;
mod server;
mod signing;
mod work;
mod world;

#[cfg(test)]
mod tests;

use std::io::{self, Write as _};

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Flags;

#[actix_web::main]
async fn main() -> io::Result<()> {
    let flags = Flags::parse();
    let running = server::start(flags)?;
    let handle = running.server.handle();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    actix_web::rt::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Not gracefully: calls that hang on purpose must not hold the end up.
        handle.stop(false).await;
    });
    let mut out = io::stdout();
    writeln!(out, "paypal-simulator listening on {}", running.address)?;
    out.flush()?;
    running.server.await
}
