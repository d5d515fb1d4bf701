//! How long requests take, by method, route and status.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use actix_web::http::{Method, StatusCode};
use metrics::Histogram;

/// The measures of one route.
type OfRoute = Vec<(Method, StatusCode, Histogram)>;

thread_local! {
    /// What this worker has measured before: to find a measure in the registry costs more than a short answer does.
    /// As many as there are routes, methods and statuses.
    static KNOWN: RefCell<HashMap<String, OfRoute>> = RefCell::default();
}

/// Counts an answer. The route is a pattern, never a path.
pub(super) fn record(method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
    KNOWN.with_borrow_mut(|known| {
        let measures = match known.get_mut(route) {
            Some(measures) => measures,
            None => known.entry(route.to_owned()).or_default(),
        };
        let found = measures
            .iter()
            .find(|(of, with, _)| of == method && *with == status);
        if let Some((_, _, histogram)) = found {
            return histogram.record(elapsed);
        }
        let histogram = metrics::histogram!("bodega_http_request_seconds",
            "method" => method.to_string(), "route" => route.to_owned(),
            "status" => status.as_u16().to_string());
        histogram.record(elapsed);
        measures.push((method.clone(), status, histogram));
    });
}
