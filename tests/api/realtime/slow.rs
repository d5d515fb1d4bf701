//! F10: readers that stop reading are cut off and cost little; the others notice nothing.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use super::support::{event, events, user_of};
use crate::support::{Client, Opening, Socket, TestShop, eventually, memory_kib, scaled};

/// Bytes of each event's note, and how many events there are: three times what may wait for a reader.
const NOTE: usize = 2_000;
const EVENTS: i64 = 100;

/// A figure of the server.
async fn measure(shop: &TestShop, name: &str) -> u64 {
    let all = shop.guest().get("/metrics").await.expect(200).text;
    let line = all.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

async fn open(client: &Client, receive_buffer: Option<u32>) -> Socket {
    let request = client.request(reqwest::Method::GET, "/").build().unwrap();
    let bearer = request.headers()["authorization"].to_str().unwrap();
    let opening = Opening {
        headers: vec![("authorization", bearer.to_owned())],
        receive_buffer,
        ..Opening::default()
    };
    let opened = opening.at(client.base()).await;
    opened.unwrap_or_else(|refused| panic!("{refused:?}"))
}

#[actix_web::test]
async fn readers_that_stop_are_cut_off_and_the_others_go_on() {
    let (idle, users) = (scaled(200, 9_000), scaled(10, 50));
    let each = scaled(2, 10);
    let shop = TestShop::start().await;
    let book = events(&shop).await;
    // Of each user some sockets are not read, and one is; the rest of the crowd hears nothing.
    let people = shop.customers(users).await;
    let mut ids = Vec::new();
    for person in &people {
        ids.push(user_of(person).await);
    }
    let crowd = shop.customers(idle / 20).await;
    let mut crowded = Vec::new();
    for person in &crowd {
        for _ in 0..20 {
            let mut socket = open(person, None).await;
            assert_eq!(socket.next().await["type"], "hello");
            // Read, so that pings are answered.
            crowded.push(tokio::spawn(async move { socket.next_whenever().await }));
        }
    }
    let (mut stopped, mut readers) = (Vec::new(), Vec::new());
    for person in &people {
        for _ in 0..each {
            stopped.push((person, open(person, Some(4_096)).await));
        }
        let mut reader = open(person, None).await;
        assert_eq!(reader.next().await["type"], "hello");
        readers.push(reader);
    }
    let before = memory_kib(shop.server.pid());
    let mut delays = Vec::new();
    for number in 1..=EVENTS {
        let wrote = Instant::now();
        let page = ids.iter().map(|id| event(*id, number, NOTE));
        book.insert_many(page).await.unwrap();
        let heard = join_all(readers.iter_mut().map(async |reader| {
            assert_eq!(reader.event().await["id"], number);
            wrote.elapsed()
        }));
        delays.extend(heard.await);
    }
    delays.sort_unstable();
    println!(
        "{} readers beside {} that stopped: p50 {:?}, p99 {:?}",
        readers.len(),
        stopped.len(),
        delays[delays.len() / 2],
        delays[delays.len() * 99 / 100]
    );
    let cut = measure(&shop, "bodega_streams_too_slow_total ").await;
    assert_eq!(cut, u64::try_from(stopped.len()).unwrap(), "each was cut");
    let grown = memory_kib(shop.server.pid()).saturating_sub(before);
    let of_each = grown / u64::try_from(stopped.len()).unwrap();
    println!("memory grew by {grown} KiB, {of_each} KiB for each that stopped");

    // Who reads again gets what waited, in order, and the reason; what is missing is asked for.
    let rest = stopped.split_off(stopped.len() / 2);
    for (person, mut socket) in stopped {
        assert_eq!(socket.next().await["type"], "hello");
        let mut last = 0;
        let end = loop {
            let message = socket.next().await;
            match &message {
                Value::Object(event) => {
                    last += 1;
                    assert_eq!(event["id"], last);
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => break message,
            }
        };
        assert_eq!(end, 4008);
        assert!((1..EVENTS).contains(&last), "{last}");
        let mut resumed = Socket::open(person, &format!("&since={last}")).await;
        assert_eq!(resumed.event().await["id"], last + 1);
    }
    // Who never reads again is let go by the kernel, which waits half a minute.
    let began = Instant::now();
    drop(readers);
    let left = u64::try_from(crowded.len()).unwrap();
    eventually("the server to be rid of them", || async {
        let streams = measure(&shop, "bodega_streams ").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        (streams == left).then_some(())
    })
    .await;
    println!("the rest was let go after {:?} more", began.elapsed());
    let kept = crowded.iter().filter(|reader| !reader.is_finished());
    assert_eq!(kept.count(), crowded.len(), "nobody else was touched");
    drop(rest);
}
