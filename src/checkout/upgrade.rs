//! Checkouts of an earlier release: it kept one refund in two fields of its own, and found what wants looking
//! after by four indexes instead of a mark.

use bson::{Bson, Document, doc};

use super::{
    returns::ReturnState,
    store::{NAME, marked},
};
use crate::mongo::upgrades::{Fill, Upgrade};

/// What the former release wrote for the id of a refund that somebody had made at the provider's dashboard.
const AT_THE_DASHBOARD: &str = "by the provider";

/// What has to be done to the checkouts of earlier releases.
pub(super) fn upgrades() -> Vec<Upgrade> {
    vec![Upgrade {
        name: "checkouts: returns and unfinished",
        collection: NAME,
        fill: Fill {
            former: doc! { "$or": [
                { "unfinished": { "$exists": false } },
                { "refund_due": { "$exists": true } },
            ] },
            change: vec![
                doc! { "$set": {
                    "returns": with_former_refund(),
                    "version": { "$add": ["$version", 1_i64] },
                } },
                doc! { "$unset": ["refund_due", "refund"] },
                marked(),
            ],
        },
        former_indexes: &[
            "open_user",
            "open_client",
            "status",
            "stock_open",
            "refund_due",
            "capture_open",
        ],
    }]
}

/// The returns, and the one that the former fields tell of.
fn with_former_refund() -> Document {
    let held = doc! { "$ifNull": ["$returns", []] };
    let made = doc! { "$eq": [{ "$type": "$refund" }, "string"] };
    let told = doc! { "$and": [
        { "$eq": [{ "$type": "$capture.id" }, "string"] },
        { "$or": [{ "$eq": ["$refund_due", true] }, made] },
        { "$not": [{ "$in": ["$capture.id", { "$ifNull": ["$returns.capture", []] }] }] },
    ] };
    let due = doc! { "$eq": ["$refund_due", true] };
    let id = doc! { "$cond": [
        { "$eq": ["$refund", AT_THE_DASHBOARD] }, Bson::Null, { "$ifNull": ["$refund", Bson::Null] },
    ] };
    let back = doc! {
        "capture": "$capture.id",
        "state": { "$cond": [due, ReturnState::Due.as_str(), ReturnState::Done.as_str()] },
        "attempt": 0_i64,
        "refund": id,
        "failure": Bson::Null,
    };
    doc! { "$cond": [told, { "$concatArrays": [held.clone(), [back]] }, held] }
}
