//! Figures over a span of time.

use bson::{Document, doc};
use futures_util::TryStreamExt;
use serde::Deserialize;

use super::Orders;
use crate::{
    clock::Timestamp,
    mongo::StoreError,
    orders::model::{OrderStatus, PaymentStatus},
};

/// The checkouts, counted here and never written.
const CHECKOUTS: &str = "checkouts";

/// Figures of the orders and checkouts made in a span of time. Amounts in minor units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::orders) struct Summary {
    /// Orders made.
    pub(in crate::orders) orders: u64,
    /// Orders whose payment was made, refunds and reversals since notwithstanding.
    pub(in crate::orders) paid: u64,
    /// What those orders brought.
    pub(in crate::orders) revenue: i64,
    /// What of it was given back, or taken back by a reversal.
    pub(in crate::orders) refunded: i64,
    /// Orders by status.
    pub(in crate::orders) by_status: Vec<(OrderStatus, u64)>,
    /// Checkouts begun.
    pub(in crate::orders) checkouts: u64,
    /// Checkouts that became an order.
    pub(in crate::orders) completed: u64,
    /// Checkouts that failed, and payments that were taken on and then denied.
    pub(in crate::orders) payment_failures: u64,
    /// Milliseconds from order to shipping, ascending.
    pub(in crate::orders) fulfilment: Vec<i64>,
}

#[derive(Deserialize)]
struct ByState {
    status: OrderStatus,
    payment: PaymentStatus,
    count: i64,
    captured: i64,
    refunded: i64,
    reversed: i64,
}

#[derive(Deserialize)]
struct Fulfilled {
    millis: i64,
}

#[derive(Deserialize)]
struct CheckoutCount {
    #[serde(rename = "_id")]
    status: String,
    count: i64,
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

impl Orders {
    /// Figures of what was made at or after `from` and before `to`. Indexes used: `newest`; of the
    /// checkouts none of this room.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(in crate::orders) async fn summarise(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Summary, StoreError> {
        let made = doc! { "$match": { "created_at": { "$gte": from, "$lt": to } } };
        let mut summary = Summary {
            by_status: OrderStatus::ALL.map(|status| (status, 0)).to_vec(),
            ..Summary::default()
        };
        self.count_orders(&made, &mut summary).await?;
        self.count_checkouts(&made, &mut summary).await?;
        summary.fulfilment = self.fulfilment_times(&made).await?;
        Ok(summary)
    }

    async fn count_orders(&self, made: &Document, summary: &mut Summary) -> Result<(), StoreError> {
        // What a reversal took: all that was not refunded, where it is not written down (an earlier release).
        let left = doc! { "$subtract": ["$payment.captured.amount", "$payment.refunded.amount"] };
        let reversed = doc! { "$ifNull": ["$payment.reversed.amount", left.clone()] };
        let rows = self.documents.aggregate([
            made.clone(),
            doc! { "$group": {
                "_id": { "status": "$status", "payment": "$payment.status" },
                "count": { "$sum": 1_i64 },
                "captured": { "$sum": "$payment.captured.amount" },
                "refunded": { "$sum": "$payment.refunded.amount" },
                "reversed": { "$sum": { "$min": [reversed, left] } },
            } },
            doc! { "$project": { "_id": 0, "status": "$_id.status", "payment": "$_id.payment",
            "count": 1, "captured": 1, "refunded": 1, "reversed": 1 } },
        ]);
        let rows: Vec<ByState> = rows.with_type().await?.try_collect().await?;
        for row in rows {
            let orders = count(row.count);
            summary.orders += orders;
            if let Some((_, sum)) = summary.by_status.iter_mut().find(|(s, _)| *s == row.status) {
                *sum += orders;
            }
            match row.payment {
                PaymentStatus::Completed
                | PaymentStatus::PartiallyRefunded
                | PaymentStatus::Refunded => {
                    summary.paid += orders;
                    summary.revenue = summary.revenue.saturating_add(row.captured);
                    summary.refunded = summary.refunded.saturating_add(row.refunded);
                }
                PaymentStatus::Reversed => {
                    let gone = row.refunded.saturating_add(row.reversed);
                    summary.paid += orders;
                    summary.revenue = summary.revenue.saturating_add(row.captured);
                    summary.refunded = summary.refunded.saturating_add(gone);
                }
                PaymentStatus::Denied => summary.payment_failures += orders,
                PaymentStatus::Pending => {}
            }
        }
        Ok(())
    }

    async fn count_checkouts(
        &self,
        made: &Document,
        summary: &mut Summary,
    ) -> Result<(), StoreError> {
        let checkouts = self.mongo.database().collection::<Document>(CHECKOUTS);
        let rows = checkouts.aggregate([
            made.clone(),
            doc! { "$group": { "_id": "$status", "count": { "$sum": 1_i64 } } },
        ]);
        let rows: Vec<CheckoutCount> = rows.with_type().await?.try_collect().await?;
        for row in rows {
            let checkouts = count(row.count);
            summary.checkouts += checkouts;
            match row.status.as_str() {
                "Completed" => summary.completed += checkouts,
                "Failed" => summary.payment_failures += checkouts,
                _open_or_given_up => {}
            }
        }
        Ok(())
    }

    async fn fulfilment_times(&self, made: &Document) -> Result<Vec<i64>, StoreError> {
        let shipped = doc! { "$first": { "$filter": {
        "input": "$history", "cond": { "$eq": ["$$this.status", "Shipped"] } } } };
        let rows = self.documents.aggregate([
            made.clone(),
            doc! { "$match": { "history.status": "Shipped" } },
            doc! { "$project": { "created_at": 1, "shipped": shipped } },
            doc! { "$project": { "_id": 0,
            "millis": { "$subtract": ["$shipped.at", "$created_at"] } } },
            doc! { "$sort": { "millis": 1 } },
        ]);
        let mut rows = rows.allow_disk_use(true).with_type::<Fulfilled>().await?;
        let mut times = Vec::new();
        while let Some(row) = rows.try_next().await? {
            times.push(row.millis);
        }
        Ok(times)
    }
}
