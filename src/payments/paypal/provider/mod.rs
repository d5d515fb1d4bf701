//! PayPal as the shop's payment provider.

use futures_util::future::BoxFuture;

use super::{
    PayPal,
    amount::AmountError,
    client::Operation,
    endpoints::{CaptureOrder, CreateOrder, RefundCapture, ShowCapture, ShowOrder, ShowRefund},
    fault::{CallError, Fault},
    request::{OrderRequest, RefundRequest},
    wire::{BadId, OrderWire},
};
use crate::{
    faults::{Plant, planted},
    money::Money,
    payments::{
        Capture, CaptureId, Gateway, GatewayError, NewPayment, ProviderOrder, ProviderOrderId,
        ProviderOrderStatus, ProviderRefund, ProviderRefundId, RequestKey,
    },
};

/// PayPal would refuse the amount, so it is not asked.
fn refused(error: AmountError) -> GatewayError {
    GatewayError::Refused {
        status: 422,
        issue: error.issue().to_owned(),
        debug_id: String::new(),
    }
}

impl PayPal {
    /// Calls `endpoint` and puts its answer into the shop's words.
    async fn ask<E: Operation<Query: Send, Body: Send> + Sync, T>(
        &self,
        endpoint: &E,
        key: Option<&RequestKey>,
        read: fn(E::Response) -> Result<T, BadId>,
    ) -> Result<T, CallError> {
        let answer = self.client.call(endpoint, key).await?;
        read(answer).map_err(|bad| CallError {
            fault: Fault::Unreadable(format!("{}: {bad}", E::NAME)),
            may_be_done: key.is_some(),
        })
    }

    async fn show_order(&self, id: &ProviderOrderId) -> Result<ProviderOrder, CallError> {
        let order = self
            .ask(&ShowOrder(id.clone()), None, OrderWire::into_order)
            .await?;
        if order.id == *id {
            return Ok(order);
        }
        Err(CallError::harmless(Fault::Unreadable(
            "show_order: another order's answer".to_owned(),
        )))
    }

    /// Takes the money. Where the answer does not say how much, or cannot be read, or where it was taken
    /// before, the order's own state is the answer; unless that can be read, the outcome is unknown.
    async fn take(
        &self,
        id: &ProviderOrderId,
        key: &RequestKey,
    ) -> Result<ProviderOrder, CallError> {
        let endpoint = CaptureOrder(id.clone());
        let key = (!planted(Plant::CaptureKeyless)).then_some(key);
        match self.ask(&endpoint, key, OrderWire::into_order).await {
            Ok(order) if order.id == *id && tells_the_money(&order) => Ok(order),
            Ok(_incomplete) => self.show_order(id).await.map_err(CallError::after_effect),
            Err(error) if must_look(&error.fault) => {
                self.show_order(id).await.map_err(CallError::after_effect)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a captured order says what was captured.
fn tells_the_money(order: &ProviderOrder) -> bool {
    let captured = order.status != ProviderOrderStatus::Completed || !order.captures.is_empty();
    captured
        && order
            .captures
            .iter()
            .all(|capture| capture.amount.is_some())
}

/// Whether a failed capture means that the order stands captured, or may.
fn must_look(fault: &Fault) -> bool {
    matches!(fault, Fault::Unreadable(_)) || fault.issue() == Some("ORDER_ALREADY_CAPTURED")
}

impl Gateway for PayPal {
    fn create_order<'a>(
        &'a self,
        payment: &'a NewPayment,
        key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        Box::pin(async move {
            let endpoint = CreateOrder(OrderRequest::of(payment).map_err(refused)?);
            Ok(self
                .ask(&endpoint, Some(key), OrderWire::into_order)
                .await?)
        })
    }

    fn order<'a>(
        &'a self,
        id: &'a ProviderOrderId,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        Box::pin(async move { Ok(self.show_order(id).await?) })
    }

    fn capture<'a>(
        &'a self,
        id: &'a ProviderOrderId,
        key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        Box::pin(async move { Ok(self.take(id, key).await?) })
    }

    fn capture_state<'a>(
        &'a self,
        id: &'a CaptureId,
    ) -> BoxFuture<'a, Result<Capture, GatewayError>> {
        Box::pin(async move {
            let endpoint = ShowCapture(id.clone());
            Ok(self
                .ask(&endpoint, None, super::wire::CaptureWire::into_capture)
                .await?)
        })
    }

    fn refund<'a>(
        &'a self,
        capture: &'a CaptureId,
        amount: Money,
        key: &'a RequestKey,
        note: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        Box::pin(async move {
            let body = RefundRequest::of(amount, note).map_err(refused)?;
            let endpoint = RefundCapture((capture.clone(), body));
            Ok(self
                .ask(&endpoint, Some(key), super::wire::RefundWire::into_refund)
                .await?)
        })
    }

    fn refund_state<'a>(
        &'a self,
        id: &'a ProviderRefundId,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        Box::pin(async move {
            let endpoint = ShowRefund(id.clone());
            Ok(self
                .ask(&endpoint, None, super::wire::RefundWire::into_refund)
                .await?)
        })
    }
}

#[cfg(test)]
mod tests;
