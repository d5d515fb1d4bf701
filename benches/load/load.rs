//! A load generator that costs little beside what it measures: keep-alive connections over plain
//! sockets, one request at a time on each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What a load brought.
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) failed: usize,
}

impl Measured {
    pub(crate) fn of(mut times: Vec<Duration>, failed: usize, over: Duration) -> Self {
        times.sort_unstable();
        let at = |share: usize| {
            let place = (times.len() * share / 1_000).min(times.len().saturating_sub(1));
            times
                .get(place)
                .map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
        };
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = times.len() as f64 / over.as_secs_f64();
        Self {
            rate,
            p50_ms: at(500),
            p99_ms: at(990),
            failed,
        }
    }
}

/// What a load brought, before it is summed up.
#[derive(Default)]
pub(crate) struct Sample {
    times: Vec<Duration>,
    failed: usize,
    pub(crate) over: Duration,
}

impl std::ops::AddAssign for Sample {
    fn add_assign(&mut self, next: Self) {
        self.times.extend(next.times);
        self.failed += next.failed;
        self.over += next.over;
    }
}

impl Sample {
    /// How many requests were answered.
    pub(crate) fn answered(&self) -> usize {
        self.times.len()
    }
}

impl From<Sample> for Measured {
    fn from(sample: Sample) -> Self {
        Self::of(sample.times, sample.failed, sample.over)
    }
}

/// A GET as bytes.
pub(crate) fn get(path: &str, token: Option<&str>) -> Vec<u8> {
    let bearer = token.map_or(String::new(), |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{bearer}\r\n").into_bytes()
}

/// A GET by somebody who has the answer with `tag`, as bytes.
pub(crate) fn get_if(path: &str, tag: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nIf-None-Match: {tag}\r\n\r\n").into_bytes()
}

/// A POST of JSON as bytes.
pub(crate) fn post(path: &str, body: &str, token: Option<&str>) -> Vec<u8> {
    let bearer = token.map_or(String::new(), |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\n{bearer}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// One connection.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: vec![0; 256 * 1024],
        }
    }

    /// Sends and reads whole; the status.
    async fn call(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            assert!(read > 0, "the server hung up");
            filled += read;
            let Some(head) = find(&self.buffer[..filled], b"\r\n\r\n") else {
                continue;
            };
            let length = content_length(&self.buffer[..head]);
            if self.buffer.len() < head + 4 + length {
                self.buffer.resize(head + 4 + length, 0);
            }
            if filled >= head + 4 + length {
                return std::str::from_utf8(&self.buffer[9..12])
                    .unwrap()
                    .parse()
                    .unwrap();
            }
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap();
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("content-length:"));
    line.map_or(0, |line| line[15..].trim().parse().unwrap())
}

/// Drives `address` from `connections` at once; `requests` makes what each connection sends in turn.
pub(crate) async fn drive(
    address: &str,
    connections: usize,
    over: Duration,
    requests: impl Fn(usize) -> Vec<Vec<u8>>,
) -> Measured {
    sample(address, connections, over, requests).await.into()
}

/// As [`drive`], not summed up yet.
pub(crate) async fn sample(
    address: &str,
    connections: usize,
    over: Duration,
    requests: impl Fn(usize) -> Vec<Vec<u8>>,
) -> Sample {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for place in 0..connections {
        let (address, requests) = (address.to_owned(), requests(place));
        tasks.push(tokio::spawn(async move {
            let mut wire = Wire::open(&address).await;
            let (mut times, mut failed) = (Vec::with_capacity(1 << 16), 0);
            for request in requests.iter().cycle() {
                if began.elapsed() >= over {
                    break;
                }
                let asked = Instant::now();
                let status = wire.call(request).await;
                times.push(asked.elapsed());
                failed += usize::from(status >= 400);
            }
            (times, failed)
        }));
    }
    gather(tasks, began).await
}

/// Sends each request once, over `connections` at once; status and time of each.
pub(crate) async fn each_once(
    address: &str,
    connections: usize,
    requests: Vec<Vec<u8>>,
) -> Vec<(u16, Duration)> {
    let shares = requests.chunks(requests.len().div_ceil(connections));
    let tasks = shares.map(|share| {
        let (address, share) = (address.to_owned(), share.to_vec());
        tokio::spawn(async move {
            let mut wire = Wire::open(&address).await;
            let mut answers = Vec::new();
            for request in share {
                let asked = Instant::now();
                let status = wire.call(&request).await;
                answers.push((status, asked.elapsed()));
            }
            answers
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    all
}

/// Lets `people` go through `journey` again and again.
pub(crate) async fn journeys<F: Future<Output = bool>>(
    people: usize,
    over: Duration,
    journey: impl Fn(usize) -> F,
) -> Sample {
    let began = Instant::now();
    let journey = Arc::new(journey);
    let walks = (0..people).map(|person| {
        let journey = journey.clone();
        async move {
            let (mut times, mut failed) = (Vec::new(), 0);
            while began.elapsed() < over {
                let set_out = Instant::now();
                let arrived = journey(person).await;
                times.push(set_out.elapsed());
                failed += usize::from(!arrived);
            }
            (times, failed)
        }
    });
    let walked = futures_util::future::join_all(walks).await;
    let failed = walked.iter().map(|(_, failed)| failed).sum();
    Sample {
        times: walked.into_iter().flat_map(|(times, _)| times).collect(),
        failed,
        over: began.elapsed(),
    }
}

pub(crate) async fn collect(
    tasks: Vec<tokio::task::JoinHandle<(Vec<Duration>, usize)>>,
    began: Instant,
) -> Measured {
    gather(tasks, began).await.into()
}

async fn gather(
    tasks: Vec<tokio::task::JoinHandle<(Vec<Duration>, usize)>>,
    began: Instant,
) -> Sample {
    let (mut times, mut failed) = (Vec::new(), 0);
    for task in tasks {
        let (some, bad) = task.await.unwrap();
        times.extend(some);
        failed += bad;
    }
    Sample {
        times,
        failed,
        over: began.elapsed(),
    }
}
