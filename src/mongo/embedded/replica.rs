//! Making one mongod a replica set of its own, over the driver.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::{
    Client,
    error::{Error, ErrorKind},
    options::{ClientOptions, ServerAddress},
};

use super::LOOK;

/// The replica set's name.
const NAME: &str = "rs0";
/// Time for a connection to a server on the same machine.
const SELECTION: Duration = Duration::from_secs(2);
/// `AlreadyInitialized`: the configuration was still being loaded when the server said it had none.
const ALREADY_INITIALIZED: i32 = 23;

/// The address of the one member.
fn member(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The URI for everyone else.
pub(super) fn uri(port: u16) -> String {
    format!("mongodb://{}/?replicaSet={NAME}", member(port))
}

/// What the server is, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It takes writes.
    Primary,
    /// It has no configuration yet.
    Empty,
    /// It has one, and is on its way, or has moved to another port since.
    Other,
}

/// A direct connection to the server, whatever its standing.
#[derive(Debug)]
pub(super) struct Direct {
    client: Client,
    port: u16,
}

impl Direct {
    /// Prepares the connection; it is opened at the first command.
    ///
    /// # Errors
    /// The driver's.
    pub(super) fn new(port: u16) -> Result<Self, Error> {
        let host = ServerAddress::Tcp {
            host: "127.0.0.1".to_owned(),
            port: Some(port),
        };
        let options = ClientOptions::builder()
            .hosts(vec![host])
            .app_name("bodega-embedded".to_owned())
            .direct_connection(true)
            .server_selection_timeout(SELECTION)
            .connect_timeout(SELECTION)
            .max_pool_size(2)
            .build();
        Ok(Self {
            client: Client::with_options(options)?,
            port,
        })
    }

    async fn command(&self, command: Document) -> Result<Document, Error> {
        self.client.database("admin").run_command(command).await
    }

    /// The process that answers here: not ours when another program was faster at the port.
    ///
    /// # Errors
    /// The driver's.
    pub(super) async fn pid(&self) -> Result<Option<u32>, Error> {
        let brief = doc! {
            "serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0, "wiredTiger": 0, "tcmalloc": 0,
        };
        let status = self.command(brief).await?;
        Ok(status
            .get_i64("pid")
            .ok()
            .and_then(|pid| pid.try_into().ok()))
    }

    async fn standing(&self) -> Result<Standing, Error> {
        let hello = self.command(doc! { "hello": 1 }).await?;
        Ok(if hello.get_bool("isWritablePrimary").unwrap_or(false) {
            Standing::Primary
        } else if hello.get_bool("isreplicaset").unwrap_or(false) {
            Standing::Empty
        } else {
            Standing::Other
        })
    }

    /// Brings the server to primary: gives a new one its configuration, and one whose port has changed
    /// its new address. A set of one elects itself at once, whatever its election timeout.
    ///
    /// # Errors
    /// The driver's. Waits as long as it takes: the caller limits it.
    pub(super) async fn become_primary(&self) -> Result<(), Error> {
        loop {
            match self.standing().await? {
                Standing::Primary => return Ok(()),
                Standing::Empty => self.configure().await?,
                Standing::Other => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A server that was moved says, too, that it has no valid configuration: it has one, without itself.
    async fn configure(&self) -> Result<(), Error> {
        let held = match self.command(doc! { "replSetGetConfig": 1 }).await {
            Ok(answer) => answer.get_document("config").ok().cloned(),
            Err(error) if matches!(error.kind.as_ref(), ErrorKind::Command(_)) => None,
            Err(error) => return Err(error),
        };
        let command = match held {
            None => doc! { "replSetInitiate": self.config(1) },
            Some(held) => {
                let version = held.get_i32("version").unwrap_or(1);
                doc! { "replSetReconfig": self.config(version.saturating_add(1)), "force": true }
            }
        };
        match self.command(command).await {
            Ok(_) => Ok(()),
            Err(error) if is_initialized(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn config(&self, version: i32) -> Document {
        doc! {
            "_id": NAME,
            "version": version,
            "members": [{ "_id": 0, "host": member(self.port) }],
        }
    }

    /// Asks the server to end. It closes the connection instead of answering.
    pub(super) async fn shut_down(&self) {
        let command = doc! { "shutdown": 1, "force": true, "timeoutSecs": 0 };
        if let Err(error) = self.command(command).await {
            tracing::debug!(%error, "mongod closed the connection at shutdown");
        }
    }
}

fn is_initialized(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if command.code == ALREADY_INITIALIZED)
}

/// Whether a primary answers at `port`.
pub(super) async fn is_primary(port: u16) -> bool {
    match Direct::new(port) {
        Ok(direct) => matches!(direct.standing().await, Ok(Standing::Primary)),
        Err(_) => false,
    }
}
