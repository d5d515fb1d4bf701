//! Real catalogues of other people's shapes: imported whole, every oddity on purpose, and sold from.
//!
//! The files and what is odd about them: `../shared/data/README.md`. Their sentences and prices stay there.

use std::collections::BTreeMap;

use bson::{Document, doc};
use serde_json::{Value, json};

use crate::{
    plain_reading,
    support::{Client, TestShop, checkout_of, eventually, mongodb_uri, shared_dir},
};

/// What an import printed, and its report.
pub(crate) struct Imported {
    counts: Value,
    report: Vec<Value>,
}

impl Imported {
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counts[name].as_u64().unwrap()
    }

    fn notes(&self, code: &str) -> u64 {
        self.counts["notes"][code].as_u64().unwrap_or_default()
    }

    /// Lines of the report with this code that concern this field.
    fn lines(&self, code: &str, field: &str) -> usize {
        let fits = |line: &&Value| {
            line["code"] == code
                && line["fields"]
                    .as_array()
                    .is_some_and(|f| f.contains(&json!(field)))
        };
        self.report.iter().filter(fits).count()
    }
}

pub(crate) fn import(shop: &TestShop, file: &str, mapping: &str) -> Imported {
    let file = shared_dir().join("data").join(file);
    let report = std::env::temp_dir().join(format!("report-{}", bson::oid::ObjectId::new()));
    let mapping = format!(
        "{}/config/import/{mapping}.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    let (done, said) = shop.command(
        &[
            "import",
            file.to_str().unwrap(),
            "--mapping",
            &mapping,
            "--report",
            report.to_str().unwrap(),
            "--json",
        ],
        "",
    );
    assert!(done, "{said}");
    let last = said
        .lines()
        .rev()
        .find(|line| line.starts_with('{'))
        .unwrap();
    let lines = std::fs::read_to_string(&report).unwrap();
    std::fs::remove_file(&report).unwrap();
    Imported {
        counts: serde_json::from_str(last).unwrap(),
        report: lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    }
}

/// Looks at each product, by `_id`: the tests' mongod refuses queries that find no index.
fn each(mut wanted: Document) -> Document {
    wanted.insert(
        "_id",
        doc! { "$gt": bson::oid::ObjectId::from_bytes([0; 12]) },
    );
    wanted
}

async fn products(shop: &TestShop) -> mongodb::Collection<Document> {
    let client = mongodb::Client::with_uri_str(mongodb_uri()).await.unwrap();
    client.database(shop.database()).collection("products")
}

/// Waits until the node's index has followed the import.
async fn listed(client: &Client, query: &str, expected: u64) -> Value {
    eventually("the index to follow", || async {
        let list = client.get(&format!("/api/products?{query}")).await;
        (list.status == 200 && list.body["total"] == expected).then_some(list.body)
    })
    .await
}

/// Buys one unit of the first product in stock that the query finds.
async fn sell_one(shop: &TestShop, query: &str) {
    let buyer = shop.customer().await;
    let found = buyer
        .get(&format!("/api/products?{query}&inStock=true&limit=1"))
        .await
        .expect(200)
        .body;
    let product = &found["items"][0];
    let variants = product["variants"].as_array().unwrap();
    let variant = variants
        .iter()
        .find(|v| v["stock"]["available"].as_u64() > Some(0))
        .unwrap();
    let line = json!({ "productId": product["id"], "variantId": variant["id"], "quantity": 1 });
    let cart = buyer.post("/api/cart", &line).await.expect(200).body;
    assert_eq!(cart["subtotal"], variant["price"]);
    let checkout = buyer
        .post("/api/payment/checkout", &checkout_of(&cart))
        .await
        .expect(201)
        .body;
    shop.approve(&checkout).await;
    let order = buyer
        .post("/api/orders", &json!({ "checkoutId": checkout["id"] }))
        .await
        .body;
    assert_eq!(order["items"][0]["sku"], variant["sku"], "{order}");
}

#[actix_web::test]
async fn the_deep_catalogue_of_thirty_types_is_imported_whole() {
    let shop = TestShop::start().await;
    let imported = import(&shop, "opendb-products.jsonl.gz", "opendb");
    assert_eq!(
        (imported.count("rows"), imported.count("created")),
        (47_551, 47_551)
    );
    assert_eq!(
        (imported.count("failed"), imported.count("repeated")),
        (0, 0)
    );

    // No price anywhere: by rule, and said so for each.
    assert_eq!(imported.notes("price_by_rule"), 47_551);
    // 64 records without a manufacturer; spellings that differ in case only become one.
    assert_eq!(imported.notes("no_brand"), 64);
    let products = products(&shop).await;
    let brands = products.distinct("brand", doc! {}).await.unwrap();
    // 1,077 spellings apart from case; two of them differ only in white space.
    assert_eq!(brands.len(), 1_076);
    // A word where a shop's SKU should be, five times; years that are none, 114 times.
    assert_eq!(imported.lines("word_left_out", "newegg_sku"), 5);
    assert_eq!(imported.lines("out_of_range_left_out", "releaseYear"), 114);
    // Zero means unknown in some fields, and only there.
    assert_eq!(imported.lines("zero_left_out", "memory_bus"), 2_579);
    assert_eq!(
        imported.lines("zero_left_out", "effective_memory_clock"),
        761
    );
    // Nulls and empty strings, lists and objects say nothing.
    assert!(imported.notes("null_left_out") > 0 && imported.notes("empty_left_out") > 0);
    let nulls = products
        .count_documents(each(doc! { "attributes.cache": { "$type": "null" } }))
        .await
        .unwrap();
    assert_eq!(nulls, 0);
    // Padding, tabs and invisible characters are cleaned.
    let padded = products
        .count_documents(each(
            doc! { "title": { "$regex": "^\\s|\\s$|\\t|\u{200e}|\u{200b}" } },
        ))
        .await;
    assert_eq!(padded.unwrap(), 0);
    // Part numbers that repeat within a record are kept once.
    assert!(imported.lines("repeat_left_out", "part_numbers") > 0);
    // Equal names have addresses of their own.
    let slugs = products.distinct("slug", doc! {}).await.unwrap();
    assert_eq!(slugs.len(), 47_551);
    // One key, another kind in another category: each type declares its own.
    let guest = shop.guest();
    let kind = |id: &'static str, field: &'static str| {
        let guest = &guest;
        async move {
            let found = guest
                .get(&format!("/api/product-types/{id}"))
                .await
                .expect(200)
                .body;
            found["attributes"]["properties"][field]["type"].clone()
        }
    };
    assert_eq!(kind("gpu", "memory").await, "integer");
    assert_eq!(kind("motherboard", "memory").await, "object");
    assert_eq!(kind("webcam", "resolution").await, "string");
    assert_eq!(kind("monitor", "resolution").await, "object");

    let types = guest
        .get("/api/product-types?limit=100")
        .await
        .expect(200)
        .body;
    assert_eq!(
        types["items"].as_array().unwrap().len(),
        31,
        "thirty and the built-in one"
    );
    listed(&guest, "limit=1", 47_551).await;
    plain_reading::agrees(&shop, 200).await;
    let gpus = listed(&guest, "type=gpu&limit=1&facets=true", 3_835).await;
    let facet = |name: &str| {
        let facets = gpus["facets"].as_array().unwrap();
        facets
            .iter()
            .find(|facet| facet["name"] == name)
            .cloned()
            .unwrap()
    };
    let by_maker: u64 = facet("chipset_manufacturer")["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["count"].as_u64().unwrap())
        .sum();
    assert_eq!(
        by_maker,
        products
            .count_documents(
                doc! { "type": "gpu", "attributes.chipset_manufacturer": { "$exists": true } }
            )
            .await
            .unwrap()
    );
    sell_one(&shop, "type=gpu").await;

    // A second run changes nothing.
    let again = import(&shop, "opendb-products.jsonl.gz", "opendb");
    assert_eq!(
        (
            again.count("unchanged"),
            again.count("created"),
            again.count("updated")
        ),
        (47_551, 0, 0)
    );
}

#[actix_web::test]
async fn the_catalogue_without_identifiers_keeps_one_of_each() {
    let shop = TestShop::start().await;
    let imported = import(&shop, "pcparts-prices.jsonl.gz", "pcparts");
    assert_eq!(imported.count("rows"), 66_778);
    assert_eq!(imported.count("failed"), 0);
    // 2,951 lines repeat an earlier one to the letter; some more differ in price alone.
    assert!(imported.count("repeated") >= 2_951, "{}", imported.counts);
    assert_eq!(
        imported.count("created") + imported.count("repeated"),
        66_778
    );
    let products = products(&shop).await;
    // Three in four have no price: by rule, and not on sale.
    let drafts = products
        .count_documents(each(doc! { "status": "draft" }))
        .await
        .unwrap();
    assert_eq!(drafts, imported.notes("price_by_rule"));
    // Numbers and pairs in one field become one shape.
    for field in ["airflow", "rpm", "noise_level"] {
        let path = format!("attributes.{field}");
        let present = products
            .count_documents(each(doc! { &path: { "$exists": true } }))
            .await
            .unwrap();
        let ranges = products
            .count_documents(each(doc! { format!("{path}.min"): { "$type": "number" } }))
            .await
            .unwrap();
        assert!(present > 0 && present == ranges, "{field}");
    }
    let fast = products
        .count_documents(each(
            doc! { "type": "pcparts-memory", "attributes.speed.mhz": { "$gte": 6_000 } },
        ))
        .await;
    assert!(
        fast.unwrap() > 0,
        "pairs with a meaning by place have names"
    );
    let modular = products
        .distinct("attributes.modular", doc! {})
        .await
        .unwrap();
    assert!(
        modular.iter().all(|value| value.as_str().is_some()),
        "truth values and text are text"
    );
    let invisible = products
        .count_documents(each(doc! { "title": { "$regex": "\u{200e}|\u{200b}" } }))
        .await
        .unwrap();
    assert_eq!(invisible, 0);
    let dearest = products
        .find_one(each(doc! { "type": "pcparts-ups" }))
        .sort(doc! { "price.amount": -1 })
        .await
        .unwrap()
        .unwrap();
    assert!(
        dearest
            .get_document("price")
            .unwrap()
            .get_i64("amount")
            .unwrap()
            % 100
            == 0,
        "whole dollars stay exact"
    );
    let guest = shop.guest();
    let on_sale = products
        .count_documents(each(doc! { "status": "active" }))
        .await
        .unwrap();
    listed(&guest, "limit=1", on_sale).await;
    sell_one(&shop, "type=pcparts-cpu").await;
    let again = import(&shop, "pcparts-prices.jsonl.gz", "pcparts");
    assert_eq!(
        (again.count("created"), again.count("updated")),
        (0, 0),
        "{}",
        again.counts
    );
}

#[actix_web::test]
async fn the_catalogue_of_nested_variants_becomes_options() {
    let shop = TestShop::start().await;
    let imported = import(&shop, "filaments-variants.jsonl.gz", "filaments");
    assert_eq!(
        (imported.count("rows"), imported.count("created")),
        (1_933, 1_933),
        "{}",
        imported.counts
    );
    let products = products(&shop).await;
    let mut variants = BTreeMap::<usize, u64>::new();
    let mut all = products.find(doc! {}).await.unwrap();
    let (mut sizes, mut editions) = (0, 0);
    while all.advance().await.unwrap() {
        let product: Document = bson::deserialize_from_slice(all.current().as_bytes()).unwrap();
        let list = product.get_array("variants").unwrap();
        sizes += list.len();
        *variants.entry(list.len()).or_default() += 1;
        let options = product.get_array("options").unwrap();
        editions += usize::from(options.iter().any(|axis| axis.as_str() == Some("edition")));
        assert!(options.len() <= 5);
    }
    assert_eq!(sizes, 22_271, "every sellable size is a variant");
    assert_eq!(variants.keys().next_back(), Some(&440));
    assert_eq!(
        variants.range(101..).map(|(_, count)| count).sum::<u64>(),
        30
    );
    assert!(
        editions > 0,
        "variants alike in every option are told apart"
    );
    assert_eq!(
        u64::try_from(editions).unwrap(),
        imported.notes("variants_share_every_option")
    );
    let guest = shop.guest();
    listed(&guest, "limit=1", 1_933).await;
    sell_one(&shop, "type=filament").await;
    let again = import(&shop, "filaments-variants.jsonl.gz", "filaments");
    assert_eq!(again.count("unchanged"), 1_933);
}

#[actix_web::test]
async fn a_bad_row_is_named_and_the_rest_goes_on() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let rows = [
        r#"{"sku":"A","title":"Good","price":{"amount":100,"currency":"USD"},"stock":{"onHand":3}}"#,
        r#"{"sku":"B","title":"Bad price","price":{"amount":-1,"currency":"USD"}}"#,
        r#"{"sku":"C","title":"Unknown field","price":{"amount":1,"currency":"USD"},"role":"x"}"#,
        "{nonsense",
        r#"{"sku":"A","title":"Again","price":{"amount":100,"currency":"USD"}}"#,
        r#"{"sku":"D","title":"Also good","price":{"amount":5,"currency":"USD"}}"#,
    ];
    let send = |dry: bool| {
        let request = admin.request(
            reqwest::Method::POST,
            &format!("/api/products/import?dryRun={dry}"),
        );
        admin.send(
            request
                .header("content-type", "application/x-ndjson")
                .body(rows.join("\n")),
        )
    };
    for (dry, created) in [(true, 0), (false, 2)] {
        let job = send(dry).await.expect(202);
        let place = job.header("location").unwrap().to_owned();
        let done = eventually("the import", || async {
            let job = admin.get(&place).await.expect(200).body;
            (job["state"] == "done").then_some(job)
        })
        .await;
        let counts = &done["counts"];
        let summary = [
            &counts["rows"],
            &counts["created"],
            &counts["failed"],
            &counts["repeated"],
        ];
        assert_eq!(
            summary,
            [&json!(6), &json!(2), &json!(3), &json!(1)],
            "{done}"
        );
        let lines: Vec<_> = done["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["line"].as_u64().unwrap())
            .collect();
        assert_eq!(lines, [2, 3, 4]);
        let products = products(&shop).await;
        assert_eq!(products.count_documents(doc! {}).await.unwrap(), created);
    }
    let customer = shop.customer().await;
    let request = customer
        .request(reqwest::Method::POST, "/api/products/import")
        .header("content-type", "application/x-ndjson");
    customer
        .send(request.body(""))
        .await
        .expect_problem(403, "forbidden");

    // What is exported imports again unchanged in content.
    let exported = admin.get("/api/products/export").await.expect(200).text;
    assert_eq!(exported.lines().count(), 2);
    let other = TestShop::start().await;
    let there = other.admin().await;
    let request = there.request(reqwest::Method::POST, "/api/products/import");
    let job = there
        .send(
            request
                .header("content-type", "application/x-ndjson")
                .body(exported.clone()),
        )
        .await
        .expect(202);
    let place = job.header("location").unwrap().to_owned();
    eventually("the import", || async {
        (there.get(&place).await.body["state"] == "done").then_some(())
    })
    .await;
    let again = there.get("/api/products/export").await.expect(200).text;
    assert_eq!(exported, again);
}

#[actix_web::test]
async fn an_import_that_was_killed_goes_on_where_it_stopped() {
    let shop = TestShop::start().await;
    let file = shared_dir().join("data/filaments-variants.jsonl.gz");
    let mapping = format!(
        "{}/config/import/filaments.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut child = shop.spawn(&["import", file.to_str().unwrap(), "--mapping", &mapping]);
    let products = products(&shop).await;
    eventually("a first batch", || async {
        (products.estimated_document_count().await.unwrap() > 0).then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let imported = import(&shop, "filaments-variants.jsonl.gz", "filaments");
    assert_eq!(
        (imported.count("rows"), imported.count("failed")),
        (1_933, 0)
    );
    assert_eq!(products.count_documents(doc! {}).await.unwrap(), 1_933);
    let skus = products.distinct("sku", doc! {}).await.unwrap();
    assert_eq!(skus.len(), 1_933);
}
