//! The warehouse's door.

use actix_web::{post, web};
use serde::{Deserialize, Serialize};
use validator::Validate;

use crate::{
    accounts::Staff,
    catalog::{Catalog, model::MAX_ON_HAND, units::StockChange},
    http::Body,
    id::{ProductId, VariantId},
    problem::{FieldError, Problem, ProblemBody},
};

/// What the warehouse says: `delta` or `onHand`.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeStockRequest {
    /// The variant; may be left out where there is only one.
    variant_id: Option<VariantId>,
    /// Units that came in, or went out (below zero).
    #[validate(range(min = -1_000_000_000, max = 1_000_000_000))]
    #[schema(minimum = -1_000_000_000, maximum = 1_000_000_000)]
    delta: Option<i64>,
    /// Units counted, those held by open checkouts included.
    #[validate(range(max = MAX_ON_HAND))]
    #[schema(maximum = 1_000_000_000)]
    on_hand: Option<u32>,
    /// Why; kept with who and when.
    #[validate(length(min = 1, max = 500))]
    #[schema(min_length = 1, max_length = 500, example = "delivery 4711")]
    reason: String,
}

impl ChangeStockRequest {
    fn change(&self) -> Result<StockChange, Problem> {
        match (self.delta, self.on_hand) {
            (Some(delta), None) => Ok(StockChange::Delta(delta)),
            (None, Some(units)) => Ok(StockChange::OnHand(units)),
            (None, None) => Err(Problem::invalid(vec![FieldError::new(
                "/delta",
                "required",
                "either delta or onHand is required",
            )])),
            (Some(_), Some(_)) => Err(Problem::invalid(vec![FieldError::new(
                "/onHand",
                "exclusive",
                "either delta or onHand, not both",
            )])),
        }
    }
}

/// How a variant stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct StockAnswer {
    /// The product.
    product_id: ProductId,
    /// The variant.
    variant_id: VariantId,
    /// Its units.
    stock: Units,
}

/// Units of a variant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct Units {
    /// Units that can be bought now.
    available: u32,
    /// Units held by open checkouts.
    reserved: u32,
    /// Both together: what lies in the warehouse.
    on_hand: u32,
}

/// Books what came in or was counted; safe beside sales in progress.
#[utoipa::path(tag = "products", request_body = ChangeStockRequest,
    params(("id" = String, Path, description = "Id or slug")),
    security(("bearer" = [])), responses(
    (status = OK, body = StockAnswer),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`insufficient_stock`: fewer units are free"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[post("/api/products/{id}/stock")]
pub(super) async fn change_stock(
    Staff(principal): Staff,
    name: web::Path<String>,
    Body(wanted): Body<ChangeStockRequest>,
    catalog: web::Data<Catalog>,
) -> Result<web::Json<StockAnswer>, Problem> {
    let change = wanted.change()?;
    let product = catalog.find_by_name(&name).await?.id;
    let by = principal.user;
    let level = catalog
        .change_stock(product, wanted.variant_id, change, wanted.reason, by)
        .await?;
    Ok(web::Json(StockAnswer {
        product_id: product,
        variant_id: level.variant,
        stock: Units {
            available: level.available,
            reserved: level.reserved,
            on_hand: level.available.saturating_add(level.reserved),
        },
    }))
}
