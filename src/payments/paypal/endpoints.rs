//! The calls of PayPal's REST API that the shop makes, on the frame of `paypal-rs`.
//!
//! The frame's own endpoint types drop the capture's id and refuse answers that PayPal gives, hence our
//! own with our own types. Ids are letters and digits by their type, so they stand in a path as they are.

use std::borrow::Cow;

use paypal_rs::endpoint::Endpoint;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    client::Operation,
    request::{OrderRequest, RefundRequest},
    wire::{CaptureWire, OrderWire, RefundWire},
};
use crate::payments::{CaptureId, ProviderOrderId, ProviderRefundId};

/// A body of no members: `{}`.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Empty {}

macro_rules! endpoints {
    ($(
        $(#[$doc:meta])*
        $name:ident($about:ty) = $operation:literal, $method:ident $path:expr, $sent:ty = $body:expr, -> $answer:ty;
    )+) => {$(
        $(#[$doc])*
        pub(super) struct $name(pub(super) $about);

        impl Endpoint for $name {
            type Query = ();
            type Body = $sent;
            type Response = $answer;

            fn relative_path(&self) -> Cow<'_, str> {
                let path: fn(&$about) -> String = $path;
                path(&self.0).into()
            }

            fn method(&self) -> Method {
                Method::$method
            }

            fn body(&self) -> Option<Self::Body> {
                let body: fn(&$about) -> Option<$sent> = $body;
                body(&self.0)
            }
        }

        impl Operation for $name {
            const NAME: &'static str = $operation;
        }
    )+};
}

endpoints! {
    /// <https://developer.paypal.com/docs/api/orders/v2/#orders_create>
    CreateOrder(OrderRequest) = "create_order",
        POST |_| "/v2/checkout/orders".to_owned(),
        OrderRequest = |order| Some(order.clone()), -> OrderWire;
    /// <https://developer.paypal.com/docs/api/orders/v2/#orders_get>
    ShowOrder(ProviderOrderId) = "show_order",
        GET |id| format!("/v2/checkout/orders/{id}"),
        () = |_| None, -> OrderWire;
    /// <https://developer.paypal.com/docs/api/orders/v2/#orders_capture>
    CaptureOrder(ProviderOrderId) = "capture_order",
        POST |id| format!("/v2/checkout/orders/{id}/capture"),
        Empty = |_| Some(Empty {}), -> OrderWire;
    /// <https://developer.paypal.com/docs/api/payments/v2/#captures_get>
    ShowCapture(CaptureId) = "show_capture",
        GET |id| format!("/v2/payments/captures/{id}"),
        () = |_| None, -> CaptureWire;
    /// <https://developer.paypal.com/docs/api/payments/v2/#captures_refund>
    RefundCapture((CaptureId, RefundRequest)) = "refund_capture",
        POST |(capture, _)| format!("/v2/payments/captures/{capture}/refund"),
        RefundRequest = |(_, refund)| Some(refund.clone()), -> RefundWire;
    /// <https://developer.paypal.com/docs/api/payments/v2/#refunds_get>
    ShowRefund(ProviderRefundId) = "show_refund",
        GET |id| format!("/v2/payments/refunds/{id}"),
        () = |_| None, -> RefundWire;
    /// <https://developer.paypal.com/docs/api/webhooks/v1/#verify-webhook-signature_post>
    VerifySignature(SignatureQuestion) = "verify_webhook_signature",
        POST |_| "/v1/notifications/verify-webhook-signature".to_owned(),
        SignatureQuestion = |question| Some(question.clone()), -> SignatureAnswer;
}

/// What PayPal is asked about a webhook message.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SignatureQuestion {
    pub(super) auth_algo: String,
    pub(super) cert_url: String,
    pub(super) transmission_id: String,
    pub(super) transmission_sig: String,
    pub(super) transmission_time: String,
    pub(super) webhook_id: String,
    /// The body as it came: written again it would be another text, and the answer FAILURE.
    pub(super) webhook_event: Box<RawValue>,
}

/// What PayPal says about it.
#[derive(Debug, Deserialize)]
pub(super) struct SignatureAnswer {
    pub(super) verification_status: String,
}
