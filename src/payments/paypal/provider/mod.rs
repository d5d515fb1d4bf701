//! PayPal as the shop's payment provider.

use futures_util::future::BoxFuture;

use super::{
    PayPal,
    amount::AmountError,
    client::Operation,
    endpoints::{CaptureOrder, CreateOrder, RefundCapture, ShowCapture, ShowOrder, ShowRefund},
    fault::{CallError, Fault},
    request::{OrderRequest, RefundRequest},
    wire::{BadId, CaptureWire, OrderWire, RefundWire},
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
            may_be_done: key.is_some(),
            ..unreadable::<E>(&bad)
        })
    }

    /// Makes the payment. An answer that is about another one, or about another amount, is not passed on
    /// to the buyer: the order's own state decides.
    async fn make(
        &self,
        payment: &NewPayment,
        order: OrderRequest,
        key: &RequestKey,
    ) -> Result<ProviderOrder, CallError> {
        let made = self.client.call(&CreateOrder(order), Some(key)).await?;
        let as_asked = made.is_for(&payment.reference, payment.total);
        let order = made
            .into_order()
            .map_err(|bad| unreadable::<CreateOrder>(&bad).after_effect())?;
        if as_asked {
            return Ok(order);
        }
        let shown = self.client.call(&ShowOrder(order.id.clone()), None).await;
        let shown = shown.map_err(CallError::after_effect)?;
        let as_asked = shown.is_for(&payment.reference, payment.total);
        match shown.into_order() {
            Ok(shown) if as_asked && shown.id == order.id => Ok(shown),
            Ok(_) | Err(BadId) => {
                Err(unreadable::<CreateOrder>(&"not the payment that was asked for").after_effect())
            }
        }
    }

    async fn show_order(&self, id: &ProviderOrderId) -> Result<ProviderOrder, CallError> {
        let order = self
            .ask(&ShowOrder(id.clone()), None, OrderWire::into_order)
            .await?;
        if order.id == *id {
            return Ok(self.judged(order));
        }
        Err(unreadable::<ShowOrder>(&"another order's answer"))
    }

    async fn show_capture(&self, id: &CaptureId) -> Result<Capture, CallError> {
        let endpoint = ShowCapture(id.clone());
        let capture = self.ask(&endpoint, None, CaptureWire::into_capture).await?;
        if capture.id == *id {
            return Ok(self.ours(capture));
        }
        Err(unreadable::<ShowCapture>(&"another capture's answer"))
    }

    async fn show_refund(&self, id: &ProviderRefundId) -> Result<ProviderRefund, CallError> {
        let endpoint = ShowRefund(id.clone());
        let refund = self.ask(&endpoint, None, RefundWire::into_refund).await?;
        if refund.id == *id {
            return Ok(refund);
        }
        Err(unreadable::<ShowRefund>(&"another refund's answer"))
    }

    /// Gives money back. An answer about another amount or another capture is not believed: the refund's
    /// own state decides, and where that says the same the outcome is unknown.
    async fn give_back(
        &self,
        asked: (CaptureId, RefundRequest),
        amount: Option<Money>,
        key: &RequestKey,
    ) -> Result<ProviderRefund, CallError> {
        let capture = asked.0.clone();
        let is_it = |refund: &ProviderRefund| {
            refund
                .amount
                .zip(amount)
                .is_none_or(|(made, asked)| made == asked)
                && refund.capture.as_ref().is_none_or(|of| *of == capture)
        };
        let endpoint = RefundCapture(asked);
        let made = self
            .ask(&endpoint, Some(key), RefundWire::into_refund)
            .await?;
        if is_it(&made) {
            return Ok(made);
        }
        let shown = self.show_refund(&made.id).await;
        let shown = shown.map_err(CallError::after_effect)?;
        if is_it(&shown) {
            return Ok(shown);
        }
        Err(unreadable::<RefundCapture>(&"not the refund that was asked for").after_effect())
    }

    /// The order, with each of its captures judged.
    fn judged(&self, order: ProviderOrder) -> ProviderOrder {
        let captures = order.captures.into_iter();
        ProviderOrder {
            captures: captures.map(|capture| self.ours(capture)).collect(),
            ..order
        }
    }

    /// The capture; without its amount where another account got the money.
    fn ours(&self, capture: Capture) -> Capture {
        let elsewhere = capture.payee.as_deref().is_some_and(|payee| {
            !self.receiver.is_empty() && !payee.trim().eq_ignore_ascii_case(&self.receiver)
        });
        if !elsewhere {
            return capture;
        }
        tracing::error!(capture = %capture.id, "a capture went to another account than paypal.receiver_email");
        Capture {
            amount: None,
            ..capture
        }
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
            Ok(order) if order.id == *id && tells_the_money(&order) => Ok(self.judged(order)),
            Ok(_incomplete) => self.show_order(id).await.map_err(CallError::after_effect),
            Err(error) if must_look(&error.fault) => {
                self.show_order(id).await.map_err(CallError::after_effect)
            }
            Err(error) => Err(error),
        }
    }
}

/// An answer that cannot be what was asked for.
fn unreadable<E: Operation>(reason: &dyn std::fmt::Display) -> CallError {
    CallError::harmless(Fault::Unreadable(format!("{}: {reason}", E::NAME)))
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
            let order = OrderRequest::of(payment).map_err(refused)?;
            Ok(self.make(payment, order, key).await?)
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
        Box::pin(async move { Ok(self.show_capture(id).await?) })
    }

    fn refund<'a>(
        &'a self,
        capture: &'a CaptureId,
        amount: Option<Money>,
        key: &'a RequestKey,
        note: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        Box::pin(async move {
            let body = RefundRequest::of(amount, note).map_err(refused)?;
            Ok(self.give_back((capture.clone(), body), amount, key).await?)
        })
    }

    fn refund_state<'a>(
        &'a self,
        id: &'a ProviderRefundId,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        Box::pin(async move { Ok(self.show_refund(id).await?) })
    }
}

#[cfg(test)]
mod tests;
