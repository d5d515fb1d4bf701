//! One product.

use actix_web::{HttpRequest, HttpResponse, get, web};

use super::answer::{Kept, answer};
use crate::{
    accounts::Caller,
    catalog::{
        Catalog, CatalogError,
        view::{Audience, Encoded, ProductView, tag},
    },
    problem::{Problem, ProblemBody},
};

/// Shows a product, by id or slug.
///
/// Drafts and archived products exist for staff only, who also see what is reserved. The entity tag is
/// the version; once stock has moved since that version, a digest of the stock follows it.
#[utoipa::path(tag = "products",
    params(("id" = String, Path, description = "Id or slug")),
    security((), ("bearer" = [])),
    responses(
        (status = OK, body = ProductView, headers(("ETag" = String))),
        (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
    ))]
#[get("/api/products/{id}")]
pub(super) async fn read_product(
    request: HttpRequest,
    caller: Caller,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let name = request.match_info().get("id").unwrap_or_default();
    if caller.0.is_some_and(|principal| principal.is_staff()) {
        return Box::pin(read_as_staff(&request, &catalog, name)).await;
    }
    let found = catalog.shelved_by_name(name).await?;
    match found.filter(|product| product.active) {
        Some(product) => Ok(answer(
            &request,
            &product.body,
            Kept::Shared(&catalog.shared.cache_control),
        )),
        None => Err(CatalogError::ProductNotFound.into()),
    }
}

/// What staff see is read from the primary: it shows what is reserved now.
async fn read_as_staff(
    request: &HttpRequest,
    catalog: &Catalog,
    name: &str,
) -> Result<HttpResponse, Problem> {
    let product = catalog.find_by_name(name).await?;
    let levels = catalog.levels(&product).await?;
    let view = ProductView::new(&product, &levels, Audience::Staff);
    let body = serde_json::to_vec(&view).map_err(Problem::internal)?;
    let encoded = Encoded::new(tag(&product, &levels, Audience::Staff), body);
    Ok(answer(request, &encoded, Kept::Private))
}
