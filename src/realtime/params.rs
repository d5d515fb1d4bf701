//! The query of a stream: strictly read, each fault named.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use super::hub_actor::{Channel, OrderFilter};
use crate::{
    accounts::Principal,
    http::invalid_parameter,
    orders::{OrderStatus, model::EventKind},
    problem::{Code, Problem},
};

/// Which stream.
#[derive(Debug, Default, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParams {
    /// From `POST /api/realtime/ticket`; a client that can send its Bearer token needs none. Never the
    /// token itself.
    pub(super) ticket: Option<String>,
    /// The number of the last event that the client has; left out: from now on. One of the future
    /// counts as the present last.
    pub(super) since: Option<u64>,
    /// `orders`: the events of all orders, without numbers; staff only.
    channel: Option<ChannelName>,
    /// With `channel=orders`: only events after which the order has this status. Repeat it for several.
    #[param(value_type = Option<Vec<OrderStatus>>)]
    status: Vec<OrderStatus>,
    /// With `channel=orders`: only events of this type. Repeat it for several.
    #[param(value_type = Option<Vec<EventKind>>)]
    r#type: Vec<EventKind>,
    /// `true`: a WebSocket is sent a message `heartbeat` with each ping, for clients that are not shown pings,
    /// as pages are not. Server-sent events have a comment in its place.
    heartbeat: Option<bool>,
}

/// A channel besides the own events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum ChannelName {
    Orders,
}

/// The names of the parameters.
const NAMES: [&str; 6] = ["ticket", "since", "channel", "status", "type", "heartbeat"];

impl StreamParams {
    /// Whether the stream is of the user's own events.
    pub(super) fn is_own(&self) -> bool {
        self.channel.is_none()
    }

    /// Whether the client wants to be told that the server is there.
    pub(super) fn wants_heartbeat(&self) -> bool {
        self.heartbeat.unwrap_or_default()
    }

    /// What the stream listens to.
    ///
    /// # Errors
    /// 403 for the staff channel without the rights; 422 for what does not go with the channel.
    pub(super) fn channel(
        &self,
        principal: &Principal,
        since: Option<u64>,
    ) -> Result<Channel, Problem> {
        match self.channel {
            None => {
                for (name, given) in [
                    ("status", !self.status.is_empty()),
                    ("type", !self.r#type.is_empty()),
                ] {
                    if given {
                        // The own events are numbered without gap; a filter would tear holes.
                        let reason = "only with channel=orders";
                        return Err(invalid_parameter(name, "not_allowed", reason));
                    }
                }
                Ok(Channel::Own)
            }
            Some(ChannelName::Orders) if !principal.is_staff() => Err(Code::Forbidden.into()),
            Some(ChannelName::Orders) if since.is_some() => {
                let reason = "the events of all orders have no numbers";
                Err(invalid_parameter("since", "not_allowed", reason))
            }
            Some(ChannelName::Orders) => Ok(Channel::Orders(OrderFilter {
                statuses: self.status.clone(),
                kinds: self.r#type.clone(),
            })),
        }
    }
}

/// By hand, because a list in a query is a name that is repeated.
impl<'de> Deserialize<'de> for StreamParams {
    fn deserialize<D: Deserializer<'de>>(query: D) -> Result<Self, D::Error> {
        query.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = StreamParams;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a query")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let mut params = StreamParams::default();
        while let Some(name) = pairs.next_key::<String>()? {
            match name.as_str() {
                "ticket" => once("ticket", &mut params.ticket, pairs.next_value()?)?,
                "since" => once("since", &mut params.since, pairs.next_value()?)?,
                "channel" => once("channel", &mut params.channel, pairs.next_value()?)?,
                "status" => add(&mut params.status, pairs.next_value()?),
                "type" => add(&mut params.r#type, pairs.next_value()?),
                "heartbeat" => once("heartbeat", &mut params.heartbeat, pairs.next_value()?)?,
                other => return Err(A::Error::unknown_field(other, &NAMES)),
            }
        }
        Ok(params)
    }
}

fn once<T, E: Error>(name: &'static str, place: &mut Option<T>, value: T) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_first) => Err(E::duplicate_field(name)),
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{FromRequest, dev::Payload, test::TestRequest};

    use super::*;
    use crate::http::Params;

    fn read(query: &str) -> Result<StreamParams, Problem> {
        let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
        let read = Params::from_request(&request, &mut Payload::None).into_inner();
        read.map(|params: Params<StreamParams>| params.0)
    }

    #[test]
    fn a_list_is_a_name_that_is_repeated_and_nothing_else_is() {
        let read_whole =
            read("status=Pending&type=order.created&status=Shipped&status=Pending").unwrap();
        assert_eq!(
            read_whole.status,
            [OrderStatus::Pending, OrderStatus::Shipped]
        );
        assert_eq!(read_whole.r#type, [EventKind::Created]);
        for wrong in [
            "since=1&since=2",
            "channel=orders&channel=orders",
            "status=pending",
            "status=",
            "type=cart.updated",
            "heartbeat=1",
            "heartbeat=true&heartbeat=true",
            "stauts=Pending",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
