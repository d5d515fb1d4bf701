//! One update, sent once: for writers who recognise their own.
//!
//! For each write that the driver may repeat, the server keeps a record of the session in a write of its
//! own (`config.transactions`). Whoever finds out by itself whether a write without an answer has
//! happened needs no such record, and saves a tenth of the server's work.

use bson::{Document, doc};
use mongodb::error::Error;

use super::{Mongo, StoreError, durable, to_document};

/// What a primary says that is about to be none, or no more: `NotWritablePrimary`, `PrimarySteppedDown`,
/// `InterruptedDueToReplStateChange` and their kin (MongoDB's error codes). Another may take the write.
const MOVED_ON: [i32; 8] = [91, 189, 10_058, 10_107, 11_600, 11_602, 13_435, 13_436];

impl Mongo {
    /// Updates the one document that `filter` names, for good once it is answered; `false` where there
    /// is none. After an error of [`StoreError::outcome_unknown`] the caller has to look.
    ///
    /// # Errors
    /// The driver's and the server's.
    pub async fn update_once(
        &self,
        collection: &'static str,
        filter: Document,
        update: Document,
    ) -> Result<bool, StoreError> {
        let command = doc! {
            "update": collection,
            "updates": [{ "q": filter, "u": update }],
            "writeConcern": to_document(&durable())?,
        };
        let reply = self.database.run_command(command).await?;
        read(collection, &reply)
    }
}

fn read(collection: &'static str, reply: &Document) -> Result<bool, StoreError> {
    let refused = reply.get_array("writeErrors").ok();
    if let Some(fault) = refused.and_then(|faults| faults.first()) {
        let code = fault
            .as_document()
            .and_then(|fault| fault.get_i32("code").ok());
        return Err(if code.is_none_or(|code| MOVED_ON.contains(&code)) {
            Error::custom(fault.to_string()).into()
        } else {
            StoreError::Damaged {
                collection,
                reason: format!("the database refused a write: {fault}"),
            }
        });
    }
    match reply.get("writeConcernError") {
        // It is written, and may yet be rolled back.
        Some(fault) => Err(Error::custom(fault.to_string()).into()),
        None => Ok(reply.get_i32("n").is_ok_and(|matched| matched == 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_done_missed_refused_or_unknown() {
        let read = |reply| read("things", &reply);
        assert!(read(doc! { "n": 1, "nModified": 1, "ok": 1.0 }).unwrap());
        assert!(!read(doc! { "n": 0, "nModified": 0, "ok": 1.0 }).unwrap());
        let fault = |code: i32| doc! { "index": 0, "code": code, "errmsg": "no" };
        let refused = read(doc! { "n": 0, "writeErrors": [fault(121)], "ok": 1.0 });
        assert!(!refused.unwrap_err().outcome_unknown());
        for unknown in [
            doc! { "n": 0, "writeErrors": [fault(11_602)], "ok": 1.0 },
            doc! { "n": 1, "writeConcernError": fault(64), "ok": 1.0 },
        ] {
            assert!(read(unknown).unwrap_err().outcome_unknown());
        }
    }
}
