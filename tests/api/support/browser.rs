//! A real browser: Chromium without a window, driven over its `DevTools` protocol.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::PATIENCE;

/// A Chromium with one page.
pub(crate) struct Browser {
    child: Child,
    folder: PathBuf,
    page: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    calls: u64,
}

impl Browser {
    /// Opens `url` and waits until it is there.
    pub(crate) async fn open(url: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch-chromium");
        let found = Command::new(script).output().unwrap();
        let said = String::from_utf8(found.stdout).unwrap();
        assert!(
            found.status.success(),
            "{}",
            String::from_utf8_lossy(&found.stderr)
        );
        let found: HashMap<&str, &str> = said
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let folder = std::env::temp_dir().join(format!("chromium-{}", bson::oid::ObjectId::new()));
        let mut command = Command::new(found["program"]);
        command
            .args(["--headless", "--disable-gpu", "--remote-debugging-port=0"])
            // A container lets nobody make a sandbox; the pages are our own.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg("about:blank")
            .env("HOME", std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if !found["libraries"].is_empty() {
            command.env("LD_LIBRARY_PATH", found["libraries"]);
        }
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (said, heard) = std::sync::mpsc::channel();
        // Read to its end: a full pipe would hold the browser up.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("DevTools listening on ws://") {
                    let _nobody = said.send(address.to_owned());
                }
            }
        });
        let address = tokio::task::spawn_blocking(move || heard.recv_timeout(PATIENCE));
        let address = address.await.unwrap().expect("the browser starts");
        let host = address.split('/').next().unwrap();
        let pages = reqwest::Client::builder().no_proxy().build().unwrap();
        let page: Value = pages
            .put(format!("http://{host}/json/new?{url}"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let page = page["webSocketDebuggerUrl"].as_str().unwrap();
        let (page, _) = connect_async(page).await.unwrap();
        let mut browser = Self {
            child,
            folder,
            page,
            calls: 0,
        };
        // Before it there is another page, which is complete at once.
        let there = json!(format!("complete {url}"));
        browser
            .until("`${document.readyState} ${location.href}`", &there)
            .await;
        browser
    }

    /// The value of an expression in the page; a promise is awaited.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        self.calls += 1;
        let call = json!({ "id": self.calls, "method": "Runtime.evaluate", "params": {
            "expression": expression, "awaitPromise": true, "returnByValue": true,
        } });
        let call = Message::text(call.to_string());
        self.page.send(call).await.unwrap();
        loop {
            let next = tokio::time::timeout(PATIENCE, self.page.next()).await;
            let message = next.expect("an answer in time").unwrap().unwrap();
            let answer: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if answer["id"] == self.calls {
                let result = &answer["result"];
                assert!(
                    result["exceptionDetails"].is_null(),
                    "{expression}: {result}"
                );
                return result["result"]["value"].clone();
            }
        }
    }

    /// Waits until the expression is `expected`.
    pub(crate) async fn until(&mut self, expression: &str, expected: &Value) {
        let began = std::time::Instant::now();
        loop {
            let value = self.evaluate(expression).await;
            if value == *expected {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{expression} is {value}, not {expected}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        self.child.wait().unwrap();
        // The browser's own children may still write into it for a moment.
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}
