//! What clients are refused, and how.

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::{MaybeTlsStream, tungstenite::Message};

use super::support::{Live, Seen, Socket};
use crate::{accounts::Role, id::UserId};

async fn refused(live: &Live, query: &str, headers: &[(&'static str, &str)]) -> u16 {
    let opened = Socket::open_with(&live.base, query, headers).await;
    opened
        .err()
        .map_or(101, |refused| refused.status().as_u16())
}

#[actix_web::test]
async fn a_ticket_is_good_for_one_connection() {
    let live = Live::start(&[]).await;
    let user = UserId::new();
    let token = live.token(user, Role::Customer);
    let ticket = live.ticket(&token).await;
    let query = format!("ticket={ticket}");
    let mut socket = Socket::open_with(&live.base, &query, &[]).await.unwrap();
    assert_eq!(socket.message().await["type"], "hello");
    live.order(user).await;
    assert_eq!(
        socket.message().await["id"],
        1,
        "the ticket stands for its user"
    );
    assert_eq!(refused(&live, &query, &[]).await, 401);
    assert_eq!(refused(&live, "ticket=guessed", &[]).await, 401);
    assert_eq!(
        refused(&live, &format!("ticket={}", "A".repeat(43)), &[]).await,
        401
    );
    assert_eq!(refused(&live, "", &[]).await, 401);
    live.stop().await;
}

#[actix_web::test]
async fn foreign_pages_are_refused_before_the_ticket_is_used_up() {
    let live = Live::start(&[]).await;
    let ticket = live
        .ticket(&live.token(UserId::new(), Role::Customer))
        .await;
    let query = format!("ticket={ticket}");
    for foreign in [
        "https://evil.example",
        "null",
        "https://shop.example.evil.example",
        "http://shop.example",
        // What the request was sent to counts only where no public address is set.
        live.base.as_str(),
    ] {
        assert_eq!(
            refused(&live, &query, &[("origin", foreign)]).await,
            403,
            "{foreign}"
        );
    }
    for own in ["https://shop.example", "https://app.example"] {
        let ticket = live
            .ticket(&live.token(UserId::new(), Role::Customer))
            .await;
        let query = format!("ticket={ticket}");
        assert_eq!(
            refused(&live, &query, &[("origin", own)]).await,
            101,
            "{own}"
        );
    }
    assert_eq!(
        refused(&live, &query, &[]).await,
        101,
        "no browser, and the ticket is still good"
    );
    live.stop().await;
}

#[actix_web::test]
async fn bad_parameters_have_defined_answers() {
    let live = Live::start(&[]).await;
    let token = live.token(UserId::new(), Role::Customer);
    let bearer = format!("Bearer {token}");
    let mine = [("authorization", bearer.as_str())];
    for (query, status) in [
        (format!("token={token}"), 422),
        ("since=-1".into(), 422),
        ("since=x".into(), 422),
        ("since=1.5".into(), 422),
        ("since=18446744073709551616".into(), 422),
        ("channel=everything".into(), 422),
        ("channel=orders".into(), 403),
    ] {
        assert_eq!(refused(&live, &query, &mine).await, status, "{query}");
    }
    let staff = format!("Bearer {}", live.token(UserId::new(), Role::Staff));
    let staff = [("authorization", staff.as_str())];
    assert_eq!(refused(&live, "channel=orders&since=1", &staff).await, 422);
    assert_eq!(
        refused(&live, "", &[("authorization", "Bearer forged")]).await,
        401
    );

    let http = reqwest::Client::new();
    let plain = http
        .get(format!("{}/api/realtime/ws", live.base))
        .bearer_auth(&token);
    assert_eq!(plain.send().await.unwrap().status(), 400);
    let events = format!("{}/api/realtime/events", live.base);
    let garbled = http
        .get(&events)
        .bearer_auth(&token)
        .header("last-event-id", "x");
    assert_eq!(garbled.send().await.unwrap().status(), 422);
    live.stop().await;
}

#[actix_web::test]
async fn one_user_has_a_bounded_number_of_streams() {
    let live = Live::start(&[("BODEGA__REALTIME__MAX_STREAMS_PER_USER", "3")]).await;
    let token = live.token(UserId::new(), Role::Customer);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Socket::open(&live.base, "", &token).await);
    }
    let bearer = format!("Bearer {token}");
    let mine = [("authorization", bearer.as_str())];
    let full = Socket::open_with(&live.base, "", &mine)
        .await
        .err()
        .unwrap();
    assert_eq!(full.status(), 429);
    let problem: Value = serde_json::from_slice(full.body().as_ref().unwrap()).unwrap();
    assert_eq!(problem["code"], "rate_limited");
    Socket::open(&live.base, "", &live.token(UserId::new(), Role::Customer)).await;
    open.pop();
    let began = tokio::time::Instant::now();
    while refused(&live, "", &mine).await == 429 {
        assert!(
            began.elapsed() < super::support::PATIENCE,
            "a place becomes free"
        );
        tokio::task::yield_now().await;
    }
    live.stop().await;
}

/// Opens a socket, sends `messages` and answers how it ends.
async fn end_after(live: &Live, messages: Vec<Message>) -> Seen {
    let mut socket = Socket::open(&live.base, "", &live.token(UserId::new(), Role::Customer)).await;
    for message in messages {
        socket.send(message).await;
    }
    socket.end().await
}

#[actix_web::test]
async fn what_clients_do_wrong_closes_the_socket_with_its_code() {
    let live = Live::start(&[]).await;
    let text = |length: usize| Message::text("x".repeat(length));
    assert_eq!(
        end_after(&live, vec![Message::binary(vec![1, 2, 3])]).await,
        Seen::Closed(1003)
    );
    assert_eq!(
        end_after(&live, vec![text(16_385)]).await,
        Seen::Closed(1009)
    );
    assert_eq!(
        end_after(&live, vec![text(1 << 20)]).await,
        Seen::Closed(1009)
    );
    assert_eq!(
        end_after(&live, vec![text(1); 21]).await,
        Seen::Closed(1008)
    );
    let ping = Message::Ping(Vec::new().into());
    assert_eq!(end_after(&live, vec![ping; 21]).await, Seen::Closed(1008));
    assert_eq!(
        end_after(&live, vec![text(16_384), Message::Close(None)]).await,
        Seen::Closed(1005)
    );
    live.stop().await;
}

#[actix_web::test]
async fn garbage_and_giant_headers_close_the_socket() {
    let live = Live::start(&[]).await;
    let gibibyte = [0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4];
    let fragment = [0x01, 0x81, 1, 2, 3, 4, b'x' ^ 1];
    let unmasked = [0x81, 0x01, b'x'];
    let not_utf8 = [0x81, 0x81, 0, 0, 0, 0, 0xff];
    for (bytes, code) in [
        (gibibyte.as_slice(), 1009),
        (&fragment, 1003),
        (&unmasked, 1002),
        (&not_utf8, 1007),
    ] {
        let token = live.token(UserId::new(), Role::Customer);
        let mut socket = Socket::open(&live.base, "", &token).await;
        socket.message().await;
        let MaybeTlsStream::Plain(raw) = socket.0.get_mut() else {
            panic!("a plain socket");
        };
        raw.write_all(bytes).await.unwrap();
        assert_eq!(socket.end().await, Seen::Closed(code), "{bytes:?}");
    }
    live.stop().await;
}

#[actix_web::test]
async fn a_client_that_gives_no_sign_of_life_is_closed() {
    let live = Live::start(&[("BODEGA__REALTIME__HEARTBEAT_SECONDS", "1")]).await;
    let token = live.token(UserId::new(), Role::Customer);
    let lively = Socket::open(&live.base, "", &token).await;
    let silent = Socket::open(&live.base, "", &token).await;
    // The silent one is not read, so that its pings stay unanswered; the lively one answers by being read.
    let mut lively = lively;
    let reading = actix_web::rt::spawn(async move { lively.end().await });
    let began = tokio::time::Instant::now();
    while live.hub.streams() > 1 {
        assert!(
            began.elapsed() < super::support::PATIENCE,
            "the silent one is let go"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    drop(silent);
    live.hub.shutdown().await;
    assert_eq!(reading.await.unwrap(), Seen::Closed(1012));
    live.stop().await;
}
