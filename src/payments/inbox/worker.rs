//! Workers: each takes the message that is due longest and follows it, until none is due.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    Inbox,
    hand::Hand,
    model::{Kind, Next, State, Verdict, next},
    store::MessageDocument,
};
use crate::{
    clock::Timestamp,
    faults::{Plant, Point, crash_point, planted},
    mongo::{StoreError, lease::holding},
    payments::{Hint, HintError, HintSink, paypal::VerifyError},
};

/// Messages a node follows at once: one that waits for PayPal must not hold up the others.
const WORKERS: usize = 4;
/// How often a worker looks without being woken: for messages put off, and those of other nodes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a claim is renewed while its message is followed: several times within its lease.
const HOLD_EVERY: Duration = Duration::from_secs(3);
/// How long a hint may be followed.
const FOLLOW: Duration = Duration::from_secs(90);
/// Pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// A node's workers; gone when dropped, orderly with [`Workers::stop`].
pub struct Workers {
    hand: Arc<Hand>,
    stop: watch::Sender<bool>,
    supervisors: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(super) fn start(inbox: &Inbox, sink: Arc<dyn HintSink>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let supervisors = std::iter::repeat_n(sink, WORKERS).map(|sink| {
            let worker = Worker {
                inbox: inbox.clone(),
                sink,
            };
            tokio::spawn(supervise(worker, stopped.clone()))
        });
        let supervisors = supervisors.collect();
        inbox.hand.open(true);
        Self {
            hand: inbox.hand.clone(),
            supervisors,
            stop,
        }
    }

    /// Lets the workers finish the messages that are this node's, and ends them. That may take as long as PayPal
    /// takes; where this is cut short, the messages are taken up again when their leases end.
    pub async fn stop(self) {
        self.hand.open(false);
        // No receiver left means that they have ended already.
        let _ended = self.stop.send(true);
        for supervisor in self.supervisors {
            if let Err(error) = supervisor.await {
                tracing::error!(%error, "an inbox worker's supervisor did not end well");
            }
        }
    }
}

/// Starts the worker again when it panics.
async fn supervise(worker: Worker, stopped: watch::Receiver<bool>) {
    loop {
        match tokio::spawn(worker.clone().run(stopped.clone())).await {
            Ok(()) => return,
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                metrics::counter!("bodega_panics_total").increment(1);
                tracing::error!(%error, "an inbox worker panicked; starting it again");
                sleep(DATABASE_PAUSE).await;
            }
        }
    }
}

#[derive(Clone)]
struct Worker {
    inbox: Inbox,
    sink: Arc<dyn HintSink>,
}

impl Worker {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let hand = &self.inbox.hand;
        let mut look_at = Instant::now();
        loop {
            if let Some(message) = hand.take() {
                self.process(&message).await;
                continue;
            }
            if *stopped.borrow() {
                return;
            }
            if hand.is_called() || look_at <= Instant::now() {
                let pause = match self.inbox.messages.claim().await {
                    Ok(Some(message)) => {
                        // There may be more: another worker looks while this one is busy.
                        hand.call();
                        self.process(&message).await;
                        continue;
                    }
                    Ok(None) => LOOK_EVERY,
                    Err(error) => {
                        tracing::warn!(%error, "the inbox cannot be read");
                        DATABASE_PAUSE
                    }
                };
                look_at = Instant::now() + pause;
            }
            tokio::select! {
                () = hand.woken() => {}
                () = sleep_until(look_at) => {}
                changed = stopped.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn process(&self, message: &MessageDocument) {
        crash_point(Point::InboxClaimed);
        let following = self.follow(message);
        let verdict = match holding(following, HOLD_EVERY, || self.hold(message)).await {
            Ok(verdict) => verdict,
            Err(error) => Verdict::NotNow {
                reason: error.to_string(),
                after: None,
            },
        };
        crash_point(Point::Effect);
        let age = Timestamp::now()
            .millis()
            .saturating_sub(message.received_at.millis());
        let age = Duration::from_millis(u64::try_from(age).unwrap_or_default());
        let ended = match next(verdict, message.attempts, message.failures, age) {
            Next::Settle(state, note) => {
                record(message, state, note.as_deref());
                let settled = self.inbox.messages.settle(message, state, note.as_deref());
                settled.await
            }
            Next::Retry {
                pause,
                reason,
                counts,
            } => {
                tracing::warn!(
                    inbox.id = message.id,
                    reason,
                    counts,
                    "a message is put off"
                );
                let messages = &self.inbox.messages;
                messages.put_off(message, pause, &reason, counts).await
            }
        };
        if let Err(error) = ended {
            // The lease ends and another try finds out: following a hint twice is harmless.
            tracing::warn!(inbox.id = message.id, %error, "a message's end cannot be stored");
        }
    }

    /// Renews the claim on a message.
    async fn hold(&self, message: &MessageDocument) {
        if let Err(error) = self.inbox.messages.hold(message).await {
            tracing::warn!(inbox.id = message.id, %error, "a claim cannot be renewed now");
        }
    }

    async fn follow(&self, message: &MessageDocument) -> Result<Verdict, StoreError> {
        match message.kind {
            Kind::Webhook => Ok(self.follow_event(&message.body.bytes).await),
            Kind::Ipn => self.follow_ipn(message).await,
        }
    }

    async fn follow_event(&self, body: &[u8]) -> Verdict {
        let Some(event) = self.inbox.paypal.read_event(body) else {
            return Verdict::over(State::Dead, "no event");
        };
        match event.hint {
            Ok(Some(hint)) => self.hand_over(hint).await,
            Ok(None) => Verdict::over(State::Ignored, "of no concern"),
            Err(error) => Verdict::over(State::Dead, error.to_string()),
        }
    }

    async fn follow_ipn(&self, message: &MessageDocument) -> Result<Verdict, StoreError> {
        let body = &message.body.bytes;
        if !message.vouched_for && !planted(Plant::IpnUnverified) {
            match self.inbox.paypal.verify_ipn(body).await {
                Ok(()) => {}
                Err(VerifyError::False(reason)) => {
                    return Ok(Verdict::over(State::Refused, reason));
                }
                Err(VerifyError::Unavailable(reason)) => {
                    return Ok(Verdict::NotNow {
                        reason,
                        after: None,
                    });
                }
            }
        }
        let ipn = match self.inbox.paypal.read_ipn(body) {
            Ok(ipn) => ipn,
            Err(error) => return Ok(Verdict::over(State::Refused, error.to_string())),
        };
        if !self
            .inbox
            .messages
            .vouch(message, ipn.key.as_deref())
            .await?
        {
            return Ok(Verdict::over(State::Ignored, "told before"));
        }
        Ok(match ipn.hint {
            Some(hint) => self.hand_over(hint).await,
            None => Verdict::over(State::Ignored, "of no concern"),
        })
    }

    /// Hands the hint to the sink, as a task of its own: a panic there costs one try, and a sink that
    /// hangs is left behind.
    async fn hand_over(&self, hint: Hint) -> Verdict {
        let sink = self.sink.clone();
        let mut task = tokio::spawn(async move { sink.follow(&hint).await });
        let outcome = timeout(FOLLOW, &mut task).await;
        outcome.map_or_else(|_slow| Verdict::Failed("took too long".to_owned()), verdict)
    }
}

fn verdict(outcome: Result<Result<(), HintError>, JoinError>) -> Verdict {
    match outcome {
        Ok(Ok(())) => Verdict::done(),
        Ok(Err(HintError::Unavailable {
            reason,
            retry_after,
        })) => Verdict::NotNow {
            reason,
            after: retry_after,
        },
        Ok(Err(HintError::Refused { reason })) => Verdict::over(State::Refused, reason),
        Ok(Err(HintError::Failed { reason })) => Verdict::Failed(reason),
        Err(error) if error.is_panic() => {
            metrics::counter!("bodega_panics_total").increment(1);
            Verdict::Failed("panicked".to_owned())
        }
        // The runtime is ending.
        Err(_cancelled) => Verdict::NotNow {
            reason: "stopped".to_owned(),
            after: None,
        },
    }
}

fn record(message: &MessageDocument, state: State, note: Option<&str>) {
    metrics::counter!("bodega_inbox_settled_total", "state" => state.as_str()).increment(1);
    let (id, event) = (&message.id, &message.event_type);
    let attempts = message.attempts;
    if state == State::Dead {
        tracing::error!(
            inbox.id = id,
            event,
            attempts,
            note,
            "a message is put aside"
        );
    } else {
        let state = state.as_str();
        tracing::info!(
            inbox.id = id,
            event,
            attempts,
            state,
            note,
            "a message is settled"
        );
    }
}
