//! Single rules of the index, one test each.

use serde_json::json;

use super::super::{
    CatalogIndex, IndexedProduct, Rebuild, SearchPage, SearchQuery, SuggestionKind,
    testing::{field, id, product, type_fields},
};
use crate::problem::Problem;

fn index(products: impl IntoIterator<Item = IndexedProduct>) -> CatalogIndex {
    let index = CatalogIndex::new();
    products
        .into_iter()
        .for_each(|product| index.apply(&product));
    index
}

fn search(index: &CatalogIndex, query: &str) -> Result<SearchPage, Problem> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    index.search(&SearchQuery::parse(pairs)?)
}

fn total(index: &CatalogIndex, query: &str) -> u64 {
    search(index, query).unwrap().total
}

/// The places of a refusal, with their codes.
fn refusal(index: &CatalogIndex, query: &str) -> Vec<(String, String)> {
    let problem = search(index, query).unwrap_err();
    let text = problem_json(&problem);
    let errors = text["errors"].as_array().unwrap();
    let part = |error: &serde_json::Value, name: &str| error[name].as_str().unwrap().to_owned();
    errors
        .iter()
        .map(|error| (part(error, "pointer"), part(error, "code")))
        .collect()
}

fn problem_json(problem: &Problem) -> serde_json::Value {
    use actix_web::body::MessageBody;
    let response = problem.respond("test");
    assert_eq!(response.status(), 422);
    let bytes = response.into_body().try_into_bytes().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn titled(number: u32, title: &str) -> IndexedProduct {
    IndexedProduct {
        title: title.to_owned(),
        ..product(number)
    }
}

#[test]
fn what_cannot_be_asked_is_refused_with_its_place() {
    let index = index([]);
    index.declare(&type_fields("mug", [field("size")]));
    let values: Vec<String> = (0..=100).map(|n| format!("attr.size=v{n}")).collect();
    let many = values.join("&");
    let names: Vec<String> = (0..=50).map(|n| format!("attr.a{n}=1")).collect();
    let wide = names.join("&");
    for (query, pointer, code) in [
        ("attr.foo=1", "/attr.foo", "unknown_attribute"),
        ("attr.size[$ne]=1", "/attr.size[$ne]", "unknown_attribute"),
        ("attr.a~b/c=1", "/attr.a~0b~1c", "unknown_attribute"),
        ("attr.=1", "/attr.", "unknown_parameter"),
        ("limits=5", "/limits", "unknown_parameter"),
        ("limit=0", "/limit", "range"),
        ("limit=ten", "/limit", "invalid_type"),
        ("minPrice=-1", "/minPrice", "range"),
        ("maxPrice=1.5", "/maxPrice", "invalid_type"),
        ("minPrice=2&maxPrice=1", "/maxPrice", "range"),
        ("inStock=yes", "/inStock", "invalid_type"),
        ("facets=1", "/facets", "invalid_type"),
        ("sort=title", "/sort", "invalid"),
        ("sort=relevance", "/sort", "invalid"),
        ("q=a&q=b", "/q", "repeated"),
        ("type=", "/type", "length"),
        ("attr.size.min=tall", "/attr.size.min", "invalid_type"),
        ("attr.size.min=NaN", "/attr.size.min", "invalid_type"),
        (
            "attr.size.max=1&attr.size.max=2",
            "/attr.size.max",
            "repeated",
        ),
        ("attr.size.min=2&attr.size.max=1", "/attr.size.min", "range"),
        ("cursor=x", "/cursor", "cursor"),
        (&many, "/attr.size", "max_items"),
        (&wide, "/attr", "max_items"),
        (&format!("q={}", "a".repeat(600)), "/q", "length"),
        (&format!("q={}", "a".repeat(9_000)), "/", "length"),
    ] {
        let expected = [(pointer.to_owned(), code.to_owned())];
        assert_eq!(refusal(&index, query), expected, "{query:.60}");
    }
}

#[test]
fn every_fault_is_named_at_once() {
    let faults = refusal(&index([]), "limit=0&foo=1&minPrice=x");
    assert_eq!(faults.len(), 3);
}

#[test]
fn a_cursor_serves_its_own_list_only() {
    let index = index((0..30).map(product));
    let page = search(&index, "sort=price&limit=5").unwrap();
    let cursor = page.next_cursor.unwrap();
    let again = |query: &str| search(&index, &format!("{query}&cursor={cursor}"));
    assert_eq!(
        again("sort=price&limit=9&facets=true").unwrap().ids.len(),
        9
    );
    assert!(again("sort=-price").is_err());
    assert!(again("sort=price&inStock=true").is_err());
    let json = base64_json(&cursor);
    let forged = json.replace("1000", "2000");
    assert_ne!(json, forged);
    let forged = to_base64(&forged);
    assert!(search(&index, &format!("sort=price&cursor={forged}")).is_err());
}

fn base64_json(cursor: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap()
}

fn to_base64(json: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(json)
}

#[test]
fn a_cursor_of_the_longest_titles_is_taken_back() {
    let long = |number| titled(number, &"\"日\\".repeat(500));
    let index = index((0..10).map(long));
    let cursor = search(&index, "sort=name&limit=3")
        .unwrap()
        .next_cursor
        .unwrap();
    let next = search(&index, &format!("sort=name&limit=3&cursor={cursor}")).unwrap();
    assert_eq!(next.ids, [id(3), id(4), id(5)]);
}

#[test]
fn spellings_of_one_query_have_one_canonical_text() {
    let canonical = |query: &str| {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        SearchQuery::parse(pairs).unwrap().canonical()
    };
    assert_eq!(
        canonical("attr.b=2&attr.b=1&q= Cr%C3%A8me &attr.a=%20x"),
        canonical("q=creme&attr.a=x&attr.b=1&attr.b=2&attr.b=1&limit=20&facets=false"),
    );
    let different = [
        "",
        "limit=5",
        "facets=true",
        "q=a",
        "type=a",
        "attr.a=b",
        "attr.a.min=1",
    ];
    let texts: std::collections::BTreeSet<String> = different.into_iter().map(canonical).collect();
    assert_eq!(texts.len(), different.len());
}

#[test]
fn a_bound_and_a_name_that_ends_like_one_are_told_apart() {
    let mut game = product(1);
    game.fields = type_fields("game", [field("players"), field("age")]);
    game.attributes = json!({"players": {"min": 2, "max": 4}, "age": 8});
    let index = index([game]);
    for (query, found) in [
        ("attr.players.min=2", 1),
        ("attr.players.min=1", 0),
        ("attr.players.min.max=3", 1),
        ("attr.players.max.min=5", 0),
        ("attr.age.min=8", 1),
        ("attr.age.max=7", 0),
        ("attr.age=8.0", 1),
        ("attr.players.most=4", 0),
    ] {
        assert_eq!(total(&index, query), found, "{query}");
    }
}

/// Graphics cards with so much memory, and a board that takes so much of it at most.
fn cards_and_board() -> CatalogIndex {
    let card = type_fields("gpu", [field("memory")]);
    let board = type_fields("board", [field("memory.max")]);
    let with = |number, fields: &std::sync::Arc<_>, attributes| IndexedProduct {
        fields: std::sync::Arc::clone(fields),
        attributes,
        ..product(number)
    };
    index([
        with(1, &card, json!({"memory": 8})),
        with(2, &card, json!({"memory": 12})),
        with(3, &card, json!({"memory": [4, 24]})),
        with(4, &board, json!({"memory": {"max": 12}})),
        with(5, &board, json!({"memory": {"max": 64}})),
    ])
}

#[test]
fn a_name_that_one_type_declares_is_a_bound_for_the_others() {
    let index = cards_and_board();
    for (query, found) in [
        ("type=gpu&attr.memory.max=8", vec![1, 3]),
        ("type=gpu&attr.memory.min=8&attr.memory.max=12", vec![1, 2]),
        ("type=board&attr.memory.max=12", vec![4]),
        (
            "type=board&attr.memory.max=12&attr.memory.max=64",
            vec![4, 5],
        ),
        ("attr.memory.max=12", vec![1, 2, 3, 4]),
        ("attr.memory.max=64", vec![1, 2, 3, 5]),
        ("type=gpu&type=board&attr.memory.max=12", vec![1, 2, 3, 4]),
        ("attr.memory.max=12&attr.memory.max=64", vec![4, 5]),
        ("type=nothing&attr.memory.max=8", vec![]),
    ] {
        let mut ids = search(&index, query).unwrap().ids;
        ids.sort_unstable();
        let found: Vec<_> = found.into_iter().map(id).collect();
        assert_eq!(ids, found, "{query}");
    }
    let turned = "type=gpu&attr.memory.min=12&attr.memory.max=8";
    let [(place, code)] = &refusal(&index, turned)[..] else {
        panic!("one fault");
    };
    assert_eq!(
        (place.as_str(), code.as_str()),
        ("/attr.memory.min", "range")
    );
}

#[test]
fn a_text_has_no_bounds() {
    let mut socket = field("socket");
    socket.1.numeric = false;
    let index = index([]);
    index.declare(&type_fields("cpu", [socket.clone()]));
    let expected = [("/attr.socket.min".to_owned(), "invalid_type".to_owned())];
    assert_eq!(refusal(&index, "attr.socket.min=1"), expected);
    assert_eq!(total(&index, "attr.socket=1"), 0);
    // Of another type it may be a number.
    index.declare(&type_fields("tool", [field("socket")]));
    assert_eq!(total(&index, "attr.socket.min=1"), 0);
    assert_eq!(refusal(&index, "type=cpu&attr.socket.min=1"), expected);
}

#[test]
fn a_price_filter_asks_of_every_variant() {
    let mut shirt = product(1);
    shirt.dearer = vec![3_000];
    let index = index([shirt]);
    for (query, found) in [
        ("minPrice=2000", 1),
        ("maxPrice=1000", 1),
        ("minPrice=1001&maxPrice=2999", 0),
        ("minPrice=3001", 0),
    ] {
        assert_eq!(total(&index, query), found, "{query}");
    }
}

#[test]
fn a_label_tells_what_lies_below_a_declared_field() {
    let mut game = product(1);
    let mut players = field("players");
    players.1.unit = Some("people".to_owned());
    game.fields = type_fields("game", [players]);
    game.attributes = json!({"players": {"min": 2}});
    let facets = search(&index([game]), "facets=true")
        .unwrap()
        .facets
        .unwrap();
    let facet = facets.last().unwrap();
    assert_eq!(
        serde_json::to_value(facet).unwrap(),
        json!({"name": "players.min", "parameter": "attr.players.min", "label": "PLAYERS: min",
               "type": "number", "unit": "people", "min": 2, "max": 2})
    );
    let builtin: Vec<&str> = facets.iter().map(|facet| facet.name.as_str()).collect();
    assert_eq!(builtin, ["type", "price", "inStock", "players.min"]);
}

#[test]
fn drafts_are_seen_by_staff_only() {
    let mut draft = titled(1, "secret mug");
    draft.active = false;
    let index = index([draft, titled(2, "mug")]);
    assert_eq!(total(&index, "q=mug"), 1);
    assert_eq!(total(&index, "q=secret"), 0);
    assert!(index.suggest("secr", 5).is_empty());
    let query = SearchQuery::parse([("q", "secret")]).unwrap().with_hidden();
    assert_eq!(index.search(&query).unwrap().ids, [id(1)]);
}

#[test]
fn typing_errors_are_forgiven_only_where_nothing_fits_exactly() {
    let index = index([
        titled(1, "Black mouse"),
        titled(2, "Blank house"),
        titled(3, "Keyboard"),
    ]);
    for (text, found) in [
        ("mouse", vec![1]),
        ("mouze", vec![1]),
        ("keybaord", vec![3]),
        ("keyb", vec![3]),
        ("kebyo", vec![3]),
        ("blakc mouse", vec![1]),
        ("xyz", vec![]),
        ("...", vec![]),
    ] {
        let ids = search(&index, &format!("q={text}")).unwrap().ids;
        assert_eq!(ids, found.into_iter().map(id).collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn a_title_weighs_more_than_a_description() {
    let mut beside = titled(1, "Saucer");
    beside.description = "goes with a mug".to_owned();
    let index = index([beside, titled(2, "Mug")]);
    assert_eq!(search(&index, "q=mug").unwrap().ids, [id(2), id(1)]);
}

#[test]
fn suggestions_name_categories_and_brands_and_repeat_no_title() {
    let mut mugs: Vec<IndexedProduct> = (1..=3).map(|n| titled(n, "Coffee mug")).collect();
    for mug in &mut mugs {
        mug.categories = vec!["kitchen/coffee-mugs".to_owned()];
        mug.brand = Some("Coffeen".to_owned());
    }
    let index = index(mugs);
    let kinds = |text: &str| -> Vec<(SuggestionKind, String)> {
        let all = index.suggest(text, 5).into_iter();
        all.map(|one| (one.kind, one.text)).collect()
    };
    let expected = [
        (SuggestionKind::Category, "coffee mugs".to_owned()),
        (SuggestionKind::Brand, "Coffeen".to_owned()),
        (SuggestionKind::Product, "Coffee mug".to_owned()),
    ];
    assert_eq!(kinds("coffe"), expected);
    assert_eq!(kinds("cofee"), expected);
    assert_eq!(index.suggest("coffe", 1).len(), 1);
    assert_eq!(index.suggest("c", 5).len(), 3);
    assert!(kinds("").is_empty());
}

#[test]
fn the_generation_grows_with_what_can_be_seen() {
    let index = index([product(1)]);
    let mut last = index.generation();
    let mut grows = |change: &dyn Fn()| {
        change();
        let before = std::mem::replace(&mut last, index.generation());
        index.generation() > before
    };
    assert!(grows(&|| index.set_available(id(1), 5)));
    assert!(!grows(&|| index.set_available(id(1), 5)));
    assert!(!grows(&|| index.set_available(id(2), 5)));
    assert!(!grows(&|| index.remove(id(2))));
    assert!(grows(&|| index.apply(&product(2))));
    assert!(grows(&|| index.remove(id(2))));
    assert!(grows(&|| index.declare(&type_fields("mug", []))));
    assert!(!grows(&|| index.declare(&type_fields("mug", []))));
    assert!(grows(&|| index.retract("mug")));
    assert!(grows(&|| index.clear()));
    assert!(index.is_empty());
}

#[test]
fn a_rebuilt_index_takes_over_in_one_step() {
    let old = index([titled(1, "old")]);
    let mut rebuild = Rebuild::default();
    rebuild.apply(&titled(2, "new"));
    rebuild.apply(&titled(3, "newest"));
    old.replace_with(rebuild);
    assert_eq!(search(&old, "sort=-createdAt").unwrap().ids, [id(3), id(2)]);
    assert_eq!(total(&old, "q=new"), 2);
    assert_eq!(total(&old, "q=old"), 0);
    assert_eq!(old.len(), 2);
}
