//! Faults: what goes wrong, on which call, how often.
//!
//! A fault waits for its operation and is used up by it. Those that act before the work leave no
//! trace in the books; those named `done_then_…` and those that spoil the answer come after the work
//! is done, and the journal has it.

pub(crate) mod alter;
pub(crate) mod answer;
pub(crate) mod kind;
pub(crate) mod middleware;
pub(crate) mod socket;

use serde::{Deserialize, Serialize};

pub(crate) use self::kind::{Kind, Operation};

/// A fault as the control API takes and shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Fault {
    /// Which call.
    pub(crate) operation: Operation,
    /// What goes wrong.
    #[serde(rename = "fault")]
    pub(crate) kind: Kind,
    /// How many calls it spoils.
    #[serde(default = "one")]
    pub(crate) count: u32,
    /// How many calls pass unharmed before.
    #[serde(default)]
    pub(crate) skip: u32,
    /// Waits of `hang`, `delay`, `slow_work`, `done_then_timeout`; gap of `slow_drip`.
    #[serde(default)]
    pub(crate) delay_ms: Option<u64>,
    /// Status of `status`, `status_html`, `done_then_status`.
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// `Retry-After` of `status` in seconds.
    #[serde(default)]
    pub(crate) retry_after: Option<u64>,
    /// Issue of `issue`.
    #[serde(default)]
    pub(crate) issue: Option<String>,
    /// Reason of `pending`.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// Size of `oversized`, bytes.
    #[serde(default)]
    pub(crate) bytes: Option<usize>,
    /// Target of `redirect`.
    #[serde(default)]
    pub(crate) location: Option<String>,
    /// Chosen by the simulator.
    #[serde(default)]
    pub(crate) id: u64,
}

const fn one() -> u32 {
    1
}

/// The faults that wait, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Vec<Fault>,
    made: u64,
}

impl Faults {
    /// Adds a fault and tells its id.
    pub(crate) fn add(&mut self, mut fault: Fault) -> u64 {
        self.made = self.made.saturating_add(1);
        fault.id = self.made;
        self.waiting.push(fault);
        self.made
    }

    /// What waits.
    pub(crate) fn waiting(&self) -> &[Fault] {
        &self.waiting
    }

    /// Takes all away, or the one with that id; tells how many.
    pub(crate) fn clear(&mut self, id: Option<u64>) -> usize {
        let before = self.waiting.len();
        self.waiting
            .retain(|fault| id.is_some_and(|id| id != fault.id));
        before.saturating_sub(self.waiting.len())
    }

    /// The fault for this call, if one waits. Calls that one lets pass are counted by it.
    pub(crate) fn take(&mut self, operation: Operation) -> Option<Fault> {
        let at = self
            .waiting
            .iter()
            .position(|fault| fault.operation == operation || fault.operation == Operation::Any)?;
        let fault = self.waiting.get_mut(at)?;
        if fault.skip > 0 {
            fault.skip = fault.skip.saturating_sub(1);
            return None;
        }
        fault.count = fault.count.saturating_sub(1);
        let taken = fault.clone();
        if taken.count == 0 {
            self.waiting.remove(at);
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(body: serde_json::Value) -> Fault {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn a_fault_is_used_up_by_its_own_operation_only() {
        let mut faults = Faults::default();
        faults.add(fault(
            json!({ "operation": "capture", "fault": "reset_after", "count": 2 }),
        ));
        assert!(faults.take(Operation::Create).is_none());
        assert!(faults.take(Operation::Capture).is_some());
        assert!(faults.take(Operation::Capture).is_some());
        assert!(faults.take(Operation::Capture).is_none());
    }

    #[test]
    fn skipped_calls_pass_and_any_means_every_operation() {
        let mut faults = Faults::default();
        faults.add(fault(
            json!({ "operation": "any", "fault": "hang", "skip": 1 }),
        ));
        assert!(faults.take(Operation::Token).is_none());
        assert!(faults.take(Operation::Show).is_some());
        assert!(faults.waiting().is_empty());
    }

    #[test]
    fn faults_are_cleared_one_by_one_or_all() {
        let mut faults = Faults::default();
        let first = faults.add(fault(json!({ "operation": "token", "fault": "refuse" })));
        faults.add(fault(json!({ "operation": "token", "fault": "refuse" })));
        faults.add(fault(json!({ "operation": "show", "fault": "refuse" })));
        assert_eq!(faults.clear(Some(first)), 1);
        assert_eq!(faults.clear(None), 2);
    }
}
