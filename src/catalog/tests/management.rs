//! What staff do with the catalogue as a whole: categories, prices, types, jobs, and the log of it all.

use std::fmt::Write;

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::*;

/// Waits for a job's end.
async fn over(shop: &TestShop, path: &str) -> Value {
    eventually(async || {
        let request = TestRequest::get().uri(path);
        let job = shop.staff(request).await.expect(200).json();
        let states = ["done", "undone", "failed"];
        states
            .contains(&job["state"].as_str().unwrap())
            .then_some(job)
    })
    .await
}

async fn as_staff(shop: &TestShop, path: &str) -> Value {
    shop.staff(TestRequest::get().uri(path))
        .await
        .expect(200)
        .json()
}

#[actix_web::test]
async fn a_subtree_moves_and_its_products_follow() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    let node = json!({"path": "kitchen", "name": "For the kitchen", "position": -1});
    shop.post("/api/categories", &node).await.expect(201);
    shop.post("/api/categories", &node)
        .await
        .problem(409, "category_taken");
    let tree = shop.get("/api/categories").await.json();
    assert_eq!(tree["items"][0]["name"], "For the kitchen");
    assert_eq!(tree["items"][0]["children"][0]["count"], 1);
    let wanted = json!({"from": "kitchen", "to": "home/kitchen"});
    let moved = shop
        .post("/api/categories/move", &wanted)
        .await
        .expect(200)
        .json();
    assert_eq!(moved["products"], 1);
    let seen = shop.get(&at(&product)).await.json();
    assert_eq!(
        (&seen["categories"], &seen["version"]),
        (&json!(["home/kitchen/mugs"]), &json!(2))
    );
    let list = shop.get("/api/products?category=home").await.json();
    assert_eq!(list["total"], 1);
    // Whoever still writes the former path lands at the new one.
    let mut other = mug();
    other["sku"] = json!("MUG-2");
    assert_eq!(
        shop.create(&other).await["categories"],
        json!(["home/kitchen/mugs"])
    );
    shop.post("/api/categories/move", &wanted)
        .await
        .problem(404, "not_found");
    for (from, to, pointer) in [
        ("home", "home/x", "/to"),
        ("home", "A b", "/to"),
        ("home", "1/2/3/4/5/6/7", "/to"),
    ] {
        let refused = shop
            .post("/api/categories/move", &json!({"from": from, "to": to}))
            .await;
        assert_eq!(refused.problem(422, "validation_failed"), [pointer]);
    }
    let change = TestRequest::patch().uri("/api/categories/home/kitchen/mugs");
    shop.staff(change.set_json(json!({"name": "Mugs!"})))
        .await
        .expect(200);
    let remove = TestRequest::delete().uri("/api/categories/home");
    shop.staff(remove).await.problem(409, "category_in_use");
    let log = as_staff(&shop, "/api/admin/audit?entity=category").await;
    let actions: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["action"])
        .collect();
    assert_eq!(actions, ["updated", "moved", "created"]);
    shop.close().await;
}

#[actix_web::test]
async fn related_products_and_brands_are_listed() {
    let shop = TestShop::open().await;
    let first = shop.create(&mug()).await;
    for (sku, category) in [
        ("NEAR", "kitchen/mugs"),
        ("FAR", "kitchen"),
        ("NO", "garden"),
    ] {
        let mut other = mug();
        (other["sku"], other["categories"]) = (json!(sku), json!([category]));
        shop.create(&other).await;
    }
    let related = shop
        .get(&format!("{}/related?limit=5", at(&first)))
        .await
        .json();
    let skus: Vec<_> = related["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["sku"])
        .collect();
    assert_eq!(skus, ["NEAR", "FAR"]);
    shop.get("/api/products/none/related")
        .await
        .problem(404, "not_found");
    let brands = shop.get("/api/brands").await.json();
    assert_eq!(brands["items"], json!([{"name": "Pier", "count": 4}]));
    shop.close().await;
}

#[actix_web::test]
async fn a_reduction_names_the_lowest_price_before_it() {
    let shop = TestShop::open().await;
    let path = at(&shop.create(&mug()).await);
    let sale = json!({"price": usd(900), "compareAtPrice": usd(1_250)});
    let reduced = shop.patch(&path, &sale).await.expect(200).json();
    assert_eq!(reduced["lowestPrice30Days"], usd(1_250));
    assert_eq!(reduced["variants"][0]["lowestPrice30Days"], usd(1_250));
    let renamed = shop
        .patch(&path, &json!({"title": "Mug"}))
        .await
        .expect(200)
        .json();
    assert_eq!(renamed["lowestPrice30Days"], usd(1_250));
    let history = as_staff(&shop, &format!("{path}/prices")).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 2);
    let log = as_staff(&shop, "/api/admin/audit?entity=product&limit=1").await;
    assert_eq!(
        log["items"][0]["changes"],
        json!([
            {"pointer": "/title", "before": "Harbour Mug", "after": "Mug"},
        ])
    );
    let cursor = log["nextCursor"].as_str().unwrap();
    let next = as_staff(
        &shop,
        &format!("/api/admin/audit?entity=product&limit=1&cursor={cursor}"),
    )
    .await;
    assert!(
        next["items"][0]["changes"]
            .to_string()
            .contains("/price/amount")
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_thousand_variants_are_made_and_changed() {
    let shop = TestShop::open().await;
    let variants =
        |price: usize, stock: usize| -> Vec<Value> {
            (0..1_000).map(|n| json!({
            "sku": format!("V-{n}"), "options": {"n": n.to_string()}, "price": usd(1_000),
            "image": {"url": format!("/images/{n}.jpg"), "alt": "one of many"},
            "stock": {"onHand": stock + n % 7},
        })).enumerate().map(|(n, mut v)| {
            if n == 500 { v["price"] = json!({"amount": price, "currency": "USD"}); }
            v
        }).collect()
        };
    let product = |price, stock| {
        json!({
            "sku": "MANY", "title": "Many", "options": ["n"], "variants": variants(price, stock),
        })
    };
    let began = std::time::Instant::now();
    let made = shop.create(&product(1_000, 5)).await;
    let created = began.elapsed();
    let began = std::time::Instant::now();
    let put = shop
        .put(&at(&made), &product(900, 6))
        .await
        .expect(200)
        .json();
    println!(
        "1,000 variants: created in {created:?}, all stock replaced in {:?}",
        began.elapsed()
    );
    assert_eq!(put["variants"][999]["id"], made["variants"][999]["id"]);
    assert_eq!(put["variants"][0]["stock"]["available"], 6);
    assert_eq!(put["price"], usd(900));
    let log = as_staff(&shop, "/api/admin/audit?entity=product&limit=2").await;
    let counted = &log["items"][0];
    assert_eq!(
        (&counted["action"], &counted["changesLeftOut"]),
        (&json!("stocked"), &json!(800)),
        "two hundred of a thousand counts are told"
    );
    let id = made["variants"][500]["id"].as_str().unwrap();
    let changes = log["items"][1]["changes"].as_array().unwrap();
    assert_eq!(
        changes[0]["pointer"],
        format!("/variants/{id}/price/amount")
    );
    assert_eq!(changes.len(), 1, "{changes:?}");
    shop.close().await;
}

#[actix_web::test]
async fn a_changed_type_is_tried_before_it_is_applied() {
    let shop = TestShop::open().await;
    let named = |schema: Value| json!({"id": "cup", "name": "Cup", "attributes": schema});
    shop.post("/api/product-types", &named(json!({})))
        .await
        .expect(201);
    for n in 0..3 {
        let mut cup = mug();
        (cup["sku"], cup["type"]) = (json!(format!("C-{n}")), json!("cup"));
        cup["attributes"] = json!({"size": n, "tags": ["a", n]});
        shop.create(&cup).await;
    }
    let strict = named(json!({"properties": {
        "size": {"minimum": 1}, "tags": {"items": {"type": "string"}},
    }}));
    let path = "/api/product-types/cup";
    let report = shop
        .put(&format!("{path}?dryRun=true"), &strict)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&report["checked"], &report["broken"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(report["faults"][0]["pointer"], "/attributes/tags/*");
    assert_eq!(report["faults"][1]["products"], 1);
    let refused = shop.put(path, &strict).await.expect(409).json();
    assert_eq!(
        (&refused["code"], &refused["broken"]),
        (&json!("product_type_in_use"), &json!(3))
    );
    assert_eq!(shop.get(path).await.json()["version"], 1);
    shop.put(&format!("{path}?force=true"), &strict)
        .await
        .expect(200);
    assert_eq!(
        shop.get("/api/products/harbour-mug").await.json()["version"],
        1
    );
    let inferred = shop
        .staff(TestRequest::post().uri("/api/product-types/infer?id=beaker&from=cup"))
        .await;
    assert_eq!(
        inferred.expect(200).json()["attributes"]["properties"]["size"]["type"],
        "integer"
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_bulk_edit_is_tried_made_and_undone() {
    let shop = TestShop::open().await;
    let first = shop.create(&mug()).await;
    let tee = shop.create(&tee()).await;
    let wanted = |dry_run: bool| {
        json!({
            "filter": "", "dryRun": dry_run,
            "edit": {"price": {"percent": -12.5}, "compareAtPrice": "previous", "attributes": {"sale": true}},
        })
    };
    let job = shop
        .post("/api/admin/bulk-edits", &wanted(true))
        .await
        .expect(202);
    let dry = over(&shop, job.header("location")).await;
    assert_eq!(
        (&dry["counts"]["changed"], &dry["counts"]["matched"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(shop.get(&at(&first)).await.json()["version"], 1);
    let job = shop
        .post("/api/admin/bulk-edits", &wanted(false))
        .await
        .expect(202);
    let path = job.header("location").to_owned();
    assert_eq!(over(&shop, &path).await["counts"]["changed"], 2);
    let seen = shop.get(&at(&first)).await.json();
    assert_eq!(
        (&seen["price"], &seen["lowestPrice30Days"]),
        (&usd(1_094), &usd(1_250))
    );
    assert_eq!(
        shop.get(&at(&tee)).await.json()["variants"][1]["price"],
        usd(1_313)
    );
    shop.patch(&at(&tee), &json!({"compareAtPrice": null}))
        .await
        .expect(200);
    let undo = format!("{path}/undo");
    shop.post(&undo, &json!({})).await.expect(202);
    let undone = over(&shop, &path).await;
    assert_eq!(
        (&undone["counts"]["restored"], &undone["counts"]["kept"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(undone["errors"][0]["errors"][0]["code"], "changed_since");
    let seen = shop.get(&at(&first)).await.json();
    assert_eq!(
        (&seen["price"], &seen["attributes"]),
        (&usd(1_250), &first["attributes"])
    );
    shop.post(&undo, &json!({})).await.problem(409, "conflict");
    let id = path.rsplit('/').next().unwrap();
    let log = as_staff(&shop, &format!("/api/admin/audit?job={id}")).await;
    assert_eq!(log["items"].as_array().unwrap().len(), 5);
    for (edit, filter, pointer) in [
        (json!({}), "", "/edit"),
        (json!({"status": "draft"}), "attr.nobody=1", "/attr.nobody"),
        (json!({"status": "draft"}), "limit=5", "/filter"),
    ] {
        let wrong = json!({"filter": filter, "edit": edit});
        let refused = shop.post("/api/admin/bulk-edits", &wrong).await;
        assert_eq!(refused.problem(422, "validation_failed"), [pointer]);
    }
    shop.close().await;
}

async fn import(shop: &TestShop, query: &str, kind: &str, body: Vec<u8>) -> Value {
    let request = TestRequest::post().uri(&format!("/api/products/import{query}"));
    let request = request.insert_header(("content-type", kind.to_owned()));
    let begun = shop.staff(request.set_payload(body)).await.expect(202);
    over(shop, begun.header("location")).await
}

#[actix_web::test]
async fn what_is_exported_imports_again_and_changes_nothing() {
    let shop = TestShop::open().await;
    shop.create(&mug()).await;
    shop.create(&tee()).await;
    let mut odd = mug();
    odd["sku"] = json!("ODD");
    odd["title"] = json!("An \"odd\" one,\nof two lines");
    odd["variants"] = json!([{"sku": "ODD-V", "image": {"url": "/x.png", "alt": "x"}}]);
    shop.create(&odd).await;
    for (format, kind) in [("jsonl", "application/x-ndjson"), ("csv", "text/csv")] {
        let export = TestRequest::get().uri(&format!("/api/products/export?format={format}"));
        let bytes = shop.staff(export).await.expect(200).bytes.to_vec();
        let again = import(&shop, "", kind, bytes.clone()).await;
        assert_eq!(again["counts"]["unchanged"], 3, "{again}");
        let text = String::from_utf8(bytes)
            .unwrap()
            .replace("Harbour Mug", "Harbor Mug");
        let dry = import(&shop, "?dryRun=true", kind, text.into_bytes()).await;
        assert_eq!(dry["counts"]["updated"], 1, "{dry}");
        assert_eq!(dry["differences"][0]["changes"][0]["pointer"], "/title");
    }
    assert_eq!(
        shop.get("/api/products/harbour-mug").await.json()["version"],
        1
    );
    let broken = import(
        &shop,
        "",
        "text/csv",
        b"sku,title\nA,\"never closed\n".to_vec(),
    )
    .await;
    assert_eq!(broken["errors"][0]["code"], "quote_not_closed");
    let unknown = import(&shop, "", "text/csv", b"sku,colour\nA,red\n".to_vec()).await;
    assert_eq!(unknown["errors"][0]["code"], "unknown_column");
    shop.close().await;
}

/// The rows of an import that were refused, with why.
fn refused(job: &Value) -> Vec<(u64, String)> {
    let lines = job["errors"].as_array().unwrap().iter();
    let lines = lines.filter(|line| line["level"] == "error");
    lines
        .map(|line| {
            let code = line["code"].as_str().unwrap();
            (line["line"].as_u64().unwrap(), code.to_owned())
        })
        .collect()
}

fn rows(rows: &[Value]) -> Vec<u8> {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    lines.join("\n").into_bytes()
}

#[actix_web::test]
async fn a_dry_run_refuses_what_the_import_refuses_and_nothing_is_left_of_it() {
    let shop = TestShop::open().await;
    shop.create(&mug()).await;
    shop.create(&tee()).await;
    let plain =
        |sku: &str| json!({"sku": sku, "title": sku, "price": usd(100), "stock": {"onHand": 1}});
    let of_variant = |sku: &str, variant: &str| {
        let mut product = plain(sku);
        product["variants"] = json!([{"sku": variant}]);
        product
    };
    let under = |sku: &str, slug: &str| {
        let mut product = plain(sku);
        product["slug"] = json!(slug);
        product
    };
    let mut moved = tee();
    moved["slug"] = json!("harbour-mug");
    let mut same_title = plain("NEW-4");
    same_title["title"] = json!("Harbour Mug");
    let file = rows(&[
        plain("NEW-1"),
        of_variant("NEW-2", "TEE-B"),
        of_variant("NEW-3", "SHARED"),
        of_variant("NEW-5", "SHARED"),
        moved,
        under("NEW-6", "harbour-mug"),
        same_title,
        under("NEW-7", "asked-for"),
        under("NEW-8", "asked-for"),
    ]);
    let expected = [
        (2, "sku_taken"),
        (4, "sku_taken"),
        (5, "slug_taken"),
        (6, "slug_taken"),
        (9, "slug_taken"),
    ];
    let expected = expected.map(|(line, code)| (line, code.to_owned()));
    let kind = "application/x-ndjson";
    let dry = import(&shop, "?dryRun=true", kind, file.clone()).await;
    assert_eq!(refused(&dry), expected, "{dry}");
    let real = import(&shop, "", kind, file.clone()).await;
    assert_eq!(refused(&real), expected, "{real}");
    for job in [&dry, &real] {
        assert_eq!(job["counts"]["created"], 4, "{job}");
        assert_eq!(job["counts"]["updated"], 0, "{job}");
        assert_eq!(job["counts"]["failed"], 5, "{job}");
    }
    // A slug that nobody asked for gives way.
    assert_eq!(
        shop.get("/api/products/harbour-mug-2").await.json()["sku"],
        "NEW-4"
    );
    shop.get("/api/products/asked-for-2")
        .await
        .problem(404, "not_found");
    // Stock stands for what there is, and for nothing that was refused.
    let database = shop.mongo.database();
    let products = database.collection::<bson::Document>("products");
    let sold = products
        .distinct("variants.id", bson::doc! {})
        .await
        .unwrap();
    let stock = database.collection::<bson::Document>("stock");
    let stocked = stock.count_documents(bson::doc! {}).await.unwrap();
    assert_eq!(stocked, u64::try_from(sold.len()).unwrap());
    shop.close().await;
}

#[actix_web::test]
async fn a_column_that_a_file_does_not_have_leaves_a_product_as_it_is() {
    let shop = TestShop::open().await;
    let mut draft = mug();
    draft["status"] = json!("draft");
    let path = at(&shop.create(&draft).await);
    let mut shirt = tee();
    shirt["variants"][1]["price"] = usd(2_000);
    let shirt = at(&shop.create(&shirt).await);
    let file = b"sku,title,price,brand\nMUG-1,Mug,9.90,\nTEE,Tee,18.00,Loom\nNEW,Other,5.00,Pier\n"
        .to_vec();
    let dry = import(&shop, "?dryRun=true", "text/csv", file.clone()).await;
    assert_eq!(
        (&dry["counts"]["updated"], &dry["counts"]["created"]),
        (&json!(2), &json!(1))
    );
    let done = import(&shop, "", "text/csv", file.clone()).await;
    assert_eq!(done["counts"]["failed"], 0, "{done}");
    let seen = as_staff(&shop, &path).await;
    assert_eq!((&seen["title"], &seen["price"]), (&json!("Mug"), &usd(990)));
    // An empty cell says that there is none.
    assert_eq!(seen["brand"], Value::Null);
    for kept in ["status", "categories", "attributes", "slug"] {
        let before = if kept == "slug" {
            json!("harbour-mug")
        } else {
            draft[kept].clone()
        };
        assert_eq!(seen[kept], before, "{kept}");
    }
    assert_eq!(seen["stock"]["available"], 10);
    let seen = as_staff(&shop, &shirt).await;
    assert_eq!(seen["variants"][1]["price"], usd(1_800));
    assert_eq!(
        as_staff(&shop, "/api/products/other").await["status"],
        "active"
    );
    // Again, it changes nothing.
    let again = import(&shop, "", "text/csv", [file, b"\n".to_vec()].concat()).await;
    assert_eq!(again["counts"]["unchanged"], 3, "{again}");
    let replaced = b"sku,attributes\nMUG-1,\"{\"\"a\"\":1}\"\n".to_vec();
    import(&shop, "", "text/csv", replaced).await;
    assert_eq!(as_staff(&shop, &path).await["attributes"], json!({"a": 1}));
    let nameless = import(&shop, "", "text/csv", b"title,price\nMug,1.00\n".to_vec()).await;
    assert_eq!(refused(&nameless), [(2, "wrong_shape".to_owned())]);
    shop.close().await;
}

#[actix_web::test]
async fn a_count_is_told_with_what_was_there_before() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    let count = json!({"onHand": 4, "reason": "counted"});
    shop.post(&format!("{}/stock", at(&product)), &count)
        .await
        .expect(200);
    let log = as_staff(&shop, "/api/admin/audit?entity=product&limit=1").await;
    assert_eq!(log["total"], 2);
    let variant = product["variants"][0]["id"].as_str().unwrap();
    let place = |name: &str| json!({"pointer": format!("/variants/{variant}/stock/{name}"), "before": 10, "after": 4});
    assert_eq!(
        log["items"][0]["changes"],
        json!([place("onHand"), place("available")])
    );
    shop.close().await;
}

#[actix_web::test]
async fn an_import_of_a_node_that_is_gone_goes_on_at_another() {
    let shop = TestShop::open().await;
    let mut rows = String::new();
    for n in 0..1_200 {
        let row = json!({"sku": format!("R-{n}"), "title": format!("Row {n}"), "price": usd(100)});
        writeln!(rows, "{row}").unwrap();
    }
    let request = TestRequest::post().uri("/api/products/import");
    let request = request.insert_header(("content-type", "application/x-ndjson"));
    // No worker of this node takes the job: it is begun, its file kept, and the node goes.
    shop.node
        .catalog
        .shared
        .stopping
        .store(true, std::sync::atomic::Ordering::Release);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let begun = shop.staff(request.set_payload(rows)).await.expect(202);
    let path = begun.header("location").to_owned();
    assert_eq!(begun.json()["state"], "running");
    let _other = shop.second_node().await;
    let done = over(&shop, &path).await;
    assert_eq!(
        (&done["state"], &done["counts"]["created"]),
        (&json!("done"), &json!(1_200))
    );
    shop.close().await;
}
