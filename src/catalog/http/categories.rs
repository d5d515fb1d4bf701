//! The tree of categories.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Serialize;

use super::answer::{Kept, answer};
use crate::{
    catalog::{Catalog, view::Encoded},
    problem::{Problem, ProblemBody},
};

/// Words that are written in capitals.
const CAPITALS: [&str; 14] = [
    "tv", "tvs", "pc", "pcs", "usb", "cpu", "gpu", "psu", "ram", "ssd", "os", "vr", "diy", "led",
];

/// A category and those below it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(no_recursion)]
struct Category {
    /// Its path, as `category` of a product list takes it.
    #[schema(example = "tv-and-audio/tvs")]
    path: String,
    /// The last part of the path.
    slug: String,
    /// Its name for people, made from the slug.
    name: String,
    /// Active products in it or below it.
    count: u64,
    /// The categories below it, by slug.
    children: Vec<Self>,
}

/// The tree of categories.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct CategoryTree {
    /// The categories of the first level, by slug.
    items: Vec<Category>,
}

impl CategoryTree {
    fn of(counts: &BTreeMap<String, u64>) -> Self {
        let mut items = Vec::new();
        for (path, count) in counts {
            place(&mut items, path, "", *count);
        }
        Self { items }
    }
}

/// Puts `path` (below `parent`) in its place. Parents come before children: paths are sorted.
fn place(items: &mut Vec<Category>, path: &str, parent: &str, count: u64) {
    let (head, rest) = match path.split_once('/') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    };
    let full = if parent.is_empty() {
        head.to_owned()
    } else {
        format!("{parent}/{head}")
    };
    let known = items.iter().position(|item| item.slug == head);
    let index = known.unwrap_or_else(|| {
        items.push(Category {
            path: full.clone(),
            slug: head.to_owned(),
            name: humanised(head),
            ..Category::default()
        });
        items.len().saturating_sub(1)
    });
    let Some(item) = items.get_mut(index) else {
        return;
    };
    match rest {
        Some(rest) => place(&mut item.children, rest, &full, count),
        None => item.count = count,
    }
}

/// `tv-and-audio` as people write it: `TV and audio`.
fn humanised(slug: &str) -> String {
    let words = slug.split('-').enumerate().map(|(index, word)| {
        if CAPITALS.contains(&word) {
            let (letters, plural) = match word.strip_suffix('s') {
                Some(singular) if CAPITALS.contains(&singular) => (singular, "s"),
                _ => (word, ""),
            };
            return format!("{}{plural}", letters.to_ascii_uppercase());
        }
        let mut letters = word.chars();
        match letters.next().filter(|_| index == 0) {
            Some(first) => format!("{}{}", first.to_ascii_uppercase(), letters.as_str()),
            None => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Shows the tree of categories, each with its number of active products.
#[utoipa::path(tag = "products", responses(
    (status = OK, body = CategoryTree, headers(("ETag" = String))),
    (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody),
))]
#[get("/api/categories")]
pub(super) async fn list_categories(
    request: HttpRequest,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let tree = catalog.tree(|counts| {
        let body = serde_json::to_vec(&CategoryTree::of(counts));
        Encoded::by_content(body.unwrap_or_else(|_| b"{\"items\":[]}".to_vec()))
    })?;
    let kept = Kept::Shared(&catalog.shared.cache_control);
    Ok(answer(&request, &tree, kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_shown_as_people_write_it() {
        for (slug, name) in [
            ("tv-and-audio", "TV and audio"),
            ("tvs", "TVs"),
            ("t-shirts", "T shirts"),
            ("gifts", "Gifts"),
            ("os", "OS"),
        ] {
            assert_eq!(humanised(slug), name);
        }
    }

    #[test]
    fn the_tree_follows_the_paths() {
        let counts = [("a", 3), ("a-b", 1), ("a/b", 2), ("a/b/c", 1), ("a/d", 1)];
        let counts = counts.map(|(path, count)| (path.to_owned(), count));
        let tree = CategoryTree::of(&counts.into());
        let shown = serde_json::to_value(&tree).unwrap();
        assert_eq!(shown["items"][0]["count"], 3);
        assert_eq!(shown["items"][0]["children"][0]["path"], "a/b");
        assert_eq!(shown["items"][0]["children"][0]["children"][0]["count"], 1);
        assert_eq!(shown["items"][0]["children"][1]["slug"], "d");
        assert_eq!(shown["items"][1]["path"], "a-b");
    }
}
