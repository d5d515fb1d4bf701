//! PayPal as the checkout core reaches it, by messages that can be lost.

use futures_util::future::BoxFuture;

use super::lost;
use crate::{
    checkout::simulation::{
        Flaw,
        machine::{Kind, Link, State},
    },
    money::Money,
    payments::{
        Capture, CaptureId, Gateway, GatewayError, NewPayment, ProviderOrder, ProviderOrderId,
        ProviderRefund, ProviderRefundId, RequestKey,
    },
};

impl Link {
    /// Asks PayPal.
    fn call<'a, R: std::fmt::Debug + Send + 'static>(
        &'a self,
        what: &'static str,
        kind: Kind,
        work: impl FnOnce(&mut State) -> Result<R, GatewayError> + Send + 'static,
    ) -> BoxFuture<'a, Result<R, GatewayError>> {
        Box::pin(async move {
            match self.ask((what, None), kind, work).await {
                Ok(answer) => answer,
                Err(gone) => Err(lost(gone)),
            }
        })
    }
}

impl Gateway for Link {
    fn create_order<'a>(
        &'a self,
        payment: &'a NewPayment,
        key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        let (payment, key) = (payment.clone(), key.clone());
        self.call("paypal create", Kind::Write, move |state| {
            Ok(state.create_payment(&payment, &key))
        })
    }

    fn order<'a>(
        &'a self,
        id: &'a ProviderOrderId,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        let id = id.clone();
        self.call("paypal show", Kind::Read, move |state| {
            let place = state.payment_now(&id)?;
            Ok(state.paypal.shown(place))
        })
    }

    fn capture<'a>(
        &'a self,
        id: &'a ProviderOrderId,
        key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        let (id, key) = (id.clone(), key.as_str().to_owned());
        self.call("paypal capture", Kind::Write, move |state| {
            let key = if state.flaw == Flaw::CaptureWithoutKey {
                format!("{key}-{}", state.messages)
            } else {
                key
            };
            let mut answer = state.capture_payment(&id, &key)?;
            if state.flaw == Flaw::AmountNotCompared {
                let place = state.payment_now(&id)?;
                let due = state.paypal.payments[place].amount;
                for capture in &mut answer.captures {
                    capture.amount = Some(due);
                }
            }
            Ok(answer)
        })
    }

    fn capture_state<'a>(
        &'a self,
        id: &'a CaptureId,
    ) -> BoxFuture<'a, Result<Capture, GatewayError>> {
        let id = id.clone();
        self.call("paypal show capture", Kind::Read, move |state| {
            let place = state.paypal.capture_place(&id);
            let place = place.ok_or(GatewayError::NotFound)?;
            Ok(state.paypal.capture(place))
        })
    }

    fn refund<'a>(
        &'a self,
        capture: &'a CaptureId,
        amount: Option<Money>,
        key: &'a RequestKey,
        _note: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        let (id, key) = (capture.clone(), key.as_str().to_owned());
        self.call("paypal refund", Kind::Write, move |state| {
            state.refund_capture(&id, amount, &key)
        })
    }

    fn refund_state<'a>(
        &'a self,
        id: &'a ProviderRefundId,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        let id = id.clone();
        self.call("paypal show refund", Kind::Read, move |state| {
            let mut refunds = state.paypal.refunds.iter();
            let place = refunds.position(|refund| refund.id == id);
            let place = place.ok_or(GatewayError::NotFound)?;
            Ok(state.paypal.refund(place))
        })
    }
}
