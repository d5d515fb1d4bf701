//! Orders as clients see them.

use serde::Serialize;

use crate::{
    address::PostalAddress,
    catalog::{Image, Options},
    clock::Timestamp,
    id::{LineId, OrderId, ProductId, RefundId, UserId, VariantId},
    money::Money,
    orders::model::{
        By, HistoryEntry, Order, OrderDispute, OrderItem, OrderPayment, OrderStatus, PaymentStatus,
        Refund, RefundLine, RefundState, Tracking,
    },
    payments::CaptureId,
};

/// An order.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    id: OrderId,
    number: String,
    /// The buyer; for staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    status: OrderStatus,
    items: Vec<ItemView>,
    subtotal: Money,
    discount_total: Money,
    shipping: Money,
    tax: Money,
    total: Money,
    shipping_address: PostalAddress,
    billing_address: Option<PostalAddress>,
    shipping_method: String,
    payment: PaymentView,
    refunds: Vec<RefundView>,
    /// The buyer's disputes of the payment at the provider; for staff only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disputes: Vec<OrderDispute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking: Option<Tracking>,
    history: Vec<HistoryView>,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// When the buyer was removed from it, having had the account erased; for staff only. Names and streets then
    /// read `erased`.
    #[serde(skip_serializing_if = "Option::is_none")]
    person_erased_at: Option<Timestamp>,
    /// From when on the books do not need it any more; with `personErasedAt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_after: Option<Timestamp>,
}

/// What was bought, frozen at the checkout.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderItem)]
struct ItemView {
    id: LineId,
    product_id: ProductId,
    variant_id: VariantId,
    title: String,
    sku: String,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    options: Options,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
    unit_price: Money,
    quantity: u32,
    line_total: Money,
}

/// How the money of an order stands.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderPayment)]
struct PaymentView {
    /// `paypal`.
    provider: &'static str,
    status: PaymentStatus,
    capture_id: CaptureId,
    captured: Money,
    /// Given back so far, wherever that was done.
    refunded: Money,
}

/// Money given back, or about to be.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Refund)]
pub(super) struct RefundView {
    id: RefundId,
    status: RefundState,
    amount: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The goods it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<RefundItemView>,
    /// The provider's word for why it failed; for staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    created_at: Timestamp,
}

/// Goods that a refund is for.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RefundItem)]
struct RefundItemView {
    line_id: LineId,
    quantity: u32,
    /// Whether they went back into stock.
    restock: bool,
}

/// One status that an order has had.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HistoryEntry)]
struct HistoryView {
    status: OrderStatus,
    at: Timestamp,
    /// `system`, `payment` or `staff`; staff see `staff:` and the user's id.
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl OrderView {
    /// The order as its buyer sees it, or as staff do.
    #[must_use]
    pub fn of(order: &Order, for_staff: bool) -> Self {
        let order = order.clone();
        Self {
            id: order.id,
            number: order.number,
            user_id: for_staff.then_some(order.user),
            status: order.status,
            items: order.items.into_iter().map(ItemView::from).collect(),
            subtotal: order.subtotal,
            discount_total: order.discount_total,
            shipping: order.shipping,
            tax: order.tax,
            total: order.total,
            shipping_address: order.shipping_address,
            billing_address: order.billing_address,
            shipping_method: order.shipping_method,
            payment: order.payment.into(),
            refunds: order
                .refunds
                .into_iter()
                .map(|refund| RefundView::of(refund, for_staff))
                .collect(),
            disputes: if for_staff {
                order.disputes
            } else {
                Vec::new()
            },
            tracking: order.tracking,
            history: order
                .history
                .into_iter()
                .map(|entry| HistoryView::of(entry, for_staff))
                .collect(),
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
            person_erased_at: order.person_erased_at.filter(|_| for_staff),
            delete_after: order.delete_after.filter(|_| for_staff),
        }
    }
}

impl From<OrderItem> for ItemView {
    fn from(item: OrderItem) -> Self {
        Self {
            id: item.line,
            product_id: item.product,
            variant_id: item.variant,
            title: item.title,
            sku: item.sku,
            options: item.options,
            image: item.image,
            unit_price: item.unit_price,
            quantity: item.quantity,
            line_total: item.line_total,
        }
    }
}

impl From<OrderPayment> for PaymentView {
    fn from(payment: OrderPayment) -> Self {
        Self {
            provider: "paypal",
            status: payment.status,
            capture_id: payment.capture,
            captured: payment.captured,
            refunded: payment.refunded,
        }
    }
}

impl RefundView {
    pub(super) fn of(refund: Refund, for_staff: bool) -> Self {
        Self {
            id: refund.id,
            status: refund.state,
            amount: refund.amount,
            reason: refund.reason,
            items: refund.lines.into_iter().map(RefundItemView::from).collect(),
            failure: refund.failure.filter(|_| for_staff),
            created_at: refund.created_at,
        }
    }
}

impl From<RefundLine> for RefundItemView {
    fn from(line: RefundLine) -> Self {
        Self {
            line_id: line.line,
            quantity: line.quantity,
            restock: line.restock,
        }
    }
}

impl HistoryView {
    fn of(entry: HistoryEntry, for_staff: bool) -> Self {
        let by = match entry.by {
            By::Staff(_) if !for_staff => "staff".to_owned(),
            By::System | By::Payment | By::Staff(_) => entry.by.to_string(),
        };
        Self {
            status: entry.status,
            at: entry.at,
            by,
            note: entry.note,
        }
    }
}
