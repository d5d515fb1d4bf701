//! Who is calling: the client's address, believed from a header only when a configured proxy sends it.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::{HttpRequest, dev::RequestHead, web};

/// The proxies whose `X-Forwarded-For` is believed (configuration `server.trusted_proxies`).
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpAddr>);

impl TrustedProxies {
    /// Believes exactly these addresses.
    #[must_use]
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self(addresses)
    }

    /// The client's address: the peer, or the right-most hop that is no trusted proxy.
    #[must_use]
    pub fn client_of(&self, request: &RequestHead) -> ClientAddress {
        let unknown = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let peer = request.peer_addr.map_or(unknown, |address| address.ip());
        if !self.0.contains(&peer) {
            return ClientAddress(peer);
        }
        let hops = request
            .headers
            .get_all("x-forwarded-for")
            .filter_map(|value| value.to_str().ok());
        let hops: Vec<IpAddr> = hops
            .flat_map(|line| line.split(','))
            .filter_map(|hop| hop.trim().parse().ok())
            .collect();
        let client = hops.into_iter().rev().find(|hop| !self.0.contains(hop));
        ClientAddress(client.unwrap_or(peer))
    }
}

/// A client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// The address that a request comes from, as the shop's configuration lets it be seen.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        let proxies = request.app_data::<web::Data<TrustedProxies>>();
        proxies.map_or_else(
            || TrustedProxies::default().client_of(request.head()),
            |proxies| proxies.client_of(request.head()),
        )
    }

    /// The address itself.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        self.0
    }

    /// The address as far as one customer of a network provider goes: IPv6 by its /64.
    #[must_use]
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seen(proxies: &[&str], peer: &str, header: &str) -> String {
        let trusted = TrustedProxies::new(proxies.iter().map(|p| p.parse().unwrap()).collect());
        let request = TestRequest::default()
            .peer_addr(format!("{peer}:9").parse().unwrap())
            .insert_header(("x-forwarded-for", header))
            .to_http_request();
        trusted.client_of(request.head()).ip().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(seen(&[], "9.9.9.9", "1.1.1.1"), "9.9.9.9");
        assert_eq!(seen(&["9.9.9.9"], "9.9.9.9", "6.6.6.6, 1.1.1.1"), "1.1.1.1");
        assert_eq!(
            seen(
                &["9.9.9.9", "8.8.8.8"],
                "9.9.9.9",
                "6.6.6.6, 1.1.1.1, 8.8.8.8"
            ),
            "1.1.1.1"
        );
        assert_eq!(seen(&["9.9.9.9"], "9.9.9.9", "nonsense"), "9.9.9.9");
    }
}
