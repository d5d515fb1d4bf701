//! Payments: what the shop asks of a payment provider, and what the provider tells it.
//!
//! Everything else speaks to [`Gateway`]; PayPal's words stay in `paypal`. An outside call ends as done,
//! refused or *unknown*, and unknown is never treated as failed.

mod gateway;

pub use gateway::{
    Capture, CaptureId, CaptureStatus, Gateway, GatewayError, NewPayment, PaymentLine,
    ProviderOrder, ProviderOrderId, ProviderOrderStatus, ProviderRefund, ProviderRefundId,
    RefundStatus, RequestKey,
};
