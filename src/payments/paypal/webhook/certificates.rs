//! Signing certificates: the one place where a stranger names a URL that this server opens.
//!
//! So the URL must be exactly one of PayPal's, no redirect is followed, size and time are bounded, one
//! certificate is fetched at a time and so many in a minute, and only what proved to be PayPal's is kept.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{StatusCode, Url};
use tokio::time::{Instant, timeout};

use super::VerifyError;

/// The most certificates kept.
const MAX_KEPT: usize = 16;
/// The largest certificate file taken.
const MAX_BYTES: usize = 64 * 1024;
/// The most fetches in a minute: whoever sends made-up ids of certificates must not make this server
/// ask PayPal for each. PayPal's own change about once a year.
const MAX_A_MINUTE: usize = 30;
/// Time for a fetch, and for waiting for another one's.
const TIME: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_mins(1);
/// Where PayPal keeps its certificates.
const PATH: &str = "/v1/notifications/certs/CERT-";
/// The longest id of a certificate.
const MAX_ID: usize = 64;

/// A host that certificates may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    host: String,
    port: Option<u16>,
    /// Loopback alone may be asked over http, and on any port where none is named.
    loopback: bool,
}

/// An entry of `paypal.cert_hosts` is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host or host:port")]
pub struct InvalidHost(String);

impl Allowed {
    fn parse(entry: &str) -> Result<Self, InvalidHost> {
        let refused = || InvalidHost(entry.to_owned());
        let (host, port) = if let Ok(address) = entry.parse::<SocketAddr>() {
            (address.ip().to_string(), Some(address.port()))
        } else if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            (address.to_string(), None)
        } else if let Some((host, port)) = entry.rsplit_once(':') {
            let port = port.parse().map_err(|_no_number| refused())?;
            (host.to_owned(), Some(port))
        } else {
            (entry.to_owned(), None)
        };
        let host = host.to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        let named = |host: &str| {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        };
        if address.is_none() && !named(&host) {
            return Err(refused());
        }
        let loopback = address.map_or(host == "localhost", |address| address.is_loopback());
        Ok(Self {
            host,
            port,
            loopback,
        })
    }

    fn takes(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let secure = url.scheme() == "https" || (self.loopback && url.scheme() == "http");
        let port = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            None => self.loopback || url.port().is_none(),
        };
        secure && port && host.trim_matches(['[', ']']) == self.host
    }
}

/// Fetches signing certificates and keeps those that are PayPal's; one for all workers.
pub(super) struct Certificates {
    http: reqwest::Client,
    allowed: Vec<Allowed>,
    kept: Mutex<VecDeque<(String, Arc<[u8]>)>>,
    /// When the last fetches began; held while one is under way.
    fetching: tokio::sync::Mutex<VecDeque<Instant>>,
}

impl Certificates {
    /// Will fetch from `hosts` only.
    ///
    /// # Errors
    /// When an entry is no host.
    pub(super) fn new<'a>(
        http: reqwest::Client,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidHost> {
        Ok(Self {
            http,
            allowed: hosts
                .into_iter()
                .map(Allowed::parse)
                .collect::<Result<_, _>>()?,
            kept: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    /// The certificate at `url` as PEM; fetched once and kept, where `accept` takes it.
    ///
    /// # Errors
    /// [`VerifyError::False`] for a URL that is not PayPal's or has nothing there, and whatever `accept`
    /// says; [`VerifyError::Unavailable`] where the host does not answer as it should.
    pub(super) async fn get(
        &self,
        url: &str,
        accept: impl FnOnce(&[u8]) -> Result<(), VerifyError>,
    ) -> Result<Arc<[u8]>, VerifyError> {
        let target = self
            .allowed_url(url)
            .ok_or(VerifyError::False("the certificate is not at PayPal's"))?;
        if let Some(pem) = self.kept(url) {
            return Ok(pem);
        }
        let waited = timeout(TIME, self.fetching.lock()).await;
        let mut begun =
            waited.map_err(|_busy| VerifyError::Unavailable("certificates queue up".to_owned()))?;
        if let Some(pem) = self.kept(url) {
            return Ok(pem);
        }
        count_in(&mut begun, Instant::now())?;
        let pem = timeout(TIME, self.fetch(target))
            .await
            .unwrap_or_else(|_slow| Err(unavailable("timed out")))?;
        accept(&pem)?;
        let pem: Arc<[u8]> = pem.into();
        self.keep(url, pem.clone());
        Ok(pem)
    }

    /// `url`, where it is one of PayPal's, written as PayPal writes it.
    fn allowed_url(&self, url: &str) -> Option<Url> {
        let parsed = Url::parse(url).ok()?;
        let id = parsed.path().strip_prefix(PATH)?;
        let plain_id = (1..=MAX_ID).contains(&id.len())
            && id
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        let bare = parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.query().is_none()
            && parsed.fragment().is_none();
        // Whatever the parser had to put right (case, dots, slashes, blanks) is not PayPal's.
        let canonical = parsed.as_str() == url;
        let allowed = self.allowed.iter().any(|allowed| allowed.takes(&parsed));
        (plain_id && bare && canonical && allowed).then_some(parsed)
    }

    async fn fetch(&self, url: Url) -> Result<Vec<u8>, VerifyError> {
        let request = self.http.get(url).send().await;
        let mut response =
            request.map_err(|error| unavailable(&error.without_url().to_string()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::BAD_REQUEST => {
                return Err(VerifyError::False("there is no such certificate"));
            }
            other => return Err(unavailable(&other.to_string())),
        }
        let mut pem = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| unavailable(&error.without_url().to_string()))?;
            let Some(chunk) = chunk else { return Ok(pem) };
            if pem.len() + chunk.len() > MAX_BYTES {
                return Err(unavailable("too large"));
            }
            pem.extend_from_slice(&chunk);
        }
    }

    fn kept(&self, url: &str) -> Option<Arc<[u8]>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(held, _)| held == url)?;
        Some(found.1.clone())
    }

    fn keep(&self, url: &str, pem: Arc<[u8]>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back((url.to_owned(), pem));
    }
}

/// Counts a fetch at `now`, unless there were as many in the minute before as there may be.
fn count_in(begun: &mut VecDeque<Instant>, now: Instant) -> Result<(), VerifyError> {
    begun.retain(|before| now.duration_since(*before) < MINUTE);
    if begun.len() >= MAX_A_MINUTE {
        metrics::counter!("bodega_paypal_certificates_deferred_total").increment(1);
        return Err(unavailable("too many were asked for in the last minute"));
    }
    begun.push_back(now);
    Ok(())
}

fn unavailable(reason: &str) -> VerifyError {
    VerifyError::Unavailable(format!("the certificate cannot be fetched: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::paypal::testing::{Reply, Stub};

    fn certificates(hosts: &[&str]) -> Certificates {
        let http = crate::payments::paypal::transport::client().unwrap();
        Certificates::new(http, hosts.iter().copied()).unwrap()
    }

    #[test]
    fn only_paypals_own_urls_are_opened() {
        let live = certificates(&["api.paypal.com", "api-m.paypal.com"]);
        let id = "/v1/notifications/certs/CERT-360caa42-fca2a594-1a5f47cb";
        for url in ["https://api.paypal.com", "https://api-m.paypal.com"] {
            assert!(live.allowed_url(&format!("{url}{id}")).is_some());
        }
        for url in [
            "http://api.paypal.com",
            "https://api.paypal.com.evil.test",
            "https://api.paypal.com@evil.test",
            "https://user@api.paypal.com",
            "https://evil.test/api.paypal.com",
            "https://evil.test",
            "https://api.paypal.com:8443",
            "https://api.paypal.com:443",
            "https://API.paypal.com",
            "https://api.paypal.com.",
            "https:\\\\api.paypal.com",
            "https://api.paypal.com\t",
            " https://api.paypal.com",
            "https://api.sandbox.paypal.com",
            "https://127.0.0.1",
            "https://[::1]",
            "file:///etc",
            "https://169.254.169.254",
            "//api.paypal.com",
        ] {
            assert!(live.allowed_url(&format!("{url}{id}")).is_none(), "{url}");
        }
        for path in [
            "/v1/notifications/certs/",
            "/v1/notifications/certs/CERT-",
            "/v1/notifications/certs/CERT-../../oauth2/token",
            "/v1/notifications/certs/CERT-a%2fb",
            "/v1/notifications/certs/CERT-abc?x=1",
            "/v1/notifications/certs/CERT-abc#x",
            "/v1/notifications/certs/CERT-ABC",
            "/v1/notifications/certs/CERT-abc/",
            "//v1/notifications/certs/CERT-abc",
            "/redirect?to=/v1/notifications/certs/CERT-abc",
        ] {
            let url = format!("https://api.paypal.com{path}");
            assert!(live.allowed_url(&url).is_none(), "{path}");
        }
    }

    #[test]
    fn loopback_is_open_only_where_it_is_named() {
        let path = "/v1/notifications/certs/CERT-abc";
        let takes = |host: &str, url: &str| {
            certificates(&[host])
                .allowed_url(&format!("{url}{path}"))
                .is_some()
        };
        assert!(takes("127.0.0.1", "http://127.0.0.1:9000"));
        assert!(takes("localhost", "http://localhost:9000"));
        assert!(takes("127.0.0.1:9000", "http://127.0.0.1:9000"));
        assert!(takes("[::1]:9000", "http://[::1]:9000") && takes("::1", "http://[::1]:1"));
        assert!(takes("pay.example:8443", "https://pay.example:8443"));
        assert!(!takes("127.0.0.1:9000", "http://127.0.0.1:9001"));
        assert!(!takes("127.0.0.1", "http://127.0.0.2:9000"));
        assert!(!takes("pay.example:8443", "https://pay.example"));
        assert!(!takes("pay.example", "http://pay.example"));
        for entry in [
            "",
            "a b",
            "host:port",
            "https://host",
            "user@host",
            "host/path",
        ] {
            assert!(Allowed::parse(entry).is_err(), "{entry}");
        }
    }

    #[actix_web::test]
    async fn a_certificate_is_fetched_once_and_a_failure_is_not_kept() {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let stub =
            Stub::start(
                move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                    0 => Reply::json(500, "<html>"),
                    _ => Reply::json(200, "PEM"),
                },
            )
            .await;
        let certificates = certificates(&["127.0.0.1"]);
        let url = format!("{}/v1/notifications/certs/CERT-abc", stub.url);
        let first = certificates.get(&url, |_| Ok(())).await;
        assert!(matches!(first, Err(VerifyError::Unavailable(_))));
        let refused = certificates
            .get(&url, |_| Err(VerifyError::False("no")))
            .await;
        assert_eq!(refused.unwrap_err(), VerifyError::False("no"));
        let all = (0..20).map(|_| certificates.get(&url, |_| Ok(())));
        for pem in futures_util::future::join_all(all).await {
            assert_eq!(&*pem.unwrap(), b"PEM");
        }
        assert_eq!(stub.calls().len(), 3, "failed, refused, kept");
    }

    #[actix_web::test]
    async fn made_up_certificates_are_asked_for_so_often_and_no_more() {
        let stub = Stub::start(|_| Reply::json(404, "")).await;
        let certificates = certificates(&["127.0.0.1"]);
        for id in 0..MAX_A_MINUTE + 20 {
            let url = format!("{}/v1/notifications/certs/CERT-{id:x}", stub.url);
            let got = certificates.get(&url, |_| Ok(())).await;
            let refused = matches!(got, Err(VerifyError::False(_)));
            assert_eq!(refused, id < MAX_A_MINUTE, "{id}: {got:?}");
        }
        assert_eq!(stub.calls().len(), MAX_A_MINUTE);
        let (mut begun, now) = (
            VecDeque::from(vec![Instant::now(); MAX_A_MINUTE]),
            Instant::now(),
        );
        assert!(count_in(&mut begun, now).is_err());
        assert!(count_in(&mut begun, now + MINUTE).is_ok(), "a minute on");
    }

    #[actix_web::test]
    async fn a_redirect_a_flood_and_nothing_are_not_certificates() {
        let get = |reply: Reply| async move {
            let stub = Stub::start(move |_| reply.clone()).await;
            let url = format!("{}/v1/notifications/certs/CERT-abc", stub.url);
            let got = certificates(&["127.0.0.1"]).get(&url, |_| Ok(())).await;
            assert_eq!(stub.calls().len(), 1);
            got.unwrap_err()
        };
        let elsewhere = Reply::Answer(302, "Location: http://127.0.0.1:1/\r\n", Vec::new());
        assert!(matches!(get(elsewhere).await, VerifyError::Unavailable(_)));
        let flood = Reply::Answer(200, "", vec![b'x'; MAX_BYTES + 1]);
        assert!(matches!(get(flood).await, VerifyError::Unavailable(_)));
        assert!(matches!(
            get(Reply::json(404, "")).await,
            VerifyError::False(_)
        ));
    }
}
