//! Which site the shop is, as browsers name it: scheme, host and port.

use actix_web::{HttpRequest, http::header::HOST};

use crate::config::ServerConfig;

/// The shop's own site, without a trailing slash: `server.public_url`, or where none is set, what the
/// request was sent to.
///
/// What a proxy was asked for (`X-Forwarded-Proto`, `X-Forwarded-Host`) counts only where a trusted proxy
/// says so (`server.trusted_proxies`): anybody can send these headers.
#[must_use]
pub fn own_site(request: &HttpRequest, server: &ServerConfig) -> String {
    if !server.public_url.is_empty() {
        return server.public_url.clone();
    }
    let peer = request.peer_addr().map(|address| address.ip());
    let proxied = peer.is_some_and(|peer| server.trusted_proxies.contains(&peer));
    let forwarded = |name| last(request, name).filter(|_| proxied);
    // A node itself speaks plain HTTP/1.1.
    let scheme = forwarded("x-forwarded-proto").unwrap_or("http");
    let asked = || request.headers().get(HOST)?.to_str().ok();
    let host = forwarded("x-forwarded-host").or_else(asked);
    format!("{scheme}://{}", host.unwrap_or_default())
}

/// What the nearest proxy wrote: it comes last.
fn last<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    let line = request.headers().get_all(name).last()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use actix_web::test::TestRequest;

    use super::*;
    use crate::config;

    const HEADERS: [(&str, &str); 4] = [
        ("host", "node-1:8080"),
        ("x-forwarded-proto", "gopher, https"),
        ("x-forwarded-host", "evil.example, shop.example"),
        ("forwarded", "host=evil.example;proto=https"),
    ];

    fn seen(settings: &[(&str, &str)]) -> String {
        let needed = [
            (
                "AUTH__JWT_SECRET",
                "a secret of the tests, 32 bytes and more",
            ),
            ("PAYPAL__CLIENT_ID", "id"),
            ("PAYPAL__CLIENT_SECRET", "secret"),
            ("PAYPAL__WEBHOOK_ID", "WH-1"),
        ];
        let all = needed.iter().chain(settings);
        let all = all.map(|(key, value)| (format!("BODEGA__{key}"), (*value).to_owned()));
        let config = config::load_from(Path::new("no-such-folder"), all).unwrap();
        let mut request = TestRequest::default().peer_addr("9.9.9.9:9".parse().unwrap());
        for header in HEADERS {
            request = request.insert_header(header);
        }
        own_site(&request.to_http_request(), &config.server)
    }

    #[test]
    fn forwarded_headers_count_only_from_a_trusted_proxy_and_never_beside_public_url() {
        assert_eq!(seen(&[]), "http://node-1:8080");
        assert_eq!(
            seen(&[("SERVER__TRUSTED_PROXIES", "8.8.8.8")]),
            "http://node-1:8080"
        );
        let trusted = ("SERVER__TRUSTED_PROXIES", "9.9.9.9");
        assert_eq!(seen(&[trusted]), "https://shop.example");
        let named = ("SERVER__PUBLIC_URL", "https://named.example");
        assert_eq!(seen(&[trusted, named]), "https://named.example");
    }
}
