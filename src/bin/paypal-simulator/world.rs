//! Everything the simulator knows, behind one lock that is held for moments and never across an
//! await.

use std::{
    io::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use rand::Rng as _;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    clock::Clock,
    config::{Flags, Settings},
    events::{Events, Hook, Job, Stored, shape::Event},
    faults::{Faults, socket::Gate},
    idempotency::Keys,
    ids,
    ipn::{self, Ipn},
    journal::Journal,
    oauth::Tokens,
    orders::{book::Orders, check::Payee, model::Notice},
    payments::model::Payments,
    recording::Recording,
    signing::{Authority, Signing},
};

/// Deliveries on the wire at one time, webhooks and IPN together.
const DELIVERIES: usize = 64;

/// Work for the background: see [`crate::events::deliver`].
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Deliver an event.
    Webhook(Job),
    /// Deliver an IPN message.
    Ipn(ipn::Job),
    /// Approve an order after so many milliseconds, as a buyer would.
    Approve(String, u64),
}

/// The rooms.
#[derive(Debug)]
pub(crate) struct World {
    /// Base of every URL it hands out, without a slash at the end.
    pub(crate) base: String,
    /// Base of the approval page's URL.
    pub(crate) page: String,
    /// The merchant's account id.
    pub(crate) merchant_id: String,
    /// What it was started with.
    pub(crate) flags: Flags,
    /// What can be changed while it runs.
    pub(crate) settings: Settings,
    /// The time.
    pub(crate) clock: Clock,
    /// Access tokens.
    pub(crate) tokens: Tokens,
    /// Orders.
    pub(crate) orders: Orders,
    /// Captures, refunds, disputes.
    pub(crate) payments: Payments,
    /// Request ids.
    pub(crate) keys: Keys,
    /// Webhook events.
    pub(crate) events: Events,
    /// IPN messages.
    pub(crate) ipn: Ipn,
    /// Certificates.
    pub(crate) signing: Signing,
    /// Faults that wait for their call.
    pub(crate) faults: Faults,
    /// Whether it pretends not to be there.
    pub(crate) down: bool,
    /// What happened.
    pub(crate) journal: Journal,
    /// Every exchange, where it is wanted.
    pub(crate) recording: Option<Recording>,
    outbox: mpsc::UnboundedSender<Outgoing>,
}

impl World {
    /// A fresh world; the receiver gets the background work.
    pub(crate) fn new(
        flags: Flags,
        base: String,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Outgoing>)> {
        let settings = Settings::from_flags(&flags);
        let (authority, key) = Authority::open(flags.certs_dir.as_deref())?;
        let signing = Signing::new(authority, key, settings.certificate_environment)
            .map_err(io::Error::other)?;
        let journal = Journal::open(flags.journal.as_deref())?;
        let recording = flags.record.as_deref().map(Recording::open).transpose()?;
        let (outbox, work) = mpsc::unbounded_channel();
        let page = flags
            .approval_url
            .as_deref()
            .map_or(base.as_str(), |url| url.trim_end_matches('/'));
        let mut world = Self {
            page: page.to_owned(),
            base,
            merchant_id: ids::account(),
            flags,
            settings,
            clock: Clock::new(),
            tokens: Tokens::default(),
            orders: Orders::default(),
            payments: Payments::default(),
            keys: Keys::default(),
            events: Events::default(),
            ipn: Ipn::default(),
            signing,
            faults: Faults::default(),
            down: false,
            journal,
            recording,
            outbox,
        };
        world.register_flagged_hook();
        Ok((world, work))
    }

    /// Forgets everything but the certificates and the clock, and returns to the flags' settings.
    pub(crate) fn reset(&mut self) {
        self.settings = Settings::from_flags(&self.flags);
        self.tokens = Tokens::default();
        self.orders = Orders::default();
        self.payments = Payments::default();
        self.keys = Keys::default();
        self.events = Events::default();
        self.ipn = Ipn::default();
        self.faults = Faults::default();
        self.journal.clear();
        self.register_flagged_hook();
    }

    fn register_flagged_hook(&mut self) {
        if let Some(url) = self.flags.webhook_url.clone() {
            self.events.register(Hook {
                id: self.flags.webhook_id.clone(),
                url,
            });
        }
    }

    /// The simulator's time.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// The merchant, for checks.
    pub(crate) fn payee(&self) -> Payee<'_> {
        Payee {
            email: &self.settings.receiver_email,
            merchant_id: &self.merchant_id,
        }
    }

    /// The merchant, for answers.
    pub(crate) fn payee_json(&self) -> Value {
        json!({ "email_address": self.settings.receiver_email, "merchant_id": self.merchant_id })
    }

    /// Appends to the journal; `fields` must be an object.
    ///
    /// A journal with a hole is no truth about the money, so a full disk ends the process.
    pub(crate) fn record(&mut self, kind: &'static str, fields: Value) {
        let now = self.now();
        if let Err(error) = self.journal.add(now, kind, fields) {
            // With standard error gone too there is nobody to tell.
            let _ = writeln!(
                io::stderr(),
                "paypal-simulator: the journal cannot be written: {error}"
            );
            std::process::exit(1);
        }
    }

    /// Hands work to the background. Without it (the server is going down) the work is lost.
    pub(crate) fn send(&self, work: Outgoing) {
        let _ = self.outbox.send(work);
    }

    /// Makes an event from the present state, records it and sends it to every hook.
    pub(crate) fn emit(&mut self, event: &Event) {
        let now = self.now();
        let Some((id, body)) = event.build(self, now) else {
            return;
        };
        self.record(
            "event",
            json!({ "id": id, "eventType": event.kind(), "resourceId": event.resource_id() }),
        );
        if let Some(recording) = &mut self.recording {
            recording.add(&json!({ "event": String::from_utf8_lossy(&body) }));
        }
        let order_id = event.order_id(self);
        let stored = Arc::new(Stored {
            id,
            event_type: event.kind().to_owned(),
            resource_id: event.resource_id().to_owned(),
            order_id,
            body,
            created: now,
            taken: AtomicBool::new(false),
        });
        self.events.add(stored.clone(), self.settings.keep_events);
        self.deliver(&stored);
    }

    /// Starts deliveries of an event to every hook, or holds them back.
    pub(crate) fn deliver(&mut self, event: &Arc<Stored>) {
        let now = self.now();
        let order = event.order_id.as_deref().and_then(|id| self.orders.get(id));
        let notice = order.map_or(Notice::Usual, |order| order.notice);
        let mut copies = usize::try_from(self.settings.webhook_copies).unwrap_or_default();
        let mut delay = self.settings.webhook_delay_ms;
        match notice {
            Notice::Usual | Notice::Before => {}
            Notice::After => delay = delay.saturating_add(self.settings.late_notice_ms),
            Notice::Twice => copies = copies.saturating_mul(2),
        }
        let mut jobs = Vec::new();
        for hook in &self.events.hooks {
            for _ in 0..copies {
                let jitter = match self.settings.webhook_jitter_ms {
                    0 => 0,
                    most => rand::rng().random_range(0..=most),
                };
                jobs.push(Job::new(event, hook, now, delay.saturating_add(jitter)));
            }
        }
        for job in jobs {
            if self.events.paused {
                self.events.held.push(job);
            } else {
                self.send(Outgoing::Webhook(job));
            }
        }
    }
}

/// The world, its lock, and what deliveries need.
#[derive(Debug)]
pub(crate) struct Simulator {
    world: Mutex<World>,
    /// The client that delivers.
    pub(crate) http: reqwest::Client,
    /// Bounds deliveries on the wire.
    pub(crate) slots: Semaphore,
    /// Lets connections in, or not.
    pub(crate) gate: Gate,
}

impl Simulator {
    /// Puts the world behind its lock.
    pub(crate) fn new(world: World, gate: Gate) -> io::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("PayPal/AUHR-214.0-58650838 (simulator)")
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            world: Mutex::new(world),
            http,
            slots: Semaphore::new(DELIVERIES),
            gate,
        })
    }

    /// The world. A handler that panicked leaves it usable: every change is small and whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
