//! Keeps every REST exchange and every event in a file, to be checked against PayPal's documents.
//!
//! One JSON object a line: `{"operation","fault","request":{"method","path","query","headers","body"},
//! "response":{"status","headers","body"}}`, or `{"event"}`. Bodies and events are text; that of an answer is
//! null where it was cut or dripped on purpose. `Authorization` is left out.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use actix_web::{
    body::{BoxBody, MessageBody as _},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header::{AUTHORIZATION, HeaderMap},
    web::{self, Bytes},
};
use serde_json::{Map, Value, json};

use crate::{
    faults::{Kind, Operation},
    world::Simulator,
};

/// The file ends here, with a line `{"truncated": true}`.
const LONGEST: usize = 256 * 1024 * 1024;

/// The file, and how much still goes into it.
#[derive(Debug)]
pub(crate) struct Recording {
    file: File,
    left: usize,
}

impl Recording {
    /// Begins the file anew.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::create(path)?,
            left: LONGEST,
        })
    }

    /// Appends one line. A record that cannot be written is cut short, which its reader notices.
    pub(crate) fn add(&mut self, line: &Value) {
        if self.left == 0 {
            return;
        }
        let mut text = line.to_string();
        if text.len() > self.left {
            text = json!({ "truncated": true }).to_string();
            self.left = 0;
        }
        self.left = self.left.saturating_sub(text.len());
        text.push('\n');
        if self.file.write_all(text.as_bytes()).is_err() {
            self.left = 0;
        }
    }
}

/// The request half of an exchange.
#[derive(Debug)]
pub(crate) struct Begun(Value);

/// Reads a REST request whole and puts its body back; `None` where nothing is recorded.
pub(crate) async fn begin(request: &mut ServiceRequest) -> Option<Begun> {
    let path = request.path().to_owned();
    if !path.starts_with("/v1/") && !path.starts_with("/v2/") {
        return None;
    }
    let sim = request.app_data::<web::Data<Simulator>>()?.clone();
    sim.lock().recording.as_ref()?;
    // A body that is too long or cut off arrives as an empty one, and is refused all the same.
    let body = request.extract::<Bytes>().await.unwrap_or_default();
    let begun = json!({
        "method": request.method().as_str(),
        "path": path,
        "query": request.query_string(),
        "headers": headers(request.headers()),
        "body": text(&body),
    });
    request.set_payload(Payload::from(body));
    Some(Begun(begun))
}

/// Records the answer to a request that was begun, and hands it on.
pub(crate) fn end(
    begun: &Begun,
    fault: Option<Kind>,
    answered: ServiceResponse<BoxBody>,
) -> ServiceResponse<BoxBody> {
    let (request, response) = answered.into_parts();
    let (response, body) = response.into_parts();
    let (shown, body) = match body.try_into_bytes() {
        Ok(bytes) => (text(&bytes), BoxBody::new(bytes)),
        Err(stream) => (Value::Null, stream),
    };
    let line = json!({
        "operation": Operation::of(request.method(), request.path()),
        "fault": fault,
        "request": begun.0,
        "response": {
            "status": response.status().as_u16(),
            "headers": headers(response.headers()),
            "body": shown,
        },
    });
    if let Some(sim) = request.app_data::<web::Data<Simulator>>()
        && let Some(recording) = &mut sim.lock().recording
    {
        recording.add(&line);
    }
    ServiceResponse::new(request, response.set_body(body))
}

fn text(body: &Bytes) -> Value {
    Value::from(String::from_utf8_lossy(body).into_owned())
}

fn headers(all: &HeaderMap) -> Map<String, Value> {
    let named = all.iter().filter(|(name, _)| **name != AUTHORIZATION);
    named
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), Value::from(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_record_says_so_and_grows_no_more() {
        let path = std::env::temp_dir().join(format!("record-{}", crate::ids::uuid()));
        let mut recording = Recording::open(&path).unwrap();
        recording.left = 40;
        for _ in 0..3 {
            recording.add(&json!({ "event": "twenty-five bytes." }));
        }
        let written = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = written.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], "{\"truncated\":true}");
        std::fs::remove_file(path).unwrap();
    }
}
