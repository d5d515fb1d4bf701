//! Builds each client, store and actor once, serves until told to stop, and stops in order.

use std::{net::SocketAddr, sync::Arc};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    middleware::{Compress, from_fn},
    web::{self, ServiceConfig},
};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    accounts::Tokens,
    api,
    catalog::{self, Stock},
    config::Config,
    http::{RateLimits, TrustedProxies, guard_request},
    idempotency::{self, Idempotency},
    mongo::{Mongo, StoreError, feed::Feed, schema},
    payments::{
        self, Payments,
        inbox::Inbox,
        paypal::{PayPal, SetupError},
    },
    problem::{Code, Problem},
};

/// The collections whose changes other parts of the shop follow.
const FED: [&str; 1] = ["stock"];

/// The shop cannot start; one line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The socket.
    #[error("server.bind: {0}")]
    Bind(#[from] std::io::Error),
    /// The payment provider.
    #[error(transparent)]
    Payments(#[from] SetupError),
}

/// Every collection of the shop, as declared by its room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    [
        idempotency::collections(),
        catalog::collections(),
        payments::collections(),
    ]
    .concat()
}

/// Everything that requests share; cheap to clone.
#[derive(Clone)]
pub struct Shop {
    config: Arc<Config>,
    mongo: Mongo,
    feed: Feed,
    tokens: Tokens,
    limits: RateLimits,
    proxies: TrustedProxies,
    idempotency: Idempotency,
    stock: Stock,
    payments: Payments,
    inbox: Inbox,
    metrics: Option<PrometheusHandle>,
}

impl Shop {
    /// Connects to the replica set at `uri`, applies the schema and starts the actors.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the schema.
    pub async fn open(
        config: Config,
        uri: &str,
        metrics: Option<PrometheusHandle>,
    ) -> Result<Self, StartError> {
        let mongo = Mongo::connect(uri, &config.mongodb).await?;
        schema::apply(mongo.database(), &collections()).await?;
        let paypal = Arc::new(PayPal::new(&config.paypal)?);
        let feed = Feed::open(uri, &config.mongodb.database, &FED).await?;
        Ok(Self {
            tokens: Tokens::new(&config.auth),
            limits: RateLimits::new(&config.rate_limit),
            proxies: TrustedProxies::new(config.server.trusted_proxies.clone()),
            idempotency: Idempotency::new(&mongo),
            stock: Stock::new(&mongo),
            inbox: Inbox::open(&mongo, paypal.clone()),
            payments: Payments::new(paypal),
            config: Arc::new(config),
            mongo,
            feed,
            metrics,
        })
    }

    /// Hands every room what it needs, as application data.
    fn data(&self, app: &mut ServiceConfig) {
        app.app_data(web::Data::from(self.config.clone()))
            .app_data(web::Data::new(self.mongo.clone()))
            .app_data(web::Data::new(self.feed.clone()))
            .app_data(web::Data::new(self.tokens.clone()))
            .app_data(web::Data::new(self.limits.clone()))
            .app_data(web::Data::new(self.proxies.clone()))
            .app_data(web::Data::new(self.idempotency.clone()))
            .app_data(web::Data::new(self.stock.clone()))
            .app_data(web::Data::new(self.payments.clone()))
            .app_data(web::Data::new(self.inbox.clone()))
            .app_data(web::Data::new(self.metrics.clone()))
            .app_data(
                web::PathConfig::default().error_handler(|_unreadable, _request| {
                    // A malformed id names nothing that exists.
                    Problem::new(Code::NotFound).into()
                }),
            );
    }

    /// Listens on the configured address; the returned server runs once it is awaited.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn listen(&self) -> Result<Listening, StartError> {
        let shop = self.clone();
        let config = &self.config.server;
        let workers = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            configured => configured,
        };
        let server = HttpServer::new(move || {
            App::new()
                .configure(|app| shop.data(app))
                .configure(api::routes)
                .wrap(from_fn(guard_request))
                .wrap(Compress::default())
        })
        .workers(workers)
        .shutdown_timeout(config.shutdown_seconds)
        .disable_signals()
        .bind(config.bind)?;
        let address = server.addrs().first().copied().unwrap_or(config.bind);
        let server = server.run();
        Ok(Listening {
            address,
            handle: server.handle(),
            server,
        })
    }
}

/// A bound server that has not begun to answer yet.
pub struct Listening {
    /// The bound address.
    pub address: SocketAddr,
    /// Stops it.
    pub handle: ServerHandle,
    /// To be awaited.
    pub server: Server,
}
