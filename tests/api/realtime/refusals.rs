//! Bad input: each has its answer, and harms nobody else.

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::support::{event, events, user_of};
use crate::support::{
    Client, Opening, Setup, Socket, TestShop, eventually, memory_kib, scaled, ticket,
};

/// Tries to open a socket; 101 where it opens, else the status and the problem's code.
async fn answer(
    base: &str,
    query: &str,
    headers: Vec<(&'static str, String)>,
) -> (u16, Option<String>) {
    let opening = Opening {
        query,
        headers,
        ..Opening::default()
    };
    match opening.at(base).await {
        Ok(_socket) => (101, None),
        Err((status, problem)) => (status, problem["code"].as_str().map(str::to_owned)),
    }
}

fn problem(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

pub(super) fn bearer(client: &Client) -> (&'static str, String) {
    let request = client.request(Method::GET, "/").build().unwrap();
    let header = request.headers()["authorization"].to_str().unwrap();
    ("authorization", header.to_owned())
}

#[actix_web::test]
async fn a_ticket_is_for_one_connection_of_its_user() {
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let (buyer, stranger) = (shop.customer().await, shop.customer().await);
    let base = shop.server.url.clone();
    let none = || problem(401, "invalid_token");

    let good = format!("ticket={}", ticket(&buyer).await);
    assert_eq!(answer(&second.url, &good, vec![]).await.0, 101);
    for node in [&base, &second.url] {
        assert_eq!(answer(node, &good, vec![]).await, none(), "used");
    }
    let strangers = format!("ticket={}", ticket(&stranger).await);
    let mine = answer(&base, &strangers, vec![bearer(&buyer)]).await;
    assert_eq!(mine, none(), "a stranger's");
    assert_eq!(
        answer(&base, &strangers, vec![]).await,
        none(),
        "and it is used up"
    );
    for guess in ["x".to_owned(), "A".repeat(43), "A".repeat(7_000)] {
        let guessed = answer(&base, &format!("ticket={guess}"), vec![]).await;
        assert_eq!(guessed, none());
    }
    assert_eq!(
        answer(&base, "", vec![]).await,
        problem(401, "unauthenticated")
    );
    let forged = ("authorization", "Bearer forged".to_owned());
    assert_eq!(answer(&base, "", vec![forged]).await, none());
    let token = bearer(&buyer).1.replace("Bearer ", "token=");
    let in_url = answer(&base, &token, vec![]).await;
    assert_eq!(
        in_url,
        problem(422, "validation_failed"),
        "no token in a URL"
    );

    let late = format!("ticket={}", ticket(&buyer).await);
    buyer
        .post("/api/auth/logout", &Value::Null)
        .await
        .expect(204);
    assert_eq!(
        answer(&base, &late, vec![]).await,
        none(),
        "after the sign-out"
    );
}

#[actix_web::test]
async fn pages_of_other_sites_are_refused_and_programs_are_not() {
    let shop = Setup::default()
        .with("SERVER__ALLOWED_ORIGINS", "https://app.example")
        .start()
        .await;
    let buyer = shop.customer().await;
    let base = shop.server.url.clone();
    let unspent = format!("ticket={}", ticket(&buyer).await);
    for foreign in [
        "https://evil.example",
        "null",
        "https://app.example.evil.example",
        "http://app.example",
        "file://",
    ] {
        let headers = vec![("origin", foreign.to_owned())];
        let refused = answer(&base, &unspent, headers).await;
        assert_eq!(refused, problem(403, "foreign_origin"), "{foreign}");
        let events = buyer.request(Method::GET, "/api/realtime/events");
        let refused = buyer.send(events.header("origin", foreign)).await;
        refused.expect_problem(403, "foreign_origin");
    }
    assert_eq!(
        answer(&base, &unspent, vec![]).await.0,
        101,
        "no Origin, and the ticket was not spent"
    );
    for own in [base.as_str(), "https://app.example"] {
        let query = format!("ticket={}", ticket(&buyer).await);
        let opened = answer(&base, &query, vec![("origin", own.to_owned())]).await;
        assert_eq!(opened.0, 101, "{own}");
    }
}

#[actix_web::test]
async fn since_has_an_answer_whatever_it_says() {
    let shop = TestShop::start().await;
    let buyer = shop.customer().await;
    let (user, book) = (user_of(&buyer).await, events(&shop).await);
    for number in 1..=2 {
        book.insert_one(event(user, number, 10)).await.unwrap();
    }
    for wrong in ["-1", "x", "1.5", "18446744073709551616", "1e3", "", "0x1"] {
        let query = format!("since={wrong}");
        let refused = answer(&shop.server.url, &query, vec![bearer(&buyer)]).await;
        assert_eq!(refused, problem(422, "validation_failed"), "{wrong}");
        let events = buyer
            .get(&format!("/api/realtime/events?since={wrong}"))
            .await;
        let events = events.expect_problem(422, "validation_failed");
        assert_eq!(events.pointers(), ["/since"], "{wrong}");
    }
    let mut open = Vec::new();
    for future in ["3", "9223372036854775807", "18446744073709551615"] {
        let mut socket = Socket::open(&buyer, &format!("&since={future}")).await;
        assert_eq!(socket.next().await["lastEventId"], 2, "{future}");
        open.push(socket);
    }
    book.insert_one(event(user, 3, 10)).await.unwrap();
    for socket in &mut open {
        assert_eq!(
            socket.event().await["id"],
            3,
            "the present counts as its last"
        );
    }
}

#[actix_web::test]
async fn what_a_client_must_not_send_ends_its_socket_and_no_other() {
    let shop = TestShop::start().await;
    let buyer = shop.customer().await;
    let (user, book) = (user_of(&buyer).await, events(&shop).await);
    let mut neighbour = Socket::open(&buyer, "&since=0").await;
    let text = |length: usize| Message::text("x".repeat(length));
    let ping = Message::Ping(vec![].into());
    for (what, messages, code) in [
        ("binary", vec![Message::binary(vec![1, 2, 3])], 1003),
        ("16 KiB and a byte", vec![text(16_385)], 1009),
        ("1 MB", vec![text(1_000_000)], 1009),
        ("21 texts at once", vec![text(5); 21], 1008),
        (
            "10,000 pings at once",
            vec![ping; scaled(500, 10_000)],
            1008,
        ),
    ] {
        let mut socket = Socket::open(&buyer, "").await;
        for message in messages {
            socket.send(message).await;
        }
        assert_eq!(socket.end().await, code, "{what}");
    }
    for (what, bytes, code) in [
        ("a fragment", vec![0x01, 0x81, 1, 2, 3, 4, b'x' ^ 1], 1003),
        ("unmasked", vec![0x81, 0x01, b'x'], 1002),
        ("an opcode that is none", vec![0x83, 0x80, 1, 2, 3, 4], 1002),
        ("no UTF-8", vec![0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 1002),
    ] {
        let mut socket = Socket::open(&buyer, "").await;
        socket.write_raw(&bytes).await;
        assert_eq!(socket.end().await, code, "{what}");
    }
    let mut talker = Socket::open(&buyer, "").await;
    talker.send(text(16_384)).await;
    book.insert_one(event(user, 1, 10)).await.unwrap();
    for socket in [&mut talker, &mut neighbour] {
        assert_eq!(socket.event().await["id"], 1, "a word is no harm");
    }
}

#[actix_web::test]
async fn a_frame_of_a_gibibyte_is_refused_before_it_is_held() {
    let shop = TestShop::start().await;
    let buyer = shop.customer().await;
    let before = memory_kib(shop.server.pid());
    for _ in 0..scaled(3, 30) {
        let mut socket = Socket::open(&buyer, "").await;
        let head = [0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4];
        socket.write_raw(&head).await;
        for _ in 0..64 {
            socket.write_raw(&vec![7; 1 << 20]).await;
        }
        // The server may have hung up while bytes were still on their way; then the code is lost with them.
        let end = socket.end().await;
        assert!(end == 1009 || end.is_null(), "{end}");
    }
    let grown = memory_kib(shop.server.pid()).saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 48 * 1024, "{grown} KiB");
}

#[actix_web::test]
async fn ten_thousand_subscriptions_of_one_account_are_twenty() {
    let shop = TestShop::start().await;
    let (greedy, other) = (shop.customer().await, shop.customer().await);
    let header = bearer(&greedy);
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..scaled(200, 10_000) {
        let opening = Opening {
            headers: vec![header.clone()],
            ..Opening::default()
        };
        match opening.at(&shop.server.url).await {
            Ok(socket) => open.push(socket),
            Err((status, problem)) => {
                assert_eq!((status, &problem["code"]), (429, &json!("rate_limited")));
                refused += 1;
            }
        }
    }
    assert_eq!((open.len(), refused), (20, scaled(200, 10_000) - 20));
    let events = greedy.get("/api/realtime/events").await;
    let events = events.expect_problem(429, "rate_limited");
    assert!(events.header("retry-after").is_some());
    assert_eq!(Socket::open(&other, "").await.next().await["type"], "hello");
    drop(open);
    eventually("a place to become free", || async {
        let opened = answer(&shop.server.url, "", vec![header.clone()]).await;
        (opened.0 == 101).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_client_that_gives_no_sign_of_life_is_let_go() {
    let shop = Setup::default()
        .with("REALTIME__HEARTBEAT_SECONDS", 1)
        .start()
        .await;
    let buyer = shop.customer().await;
    let mut silent = Socket::open(&buyer, "").await;
    let mut lively = Socket::open(&buyer, "").await;
    assert_eq!(lively.next().await["heartbeatSeconds"], 1);
    let living = tokio::time::timeout(std::time::Duration::from_secs(6), lively.next());
    assert!(
        living.await.is_err(),
        "who answers pings, by being read, stays"
    );
    assert_eq!(silent.end().await, 1001);

    // Pages are not shown pings: who asks is told each time.
    let mut told = Socket::open(&buyer, "&heartbeat=true").await;
    assert_eq!(told.next().await["type"], "hello");
    for _ in 0..3 {
        assert_eq!(told.next().await, json!({ "type": "heartbeat" }));
    }
}
