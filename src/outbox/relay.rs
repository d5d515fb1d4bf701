//! The relay: one node at a time, by lease, hands on what waits.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::Instant,
};

use super::{
    broker::{Broker, BrokerError},
    message::Message,
};
use crate::{
    clock::Timestamp,
    config::OutboxConfig,
    faults::{Point, crash_point},
    mongo::{
        Mongo, StoreError,
        feed::{ChangeKind, Fed, Feed, Subscription},
        lease::Lease,
    },
    orders::{EVENTS, OrderEvent, Orders},
};

/// How often it is looked, whether anybody calls or not; the change feed calls sooner.
const SWEEP: Duration = Duration::from_secs(1);
/// How long another node waits for one that is gone.
const LEASE: Duration = Duration::from_secs(3);
/// Orders whose events are read at once.
const BATCH: usize = 256;
/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// How often the backlog is measured.
const MEASURE: Duration = Duration::from_secs(5);

/// The node's part in relaying; dropping it ends it where it stands.
pub struct Outbox {
    stop: watch::Sender<bool>,
    relay: JoinHandle<()>,
    beside: [JoinHandle<()>; 2],
}

impl Outbox {
    /// Begins to relay the events of `orders`; `None` without a broker. `feed` is over [`EVENTS`].
    #[must_use]
    pub fn start(
        config: &OutboxConfig,
        mongo: &Mongo,
        feed: &Feed,
        orders: &Orders,
    ) -> Option<Self> {
        config.broker()?;
        let (stop, stopped) = watch::channel(false);
        let woken = Arc::new(Notify::new());
        let beside = [
            tokio::spawn(wake(feed.subscribe(), woken.clone())),
            tokio::spawn(measure(orders.clone())),
        ];
        let relay = Relay {
            config: config.clone(),
            orders: orders.clone(),
            lease: Lease::new(mongo, "outbox"),
        };
        let relay = tokio::spawn(supervise(relay, woken, stopped));
        Some(Self {
            stop,
            relay,
            beside,
        })
    }

    /// Ends after what is under way, and lets another node go on at once.
    pub async fn stop(mut self) {
        // The relay is gone where nobody hears it.
        let _gone = self.stop.send(true);
        if let Err(error) = (&mut self.relay).await {
            tracing::error!(%error, "the outbox's relay did not end well");
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.relay.abort();
        for task in &self.beside {
            task.abort();
        }
    }
}

/// Calls the relay for each new event; calls that nobody has heard yet become one.
async fn wake(mut feed: Subscription, woken: Arc<Notify>) {
    while let Some(fed) = feed.next().await {
        let news = match &fed {
            Fed::Change(change) => {
                change.collection == EVENTS && change.kind == ChangeKind::Inserted
            }
            Fed::Lost => true,
        };
        if news {
            woken.notify_one();
        }
    }
}

/// Measures on every node, so that the figures do not end with the node that relayed.
async fn measure(orders: Orders) {
    let mut every = tokio::time::interval(MEASURE);
    loop {
        every.tick().await;
        match orders.backlog().await {
            Ok(backlog) => {
                let age = backlog.oldest.map_or(0, |at| {
                    Timestamp::now().millis().saturating_sub(at.millis())
                });
                let seconds = u32::try_from(age.max(0) / 1_000).unwrap_or(u32::MAX);
                let events = u32::try_from(backlog.events).unwrap_or(u32::MAX);
                metrics::gauge!("bodega_outbox_backlog").set(f64::from(events));
                metrics::gauge!("bodega_outbox_oldest_age_seconds").set(f64::from(seconds));
            }
            Err(error) => tracing::debug!(%error, "the outbox's backlog cannot be measured"),
        }
    }
}

/// Begins again after a panic.
async fn supervise(relay: Relay, woken: Arc<Notify>, stopped: watch::Receiver<bool>) {
    loop {
        let running = Running {
            relay: relay.clone(),
            broker: None,
            held_until: None,
            passed_over: false,
        };
        let done = tokio::spawn(running.run(woken.clone(), stopped.clone())).await;
        let Err(error) = done else { return };
        tracing::error!(%error, "the outbox's relay panicked; it begins again");
        tokio::time::sleep(PAUSES.1).await;
    }
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

#[derive(Clone)]
struct Relay {
    config: OutboxConfig,
    orders: Orders,
    lease: Lease,
}

struct Running {
    relay: Relay,
    broker: Option<Broker>,
    /// Until when the lease surely is ours.
    held_until: Option<Instant>,
    /// Whether what is from before `outbox.from` is left out.
    passed_over: bool,
}

impl Running {
    async fn run(mut self, woken: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
        let mut failures = 0;
        while !*stopped.borrow() {
            let pause = match self.round(&stopped).await {
                Ok(()) => {
                    failures = 0;
                    SWEEP
                }
                Err(error) => {
                    failures += 1;
                    metrics::counter!("bodega_outbox_failures_total").increment(1);
                    tracing::warn!(%error, failures, "events wait in the outbox");
                    self.let_go().await;
                    pause_after(failures)
                }
            };
            // Who does not hold the lease, or was refused, does not come sooner for being called.
            let calls = failures == 0 && self.holds();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = woken.notified(), if calls => {}
                _ = stopped.changed() => {}
            }
        }
        self.let_go().await;
    }

    /// Hands on everything that waits, if it is this node's turn.
    async fn round(&mut self, stopped: &watch::Receiver<bool>) -> Result<(), RelayError> {
        while self.keep_lease().await? {
            // Before there is anything to say, so that consumers find the exchange.
            self.connect().await?;
            self.pass_over().await?;
            let orders = self.relay.orders.unrelayed(BATCH).await?;
            if orders.is_empty() || *stopped.borrow() {
                break;
            }
            crash_point(Point::OutboxRead);
            self.relay_orders(&orders).await?;
        }
        Ok(())
    }

    /// Publishes the next event of every order, and when all are confirmed the one after: no event is on its
    /// way while its predecessor may have to be repeated.
    async fn relay_orders(&mut self, orders: &[Vec<OrderEvent>]) -> Result<(), RelayError> {
        for nth in 0.. {
            let next = orders.iter().filter_map(|events| events.get(nth));
            let messages: Vec<Message> = next.map(Message::of).collect::<Result<_, _>>()?;
            // On a busy machine many long lives take longer than the lease does.
            if messages.is_empty() || !self.keep_lease().await? {
                break;
            }
            let Some(broker) = &self.broker else { break };
            let published = broker.publish(&messages).await;
            crash_point(Point::OutboxPublished);
            let count = u64::try_from(published.confirmed.len()).unwrap_or_default();
            metrics::counter!("bodega_outbox_relayed_total").increment(count);
            if published.unwanted > 0 {
                let unwanted = u64::try_from(published.unwanted).unwrap_or_default();
                metrics::counter!("bodega_outbox_unrouted_total").increment(unwanted);
                tracing::warn!(
                    unwanted,
                    "events that no queue wanted: none is bound to the exchange for them"
                );
            }
            self.relay.orders.relayed(&published.confirmed).await?;
            if let Some(failure) = published.failure {
                return Err(failure.into());
            }
        }
        Ok(())
    }

    /// Whether the lease surely is ours for a while.
    fn holds(&self) -> bool {
        self.held_until.is_some_and(|until| Instant::now() < until)
    }

    /// Takes the lease, or keeps it where a quarter of it is over.
    async fn keep_lease(&mut self) -> Result<bool, StoreError> {
        let now = Instant::now();
        if self
            .held_until
            .is_some_and(|until| now + LEASE * 3 / 4 < until)
        {
            return Ok(true);
        }
        let held = self.relay.lease.take(LEASE).await?;
        if held && self.held_until.is_none() {
            tracing::info!("this node relays orders' events");
        }
        self.held_until = held.then(|| now + LEASE);
        if !held && let Some(broker) = self.broker.take() {
            broker.close().await;
        }
        Ok(held)
    }

    async fn connect(&mut self) -> Result<(), BrokerError> {
        if self.broker.as_ref().is_some_and(Broker::is_open) {
            return Ok(());
        }
        self.broker = None;
        if let Some(uri) = self.relay.config.broker() {
            self.broker = Some(Broker::connect(uri, &self.relay.config.exchange).await?);
        }
        Ok(())
    }

    async fn pass_over(&mut self) -> Result<(), StoreError> {
        if !self.passed_over
            && let Some(from) = self.relay.config.from()
        {
            let count = self.relay.orders.pass_over(from).await?;
            tracing::info!(count, %from, "earlier events are left out");
        }
        self.passed_over = true;
        Ok(())
    }

    /// Closes the connection and gives the lease back: another node may be better off.
    async fn let_go(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.close().await;
        }
        if self.held_until.take().is_some()
            && let Err(error) = self.relay.lease.give_back().await
        {
            tracing::debug!(%error, "the outbox's lease ends by itself");
        }
    }
}

/// Twice as long after each failure, and never the same for two nodes.
fn pause_after(failures: u32) -> Duration {
    let (first, longest) = PAUSES;
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let most = doubled.min(longest);
    rand::rng().random_range(most / 2..=most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_somewhere() {
        assert!(pause_after(1) <= PAUSES.0 && pause_after(1) >= PAUSES.0 / 2);
        for failures in [10, 40, u32::MAX] {
            let pause = pause_after(failures);
            assert!(pause <= PAUSES.1 && pause >= PAUSES.1 / 2, "{pause:?}");
        }
    }
}
