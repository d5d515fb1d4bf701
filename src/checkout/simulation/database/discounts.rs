//! Uses of the one discount code, as `discounts/store/claims.rs` keeps them.

use std::time::Duration;

use super::{
    super::{Flaw, machine::Link},
    Coupon, coupon, millis,
};
use crate::{
    checkout::ports::DiscountDesk,
    discounts::{Claim, Obstacle, Refused, StaleClaim},
    id::CheckoutId,
    mongo::StoreError,
};

impl DiscountDesk for Link {
    async fn claim(
        &self,
        claim: &Claim,
        life: Duration,
    ) -> Result<Result<(), Refused>, StoreError> {
        let Some(code) = claim.codes.first().cloned() else {
            return Ok(Ok(()));
        };
        let (checkout, user, life) = (claim.checkout, claim.user, millis(life));
        self.write("claim", Some(checkout), move |state| {
            let until = state.now + life;
            let unlimited = state.flaw == Flaw::CouponUnlimited;
            let coupon = &mut state.database.coupon;
            // What was counted is remembered, so that a run that was held up does not claim it again.
            let claimed = coupon.claims.iter().any(|(by, ..)| *by == checkout);
            if claimed || coupon.used.contains(&checkout) {
                return Ok(());
            }
            if coupon.claims.len() + coupon.used.len() >= coupon.limit && !unlimited {
                let obstacle = Obstacle::UsedUp;
                return Err(Refused { code, obstacle });
            }
            coupon.claims.push((checkout, user, until));
            Ok(())
        })
        .await
    }

    async fn keep(&self, claim: &Claim) -> Result<(), StoreError> {
        self.end_claim("keep", claim, |coupon, by| coupon.used.push(by))
            .await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.end_claim("unclaim", claim, |_, _| {}).await
    }

    async fn stale_claims(&self) -> Result<Vec<StaleClaim>, StoreError> {
        self.read("stale_claims", None, |state| {
            let now = state.now;
            let claims = state.database.coupon.claims.iter();
            let stale = claims.filter(|(_, _, until)| *until < now);
            stale
                .map(|(checkout, user, _)| StaleClaim {
                    code: coupon(),
                    checkout: *checkout,
                    user: *user,
                })
                .collect()
        })
        .await
    }
}

impl Link {
    async fn end_claim(
        &self,
        what: &'static str,
        claim: &Claim,
        then: impl FnOnce(&mut Coupon, CheckoutId) + Send + 'static,
    ) -> Result<(), StoreError> {
        if claim.codes.is_empty() {
            return Ok(());
        }
        let checkout = claim.checkout;
        self.write(what, Some(checkout), move |state| {
            let coupon = &mut state.database.coupon;
            let mut claims = coupon.claims.iter();
            if let Some(place) = claims.position(|(by, ..)| *by == checkout) {
                coupon.claims.remove(place);
                then(coupon, checkout);
            }
        })
        .await
    }
}
