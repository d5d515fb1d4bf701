//! Connections that ask to become a WebSocket are served apart from all others (`src/http/upgrade.rs`): what HTTP
//! says of them still holds.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::refusals::bearer;
use crate::support::{PATIENCE, TestShop, eventually};

/// Asks for a WebSocket at `path` and sends `more` in the same breath.
async fn ask(shop: &TestShop, path: &str, headers: &str, more: &[u8]) -> TcpStream {
    let address = shop.server.url.trim_start_matches("http://");
    let mut line = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let whole = [head.as_bytes(), more].concat();
    line.write_all(&whole).await.unwrap();
    line
}

/// Everything until the server ends the connection.
async fn rest(line: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let ended = timeout(PATIENCE, line.read_to_end(&mut read)).await;
    ended.expect("the end in time").unwrap();
    read
}

#[actix_web::test]
async fn a_page_that_is_no_socket_is_answered_whole_and_the_connection_ends() {
    let shop = TestShop::start().await;
    for (path, status) in [("/realtime.js", 200), ("/api/nothing", 404)] {
        let plain = shop.guest().get(path).await.expect(status);
        let mut line = ask(&shop, path, "", b"").await;
        let answer = String::from_utf8(rest(&mut line).await).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert!(head.contains("connection: close"), "{head}");
        assert!(head.contains("x-request-id"), "{head}");
        let length = format!("content-length: {}", body.len());
        assert!(head.contains(&length), "{head}");
        assert_eq!(body.len(), plain.text.len());
    }
}

#[actix_web::test]
async fn what_comes_together_with_the_handshake_is_heard() {
    let shop = TestShop::start().await;
    let (name, token) = bearer(&shop.customer().await);
    let header = format!("{name}: {token}\r\n");
    let path = "/api/realtime/ws";
    // A ping of one byte, then a binary message, which is refused.
    let frames = [[0x89, 0x81, 0, 0, 0, 0, 7], [0x82, 0x81, 0, 0, 0, 0, 7]].concat();
    let mut line = ask(&shop, path, &header, &frames).await;
    let answer = rest(&mut line).await;
    let head = b"HTTP/1.1 101 Switching Protocols\r\n";
    assert!(answer.starts_with(head), "{answer:?}");
    let found = |bytes: &[u8]| answer.windows(bytes.len()).any(|part| part == bytes);
    assert!(found(&[0x8a, 1, 7]), "no pong: {answer:?}");
    assert!(found(&1003_u16.to_be_bytes()), "no close code: {answer:?}");
}

#[actix_web::test]
async fn a_client_that_is_gone_without_a_word_is_forgotten() {
    let shop = TestShop::start().await;
    let (name, token) = bearer(&shop.customer().await);
    let header = format!("{name}: {token}\r\n");
    let streams = async || {
        let all = shop.guest().get("/metrics").await.expect(200).text;
        let line = all
            .lines()
            .find_map(|line| line.strip_prefix("bodega_streams "));
        line.map(str::to_owned)
    };
    let line = ask(&shop, "/api/realtime/ws", &header, b"").await;
    eventually("the stream", async || {
        (streams().await? == "1").then_some(())
    })
    .await;
    drop(line);
    eventually("its end", async || (streams().await? == "0").then_some(())).await;

    // Half of a handshake is nothing either, and holds no place for long.
    let address = shop.server.url.trim_start_matches("http://");
    let mut slow = TcpStream::connect(address).await.unwrap();
    let half = b"GET /api/realtime/ws HTTP/1.1\r\nUpgrade: websocket\r\n";
    slow.write_all(half).await.unwrap();
    let answer = timeout(Duration::from_secs(30), rest(&mut slow)).await;
    let answer = answer.expect("an end of waiting");
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{answer:?}");
}
