//! The hub's actor: which streams there are, and what each is handed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, StreamHandler};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    frame::Frame,
    link::{End, Joined, Subscriber, pair},
};
use crate::{
    accounts::{self, Principal, Revocations},
    faults::{Point, crash_point},
    id::{SessionId, UserId},
    mongo::{
        StoreError,
        feed::{Change, ChangeKind, Fed, Feed},
    },
    orders::{self, OrderEvent, OrderStatus, model::EventKind},
};

/// How often streams that are gone are forgotten, and sign-ins looked at.
const TIDY: Duration = Duration::from_secs(5);
/// The collection of carts; a signed-in buyer's one cart has the buyer's own id.
const CARTS: &str = "carts";

/// What a stream listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Channel {
    /// The buyer's own events.
    Own,
    /// The events of all orders that pass; staff only.
    Orders(OrderFilter),
}

/// Which events of all orders are wanted; an empty list wants every one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OrderFilter {
    /// The status since.
    pub(super) statuses: Vec<OrderStatus>,
    /// What happened.
    pub(super) kinds: Vec<EventKind>,
}

impl OrderFilter {
    fn passes(&self, event: &OrderEvent) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&event.status))
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
    }
}

/// A stream on the staff channel.
pub(super) struct Watcher {
    user: UserId,
    filter: OrderFilter,
    stream: Subscriber,
}

/// Who is connected to this node, and the one place that the change feed reaches them from.
pub(super) struct HubActor {
    pub(super) feed: Feed,
    pub(super) revocations: Revocations,
    pub(super) max_streams_per_user: usize,
    pub(super) users: HashMap<UserId, Vec<Subscriber>>,
    /// The staff channel.
    pub(super) staff: Vec<Watcher>,
    pub(super) closing: bool,
}

/// Why a stream cannot join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotJoined {
    /// The user has too many on this node.
    TooMany,
    /// The node stops.
    Closing,
}

/// Brings a stream in; from now on it misses nothing.
#[derive(Debug, Message)]
#[rtype(result = "Result<Joined, NotJoined>")]
pub(super) struct Join {
    pub(super) principal: Principal,
    pub(super) channel: Channel,
    /// Bounds how many wait to join.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Ends the streams of a sign-in.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct CloseSession(pub(super) SessionId);

/// Ends every stream; nobody joins any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct CloseAll;

impl HubActor {
    fn streams_of(&self, user: UserId) -> usize {
        let own = self.users.get(&user).map_or(0, Vec::len);
        own + self
            .staff
            .iter()
            .filter(|watcher| watcher.user == user)
            .count()
    }

    /// Lets go of the streams that `keep` says no to.
    fn retain(&mut self, mut keep: impl FnMut(&Subscriber) -> bool) {
        for streams in self.users.values_mut() {
            streams.retain(&mut keep);
        }
        self.users.retain(|_, streams| !streams.is_empty());
        self.staff.retain(|watcher| keep(&watcher.stream));
    }

    fn retain_of(&mut self, user: UserId, keep: impl Fn(&Subscriber) -> bool) {
        if let Some(streams) = self.users.get_mut(&user) {
            streams.retain(keep);
            if streams.is_empty() {
                self.users.remove(&user);
            }
        }
    }

    fn end_session(&mut self, session: SessionId) {
        self.retain(|stream| {
            let ended = stream.session == session;
            if ended {
                stream.cut(End::TokenEnded);
            }
            !ended
        });
    }

    fn tidy(&mut self) {
        let revocations = self.revocations.clone();
        self.retain(|stream| {
            let ended = revocations.contains(stream.session);
            if ended {
                stream.cut(End::TokenEnded);
            }
            !ended && !stream.is_gone()
        });
    }

    fn hear(&mut self, change: &Change) -> Result<(), StoreError> {
        if change.collection == orders::EVENTS {
            return self.hear_event(change);
        }
        if change.collection == CARTS {
            return self.hear_cart(change);
        }
        if let Some(session) = accounts::ended_by(change) {
            self.end_session(session);
        }
        Ok(())
    }

    fn hear_event(&mut self, change: &Change) -> Result<(), StoreError> {
        let document = match change.kind {
            ChangeKind::Inserted => change.document.as_ref(),
            ChangeKind::Updated | ChangeKind::Replaced | ChangeKind::Deleted => None,
        };
        let Some(document) = document.filter(|_| !self.users.is_empty() || !self.staff.is_empty())
        else {
            return Ok(());
        };
        crash_point(Point::FeedRead);
        let event: OrderEvent = bson::deserialize_from_slice(document.as_bytes())
            .map_err(mongodb::error::Error::from)?;
        if self.users.contains_key(&event.user) {
            let frame = Arc::new(Frame::for_buyer(&event)?);
            self.retain_of(event.user, |stream| stream.offer(&frame));
            crash_point(Point::Publish);
        }
        if !self.staff.is_empty() {
            let frame = Arc::new(Frame::for_staff(&event)?);
            self.staff
                .retain(|watcher| !watcher.filter.passes(&event) || watcher.stream.offer(&frame));
        }
        Ok(())
    }

    fn hear_cart(&mut self, change: &Change) -> Result<(), StoreError> {
        let Some(user) = change.id.as_object_id().map(UserId::from_object_id) else {
            return Ok(());
        };
        if !self.users.contains_key(&user) {
            return Ok(());
        }
        let whole = change.document.as_ref();
        let written = match change.kind {
            ChangeKind::Updated => {
                let updated = change.updated.as_ref();
                updated.and_then(|fields| {
                    let at = fields.get_datetime("updated_at").ok()?;
                    Some((fields.get_i64("version").ok()?, *at))
                })
            }
            ChangeKind::Inserted | ChangeKind::Replaced => whole.and_then(|cart| {
                let at = cart.get_datetime("updated_at").ok()?;
                Some((cart.get_i64("version").ok()?, at))
            }),
            ChangeKind::Deleted => None,
        };
        if let Some((version, at)) = written {
            let frame = Arc::new(Frame::cart_updated(version, at.into())?);
            self.retain_of(user, |stream| stream.offer(&frame));
        }
        Ok(())
    }

    /// The feed has lost its place: buyers' streams read from the database, and the staff channel, which
    /// has no place to read on from, connects again.
    fn reread_all(&mut self) {
        self.users.values().flatten().for_each(Subscriber::reread);
        for watcher in self.staff.drain(..) {
            watcher.stream.cut(End::Restarting);
        }
    }
}

impl Actor for HubActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let subscription = self.feed.subscribe();
        let changes = stream::unfold(subscription, async |mut feed| {
            feed.next().await.map(|fed| (fed, feed))
        });
        ctx.add_stream(Box::pin(changes));
        ctx.run_interval(TIDY, |hub, _ctx| hub.tidy());
    }
}

impl StreamHandler<Fed> for HubActor {
    fn handle(&mut self, fed: Fed, _ctx: &mut Self::Context) {
        match fed {
            Fed::Change(change) => {
                if let Err(error) = self.hear(&change) {
                    tracing::error!(%error, collection = change.collection, "a change cannot be told");
                    self.reread_all();
                }
            }
            Fed::Lost => self.reread_all(),
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        // The feed is over: the watchdog starts a new hub on it.
        ctx.stop();
    }
}

impl Handler<Join> for HubActor {
    type Result = Result<Joined, NotJoined>;

    fn handle(&mut self, join: Join, _ctx: &mut Self::Context) -> Self::Result {
        let user = join.principal.user;
        drop(join.permit);
        if self.closing {
            return Err(NotJoined::Closing);
        }
        self.retain_of(user, |stream| !stream.is_gone());
        self.staff.retain(|watcher| !watcher.stream.is_gone());
        if self.streams_of(user) >= self.max_streams_per_user {
            return Err(NotJoined::TooMany);
        }
        let (subscriber, joined) = pair(join.principal.session);
        match join.channel {
            Channel::Own => self.users.entry(user).or_default().push(subscriber),
            Channel::Orders(filter) => self.staff.push(Watcher {
                user,
                filter,
                stream: subscriber,
            }),
        }
        Ok(joined)
    }
}

impl Handler<CloseSession> for HubActor {
    type Result = ();

    fn handle(&mut self, close: CloseSession, _ctx: &mut Self::Context) {
        self.end_session(close.0);
    }
}

impl Handler<CloseAll> for HubActor {
    type Result = ();

    fn handle(&mut self, _close: CloseAll, _ctx: &mut Self::Context) {
        self.closing = true;
        self.retain(|stream| {
            stream.cut(End::Restarting);
            false
        });
    }
}

/// Makes the actor panic, as a fault in it would.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Explode;

#[cfg(test)]
impl Handler<Explode> for HubActor {
    type Result = ();

    fn handle(&mut self, _explode: Explode, _ctx: &mut Self::Context) {
        panic!("a fault in the hub");
    }
}
