//! The shop's books beside the provider's journal, as `bodega check --invariants` judges them.

use super::TestShop;

impl TestShop {
    /// Whether the books are in order, and what the checker says; `more` are arguments of its own.
    pub(crate) fn check_books(&self, more: &[&str]) -> (bool, String) {
        let journal = ["check", "--invariants", "--journal", &self.simulator.url];
        self.command(&[&journal, more].concat(), "")
    }

    /// The books are in order once what is under way has come to rest; what the checker says.
    pub(crate) fn assert_books_are_in_order(&self, more: &[&str]) -> String {
        let (clean, said) = self.check_books(&[&["--wait", "30"], more].concat());
        assert!(clean, "{said}");
        said
    }
}
