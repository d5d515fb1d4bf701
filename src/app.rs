//! Builds each client, store and actor once, serves until told to stop, and stops in order.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use actix::Actor;
use actix_http::HttpService;
use actix_server::{Server, ServerHandle};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{
    App,
    dev::AppConfig,
    middleware::{Compress, from_fn},
    rt::net::TcpStream,
    web::{self, ServiceConfig},
};
use futures_util::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    accounts::{self, Accounts, Tokens},
    api,
    audit::{self, Audit},
    cart::{self, Carts},
    catalog::{
        self, Catalog, Exporter, ImageSweeper, Images, ImagesError, Importer, JobWorker, Stock,
    },
    checkout::{self, Checkouting, Neighbours, Reconciler},
    config::Config,
    discounts::{self, Discounts},
    http::{Front, Gate, RateLimits, Shared, TrustedProxies, guard_request},
    idempotency::{self, Idempotency},
    mongo::{Mongo, StoreError, feed::Feed, pulse::Pulse, schema, upgrades},
    my_data::{Eraser, Holders},
    orders::{self, Orders, Refunds},
    outbox::Outbox,
    payments::{
        self, Payments,
        inbox::{Inbox, Workers},
        paypal::{PayPal, SetupError},
    },
    problem::{Code, Problem},
    realtime::{self, Hub, Tickets},
};

/// A client that has not sent its request's head by then is cut off.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// How long a client may take to leave after the last word to it.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1_024;
/// An idle connection is kept this long.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A peer that takes no byte for this long is gone, whatever it says: without it a stream whose reader
/// has stopped would never be polled again, and never end.
const UNREAD_LIMIT: Duration = Duration::from_secs(30);
/// How many unsent bytes the kernel takes for a connection: a stream whose reader has stopped is to be noticed by
/// what waits in the shop, not after the megabytes that the kernel would take by itself. Bulk answers lose nothing:
/// bytes under way do not count.
const UNSENT_LIMIT: u32 = 32 * 1024;
/// How often what was counted for idle clients is forgotten.
const TIDY: Duration = Duration::from_mins(1);
/// How often measures are added up: until then each answer's is held by itself, 16 bytes of it.
const ADD_UP: Duration = Duration::from_secs(1);
/// How long cart sessions may take to write what they hold at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// The collections whose changes other parts of the shop follow.
fn fed() -> Vec<&'static str> {
    [catalog::FED.as_slice(), &[accounts::FED], &realtime::FED].concat()
}

/// The shop cannot start; one line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The payment provider.
    #[error(transparent)]
    Payments(#[from] SetupError),
    /// The store of pictures.
    #[error("images: {0}")]
    Images(#[from] ImagesError),
    /// The socket.
    #[error("server.bind: {0}")]
    Bind(#[from] std::io::Error),
}

/// Every collection of the shop, as declared by its room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    [
        idempotency::collections(),
        accounts::collections(),
        audit::collections(),
        catalog::collections(),
        cart::collections(),
        discounts::collections(),
        checkout::collections(),
        orders::collections(),
        payments::collections(),
        realtime::collections(),
    ]
    .concat()
}

/// Brings the database to the shape that this release asks for.
///
/// # Errors
/// When the database refuses a step.
pub async fn prepare(mongo: &Mongo) -> Result<(), StoreError> {
    schema::apply(mongo.database(), &collections()).await?;
    upgrades::apply(mongo.database(), &checkout::upgrades()).await
}

/// Everything that requests share; cheap to clone.
#[derive(Clone)]
pub struct Shop {
    config: Arc<Config>,
    mongo: Mongo,
    pulse: Pulse,
    gate: Gate,
    feed: Feed,
    tokens: Tokens,
    accounts: Accounts,
    limits: RateLimits,
    proxies: TrustedProxies,
    idempotency: Idempotency,
    stock: Stock,
    catalog: Catalog,
    discounts: Discounts,
    carts: Carts,
    orders: Orders,
    refunds: Refunds,
    checkouting: Checkouting,
    inbox: Inbox,
    followers: Arc<Mutex<Option<Workers>>>,
    outbox: Arc<Mutex<Option<Outbox>>>,
    images: Images,
    importer: Importer,
    jobs: Arc<JobWorker>,
    /// Ends with the last handle.
    _sweeper: Arc<ImageSweeper>,
    /// Likewise.
    _eraser: Arc<Eraser>,
    hub: Hub,
    tickets: Tickets,
    metrics: Option<PrometheusHandle>,
    leaving: api::Leaving,
}

impl Shop {
    /// Connects to the replica set at `uri`, applies the schema and starts the actors; to be called inside
    /// the actix system.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the schema.
    pub async fn open(
        config: Config,
        uri: &str,
        metrics: Option<PrometheusHandle>,
    ) -> Result<Self, StartError> {
        let mongo = Mongo::connect(uri, &config.mongodb).await?;
        prepare(&mongo).await?;
        let pulse = Pulse::start(uri).await?;
        let feed = Feed::open(uri, &config.mongodb.database, &fed()).await?;
        let tokens = Tokens::new(&config.auth);
        let accounts = Accounts::new(&mongo, &tokens, &config.auth);
        accounts.follow(&feed).await?;
        let stock = Stock::new(&mongo).within(config.checkout.hold_limits());
        let catalog = Catalog::open(&mongo, &feed, &stock, &config);
        let images = Images::open(&config.images)?;
        let paypal = Arc::new(PayPal::new(&config.paypal)?);
        let payments = Payments::new(paypal.clone());
        let inbox = Inbox::open(&mongo, paypal);
        let discounts = Discounts::new(&mongo);
        let carts = Carts::new(&mongo, &config, Arc::new(catalog.clone()));
        let orders = Orders::new(&mongo, &stock);
        let refunds = Refunds::new(orders.clone(), payments.clone());
        let neighbours = Neighbours {
            mongo: mongo.clone(),
            catalog: catalog.clone(),
            stock: stock.clone(),
            discounts: discounts.clone(),
            carts: carts.clone(),
            orders: orders.clone(),
            refunds: refunds.clone(),
            payments: payments.clone(),
        };
        let checkouting = Checkouting::new(&config, neighbours);
        let followers = inbox.start(Arc::new(checkouting.settlement().clone()));
        Reconciler::new(&mongo, checkouting.settlement().clone(), refunds.clone()).start();
        let outbox = Outbox::start(&config.outbox, &mongo, &feed, &orders);
        let importer = Importer::new(&mongo, config.store.currency);
        let jobs = JobWorker::start(&mongo, &catalog, &importer);
        let sweeper =
            ImageSweeper::start(&mongo, &images, &config.images, Arc::new(orders.clone()));
        let hub = Hub::start(&config.realtime, &feed, &orders, tokens.revocations());
        let idempotency = Idempotency::new(&mongo);
        let eraser = Eraser::start(Holders {
            accounts: accounts.clone(),
            carts: carts.clone(),
            checkouting: checkouting.clone(),
            orders: orders.clone(),
            idempotency: idempotency.clone(),
            inbox: inbox.clone(),
            keep_orders_years: config.store.keep_orders_years,
        });
        let shop = Self {
            tokens,
            accounts,
            limits: RateLimits::new(&config.rate_limit),
            proxies: TrustedProxies::new(config.server.trusted_proxies.clone()),
            idempotency,
            stock,
            catalog,
            discounts,
            carts,
            orders,
            refunds,
            checkouting,
            inbox,
            followers: Arc::new(Mutex::new(Some(followers))),
            outbox: Arc::new(Mutex::new(outbox)),
            images,
            importer,
            jobs: Arc::new(jobs),
            _sweeper: Arc::new(sweeper),
            _eraser: Arc::new(eraser),
            hub,
            tickets: Tickets::new(&mongo),
            config: Arc::new(config),
            mongo,
            gate: Gate::new(pulse.clone()),
            pulse,
            feed,
            metrics,
            leaving: api::Leaving::default(),
        };
        shop.tidy_up();
        Ok(shop)
    }

    /// Forgets idle clients' counts, and adds up measures, now and then.
    fn tidy_up(&self) {
        let limits = self.limits.clone();
        actix_web::rt::spawn(async move {
            let mut every = actix_web::rt::time::interval(TIDY);
            loop {
                every.tick().await;
                limits.forget_idle();
            }
        });
        let Some(metrics) = self.metrics.clone() else {
            return;
        };
        actix_web::rt::spawn(async move {
            let mut every = actix_web::rt::time::interval(ADD_UP);
            loop {
                every.tick().await;
                metrics.run_upkeep();
            }
        });
    }

    /// Hands every room what it needs, as application data.
    fn data(&self, app: &mut ServiceConfig) {
        app.app_data(web::Data::from(self.config.clone()))
            .app_data(web::Data::new(self.pulse.clone()))
            .app_data(web::Data::new(self.gate.clone()))
            .app_data(web::Data::new(self.feed.clone()))
            .app_data(web::Data::new(self.tokens.clone()))
            .app_data(web::Data::new(self.accounts.clone()))
            .app_data(web::Data::new(self.limits.clone()))
            .app_data(web::Data::new(self.proxies.clone()))
            .app_data(web::Data::new(self.idempotency.clone()))
            .app_data(web::Data::new(self.stock.clone()))
            .app_data(web::Data::new(self.catalog.clone()))
            .app_data(web::Data::new(self.images.clone()))
            .app_data(web::Data::new(self.importer.clone()))
            .app_data(web::Data::new(Exporter::of(&self.catalog)))
            .app_data(web::Data::new(Audit::new(&self.mongo)))
            .app_data(web::Data::new(self.discounts.clone()))
            .app_data(web::Data::new(self.carts.clone()))
            .app_data(web::Data::new(self.orders.clone()))
            .app_data(web::Data::new(self.refunds.clone()))
            .app_data(web::Data::new(self.checkouting.clone()))
            .app_data(web::Data::new(self.inbox.clone()))
            .app_data(web::Data::new(self.hub.clone()))
            .app_data(web::Data::new(self.tickets.clone()))
            .app_data(web::Data::new(self.metrics.clone()))
            .app_data(web::Data::new(self.leaving.clone()))
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
        let reference = api::Reference::new();
        let listener = bound(config.bind)?;
        let address = listener.local_addr()?;
        let server = Server::build()
            .workers(workers)
            .shutdown_timeout(config.shutdown_seconds)
            .disable_signals();
        let stopping = server.graceful_shutdown_signal();
        let server = server.listen("shop", listener, move || {
            let stopping = stopping.clone();
            let app = App::new()
                .configure(|app| shop.data(app))
                .configure(|app| api::routes(app, &reference))
                .wrap(from_fn(guard_request))
                .wrap(Compress::default())
                .into_factory()
                .map_err(|error| error.error_response());
            let app = Shared::new(map_config(app, |()| AppConfig::default()));
            let front = Front::new(shop.limits.clone(), shop.proxies.clone());
            let catalog = shop.catalog.clone();
            HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .client_request_timeout(HEAD_LIMIT)
                .client_disconnect_timeout(LEAVE_LIMIT)
                .keep_alive(KEEP_ALIVE)
                .local_addr(address)
                .on_connect_ext(|connection, _data| give_up_on_the_silent(connection))
                .upgrade(app.upgraded())
                .finish(front.before(app.plain(), move |request| {
                    // What is at hand need not be waited for.
                    catalog::at_hand(&catalog, request).now_or_never().flatten()
                }))
                .tcp()
        })?;
        let server = server.run();
        Ok(Listening {
            address,
            handle: server.handle(),
            server,
        })
    }

    /// Says at the probe that this node is not to be sent anything new, and gives a proxy the time to hear it.
    pub async fn drain(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(self.config.server.drain_seconds)).await;
    }

    /// Ends live streams, so that the server need not wait for them; to be called before it stops.
    pub async fn hang_up(&self) {
        self.jobs.stop();
        self.hub.shutdown().await;
    }

    /// Ends what lives beside the requests, once the last one is answered: cart sessions write what they
    /// hold, the provider's messages that are being followed are followed to their end, the outbox is let go.
    pub async fn close(&self) {
        let followers = self
            .followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(followers) = followers {
            // What is cut short is taken up by another node, or at the next start.
            let stopping = actix_web::rt::spawn(followers.stop());
            if actix_web::rt::time::timeout(DRAIN, stopping).await.is_err() {
                tracing::warn!("a message of the provider was not followed to its end");
            }
        }
        let outbox = self
            .outbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(outbox) = outbox
            && actix_web::rt::time::timeout(DRAIN, outbox.stop())
                .await
                .is_err()
        {
            tracing::warn!("events wait in the outbox for another node");
        }
        if !self.carts.drain(DRAIN).await {
            tracing::warn!("some cart sessions did not finish in time");
        }
    }
}

/// A socket that listens on `address`, also where connections of an earlier process have not faded yet.
fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Lets the kernel end connections whose peer takes nothing, and hold little for those that take slowly.
fn give_up_on_the_silent(connection: &TcpStream) {
    let socket = socket2::SockRef::from(connection);
    let limited = socket
        .set_tcp_user_timeout(Some(UNREAD_LIMIT))
        .and_then(|()| socket.set_tcp_notsent_lowat(UNSENT_LIMIT));
    if let Err(error) = limited {
        tracing::warn!(%error, "a connection has no limits");
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
