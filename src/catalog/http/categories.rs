//! The tree of categories.

use std::collections::{BTreeMap, HashMap};

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header::LOCATION, patch, post, web};
use serde::{Deserialize, Serialize};
use validator::Validate;

use super::answer::{Kept, answer};
use crate::{
    accounts::Staff,
    audit::Actor,
    catalog::{
        Catalog,
        category_editor::Relocation,
        model::{Categories, CategoryNode},
        view::Encoded,
    },
    http::Body,
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
    /// Its name for people; made from the slug where none is declared.
    name: String,
    /// Active products in it or below it.
    count: u64,
    /// The categories below it, by declared position, then by slug.
    children: Vec<Self>,
}

/// The tree of categories.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct CategoryTree {
    /// The categories of the first level, by declared position, then by slug.
    items: Vec<Category>,
}

impl CategoryTree {
    fn of(counts: &BTreeMap<String, u64>, tree: &Categories) -> Self {
        let mut all: BTreeMap<&str, u64> =
            tree.nodes.iter().map(|n| (n.path.as_str(), 0)).collect();
        all.extend(counts.iter().map(|(path, count)| (path.as_str(), *count)));
        let mut items = Vec::new();
        for (path, count) in all {
            place(&mut items, path, "", count);
        }
        let nodes = tree.nodes.iter().map(|n| (n.path.as_str(), n)).collect();
        describe(&mut items, &nodes);
        Self { items }
    }
}

/// Gives categories the names and places that are declared.
fn describe(items: &mut [Category], nodes: &HashMap<&str, &CategoryNode>) {
    for item in items.iter_mut() {
        if let Some(name) = nodes.get(item.path.as_str()).and_then(|n| n.name.as_ref()) {
            item.name.clone_from(name);
        }
        describe(&mut item.children, nodes);
    }
    // Stable: what has the same place stays in the order of the slugs.
    items.sort_by_key(|item| {
        nodes
            .get(item.path.as_str())
            .map_or(0, |node| node.position)
    });
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
    let tree = catalog.tree(|counts, tree| {
        let body = serde_json::to_vec(&CategoryTree::of(counts, tree));
        Encoded::by_content(body.unwrap_or_else(|_| b"{\"items\":[]}".to_vec()))
    })?;
    let kept = Kept::Shared(&catalog.shared.cache_control);
    Ok(answer(request.head(), &tree, kept))
}

/// A category to be declared.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateCategoryRequest {
    /// Its path.
    #[schema(example = "clothing/t-shirts")]
    path: String,
    /// Its name for people; made from the slug where it is left out.
    #[validate(length(min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Its place among its siblings: lower first.
    #[serde(default)]
    position: i32,
}

/// What is to change of a category; what is left out stays.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeCategoryRequest {
    /// Its name for people.
    #[validate(length(min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Its place among its siblings: lower first.
    position: Option<i32>,
}

/// A subtree to be moved.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct MoveCategoryRequest {
    /// The path of the subtree.
    #[schema(example = "tv-and-audio/tvs")]
    from: String,
    /// Its new path.
    #[schema(example = "electronics/tvs")]
    to: String,
    /// Whether it may join a category that stands there.
    #[serde(default)]
    merge: bool,
}

/// A declared category.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DeclaredCategory)]
struct NodeView {
    path: String,
    /// Its name; `null`: made from the slug.
    name: Option<String>,
    position: i32,
}

impl From<CategoryNode> for NodeView {
    fn from(node: CategoryNode) -> Self {
        Self {
            path: node.path,
            name: node.name,
            position: node.position,
        }
    }
}

/// A subtree that was moved.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct MovedCategory {
    from: String,
    to: String,
    /// How many products followed.
    products: u64,
}

/// Declares a category, with products or before there are any.
#[utoipa::path(tag = "categories", request_body = CreateCategoryRequest, security(("bearer" = [])), responses(
    (status = CREATED, body = NodeView, headers(("Location" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`category_taken`"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[post("/api/categories")]
pub(super) async fn create_category(
    Staff(principal): Staff,
    Body(wanted): Body<CreateCategoryRequest>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let node = CategoryNode {
        path: wanted.path,
        name: wanted.name,
        position: wanted.position,
    };
    let by = Actor::User(principal.user);
    catalog.declare_category(node.clone(), by).await?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/api/categories/{}", node.path)))
        .json(NodeView::from(node)))
}

/// Moves a subtree to another path; its products follow.
///
/// To rename a category's part of the path is to move it. Products that are written with the former path
/// meanwhile or later, by an import for example, are put at the new one, until a category is declared or
/// moved to the former path again. Safe to send again: what was moved is not there any more (404).
#[utoipa::path(tag = "categories", request_body = MoveCategoryRequest, security(("bearer" = [])), responses(
    (status = OK, body = MovedCategory),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`category_taken`: one stands there; `merge` joins it"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody, description = "No path, into itself, or too deep"),
))]
#[post("/api/categories/move")]
pub(super) async fn move_category(
    Staff(principal): Staff,
    Body(wanted): Body<MoveCategoryRequest>,
    catalog: web::Data<Catalog>,
) -> Result<web::Json<MovedCategory>, Problem> {
    let wanted = Relocation {
        from: wanted.from,
        to: wanted.to,
        merge: wanted.merge,
    };
    let by = Actor::User(principal.user);
    let products = catalog.move_category(&wanted, by).await?;
    Ok(web::Json(MovedCategory {
        from: wanted.from,
        to: wanted.to,
        products,
    }))
}

/// Changes name and place of a category; the path may hold slashes.
#[utoipa::path(tag = "categories", request_body = ChangeCategoryRequest,
    params(("path" = String, Path, example = "tv-and-audio/tvs")),
    security(("bearer" = [])), responses(
    (status = OK, body = NodeView),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[patch("/api/categories/{path:.*}")]
pub(super) async fn change_category(
    Staff(principal): Staff,
    path: web::Path<String>,
    Body(wanted): Body<ChangeCategoryRequest>,
    catalog: web::Data<Catalog>,
) -> Result<web::Json<NodeView>, Problem> {
    let by = Actor::User(principal.user);
    let changed = catalog.describe_category(&path, by, |node| {
        if let Some(name) = &wanted.name {
            node.name = Some(name.clone());
        }
        node.position = wanted.position.unwrap_or(node.position);
    });
    Ok(web::Json(changed.await?.into()))
}

/// Removes a category that no product stands in, with those declared below it.
#[utoipa::path(tag = "categories", params(("path" = String, Path, example = "tv-and-audio/tvs")),
    security(("bearer" = [])), responses(
    (status = NO_CONTENT),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`category_in_use` with `productCount`"),
))]
#[delete("/api/categories/{path:.*}")]
pub(super) async fn delete_category(
    Staff(principal): Staff,
    path: web::Path<String>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let by = Actor::User(principal.user);
    catalog.remove_category(&path, by).await?;
    Ok(HttpResponse::NoContent().finish())
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
        let tree = CategoryTree::of(&counts.into(), &Categories::default());
        let shown = serde_json::to_value(&tree).unwrap();
        assert_eq!(shown["items"][0]["count"], 3);
        assert_eq!(shown["items"][0]["children"][0]["path"], "a/b");
        assert_eq!(shown["items"][0]["children"][0]["children"][0]["count"], 1);
        assert_eq!(shown["items"][0]["children"][1]["slug"], "d");
        assert_eq!(shown["items"][1]["path"], "a-b");
    }
}
