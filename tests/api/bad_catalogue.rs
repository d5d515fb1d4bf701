//! The catalogue against bad input, over HTTP: each is answered by a problem, or in its job's report by a line, that
//! names the place; soon, and without the memory that it asks for.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, TestShop, eventually, memory_kib, usd};

/// What one answer may take on a busy machine: nothing here is to be tried out for long.
const SOON: Duration = Duration::from_secs(20);
/// How much memory all of it may need beyond what the shop had.
const GROWTH_KIB: u64 = 96 * 1024;

const JSON_LINES: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

struct Hall {
    shop: TestShop,
    admin: Client,
}

impl Hall {
    async fn open() -> Self {
        let shop = TestShop::start().await;
        let admin = shop.admin().await;
        Self { shop, admin }
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let request = self.admin.request(method, path);
        let request = request.header("content-type", kind);
        self.admin.send(request.body(body)).await
    }

    /// Imports a file to its end; the job.
    async fn import(&self, kind: &str, file: Vec<u8>) -> Value {
        let path = "/api/products/import";
        let begun = self.send(Method::POST, path, kind, file).await;
        let id = begun.expect(202).body["jobId"].clone();
        let place = format!("{path}/{}", id.as_str().unwrap());
        eventually("the import to end", async || {
            let job = self.admin.get(&place).await.expect(200).body;
            (job["state"] != "running").then_some(job)
        })
        .await
    }

    /// The status of an answer to an address that no client library would send; `None` where the server hangs up.
    fn raw_status(&self, target: &str) -> Option<u16> {
        let address = self.shop.server.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // The server may have hung up before it has read all of it.
        let _cut_off = write!(stream, "GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).ok()?;
        String::from_utf8_lossy(&begin[9..]).parse().ok()
    }

    /// The most memory that the server has had resident.
    fn peak_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.shop.server.pid());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let line = line.unwrap().trim().trim_end_matches(" kB");
        line.parse().unwrap()
    }
}

/// A faulty row: its line in the file, and what is wrong.
fn told(line: &Value) -> (u64, &str) {
    (
        line["line"].as_u64().unwrap(),
        line["code"].as_str().unwrap(),
    )
}

/// Bytes of gzip that unpack to `megabytes` of one byte: a member for each, packed once.
fn bomb(byte: u8, megabytes: usize) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&vec![byte; 1 << 20]).unwrap();
    packed.finish().unwrap().repeat(megabytes)
}

#[actix_web::test]
async fn queries_that_ask_for_too_much_or_for_what_is_not_there() {
    let hall = Hall::open().await;
    hall.shop.product(&hall.admin, "MUG", 900, 10).await;
    let guest = hall.shop.guest();
    let before = memory_kib(hall.shop.server.pid());
    for (query, pointer) in [
        ("attr.nosuch=1", "/attr.nosuch"),
        ("attr.nosuch.min=1", "/attr.nosuch.min"),
        ("attr.=1", "/attr."),
        ("price[$gt]=1", "/price[$gt]"),
        ("$where=sleep(1000)", "/$where"),
        ("category[$regex]=.*", "/category[$regex]"),
        ("minPrice[]=1", "/minPrice[]"),
        ("sort=-$natural", "/sort"),
        ("limit=1e9", "/limit"),
        ("minPrice=NaN", "/minPrice"),
    ] {
        let answer = guest.get(&format!("/api/products?{query}")).await;
        let answer = answer.expect_problem(422, "validation_failed");
        assert_eq!(answer.pointers(), [pointer], "{query}");
    }
    // Regular expressions are words like others, and find nothing.
    let began = Instant::now();
    for pattern in ["(a+)+$", "(.*)*x", "((a{1,99}){1,99}){1,99}", "^(?=(a+)+b)"] {
        let text: String = url::form_urlencoded::byte_serialize(pattern.as_bytes()).collect();
        for name in ["q", "brand", "category"] {
            let found = guest.get(&format!("/api/products?{name}={text}")).await;
            assert_eq!(found.expect(200).body["total"], 0, "{name}={pattern}");
        }
    }
    // Values by the thousand, of one filter and of many.
    let values = |count: usize, name: &dyn Fn(usize) -> String| {
        let pairs = (0..count).map(|n| format!("{}={}", name(n), n % 10));
        pairs.collect::<Vec<_>>().join("&")
    };
    let of_one = |count| values(count, &|_| "brand".to_owned());
    let of_many = |count| values(count, &|n| format!("attr.a{}", n % 60));
    for query in [of_one(7_000), of_many(5_000)] {
        let answer = guest.get(&format!("/api/products?{query}")).await;
        let answer = answer.expect_problem(422, "validation_failed");
        assert_eq!(answer.pointers(), ["/"]);
    }
    for filter in [of_one(10_000), of_many(10_000)] {
        let edit = json!({ "filter": filter, "edit": { "status": "draft" } });
        let answer = hall.admin.post("/api/admin/bulk-edits", &edit).await;
        let answer = answer.expect_problem(422, "validation_failed");
        assert_eq!(answer.pointers(), ["/filter"]);
    }
    // Beyond 64 KiB an address is none (as the libraries of both sides have it): refused before it is routed.
    for query in [of_one(10_000), format!("q={}", "a".repeat(1 << 20))] {
        let status = hall.raw_status(&format!("/api/products?{query}"));
        assert!(
            status.is_none_or(|status| (400..500).contains(&status)),
            "{status:?}"
        );
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    guest.get("/api/products").await.expect(200);
    assert!(hall.peak_kib() < before + GROWTH_KIB);
}

#[actix_web::test]
async fn cursors_of_other_queries_and_altered_ones() {
    let hall = Hall::open().await;
    for n in 0..4 {
        hall.shop
            .product(&hall.admin, &format!("P-{n}"), 100 + n, 1)
            .await;
    }
    let guest = hall.shop.guest();
    let first = guest
        .get("/api/products?limit=2&sort=price")
        .await
        .expect(200)
        .body;
    let cursor = first["nextCursor"].as_str().unwrap();
    let refused = async |query: String| {
        let answer = guest.get(&format!("/api/products?{query}")).await;
        let answer = answer.expect_problem(422, "validation_failed");
        assert_eq!(answer.pointers(), ["/cursor"], "{query}");
    };
    for other in [
        "limit=2&sort=-price",
        "limit=2",
        "limit=2&sort=price&q=product",
        "limit=2&sort=price&inStock=true",
    ] {
        refused(format!("{other}&cursor={cursor}")).await;
    }
    let altered = (0..cursor.len()).map(|place| {
        let mut bytes = cursor.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    });
    let cut = (0..cursor.len()).map(|length| cursor[..length].to_owned());
    let strange = [
        format!("{cursor}{cursor}"),
        "%00".into(),
        "null".into(),
        "e30".into(),
    ];
    let before = memory_kib(hall.shop.server.pid());
    let mut taken = 0;
    for wrong in altered.chain(cut).chain(strange) {
        let answer = guest
            .get(&format!("/api/products?limit=2&sort=price&cursor={wrong}"))
            .await;
        // What is still a place of this list is one; everything else is refused by name.
        if answer.status == 200 {
            assert!(answer.body["items"].as_array().unwrap().len() <= 2);
            taken += 1;
        } else {
            let answer = answer.expect_problem(422, "validation_failed");
            assert_eq!(answer.pointers(), ["/cursor"], "{wrong}");
        }
    }
    println!(
        "{taken} of {} altered cursors still name a place",
        cursor.len() * 2 + 4
    );
    assert!(taken < cursor.len(), "cursors are hardly checked");
    assert!(hall.peak_kib() < before + GROWTH_KIB);
}

#[actix_web::test]
async fn schemas_that_lead_outward_do_not_end_or_are_bombs() {
    let hall = Hall::open().await;
    let before = memory_kib(hall.shop.server.pid());
    let began = Instant::now();
    let refused = [
        (
            json!({ "$ref": "http://127.0.0.1:1/x" }),
            "/attributes/$ref",
        ),
        (json!({ "$ref": "file:///etc/passwd" }), "/attributes/$ref"),
        (
            json!({ "$dynamicRef": "https://example.com/x" }),
            "/attributes/$dynamicRef",
        ),
        (
            json!({ "$schema": "https://example.com/mine" }),
            "/attributes/$schema",
        ),
        (json!({ "$ref": "#" }), "/attributes"),
        (
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
            "/attributes",
        ),
        (
            json!({ "properties": { "a": { "pattern": "((a{1,1000}){1,1000}){1,1000}" } } }),
            "/attributes/properties/a/pattern",
        ),
        (
            json!({ "properties": { "a": { "pattern": "(" } } }),
            "/attributes/properties/a/pattern",
        ),
    ];
    for (attributes, pointer) in refused {
        let written = json!({ "id": "x", "name": "X", "attributes": attributes });
        let answer = hall.admin.post("/api/product-types", &written).await;
        let answer = answer.expect_problem(422, "validation_failed");
        assert!(
            answer
                .pointers()
                .iter()
                .any(|place| place.starts_with(pointer)),
            "{attributes}: {answer:?}"
        );
    }
    // References that double at each step: 2^30 places if they were all written out.
    let mut defs = serde_json::Map::new();
    for n in 0..30 {
        let next = format!("#/$defs/d{}", n + 1);
        let twice = json!({ "properties": { "a": { "$ref": next }, "b": { "$ref": next } } });
        defs.insert(format!("d{n}"), twice);
    }
    defs.insert("d30".into(), json!({ "type": "string" }));
    let written =
        json!({ "id": "wide", "name": "X", "attributes": { "$defs": defs, "$ref": "#/$defs/d0" } });
    let answer = hall.admin.post("/api/product-types", &written).await;
    assert!(matches!(answer.status, 201 | 422), "{answer:?}");
    // A pattern over which a search with backtracking would take for ever.
    let slow = json!({
        "id": "slow", "name": "X",
        "attributes": { "properties": { "a": { "type": "string", "pattern": "^(a+)+$" } } },
    });
    let taken = hall.admin.post("/api/product-types", &slow).await;
    if taken.status == 201 {
        let product = json!({
            "sku": "A", "title": "A", "type": "slow", "price": usd(1),
            "attributes": { "a": format!("{}!", "a".repeat(50_000)) },
        });
        let answer = hall.admin.post("/api/products", &product).await;
        let answer = answer.expect_problem(422, "validation_failed");
        assert_eq!(answer.pointers(), ["/attributes/a"]);
    } else {
        taken.expect_problem(422, "validation_failed");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(hall.peak_kib() < before + GROWTH_KIB);
}

#[actix_web::test]
async fn files_with_broken_quotes_huge_cells_and_wrong_encodings() {
    let hall = Hall::open().await;
    let good = "GOOD,Good,1.00,USD\n";
    let head = "sku,title,price,currency\n";
    let columns = hall
        .admin
        .get("/api/products/export?format=csv")
        .await
        .expect(200)
        .text;
    assert!(columns.starts_with("sku,"), "{columns}");
    // The shop's own columns, as an export writes them.
    let names: Vec<&str> = columns.trim().split(',').collect();
    let row = |title: &str, sku: &str| {
        let cells = names.iter().map(|name| match *name {
            "sku" => sku.to_owned(),
            "title" => title.to_owned(),
            "price" => "1.00".to_owned(),
            "currency" => "USD".to_owned(),
            _ => String::new(),
        });
        cells.collect::<Vec<_>>().join(",")
    };
    let before = memory_kib(hall.shop.server.pid());
    let csv = |rows: &[Vec<u8>]| {
        let mut file = columns.clone().into_bytes();
        for row in rows {
            file.extend_from_slice(row);
            file.push(b'\n');
        }
        file
    };
    let cell = "x".repeat(10 << 20);
    let latin: Vec<u8> = row("caf\u{e9}", "LATIN")
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let job = hall
        .import(
            CSV,
            csv(&[
                row(&cell, "HUGE").into_bytes(),
                latin,
                b"too,few".to_vec(),
                row("\"never closed", "QUOTE").into_bytes(),
                row("swallowed", "AFTER").into_bytes(),
            ]),
        )
        .await;
    let errors: Vec<(u64, &str)> = job["errors"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        errors,
        [
            (2, "row_too_long"),
            (3, "not_utf8"),
            (4, "cell_count"),
            (5, "quote_not_closed")
        ],
        "{job}"
    );
    assert_eq!(job["errors"][1]["fields"], json!(["title"]), "{job}");
    // The same as JSON Lines.
    let row = |sku: &str, title: &str| {
        json!({ "sku": sku, "title": title, "price": usd(100) })
            .to_string()
            .into_bytes()
    };
    let lines = [
        row("FIRST", "good"),
        row("HUGE", &cell),
        row("LATIN", "caf?")
            .into_iter()
            .map(|byte| if byte == b'?' { 0xe9 } else { byte })
            .collect(),
        b"{\"sku\":\"OPEN\",\"title\":\"never closed".to_vec(),
        "[".repeat(100_000).into_bytes(),
        row("LAST", "good"),
    ];
    let job = hall.import(JSON_LINES, lines.join(&b'\n')).await;
    let errors: Vec<u64> = job["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| told(line).0)
        .collect();
    assert_eq!(errors, [2, 3, 4, 5], "{job}");
    assert_eq!(job["counts"]["created"], 2, "{job}");
    // A file in UTF-16, and one that is no text at all: nothing of it is taken.
    let utf16: Vec<u8> = format!("\u{feff}{head}{good}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    for kind in [CSV, JSON_LINES] {
        for file in [&utf16, &noise] {
            let job = hall.import(kind, file.clone()).await;
            assert_eq!(job["counts"]["created"], 0, "{job}");
            assert!(
                job["failure"].is_string() || !job["errors"].as_array().unwrap().is_empty(),
                "{job}"
            );
        }
    }
    assert!(
        hall.peak_kib() < before + GROWTH_KIB,
        "{} KiB",
        hall.peak_kib() - before
    );
}

#[actix_web::test]
async fn bombs_that_unpack_to_gigabytes() {
    let hall = Hall::open().await;
    hall.shop.product(&hall.admin, "MUG", 900, 10).await;
    let before = memory_kib(hall.shop.server.pid());
    for (kind, byte) in [
        (CSV, b'a'),
        (CSV, b'"'),
        (JSON_LINES, b' '),
        (JSON_LINES, b'\n'),
    ] {
        let began = Instant::now();
        let job = hall.import(kind, bomb(byte, 1_024)).await;
        let (state, took) = (&job["state"], began.elapsed());
        println!(
            "a gigabyte of {:?} as {kind}: {state} after {took:?}",
            char::from(byte)
        );
        assert_eq!(job["counts"]["created"], 0, "{job}");
        assert!(
            job["failure"].is_string() || !job["errors"].as_array().unwrap().is_empty(),
            "{job}"
        );
    }
    // A packed body where a plain one is taken is not unpacked.
    let request = hall.admin.request(Method::POST, "/api/products");
    let request = request
        .header("content-type", "application/json")
        .header("content-encoding", "gzip");
    let answer = hall.admin.send(request.body(bomb(b' ', 64))).await;
    assert!(matches!(answer.status, 400 | 413 | 415), "{answer:?}");
    assert!(answer.body["code"].is_string(), "{answer:?}");
    assert!(
        hall.peak_kib() < before + GROWTH_KIB,
        "{} KiB",
        hall.peak_kib() - before
    );
}

#[actix_web::test]
async fn images_that_are_none() {
    let hall = Hall::open().await;
    let product = hall.shop.product(&hall.admin, "MUG", 900, 10).await;
    let path = format!("/api/products/{}/images", product["id"].as_str().unwrap());
    let before = memory_kib(hall.shop.server.pid());
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>".to_vec();
    let png = |width: u32, height: u32| {
        let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
        header.extend([8, 6, 0, 0, 0]);
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        for (name, data) in [
            (b"IHDR", &header[..]),
            (b"IDAT", b"\x78\x9c\x03\x00\x00\x00\x00\x01"),
            (b"IEND", b""),
        ] {
            let summed = [&name[..], data].concat();
            file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            file.extend(&summed);
            file.extend(crc32fast::hash(&summed).to_be_bytes());
        }
        file
    };
    for (kind, body, status, code) in [
        ("image/svg+xml", svg.clone(), 415, "unsupported_media_type"),
        ("image/png", svg, 422, "image_invalid"),
        ("image/png", b"GIF89a".to_vec(), 422, "image_invalid"),
        (
            "image/gif",
            b"<!DOCTYPE html><script>".to_vec(),
            422,
            "image_invalid",
        ),
        ("image/jpeg", bomb(0, 8), 422, "image_invalid"),
        ("image/png", Vec::new(), 422, "image_invalid"),
        ("image/png", png(2, 2)[..33].to_vec(), 422, "image_invalid"),
        ("image/png", png(65_535, 65_535), 422, "image_too_large"),
        ("image/png", vec![0; (5 << 20) + 1], 413, "body_too_large"),
    ] {
        let answer = hall.send(Method::POST, &path, kind, body).await;
        let answer = answer.expect_problem(status, code);
        assert!(answer.body["detail"].is_string(), "{answer:?}");
    }
    let seen = hall
        .admin
        .get(path.trim_end_matches("/images"))
        .await
        .expect(200)
        .body;
    assert_eq!((&seen["version"], &seen["images"]), (&json!(1), &json!([])));
    assert!(hall.peak_kib() < before + GROWTH_KIB);
}
