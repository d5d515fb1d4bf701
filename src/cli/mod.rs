//! The command line.

mod user;

use clap::{Parser, Subcommand};

use crate::{
    api,
    app::{self, Shop},
    config::{self, Config},
    mongo::{Mongo, schema},
    telemetry,
};

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
    Check,
    /// Print the OpenAPI document.
    Openapi,
    /// Make and change users.
    #[command(subcommand)]
    User(user::UserCommand),
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
        Command::Check => check(config::load()?).await,
        Command::Openapi => {
            print!("{}", api::openapi().to_pretty_json()?);
            Ok(())
        }
        Command::User(command) => user::run(command, &config::load()?).await,
    }
}

async fn serve(config: Config) -> Result<(), Failure> {
    telemetry::start_logging(&config.log)?;
    let metrics = telemetry::start_metrics();
    let uri = config.mongodb.uri.clone();
    let shop = Shop::open(config, &uri, metrics).await?;
    let listening = shop.listen()?;
    tracing::info!(address = %listening.address, "listening");
    let handle = listening.handle.clone();
    actix_web::rt::spawn(async move {
        stop_signal().await;
        tracing::info!("stopping");
        handle.stop(true).await;
    });
    listening.server.await?;
    Ok(())
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn check(config: Config) -> Result<(), Failure> {
    let mongo = Mongo::connect(&config.mongodb.uri, &config.mongodb).await?;
    mongo.ping().await?;
    let missing = schema::missing(mongo.database(), &app::collections()).await?;
    if missing.is_empty() {
        println!("configuration and database are in order");
        return Ok(());
    }
    Err(format!(
        "missing in the database: {}; `bodega serve` makes them",
        missing.join(", ")
    )
    .into())
}
