//! Lists of products, and suggestions.

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::{Payload, RequestHead},
    get, web,
};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::answer::{Kept, answer};
use crate::{
    accounts::Staff,
    catalog::{
        Catalog, CatalogError,
        index::{Facet, SearchPage, SearchQuery, Suggestion},
        model::Product,
        view::{Audience, Encoded, ProductView},
    },
    http::{Params, invalid_parameter},
    problem::{Problem, ProblemBody},
};

/// Suggestions when the client names no limit.
const SUGGESTIONS: usize = 10;
/// The most characters of a suggestion's text.
const MAX_TEXT: usize = 200;
/// The most bytes of a query string.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// What a list may be asked; each `attr.<name>` besides.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters; the index reads them")]
struct ListParams {
    /// Words to find, tolerant of a typing error.
    q: Option<String>,
    /// Product types, repeated for several.
    r#type: Option<Vec<String>>,
    /// Category paths, those below included; repeated for several.
    category: Option<Vec<String>>,
    /// Brands, repeated for several.
    brand: Option<Vec<String>>,
    /// Least price in minor units: products of which any variant costs that or more.
    #[param(rename = "minPrice", minimum = 0)]
    min_price: Option<i64>,
    /// Greatest price in minor units: with the least, products of which any variant lies between.
    #[param(rename = "maxPrice", minimum = 0)]
    max_price: Option<i64>,
    /// Only what can be bought now, or only what cannot.
    #[param(rename = "inStock")]
    in_stock: Option<bool>,
    /// The value of a declared attribute, for any name in the place of `<name>`; repeated for several.
    /// Numbers have bounds: `attr.<name>.min`, `attr.<name>.max`. Where a type declares an attribute of such a
    /// whole name (`memory.max`), its products are compared with that, those of other types with the bound.
    #[param(rename = "attr.<name>")]
    attributes: Option<Vec<String>>,
    /// `relevance` (with `q`), `price`, `-price`, `name`, `-createdAt`.
    sort: Option<String>,
    /// Whether to count the values of each facet within the other filters.
    facets: Option<bool>,
    /// Rows of the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// Where the page begins.
    cursor: Option<String>,
    /// Drafts and archived products too; for staff.
    hidden: Option<bool>,
}

/// A page of products.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "describes what is put together from encoded products"
)]
struct ProductPage<'a> {
    /// The products.
    items: Vec<ProductView<'a>>,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// How many products all pages have together.
    total: u64,
    /// The facets, where they were asked for.
    #[schema(required = false)]
    facets: Vec<Facet>,
}

/// Lists products: filtered, sorted, searched, counted.
///
/// Values of one parameter are alternatives, different parameters must all hold. Without `sort`, a text
/// search comes by relevance and any other list newest first.
#[utoipa::path(tag = "products", params(ListParams), security((), ("bearer" = [])), responses(
    (status = OK, body = ProductPage, headers(("ETag" = String))),
    (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "The index is being loaded"),
))]
#[get("/api/products")]
pub(super) async fn list_products(
    request: HttpRequest,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    if !catalog.is_ready() {
        return Err(CatalogError::Loading.into());
    }
    // Taken before anything is read: what is made now is at least as new.
    let generation = catalog.shared.live.generation();
    match page_at_hand(request.head(), &catalog, generation).await {
        Some(page) => Ok(page),
        None => Box::pin(make_page(&request, &catalog, generation)).await,
    }
}

/// A page that is at hand, and shows at least `generation`.
pub(super) async fn page_at_hand(
    request: &RequestHead,
    catalog: &Catalog,
    generation: u64,
) -> Option<HttpResponse> {
    let text = request.uri.query().unwrap_or_default();
    let page = catalog.shared.live.pages.get(text, generation).await?;
    let kept = Kept::Shared(&catalog.shared.cache_control);
    Some(answer(request, &page, kept))
}

async fn make_page(
    request: &HttpRequest,
    catalog: &Catalog,
    generation: u64,
) -> Result<HttpResponse, Problem> {
    let text = request.query_string();
    if text.len() > MAX_QUERY_BYTES {
        let message = format!("a query may have {MAX_QUERY_BYTES} bytes");
        return Err(invalid_parameter("", "length", message));
    }
    let mut pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
    let hidden = match pairs.iter().position(|(name, _)| name == "hidden") {
        Some(place) => match &*pairs.swap_remove(place).1 {
            "true" => {
                Staff::from_request(request, &mut Payload::None).await?;
                true
            }
            "false" => false,
            _ => {
                return Err(invalid_parameter(
                    "hidden",
                    "invalid",
                    "expected true or false",
                ));
            }
        },
        None => false,
    };
    let query = SearchQuery::parse(pairs)?;
    let live = &catalog.shared.live;
    if hidden {
        let page = live.index.search(&query.with_hidden())?;
        let items = staff_items(catalog, &page).await?;
        let body = Encoded::by_content(page_body(&items, &page)?);
        return Ok(answer(request.head(), &body, Kept::Private));
    }
    let page = live
        .pages
        .get_or_make(text, generation, public_page(catalog, &query));
    let kept = Kept::Shared(&catalog.shared.cache_control);
    Ok(answer(request.head(), page.await?.as_ref(), kept))
}

/// The page that everyone sees.
async fn public_page(catalog: &Catalog, query: &SearchQuery) -> Result<Encoded, Problem> {
    let page = catalog.shared.live.index.search(query)?;
    let shelved = catalog.shelved_all(&page.ids).await?;
    let shown = page.ids.iter().filter_map(|id| shelved.get(id));
    // What was archived since the search is left out.
    let items: Vec<&[u8]> = shown
        .filter(|product| product.active)
        .map(|product| product.body.plain.as_ref())
        .collect();
    Ok(Encoded::by_content(page_body(&items, &page)?))
}

/// The products of a page as staff see them.
async fn staff_items(catalog: &Catalog, page: &SearchPage) -> Result<Vec<Vec<u8>>, Problem> {
    let stores = &catalog.shared;
    let products = stores.products.find_all(&page.ids).await?;
    let variants: Vec<_> = products.iter().flat_map(Product::variant_ids).collect();
    let levels = stores.stock.levels(&variants).await?;
    let ordered = page.ids.iter();
    let ordered = ordered.filter_map(|id| products.iter().find(|product| product.id == *id));
    ordered
        .map(|product| {
            let view = ProductView::new(product, &levels, Audience::Staff);
            serde_json::to_vec(&view).map_err(Problem::internal)
        })
        .collect()
}

/// Puts a page together from encoded products.
fn page_body<T: AsRef<[u8]>>(items: &[T], page: &SearchPage) -> Result<Vec<u8>, Problem> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Rest<'a> {
        next_cursor: Option<&'a str>,
        total: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        facets: Option<&'a [Facet]>,
    }
    let rest = serde_json::to_vec(&Rest {
        next_cursor: page.next_cursor.as_deref(),
        total: page.total,
        facets: page.facets.as_deref(),
    })
    .map_err(Problem::internal)?;
    let bytes: usize = items.iter().map(|item| item.as_ref().len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + rest.len() + 16);
    body.extend_from_slice(b"{\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(item.as_ref());
    }
    body.extend_from_slice(b"],");
    // `rest` is an object with members: its own brace gives way to what stands before.
    body.extend_from_slice(rest.strip_prefix(b"{").unwrap_or(&rest));
    Ok(body)
}

/// What a shopper has typed so far.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SuggestParams {
    /// What has been typed.
    #[param(max_length = 200)]
    q: String,
    /// The most suggestions.
    #[param(minimum = 1, maximum = 100, default = 10)]
    limit: Option<usize>,
}

/// Suggestions.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Suggestions {
    /// Best first.
    items: Vec<Suggestion>,
}

/// Suggests products, categories and brands while a shopper types, tolerant of a typing error.
#[utoipa::path(tag = "products", params(SuggestParams), responses(
    (status = OK, body = Suggestions),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "The index is being loaded"),
))]
#[get("/api/products/suggest")]
pub(super) async fn suggest_products(
    Params(wanted): Params<SuggestParams>,
    catalog: web::Data<Catalog>,
) -> Result<web::Json<Suggestions>, Problem> {
    if !catalog.is_ready() {
        return Err(CatalogError::Loading.into());
    }
    if wanted.q.chars().count() > MAX_TEXT {
        let message = format!("at most {MAX_TEXT} characters");
        return Err(invalid_parameter("q", "length", message));
    }
    let limit = wanted.limit.unwrap_or(SUGGESTIONS);
    if !(1..=100).contains(&limit) {
        return Err(invalid_parameter("limit", "range", "must be from 1 to 100"));
    }
    Ok(web::Json(Suggestions {
        items: catalog.shared.live.index.suggest(&wanted.q, limit),
    }))
}
