//! Payments: what the shop asks of a payment provider, and what the provider tells it.
//!
//! Everything else speaks to [`Gateway`]; PayPal's words stay in `paypal`. An outside call ends as done,
//! refused or *unknown*, and unknown is never treated as failed.

mod gateway;
mod hint;
pub mod inbox;
pub mod paypal;

use std::{ops::Deref, sync::Arc};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::mongo::schema;

pub use gateway::{
    Capture, CaptureId, CaptureStatus, Gateway, GatewayError, NewPayment, PaymentLine,
    ProviderOrder, ProviderOrderId, ProviderOrderStatus, ProviderRefund, ProviderRefundId,
    RefundStatus, RequestKey, is_decision,
};
pub use hint::{Dispute, Hint, HintError, HintSink};

/// The shop's payment provider, as handlers and actors hold it; cheap to clone.
#[derive(Clone)]
pub struct Payments(Arc<dyn Gateway>);

impl Payments {
    /// Stands for `gateway`.
    #[must_use]
    pub fn new(gateway: Arc<dyn Gateway>) -> Self {
        Self(gateway)
    }
}

impl Deref for Payments {
    type Target = dyn Gateway;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    inbox::collections()
}

/// The routes of this room that belong to no checkout.
pub fn routes(table: &mut ServiceConfig) {
    inbox::routes(table);
}
