//! PayPal's own published SDKs against the simulator; the journeys stand in `tests/sdk`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{
    paypal_openapi::Extent,
    support::{Running, judge},
};

/// Where `scripts/lib/sdk-environment` has put the SDKs: it installs them on first use.
fn installed() -> HashMap<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib/sdk-environment");
    let said = text(&Command::new(script).output().unwrap());
    let pairs = said.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .collect()
}

fn text(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaint}");
    said
}

/// Runs a journey against a simulator of its own, and judges that one's answers.
async fn journey(program: &str, script: &str, variable: &str, path: &str) -> String {
    let record = std::env::temp_dir().join(format!("sdk-{}.jsonl", bson::oid::ObjectId::new()));
    let flags = [
        "--bind",
        "127.0.0.1:0",
        "--record",
        record.to_str().unwrap(),
    ];
    let simulator = Running::start(
        env!("CARGO_BIN_EXE_paypal-simulator"),
        &flags.map(str::to_owned),
        &[],
    )
    .await;
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let mut command = Command::new(program);
    command.arg(script).arg(&simulator.url);
    command.env(variable, path).env("NO_PROXY", "127.0.0.1");
    let said = tokio::task::spawn_blocking(move || text(&command.output().unwrap()));
    let said = said.await.unwrap();
    judge(&record, Extent::Answers);
    std::fs::remove_file(record).unwrap();
    said
}

#[actix_web::test]
async fn the_typescript_sdk_goes_through_all_calls() {
    let sdks = installed();
    let script = "tests/sdk/typescript/journey.cjs";
    let said = journey(&sdks["node"], script, "NODE_PATH", &sdks["node_modules"]).await;
    assert_eq!(said, "the TypeScript SDK is content\n");
}

#[actix_web::test]
async fn the_python_sdk_goes_through_all_calls() {
    let sdks = installed();
    let script = "tests/sdk/python/journey.py";
    let said = journey(&sdks["python"], script, "PYTHONPATH", &sdks["python_path"]).await;
    assert_eq!(said, "the Python SDK is content\n");
}
