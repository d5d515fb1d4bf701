//! What one stream is sent, in order, without gap or repeat: the same for WebSocket and server-sent
//! events.
//!
//! The stream joins the hub first and looks at the database second, so that nothing falls between. It
//! remembers the last number sent: a lower one is dropped, and where a higher one does not follow, the
//! database says what is missing. It is pulled by its reader; what it holds is bounded by the queue and
//! one page.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::time::Instant;

use super::{
    frame::Frame,
    hub::{Counted, Hub, JoinError},
    hub_actor::Channel,
    link::{End, Joined, Link},
};
use crate::{accounts::Principal, clock::Timestamp, mongo::StoreError};

/// Events read from the database at once.
const PAGE: u16 = 50;
/// How often the hub is asked again after it was gone, or the database after it failed or did not yet
/// show an event that the feed has told of.
const TRIES: u32 = 50;
/// Pause between tries.
const PAUSE: Duration = Duration::from_millis(100);

/// What a reader of a stream gets.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The next message.
    Frame(Frame),
    /// The last word; nothing follows.
    End(End),
}

/// Why a stream does not begin.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The hub does not take it.
    Join(JoinError),
    /// The database.
    Store(StoreError),
}

/// A stream that has begun.
pub(super) struct Opened<S> {
    /// The first message.
    pub(super) hello: Frame,
    /// The number after which the stream goes on.
    pub(super) from: i64,
    /// The rest.
    pub(super) deliveries: S,
}

struct Recipient {
    hub: Hub,
    principal: Principal,
    channel: Channel,
    joined: Joined,
    /// The number of the last event sent.
    last: i64,
    /// A number that the database must show before the stream is up to date.
    wanted: i64,
    /// Whether the database is to be read.
    behind: bool,
    /// Read and not sent yet.
    page: VecDeque<Frame>,
    ends_at: Instant,
    over: bool,
    _counted: Counted,
}

/// Begins a stream for `principal`: after event `since`, or from now on.
pub(super) async fn open(
    hub: &Hub,
    principal: Principal,
    channel: Channel,
    since: Option<u64>,
) -> Result<Opened<impl Stream<Item = Delivery> + Unpin + use<>>, OpenError> {
    let counted = hub.counted();
    let joined = hub
        .join(principal, channel.clone())
        .await
        .map_err(OpenError::Join)?;
    let present = match channel {
        Channel::Own => hub.orders().last_event_of(principal.user).await,
        Channel::Orders(_) => Ok(0),
    };
    let present = present.map_err(OpenError::Store)?;
    let seen = since.map(|since| i64::try_from(since).unwrap_or(i64::MAX));
    let from = seen.map_or(present, |seen| seen.min(present));
    let hello = Frame::hello(present, hub.heartbeat_seconds()).map_err(OpenError::Store)?;
    let life = principal.expires_at.millis() - Timestamp::now().millis();
    let life = Duration::from_millis(u64::try_from(life).unwrap_or_default());
    let recipient = Recipient {
        hub: hub.clone(),
        principal,
        channel,
        joined,
        last: from,
        wanted: present,
        behind: from < present,
        page: VecDeque::new(),
        ends_at: Instant::now() + life,
        over: false,
        _counted: counted,
    };
    recipient.joined.link.set_catching_up(recipient.behind);
    let deliveries = stream::unfold(recipient, async |mut recipient: Recipient| {
        if recipient.over {
            return None;
        }
        let delivery = recipient.next().await;
        recipient.over = matches!(delivery, Delivery::End(_));
        Some((delivery, recipient))
    });
    Ok(Opened {
        hello,
        from,
        deliveries: Box::pin(deliveries),
    })
}

/// What happened while the stream waited.
enum Woken {
    Ended,
    Missed,
    Told(Frame),
    LetGo,
}

impl Recipient {
    /// The next delivery. Reading and joining again are boxed: a stream that waits, as nearly all do, does not
    /// keep their memory.
    async fn next(&mut self) -> Delivery {
        loop {
            if let Some(frame) = self.page.pop_front() {
                return Delivery::Frame(frame);
            }
            if self.behind {
                match Box::pin(self.read_page()).await {
                    Ok(()) => continue,
                    Err(end) => return Delivery::End(end),
                }
            }
            match self.wait().await {
                Woken::Ended => return Delivery::End(End::TokenEnded),
                Woken::Missed => self.fall_behind(),
                Woken::Told(frame) => {
                    if let Some(frame) = self.following(frame) {
                        return Delivery::Frame(frame);
                    }
                }
                Woken::LetGo => {
                    if let Err(end) = Box::pin(self.rejoin()).await {
                        return Delivery::End(end);
                    }
                }
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let link: Arc<Link> = self.joined.link.clone();
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.ends_at) => Woken::Ended,
            () = link.missed.notified() => Woken::Missed,
            told = self.joined.recv() => told.map_or(Woken::LetGo, Woken::Told),
        }
    }

    fn fall_behind(&mut self) {
        self.behind = self.channel == Channel::Own;
        self.joined.link.set_catching_up(self.behind);
    }

    /// The message, if it is the next one; a later one makes the stream read what lies between.
    fn following(&mut self, frame: Frame) -> Option<Frame> {
        let Some(number) = frame.id else {
            return Some(frame);
        };
        if number <= self.last {
            return None;
        }
        if number > self.last.saturating_add(1) {
            self.wanted = number;
            self.fall_behind();
            return None;
        }
        self.last = number;
        Some(frame)
    }

    /// Reads the next page from the database; up to date once a page is not full and shows whatever the
    /// feed has told of.
    async fn read_page(&mut self) -> Result<(), End> {
        for _ in 0..TRIES {
            if Instant::now() >= self.ends_at {
                return Err(End::TokenEnded);
            }
            let user = self.principal.user;
            match self.hub.orders().events_after(user, self.last, PAGE).await {
                Ok(events) => {
                    for event in &events {
                        let frame = Frame::for_buyer(event).map_err(|error| unreadable(&error))?;
                        self.last = event.number_for_user;
                        self.page.push_back(frame);
                    }
                    let full = events.len() == usize::from(PAGE);
                    if !full && self.last >= self.wanted {
                        self.behind = false;
                        self.joined.link.set_catching_up(false);
                    }
                    if !self.behind || !events.is_empty() {
                        return Ok(());
                    }
                }
                Err(error) => tracing::warn!(%error, "events cannot be read yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(End::Unavailable)
    }

    /// After the hub let go: says why, or joins the hub that was started in its place.
    async fn rejoin(&mut self) -> Result<(), End> {
        if let Some(end) = self.joined.link.cut() {
            return Err(end);
        }
        if self.channel != Channel::Own {
            return Err(End::Restarting);
        }
        for _ in 0..TRIES {
            match self.hub.join(self.principal, self.channel.clone()).await {
                Ok(joined) => {
                    self.joined = joined;
                    self.fall_behind();
                    return Ok(());
                }
                Err(JoinError::TooMany) => return Err(End::Restarting),
                Err(JoinError::NotNow) => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(End::Restarting)
    }
}

fn unreadable(error: &StoreError) -> End {
    tracing::error!(%error, "an event cannot be told");
    End::Unavailable
}
