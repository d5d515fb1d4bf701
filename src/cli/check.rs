//! `bodega check`: configuration and database, and with `--invariants` whether the books are in order.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{Database, Failure};
use crate::{
    app::{self, StartError},
    catalog::Images,
    config::{Config, MongoConfig},
    invariants::{self, Books, Wish},
    mongo::{Mongo, schema},
    payments::paypal::PayPal,
    telemetry,
};

/// What to check.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Judge what must always hold over the whole database; reads only, from a secondary where there is one.
    #[arg(long)]
    invariants: bool,
    /// The root of the paypal-simulator whose journal is the truth about the money.
    #[arg(long, value_name = "URL", requires = "invariants")]
    journal: Option<String>,
    /// Acknowledgements that clients have kept, as JSON Lines (docs/checker.md).
    #[arg(long, value_name = "FILE", requires = "invariants")]
    acks: Option<PathBuf>,
    /// Wait up to so long until nothing is under way; whatever is unfinished then is a violation.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        requires = "invariants"
    )]
    wait: u64,
}

/// Checks the configuration, then the configured database.
pub(super) async fn check(config: Config, arguments: CheckArguments) -> Result<(), Failure> {
    telemetry::filter(&config.log)?;
    build(&config)?;
    let database = Database::share(&config.mongodb).await?;
    let checked = if arguments.invariants {
        check_invariants(&config, &database.uri, arguments).await
    } else {
        check_schema(&config.mongodb, &database.uri).await
    };
    database.release().await;
    checked
}

/// Builds what `bodega serve` builds of the configuration alone, and calls nobody: what that refuses is refused here.
fn build(config: &Config) -> Result<(), StartError> {
    PayPal::new(&config.paypal)?;
    Images::open(&config.images)?;
    Ok(())
}

async fn check_schema(config: &MongoConfig, uri: &str) -> Result<(), Failure> {
    let mongo = Mongo::connect(uri, config).await?;
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

async fn check_invariants(
    config: &Config,
    uri: &str,
    arguments: CheckArguments,
) -> Result<(), Failure> {
    let books = Books::open(uri, &config.mongodb).await?;
    let payee = &config.paypal.receiver_email;
    let wish = Wish {
        journal: arguments.journal,
        acks: arguments.acks,
        wait: Duration::from_secs(arguments.wait),
        sweep: config.checkout.reconcile_every(),
        payee: (!payee.is_empty()).then(|| payee.clone()),
        relayed: config.outbox.broker().is_some(),
    };
    let report = invariants::check(&books, &wish).await?;
    print!("{report}");
    match report.violations() {
        0 => Ok(()),
        violations => Err(format!("{violations} violations").into()),
    }
}
