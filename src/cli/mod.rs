//! The command line.

mod check;
mod import;
mod user;

use std::{net::IpAddr, time::Duration};

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    api,
    app::{self, Shop},
    config::{self, Config, MongoConfig},
    mongo::{
        Mongo,
        embedded::{Embedded, EmbeddedError},
    },
    telemetry,
};

/// Time for the answer to a health probe.
const PROBE: Duration = Duration::from_secs(3);

/// A shop's back office and counter in one binary.
#[derive(Debug, Parser)]
#[command(name = "bodega", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the shop until SIGTERM or Ctrl-C.
    Serve,
    /// Check configuration and database.
    Check(check::CheckArguments),
    /// Import products from JSON Lines or CSV; a second run changes nothing.
    Import(import::ImportArguments),
    /// Export every product as JSON Lines that import again unchanged.
    Export(import::ExportArguments),
    /// Make and change users.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Print the OpenAPI document.
    Openapi,
    /// Ask the server on this machine whether it is alive; for containers and scripts.
    Health {
        /// Ask whether it is ready to serve, its database included.
        #[arg(long)]
        ready: bool,
    },
}

/// What a command ends with when it fails: one line.
type Failure = Box<dyn std::error::Error>;

/// Runs the command.
///
/// # Errors
/// One line that says what went wrong.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve => serve(config::load()?).await,
        Command::Check(arguments) => check::check(config::load()?, arguments).await,
        Command::Import(arguments) => {
            let config = config::load()?;
            over_database(&config, async |mongo| {
                import::import(&config, &mongo, arguments).await
            })
            .await
        }
        Command::Export(arguments) => {
            over_database(&config::load()?, async |mongo| {
                import::export(&mongo, arguments).await
            })
            .await
        }
        Command::User(command) => {
            let config = config::load()?;
            over_database(&config, async |mongo| {
                user::run(command, &mongo, &config).await
            })
            .await
        }
        Command::Health { ready } => health(config::load()?, ready).await,
        Command::Openapi => {
            print!("{}", api::openapi().to_pretty_json()?);
            Ok(())
        }
    }
}

/// The database of a command: the configured one, or the embedded server.
struct Database {
    uri: String,
    embedded: Option<Embedded>,
}

impl Database {
    /// For the server: starts the embedded one where it is configured.
    async fn run(config: &MongoConfig) -> Result<Self, EmbeddedError> {
        Self::open(config, Embedded::start).await
    }

    /// For every other command: shares the embedded one with a server that runs already.
    async fn share(config: &MongoConfig) -> Result<Self, EmbeddedError> {
        Self::open(config, Embedded::attach_or_start).await
    }

    async fn open(
        config: &MongoConfig,
        start: impl AsyncFnOnce(&MongoConfig) -> Result<Embedded, EmbeddedError>,
    ) -> Result<Self, EmbeddedError> {
        if !config.is_embedded() {
            return Ok(Self {
                uri: config.uri.clone(),
                embedded: None,
            });
        }
        let embedded = start(config).await?;
        Ok(Self {
            uri: embedded.uri().to_owned(),
            embedded: Some(embedded),
        })
    }

    /// Ends the embedded one, if this command started it.
    async fn release(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// Waits for SIGTERM and Ctrl-C; listens from the moment it is made.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
    }
}

async fn serve(config: Config) -> Result<(), Failure> {
    telemetry::start_logging(&config.log)?;
    // Before anything is started, so that nothing is left behind.
    let mut stop = Stop::listen()?;
    let database = tokio::select! {
        started = Database::run(&config.mongodb) => started?,
        () = stop.wait() => return Ok(()),
    };
    let served = serve_with(config, &database.uri, stop).await;
    database.release().await;
    served
}

async fn serve_with(config: Config, uri: &str, mut stop: Stop) -> Result<(), Failure> {
    let metrics = telemetry::start_metrics();
    let shop = tokio::select! {
        opened = Shop::open(config, uri, metrics) => opened?,
        () = stop.wait() => return Ok(()),
    };
    let listening = match shop.listen() {
        Ok(listening) => listening,
        Err(error) => {
            // What runs already ends as it does at a stop: an actor that was never polled would be at its end,
            // when nothing can run any more.
            shop.close().await;
            return Err(error.into());
        }
    };
    // For scripts and tests, which wait for this line.
    println!("bodega listening on http://{}", listening.address);
    let (handle, streams) = (listening.handle.clone(), shop.clone());
    actix_web::rt::spawn(async move {
        stop.wait().await;
        streams.drain().await;
        streams.hang_up().await;
        handle.stop(true).await;
    });
    listening.server.await?;
    shop.close().await;
    Ok(())
}

async fn health(config: Config, ready: bool) -> Result<(), Failure> {
    let mut address = config.server.bind;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let probe = if ready { "readyz" } else { "healthz" };
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PROBE)
        .build()?;
    let answer = client.get(format!("http://{address}/{probe}")).send().await;
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("{address}/{probe} answered {}", answer.status()).into()),
        Err(_) => Err(format!("nothing answers at {address}").into()),
    }
}

/// Runs a command over the configured database, whether a server runs over it or not, with the schema in
/// place: a command may come before the first `bodega serve`.
async fn over_database(
    config: &Config,
    command: impl AsyncFnOnce(Mongo) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let database = Database::share(&config.mongodb).await?;
    let done = match connect(&database, config).await {
        Ok(mongo) => command(mongo).await,
        Err(error) => Err(error),
    };
    database.release().await;
    done
}

async fn connect(database: &Database, config: &Config) -> Result<Mongo, Failure> {
    let mongo = Mongo::connect(&database.uri, &config.mongodb).await?;
    app::prepare(&mongo).await?;
    Ok(mongo)
}
