//! F9: many sockets on one instance. Ten thousand in the full form; the figures are printed beside their goals, and
//! what a busy machine cannot spoil is asserted.

use std::time::{Duration, Instant};

use bson::{Document, oid::ObjectId};
use rand::{Rng, seq::SliceRandom};
use tokio::{sync::mpsc, task::JoinHandle};

use super::support::{event, events, user_of};
use crate::support::{Client, Opening, PATIENCE, Socket, TestShop, memory_kib, scaled};

/// How many sockets a user has: as many as one may.
const EACH: usize = 20;

/// What a socket has heard: whose it is, the event's number, and when.
type Heard = (usize, i64, Instant);

struct Crowd {
    base: String,
    bearers: Vec<String>,
    ids: Vec<ObjectId>,
    readers: Vec<(usize, JoinHandle<Option<u64>>)>,
    said: mpsc::UnboundedSender<Heard>,
    heard: mpsc::UnboundedReceiver<Heard>,
    /// The number of each user's last event.
    last: Vec<i64>,
}

/// Reads until the end; the close code.
async fn read(mut socket: Socket, user: usize, said: mpsc::UnboundedSender<Heard>) -> Option<u64> {
    loop {
        // Between two events a socket may have nothing to say for a long time.
        let message = socket.next_whenever().await;
        if !message.is_object() {
            return message.as_u64();
        }
        if let Some(id) = message["id"].as_i64() {
            // The test has ended when nobody hears it.
            let _nobody = said.send((user, id, Instant::now()));
        }
    }
}

impl Crowd {
    async fn gather(shop: &TestShop, sockets: usize) -> Self {
        let users = shop.customers(sockets / EACH).await;
        let (said, heard) = mpsc::unbounded_channel();
        let mut crowd = Self {
            base: shop.server.url.clone(),
            bearers: users.iter().map(bearer).collect(),
            ids: Vec::new(),
            readers: Vec::new(),
            said,
            last: vec![0; users.len()],
            heard,
        };
        for user in &users {
            crowd.ids.push(user_of(user).await);
        }
        for place in 0..users.len() {
            for _ in 0..EACH {
                crowd.open(place).await;
            }
        }
        crowd
    }

    async fn open(&mut self, user: usize) {
        let query = format!("since={}", self.last[user]);
        let opening = Opening {
            query: &query,
            headers: vec![("authorization", self.bearers[user].clone())],
            ..Opening::default()
        };
        let opened = opening.at(&self.base).await;
        let mut socket = opened.unwrap_or_else(|refused| panic!("{refused:?}"));
        assert_eq!(socket.next().await["type"], "hello");
        let reader = tokio::spawn(read(socket, user, self.said.clone()));
        self.readers.push((user, reader));
    }

    /// The next event of every user.
    fn one_each(&mut self) -> Vec<Document> {
        let each = self.ids.iter().zip(&mut self.last);
        each.map(|(id, last)| {
            *last += 1;
            event(*id, *last, 20)
        })
        .collect()
    }

    /// Waits until `count` sockets have heard what was just written; when each did.
    async fn hear(&mut self, count: usize) -> Vec<Instant> {
        let mut times = Vec::with_capacity(count);
        while times.len() < count {
            let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
            let (user, number, at) = heard.expect("an event in time").unwrap();
            assert_eq!(number, self.last[user], "once, and in order");
            times.push(at);
        }
        times
    }
}

fn bearer(client: &Client) -> String {
    let request = client.request(reqwest::Method::GET, "/").build().unwrap();
    request.headers()["authorization"]
        .to_str()
        .unwrap()
        .to_owned()
}

/// Processor time of a process so far.
fn processor_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    // User and system time in ticks of a hundredth (proc(5)); the name, which may hold spaces, is cut off.
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn percentile(times: &mut [Duration], share: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * share / 100).min(times.len() - 1)]
}

#[actix_web::test]
async fn many_sockets_on_one_node_hear_at_once_and_once() {
    let sockets = scaled(200, 10_000);
    let shop = TestShop::start().await;
    let book = events(&shop).await;
    let pid = shop.server.pid();
    let before = memory_kib(pid);
    let mut crowd = Crowd::gather(&shop, sockets).await;
    let memory = memory_kib(pid);
    println!(
        "{sockets} sockets: {} MiB in all (goal 200), {} KiB each",
        memory / 1024,
        (memory.saturating_sub(before)) / u64::try_from(sockets).unwrap()
    );
    assert!(memory < 200 * 1024, "{memory} KiB");

    // Nothing happens for a while; then each user's sockets hear of a change.
    let (began, busy) = (Instant::now(), processor_seconds(pid));
    tokio::time::sleep(Duration::from_secs(u64::try_from(scaled(3, 600)).unwrap())).await;
    let share = 100.0 * (processor_seconds(pid) - busy) / began.elapsed().as_secs_f64();
    println!("idle: {share:.1} % of a core (goal 5)");
    let mut delays = Vec::new();
    for _ in 0..scaled(40, 500) {
        let user = rand::rng().random_range(0..crowd.ids.len());
        crowd.last[user] += 1;
        let change = event(crowd.ids[user], crowd.last[user], 20);
        let wrote = Instant::now();
        book.insert_one(change).await.unwrap();
        let heard = crowd.hear(EACH).await;
        delays.extend(heard.iter().map(|at| at.duration_since(wrote)));
    }
    let (half, most) = (percentile(&mut delays, 50), percentile(&mut delays, 99));
    println!("from the write to the frame: p50 {half:?}, p99 {most:?} (goal 100 ms)");

    // An event of every user at once reaches every socket.
    let all = crowd.one_each();
    let wrote = Instant::now();
    book.insert_many(all).await.unwrap();
    let heard = crowd.hear(sockets).await;
    let last = heard.iter().max().unwrap().duration_since(wrote);
    println!("an event to each of {sockets} sockets: {last:?} (goal 1 s)");

    // A fifth hangs up and comes back, as after a fault of a network; what was told meanwhile they read.
    crowd.readers.shuffle(&mut rand::rng());
    let leaving = crowd.readers.split_off(sockets * 4 / 5);
    let mut leavers = Vec::new();
    for (user, reader) in leaving {
        reader.abort();
        leavers.push(user);
    }
    let count = leavers.len();
    let began = Instant::now();
    for user in leavers {
        crowd.open(user).await;
    }
    println!(
        "{count} sockets back after {:?} (goal 15 s)",
        began.elapsed()
    );
    let all = crowd.one_each();
    book.insert_many(all).await.unwrap();
    crowd.hear(sockets).await;
    assert!(
        crowd.heard.try_recv().is_err(),
        "nobody hears anything twice"
    );
}
