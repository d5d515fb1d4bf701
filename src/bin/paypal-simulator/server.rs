//! The HTTP server: routes, the background tasks, and their end.

use std::{io, net::TcpListener, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer, ResponseError as _, dev::Server, middleware::from_fn, rt, web,
};
use serde_json::json;

use crate::{
    approval,
    config::Flags,
    control, events,
    faults::{self, socket::Gate},
    forget, ipn, oauth, orders, payments,
    problem::Problem,
    world::{Simulator, World},
};

/// Largest request body; PayPal's own limit is unknown, ours is generous.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// How often lapsed orders are looked for.
const SWEEP: Duration = Duration::from_millis(100);
/// How long an idle connection stays; clients that pool should close first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Waiting connections; thousands may come at one moment.
const BACKLOG: i32 = 4_096;

/// A simulator that listens.
pub(crate) struct Running {
    /// Where it listens: `http://address:port`.
    pub(crate) address: String,
    /// Runs until it is stopped.
    pub(crate) server: Server,
    /// Its state, for tests in this process.
    #[cfg(test)]
    pub(crate) sim: web::Data<Simulator>,
}

/// Binds, makes the world and starts the background; requests are served once `server` is polled.
pub(crate) fn start(flags: Flags) -> io::Result<Running> {
    let listener = listen(&flags.bind)?;
    // A longer queue than the standard library's 128.
    let gate = Gate::new(&listener, BACKLOG)?;
    gate.open()?;
    let address = format!("http://{}", listener.local_addr()?);
    let base = flags.public_url.clone().unwrap_or_else(|| address.clone());
    let (world, work) = World::new(flags, base.trim_end_matches('/').to_owned())?;
    let sim = web::Data::new(Simulator::new(world, gate)?);
    rt::spawn(events::deliver::run(sim.clone(), work));
    rt::spawn(sweep(sim.clone()));
    let shared = sim.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .wrap(from_fn(faults::middleware::disturb))
            .configure(routes)
            .default_service(web::to(|| async { Problem::status(404).error_response() }))
    })
    .workers(1)
    .on_connect(faults::socket::keep)
    .disable_signals()
    .shutdown_timeout(0)
    .keep_alive(KEEP_ALIVE)
    // Clients open connections ahead of need; one that says nothing yet is no fault.
    .client_request_timeout(Duration::ZERO)
    .listen(listener)?
    .run();
    Ok(Running {
        address,
        server,
        #[cfg(test)]
        sim,
    })
}

/// Binds the address. A free port is found first and then bound by its number: Linux lets a
/// listening socket keep its port through an outage only if it was asked for.
fn listen(address: &str) -> io::Result<TcpListener> {
    let mut tries = 8_u8;
    let listener = loop {
        let found = TcpListener::bind(address)?.local_addr()?;
        match TcpListener::bind(found) {
            Ok(listener) => break listener,
            // Somebody took the port in between.
            Err(error) if tries == 0 || error.kind() != io::ErrorKind::AddrInUse => {
                return Err(error);
            }
            Err(_taken) => tries = tries.saturating_sub(1),
        }
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn sweep(sim: web::Data<Simulator>) {
    let mut tick = tokio::time::interval(SWEEP);
    let mut seldom = tokio::time::interval(forget::EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => approval::sweep(&mut sim.lock()),
            _ = seldom.tick() => forget::old(&mut sim.lock()),
        }
    }
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route(
            "/healthz",
            web::get().to(|| async { HttpResponse::Ok().json(json!({ "status": "ok" })) }),
        )
        .route("/v1/oauth2/token", web::post().to(oauth::token))
        .route("/v2/checkout/orders", web::post().to(orders::http::create))
        .route(
            "/v2/checkout/orders/{id}",
            web::get().to(orders::http::show),
        )
        .route(
            "/v2/checkout/orders/{id}",
            web::patch().to(orders::http::update),
        )
        .route(
            "/v2/checkout/orders/{id}/capture",
            web::post().to(orders::http::capture),
        )
        .route(
            "/v2/checkout/orders/{id}/authorize",
            web::post().to(orders::http::authorize),
        )
        .route(
            "/v2/payments/captures/{id}",
            web::get().to(payments::http::show_capture),
        )
        .route(
            "/v2/payments/captures/{id}/refund",
            web::post().to(payments::http::refund),
        )
        .route(
            "/v2/payments/refunds/{id}",
            web::get().to(payments::http::show_refund),
        )
        .route(
            "/v1/customer/disputes/{id}",
            web::get().to(payments::http::show_dispute),
        )
        .route("/checkoutnow", web::get().to(approval::show))
        .route("/checkoutnow", web::post().to(approval::choose))
        .route("/cgi-bin/webscr", web::post().to(ipn::webscr::validate))
        .service(web::scope("/v1/notifications").configure(notifications))
        .service(web::scope("/control").configure(control::routes));
}

fn notifications(config: &mut web::ServiceConfig) {
    config
        .route("/certs/{id}", web::get().to(events::http::certificate))
        .route(
            "/verify-webhook-signature",
            web::post().to(events::verify::verify),
        )
        .route("/webhooks", web::get().to(events::http::hooks))
        .route("/webhooks", web::post().to(events::http::add_hook))
        .route(
            "/webhooks/{id}",
            web::delete().to(events::http::remove_hook),
        )
        .route("/webhooks-events", web::get().to(events::http::events))
        .route("/webhooks-events/{id}", web::get().to(events::http::event))
        .route(
            "/webhooks-events/{id}/resend",
            web::post().to(events::http::resend),
        );
}
