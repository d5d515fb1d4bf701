//! A person's copy of everything that the shop holds about them, gathered from its rooms.

use actix_web::{
    HttpResponse, get,
    http::header::{CACHE_CONTROL, CONTENT_DISPOSITION},
    web,
};
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    accounts::{Accounts, ExportView, Principal},
    cart::{CartView, Carts, Visitor},
    checkout::{CheckoutView, Checkouting},
    discounts::{DiscountUse, Discounts},
    orders::{OrderView, Orders},
    problem::{Problem, ProblemBody},
};

/// Registers the routes.
pub fn routes(table: &mut ServiceConfig) {
    table.service(export);
}

/// Everything held about a person.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct MyData {
    #[serde(flatten)]
    account: ExportView,
    /// The cart, where there is one.
    cart: Option<CartView>,
    /// Every checkout, newest first.
    checkouts: Vec<CheckoutView>,
    /// Every order, newest first.
    orders: Vec<OrderView>,
    /// Uses of discount codes.
    discount_uses: Vec<DiscountUse>,
}

/// Hands out everything held about the signed-in person.
#[utoipa::path(tag = "accounts", security(("bearer" = [])), responses(
    (status = OK, body = MyData),
    (status = UNAUTHORIZED, body = ProblemBody),
))]
#[get("/api/auth/export")]
async fn export(
    who: Principal,
    accounts: web::Data<Accounts>,
    carts: web::Data<Carts>,
    checkouting: web::Data<Checkouting>,
    orders: web::Data<Orders>,
    discounts: web::Data<Discounts>,
) -> Result<HttpResponse, Problem> {
    let account = accounts.export(who.user).await?;
    let checkouts = checkouting.all_of(who.user).await?;
    let orders = orders.all_of(who.user).await?;
    let data = MyData {
        account: ExportView::new(account, who.session),
        cart: carts.shown_to(&Visitor::User(who.user)).await?,
        checkouts: checkouts.into_iter().map(Into::into).collect(),
        orders: orders
            .iter()
            .map(|order| OrderView::of(order, false))
            .collect(),
        discount_uses: discounts.held_about(who.user).await?,
    };
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"my-data.json\""))
        .json(data))
}
